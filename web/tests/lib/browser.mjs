// Debian's Chromium, without any network but loopback, and small helpers to drive the page.
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';

import puppeteer from 'puppeteer-core';

const PLACES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export async function start_browser() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error('no Chromium: install Debian\'s package chromium or set CHROMIUM');
  // Every name but loopback leads to a listener that notes who comes: the proof that nothing went out
  // is that nobody arrived there.
  const arrived = [];
  const elsewhere = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (bytes) => arrived.push(bytes.toString('latin1').split('\r\n')[0]));
    socket.on('end', () => socket.end());
  });
  await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  elsewhere.unref();
  const browser = await puppeteer.launch({
    executablePath,
    headless: true,
    args: [
      '--no-sandbox', '--disable-dev-shm-usage', '--lang=en-US', '--force-color-profile=srgb',
      `--host-resolver-rules=MAP evil.invalid:* 127.0.0.1:${elsewhere.address().port}, EXCLUDE 127.0.0.1`,
    ],
  });
  return Object.assign(browser, { arrived });
}

// A page of a fresh profile. `foreign` collects requests that are not for the origin and that the
// page's policy has not stopped, `errors` what the console and uncaught exceptions say.
export async function open_page(browser, origin, { width = 1280, height = 860, dark = false, language = 'en-US' } = {}) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]);
  await page.evaluateOnNewDocument((value) => {
    Object.defineProperty(navigator, 'language', { get: () => value });
  }, language);
  const foreign = [];
  const errors = [];
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !/^(data|blob|about):/.test(url)) foreign.push(url);
  });
  page.on('requestfailed', (request) => {
    const at = foreign.indexOf(request.url());
    if (at >= 0 && /BLOCKED_BY_CSP/.test(request.failure()?.errorText)) foreign.splice(at, 1);
  });
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(`${origin}/`, { waitUntil: 'networkidle0' });
  return { page, foreign, errors, close: () => context.close() };
}

export async function ask(page, text) {
  await page.waitForSelector('.write textarea');
  await page.focus('#question');
  await page.evaluate((value) => {
    const area = document.getElementById('question');
    area.value = value;
    area.dispatchEvent(new Event('input', { bubbles: true }));
  }, text);
  await page.waitForSelector('.send:not([disabled])');
  await page.keyboard.press('Enter');
}

export const wait_done = (page) =>
  page.waitForFunction(
    () => document.querySelector('.assistant') && !document.querySelector('[aria-busy=true]'),
    { timeout: 30_000 },
  );

export const text_of = (page, selector) => page.$eval(selector, (element) => element.textContent);

export async function click_text(page, selector, words) {
  const clicked = await page.evaluate((where, wanted) => {
    const found = [...document.querySelectorAll(where)].filter((one) => one.textContent.includes(wanted)).at(-1);
    found?.click();
    return Boolean(found);
  }, selector, words);
  if (!clicked) throw new Error(`${selector} with "${words}": not on the page`);
}

export const idle = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Takes the screenshots of docs/images/: the built page in Chromium, beside the scripted server;
// page-first beside the real one, as somebody new sees it.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ask, idle, open_page, start_browser, wait_done } from './lib/browser.mjs';
import { start_mock } from './lib/mock_server.mjs';
import { start_server } from './lib/real_server.mjs';

const IMAGES = join(dirname(fileURLToPath(import.meta.url)), '../../docs/images');
const QUESTION = 'How many primes are there below 100?';

const mock = await start_mock();
const browser = await start_browser();
const take = async (name, options, work, origin = mock.origin) => {
  const { page, close } = await open_page(browser, origin, options);
  await work(page);
  await idle(600);
  await page.screenshot({ path: join(IMAGES, `page-${name}.webp`), type: 'webp', quality: 82 });
  await close();
};

await take('thinking', { height: 760 }, async (page) => {
  mock.state.token_ms = 12;
  await ask(page, QUESTION);
  await page.waitForFunction(() => document.querySelector('.thought-text')?.textContent.includes('Pairs'));
});
mock.state.token_ms = 1;
await take('answer', { height: 860 }, async (page) => {
  await ask(page, QUESTION);
  await wait_done(page);
  await page.$eval('.transcript', (element) => { element.scrollTop = 0; });
});
await take('paths-dark', { dark: true, height: 760 }, async (page) => {
  mock.state.token_ms = 40;
  await page.select('.choices label:nth-of-type(2) select', '3');
  await ask(page, QUESTION);
  await wait_done(page);
  await page.$$eval('.thought-toggle', (toggles) => toggles[2].click());
});
await take('phone', { width: 390, height: 760 }, async (page) => {
  await ask(page, QUESTION);
  await wait_done(page);
  await page.$eval('.transcript', (element) => { element.scrollTop = 0; });
});
const server = await start_server();
await take('first', { width: 1100, height: 560 }, async (page) => {
  await ask(page, 'What is 347 * 26?');
  await wait_done(page);
  await page.click('.thought-toggle');
}, server.origin);
await browser.close();
await mock.close();
await server.close();

// axe on the page's states, light and dark, wide and narrow: nothing serious, and in fact nothing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { ask, click_text, idle, open_page, start_browser, wait_done } from './lib/browser.mjs';
import { start_mock } from './lib/mock_server.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let mock;
let browser;
before(async () => {
  mock = await start_mock();
  browser = await start_browser();
});
after(async () => {
  await browser?.close();
  await mock?.close();
});

async function check(page, where) {
  await idle(250);
  await page.evaluate(AXE); // through the debugger: the page's policy does not concern it
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations.map((one) => `${one.impact} ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(' | ')}`);
  });
  assert.deepEqual(found, [], where);
}

for (const [name, options] of [
  ['light', {}], ['dark', { dark: true }], ['phone', { width: 375, height: 720 }],
  ['Chinese', { language: 'zh-CN', dark: true }],
]) {
  test(`axe: ${name}`, async (t) => {
    const { page, close } = await open_page(browser, mock.origin, options);
    t.after(close);
    await check(page, 'empty');
    await ask(page, 'say:slow primes');
    await page.waitForSelector('.thought-text');
    await check(page, 'thinking');
    await page.keyboard.press('Escape');
    await wait_done(page);
    await page.select('.choices label:nth-of-type(2) select', '3');
    await ask(page, 'say:vote paths');
    await page.waitForFunction(() => document.querySelectorAll('.assistant').length === 2);
    await wait_done(page);
    await page.select('.choices label:nth-of-type(2) select', '1');
    await ask(page, 'primes');
    await page.waitForFunction(() => document.querySelectorAll('.assistant').length === 3);
    await wait_done(page);
    await page.waitForSelector('.hljs-keyword');
    await page.$$eval('.thought-toggle', (all) => all.at(-1).click());
    await check(page, 'answered');
    await page.$$eval('.thought-head .quiet-button', (all) => all.at(-1).click());
    await check(page, 'editing a thought');
    await click_text(page, '.editor button', name === 'Chinese' ? '取消' : 'Cancel');
    await page.click('.model-button');
    await page.waitForSelector('dialog .models li');
    await check(page, 'models');
    await page.keyboard.press('Escape');
    await page.$eval('.sidebar-foot button:last-child', (button) => button.click());
    await page.waitForSelector('dialog .fields');
    await page.$$eval('dialog details', (all) => all.forEach((one) => { one.open = true; }));
    await check(page, 'settings');
  });
}

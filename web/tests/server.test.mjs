// The page beside the real server, with a small model of random weights, which thinks on and on and
// says nothing: what is tested is that both keep the same contract. RECKON names the program.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { ask, click_text, open_page, start_browser, text_of, wait_done } from './lib/browser.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const PROGRAM = [process.env.RECKON, join(ROOT, 'build/release/bin/reckon'), join(ROOT, 'build/dev/bin/reckon')]
  .find((place) => place && existsSync(place));
const skip = PROGRAM ? false : 'no reckon is built';

let browser;
let server;
let origin;
let folder;
before(async () => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), 'reckon-page-'));
  const model = join(folder, 'tiny.gguf');
  assert.equal(spawnSync(PROGRAM, ['synth', 'tiny-qwen', '-o', model]).status, 0);
  const environment = { ...process.env, HOME: folder, XDG_DATA_HOME: folder };
  server = spawn(PROGRAM, ['serve', '-m', model, '--port', '0'], { env: environment });
  origin = await new Promise((resolve, reject) => {
    let said = '';
    const read = (bytes) => {
      said += bytes;
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
      if (found) resolve(found[0]);
    };
    server.stdout.on('data', read);
    server.stderr.on('data', read);
    server.on('exit', () => reject(new Error(`the server ended: ${said}`)));
  });
  browser = await start_browser();
});
after(async () => {
  await browser?.close();
  if (server) {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill();
    await ended;
    rmSync(folder, { recursive: true });
  }
});

function on_page(name, body) {
  test(name, { skip, timeout: 300_000 }, async () => {
    const opened = await open_page(browser, origin);
    try {
      await body(opened.page);
      assert.deepEqual(opened.foreign, []);
      assert.deepEqual(opened.errors, []);
      assert.equal(await opened.page.$('.error'), null);
    } finally {
      await opened.close();
    }
  });
}
const choose = (page, place, value) => page.select(`.choices label:nth-of-type(${place}) select`, value);

on_page('thought, answer now, answer, stop', async (page) => {
  assert.match(await text_of(page, '.model-button'), /tiny/);
  await ask(page, 'How many primes are there below 100?');
  await page.waitForFunction(() => document.querySelector('.thought-text')?.textContent.length > 20);
  await page.click('.answer-now');
  await page.waitForSelector('.answer');
  await page.keyboard.press('Escape');
  await wait_done(page);
});

on_page('an edited thought is gone on from', async (page) => {
  await ask(page, 'Why?');
  await page.waitForFunction(() => document.querySelector('.thought-text')?.textContent.length > 5);
  await page.keyboard.press('Escape');
  await wait_done(page);
  if (!(await page.$('.thought.open'))) await page.click('.thought-toggle');
  await click_text(page, '.thought-head button', 'Edit the thought');
  await page.waitForSelector('.editor textarea');
  await page.$eval('.editor textarea', (area) => {
    area.value = 'Because.';
    area.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await click_text(page, '.editor button', 'Go on from here');
  await page.waitForFunction(() => document.querySelector('.thought-text')?.textContent.trim().length > 10);
  await page.keyboard.press('Escape');
  await wait_done(page);
  assert.match(await text_of(page, '.thought-text'), /^\s*Because\./);
});

on_page('three paths at once', async (page) => {
  await choose(page, 2, '3');
  await ask(page, 'How many?');
  await page.waitForFunction(
    () => [...document.querySelectorAll('.path')].filter((path) => path.querySelector('.thought-text, .answer')?.textContent).length === 3,
  );
  await page.keyboard.press('Escape');
  await wait_done(page);
});

on_page('no effort, no thought', async (page) => {
  await choose(page, 1, 'none');
  await ask(page, 'How many?');
  await page.waitForSelector('.answer');
  assert.equal(await page.$('.thought-text'), null);
  await page.keyboard.press('Escape');
  await wait_done(page);
});

on_page('the machine, the models, the context', async (page) => {
  await page.type('#question', 'some words to count');
  await page.waitForSelector('.context');
  await page.click('.model-button');
  await page.waitForFunction(() => /tiny[^]*r1:1\.5b[^]*fits this machine/.test(document.querySelector('dialog')?.textContent));
});

// The Run frame under the headers that the server really sends.
for (const [kind, code] of [['js', 'print(6 * 7)'], ['python', 'print(6 * 7)']]) {
  on_page(`${kind} runs in the frame`, async (page) => {
    await page.evaluate((language, text) => new Promise((resolve, reject) => {
      const path = { thought: '', answer: `\`\`\`${language}\n${text}\n\`\`\``, thought_tokens: 0, answer_tokens: 1, thought_ms: 0, finish: 'stop' };
      const common = { next: '', files: [], effort: 'auto', n_paths: 1, model: 'tiny', paths: [], chosen: 0, vote: null, speed: null, error: '', thought_edited: false };
      const record = {
        id: 'x', title: 'Run', created: 1, updated: 1, model: 'tiny', preset: 'plain', first: 'q',
        messages: {
          q: { ...common, id: 'q', parent: '', role: 'user', text: 'run', next: 'a' },
          a: { ...common, id: 'a', parent: 'q', role: 'assistant', text: '', paths: [path] },
        },
      };
      const open = indexedDB.open('reckon', 1);
      open.onerror = reject;
      open.onsuccess = () => {
        const transaction = open.result.transaction('conversations', 'readwrite');
        transaction.objectStore('conversations').put(record);
        transaction.oncomplete = resolve;
      };
    }), kind, code);
    await page.reload({ waitUntil: 'networkidle0' });
    await page.click('.list li button');
    await page.waitForSelector('.code-head button');
    await click_text(page, '.code-head button', 'Run');
    await page.waitForFunction(
      () => /Done|Failed/.test(document.querySelector('.run-head')?.textContent), { timeout: 180_000 });
    assert.equal(await text_of(page, '.run pre'), '42\n');
  });
}

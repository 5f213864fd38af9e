// The page beside the real server. The model that is part of the program answers sums; one of random
// weights, kept busy with other answers, thinks long enough to be interrupted.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { ask, click_text, open_page, start_browser, text_of } from './lib/browser.mjs';
import { start_server } from './lib/real_server.mjs';

// However busy the machine is: what never comes fails after this.
const PATIENCE_MS = 120_000;
const QUESTION = 'What is 347 * 26?';

let browser;
let server;
before(async () => {
  server = await start_server((program, folder) => {
    const tiny = join(folder, 'tiny.gguf');
    assert.equal(spawnSync(program, ['synth', 'tiny-qwen', '-o', tiny]).status, 0);
    return [tiny];
  });
  browser = await start_browser();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

function on_page(name, body, { stops = false } = {}) {
  test(name, { timeout: 4 * PATIENCE_MS }, async () => {
    const opened = await open_page(browser, server.origin);
    opened.page.setDefaultTimeout(PATIENCE_MS);
    try {
      await body(opened.page);
      assert.deepEqual(opened.foreign, []);
      // A stop is said twice, by a request and by breaking off; what comes second finds nothing.
      assert.deepEqual(opened.errors.filter((error) => !stops || !error.includes('404')), []);
      assert.equal(await opened.page.$('.error'), null);
    } finally {
      await opened.close();
    }
  });
}
const choose = (page, place, value) => page.select(`.choices label:nth-of-type(${place}) select`, value);
// The answers that are there, all of them complete.
const answered = (page, n = 1) => page.waitForFunction(
  (wanted) => document.querySelectorAll('.assistant').length === wanted &&
    document.querySelectorAll('.assistant .answer').length >= wanted && !document.querySelector('[aria-busy=true]'),
  {}, n,
);
const pressed = (page, words) => page.waitForFunction((wanted) => {
  const button = [...document.querySelectorAll('button')]
    .find((one) => (one.getAttribute('aria-label') ?? one.textContent).includes(wanted));
  button?.click();
  return Boolean(button);
}, {}, words);

on_page('the model of the program answers a sum, with its thought', async (page) => {
  assert.match(await text_of(page, '.model-button'), /reckon-small/);
  await ask(page, QUESTION);
  await answered(page);
  assert.match(await text_of(page, '.answer'), /^\s*9,?022\s*$/);
  assert.match(await text_of(page, '.thought-label'), /^Thought for [\d.]+ s$/);
  assert.match(await text_of(page, '.assistant .actions .figures'), /tokens\/s.*tokens.*reckon-small/);
  await page.click('.thought-toggle');
  await page.waitForFunction(
    () => /^347\*6: [^]*=2082\n347\*20: [^]*2082\+6940/.test(document.querySelector('.thought-text')?.innerText));
  await page.waitForFunction(() => /\d+ \/ 2,048/.test(document.querySelector('.context')?.textContent));
});

on_page('no effort, no thought; again makes a second version', async (page) => {
  await choose(page, 1, 'none');
  await ask(page, 'What is 12 + 30?');
  await answered(page);
  assert.equal(await page.$('.thought-text'), null);
  await pressed(page, 'Regenerate');
  await page.waitForFunction(() => document.querySelector('.assistant .versions')?.textContent.includes('2 / 2'));
  await answered(page);
});

on_page('an edited thought is gone on from', async (page) => {
  await ask(page, QUESTION);
  await answered(page);
  if (!(await page.$('.thought.open'))) await page.click('.thought-toggle');
  await click_text(page, '.thought-head button', 'Edit the thought');
  await page.waitForSelector('.editor textarea');
  await page.$eval('.editor textarea', (area) => {
    area.value = '347*6: 42:42 24:28 18:20 =2082\n';
    area.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await click_text(page, '.editor button', 'Go on from here');
  await page.waitForFunction(() => document.querySelector('.assistant .versions')?.textContent.includes('2 / 2'));
  await answered(page);
  await page.waitForFunction(() => /9,?022/.test(document.querySelector('.answer')?.textContent));
});

on_page('three paths and their vote', async (page) => {
  await choose(page, 2, '3');
  await ask(page, QUESTION);
  await page.waitForSelector('.vote');
  assert.match(await text_of(page, '.vote-answer'), /9,?022/);
  assert.match(await text_of(page, '.vote .figures'), /of 3/);
  assert.equal(await page.$$eval('.path', (all) => all.length), 3);
});

on_page('answer now and stop, in the midst of a long thought', async (page) => {
  // 63 answers beside it, none of which may end its thought, and neither may the page's.
  const crowd = new AbortController();
  const beside = fetch(`${server.origin}/v1/chat/completions`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, signal: crowd.signal,
    body: JSON.stringify({ model: 'tiny', n: 63, min_thinking_tokens: 3900, messages: [{ role: 'user', content: 'x' }] }),
  }).catch(() => {});
  await page.setRequestInterception(true);
  page.on('request', (request) => {
    const is_question = request.url().endsWith('/v1/chat/completions') && request.method() === 'POST';
    const postData = is_question && JSON.stringify({ ...JSON.parse(request.postData()), min_thinking_tokens: 3900 });
    void request.continue(is_question ? { postData } : {});
  });
  try {
    await page.click('.model-button');
    await page.waitForSelector('dialog .models li');
    await page.evaluate(() => {
      const line = [...document.querySelectorAll('dialog .models li')].find((one) => one.textContent.startsWith('tiny'));
      line.querySelector('button').click();
    });
    await page.waitForFunction(() => document.querySelector('.model-button').textContent.includes('tiny'));
    await ask(page, 'How many primes are there below 100?');
    await page.waitForFunction(() => document.querySelector('.thought-text')?.textContent.length > 20);
    await page.click('.answer-now');
    await page.waitForSelector('.answer');
    await page.keyboard.press('Escape');
    await answered(page);
    await ask(page, 'And below 1,000?');
    await page.waitForFunction(() => [...document.querySelectorAll('.thought-text')].at(-1)?.textContent.length > 20 &&
      document.querySelector('[aria-busy=true]'));
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => !document.querySelector('[aria-busy=true]') &&
      [...document.querySelectorAll('.assistant .note')].at(-1)?.textContent.includes('Stopped'));
  } finally {
    crowd.abort();
    await beside;
  }
}, { stops: true });

on_page('the machine, the models', async (page) => {
  await page.click('.model-button');
  await page.waitForFunction(
    () => /reckon-small[^]*tiny[^]*r1:1\.5b[^]*(fits this machine|needs more memory)/.test(document.querySelector('dialog')?.textContent));
});

// The Run frame under the headers that the server really sends: a conversation that asks for it is
// put where the page keeps them.
function conversation(language, code) {
  const path = { thought: '', answer: `\`\`\`${language}\n${code}\n\`\`\``, thought_tokens: 0, answer_tokens: 1, thought_ms: 0, finish: 'stop' };
  const common = { next: '', files: [], effort: 'auto', n_paths: 1, model: 'tiny', paths: [], chosen: 0, vote: null, speed: null, error: '', thought_edited: false };
  return {
    id: 'x', title: 'Run', created: 1, updated: 1, model: 'tiny', preset: 'plain', first: 'q',
    messages: {
      q: { ...common, id: 'q', parent: '', role: 'user', text: 'run', next: 'a' },
      a: { ...common, id: 'a', parent: 'q', role: 'assistant', text: '', paths: [path] },
    },
  };
}

for (const language of ['js', 'python']) {
  on_page(`${language} runs in the frame`, async (page) => {
    await page.evaluate((record) => new Promise((resolve, reject) => {
      const open = indexedDB.open('reckon', 1);
      open.onerror = reject;
      open.onsuccess = () => {
        const transaction = open.result.transaction('conversations', 'readwrite');
        transaction.objectStore('conversations').put(record);
        transaction.oncomplete = resolve;
      };
    }), conversation(language, 'print(6 * 7)'));
    await page.reload({ waitUntil: 'networkidle0' });
    await page.click('.list li button');
    await page.waitForSelector('.code-head button');
    await click_text(page, '.code-head button', 'Run');
    await page.waitForFunction(
      () => /Done|Failed/.test(document.querySelector('.run-head')?.textContent), { timeout: 2 * PATIENCE_MS });
    assert.equal(await text_of(page, '.run pre'), '42\n');
  });
}

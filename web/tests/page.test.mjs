// Drives the built page in Chromium through each feature, beside a scripted server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { ask, click_text, idle, open_page, start_browser, text_of, wait_done } from './lib/browser.mjs';
import { start_mock } from './lib/mock_server.mjs';

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

// Runs body on a fresh page; at the end nothing may have gone elsewhere or been reported.
function on_page(name, body, options = {}) {
  test(name, async () => {
    const opened = await open_page(browser, mock.origin, options);
    try {
      await body(opened.page, opened);
      assert.deepEqual(opened.foreign, []);
      if (!options.allows_errors) assert.deepEqual(opened.errors, []);
    } finally {
      await opened.close();
    }
  });
}

const last_request = () => mock.chats.at(-1);
const choose = (page, place, value) => page.select(`.choices label:nth-of-type(${place}) select`, value);
const press_alt = async (page, code) => {
  await page.keyboard.down('Alt');
  await page.keyboard.press(code);
  await page.keyboard.up('Alt');
};
const drop_file = (page, name, type, content) => page.evaluate((n, ty, c) => {
  const transfer = new DataTransfer();
  const bytes = typeof c === 'string' ? c : new Uint8Array(c);
  transfer.items.add(new File([bytes], n, { type: ty }));
  window.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
}, name, type, content);

on_page('the thought streams apart from the answer, with time and tokens', async (page) => {
  await ask(page, 'say:slow How many primes?');
  await page.waitForSelector('.thought.live.open .thought-text');
  const early = (await text_of(page, '.thought-text')).length;
  await idle(400);
  assert.ok((await text_of(page, '.thought-text')).length > early);
  assert.match(await text_of(page, '.thought-head .figures'), /\d s · \d+ tokens/);
  assert.match(await text_of(page, '.assistant .actions .figures'), /tokens\/s/);
  await page.waitForSelector('.answer');
  assert.equal(await page.$('.thought.open'), null, 'the thought closes when the answer begins');
  await wait_done(page);
  assert.match(await text_of(page, '.thought-label'), /^Thought for [\d.]+ s$/);
  await page.click('.thought-toggle');
  assert.match(await text_of(page, '.thought-text'), /sieve of Eratosthenes/);
});

on_page('math, tables, highlighted code with copy', async (page) => {
  await ask(page, 'primes');
  await wait_done(page);
  await page.waitForSelector('.answer .katex-display .katex-mathml math');
  await page.waitForSelector('.answer .hljs-keyword');
  assert.equal(await page.$$eval('.answer tbody tr', (rows) => rows.length), 3);
  assert.equal(await page.$eval('.answer td:last-child', (cell) => cell.className), 'right');
  await click_text(page, '.code-head button', 'Copy');
  await page.waitForFunction(() => document.querySelector('.code-head').textContent.includes('Copied'));
});

on_page('answer now ends the thought', async (page) => {
  await ask(page, 'say:slow think');
  await page.waitForSelector('.thought-text');
  await page.click('.answer-now');
  await page.waitForSelector('.answer');
  await wait_done(page);
  assert.ok(mock.requests.includes('POST /v1/chat/completions/control'));
});

on_page('stop breaks off and keeps what came', async (page) => {
  await ask(page, 'say:slow think');
  await page.waitForSelector('.thought-text');
  await page.keyboard.press('Escape');
  await wait_done(page);
  assert.match(await text_of(page, '.assistant .note'), /Stopped/);
});

on_page('effort and preset reach the request; the plain one sends neither', async (page) => {
  await ask(page, 'say:short one');
  await wait_done(page);
  assert.equal(last_request().reasoning_effort, undefined);
  assert.equal(last_request().n_paths, undefined);
  assert.equal(last_request().temperature, 0.6);
  assert.deepEqual(last_request().messages.map((m) => m.role), ['user']);
  await choose(page, 1, 'low');
  await ask(page, 'say:short two');
  await page.waitForFunction(() => document.querySelectorAll('.assistant').length === 2);
  await wait_done(page);
  assert.equal(last_request().reasoning_effort, 'low');
  assert.deepEqual(last_request().messages.map((m) => m.content), ['say:short one', 'A short answer.', 'say:short two']);
  await press_alt(page, 'KeyN');
  await page.waitForSelector('.welcome');
  await choose(page, 3, 'coding');
  await ask(page, 'say:short three');
  await wait_done(page);
  assert.match(last_request().messages[0].content, /^Write complete, working code[^]*say:short three$/);
});

on_page('an edited thought is gone on from, as a branch', async (page) => {
  await ask(page, 'say:short question');
  await wait_done(page);
  await page.click('.thought-toggle');
  await click_text(page, '.thought-head button', 'Edit the thought');
  await page.waitForSelector('.editor textarea');
  await page.$eval('.editor textarea', (area) => {
    area.value = 'My own thought.';
    area.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await click_text(page, '.editor button', 'Go on from here');
  await page.waitForFunction(() => document.querySelector('.answer')?.textContent.includes('after the edit'));
  await wait_done(page);
  assert.deepEqual(last_request().messages.at(-1), {
    role: 'assistant', content: '', reasoning_content: 'My own thought.', prefix: true,
  });
  if (!(await page.$('.thought.open'))) await page.click('.thought-toggle');
  assert.match(await text_of(page, '.thought-text'), /^\s*My own thought\. And so it goes on/);
  assert.match(await text_of(page, '.versions'), /2 \/ 2/);
  await page.click('.assistant .versions button');
  await page.waitForFunction(() => document.querySelector('.answer').textContent.includes('A short answer'));
});

on_page('regenerate and edited questions make branches', async (page) => {
  await ask(page, 'say:short first');
  await wait_done(page);
  await page.click('[aria-label=Regenerate]');
  await page.waitForSelector('.assistant .versions');
  await wait_done(page);
  await page.hover('.user');
  await page.click('.user [aria-label=Edit]');
  await page.$eval('.user textarea', (area) => {
    area.value = 'say:chinese 有几个？';
    area.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await click_text(page, '.user .editor button', 'Send');
  await page.waitForFunction(() => document.querySelector('.answer')?.textContent.includes('质数'));
  await wait_done(page);
  assert.match(await text_of(page, '.user .versions'), /2 \/ 2/);
  await page.click('.user .versions [aria-label="Previous version"]');
  await page.waitForFunction(() => document.querySelector('.question').textContent === 'say:short first');
  assert.match(await text_of(page, '.assistant .versions'), /2 \/ 2/);
});

on_page('several paths stand side by side with their vote', async (page) => {
  await choose(page, 2, '3');
  await ask(page, 'say:vote how many?');
  await wait_done(page);
  assert.equal(last_request().n_paths, 3);
  assert.equal(await page.$$eval('.path', (paths) => paths.length), 3);
  assert.match(await text_of(page, '.vote'), /25[^]*2 of 3 answers agree, of 3 paths \(67 %\)[^]*24 \(33 %\)/);
  assert.equal(await page.$eval('.path.chosen', (path) => path.getAttribute('aria-label')), 'Path 2');
  await page.$$eval('.path header button', (buttons) => buttons[0].click());
  await choose(page, 2, '1');
  await ask(page, 'say:short and then?');
  await page.waitForFunction(() => document.querySelectorAll('.assistant').length === 2);
  await wait_done(page);
  assert.match(last_request().messages[1].content, /boxed\{24\}/);
});

on_page('a dropped CSV file is a table and goes along', async (page) => {
  await drop_file(page, 'sales.csv', 'text/csv', 'city,"sum, EUR"\nUlm,"1,200"\n"Bad ""X""",7\n');
  await page.waitForSelector('.composer .file table');
  assert.deepEqual(await page.$$eval('.composer th, .composer td', (cells) => cells.map((cell) => cell.textContent)),
    ['city', 'sum, EUR', 'Ulm', '1,200', 'Bad "X"', '7']);
  assert.match(await text_of(page, '.composer .file'), /2 rows, 2 columns/);
  await ask(page, 'say:javascript sum it');
  await wait_done(page);
  assert.match(last_request().messages[0].content, /^\[file name\]: sales\.csv\n\[file content begin\]\ncity/);
  await click_text(page, '.code-head button', 'Run');
  await page.waitForFunction(() => document.querySelector('.run-head')?.textContent.includes('Done'));
  assert.equal(await text_of(page, '.run pre'), 'rows 3 42\n');
});

on_page('text and PDF files are context; others are refused', async (page) => {
  await drop_file(page, 'notes.md', 'text/markdown', '# Notes\nremember the milk');
  await page.waitForSelector('.composer .file');
  await drop_file(page, 'paper.pdf', 'application/pdf', [...pdf('Words in a PDF')]);
  await page.waitForFunction(() => document.querySelectorAll('.composer .file').length === 2);
  await drop_file(page, 'a.bin', '', [1, 0, 2]);
  await page.waitForFunction(() => document.querySelector('.composer .error')?.textContent.includes('a.bin'));
  await ask(page, 'say:short read');
  await wait_done(page);
  assert.match(last_request().messages[0].content, /remember the milk[^]*Words in a PDF/);
});

function pdf(words) {
  const stream = `BT /F1 24 Tf 72 700 Td (${words}) Tj ET`;
  const objects = [
    '<</Type/Catalog/Pages 2 0 R>>', '<</Type/Pages/Kids[3 0 R]/Count 1>>',
    '<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>',
    `<</Length ${stream.length}>>stream\n${stream}\nendstream`, '<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>',
  ];
  let text = '%PDF-1.4\n';
  const places = objects.map((object, i) => {
    const at = text.length;
    text += `${i + 1} 0 obj${object}endobj\n`;
    return at;
  });
  const table = places.map((at) => `${String(at).padStart(10, '0')} 00000 n \n`).join('');
  const start = text.length;
  text += `xref\n0 6\n0000000000 65535 f \n${table}trailer<</Size 6/Root 1 0 R>>\nstartxref\n${start}\n%%EOF`;
  return Buffer.from(text, 'latin1');
}

on_page('Python runs in the frame, with the files', async (page) => {
  await drop_file(page, 'sales.csv', 'text/csv', 'city,sum\nUlm,1\n');
  await page.waitForSelector('.composer .file');
  await ask(page, 'say:python run');
  await wait_done(page);
  assert.ok(!mock.requests.some((one) => one.includes('/python/')), 'Python is loaded only when used');
  await click_text(page, '.code-head button', 'Run');
  await page.waitForFunction(
    () => /Done|Failed/.test(document.querySelector('.run-head')?.textContent), { timeout: 180_000 });
  assert.match(await text_of(page, '.run pre'), /^3 5\n/);
  assert.match(await text_of(page, '.run pre'), /city,sum/);
});

on_page('endless code is stopped, a flood of output ends', async (page) => {
  await ask(page, 'say:endless loop');
  await wait_done(page);
  await click_text(page, '.code-head button', 'Run');
  await page.waitForFunction(() => document.querySelector('.run-head')?.textContent.includes('Running'));
  await idle(300);
  await click_text(page, '.run-head button', 'Stop');
  await page.waitForFunction(() => document.querySelector('.run-head')?.textContent.includes('Stopped'));
  assert.equal(await page.$('iframe'), null);
  await ask(page, 'say:flood it');
  await page.waitForFunction(() => document.querySelectorAll('.assistant').length === 2);
  await wait_done(page);
  await click_text(page, '.assistant:last-child .code-head button', 'Run');
  await page.waitForFunction(
    () => document.querySelectorAll('.run-head')[1]?.textContent.includes('too much'), { timeout: 20_000 });
});

on_page('conversations outlive a reload, are found, renamed, deleted', async (page) => {
  await ask(page, 'say:short about walruses');
  await wait_done(page);
  await press_alt(page, 'KeyN');
  await ask(page, 'say:chinese about herons');
  await wait_done(page);
  await page.reload({ waitUntil: 'networkidle0' });
  assert.equal(await page.$$eval('.list li', (all) => all.length), 2);
  await page.keyboard.down('Control');
  await page.keyboard.press('KeyK');
  await page.keyboard.up('Control');
  await page.keyboard.type('容斥');
  await page.waitForFunction(() => document.querySelectorAll('.list li').length === 1);
  await page.click('.list li button');
  await page.waitForFunction(() => document.querySelector('.answer')?.textContent.includes('质数'));
  await page.$eval('input.title', (input) => {
    input.value = 'Herons';
    input.dispatchEvent(new Event('change', { bubbles: true }));
  });
  await page.waitForFunction(() => document.querySelector('.list li').textContent === 'Herons');
  page.on('dialog', (dialog) => void dialog.accept());
  await page.hover('.list li');
  await page.click('.list li .icon-button');
  await page.waitForFunction(() => document.querySelector('.list').textContent.includes('No conversation'));
});

on_page('export as Markdown and JSON', async (page) => {
  await ask(page, 'primes');
  await wait_done(page);
  const exported = [];
  await page.exposeFunction('note_export', (text) => exported.push(text));
  await page.evaluate(() => {
    const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => {
      void blob.text().then(window.note_export);
      return make.call(URL, blob);
    };
    HTMLAnchorElement.prototype.click = () => {};
  });
  await page.click('.menu summary');
  await click_text(page, '.menu-items button', 'Markdown');
  await page.click('.menu summary');
  await click_text(page, '.menu-items button', 'JSON');
  await idle(300);
  assert.match(exported[0], /^# primes\n\n## You\n\nprimes\n\n## r1:1\.5b\n\n> \*\*Thought\*\*\n>\n> Okay, so/);
  assert.equal(Object.keys(JSON.parse(exported[1]).messages).length, 2);
});

on_page('models: use one, get one with progress, what fits', async (page) => {
  await page.click('.model-button');
  await page.waitForFunction(() => document.querySelector('dialog')?.textContent.includes('needs more memory'));
  assert.match(await text_of(page, 'dialog'), /24\.0 GiB of memory · 2 threads · avx512/);
  await click_text(page, 'dialog li button', 'Get'); // the last: r1:70b
  await page.waitForFunction(() => document.querySelector('dialog progress')?.value > 0);
  await page.waitForFunction(() => document.querySelectorAll('dialog .models:first-of-type li').length === 3);
  await page.type('dialog .other input', 'hf:nonsense/x');
  await click_text(page, 'dialog .other button', 'Get');
  await page.waitForFunction(() => document.querySelector('dialog .error')?.textContent.includes('no such model'));
  await page.$$eval('dialog .models:first-of-type button', (buttons) => buttons[1].click());
  await page.waitForFunction(() => document.querySelector('.model-button').textContent.includes('r1:7b'));
  await ask(page, 'say:short with the other');
  await wait_done(page);
  assert.equal(last_request().model, 'r1:7b');
});

on_page('context use and errors of the server are shown', async (page) => {
  await ask(page, 'say:short one');
  await wait_done(page);
  assert.match(await text_of(page, '.context'), /\d+ \/ 131,072/);
  await ask(page, 'say:broken two');
  await page.waitForSelector('.assistant .error');
  assert.match(await text_of(page, '.assistant .error'), /the model is still loading/);
  await ask(page, 'say:length three');
  await page.waitForFunction(() => document.querySelectorAll('.assistant').length === 3);
  await wait_done(page);
  assert.match(await text_of(page, '.assistant:last-child .note'), /Cut off/);
}, { allows_errors: true });

on_page('Chinese, dark and light', async (page) => {
  assert.equal(await page.$eval('html', (html) => html.lang), 'zh-CN');
  assert.match(await text_of(page, '.welcome'), /想一起思考什么/);
  const back = () => page.$eval('html', (html) => getComputedStyle(html).backgroundColor);
  const light = await back();
  await page.click('[aria-label=设置]');
  await page.waitForSelector('dialog');
  await page.select('dialog .fields label:nth-of-type(2) select', 'dark');
  assert.notEqual(await back(), light);
  await page.select('dialog .fields label:nth-of-type(1) select', 'en');
  await page.waitForFunction(() => document.querySelector('dialog h2').textContent === 'Settings');
}, { language: 'zh-CN' });

on_page('phone width: nothing wider than the screen, the list slides in', async (page) => {
  await ask(page, 'primes');
  await wait_done(page);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await page.click('.menu-button');
  await page.waitForFunction(() => document.querySelector('.sidebar').getBoundingClientRect().left === 0);
  await page.click('.list li button');
  await page.waitForFunction(() => document.querySelector('.sidebar').getBoundingClientRect().right <= 0);
}, { width: 375, height: 720 });

on_page('by keyboard alone: ask, open the thought, answer now', async (page) => {
  await page.keyboard.type('say:slow by keyboard');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.thought-text');
  await press_alt(page, 'KeyA');
  await page.waitForSelector('.answer');
  await press_alt(page, 'KeyT');
  await page.waitForSelector('.thought.open .thought-text');
  await page.keyboard.press('Escape');
  await wait_done(page);
  await press_alt(page, 'KeyM');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('dialog'));
});

test('the first load is under 300 KB compressed and loads no library before its use', async () => {
  const from = mock.state.bytes_sent.length;
  const { close } = await open_page(browser, mock.origin);
  await close();
  const files = mock.state.bytes_sent.slice(from);
  const total = files.reduce((sum, [, bytes]) => sum + bytes, 0);
  console.log(`first load: ${files.length} files, ${total} bytes compressed`);
  assert.ok(total < 300_000, JSON.stringify(files));
  assert.ok(!files.some(([name]) => /math|highlight|pdf|python/.test(name)));
});

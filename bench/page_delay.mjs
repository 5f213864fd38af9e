// How late a token is on the page: the page beside a real server, through a relay that puts the time
// at which a chunk came from the server in place of the chunk's text. (A stamp ends in what the page
// shows at once: space at a text's end is not shown before more comes.) Before that, how long the page
// takes to be there in fresh profiles: load event and first content. Prints one JSON object.
//
//   node bench/page_delay.mjs http://127.0.0.1:8080
import { createServer, request } from 'node:http';

import { ask, open_page, start_browser } from '../web/tests/lib/browser.mjs';

const N_TOKENS = 100;
const N_LOADS = 5;
const target = new URL(process.argv[2]);

const stamped = (line) =>
  line.replace(/("(?:reasoning_content|content)":)"(?:[^"\\]|\\.)+"/, (_, name) => `${name}"@${Date.now()}; "`);

const relay = createServer((from, to) => {
  const headers = { ...from.headers, host: target.host };
  if (headers.origin) headers.origin = target.origin;
  const onward = request(
    { host: target.hostname, port: target.port, method: from.method, path: from.url, headers },
    (reply) => {
      to.writeHead(reply.statusCode, reply.headers);
      if (!String(reply.headers['content-type']).startsWith('text/event-stream')) {
        reply.pipe(to);
        return;
      }
      let rest = '';
      reply.setEncoding('utf8');
      reply.on('data', (text) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop();
        for (const line of lines) to.write(`${stamped(line)}\n`);
      });
      reply.on('end', () => to.end(rest));
    },
  );
  to.on('close', () => onward.destroy());
  onward.on('error', () => to.destroy());
  from.pipe(onward);
});
await new Promise((resolve) => relay.listen(0, '127.0.0.1', resolve));

const browser = await start_browser();
try {
  const loads_ms = [];
  for (let i = 0; i < N_LOADS; ++i) {
    const { page, close } = await open_page(browser, target.origin);
    loads_ms.push(
      await page.evaluate(() => Math.max(
        performance.getEntriesByType('navigation')[0].loadEventEnd,
        performance.getEntriesByName('first-contentful-paint')[0].startTime)),
    );
    await close();
  }
  const { page } = await open_page(browser, `http://127.0.0.1:${relay.address().port}`);
  await page.evaluate(() => {
    window.late_ms = [];
    let seen = 0;
    new MutationObserver(() => {
      const shown = document.querySelector('.assistant')?.textContent ?? '';
      const stamps = [...shown.matchAll(/@(\d+);/g)];
      for (; seen < stamps.length; ++seen) window.late_ms.push(Date.now() - Number(stamps[seen][1]));
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  await ask(page, 'Tell me a story.');
  await page.waitForFunction(
    (n) => window.late_ms.length >= n ||
      (window.late_ms.length > 0 && !document.querySelector('[aria-busy=true]')),
    { timeout: 600_000 }, N_TOKENS);
  const late_ms = await page.evaluate(() => window.late_ms);
  const at = (values, share) =>
    [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))];
  console.log(
    JSON.stringify({
      n: late_ms.length, median_ms: at(late_ms, 0.5), p95_ms: at(late_ms, 0.95),
      loads: N_LOADS, load_median_ms: at(loads_ms, 0.5), load_most_ms: at(loads_ms, 1),
    }),
  );
} finally {
  await browser.close();
  relay.close();
  relay.closeAllConnections();
}

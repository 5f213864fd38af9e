// Stands in for `reckon serve`: the built page with the headers that the server sends, and the
// routes that the page calls, with scripted answers. Every request is noted in `requests`.
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { SCRIPTS, script_for } from './scripts.mjs';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '../..');
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
export const RUN_POLICY =
  "sandbox allow-scripts; default-src 'none'; script-src 'self' blob: 'unsafe-eval' 'wasm-unsafe-eval'; " +
  "worker-src blob:; connect-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css',
  '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.json': 'application/json',
  '.wasm': 'application/wasm', '.zip': 'application/zip',
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const read_body = async (request) => {
  let body = '';
  for await (const part of request) body += part;
  return body ? JSON.parse(body) : {};
};

export async function start_mock({ headers = true, token_ms = 2 } = {}) {
  const state = {
    requests: [], chats: [], running: new Map(), token_ms, models: ['r1:1.5b', 'r1:7b'], bytes_sent: [],
  };
  const server = createServer((request, response) => {
    handle(state, request, response, headers).catch((error) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return {
    ...state, state, origin: `http://127.0.0.1:${port}`,
    close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }),
  };
}

async function handle(state, request, response, headers) {
  const url = new URL(request.url, 'http://x');
  state.requests.push(`${request.method} ${url.pathname}`);
  const json = (value, status = 200) => {
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /v1/models': return json({ data: state.models.map((id) => ({ id, object: 'model' })) });
    case 'GET /reckon/catalog': return json({ models: catalog(state) });
    case 'GET /reckon/machine':
      return json({ memory_bytes: 24 * 2 ** 30, threads: 2, isa: 'avx512', version: '0.1.0' });
    case 'GET /api/ps': return json({ models: [] });
    case 'POST /api/show': return json({ model_info: { 'qwen2.context_length': 131072 } });
    case 'POST /tokenize': {
      const { content } = await read_body(request);
      return json({ tokens: Array(Math.ceil(content.length / 4)).fill(1) });
    }
    case 'POST /api/pull': return pull(state, await read_body(request), response);
    case 'POST /v1/chat/completions/control': {
      const { id, action } = await read_body(request);
      const run = state.running.get(id);
      if (run) run[action] = true;
      return json({}, run ? 200 : 404);
    }
    case 'POST /v1/chat/completions': return chat(state, await read_body(request), request, response);
    default: return file(state, url.pathname, request, response, headers);
  }
}

const catalog = (state) => [
  ['r1:1.5b', 1.12, true], ['r1:7b', 4.68, true], ['r1:8b', 4.92, true], ['r1:14b', 8.99, true],
  ['r1:32b', 19.9, true], ['r1:70b', 42.5, false],
].map(([name, gb, fits]) => ({
  name, size_bytes: gb * 1e9, fits, installed: state.models.includes(name),
}));

async function pull(state, { model }, response) {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
  if (model.includes('nonsense')) {
    response.end(`${JSON.stringify({ error: 'no such model' })}\n`);
    return;
  }
  for (let done = 0; done <= 20; ++done) {
    const line = { status: 'downloading', total: 5e9, completed: done * 2.5e8 };
    response.write(`${JSON.stringify(line)}\n`);
    await sleep(30);
  }
  state.models.push(model);
  response.end(`${JSON.stringify({ status: 'success' })}\n`);
}

const pieces = (text, chars = 4) => text.match(new RegExp(`[^]{1,${chars}}`, 'gu')) ?? [];

async function chat(state, body, request, response) {
  state.chats.push(body);
  const script = script_for(body);
  if (script.status) {
    response.writeHead(script.status, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ error: { message: script.message } }));
    return;
  }
  const id = `chatcmpl-${state.chats.length}`;
  const run = { gone: false };
  state.running.set(id, run);
  request.on('close', () => {});
  response.on('close', () => { run.gone = true; });
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const send = (object) => response.write(`data: ${JSON.stringify({ id, ...object })}\n\n`);
  const counts = { thought: 0, answer: 0 };
  const wait = script.token_ms ?? state.token_ms;
  const one_path = async (index) => {
    const path = script.paths?.[index % script.paths.length] ?? script;
    const say = async (kind, text) => {
      for (const piece of pieces(text, script.chars)) {
        if (run.gone || run.stop || (kind === 'thought' && run.reasoning_end)) return;
        counts[kind] += 1;
        const said = script.stamped ? `@${Date.now()} ` : piece;
        const delta = kind === 'thought' ? { reasoning_content: said } : { content: said };
        send({ choices: [{ index, delta, finish_reason: null }] });
        if (wait) await sleep(wait);
        else if (counts[kind] % 50 === 0) await sleep(0);
      }
    };
    if (body.reasoning_effort !== 'none') await say('thought', path.thought);
    await say('answer', path.answer);
    send({ choices: [{ index, delta: {}, finish_reason: script.finish ?? 'stop' }] });
  };
  if (script.prefill_ms) await sleep(script.prefill_ms);
  response.write(': ping\r\n\r\n');
  await Promise.all(Array.from({ length: body.n_paths ?? 1 }, (_, index) => one_path(index)));
  const all = counts.thought + counts.answer;
  send({
    choices: [],
    usage: {
      prompt_tokens: 21, completion_tokens: all,
      completion_tokens_details: { reasoning_tokens: counts.thought },
    },
    timings: { prompt_n: 21, prompt_ms: 90, predicted_n: all, predicted_ms: 1000, predicted_per_second: 12.4 },
    ...(script.vote ? { reckon: { vote: script.vote, thinking_tokens: counts.thought } } : {}),
  });
  response.end('data: [DONE]\n\n');
  state.running.delete(id);
}

function file(state, path, request, response, headers) {
  const name = path === '/' ? '/index.html' : normalize(path);
  const place = join(WEB, 'dist', name);
  const packed = existsSync(`${place}.gz`);
  if (!packed && !existsSync(place)) {
    response.writeHead(404);
    response.end('not found');
    return;
  }
  const bytes = readFileSync(packed ? `${place}.gz` : place);
  state.bytes_sent.push([name, bytes.length]);
  response.writeHead(200, {
    'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream',
    ...(packed ? { 'Content-Encoding': 'gzip' } : {}),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    ...(headers ? { 'Content-Security-Policy': name === '/run.html' ? RUN_POLICY : PAGE_POLICY } : {}),
  });
  response.end(bytes);
}

export { SCRIPTS };

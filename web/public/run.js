// The Run frame. It is of opaque origin (sandbox) and has no network (its policy); the code itself
// runs in a worker, which has no document either: nothing to navigate, no WebRTC, no storage. The
// page sends one message {kind, code, files, runtime} and gets {type, text} back.
'use strict';

const kMessages = 20000;
const kChars = 200000;

// Becomes the worker's source: it may use nothing from outside itself.
function in_worker() {
  const send = self.postMessage.bind(self);
  const limit_bytes = (text) => String(text).slice(0, 200000);
  const out = (text) => send({ type: 'out', text: limit_bytes(text) });
  const show = (value) => {
    if (typeof value === 'string') return value;
    try {
      return JSON.stringify(value, null, 1) ?? String(value);
    } catch {
      return String(value);
    }
  };

  async function javascript(code, files) {
    const print = (...values) => out(values.map(show).join(' ') + '\n');
    for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = print;
    const texts = Object.fromEntries(files.map((file) => [file.name, file.text]));
    send({ type: 'ready' });
    const run = new Function('files', 'print', `return (async () => {\n${code}\n})()`);
    const value = await run(texts, print);
    if (value !== undefined) print(value);
  }

  async function python(code, files, runtime) {
    const types = { wasm: 'application/wasm', json: 'application/json', js: 'text/javascript' };
    const part = (name) => {
      const type = types[name.split('.').pop()] ?? 'application/octet-stream';
      return new Blob([runtime[name]], { type });
    };
    // Pyodide asks for its files by fetch; they are all here already.
    self.fetch = async (url) => {
      const name = String(url.url ?? url).split('/').pop();
      if (!runtime[name]) throw new TypeError('there is no network here');
      return new Response(part(name));
    };
    for (const name of ['pyodide.js', 'pyodide.asm.js']) {
      const url = URL.createObjectURL(part(name));
      importScripts(url);
      URL.revokeObjectURL(url);
    }
    const pyodide = await self.loadPyodide({
      indexURL: 'https://python.invalid/',
      stdout: (text) => out(text + '\n'),
      stderr: (text) => out(text + '\n'),
      jsglobals: Object.create(null),
    });
    for (const file of files) pyodide.FS.writeFile(file.name.replace(/[/\0]/g, '_'), file.text);
    send({ type: 'ready' });
    const value = await pyodide.runPythonAsync(code);
    if (value !== undefined) out(String(value) + '\n');
  }

  self.onmessage = async ({ data }) => {
    self.onmessage = null;
    try {
      if (data.kind === 'python') await python(data.code, data.files, data.runtime);
      else await javascript(data.code, data.files);
      send({ type: 'done' });
    } catch (error) {
      const text = error instanceof Error && data.kind === 'javascript' ? String(error) : String(error?.message ?? error);
      send({ type: 'failed', text: limit_bytes(text) + '\n' });
    }
  };
}

let worker = null;
let messages = 0;
let chars = 0;

function tell(type, text) {
  parent.postMessage({ type, text }, '*');
}

function from_worker({ data }) {
  const type = data?.type;
  const text = typeof data?.text === 'string' ? data.text : undefined;
  messages += 1;
  chars += text?.length ?? 0;
  if (['out', 'ready', 'done', 'failed'].includes(type)) tell(type, text);
  if (type === 'done' || type === 'failed' || messages > kMessages || chars > kChars) {
    worker.terminate();
    if (type === 'out') tell('failed', '\n…');
  }
}

self.onmessage = (event) => {
  if (event.source !== parent || worker) return;
  const source = new Blob([`(${in_worker})()`], { type: 'text/javascript' });
  worker = new Worker(URL.createObjectURL(source));
  worker.onmessage = from_worker;
  worker.onerror = (error) => tell('failed', `${error.message}\n`);
  worker.postMessage(event.data, Object.values(event.data.runtime ?? {}));
};

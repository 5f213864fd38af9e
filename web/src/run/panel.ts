// The Run button: code goes into a frame of its own (run.html: sandboxed, opaque origin, a policy
// without network), and what it prints comes back as text. A new frame each time, so that no run
// sees another's state. The frame's messages are hostile: types are checked, lengths capped, and
// everything is shown as text.
import { t } from '../i18n';
import type { Attachment } from '../types';

const kOutputChars = 100_000;
const kRunMs = 120_000;
const PYTHON_FILES = [
  'pyodide.js', 'pyodide.asm.js', 'pyodide.asm.wasm', 'pyodide-lock.json', 'python_stdlib.zip',
];

let files_of_conversation: () => Attachment[] = () => [];
export const set_run_files = (source: () => Attachment[]) => {
  files_of_conversation = source;
};

const KINDS: Record<string, 'javascript' | 'python'> = {
  javascript: 'javascript', js: 'javascript', python: 'python', py: 'python', python3: 'python',
};
export const runnable = (language: string) => language in KINDS;

async function python_runtime(): Promise<Record<string, ArrayBuffer>> {
  const parts = await Promise.all(
    PYTHON_FILES.map(async (name) => {
      const response = await fetch(`python/${name}`, { credentials: 'omit' });
      if (!response.ok) throw new Error(t('python_missing'));
      return [name, await response.arrayBuffer()] as const;
    }),
  );
  return Object.fromEntries(parts);
}

export function start_run(place: HTMLElement, language: string, code: string): void {
  place.querySelector('.run')?.dispatchEvent(new Event('close-run'));
  const panel = document.createElement('div');
  panel.className = 'run';
  const status = document.createElement('span');
  status.setAttribute('role', 'status');
  const stop = document.createElement('button');
  stop.type = 'button';
  const output = document.createElement('pre');
  output.tabIndex = 0;
  const head = document.createElement('div');
  head.className = 'run-head';
  head.append(status, stop);
  panel.append(head, output);
  place.append(panel);

  const run = new Run(KINDS[language], code, (text) => output.append(text), (words) => {
    status.textContent = words;
    if (run.ended) stop.textContent = t('close');
  });
  stop.textContent = t('stop');
  const close = () => {
    run.end(t('run_stopped'));
    panel.remove();
  };
  panel.addEventListener('close-run', close);
  stop.addEventListener('click', () => (run.ended ? close() : run.end(t('run_stopped'))));
  void run.start();
}

class Run {
  ended = false;
  private frame = document.createElement('iframe');
  private chars = 0;
  private timer = 0;
  private started_ms = 0;

  constructor(
    private readonly kind: 'javascript' | 'python',
    private readonly code: string,
    private readonly print: (text: string) => void,
    private readonly say: (words: string) => void,
  ) {}

  async start(): Promise<void> {
    this.say(this.kind === 'python' ? t('python_loading') : t('running'));
    let runtime: Record<string, ArrayBuffer> = {};
    try {
      if (this.kind === 'python') runtime = await python_runtime();
    } catch (error) {
      this.end(String((error as Error).message));
      return;
    }
    if (this.ended) return;
    this.frame.setAttribute('sandbox', 'allow-scripts');
    this.frame.setAttribute('aria-hidden', 'true');
    this.frame.tabIndex = -1;
    this.frame.title = t('run');
    this.frame.className = 'run-frame';
    this.frame.src = 'run.html';
    window.addEventListener('message', this.on_message);
    this.frame.addEventListener('load', () => {
      this.started_ms = performance.now();
      // Opaque origins have no name to send to; the frame was loaded from our own run.html.
      this.frame.contentWindow?.postMessage(
        { kind: this.kind, code: this.code, files: files_of_conversation(), runtime },
        '*', Object.values(runtime),
      );
    }, { once: true });
    this.timer = window.setTimeout(() => this.end(t('run_too_long')), kRunMs);
    document.body.append(this.frame);
  }

  end(words: string): void {
    if (this.ended) return;
    this.ended = true;
    window.clearTimeout(this.timer);
    window.removeEventListener('message', this.on_message);
    this.frame.remove();
    this.say(words);
  }

  private readonly on_message = (event: MessageEvent): void => {
    if (event.source !== this.frame.contentWindow || this.ended) return;
    const type: unknown = event.data?.type;
    const text: unknown = event.data?.text;
    if (type === 'ready') this.say(t('running'));
    if (type === 'done' || type === 'failed') {
      const seconds = ((performance.now() - this.started_ms) / 1000).toFixed(1);
      if (typeof text === 'string') this.show(text);
      this.end(`${type === 'done' ? t('run_done') : t('run_failed')} · ${seconds} s`);
    } else if (type === 'out' && typeof text === 'string') {
      this.show(text);
    }
  };

  private show(text: string): void {
    const room = kOutputChars - this.chars;
    this.chars += text.length;
    this.print(text.slice(0, room));
    if (text.length > room) this.end(t('run_too_much'));
  }
}

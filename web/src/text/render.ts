// Shows a growing text in an element: finished blocks once, the last one anew each time, code by
// appending. Formulas and colours come as soon as their libraries are there.
import { BlockStream } from './blocks';
import { code_frame } from './code';
import { to_fragment } from './markdown';

const kHighlightChars = 40_000;
// Of a frame, for blocks: a long text that is opened comes in over several frames.
const kFrameMs = 10;

type MathModule = typeof import('./math');
type HighlightModule = typeof import('./highlight');
let math: MathModule | undefined;
let math_loading: Promise<MathModule> | undefined;
let highlighter: Promise<HighlightModule> | undefined;

function finish_math(root: ParentNode): void {
  const places = [...root.querySelectorAll<HTMLElement>('.tex:not(.tex-done)')];
  if (places.length === 0) return;
  const work = (module: MathModule) => {
    math = module;
    for (const place of places) module.render_math(place, place.textContent ?? '');
  };
  if (math) work(math);
  else (math_loading ??= import('./math')).then(work, () => (math_loading = undefined));
}

function finish_code(root: ParentNode, can_run: boolean, complete: boolean): void {
  for (const pre of root.querySelectorAll('pre')) {
    const code = pre.querySelector('code');
    if (!code) continue;
    const language = /language-(\S+)/.exec(code.className)?.[1] ?? '';
    pre.replaceWith(code_frame(code, language, can_run && complete));
    if (!complete || !language || (code.textContent ?? '').length > kHighlightChars) continue;
    (highlighter ??= import('./highlight')).then(
      (module) => module.highlight(code, language),
      () => (highlighter = undefined),
    );
  }
}

export class TextView {
  private stream = new BlockStream();
  private text = '';
  private shown = 0; // blocks of stream.done in the document
  private growing = false;
  private next_frame = 0;
  private tail: HTMLElement | null = null;
  private open_code: { node: Text; length: number } | null = null;

  constructor(private readonly root: HTMLElement, private readonly can_run: boolean) {}

  // growing: more may follow.
  update(text: string, growing: boolean): void {
    if (!text.startsWith(this.text)) {
      this.stream = new BlockStream();
      this.text = '';
      this.shown = 0;
      this.tail = null;
      this.open_code = null;
      this.root.replaceChildren();
    }
    this.stream.push(text.slice(this.text.length));
    this.text = text;
    this.growing = growing;
    if (!this.next_frame) this.work();
  }

  private work(): void {
    this.next_frame = 0;
    const end_ms = performance.now() + kFrameMs;
    while (this.shown < this.stream.done.length) {
      if (performance.now() > end_ms) {
        this.next_frame = requestAnimationFrame(() => this.work());
        return;
      }
      this.drop_tail();
      this.root.append(this.block(this.stream.done[this.shown++], true));
    }
    this.show_tail(this.growing);
  }

  // The element is leaving the page.
  stop(): void {
    cancelAnimationFrame(this.next_frame);
  }

  private drop_tail(): void {
    this.tail?.remove();
    this.tail = null;
    this.open_code = null;
  }

  private block(markdown: string, complete: boolean): HTMLElement {
    const element = document.createElement('div');
    element.className = 'block';
    element.append(to_fragment(markdown));
    finish_code(element, this.can_run, complete);
    finish_math(element);
    return element;
  }

  private show_tail(growing: boolean): void {
    const fence = growing ? this.stream.open_fence : null;
    if (fence && this.open_code) {
      this.open_code.node.appendData(fence.body.slice(this.open_code.length));
      this.open_code.length = fence.body.length;
      return;
    }
    this.drop_tail();
    if (fence) {
      const language = /^[\w+#-]{1,20}/.exec(fence.language)?.[0] ?? '';
      const code = document.createElement('code');
      const node = document.createTextNode(fence.body);
      code.append(node);
      this.tail = document.createElement('div');
      this.tail.className = 'block';
      this.tail.append(code_frame(code, language, false));
      this.open_code = { node, length: fence.body.length };
    } else if (this.stream.rest.trim()) {
      this.tail = this.block(this.stream.rest, !growing);
    }
    if (this.tail) this.root.append(this.tail);
  }
}

// Cuts a growing text into blocks of Markdown that can be rendered one by one: what is finished
// never changes again, so a stream costs each frame the rendering of its last block alone. A block
// is at most kBlockChars long, except that code grows without limit (it is appended to, not
// rendered anew).

const kBlockChars = 6000;
const LIST = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;
const FENCE = /^ {0,3}(`{3,}|~{3,})(.*)$/;

export interface Fence {
  language: string;
  body: string; // whole lines, each with its newline
}

export class BlockStream {
  readonly done: string[] = [];
  private tail = ''; // whole lines of the block that is growing
  private partial = ''; // the line that has no end yet
  private fence = ''; // the opening marks while inside code
  private fence_top = false; // the code is a block of its own
  private head_length = 0; // of the fence's first line
  private math = ''; // the closing mark while inside displayed math
  private blank = false;

  push(text: string): void {
    let from = 0;
    for (let end; (end = text.indexOf('\n', from)) >= 0; from = end + 1) {
      const line = this.partial + text.slice(from, end);
      this.partial = '';
      this.line(line);
    }
    this.partial += text.slice(from);
    if (!this.fence && this.partial.length > kBlockChars) {
      const space = this.partial.lastIndexOf(' ');
      const cut = space > kBlockChars / 2 ? space + 1 : this.partial.length;
      this.tail += this.partial.slice(0, cut);
      this.partial = this.partial.slice(cut);
      this.flush();
    }
  }

  // What is growing, as Markdown.
  get rest(): string {
    return this.tail + this.partial;
  }

  // Set while the growing block is nothing but code; its body only ever grows.
  get open_fence(): Fence | null {
    if (!this.fence || !this.fence_top) return null;
    const head = FENCE.exec(this.tail.slice(0, this.head_length - 1));
    return {
      language: (head?.[2] ?? '').trim(),
      body: this.tail.slice(this.head_length) + this.partial,
    };
  }

  private flush(): void {
    if (this.tail.trim()) this.done.push(this.tail);
    this.tail = '';
    this.blank = false;
    this.math = '';
  }

  private line(line: string): void {
    if (this.fence) {
      this.tail += line + '\n';
      const close = FENCE.exec(line);
      if (close && close[1].startsWith(this.fence) && !close[2].trim()) {
        this.fence = '';
        if (this.fence_top) this.flush();
      }
      return;
    }
    if (this.math) {
      this.tail += line + '\n';
      if (line.includes(this.math)) this.math = '';
      else if (this.tail.length > kBlockChars) this.flush();
      return;
    }
    if (!line.trim()) {
      if (this.tail) {
        this.tail += '\n';
        this.blank = true;
      }
      return;
    }
    this.text_line(line);
  }

  private text_line(line: string): void {
    const in_list = LIST.test(this.tail);
    const indented = /^(?: {2}|\t)/.test(line);
    const goes_on = in_list && (LIST.test(line) || indented);
    const fence = FENCE.exec(line);
    if ((this.blank && !goes_on) || (fence && !indented) || this.tail.length > kBlockChars) {
      this.flush();
    }
    this.blank = false;
    if (fence && !(fence[1][0] === '`' && fence[2].includes('`'))) {
      this.fence = fence[1];
      this.fence_top = !this.tail;
      this.head_length = line.length + 1;
    } else {
      const start = line.trimStart();
      const close = start.startsWith('$$') ? '$$' : start.startsWith('\\[') ? '\\]' : '';
      if (close && !start.includes(close, 2)) this.math = close;
    }
    this.tail += line + '\n';
  }
}

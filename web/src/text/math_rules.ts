// markdown-it rules for TeX: $…$, $$…$$, \(…\) and \[…\]. They only mark the place: a span or div
// of class "tex" holds the source as text, and render.ts lets KaTeX build nodes from it.
import type MarkdownIt from 'markdown-it';
import type StateInline from 'markdown-it/lib/rules_inline/state_inline.mjs';
import type StateBlock from 'markdown-it/lib/rules_block/state_block.mjs';

// A closing mark is looked for no further than this, so that a text full of opening ones is linear.
const kInlineChars = 1500;

interface Mark {
  open: string;
  close: string;
  display: boolean;
}
const MARKS: Mark[] = [
  { open: '$$', close: '$$', display: true },
  { open: '\\[', close: '\\]', display: true },
  { open: '\\(', close: '\\)', display: false },
  { open: '$', close: '$', display: false },
];

function find_close(src: string, from: number, limit: number, mark: Mark): number {
  const last = Math.min(limit, from + kInlineChars);
  for (let at = src.indexOf(mark.close, from); at >= 0 && at < last; ) {
    if (mark.open !== '$') return at;
    const escaped = src[at - 1] === '\\' && src[at - 2] !== '\\';
    if (!escaped && !/\s/.test(src[at - 1]) && !/\d/.test(src[at + 1] ?? '')) return at;
    at = src.indexOf(mark.close, at + 1);
  }
  return -1;
}

function inline_math(state: StateInline, silent: boolean): boolean {
  const mark = MARKS.find((candidate) => state.src.startsWith(candidate.open, state.pos));
  if (!mark) return false;
  const from = state.pos + mark.open.length;
  if (mark.open === '$' && /^(?:\s|\$|$)/.test(state.src.slice(from, from + 1))) return false;
  const close = find_close(state.src, from, state.posMax, mark);
  if (close <= from) return false;
  if (!silent) {
    const token = state.push('tex_inline', 'span', 0);
    token.content = state.src.slice(from, close).trim();
    token.meta = mark.display;
  }
  state.pos = close + mark.close.length;
  return true;
}

function block_math(state: StateBlock, start: number, end: number, silent: boolean): boolean {
  if (state.sCount[start] - state.blkIndent >= 4) return false;
  const first = state.src.slice(state.bMarks[start] + state.tShift[start], state.eMarks[start]);
  const mark = MARKS.find((candidate) => candidate.display && first.startsWith(candidate.open));
  if (!mark) return false;
  const body: string[] = [];
  let text = first.slice(mark.open.length);
  let line = start;
  for (;;) {
    const close = text.indexOf(mark.close);
    line += 1;
    if (close >= 0) {
      if (text.slice(close + mark.close.length).trim()) return false; // words follow: inline
      body.push(text.slice(0, close));
      break;
    }
    body.push(text);
    // What a stream has not closed yet is shown as far as it goes.
    if (line >= end || state.sCount[line] < state.blkIndent) break;
    text = state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]);
  }
  if (silent) return true;
  state.line = line;
  const token = state.push('tex_block', 'div', 0);
  token.content = body.join('\n').trim();
  token.map = [start, line];
  return true;
}

export function math_rules(md: MarkdownIt): void {
  md.inline.ruler.before('escape', 'tex_inline', inline_math);
  md.block.ruler.before('fence', 'tex_block', block_math, {
    alt: ['paragraph', 'reference', 'blockquote', 'list'],
  });
  md.renderer.rules.tex_inline = (tokens, i) =>
    `<span class="tex${tokens[i].meta ? ' tex-display' : ''}">` +
    `${md.utils.escapeHtml(tokens[i].content)}</span>`;
  md.renderer.rules.tex_block = (tokens, i) =>
    `<div class="tex tex-display">${md.utils.escapeHtml(tokens[i].content)}</div>`;
}

// A model's words, which are hostile, to DOM nodes. Three walls, each enough alone: markdown-it
// passes no HTML through and links only to http, https and mailto; DOMPurify keeps a short list of
// elements and attributes; the page's policy runs no inline script and loads nothing from elsewhere.
// Images become links: showing one would already be a request.
import DOMPurify from 'dompurify';
import MarkdownIt from 'markdown-it';

import { math_rules } from './math_rules';

const LINK = /^(?:https?:\/\/|mailto:)/i;

// Models end a line where they mean it, and write 347*26 for a product.
const md = new MarkdownIt({ html: false, linkify: true, breaks: true });
md.inline.ruler.before('emphasis', 'product', (state, silent) => {
  if (!/^[\w)]\*[\w(]/.test(state.src.slice(state.pos - 1, state.pos + 2))) return false;
  if (!silent) state.pending += '*';
  ++state.pos;
  return true;
});
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
md.validateLink = (url) => LINK.test(url.trim());
math_rules(md);

md.renderer.rules.image = (tokens, i) => {
  const token = tokens[i];
  const url = token.attrGet('src') ?? '';
  const words = md.utils.escapeHtml(token.content || url);
  return `<a href="${md.utils.escapeHtml(url)}">${words}</a>`;
};
md.renderer.rules.fence = (tokens, i) => {
  const language = tokens[i].info.trim().split(/\s/)[0].toLowerCase();
  const name = /^[a-z0-9+#-]{1,20}$/.test(language) ? ` class="language-${language}"` : '';
  return `<pre><code${name}>${md.utils.escapeHtml(tokens[i].content)}</code></pre>`;
};
for (const rule of ['th_open', 'td_open']) {
  // The alignment comes as a style attribute, which the page's policy refuses.
  md.renderer.rules[rule] = (tokens, i) => {
    const align = /right|center/.exec(tokens[i].attrGet('style') ?? '')?.[0];
    return `<${tokens[i].tag}${align ? ` class="${align}"` : ''}>`;
  };
}

const ALLOWED = {
  ALLOWED_TAGS: [
    'p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'strong', 'em', 's', 'code', 'pre',
    'blockquote', 'ul', 'ol', 'li', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'a', 'span', 'div',
  ],
  ALLOWED_ATTR: ['href', 'class', 'start'],
  ALLOWED_URI_REGEXP: LINK,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true as const,
};

export function to_fragment(markdown: string): DocumentFragment {
  const fragment = DOMPurify.sanitize(md.render(markdown), ALLOWED);
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  // A wide table scrolls by itself, also by keyboard.
  for (const table of fragment.querySelectorAll('table')) {
    const box = document.createElement('div');
    box.className = 'table-box';
    box.tabIndex = 0;
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}

// A highlighter's spans.
export const spans_only = (html: string): DocumentFragment =>
  DOMPurify.sanitize(html, {
    ALLOWED_TAGS: ['span'], ALLOWED_ATTR: ['class'], RETURN_DOM_FRAGMENT: true,
  });

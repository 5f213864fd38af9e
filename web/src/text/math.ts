// KaTeX, loaded when the first formula appears. It builds nodes itself (no HTML text, no style
// attribute); with trust off, \href, \url, \includegraphics and \html… are errors.
import katex from 'katex';
import 'katex/dist/katex.min.css';

export function render_math(place: HTMLElement, tex: string): void {
  const target = document.createElement('span');
  try {
    katex.render(tex, target, {
      displayMode: place.classList.contains('tex-display'),
      throwOnError: true,
      trust: false,
      strict: 'ignore',
      maxSize: 20,
      maxExpand: 300,
      globalGroup: false,
    });
  } catch {
    return; // not TeX, or not yet: its source stays
  }
  place.replaceChildren(target);
  place.classList.add('tex-done');
  // What scrolls is reached by keyboard.
  requestAnimationFrame(() => {
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
  });
}

// A code block's frame: its language, copy, and Run where the page can run it.
import { t } from '../i18n';
import { copy_text } from '../ui/copy';
import { runnable, start_run } from '../run/panel';

function button(label: string, on_click: (self: HTMLButtonElement) => void): HTMLButtonElement {
  const element = document.createElement('button');
  element.type = 'button';
  element.textContent = label;
  element.addEventListener('click', () => on_click(element));
  return element;
}

export function code_frame(code: HTMLElement, language: string, can_run: boolean): HTMLElement {
  const frame = document.createElement('div');
  frame.className = 'code';
  const head = document.createElement('div');
  head.className = 'code-head';
  const name = document.createElement('span');
  name.textContent = language || t('code');
  head.append(name);
  if (can_run && runnable(language)) {
    head.append(button(t('run'), () => start_run(frame, language, code.textContent ?? '')));
  }
  head.append(
    button(t('copy'), async (self) => {
      self.textContent = (await copy_text(code.textContent ?? '')) ? t('copied') : t('copy_failed');
      setTimeout(() => (self.textContent = t('copy')), 1500);
    }),
  );
  const pre = document.createElement('pre');
  pre.tabIndex = 0;
  pre.append(code);
  frame.append(head, pre);
  return frame;
}

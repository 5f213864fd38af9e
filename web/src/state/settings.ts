// What the person chose, kept in localStorage. A stored value of a wrong type is dropped.
import { effect, signal } from '@preact/signals';

import { set_key } from '../api';
import { language } from '../i18n';
import type { Effort, Preset } from '../types';

// R1 does best without a system prompt at 0.6 and 0.95; an instruction goes before the first
// question.
export const PRESETS: Preset[] = [
  { id: 'plain', instruction: '', temperature: 0.6, top_p: 0.95 },
  {
    id: 'coding',
    instruction:
      'Write complete, working code in fenced blocks with the language named. Say in a sentence or ' +
      'two why it is right and what it costs. Mind the edge cases.',
    temperature: 0.5, top_p: 0.95,
  },
  {
    id: 'data',
    instruction:
      'The data is in the attached files. Check what the columns hold before you use them. Show ' +
      'figures in tables, and give Python (standard library only; the files lie in the current ' +
      'folder) that computes them.',
    temperature: 0.5, top_p: 0.95,
  },
  {
    id: 'writing',
    instruction: 'Write plainly and vividly, in the language of the question, without headings or lists unless asked.',
    temperature: 0.7, top_p: 0.95,
  },
];

export type Theme = 'auto' | 'light' | 'dark';

function stored<T>(name: string, initial: T, valid: (value: unknown) => boolean) {
  let value = initial;
  try {
    const text = localStorage.getItem(`reckon.${name}`);
    const parsed: unknown = text === null ? undefined : JSON.parse(text);
    if (valid(parsed)) value = parsed as T;
  } catch {
    // no storage, or not ours: the initial value
  }
  const kept = signal(value);
  effect(() => {
    const text = JSON.stringify(kept.value);
    try {
      localStorage.setItem(`reckon.${name}`, text);
    } catch {
      // a private window
    }
  });
  return kept;
}

const is_text = (value: unknown) => typeof value === 'string';

export const theme = stored<Theme>('theme', 'auto', (v) => ['auto', 'light', 'dark'].includes(v as string));
export const keep_open = stored('keep_open', false, (v) => typeof v === 'boolean');
export const api_key = stored('api_key', '', is_text);
export const model = stored('model', '', is_text);
export const preset_id = stored('preset', 'plain', (v) => PRESETS.some((p) => p.id === v));
export const effort = stored<Effort>('effort', 'auto', is_text);
export const chosen_language = stored<'' | 'en' | 'zh'>('language', '', (v) => ['', 'en', 'zh'].includes(v as string));
export const own_presets = stored<Record<string, Preset>>(
  'presets', {}, (v) => typeof v === 'object' && v !== null && !Array.isArray(v),
);

export function preset(id: string): Preset {
  const own = own_presets.value[id];
  return own ?? PRESETS.find((one) => one.id === id) ?? PRESETS[0];
}

effect(() => set_key(api_key.value));
effect(() => {
  if (chosen_language.value) language.value = chosen_language.value;
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en';
});
effect(() => {
  if (theme.value === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});

// The page's words. t() reads a signal, so what is shown follows a change of language.
import { signal } from '@preact/signals';

import { en, type Key } from './en';
import { zh } from './zh';

export type Language = 'en' | 'zh';
export const language = signal<Language>(navigator.language.startsWith('zh') ? 'zh' : 'en');

export function t(key: Key, ...values: (string | number)[]): string {
  const text = (language.value === 'zh' ? zh : en)[key];
  return text.replace(/\{(\d)\}/g, (_, i) => String(values[Number(i)] ?? ''));
}

const locale = () => (language.value === 'zh' ? 'zh-CN' : 'en');

export const count = (value: number) => value.toLocaleString(locale());

export function bytes(value: number): string {
  const gib = value / 2 ** 30;
  return gib >= 1 ? `${gib.toFixed(1)} GiB` : `${Math.round(value / 2 ** 20)} MiB`;
}

export function duration(ms: number): string {
  const exact = ms / 1000;
  const seconds = exact < 9.95 ? Number(exact.toFixed(1)) : Math.round(exact);
  if (language.value === 'zh') {
    return seconds < 60 ? `${seconds} 秒` : `${Math.floor(seconds / 60)} 分 ${seconds % 60} 秒`;
  }
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

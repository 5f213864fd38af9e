// What the page knows of the server: its models, the catalog, the machine, and pulls under way.
import { signal } from '@preact/signals';

import * as api from '../api';
import type { CatalogModel, Machine } from '../types';
import { model } from './settings';

export const models = signal<string[]>([]);
export const catalog = signal<CatalogModel[]>([]);
export const machine = signal<Machine | null>(null);
export const trouble = signal<'' | 'offline' | 'key_needed'>('');
export const context_limit = signal(0);

export interface Pull {
  name: string;
  progress: api.PullProgress;
  error: string;
  done: boolean;
  abort: AbortController;
}
export const pulls = signal<Pull[]>([]);

export async function refresh(): Promise<void> {
  try {
    models.value = await api.models();
    trouble.value = '';
  } catch (error) {
    const status = error instanceof api.ApiError ? error.status : 0;
    trouble.value = status === 401 || status === 403 ? 'key_needed' : 'offline';
    return;
  }
  if (!models.value.includes(model.value)) model.value = models.value[0] ?? '';
  const [all, computer] = await Promise.allSettled([api.catalog(), api.machine()]);
  if (all.status === 'fulfilled') catalog.value = all.value;
  if (computer.status === 'fulfilled') machine.value = computer.value;
}

export async function read_context_limit(name: string): Promise<void> {
  context_limit.value = name ? await api.context_tokens(name).catch(() => 0) : 0;
}

export async function pull(name: string): Promise<void> {
  if (pulls.value.some((one) => one.name === name && !one.done && !one.error)) return;
  const begun: Pull = {
    name, progress: { status: '', total: 0, completed: 0 }, error: '', done: false,
    abort: new AbortController(),
  };
  const change = (part: Partial<Pull>) => {
    pulls.value = pulls.value.map((one) => (one.name === name ? { ...one, ...part } : one));
  };
  pulls.value = [...pulls.value.filter((one) => one.name !== name), begun];
  try {
    await api.pull(name, begun.abort.signal, (progress) => change({ progress }));
    change({ done: true });
    await refresh();
  } catch (error) {
    if (begun.abort.signal.aborted) pulls.value = pulls.value.filter((one) => one.name !== name);
    else change({ error: (error as Error).message });
  }
}

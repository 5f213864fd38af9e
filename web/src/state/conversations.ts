// The conversation on the screen and the list of all. Messages are changed in place; touch() tells
// the views, at most once a frame for a message.
import { signal, type Signal } from '@preact/signals';

import type { Conversation } from '../types';
import * as db from './db';
import { new_conversation } from './tree';

export interface Entry {
  id: string;
  title: string;
  updated: number;
}

export const current = signal<Conversation>(new_conversation('', 'plain'));
export const shape = signal(0); // grows when messages come, go or change places
export const entries = signal<Entry[]>([]);

const versions = new Map<string, Signal<number>>();
const touched = new Set<string>();

export function version(id: string): Signal<number> {
  let found = versions.get(id);
  if (!found) versions.set(id, (found = signal(0)));
  return found;
}

export function touch(id: string): void {
  if (touched.size === 0) {
    // A hidden page gets no frames; it must still take in what comes.
    const next = document.hidden ? (work: () => void) => setTimeout(work, 200) : requestAnimationFrame;
    next(() => {
      const ids = [...touched];
      touched.clear();
      for (const one of ids) version(one).value += 1;
    });
  }
  touched.add(id);
}

function list_entry(conversation: Conversation): void {
  const { id, title, updated } = conversation;
  const others = entries.value.filter((entry) => entry.id !== id);
  entries.value = [{ id, title, updated }, ...others].sort((a, b) => b.updated - a.updated);
}

export async function keep(conversation: Conversation): Promise<void> {
  conversation.updated = Date.now();
  list_entry(conversation);
  await db.save(conversation);
}

export async function load_entries(): Promise<void> {
  const found: Entry[] = [];
  await db.each(({ id, title, updated }) => found.push({ id, title, updated }));
  entries.value = found.sort((a, b) => b.updated - a.updated);
}

// Entries whose title or any message holds the words.
export async function search(words: string): Promise<Entry[]> {
  const wanted = words.toLowerCase();
  const found: Entry[] = [];
  await db.each((conversation) => {
    const { id, title, updated } = conversation;
    const hit =
      title.toLowerCase().includes(wanted) ||
      Object.values(conversation.messages).some(
        (message) =>
          message.text.toLowerCase().includes(wanted) ||
          message.paths.some(
            (path) =>
              path.answer.toLowerCase().includes(wanted) || path.thought.toLowerCase().includes(wanted),
          ),
      );
    if (hit) found.push({ id, title, updated });
  });
  return found.sort((a, b) => b.updated - a.updated);
}

// Conversations with a request under way stay the one object that the request writes to.
export const running_conversations = new Map<string, Conversation>();

export function start_new(model: string, preset: string): void {
  current.value = new_conversation(model, preset);
  shape.value += 1;
}

export async function open(id: string): Promise<void> {
  const found = running_conversations.get(id) ?? (await db.load(id));
  if (!found) return;
  current.value = found;
  shape.value += 1;
}

export async function rename(conversation: Conversation, title: string): Promise<void> {
  conversation.title = title.slice(0, 200);
  shape.value += 1;
  await keep(conversation);
}

export async function forget(id: string): Promise<void> {
  await db.remove(id);
  entries.value = entries.value.filter((entry) => entry.id !== id);
}

// The shown line of a conversation's tree, and the ways to branch off it.
import type { Conversation, Message } from '../types';

export const new_id = () => crypto.getRandomValues(new Uint32Array(3)).join('-');

export function new_message(role: 'user' | 'assistant', parent: string): Message {
  return {
    id: new_id(), parent, role, next: '', text: '', files: [], effort: 'auto', n_paths: 1,
    model: '', paths: [], chosen: 0, vote: null, speed: null, error: '', thought_edited: false,
  };
}

export function new_conversation(model: string, preset: string): Conversation {
  const now = Date.now();
  return { id: new_id(), title: '', created: now, updated: now, model, preset, first: '', messages: {} };
}

// The messages shown, first to last.
export function line(conversation: Conversation): Message[] {
  const shown: Message[] = [];
  let id = conversation.first;
  while (id) {
    const message = conversation.messages[id];
    if (!message) break;
    shown.push(message);
    id = message.next;
  }
  return shown;
}

export function line_to(conversation: Conversation, last: string): Message[] {
  const shown: Message[] = [];
  for (let id = last; id; ) {
    const message = conversation.messages[id];
    if (!message) break;
    shown.unshift(message);
    id = message.parent;
  }
  return shown;
}

export function siblings(conversation: Conversation, message: Message): Message[] {
  return Object.values(conversation.messages).filter((m) => m.parent === message.parent);
}

// Makes a message of the tree the shown one among its siblings.
export function show(conversation: Conversation, message: Message): void {
  const parent = conversation.messages[message.parent];
  if (parent) parent.next = message.id;
  else conversation.first = message.id;
}

export function add(conversation: Conversation, message: Message): void {
  conversation.messages[message.id] = message;
  show(conversation, message);
}

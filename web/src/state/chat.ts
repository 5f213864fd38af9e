// Asking: from the shown line of messages to a request, and from its stream into the new message.
import { signal } from '@preact/signals';

import * as api from '../api';
import type { Attachment, Conversation, Effort, Message, Path } from '../types';
import { current, keep, running_conversations, shape, touch } from './conversations';
import { preset } from './settings';
import * as tree from './tree';

interface Running {
  abort: AbortController;
  request_id: string;
  first_token_ms: number;
}

const running = new Map<string, Running>(); // by message
export const busy = signal<ReadonlySet<string>>(new Set());
export const announce = signal<'' | 'thinking' | 'answering' | 'done'>('');

function mark(message: Message, state: Running | null): void {
  if (state) running.set(message.id, state);
  else running.delete(message.id);
  busy.value = new Set(running.keys());
}

export const new_path = (thought = ''): Path => ({
  thought, answer: '', thought_tokens: 0, answer_tokens: 0, thought_ms: 0, finish: '',
});

// DeepSeek's own layout for files in a prompt.
function with_files(message: Message): string {
  const parts = message.files.map(
    (file) => `[file name]: ${file.name}\n[file content begin]\n${file.text}\n[file content end]\n`,
  );
  return parts.join('') + message.text;
}

export function prompt_messages(conversation: Conversation, last: string): object[] {
  const instruction = preset(conversation.preset).instruction.trim();
  return tree.line_to(conversation, last).map((message, i) => {
    if (message.role === 'assistant') {
      return { role: 'assistant', content: message.paths[message.chosen]?.answer ?? '' };
    }
    const content = with_files(message);
    return { role: 'user', content: i === 0 && instruction ? `${instruction}\n\n${content}` : content };
  });
}

function take(path: Path, delta: api.Delta, begun_ms: number): void {
  if (delta.thought) {
    path.thought += delta.thought;
    path.thought_tokens += 1; // until the usage tells: the server sends a token at a time
    path.thought_ms = performance.now() - begun_ms;
  }
  if (delta.answer) {
    if (path.answer_tokens === 0 && path.thought) path.thought_ms = performance.now() - begun_ms;
    path.answer += delta.answer;
    path.answer_tokens += 1;
  }
  if (delta.finish) path.finish = delta.finish;
}

function settle(message: Message, summary: api.Summary): void {
  if (summary.vote) {
    message.vote = summary.vote;
    message.chosen = summary.vote.chosen;
  }
  const path = message.paths[0];
  if (message.paths.length === 1 && summary.reasoning_tokens !== undefined) {
    path.thought_tokens = summary.reasoning_tokens;
  }
  message.speed = {
    prompt_tokens: summary.prompt_tokens ?? 0,
    predicted_tokens: summary.completion_tokens ?? 0,
    tokens_per_second: summary.predicted_per_second ?? live_speed(message),
  };
}

export function live_speed(message: Message): number {
  const state = running.get(message.id);
  if (!state?.first_token_ms) return message.speed?.tokens_per_second ?? 0;
  const seconds = (performance.now() - state.first_token_ms) / 1000;
  const tokens = message.paths.reduce((sum, p) => sum + p.thought_tokens + p.answer_tokens, 0);
  return seconds > 0.3 ? tokens / seconds : 0;
}

async function generate(conversation: Conversation, message: Message, prefix: string): Promise<void> {
  const abort = new AbortController();
  const state: Running = { abort, request_id: '', first_token_ms: 0 };
  mark(message, state);
  running_conversations.set(conversation.id, conversation);
  const question = conversation.messages[message.parent];
  const { temperature, top_p } = preset(conversation.preset);
  const messages = prompt_messages(conversation, message.parent);
  if (prefix) {
    messages.push({ role: 'assistant', content: '', reasoning_content: prefix, prefix: true });
  }
  const request: api.ChatRequest = { model: message.model, messages, temperature, top_p };
  if (question.effort !== 'auto') request.reasoning_effort = question.effort;
  if (message.paths.length > 1) request.n_paths = message.paths.length;

  let saved_ms = performance.now();
  const on_delta = (delta: api.Delta) => {
    const path = message.paths[delta.path];
    if (!path) return;
    state.request_id = delta.id;
    if (!state.first_token_ms && (delta.thought || delta.answer)) {
      state.first_token_ms = performance.now();
    }
    if (delta.thought || delta.answer) announce.value = delta.answer ? 'answering' : 'thinking';
    take(path, delta, state.first_token_ms);
    touch(message.id);
    if (performance.now() - saved_ms > 3000) {
      saved_ms = performance.now();
      void keep(conversation);
    }
  };
  try {
    settle(message, await api.chat(request, abort.signal, on_delta));
  } catch (error) {
    if (!abort.signal.aborted) message.error = (error as Error).message;
    settle(message, {});
  }
  // Paths that a decided vote left unasked are told of by nothing.
  for (const path of message.paths) path.finish ||= message.vote ? 'cut' : 'abort';
  mark(message, null);
  running_conversations.delete(conversation.id);
  announce.value = 'done';
  touch(message.id);
  shape.value += 1;
  await keep(conversation);
}

function answer(conversation: Conversation, question: Message, model: string, thought = ''): void {
  const message = tree.new_message('assistant', question.id);
  message.model = model;
  message.n_paths = thought ? 1 : question.n_paths;
  message.paths = Array.from({ length: message.n_paths }, () => new_path(thought));
  message.thought_edited = thought !== '';
  tree.add(conversation, message);
  conversation.model = model;
  shape.value += 1;
  void generate(conversation, message, thought);
}

export interface Question {
  text: string;
  files: Attachment[];
  effort: Effort;
  n_paths: number;
  model: string;
}

// Asks at the end of the shown line, or beside an earlier question (an edited one).
export function ask(question: Question, instead_of?: Message): void {
  const conversation = current.value;
  const last = tree.line(conversation).at(-1);
  const message = tree.new_message('user', instead_of ? instead_of.parent : (last?.id ?? ''));
  Object.assign(message, {
    text: question.text, files: question.files, effort: question.effort, n_paths: question.n_paths,
  });
  tree.add(conversation, message);
  conversation.title ||= (question.text || question.files[0]?.name || '').replace(/\s+/g, ' ').slice(0, 70);
  answer(conversation, message, question.model);
  void keep(conversation);
}

export function regenerate(message: Message, model: string): void {
  answer(current.value, current.value.messages[message.parent], model);
}

export function go_on(message: Message, thought: string): void {
  answer(current.value, current.value.messages[message.parent], message.model, thought);
}

export function show_version(message: Message): void {
  tree.show(current.value, message);
  shape.value += 1;
  void keep(current.value);
}

export function choose_path(message: Message, path: number): void {
  message.chosen = path;
  touch(message.id);
  void keep(current.value);
}

export async function answer_now(message: Message): Promise<void> {
  const id = running.get(message.id)?.request_id;
  if (id) await api.control(id, 'reasoning_end').catch(() => {});
}

export function stop(message: Message): void {
  const state = running.get(message.id);
  if (!state) return;
  // Breaking off frees the slot; the control call does it at once even behind a proxy.
  if (state.request_id) void api.control(state.request_id, 'stop').catch(() => {});
  state.abort.abort();
}

// The server's HTTP interface as the page uses it. Errors become ApiError with the server's own
// words.
import type { CatalogModel, Machine, Vote } from './types';

export class ApiError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

let key = '';
export const set_key = (value: string) => {
  key = value;
};

function headers(json: boolean): Record<string, string> {
  const all: Record<string, string> = {};
  if (json) all['Content-Type'] = 'application/json';
  if (key) all['Authorization'] = `Bearer ${key}`;
  return all;
}

async function call(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: headers(body !== undefined),
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    credentials: 'omit',
  });
  if (!response.ok) {
    const text = (await response.text()).slice(0, 4000);
    let message = text || response.statusText;
    try {
      const error = JSON.parse(text).error;
      message = typeof error === 'string' ? error : (error?.message ?? message);
    } catch {
      // not JSON: the text itself
    }
    throw new ApiError(response.status, String(message));
  }
  return response;
}

const get = async (path: string) => (await call(path)).json();

// Lines of a body as they come. A line over 8 MiB ends the stream: no server of ours sends one.
async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      let from = 0;
      for (let end; (end = rest.indexOf('\n', from)) >= 0; from = end + 1) {
        yield rest.slice(from, rest[end - 1] === '\r' ? end - 1 : end);
      }
      rest = rest.slice(from);
      if (rest.length > 8 << 20) throw new ApiError(0, 'a line of over 8 MiB');
      if (done) break;
    }
    if (rest) yield rest;
  } finally {
    reader.cancel().catch(() => {});
  }
}

export interface Delta {
  id: string;
  path: number;
  thought: string;
  answer: string;
  finish: string;
}

export interface Summary {
  reasoning_tokens?: number;
  completion_tokens?: number;
  prompt_tokens?: number;
  predicted_per_second?: number;
  vote?: Vote;
}

export interface ChatRequest {
  model: string;
  messages: object[];
  [field: string]: unknown;
}

// Streams one request; the summary is what the last chunks carry.
export async function chat(
  request: ChatRequest, signal: AbortSignal, on_delta: (delta: Delta) => void,
): Promise<Summary> {
  const response = await call(
    'v1/chat/completions',
    { ...request, stream: true, stream_options: { include_usage: true } },
    signal,
  );
  if (!response.body) throw new ApiError(0, 'an answer without a body');
  const summary: Summary = {};
  let complete = false;
  for await (const line of lines(response.body)) {
    if (!line.startsWith('data:')) continue;
    const data = line.slice(5).trim();
    if (data === '[DONE]') {
      complete = true;
      break;
    }
    read_chunk(JSON.parse(data), summary, on_delta);
  }
  if (!complete) throw new ApiError(0, 'the connection broke off');
  return summary;
}

function read_chunk(chunk: any, summary: Summary, on_delta: (delta: Delta) => void): void {
  if (chunk.error) throw new ApiError(0, String(chunk.error.message ?? chunk.error));
  for (const choice of chunk.choices ?? []) {
    on_delta({
      id: String(chunk.id ?? ''),
      path: Number(choice.index ?? 0),
      thought: text_of(choice.delta?.reasoning_content),
      answer: text_of(choice.delta?.content),
      finish: text_of(choice.finish_reason),
    });
  }
  if (chunk.usage) {
    summary.completion_tokens = chunk.usage.completion_tokens;
    summary.prompt_tokens = chunk.usage.prompt_tokens;
    summary.reasoning_tokens = chunk.usage.completion_tokens_details?.reasoning_tokens;
  }
  if (chunk.timings) summary.predicted_per_second = chunk.timings.predicted_per_second;
  if (chunk.reckon?.vote) summary.vote = read_vote(chunk.reckon.vote);
}

const text_of = (value: unknown) => (typeof value === 'string' ? value : '');

function read_vote(vote: any): Vote {
  return {
    answer: String(vote.answer ?? ''),
    share: Number(vote.share) || 0,
    votes: Number(vote.votes) || 0,
    counted: Number(vote.counted) || 0,
    paths: Number(vote.paths) || 0,
    chosen: Number(vote.chosen) || 0,
    minority: (Array.isArray(vote.minority) ? vote.minority : []).map((other: any) => ({
      answer: String(other.answer ?? ''),
      share: Number(other.share) || 0,
    })),
  };
}

export const control = (id: string, action: 'reasoning_end' | 'stop') =>
  call('v1/chat/completions/control', { id, action });

export async function models(): Promise<string[]> {
  return ((await get('v1/models')).data ?? []).map((model: any) => String(model.id));
}

export async function catalog(): Promise<CatalogModel[]> {
  return ((await get('reckon/catalog')).models ?? []).map((model: any) => ({
    name: String(model.name),
    size_bytes: Number(model.size_bytes) || 0,
    fits: Boolean(model.fits),
    installed: Boolean(model.installed),
  }));
}

export const machine = (): Promise<Machine> => get('reckon/machine');

// What the loaded model was given; of one that isn't loaded its own limit; 0 where it doesn't say.
export async function context_tokens(model: string): Promise<number> {
  const loaded = ((await get('api/ps')).models ?? []).find((one: any) => one.name === model);
  if (loaded?.context_length) return Number(loaded.context_length) || 0;
  const info = (await (await call('api/show', { model })).json()).model_info ?? {};
  const name = Object.keys(info).find((field) => field.endsWith('.context_length'));
  return name ? Number(info[name]) || 0 : 0;
}

export async function count_tokens(model: string, content: string): Promise<number> {
  const reply = await (await call('tokenize', { model, content })).json();
  return Array.isArray(reply.tokens) ? reply.tokens.length : 0;
}

export interface PullProgress {
  status: string;
  total: number;
  completed: number;
}

export async function pull(
  model: string, signal: AbortSignal, on_progress: (progress: PullProgress) => void,
): Promise<void> {
  const response = await call('api/pull', { model, stream: true }, signal);
  if (!response.body) throw new ApiError(0, 'an answer without a body');
  let last = '';
  for await (const line of lines(response.body)) {
    if (!line.trim()) continue;
    const progress = JSON.parse(line);
    if (progress.error) throw new ApiError(0, String(progress.error));
    last = String(progress.status ?? '');
    on_progress({
      status: last,
      total: Number(progress.total) || 0,
      completed: Number(progress.completed) || 0,
    });
  }
  if (last !== 'success') throw new ApiError(0, last || 'the connection broke off');
}

// What a conversation is made of, and what the server says. A conversation is a tree: regenerating
// and editing add a sibling, and `next` remembers which child of a message is shown.

export type Effort = 'auto' | 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh';
export const EFFORTS: Effort[] = ['auto', 'none', 'minimal', 'low', 'medium', 'high', 'xhigh'];

export interface Attachment {
  name: string;
  kind: 'table' | 'text' | 'pdf';
  text: string;
}

export interface Path {
  thought: string;
  answer: string;
  thought_tokens: number;
  answer_tokens: number;
  thought_ms: number;
  finish: string; // '' while it runs
}

export interface Vote {
  answer: string;
  share: number;
  votes: number; // for the answer
  counted: number; // paths that voted
  paths: number; // that began
  chosen: number; // the path that won
  minority: { answer: string; share: number }[];
}

export interface Speed {
  prompt_tokens: number;
  predicted_tokens: number;
  tokens_per_second: number;
}

export interface Message {
  id: string;
  parent: string; // '' for the first
  role: 'user' | 'assistant';
  next: string; // the child that is shown; '' at the end
  text: string; // a user's words
  files: Attachment[];
  effort: Effort;
  n_paths: number;
  // Assistant only.
  model: string;
  paths: Path[];
  chosen: number; // the path that the conversation goes on from
  vote: Vote | null;
  speed: Speed | null;
  error: string;
  thought_edited: boolean;
}

export interface Conversation {
  id: string;
  title: string;
  created: number; // ms since 1970
  updated: number;
  model: string;
  preset: string;
  first: string; // the first message that is shown
  messages: Record<string, Message>;
}

export interface Preset {
  id: string;
  instruction: string;
  temperature: number;
  top_p: number;
}

export interface CatalogModel {
  name: string;
  size_bytes: number;
  fits: boolean;
  installed: boolean;
}

export interface Machine {
  memory_bytes: number;
  threads: number;
  isa: string;
  version: string;
}

// A conversation as a file: Markdown of the shown line, or JSON of the whole tree.
import { t } from '../i18n';
import type { Conversation } from '../types';
import { line } from './tree';

// A fence that no line of the text can close.
function fence_for(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  return '`'.repeat(longest + 1);
}

export function to_markdown(conversation: Conversation): string {
  const parts = [`# ${conversation.title || t('untitled')}`];
  for (const message of line(conversation)) {
    if (message.role === 'user') {
      parts.push(`## ${t('you')}`);
      for (const file of message.files) {
        const fence = fence_for(file.text);
        parts.push(`**${file.name}**\n\n${fence}\n${file.text}\n${fence}`);
      }
      parts.push(message.text);
      continue;
    }
    parts.push(`## ${message.model}`);
    message.paths.forEach((path, i) => {
      if (message.paths.length > 1) parts.push(`### ${t('path', i + 1)}`);
      if (path.thought) {
        const quoted = path.thought.trim().split('\n').map((one) => `> ${one}`).join('\n');
        parts.push(`> **${t('thought')}**\n>\n${quoted}`);
      }
      parts.push(path.answer.trim());
    });
  }
  return parts.join('\n\n') + '\n';
}

export function download(conversation: Conversation, form: 'md' | 'json'): void {
  const text = form === 'md' ? to_markdown(conversation) : JSON.stringify(conversation, null, 2);
  const link = document.createElement('a');
  const name = (conversation.title || 'reckon').replace(/[^\p{L}\p{N} _-]/gu, '').trim().slice(0, 60);
  link.href = URL.createObjectURL(new Blob([text], { type: form === 'md' ? 'text/markdown' : 'application/json' }));
  link.download = `${name || 'reckon'}.${form}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

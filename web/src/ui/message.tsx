// One turn: a person's question, or the model's paths with their vote.
import { useState } from 'preact/hooks';

import { count, t } from '../i18n';
import * as chat from '../state/chat';
import { current, shape, version } from '../state/conversations';
import { model } from '../state/settings';
import { siblings } from '../state/tree';
import type { Message, Path } from '../types';
import { FileCard } from './files';
import { IconButton } from './icons';
import { copy_text } from './copy';
import { RichText } from './rich_text';
import { Thought } from './thought';

function Versions({ message }: { message: Message }) {
  shape.value;
  const all = siblings(current.value, message);
  if (all.length < 2) return null;
  const at = all.findIndex((one) => one.id === message.id);
  return (
    <span class="versions">
      <IconButton name="left" label={t('previous')} disabled={at === 0} on_click={() => chat.show_version(all[at - 1])} />
      <span aria-label={t('version', at + 1, all.length)}>{at + 1} / {all.length}</span>
      <IconButton name="right" label={t('next')} disabled={at === all.length - 1} on_click={() => chat.show_version(all[at + 1])} />
    </span>
  );
}

function UserMessage({ message }: { message: Message }) {
  const [editing, set_editing] = useState(false);
  const [text, set_text] = useState(message.text);
  const done = () => {
    set_editing(false);
    chat.ask({ ...message, text, model: model.value }, message);
  };
  return (
    <article class="turn user" aria-label={t('you')}>
      {message.files.length > 0 && (
        <div class="files">{message.files.map((file) => <FileCard key={file.name} file={file} />)}</div>
      )}
      {editing ? (
        <div class="editor">
          <textarea value={text} aria-label={t('edit')} rows={4} onInput={(event) => set_text(event.currentTarget.value)}
            onKeyDown={(event) => event.key === 'Escape' && set_editing(false)} />
          <div class="editor-actions">
            <button type="button" class="quiet-button" onClick={() => set_editing(false)}>{t('cancel')}</button>
            <button type="button" class="button" onClick={done} disabled={!text.trim()}>{t('send')}</button>
          </div>
        </div>
      ) : (
        <p class="question">{message.text}</p>
      )}
      <div class="actions">
        <Versions message={message} />
        <IconButton name="pencil" label={t('edit')} on_click={() => { set_text(message.text); set_editing(true); }} />
      </div>
    </article>
  );
}

function outcome(path: Path): string {
  if (path.finish === 'abort') return t('stopped');
  if (path.finish === 'cut') return t('outvoted');
  return path.finish === 'length' ? t('cut') : '';
}

function PathView({ message, path, at, running }: { message: Message; path: Path; at: number; running: boolean }) {
  const revision = version(message.id).value;
  const many = message.paths.length > 1;
  return (
    <>
      <Thought path={path} revision={revision} running={running} edited={message.thought_edited}
        on_answer_now={running ? () => void chat.answer_now(message) : undefined}
        on_edit={many && at !== message.chosen ? undefined : (thought) => chat.go_on(message, thought)} />
      {running && !path.thought && !path.answer && <p class="waiting">{t('waiting')}<span class="pulse" aria-hidden="true" /></p>}
      {path.answer && <RichText text={path.answer} growing={running && !path.finish} can_run={true} name="answer" />}
      {!running && outcome(path) && <p class="note">{outcome(path)}</p>}
    </>
  );
}

function VoteBanner({ message }: { message: Message }) {
  const vote = message.vote!;
  if (!vote.counted) return <div class="vote">{t('vote_none', vote.paths)}</div>;
  return (
    <div class="vote">
      <RichText text={vote.answer} growing={false} can_run={false} name="vote-answer" />
      <span class="figures">{t('vote', vote.votes, vote.counted, vote.paths)} ({Math.round(vote.share * 100)} %)</span>
      <span class="vote-bar" aria-hidden="true"><span style={{ width: `${Math.round(vote.share * 100)}%` }} /></span>
      {vote.minority.length > 0 && (
        <span class="minority">{t('minority')}: {vote.minority.map((other) => `${other.answer} (${Math.round(other.share * 100)} %)`).join(', ')}</span>
      )}
    </div>
  );
}

function Figures({ message, running }: { message: Message; running: boolean }) {
  version(message.id).value;
  const speed = running ? chat.live_speed(message) : (message.speed?.tokens_per_second ?? 0);
  const tokens = running ? 0 : (message.speed?.predicted_tokens ?? 0);
  return (
    <span class="figures">
      {speed > 0 && <span class="speed">{t('speed', speed.toFixed(speed < 10 ? 1 : 0))}</span>}
      {tokens > 0 && <span>{t('tokens', count(tokens))}</span>}
      <span>{message.model}</span>
    </span>
  );
}

function AssistantMessage({ message }: { message: Message }) {
  version(message.id).value;
  const running = chat.busy.value.has(message.id);
  const many = message.paths.length > 1;
  const chosen = message.paths[message.chosen];
  return (
    <article class={`turn assistant ${many ? 'many' : ''}`} aria-label={message.model} aria-busy={running}>
      {message.vote && <VoteBanner message={message} />}
      {many ? (
        <div class="paths" tabIndex={0} role="group" aria-label={t('paths')}>
          {message.paths.map((path, at) => (
            <section key={at} class={`path ${at === message.chosen ? 'chosen' : ''}`} aria-label={t('path', at + 1)}>
              <header>
                <h2>{t('path', at + 1)}</h2>
                {!running && (
                  <button type="button" class="quiet-button" aria-pressed={at === message.chosen} onClick={() => chat.choose_path(message, at)}>
                    {at === message.chosen ? t('continuing_path') : t('continue_path')}
                  </button>
                )}
              </header>
              <PathView message={message} path={path} at={at} running={running} />
            </section>
          ))}
        </div>
      ) : (
        <PathView message={message} path={chosen} at={0} running={running} />
      )}
      {message.error && <p class="note error" role="alert">{t('failed', message.error)}</p>}
      <div class="actions">
        <Figures message={message} running={running} />
        <Versions message={message} />
        {!running && (
          <>
            <IconButton name="copy" label={t('copy')} on_click={() => void copy_text(chosen.answer)} />
            <IconButton name="again" label={message.error ? t('retry') : t('regenerate')} on_click={() => chat.regenerate(message, model.value || message.model)} />
          </>
        )}
      </div>
    </article>
  );
}

export const MessageView = ({ message }: { message: Message }) =>
  message.role === 'user' ? <UserMessage message={message} /> : <AssistantMessage message={message} />;

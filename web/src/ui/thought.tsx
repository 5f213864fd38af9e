// The thinking of one path: a line that tells its time and tokens, and the text below when open.
import { useEffect, useRef, useState } from 'preact/hooks';

import { count, duration, t } from '../i18n';
import { keep_open } from '../state/settings';
import type { Path } from '../types';
import { Icon } from './icons';
import { RichText } from './rich_text';

interface Props {
  path: Path; // changed in place
  revision: number; // grows with each change
  running: boolean;
  edited: boolean;
  on_answer_now?: () => void;
  on_edit?: (thought: string) => void;
}

export function Thought({ path, running, edited, on_answer_now, on_edit }: Props) {
  const thinking = running && !path.answer && !path.finish;
  const [chosen, set_chosen] = useState<boolean | null>(null); // null: as the state has it
  const [editing, set_editing] = useState(false);
  const was_thinking = useRef(thinking);
  const root = useRef<HTMLElement>(null);

  useEffect(() => {
    // Someone reading further up keeps the thought open when the answer begins.
    if (was_thinking.current && !thinking && chosen === null && root.current) {
      const log = root.current.closest('.transcript');
      const reading = log && log.scrollHeight - log.scrollTop - log.clientHeight > 200;
      if (reading) set_chosen(true);
    }
    was_thinking.current = thinking;
  }, [thinking]);

  const open = editing || (chosen ?? (thinking || keep_open.value));
  if (!path.thought && !thinking) return null;
  const label = thinking ? t('thinking') : t('thought_for', duration(path.thought_ms));
  return (
    <section class={`thought ${open ? 'open' : ''} ${thinking ? 'live' : ''}`} ref={root}>
      <div class="thought-head">
        <button type="button" class="thought-toggle" aria-expanded={open} onClick={() => set_chosen(!open)}>
          <Icon name={open ? 'down' : 'right'} />
          <span class="thought-label">{label}{thinking && <span class="pulse" aria-hidden="true" />}</span>
          <span class="figures">
            {thinking && path.thought_ms > 0 && <>{duration(path.thought_ms)} · </>}
            {t('tokens', count(path.thought_tokens))}
            {edited && <> · {t('edited')}</>}
          </span>
        </button>
        {thinking && on_answer_now && (
          <button type="button" class="quiet-button answer-now" onClick={on_answer_now}>{t('answer_now')}</button>
        )}
        {!running && open && !editing && on_edit && (
          <button type="button" class="quiet-button" onClick={() => set_editing(true)}>
            <Icon name="pencil" /> {t('edit_thought')}
          </button>
        )}
      </div>
      {editing ? (
        <ThoughtEditor
          thought={path.thought}
          on_cancel={() => set_editing(false)}
          on_done={(thought) => {
            set_editing(false);
            on_edit?.(thought);
          }}
        />
      ) : (
        open && path.thought && <RichText text={path.thought} growing={thinking} can_run={false} name="thought-text" />
      )}
    </section>
  );
}

function ThoughtEditor(props: { thought: string; on_cancel: () => void; on_done: (thought: string) => void }) {
  const [text, set_text] = useState(props.thought);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const element = area.current!;
    element.focus();
    element.setSelectionRange(element.value.length, element.value.length);
    element.scrollTop = element.scrollHeight;
  }, []);
  return (
    <div class="editor">
      <p class="hint" id="thought-hint">{t('edit_hint')}</p>
      <textarea ref={area} value={text} aria-label={t('edit_thought')} aria-describedby="thought-hint" rows={12}
        onInput={(event) => set_text(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') props.on_cancel();
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) props.on_done(text);
        }} />
      <div class="editor-actions">
        <button type="button" class="quiet-button" onClick={props.on_cancel}>{t('cancel')}</button>
        <button type="button" class="button" onClick={() => props.on_done(text)} disabled={!text.trim()}>{t('go_on')}</button>
      </div>
    </div>
  );
}

// Where a question is written: text, files, effort, number of paths, preset.
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

import { count_tokens } from '../api';
import { count, t } from '../i18n';
import { read_file } from '../files/read';
import * as chat from '../state/chat';
import { current, shape } from '../state/conversations';
import { effort, model, preset_id, PRESETS } from '../state/settings';
import { context_limit } from '../state/server';
import { line } from '../state/tree';
import { EFFORTS, type Attachment, type Effort } from '../types';
import { FileCard } from './files';
import { IconButton } from './icons';

const PATHS = [1, 3, 5, 8];

function Choice<T extends string | number>(props: {
  label: string; value: T; options: [T, string][]; on_change: (value: string) => void;
}) {
  return (
    <label class="choice">
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.on_change(event.currentTarget.value)}>
        {props.options.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
      </select>
    </label>
  );
}

function ContextUse({ draft_tokens }: { draft_tokens: number }) {
  shape.value;
  const last = line(current.value).filter((message) => message.speed).at(-1);
  const used = (last ? last.speed!.prompt_tokens + last.speed!.predicted_tokens : 0) + draft_tokens;
  const limit = context_limit.value;
  if (used === 0) return null;
  const words = limit ? t('context', count(used), count(limit)) : t('context_used', count(used));
  const share = limit ? Math.min(100, (100 * used) / limit) : 0;
  return (
    <span class={`context ${share > 90 ? 'full' : ''}`} title={words}>
      <span class="context-bar" aria-hidden="true"><span style={{ width: `${share}%` }} /></span>
      <span class="figures" aria-hidden="true">{limit ? t('context_short', count(used), count(limit)) : t('context_used_short', count(used))}</span>
      <span class="off-screen">{words}</span>
    </span>
  );
}

export function Composer() {
  const text = useSignal('');
  const files = useSignal<Attachment[]>([]);
  const trouble = useSignal('');
  const n_paths = useSignal(1);
  const draft_tokens = useSignal(0);
  const dragging = useSignal(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  shape.value;
  const shown = line(current.value);
  const running = shown.filter((message) => chat.busy.value.has(message.id)).at(-1);

  const fit = () => {
    const element = area.current!;
    element.style.height = 'auto';
    element.style.height = `${Math.min(element.scrollHeight, window.innerHeight * 0.4)}px`;
  };
  const add_files = async (list: Iterable<File>) => {
    trouble.value = '';
    for (const file of list) {
      try {
        const read = await read_file(file);
        files.value = [...files.value.filter((other) => other.name !== read.name), read];
      } catch (error) {
        trouble.value = (error as Error).message;
      }
    }
    area.current?.focus();
  };
  const send = () => {
    if (running || !model.value || (!text.value.trim() && files.value.length === 0)) return;
    chat.ask({ text: text.value.trim(), files: files.value, effort: effort.value, n_paths: n_paths.value, model: model.value });
    text.value = '';
    files.value = [];
  };
  useEffect(fit, [text.value]);
  useEffect(() => {
    const whole = files.value.map((file) => file.text).join('\n') + text.value;
    if (!whole || !model.value) {
      draft_tokens.value = 0;
      return;
    }
    const timer = setTimeout(async () => {
      draft_tokens.value = await count_tokens(model.value, whole).catch(() => 0);
    }, 500);
    return () => clearTimeout(timer);
  }, [text.value, files.value, model.value]);
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      dragging.value = true;
    };
    const leave = (event: DragEvent) => {
      if (!event.relatedTarget) dragging.value = false;
    };
    const drop = (event: DragEvent) => {
      dragging.value = false;
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      void add_files(event.dataTransfer.files);
    };
    window.addEventListener('dragover', over);
    window.addEventListener('dragleave', leave);
    window.addEventListener('drop', drop);
    return () => {
      window.removeEventListener('dragover', over);
      window.removeEventListener('dragleave', leave);
      window.removeEventListener('drop', drop);
    };
  }, []);

  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      {dragging.value && <div class="drop" aria-hidden="true">{t('drop_here')}</div>}
      {trouble.value && <p class="note error" role="alert">{trouble.value}</p>}
      {files.value.length > 0 && (
        <div class="files">
          {files.value.map((file) => (
            <FileCard key={file.name} file={file} open={file.kind === 'table'}
              on_remove={() => { files.value = files.value.filter((other) => other !== file); }} />
          ))}
        </div>
      )}
      <div class="write">
        <textarea ref={area} id="question" rows={1} value={text.value} placeholder={t('ask')} aria-label={t('ask')}
          onInput={(event) => { text.value = event.currentTarget.value; }}
          onPaste={(event) => {
            if (event.clipboardData?.files.length) {
              event.preventDefault();
              void add_files(event.clipboardData.files);
            }
          }}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
              event.preventDefault();
              send();
            }
          }} />
        {running ? (
          <IconButton name="stop" label={t('stop')} extra="send" on_click={() => chat.stop(running)} />
        ) : (
          <button type="submit" class="icon-button send" aria-label={t('send')} title={t('send')}
            disabled={!model.value || (!text.value.trim() && files.value.length === 0)}>
            <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
              <path d="M10 16V4M5 9l5-5 5 5" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" />
            </svg>
          </button>
        )}
      </div>
      <div class="choices">
        <IconButton name="clip" label={t('attach')} on_click={() => picker.current!.click()} />
        <input ref={picker} type="file" multiple hidden aria-hidden="true" onChange={(event) => {
          void add_files([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = '';
        }} />
        <Choice label={t('effort')} value={effort.value} options={EFFORTS.map((one) => [one, t(`effort_${one}`)])}
          on_change={(value) => { effort.value = value as Effort; }} />
        <Choice label={t('paths')} value={n_paths.value} options={PATHS.map((n) => [n, n === 1 ? t('paths_one') : t('paths_many', n)])}
          on_change={(value) => { n_paths.value = Number(value); }} />
        {shown.length === 0 && (
          <Choice label={t('preset')} value={current.value.preset}
            options={PRESETS.map((one) => [one.id, t(`preset_${one.id}` as 'preset_plain')])}
            on_change={(value) => { preset_id.value = value; current.value = { ...current.value, preset: value }; }} />
        )}
        <ContextUse draft_tokens={draft_tokens.value} />
      </div>
    </form>
  );
}

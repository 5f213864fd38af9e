// The page: conversations at the side, the conversation, the composer, and the dialogs.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

import { t } from '../i18n';
import { set_run_files } from '../run/panel';
import * as chat from '../state/chat';
import * as conversations from '../state/conversations';
import { current, shape } from '../state/conversations';
import { download } from '../state/export';
import * as server from '../state/server';
import { api_key, model, preset_id } from '../state/settings';
import { line } from '../state/tree';
import { Composer } from './composer';
import { Icon, IconButton } from './icons';
import { Models } from './models';
import { Settings } from './settings';
import { Shortcuts } from './shortcuts';
import { Sidebar } from './sidebar';
import { Transcript } from './transcript';

type Open = '' | 'models' | 'settings' | 'shortcuts';

const new_chat = () => {
  conversations.start_new(model.value, preset_id.value);
  document.getElementById('question')?.focus();
};

const last_running = () => line(current.value).filter((message) => chat.busy.value.has(message.id)).at(-1);

// Returns whether the key was one of the page's.
function on_key(event: KeyboardEvent, open_dialog: (which: Open) => void): boolean {
  if (document.querySelector('dialog[open]')) return false;
  const running = last_running();
  if (event.key === 'Escape' && running && !(event.target as Element).closest('.editor')) chat.stop(running);
  else if ((event.ctrlKey || event.metaKey) && event.key === 'k') document.getElementById('search')?.focus();
  else if (event.altKey && event.code === 'KeyN') new_chat();
  else if (event.altKey && event.code === 'KeyM') open_dialog('models');
  else if (event.altKey && event.code === 'KeyA' && running) void chat.answer_now(running);
  else if (event.altKey && event.code === 'KeyT') {
    [...document.querySelectorAll<HTMLElement>('.thought-toggle')].at(-1)?.click();
  } else return false;
  return true;
}

function ExportMenu() {
  const save = (form: 'md' | 'json') => (event: Event) => {
    download(current.value, form);
    (event.currentTarget as Element).closest('details')!.open = false;
  };
  return (
    <details class="menu" onFocusOut={(event) => {
      if (!event.currentTarget.contains(event.relatedTarget as Node)) event.currentTarget.open = false;
    }}>
      <summary aria-label={t('export_chat')} title={t('export_chat')}><Icon name="save" /></summary>
      <div class="menu-items">
        <button type="button" onClick={save('md')}>{t('export_markdown')}</button>
        <button type="button" onClick={save('json')}>{t('export_json')}</button>
      </div>
    </details>
  );
}

export function App() {
  const open = useSignal<Open>('');
  const side = useSignal(false);
  useEffect(() => {
    set_run_files(() => line(current.value).flatMap((message) => message.files));
    conversations.start_new(model.value, preset_id.value);
    void conversations.load_entries();
    const show = (which: Open) => { open.value = which; };
    const listener = (event: KeyboardEvent) => {
      if (on_key(event, show)) event.preventDefault();
    };
    window.addEventListener('keydown', listener);
    const retry = setInterval(() => server.trouble.value && void server.refresh(), 5000);
    document.getElementById('question')?.focus();
    return () => {
      window.removeEventListener('keydown', listener);
      clearInterval(retry);
    };
  }, []);
  useEffect(() => void server.refresh(), [api_key.value]);
  // Again after an answer: the first one loads the model.
  const done = chat.announce.value === 'done';
  useEffect(() => void server.read_context_limit(model.value), [model.value, done]);
  shape.value;
  const conversation = current.value;
  const close = () => { open.value = ''; };
  useEffect(() => {
    document.title = conversation.title ? `${conversation.title} – reckon` : 'reckon';
  }, [conversation.title]);

  return (
    <div class={`app ${side.value ? 'side-open' : ''}`}>
      <a class="skip" href="#transcript">{t('skip')}</a>
      <Sidebar on_new={() => { new_chat(); side.value = false; }} on_chosen={() => { side.value = false; }}
        on_settings={() => { open.value = 'settings'; }} on_shortcuts={() => { open.value = 'shortcuts'; }} />
      {side.value && <button type="button" class="veil" aria-label={t('close')} onClick={() => { side.value = false; }} />}
      <main>
        <h1 class="off-screen">{conversation.title || 'reckon'}</h1>
        <header class="top">
          <IconButton name="menu" label={t('menu')} extra="menu-button" on_click={() => { side.value = !side.value; }} />
          {conversation.first ? (
            <input class="title" aria-label={t('title')} value={conversation.title}
              onChange={(event) => void conversations.rename(conversation, event.currentTarget.value.trim())} />
          ) : <span class="title" />}
          {conversation.first && <ExportMenu />}
          <button type="button" class="model-button" onClick={() => { open.value = 'models'; }}>
            <span class="off-screen">{t('model')}: </span>{model.value || t('choose_model')} <Icon name="down" />
          </button>
        </header>
        {server.trouble.value && <p class="banner" role="alert">{t(server.trouble.value)}</p>}
        <Transcript />
        <Composer />
      </main>
      {open.value === 'models' && <Models on_close={close} />}
      {open.value === 'settings' && <Settings on_close={close} />}
      {open.value === 'shortcuts' && <Shortcuts on_close={close} />}
    </div>
  );
}

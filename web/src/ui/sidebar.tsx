// All conversations, newest first, and the search through them.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

import { t } from '../i18n';
import * as conversations from '../state/conversations';
import { entries, type Entry } from '../state/conversations';
import { machine } from '../state/server';
import { IconButton } from './icons';

interface Props {
  on_new: () => void;
  on_chosen: () => void;
  on_settings: () => void;
  on_shortcuts: () => void;
}

function Group({ title, list, on_chosen }: { title: string; list: Entry[]; on_chosen: () => void }) {
  if (list.length === 0) return null;
  return (
    <>
      <h2>{title}</h2>
      <ul>
        {list.map((entry) => {
          const here = conversations.current.value.id === entry.id;
          return (
            <li key={entry.id} class={here ? 'here' : ''}>
              <button type="button" aria-current={here ? 'page' : undefined} onClick={() => { void conversations.open(entry.id); on_chosen(); }}>
                {entry.title || t('untitled')}
              </button>
              <IconButton name="bin" label={`${t('delete')}: ${entry.title}`} on_click={() => {
                if (!confirm(t('delete_sure'))) return;
                void conversations.forget(entry.id);
                if (here) conversations.start_new(conversations.current.value.model, conversations.current.value.preset);
              }} />
            </li>
          );
        })}
      </ul>
    </>
  );
}

export function Sidebar({ on_new, on_chosen, on_settings, on_shortcuts }: Props) {
  const words = useSignal('');
  const hits = useSignal<Entry[] | null>(null);
  useEffect(() => {
    const wanted = words.value.trim();
    if (!wanted) {
      hits.value = null;
      return;
    }
    const timer = setTimeout(async () => {
      const found = await conversations.search(wanted);
      if (words.value.trim() === wanted) hits.value = found;
    }, 150);
    return () => clearTimeout(timer);
  }, [words.value, entries.value]);

  const list = hits.value ?? entries.value;
  const midnight = new Date().setHours(0, 0, 0, 0);
  return (
    <nav class="sidebar" aria-label={t('conversations')}>
      <div class="brand"><p>reckon</p><IconButton name="plus" label={t('new_chat')} on_click={on_new} /></div>
      <input id="search" type="search" placeholder={t('search')} aria-label={t('search')} value={words.value}
        onInput={(event) => { words.value = event.currentTarget.value; }} />
      <div class="list">
        <Group title={t('today')} list={list.filter((entry) => entry.updated >= midnight)} on_chosen={on_chosen} />
        <Group title={t('earlier')} list={list.filter((entry) => entry.updated < midnight)} on_chosen={on_chosen} />
        {list.length === 0 && <p class="hint">{hits.value ? t('no_hits') : t('no_conversations')}</p>}
      </div>
      <div class="sidebar-foot">
        <span class="figures">{machine.value ? `reckon ${machine.value.version}` : ''}</span>
        <IconButton name="keys" label={t('shortcuts')} on_click={on_shortcuts} />
        <IconButton name="gear" label={t('settings')} on_click={on_settings} />
      </div>
    </nav>
  );
}

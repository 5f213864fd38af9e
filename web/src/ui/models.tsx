// The model picker: what is on this machine, what can be fetched, and what fits.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

import { bytes, t } from '../i18n';
import { model } from '../state/settings';
import * as server from '../state/server';
import { Dialog } from './dialog';

function PullState({ name }: { name: string }) {
  const pull = server.pulls.value.find((one) => one.name === name);
  if (!pull) return null;
  if (pull.error) return <span class="note error" role="alert">{t('failed', pull.error)}</span>;
  if (pull.done) return <span class="figures" role="status">{t('pulled')}</span>;
  const { total, completed, status } = pull.progress;
  return (
    <span class="pull">
      <progress aria-label={`${t('pulling')} ${name}`} max={total || 1} value={total ? completed : undefined} />
      <span class="figures">{total ? `${bytes(completed)} / ${bytes(total)}` : status || t('pulling')}</span>
      <button type="button" class="quiet-button" onClick={() => pull.abort.abort()}>{t('cancel')}</button>
    </span>
  );
}

const is_pulling = (name: string) =>
  server.pulls.value.some((one) => one.name === name && !one.done && !one.error);

export function Models({ on_close }: { on_close: () => void }) {
  const other = useSignal('');
  useEffect(() => void server.refresh(), []);
  const machine = server.machine.value;
  const offered = server.catalog.value.filter((one) => !one.installed && !server.models.value.includes(one.name));
  const others = server.pulls.value.filter((one) => !offered.some((known) => known.name === one.name) && !one.done);
  return (
    <Dialog title={t('models')} on_close={on_close}>
      {machine && (
        <p class="hint">{[t('memory', bytes(machine.memory_bytes)), t('threads', machine.threads), machine.isa].join(' · ')}</p>
      )}
      <h3>{t('installed')}</h3>
      {server.models.value.length === 0 && <p class="hint">{t('no_models')}</p>}
      <ul class="models">
        {server.models.value.map((name) => (
          <li key={name}>
            <span class="model-name">{name}</span>
            <span />
            <button type="button" class={name === model.value ? 'quiet-button' : 'button'} aria-pressed={name === model.value}
              onClick={() => { model.value = name; on_close(); }}>
              {name === model.value ? t('in_use') : t('use')}
            </button>
          </li>
        ))}
      </ul>
      {offered.length > 0 && <h3>{t('available')}</h3>}
      <ul class="models">
        {offered.map((one) => (
          <li key={one.name}>
            <span class="model-name">{one.name}</span>
            <span class={`figures ${one.fits ? 'fits' : ''}`}>{bytes(one.size_bytes)} · {one.fits ? t('fits') : t('too_big')}</span>
            {is_pulling(one.name) ? <span /> : (
              <button type="button" class="button" onClick={() => void server.pull(one.name)}>{t('pull')}</button>
            )}
            <PullState name={one.name} />
          </li>
        ))}
      </ul>
      <h3>{t('pull_other')}</h3>
      <form class="other" onSubmit={(event) => {
        event.preventDefault();
        if (other.value.trim()) void server.pull(other.value.trim());
      }}>
        <input value={other.value} placeholder={t('pull_other_hint')} aria-label={t('pull_other')}
          onInput={(event) => { other.value = event.currentTarget.value; }} />
        <button type="submit" class="button">{t('pull')}</button>
      </form>
      {others.map((one) => <div class="other-pull" key={one.name}><span class="model-name">{one.name}</span> <PullState name={one.name} /></div>)}
    </Dialog>
  );
}

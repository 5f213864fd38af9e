import { t } from '../i18n';
import type { Key } from '../i18n/en';
import { Dialog } from './dialog';

const KEYS: [string, Key][] = [
  ['Enter', 'key_send'], ['Shift Enter', 'key_line'], ['Alt N', 'key_new'], ['Ctrl K', 'key_search'],
  ['Alt M', 'key_models'], ['Alt A', 'key_answer'], ['Alt T', 'key_thought'], ['Esc', 'key_stop'],
];

export function Shortcuts({ on_close }: { on_close: () => void }) {
  return (
    <Dialog title={t('shortcuts')} on_close={on_close}>
      <dl class="keys">
        {KEYS.map(([keys, words]) => (
          <div key={keys}><dt>{keys.split(' ').map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{t(words)}</dd></div>
        ))}
      </dl>
    </Dialog>
  );
}

import { t } from '../i18n';
import * as settings from '../state/settings';
import { own_presets, preset, PRESETS } from '../state/settings';
import { refresh } from '../state/server';
import type { Preset } from '../types';
import { Dialog } from './dialog';

function PresetFields({ id }: { id: string }) {
  const now = preset(id);
  const change = (part: Partial<Preset>) => {
    own_presets.value = { ...own_presets.value, [id]: { ...now, ...part } };
  };
  const number = (text: string, least: number, most: number, otherwise: number) => {
    const value = Number(text);
    return text.trim() && value >= least && value <= most ? value : otherwise;
  };
  return (
    <details class="preset">
      <summary>{t(`preset_${id}` as 'preset_plain')}</summary>
      <label>
        {t('instruction')}
        <textarea rows={3} value={now.instruction} onChange={(event) => change({ instruction: event.currentTarget.value })} />
        <span class="hint">{t('instruction_hint')}</span>
      </label>
      <div class="pair">
        <label>{t('temperature')}<input type="number" min="0" max="2" step="0.05" value={now.temperature}
          onChange={(event) => change({ temperature: number(event.currentTarget.value, 0, 2, now.temperature) })} /></label>
        <label>{t('top_p')}<input type="number" min="0.05" max="1" step="0.05" value={now.top_p}
          onChange={(event) => change({ top_p: number(event.currentTarget.value, 0.05, 1, now.top_p) })} /></label>
        {own_presets.value[id] && (
          <button type="button" class="quiet-button" onClick={() => {
            const { [id]: _, ...others } = own_presets.value;
            own_presets.value = others;
          }}>{t('reset')}</button>
        )}
      </div>
    </details>
  );
}

export function Settings({ on_close }: { on_close: () => void }) {
  return (
    <Dialog title={t('settings')} on_close={on_close}>
      <div class="fields">
        <label>{t('language')}
          <select value={settings.chosen_language.value || document.documentElement.lang.slice(0, 2)}
            onChange={(event) => { settings.chosen_language.value = event.currentTarget.value as 'en' | 'zh'; }}>
            <option value="en" lang="en">English</option>
            <option value="zh" lang="zh-CN">中文</option>
          </select>
        </label>
        <label>{t('theme')}
          <select value={settings.theme.value} onChange={(event) => { settings.theme.value = event.currentTarget.value as settings.Theme; }}>
            <option value="auto">{t('theme_auto')}</option>
            <option value="light">{t('theme_light')}</option>
            <option value="dark">{t('theme_dark')}</option>
          </select>
        </label>
        <label class="check">
          <input type="checkbox" checked={settings.keep_open.value} onChange={(event) => { settings.keep_open.value = event.currentTarget.checked; }} />
          {t('keep_open')}
        </label>
        <label>{t('api_key')}
          <input type="password" autocomplete="off" value={settings.api_key.value}
            onChange={(event) => { settings.api_key.value = event.currentTarget.value.trim(); void refresh(); }} />
          <span class="hint">{t('api_key_hint')}</span>
        </label>
      </div>
      <h3>{t('presets')}</h3>
      {PRESETS.map((one) => <PresetFields key={one.id} id={one.id} />)}
    </Dialog>
  );
}

import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { t } from '../i18n';
import { IconButton } from './icons';

export function Dialog(props: { title: string; on_close: () => void; children: ComponentChildren }) {
  const root = useRef<HTMLDialogElement>(null);
  useEffect(() => root.current!.showModal(), []);
  return (
    <dialog ref={root} aria-label={props.title} onClose={props.on_close}
      onClick={(event) => event.target === root.current && root.current!.close()}>
      <div class="dialog-inner">
        <header><h2>{props.title}</h2><IconButton name="cross" label={t('close')} on_click={() => root.current!.close()} /></header>
        {props.children}
      </div>
    </dialog>
  );
}

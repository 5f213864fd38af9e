// Markdown that may still grow. Preact owns the outer element only; TextView fills it.
import { useLayoutEffect, useRef } from 'preact/hooks';

import { TextView } from '../text/render';

interface Props {
  text: string;
  growing: boolean;
  can_run: boolean;
  name: string;
}

export function RichText({ text, growing, can_run, name }: Props) {
  const root = useRef<HTMLDivElement>(null);
  const view = useRef<TextView>();
  useLayoutEffect(() => {
    view.current ??= new TextView(root.current!, can_run);
    view.current.update(text, growing);
  }, [text, growing]);
  useLayoutEffect(() => () => view.current?.stop(), []);
  return <div class={`rich ${name}`} ref={root} />;
}

// The shown line of the conversation. It stays at its end while text streams in, unless the reader
// has scrolled up.
import { useEffect, useRef, useState } from 'preact/hooks';

import { t } from '../i18n';
import { announce, busy } from '../state/chat';
import { current, shape } from '../state/conversations';
import { line } from '../state/tree';
import { Icon } from './icons';
import { MessageView } from './message';

const kNearEnd = 80; // px

export function Transcript() {
  const root = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const [away, set_away] = useState(false);
  shape.value;
  const shown = line(current.value);

  const to_end = () => {
    follow.current = true;
    root.current!.scrollTop = root.current!.scrollHeight;
  };
  useEffect(() => {
    const grown = new ResizeObserver(() => {
      if (follow.current) root.current!.scrollTop = root.current!.scrollHeight;
    });
    grown.observe(inner.current!);
    return () => grown.disconnect();
  }, []);
  useEffect(to_end, [current.value.id, shown.length]);

  return (
    <div class="transcript" id="transcript" ref={root} tabIndex={0} role="region" aria-label={t('chat_log')}
      onScroll={() => {
        const { scrollHeight, scrollTop, clientHeight } = root.current!;
        follow.current = scrollHeight - scrollTop - clientHeight < kNearEnd;
        set_away(!follow.current);
      }}>
      <div class="transcript-inner" ref={inner}>
        {shown.length === 0 && (
          <div class="welcome">
            <h2>{t('welcome')}</h2>
            <p>{t('welcome_sub')}</p>
          </div>
        )}
        {shown.map((message) => <MessageView key={message.id} message={message} />)}
      </div>
      {away && busy.value.size > 0 && (
        <button type="button" class="jump" onClick={to_end}><Icon name="down" /> {t('jump_end')}</button>
      )}
      <p class="off-screen" role="status">{announce.value && t(`${announce.value}_announce` as 'done_announce')}</p>
    </div>
  );
}

// An attached file: a table's first rows, or the begin of a text.
import { useMemo } from 'preact/hooks';

import { count, t } from '../i18n';
import { parse_csv } from '../files/csv';
import type { Attachment } from '../types';
import { IconButton } from './icons';

const kRows = 30;
const kColumns = 40;

function Table({ text }: { text: string }) {
  const { rows, count: all } = useMemo(() => parse_csv(text, kRows + 1), [text]);
  const [head, ...body] = rows;
  if (!head) return null;
  return (
    <>
      <div class="table-box" tabIndex={0}>
        <table>
          <thead><tr>{head.slice(0, kColumns).map((cell, i) => <th key={i} scope="col">{cell}</th>)}</tr></thead>
          <tbody>
            {body.map((row, i) => (
              <tr key={i}>
                {row.slice(0, kColumns).map((cell, j) => (
                  <td key={j} class={/^-?[\d.,]+\s*%?$/.test(cell) ? 'right' : ''}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {all > kRows + 1 && <p class="hint">{t('more_rows', count(all - kRows - 1))}</p>}
    </>
  );
}

function summary(file: Attachment): string {
  if (file.kind === 'table') {
    const { rows, count: all } = parse_csv(file.text, 1);
    return t('rows', count(Math.max(0, all - 1)), rows[0]?.length ?? 0);
  }
  return t('file_size', count(Math.max(1, Math.round(file.text.length / 1000))));
}

export function FileCard({ file, on_remove, open }: { file: Attachment; on_remove?: () => void; open?: boolean }) {
  const words = useMemo(() => summary(file), [file]);
  return (
    <div class={`file ${on_remove ? 'removable' : ''}`}>
      <details open={open}>
        <summary><span class="file-name">{file.name}</span> <span class="figures">{words}</span></summary>
        {file.kind === 'table' ? <Table text={file.text} /> : <pre class="file-text" tabIndex={0}>{file.text.slice(0, 4000)}</pre>}
      </details>
      {on_remove && <IconButton name="cross" label={t('remove_file', file.name)} on_click={on_remove} />}
    </div>
  );
}

// CSV as RFC 4180 has it, with comma, semicolon or tab as the separator.

export function separator_of(text: string): string {
  const head = text.slice(0, text.indexOf('\n') + 1 || undefined);
  const counts = [',', ';', '\t'].map((mark) => [mark, head.split(mark).length] as const);
  return counts.reduce((best, one) => (one[1] > best[1] ? one : best))[0];
}

// At most max_rows rows; count is that of all.
export function parse_csv(text: string, max_rows: number): { rows: string[][]; count: number } {
  const mark = separator_of(text);
  const rows: string[][] = [];
  let row: string[] = [];
  let count = 0;
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  const end_row = () => {
    if (row.length === 1 && row[0] === '') return void (row = []);
    if (count < max_rows) rows.push(row);
    count += 1;
    row = [];
  };
  while (at < text.length) {
    let field = '';
    if (text[at] === '"') {
      at += 1;
      for (;;) {
        const quote = text.indexOf('"', at);
        const end = quote < 0 ? text.length : quote;
        field += text.slice(at, end);
        at = end + 1;
        if (text[at] !== '"') break;
        field += '"';
        at += 1;
      }
    }
    const from = at;
    while (at < text.length && text[at] !== mark && text[at] !== '\n') at += 1;
    field += text.slice(from, text[at - 1] === '\r' && text[at] === '\n' ? at - 1 : at);
    row.push(field);
    if (text[at] !== mark) end_row();
    else if (at + 1 === text.length) row.push('');
    at += 1;
  }
  if (row.length) end_row();
  return { rows, count };
}

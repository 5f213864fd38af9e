// A dropped file to text for the prompt. pdf.js is loaded when the first PDF comes.
import { t } from '../i18n';
import type { Attachment } from '../types';

const kTextBytes = 4 << 20;
const kPdfBytes = 64 << 20;

export async function read_file(file: File): Promise<Attachment> {
  const is_pdf = file.type === 'application/pdf' || /\.pdf$/i.test(file.name);
  const limit = is_pdf ? kPdfBytes : kTextBytes;
  if (file.size > limit) throw new Error(t('file_big', file.name, limit >> 20));
  if (is_pdf) {
    const { pdf_text } = await import('./pdf');
    let text: string;
    try {
      text = await pdf_text(await file.arrayBuffer());
    } catch {
      throw new Error(t('file_pdf', file.name));
    }
    if (!text.trim()) throw new Error(t('file_no_text', file.name));
    return { name: file.name, kind: 'pdf', text };
  }
  const text = new TextDecoder().decode(await file.arrayBuffer());
  if (text.includes('\0')) throw new Error(t('file_binary', file.name));
  const is_table = /\.(csv|tsv)$/i.test(file.name) || file.type === 'text/csv';
  return { name: file.name, kind: is_table ? 'table' : 'text', text };
}

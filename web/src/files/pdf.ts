// The text of a PDF, page by page, by pdf.js in its own worker. Nothing of the file is drawn or run.
import * as pdfjs from 'pdfjs-dist/build/pdf.min.mjs';
import worker_url from 'pdfjs-dist/build/pdf.worker.min.mjs?url';

pdfjs.GlobalWorkerOptions.workerSrc = worker_url;

export async function pdf_text(data: ArrayBuffer): Promise<string> {
  const task = pdfjs.getDocument({
    data, isEvalSupported: false, useSystemFonts: false, disableFontFace: true, enableXfa: false,
  });
  const document = await task.promise;
  const pages: string[] = [];
  for (let number = 1; number <= document.numPages; ++number) {
    const page = await document.getPage(number);
    const content = await page.getTextContent();
    let text = '';
    for (const item of content.items) {
      if ('str' in item) text += item.str + (item.hasEOL ? '\n' : '');
    }
    pages.push(text);
    page.cleanup();
  }
  await task.destroy();
  return pages.join('\n\n');
}

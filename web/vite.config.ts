// Builds web/dist, which is committed and embedded in the program. Everything is a file of its own
// (the page's policy allows neither inline scripts nor data: fonts) and names hold a hash of the
// content, so that a server may let them be kept forever. What compresses is kept compressed, by a
// compressor that is a library of its own: Node's zlib gives other bytes in other versions.
import { readdirSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { gzipSync } from 'fflate';
import { defineConfig, type Plugin } from 'vite';

// KaTeX offers each font three times; every browser that runs this page takes woff2.
const onlyWoff2: Plugin = {
  name: 'only-woff2',
  enforce: 'pre',
  transform(code, id) {
    if (!id.includes('katex.min.css')) return null;
    return code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)/g, '');
  },
};

// Pyodide as it comes from its package; the Run button asks for it when Python is first run.
const PYTHON = [
  'pyodide.js', 'pyodide.asm.js', 'pyodide.asm.wasm', 'pyodide-lock.json', 'python_stdlib.zip',
];

// What the page holds of others, for the texts that their licences ask to go along.
const BUNDLED = [
  '@fontsource-variable/source-sans-3', '@fontsource-variable/source-serif-4', '@preact/signals',
  '@preact/signals-core', 'dompurify', 'entities', 'highlight.js', 'katex', 'linkify-it',
  'markdown-it', 'mdurl', 'pdfjs-dist', 'preact', 'punycode.js', 'pyodide', 'uc.micro',
];

function licence_of(name: string): string {
  const folder = join('node_modules', name);
  const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const files = readdirSync(folder).filter((file) => /^licen[cs]e/i.test(file)).sort();
  const text = files.map((file) => readFileSync(join(folder, file), 'utf8').trim()).join('\n\n');
  const where = about.homepage ?? about.repository?.url ?? '';
  return `${name} ${about.version}: ${about.license}, ${where}\n======\n\n${text}\n`;
}

function pack(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) pack(path);
    else if (/\.(?:html|js|css|svg|json|txt|wasm|zip)$/.test(entry.name)) {
      writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9, mtime: 0 }));
      rmSync(path);
    }
  }
}

let out_folder = '';
const packed: Plugin = {
  name: 'packed',
  apply: 'build',
  configResolved(config) {
    out_folder = join(config.root, config.build.outDir);
  },
  closeBundle() {
    mkdirSync(join(out_folder, 'python'));
    for (const name of PYTHON) {
      writeFileSync(join(out_folder, 'python', name), readFileSync(join('node_modules/pyodide', name)));
    }
    writeFileSync(join(out_folder, 'licenses.txt'), BUNDLED.map(licence_of).join('\n\n'));
    pack(out_folder);
  },
};

export default defineConfig({
  base: './',
  plugins: [onlyWoff2, packed],
  build: {
    target: 'es2021',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1500,
    sourcemap: false,
    rollupOptions: {
      output: {
        // pdf.js's worker as .js, which every server gives the right type.
        assetFileNames: ({ names }) =>
          names[0]?.endsWith('.mjs') ? 'assets/pdf_worker-[hash].js' : 'assets/[name]-[hash][extname]',
      },
    },
  },
});

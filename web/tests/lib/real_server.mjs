// A `reckon serve` of its own for a test: the model that is part of the program, and `models` beside
// it. RECKON names the program.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BUILD = join(dirname(fileURLToPath(import.meta.url)), '../../../build');
const PROGRAM = [process.env.RECKON, join(BUILD, 'release/bin/reckon'), join(BUILD, 'dev/bin/reckon')]
  .find((place) => place && existsSync(place));

// make_models: from the program and a folder that is removed at the end to more models' files.
export async function start_server(make_models = () => []) {
  if (!PROGRAM) throw new Error('no reckon: make build, or set RECKON');
  const folder = mkdtempSync(join(tmpdir(), 'reckon-page-'));
  const models = ['reckon-small', ...make_models(PROGRAM, folder)].flatMap((model) => ['-m', model]);
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, RECKON_MODELS: join(folder, 'models') };
  const server = spawn(PROGRAM, ['serve', ...models, '--port', '0', '--slots', '64'],
    { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const origin = await new Promise((resolve, reject) => {
    let said = '';
    server.stdout.on('data', (bytes) => {
      said += bytes;
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
      if (found) resolve(found[0]);
    });
    server.on('exit', () => reject(new Error(`the server ended: ${said}`)));
  });
  const close = async () => {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    if (server.exitCode === null && server.kill()) await ended;
    rmSync(folder, { recursive: true });
  };
  return { origin, close };
}

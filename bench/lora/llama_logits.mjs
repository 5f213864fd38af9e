// llama.cpp's log-probabilities over a text, through npm node-llama-cpp, as raw float32 at the
// positions that tools/kl_reference.py describes, for its `compare`: chunks of 512 tokens that each
// start afresh, of each the positions 256 to 510.
//
//   node llama_logits.mjs PACKAGES MODEL.gguf IDS OUT CHUNKS [ADAPTER.gguf]
//
// PACKAGES: a folder with node_modules/node-llama-cpp (npm install --ignore-scripts). IDS: the
// text's ids, int32, as dump_logits writes them.
import {closeSync, openSync, readFileSync, writeSync} from "node:fs";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const CHUNK = 512;
const FIRST = CHUNK / 2;

const [packages, modelPath, idsPath, out, chunks, lora] = process.argv.slice(2);
const found = createRequire(pathToFileURL(`${packages}/x.js`)).resolve("node-llama-cpp");
const {getLlama} = await import(pathToFileURL(found));

const bytes = readFileSync(idsPath);
const ids = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath});
const context = await model.createContext({contextSize: CHUNK, batchSize: CHUNK, lora});
const sequence = context.getSequence();
const file = openSync(out, "w");
for (let chunk = 0; chunk < Number(chunks); ++chunk) {
  await sequence.clearHistory();
  const tokens = ids.subarray(chunk * CHUNK, (chunk + 1) * CHUNK);
  const wanted = Array.from(tokens, (token, i) =>
      i >= FIRST && i < CHUNK - 1 ? [token, {generateNext: {probabilities: true}}] : token);
  const results = await sequence.controlledEvaluate(wanted);
  for (let i = FIRST; i < CHUNK - 1; ++i) {
    const row = new Float32Array(model.fileInfo.metadata.tokenizer.ggml.tokens.length);
    const {probabilities} = results[i].next;
    if (probabilities.size !== row.length) throw new Error(`${probabilities.size} probabilities`);
    // Less than a float holds: told as the least one, where the other side's weighs nothing.
    for (const [token, p] of probabilities) row[token] = Math.log(Math.max(p, 1e-45));
    writeSync(file, new Uint8Array(row.buffer));
  }
  console.error(`chunk ${chunk + 1} of ${chunks}`);
}
closeSync(file);
await llama.dispose();

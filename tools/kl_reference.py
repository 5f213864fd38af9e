#!/usr/bin/env python3
"""How far a program's logits lie from those of the same model file dequantised to float32.

  kl_reference.py reference MODEL.gguf TEXT OUT  transformers dequantises the file and computes the
                                                 logits in float32; writes OUT (see below) and
                                                 OUT.tokens (int32)
  kl_reference.py compare REFERENCE OTHER...     prints each file's perplexity, and the mean
                                                 Kullback-Leibler divergence per token from the
                                                 reference: sum of p (log p - log q), p the
                                                 reference

Logits are raw float32, little endian, [n_positions, vocab_size]. The positions are those that
llama-perplexity scores: the text is cut into chunks of 512 tokens, each starts afresh, and of each
the positions 256 to 510 are kept (each predicts the token after it). Where the model's file sets
add_bos, a chunk's first token is replaced by BOS. tests/real/dump_logits.cpp writes such a file
for reckon.
"""

import argparse
import pathlib

import numpy as np

CHUNK = 512
FIRST = CHUNK // 2
ROWS = CHUNK - 1 - FIRST


def write_reference(model_path, text_path, out):
    import gguf
    import torch
    import transformers

    folder, name = str(model_path.parent), model_path.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = tokenizer(text_path.read_text(), add_special_tokens=False)["input_ids"]
    np.array(tokens, dtype="<i4").tofile(f"{out}.tokens")
    fields = gguf.GGUFReader(model_path).fields
    bos = None
    if "tokenizer.ggml.add_bos_token" in fields:
        if fields["tokenizer.ggml.add_bos_token"].contents():
            bos = fields["tokenizer.ggml.bos_token_id"].contents()
    with out.open("wb") as file, torch.no_grad():
        for begin in range(0, len(tokens) - CHUNK + 1, CHUNK):
            chunk = tokens[begin:begin + CHUNK]
            if bos is not None:
                chunk[0] = bos
            logits = model(torch.tensor([chunk])).logits[0, FIRST:CHUNK - 1]
            file.write(logits.numpy().astype("<f4").tobytes())
            print(f"chunk {begin // CHUNK}", flush=True)


def log_probabilities(logits):
    logits = logits.astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


def compare(paths, max_chunks):
    tokens = np.fromfile(f"{paths[0]}.tokens", dtype="<i4")
    n_chunks = min(len(tokens) // CHUNK, max_chunks or len(tokens))
    n_rows = n_chunks * ROWS
    vocab = paths[0].stat().st_size // 4 // (len(tokens) // CHUNK * ROWS)
    files = [np.memmap(path, dtype="<f4", mode="r", shape=(n_rows, vocab)) for path in paths]
    divergence = np.zeros((len(paths), n_rows))
    surprise = np.zeros((len(paths), n_rows))
    same_top = np.zeros((len(paths), n_rows))
    for chunk in range(n_chunks):
        rows = slice(chunk * ROWS, (chunk + 1) * ROWS)
        targets = tokens[chunk * CHUNK + FIRST + 1:(chunk + 1) * CHUNK]
        reference = log_probabilities(files[0][rows])
        for i, file in enumerate(files):
            log_q = log_probabilities(file[rows]) if i else reference
            divergence[i, rows] = (np.exp(reference) * (reference - log_q)).sum(axis=1)
            surprise[i, rows] = -log_q[np.arange(ROWS), targets]
            same_top[i, rows] = reference.argmax(axis=1) == log_q.argmax(axis=1)
    for i, path in enumerate(paths):
        error = divergence[i].std(ddof=1) / np.sqrt(n_rows)
        print(f"{path}: perplexity {np.exp(surprise[i].mean()):.4f}, mean KL divergence "
              f"{divergence[i].mean():.4e} +- {error:.1e}, median {np.median(divergence[i]):.2e}, "
              f"same top token {same_top[i].mean():.4%}, over {n_rows} tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    reference = commands.add_parser("reference")
    reference.add_argument("model", type=pathlib.Path)
    reference.add_argument("text", type=pathlib.Path)
    reference.add_argument("out", type=pathlib.Path)
    comparison = commands.add_parser("compare")
    comparison.add_argument("files", type=pathlib.Path, nargs="+")
    comparison.add_argument("--chunks", type=int, default=0, help="only the first so many")
    arguments = parser.parse_args()
    if arguments.command == "reference":
        write_reference(arguments.model, arguments.text, arguments.out)
    else:
        compare(arguments.files, arguments.chunks)


if __name__ == "__main__":
    main()

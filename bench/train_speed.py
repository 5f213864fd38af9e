#!/usr/bin/env python3
"""Training tokens/s and memory of reckon beside PyTorch's: same shape, tokens a step and threads.
In bfloat16 too (--compute bf16 and PyTorch's autocast) where the processor multiplies in it;
elsewhere PyTorch takes minutes a step.

Usage: train_speed.py --reckon build/release/bin/reckon --tokenizer MODEL.gguf [--python PYTHON]

--tokenizer: any model file with a vocabulary of a few thousand. --python: an interpreter with torch
and transformers (default: this one). Examples are lines of digits that make about 256 tokens each.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

TORCH = r"""
import sys, time, torch
from transformers import Qwen2Config, Qwen2ForCausalLM
vocab, threads, steps, dtype = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
config = Qwen2Config(vocab_size=vocab, hidden_size=256, intermediate_size=704, num_hidden_layers=6,
                     num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
                     max_position_embeddings=2048, attn_implementation="sdpa")
model = Qwen2ForCausalLM(config).to(torch.float32)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
tokens = torch.randint(0, vocab, (16, 256))
best = 0
for step in range(steps):
    start = time.time()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
        loss = model(tokens, labels=tokens).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    best = max(best, tokens.numel() / (time.time() - start))
print(best)
"""


def run(command):
    """Its output and the most memory that it held, in MiB."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} ended with status {status}")
    return output, usage.ru_maxrss / 1024


def reckon_speed(reckon, tokenizer, threads, steps, dtype, folder):
    base = folder / "base.gguf"
    subprocess.run([reckon, "train", "init", "--tokenizer", tokenizer, "-o", base], check=True,
                   stdout=subprocess.DEVNULL)
    rng = random.Random(1)
    with open(folder / "data.jsonl", "w", encoding="utf-8") as out:
        for _ in range(64 * steps):
            text = "".join(rng.choice("0123456789") for _ in range(240))
            out.write(json.dumps({"messages": [{"role": "user", "content": "?"},
                                               {"role": "assistant", "content": text}]}) + "\n")
    _, mib = run([reckon, "train", "sft", "-m", base, "--data", folder / "data.jsonl", "--steps",
                  steps, "--save-every", 1000000, "--threads", threads, "--compute", dtype,
                  "-o", folder / "out.gguf"])
    rows = (folder / "out.gguf.csv").read_text(encoding="utf-8").splitlines()
    column = rows[0].split(",").index("tokens_per_second")
    return max(float(row.split(",")[column]) for row in rows[1:]), mib


def torch_speed(python, vocab, threads, steps, dtype):
    output, mib = run([python, "-c", TORCH, vocab, threads, steps, dtype])
    return float(output.split()[-1]), mib


def has_bf16():
    with open("/proc/cpuinfo", encoding="utf-8") as cpu:
        return "avx512_bf16" in cpu.read()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reckon", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--vocab", type=int, default=544, help="for PyTorch: the tokenizer's")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    for dtype in ("f32", "bf16") if has_bf16() else ("f32",):
        with tempfile.TemporaryDirectory() as folder:
            own, mib = reckon_speed(options.reckon, options.tokenizer, options.threads,
                                    options.steps, dtype, pathlib.Path(folder))
        print(f"reckon  {dtype:4} {own:8.0f} tokens/s (best step) {mib:6.0f} MiB")
        peer, mib = torch_speed(options.python, options.vocab, options.threads, options.steps,
                                dtype)
        print(f"PyTorch {dtype:4} {peer:8.0f} tokens/s (best step) {mib:6.0f} MiB  "
              f"{own / peer:.2f}x")


main()

#!/usr/bin/env python3
"""LoRA on the quantised real SmolLM2-135M: what it learns, how fast, in how much memory, and
whether llama.cpp computes the same with the adapter.

Usage: lora.py --reckon build/release/bin/reckon --model MODEL.gguf --out FOLDER
               [--kinds comparison,unit] [--steps N] [--rank N] [--n N]
               [--dump build/release/tests/real/dump_logits --text FILE --packages FOLDER]

--model: what tools/fetch_real.py smollm2 fetches. Data comes from `reckon recipe data`; held-out
answers are generated greedily, --n of each kind, before and after. A stage whose file is in FOLDER
is not run again. With --dump and --packages (a folder with npm's node-llama-cpp, installed with
--ignore-scripts; needs node and numpy), the divergence between llama.cpp and reckon is measured
over --text without and with the adapter.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHUNKS = 8


def run(*command, **options):
    print("+", *command, file=sys.stderr, flush=True)
    return subprocess.run([str(part) for part in command], check=True, **options)


def evaluate(args, name, *more):
    path = args.out / f"{name}.json"
    if not path.exists():
        result = run(args.reckon, "eval", "-m", args.model, "--data", args.out / "held_out.jsonl",
                     "-n", args.n, "--ctx", 512, "--max-tokens", 48, "--no-thinking", "--json",
                     *more, stdout=subprocess.PIPE)
        path.write_bytes(result.stdout)
    return json.loads(path.read_text())


def train(args):
    """Tokens a second over the run, peak of resident memory in MiB."""
    adapter, report = args.out / "adapter.gguf", args.out / "train.json"
    if not report.exists():
        process = subprocess.Popen(
            [args.reckon, "train", "sft", "-m", args.model, "--data", args.out / "train.jsonl",
             "--held-out", args.out / "development.jsonl", "-o", adapter, "--lora", str(args.rank),
             "--steps", str(args.steps), "--batch-tokens", "1024", "--micro-tokens", "512",
             "--max-tokens", "512", "--skip-long", "--recompute", "--lr", "1e-3", "--resume"])
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit("lora.py: training failed")
        report.write_text(json.dumps({"peak_mib": usage.ru_maxrss / 1024}))
    rows = [line.split(",") for line in (args.out / "adapter.gguf.csv").read_text().split()]
    column = {name: i for i, name in enumerate(rows[0])}
    tokens = sum(float(row[column["tokens"]]) for row in rows[1:])
    seconds = sum(float(row[column["tokens"]]) / float(row[column["tokens_per_second"]])
                  for row in rows[1:])
    losses = [(row[0], row[column["held_out_loss"]]) for row in rows[1:]
              if row[column["held_out_loss"]]]
    return tokens, tokens / seconds, json.loads(report.read_text())["peak_mib"], losses


def compare(args, name, adapter):
    reckon, llama = args.out / f"{name}.reckon.f32", args.out / f"{name}.llama.f32"
    if not reckon.exists():
        run(args.dump, args.model, args.text, reckon, 2, CHUNKS, "f16", *adapter)
    if not llama.exists():
        run("node", ROOT / "bench/lora/llama_logits.mjs", args.packages.resolve(),
            args.model.resolve(), f"{reckon}.tokens", llama, CHUNKS, *adapter)
        os.replace(f"{reckon}.tokens", f"{llama}.tokens")
    run(sys.executable, ROOT / "tools/kl_reference.py", "compare", "--chunks", CHUNKS, llama,
        reckon)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reckon", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--kinds", default="comparison,unit")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--dump", type=pathlib.Path)
    parser.add_argument("--packages", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path,
                        default=ROOT / "tests/real/data/public_domain.txt")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kinds = [word for kind in args.kinds.split(",") for word in ("--kind", kind)]
    for name, more in (("train", ["--count", 8000, "--seed", 1]),
                       ("held_out", ["--held-out", "--count", args.n, "--seed", 2]),
                       ("development", ["--held-out", "--count", 40, "--seed", 3])):
        if not (args.out / f"{name}.jsonl").exists():
            run(args.reckon, "recipe", "data", *more, *kinds, "--direct", 100, "--out",
                args.out / f"{name}.jsonl")
    base = evaluate(args, "base")
    tokens, rate, peak, losses = train(args)
    trained = evaluate(args, "trained", "--lora", args.out / "adapter.gguf")
    print(f"{tokens:.0f} tokens in {args.steps} steps, {rate:.0f} tokens/s, peak {peak:.0f} MiB")
    print("held-out loss:", ", ".join(f"{step}: {float(loss):.3f}" for step, loss in losses))
    print("before:", json.dumps(base))
    print("after: ", json.dumps(trained))
    if args.dump and args.packages:
        compare(args, "base", [])
        compare(args, "adapter", [(args.out / "adapter.gguf").resolve()])


if __name__ == "__main__":
    main()

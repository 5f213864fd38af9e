#!/usr/bin/env python3
"""What the server costs, on one model in one run: tokens/s beside the engine's own, one stream
beside many, /health meanwhile, and how late a token is on the page.

Usage: serve_bench.py --reckon build/release/bin/reckon [-m MODEL] [--streams 16] [--rounds 3]

Without -m a file of r1:1.5b's shape (q4_k_m, 1.1 GB) is made in a temporary folder. Engine, one
stream and many take turns, figures are medians of the rounds with the least and the most. The page
needs Chromium and `npm ci` in web/ once; without them that row is left out.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent


def engine_speed(reckon, model, n_tokens):
    """Tokens/s of decoding one sequence without a server."""
    done = subprocess.run([reckon, "bench", "-m", model, "--prefill", "16",
                           "--decode", str(n_tokens),
                           "--batch", "1", "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["decode_tok_s"]


class Stream(threading.Thread):
    """One streamed answer of n_tokens; notes when the first and the last token came."""

    def __init__(self, url, n_tokens, seed):
        super().__init__()
        body = {"messages": [{"role": "user", "content": f"Question {seed}"}], "stream": True,
                "max_tokens": n_tokens, "seed": seed, "temperature": 1,
                "stream_options": {"include_usage": True}}
        self.request = urllib.request.Request(f"{url}/v1/chat/completions",
                                              json.dumps(body).encode(),
                                              {"Content-Type": "application/json"})
        self.first = self.last = 0.0
        self.tokens = 0
        self.engine_speed = 0.0

    def run(self):
        with urllib.request.urlopen(self.request, timeout=1800) as reply:
            for line in reply:
                if not line.startswith(b"data: {"):
                    continue
                chunk = json.loads(line[6:])
                if any(text_of(choice["delta"]) for choice in chunk["choices"]):
                    self.last = time.monotonic()
                    self.first = self.first or self.last
                if chunk.get("usage"):
                    self.tokens = chunk["usage"]["completion_tokens"]
                if chunk.get("timings"):
                    self.engine_speed = chunk["timings"]["predicted_per_second"]


def text_of(delta):
    return delta.get("reasoning_content") or delta.get("content")


def streams_speed(url, n_streams, n_tokens):
    """Tokens/s of all of them together from the first token of any to the last of all, with the
    reading of the others' prompts between; and the engine's own figure for the first of them."""
    streams = [Stream(url, n_tokens, seed) for seed in range(n_streams)]
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()
    span = max(s.last for s in streams) - min(s.first for s in streams)
    return (sum(s.tokens for s in streams) - n_streams) / span, streams[0].engine_speed


class Health(threading.Thread):
    """Asks /health every 20 ms until told to stop."""

    def __init__(self, url):
        super().__init__()
        self.url = url
        self.over = threading.Event()
        self.ms = []

    def run(self):
        while not self.over.wait(0.02):
            start = time.monotonic()
            with urllib.request.urlopen(f"{self.url}/health", timeout=60) as reply:
                reply.read()
            self.ms.append((time.monotonic() - start) * 1000)


def quantile(values, share):
    return sorted(values)[int(share * (len(values) - 1))]


def page_delay(url):
    """ms from a chunk's leaving the server to its text on the page; of the page's first load."""
    if shutil.which("node") is None or not (ROOT / "web/node_modules").exists():
        return None
    done = subprocess.run(["node", ROOT / "bench/page_delay.mjs", url],
                          capture_output=True, text=True,
                          check=False, timeout=900)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return None
    return json.loads(done.stdout)


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def measure(arguments, model, url):
    rounds = {"engine": [], "inside": [], "one": [], "many": []}
    health_ms = []
    streams_speed(url, 1, 8)
    for _ in range(arguments.rounds):
        rounds["engine"].append(engine_speed(arguments.reckon, model, arguments.tokens))
        one, inside = streams_speed(url, 1, arguments.tokens)
        rounds["one"].append(one)
        rounds["inside"].append(inside)
        watch = Health(url)
        watch.start()
        rounds["many"].append(streams_speed(url, arguments.streams, arguments.tokens)[0])
        watch.over.set()
        watch.join()
        health_ms += watch.ms
    one = statistics.median(rounds["one"])
    added = [(1 - a / b) * 100 for a, b in zip(rounds["one"], rounds["inside"])]
    print("| what | figure | wanted |\n|---|---|---|")
    print(f"| engine alone (`reckon bench`), tokens/s | {spread(rounds['engine'])} | |")
    print(f"| one stream, tokens/s | {spread(rounds['one'])} | |")
    print(f"| the server adds to its engine's own time, % | {spread(added)} | <= 3 |")
    alone = statistics.median(rounds['engine'])
    print(f"| one stream / engine alone | {one / alone:.2f} | |")
    print(f"| {arguments.streams} streams together, tokens/s | {spread(rounds['many'])} | |")
    many = statistics.median(rounds['many'])
    print(f"| {arguments.streams} streams / one | {many / one:.2f} | >= 4 |")
    print(f"| /health meanwhile, ms: median, p99 of {len(health_ms)} | "
          f"{quantile(health_ms, 0.5):.1f}, {quantile(health_ms, 0.99):.1f} | p99 <= 200 |")
    delay = page_delay(url)
    if delay is not None:
        print(f"| a token on the page after leaving the server, ms: median, p95 of {delay['n']} | "
              f"{delay['median_ms']:.0f}, {delay['p95_ms']:.0f} | <= 50 |")
        print(f"| the page's first load, ms: median, most of {delay['loads']} | "
              f"{delay['load_median_ms']:.0f}, {delay['load_most_ms']:.0f} | <= 1000 |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reckon", required=True)
    parser.add_argument("-m", "--model")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or str(pathlib.Path(folder, "shape.gguf"))
        if arguments.model is None:
            subprocess.run([arguments.reckon, "synth", "r1:1.5b", "-o", model], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = subprocess.Popen([arguments.reckon, "serve", "-m", model, "--port", "0", "--ctx",
                                   "2048"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  text=True)
        try:
            url = re.search(r"http://\S+", server.stdout.readline()).group(0)
            measure(arguments, model, url)
        finally:
            server.terminate()
            server.wait(60)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes the fixtures of the quantisation tests from other programs' answers.

  quant_fixtures.py decode OUT
      random blocks of every readable type and the floats that PyPI gguf decodes from them
      (tests/quants/fixtures/decode.bin; needs numpy and gguf)
  quant_fixtures.py mixes LLAMA_QUANTIZE OUT
      the tensor types that llama.cpp's llama-quantize chooses, asked with --dry-run on sparse files
      in the shapes of the R1 distills and a few others (tests/model/fixtures/mix_types.txt)
"""

import os
import re
import subprocess
import sys
import tempfile

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

DECODED = [
    Type.F32, Type.F16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q2_K,
    Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.IQ4_NL, Type.IQ4_XS, Type.BF16,
]
# Byte offsets of the half-precision fields of each block.
HALVES = {
    Type.F16: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2],
    Type.Q8_0: [0], Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2],
    Type.Q6_K: [208], Type.IQ4_NL: [0], Type.IQ4_XS: [0],
}
DECODED_ELEMENTS = 1024


def random_blocks(kind, rng):
    """Random bytes, but finite scales: mostly of a weight's size, some subnormal or huge."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    n = DECODED_ELEMENTS // elements
    if kind == Type.F32:
        return rng.normal(size=n).astype(np.float32).view(np.uint8).reshape(n, 4)
    if kind == Type.BF16:
        bits = rng.normal(size=n).astype(np.float32).view(np.uint32) >> 16
        return bits.astype(np.uint16).view(np.uint8).reshape(n, 2)
    blocks = rng.integers(0, 256, size=(n, size), dtype=np.uint8)
    for offset in HALVES[kind]:
        halves = (rng.normal(size=n) * 10.0 ** rng.integers(-7, 1, size=n)).astype(np.float16)
        halves[0] = np.float16(2.0**-24)
        halves[-1] = np.float16(-65504.0)
        blocks[:, offset:offset + 2] = halves.view(np.uint8).reshape(n, 2)
    return blocks


def make_decode(out_path):
    rng = np.random.default_rng(20261)
    with open(out_path, "wb") as out:
        for kind in DECODED:
            blocks = random_blocks(kind, rng)
            values = gguf.quants.dequantize(blocks, kind).astype(np.float32).ravel()
            assert values.size == DECODED_ELEMENTS and np.isfinite(values).all(), kind
            # type id, bytes of the blocks, number of floats; then both, little-endian
            np.array([kind.value, blocks.size, values.size], dtype="<u4").tofile(out)
            blocks.tofile(out)
            values.astype("<f4").tofile(out)


# arch, layers, d, heads, kv heads, head_dim, ffn, vocab, output tensor of its own
SHAPES = {
    "r1:1.5b": ("qwen2", 28, 1536, 12, 2, 128, 8960, 151936, True),
    "r1:7b": ("qwen2", 28, 3584, 28, 4, 128, 18944, 152064, True),
    "r1:14b": ("qwen2", 48, 5120, 40, 8, 128, 13824, 152064, True),
    "r1:32b": ("qwen2", 64, 5120, 40, 8, 128, 27648, 152064, True),
    "r1:8b": ("llama", 32, 4096, 32, 8, 128, 14336, 128256, True),
    "r1:70b": ("llama", 80, 8192, 64, 8, 128, 28672, 128256, True),
    # as SmolLM2-135M: tied, rows of 576 elements
    "tied": ("llama", 30, 576, 9, 3, 64, 1536, 49152, False),
    "tied256": ("qwen2", 9, 512, 8, 2, 64, 1024, 300, False),
    # 80 layers, every head with its own keys and values
    "mha80": ("llama", 80, 256, 4, 4, 64, 512, 300, True),
    "gqa80": ("qwen2", 80, 256, 4, 4, 64, 512, 300, True),
    # rows that are no multiple of 32
    "odd": ("llama", 5, 80, 4, 2, 20, 200, 300, True),
    "odd-tied": ("llama", 5, 80, 4, 2, 20, 200, 300, False),
}
TARGETS = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K"]


def tensors_of(shape):
    arch, layers, d, heads, kv_heads, head_dim, ffn, vocab, own_output = shape
    yield "token_embd.weight", (d, vocab)
    for i in range(layers):
        p = f"blk.{i}."
        yield p + "attn_norm.weight", (d,)
        yield p + "attn_q.weight", (d, heads * head_dim)
        yield p + "attn_k.weight", (d, kv_heads * head_dim)
        yield p + "attn_v.weight", (d, kv_heads * head_dim)
        if arch == "qwen2":
            yield p + "attn_q.bias", (heads * head_dim,)
            yield p + "attn_k.bias", (kv_heads * head_dim,)
            yield p + "attn_v.bias", (kv_heads * head_dim,)
        yield p + "attn_output.weight", (heads * head_dim, d)
        yield p + "ffn_norm.weight", (d,)
        yield p + "ffn_gate.weight", (d, ffn)
        yield p + "ffn_up.weight", (d, ffn)
        yield p + "ffn_down.weight", (ffn, d)
    yield "output_norm.weight", (d,)
    if arch == "llama" and own_output:
        yield "rope_freqs.weight", (head_dim // 2,)
    if own_output:
        yield "output.weight", (d, vocab)


def write_sparse(path, shape):
    """A file with the shape's directory in F16 and F32 whose data is a hole."""
    arch, layers, d, heads, kv_heads, head_dim, ffn, vocab, _ = shape
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(layers)
    writer.add_context_length(4096)
    writer.add_embedding_length(d)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(head_dim)
    writer.add_vocab_size(vocab)
    writer.add_tokenizer_model("none")
    total = 0
    for name, dims in tensors_of(shape):
        dtype = np.float32 if len(dims) == 1 else np.float16
        size = int(np.prod(dims)) * dtype().itemsize
        writer.add_tensor_info(name, tuple(reversed(dims)), np.dtype(dtype), size)
        total += (size + 31) // 32 * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, os.path.getsize(path) + 31 + total)


LINE = re.compile(r"^\[ *\d+/ *\d+\] (\S+) .*type = +(\w+), .*MiB(?: \((\w+)\))?$")


def chosen_types(program, path, target):
    run = subprocess.run([program, "--dry-run", path, target], capture_output=True, text=True)
    types = {}
    for line in run.stdout.splitlines() + run.stderr.splitlines():
        match = LINE.match(line)
        if match:
            types[match.group(1)] = match.group(3) or match.group(2)
    if run.returncode != 0 or not types:
        raise RuntimeError(f"{path} {target}: {run.stdout[-2000:]}{run.stderr[-2000:]}")
    return types


def run_lengths(items):
    groups = []
    for item in items:
        if groups and groups[-1][0] == item:
            groups[-1][1] += 1
        else:
            groups.append([item, 1])
    return " ".join(f"{item}*{count}" for item, count in groups)


def make_mixes(program, out_path):
    with open(out_path, "w") as out, tempfile.TemporaryDirectory() as folder:
        out.write("# Tensor types that llama-quantize chooses for files in F16 (vectors F32).\n"
                  "# shape NAME ARCH layers d heads kv_heads head_dim ffn vocab own_output\n"
                  "# TARGET TENSOR type*layers ... (a tensor of each layer has * for its number)\n"
                  "# Made by tools/quant_fixtures.py mixes.\n")
        for name, shape in SHAPES.items():
            path = os.path.join(folder, "sparse.gguf")
            write_sparse(path, shape)
            out.write("shape " + " ".join(str(int(v)) if isinstance(v, bool) else str(v)
                                          for v in (name, *shape)) + "\n")
            for target in TARGETS:
                types = chosen_types(program, path, target)
                rows = {}
                for tensor, _ in tensors_of(shape):
                    rows.setdefault(re.sub(r"^blk\.\d+\.", "blk.*.", tensor),
                                    []).append(types[tensor])
                for tensor, chosen in rows.items():
                    out.write(f"{target} {tensor} {run_lengths(chosen)}\n")
            os.remove(path)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "decode":
        make_decode(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "mixes":
        make_mixes(sys.argv[2], sys.argv[3])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

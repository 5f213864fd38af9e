#!/usr/bin/env python3
"""Makes tests/forward/fixtures: tiny random qwen2 and llama models with the logits that
transformers computes for them in float32. In: nothing but the seeds below. Out: NAME.gguf (f32
weights), NAME.json (token ids and the positions whose logits are kept) and NAME.logits (float32,
little endian, [n_positions, vocab_size]), as README.md there describes.

Needs numpy, torch, transformers and gguf; run from anywhere: tools/logit_fixtures.py [FOLDER]
"""

import dataclasses
import json
import math
import pathlib
import sys

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "forward" / "fixtures"

# The sequences cross KV pages (64 positions) and attention tiles (32). Logits are kept around those
# borders.
LENGTHS = (70, 200)
POSITIONS = (
    (0, 1, 31, 32, 33, 62, 63, 64, 69),
    (2, 63, 64, 95, 96, 127, 128, 160, 191, 192, 199),
)
CONTEXT = 512
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    # Short, so that sequences of 200 tokens feel every band of the scaling.
    "original_max_position_embeddings": 64,
}


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    architecture: str
    tied: bool
    scaled: bool
    d_model: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    ffn_dim: int
    n_layers: int
    theta: float
    epsilon: float


SHAPES = (
    Shape("qwen2-tied", "qwen2", True, False, 64, 4, 2, 16, 64, 2, 10000.0, 1e-6),
    Shape("qwen2-untied", "qwen2", False, False, 48, 3, 1, 16, 48, 2, 1000000.0, 1e-5),
    Shape("llama-tied", "llama", True, False, 48, 3, 1, 16, 64, 3, 100000.0, 1e-5),
    Shape("llama-untied", "llama", False, False, 32, 4, 2, 32, 64, 2, 10000.0, 1e-6),
    Shape("llama-tied-scaled", "llama", True, True, 64, 2, 1, 32, 48, 2, 500000.0, 1e-5),
    Shape("llama-untied-scaled", "llama", False, True, 48, 6, 2, 16, 32, 2, 500000.0, 1e-5),
)


def byte_alphabet():
    """The printable character of every byte (GPT-2's byte-level alphabet)."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [b for b in range(256) if b not in kept]
    return {**{b: chr(b) for b in kept}, **{b: chr(256 + i) for i, b in enumerate(moved)}}


def vocabulary():
    """256 bytes, a few merges, and the control tokens: (tokens, kinds, merges)."""
    alphabet = byte_alphabet()
    space = alphabet[0x20]
    pairs = [("t", "h"), ("th", "e"), (space, "the"), ("a", "n"), ("an", "d"), (space, "and"),
             ("i", "n"), ("in", "g"), ("e", "r"), (space, "o")]
    tokens = [alphabet[b] for b in range(256)] + [a + b for a, b in pairs]
    kinds = [int(gguf.TokenType.NORMAL)] * len(tokens)
    for spelling in ("<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"):
        tokens.append(spelling)
        kinds.append(int(gguf.TokenType.CONTROL))
    for spelling in ("<think>", "</think>"):
        tokens.append(spelling)
        kinds.append(int(gguf.TokenType.USER_DEFINED))
    return tokens, kinds, [f"{a} {b}" for a, b in pairs]


def gain(name):
    """Output over input of a projection. Chosen so that a cache in f16 moves the logits by at most
    5e-5 of their spread, and rotary frequencies that are off by 1 % by at least 1e-3 of it."""
    if name.endswith("bias"):
        return 0.3
    if "q_proj" in name or "k_proj" in name:
        return 0.8
    if "o_proj" in name or "down_proj" in name:
        return 0.2
    return 1.0


def make_model(shape, vocab_size, seed):
    common = dict(
        vocab_size=vocab_size, hidden_size=shape.d_model, intermediate_size=shape.ffn_dim,
        num_hidden_layers=shape.n_layers, num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads, max_position_embeddings=CONTEXT,
        rms_norm_eps=shape.epsilon, tie_word_embeddings=shape.tied, use_cache=False,
        attn_implementation="eager", pad_token_id=None, bos_token_id=None, eos_token_id=None)
    if shape.architecture == "qwen2":
        config = Qwen2Config(**common, rope_parameters={"rope_type": "default",
                                                        "rope_theta": shape.theta})
        model = Qwen2ForCausalLM(config)
    else:
        scaling = LLAMA3_SCALING if shape.scaled else {"rope_type": "default"}
        config = LlamaConfig(**common, head_dim=shape.head_dim,
                             rope_parameters={**scaling, "rope_theta": shape.theta})
        model = LlamaForCausalLM(config)
    model = model.to(torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "norm" in name:
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
                continue
            values = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                values *= gain(name)
            elif "embed" not in name:
                values *= gain(name) / math.sqrt(parameter.shape[1])
            parameter.copy_(values)
    return model


def interleave_pairs(weight, n_heads):
    """Rows of a head from half-split rotary pairs (i, i + d/2) to interleaved ones (2i, 2i + 1)."""
    rows, columns = weight.shape
    halves = weight.reshape(n_heads, 2, rows // n_heads // 2, columns)
    return np.ascontiguousarray(halves.transpose(0, 2, 1, 3).reshape(rows, columns))


def rope_divisors(shape):
    """Llama 3.1's scaling as a divisor of each pair's frequency, [head_dim / 2]."""
    factor = LLAMA3_SCALING["factor"]
    low, high = LLAMA3_SCALING["low_freq_factor"], LLAMA3_SCALING["high_freq_factor"]
    context = LLAMA3_SCALING["original_max_position_embeddings"]
    divisors = []
    for i in range(shape.head_dim // 2):
        wavelength = 2 * math.pi * shape.theta ** (2 * i / shape.head_dim)
        if wavelength < context / high:
            divisors.append(1.0)
        elif wavelength > context / low:
            divisors.append(factor)
        else:
            share = (context / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - share) / factor + share))
    return np.array(divisors, dtype=np.float32)


HF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name):
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    if name == "lm_head.weight":
        return "output.weight"
    _, _, layer, *middle, kind = name.split(".")
    return f"blk.{layer}.{HF_NAMES['.'.join(middle)]}.{kind}"


def write_gguf(path, shape, model):
    tokens, kinds, merges = vocabulary()
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_name(f"tiny random {shape.name}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.d_model)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.ffn_dim)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.theta)
    writer.add_rope_dimension_count(shape.head_dim)
    if shape.head_dim * shape.n_heads != shape.d_model:
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe" if shape.architecture == "llama" else "qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|begin|>"))
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_add_bos_token(False)
    if shape.scaled:
        divisors = rope_divisors(shape)
        base = shape.theta ** -(np.arange(0, shape.head_dim, 2) / shape.head_dim)
        used = model.model.rotary_emb.inv_freq.numpy()
        assert np.allclose(base / divisors, used, rtol=1e-5), "the scaling's formula differs"
        writer.add_tensor("rope_freqs.weight", divisors)
    for name, parameter in model.named_parameters():
        weight = parameter.detach().numpy().astype(np.float32)
        if shape.architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            n_heads = shape.n_heads if "q_proj" in name else shape.n_kv_heads
            weight = interleave_pairs(weight, n_heads)
        writer.add_tensor(gguf_name(name), weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_fixture(folder, shape, seed):
    tokens, _, _ = vocabulary()
    model = make_model(shape, len(tokens), seed)
    write_gguf(folder / f"{shape.name}.gguf", shape, model)
    generator = np.random.Generator(np.random.PCG64(seed))
    sequences, rows, exact_rows = [], [], []
    with torch.no_grad():
        for length, positions in zip(LENGTHS, POSITIONS):
            ids = [int(i) for i in generator.integers(0, len(tokens), length)]
            sequences.append({"tokens": ids, "positions": list(positions)})
            batch = torch.tensor([ids])
            rows.append(model(batch).logits[0, list(positions)].numpy())
            exact_rows.append(model.double()(batch).logits[0, list(positions)].numpy())
            model = model.float()
    logits = np.concatenate(rows).astype("<f4")
    spread = float(logits.max() - logits.min())
    noise = float(np.abs(logits - np.concatenate(exact_rows)).max())
    (folder / f"{shape.name}.logits").write_bytes(logits.tobytes())
    fixture = {"vocab_size": len(tokens), "spread": spread, "sequences": sequences}
    (folder / f"{shape.name}.json").write_text(json.dumps(fixture) + "\n")
    print(f"{shape.name}: {len(logits)} positions, spread {spread:.3f}, float32 against float64 "
          f"{noise / spread:.1e} of it")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for number, shape in enumerate(SHAPES):
        write_fixture(folder, shape, seed=1000 + number)


if __name__ == "__main__":
    main()

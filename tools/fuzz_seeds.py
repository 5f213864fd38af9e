"""Makes the seeds of the file fuzzers, fuzz/corpus/{gguf,safetensors,hf_json,folder}_fuzz, of
described templates, fuzz/corpus/template_fuzz/described_*, and of the fuzzers of requests and of
the store, which stand in fuzz_{schema,http,store}_seeds.py.

    python tools/fuzz_seeds.py          # needs nothing but Python
"""

import json
import struct
from pathlib import Path

from fuzz_http_seeds import http_seeds
from fuzz_schema_seeds import GRAMMARS, json_schema_seeds
from fuzz_store_seeds import store_seeds

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz" / "corpus"
FIXTURES = ROOT / "tests" / "model" / "fixtures"


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key, kind, value):
    packing = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
               12: "d"}
    if kind == 8:
        payload = text(value)
    elif kind == 9:
        element, values = value
        payload = struct.pack("<IQ", element, len(values))
        payload += b"".join(text(v) if element == 8 else struct.pack("<" + packing[element], v)
                            for v in values)
    else:
        payload = struct.pack("<" + packing[kind], value)
    return text(key) + struct.pack("<I", kind) + payload


def gguf(pairs, tensors, version=3):
    """tensors: (name, dims, type id, bytes)."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs)
    offset, data = 0, b""
    for name, dims, kind, size in tensors:
        head += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        head += struct.pack("<IQ", kind, len(data))
        data += (b"\x3c" * size).ljust((size + 31) // 32 * 32, b"\0")
    return head.ljust((len(head) + 31) // 32 * 32, b"\0") + data


def every_type():
    pairs = [pair("u8", 0, 1), pair("i8", 1, -1), pair("u16", 2, 1), pair("i16", 3, -1),
             pair("u32", 4, 1), pair("i32", 5, -1), pair("f32", 6, 0.5), pair("flag", 7, True),
             pair("s", 8, "text"), pair("u64", 10, 1), pair("i64", 11, -1), pair("f64", 12, 0.5),
             pair("general.alignment", 4, 32), pair("split.count", 2, 1)]
    pairs += [pair(f"a{kind}", 9, (kind, [1])) for kind in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12)]
    pairs.append(pair("strings", 9, (8, ["a", ""])))
    blocks = {0: (1, 4), 1: (1, 2), 30: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24),
              8: (32, 34), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176),
              14: (256, 210), 20: (32, 18), 23: (256, 136)}
    return gguf(pairs, [(f"t{kind}", [elements, 1], kind, size)
                        for kind, (elements, size) in blocks.items()])


def tiny_model(architecture):
    prefix = architecture + "."
    pairs = [pair("general.architecture", 8, architecture)]
    pairs += [pair(prefix + key, 4, value) for key, value in {
        "block_count": 1, "context_length": 16, "embedding_length": 8, "feed_forward_length": 8,
        "attention.head_count": 2, "attention.head_count_kv": 1, "vocab_size": 4}.items()]
    pairs += [pair(prefix + "rope.freq_base", 6, 10000.0),
              pair(prefix + "attention.layer_norm_rms_epsilon", 6, 1e-5)]
    shapes = {"attn_norm": [8], "attn_q": [8, 8], "attn_k": [8, 4], "attn_v": [8, 4],
              "attn_output": [8, 8], "ffn_norm": [8], "ffn_gate": [8, 8], "ffn_up": [8, 8],
              "ffn_down": [8, 8]}
    tensors = [("token_embd.weight", [8, 4], 0, 128), ("output_norm.weight", [8], 0, 32)]
    for name, dims in shapes.items():
        elements = dims[0] * (dims[1] if len(dims) > 1 else 1)
        tensors.append((f"blk.0.{name}.weight", dims, 0, 4 * elements))
    if architecture == "qwen2":
        tensors += [("blk.0.attn_q.bias", [8], 0, 32), ("blk.0.attn_k.bias", [4], 0, 16),
                    ("blk.0.attn_v.bias", [4], 0, 16)]
    else:
        tensors.append(("rope_freqs.weight", [2], 0, 8))
    return gguf(pairs, tensors, version=2 if architecture == "llama" else 3)


def safetensors(header, data):
    return struct.pack("<Q", len(header)) + header.encode() + data


TWO_FLOATS = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'
# What is wrong with a tensor of two floats.
BAD_SAFETENSORS = {
    "dtype": '"dtype":"I8","shape":[2],"data_offsets":[0,8]',
    "no_dtype": '"shape":[2],"data_offsets":[0,8]',
    "twice": '"dtype":"F32",' + TWO_FLOATS,
    "unknown": '"strides":[1],' + TWO_FLOATS,
    "bool": '"dtype":true', "null": '"shape":null', "object": '"shape":{}', "number": '"shape":2',
    "nested": '"shape":[[2]]', "negative": '"shape":[-2]', "fraction": '"shape":[2.5]',
    "dimensions": '"shape":[1,1,1,1,1,1,1,1,2]', "one_offset": '"data_offsets":[0]',
    "huge": '"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]',
    "overflow": '"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]',
    "hole": '"dtype":"F32","shape":[1],"data_offsets":[4,8]',
    "short": '"dtype":"F32","shape":[1],"data_offsets":[0,4]',
}

SAFETENSORS = {
    "three": safetensors(
        '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        '"b":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]},'
        '"\\u00df":{"dtype":"F16","shape":[],"data_offsets":[12,14]}}  ', b"d" * 14),
    "empty": safetensors("{}", b""),
    "zero": safetensors('{"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}}', b""),
    "list": safetensors("[]", b""),
    "long_name": safetensors('{"' + "n" * 513 + '":{' + TWO_FLOATS + "}}", b"d" * 8),
    "same_name": safetensors('{"a":{' + TWO_FLOATS + '},"a":{"dtype":"F32","shape":[2],'
                             '"data_offsets":[8,16]}}', b"d" * 16),
    **{"bad_" + name: safetensors('{"a":{' + fields + "}}", b"d" * 8)
       for name, fields in BAD_SAFETENSORS.items()},
}

# Differences from a good config.json, None for a key that is left out.
BAD_CONFIGS = {
    "theta": {"rope_theta": 10.0, "rope_parameters": {"rope_theta": 20.0, "rope_type": "default"}},
    "rope_type": {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}},
    "fraction": {"hidden_size": 32.5}, "range": {"num_hidden_layers": 10**9},
    "kv_heads": {"num_key_value_heads": 3}, "odd_heads": {"head_dim": 7},
    "missing": {"vocab_size": None}, "type": {"model_type": "bert"}, "text": {"rms_norm_eps": "x"},
    "activation": {"hidden_act": "gelu"}, "bias": {"attention_bias": True},
    "window": {"use_sliding_window": True, "sliding_window": 4},
    "unknown": {"new_rope": 1},
}


def changed_config(changes):
    config = json.loads((FIXTURES / "hf_llama" / "config.json").read_text())
    config.update(changes)
    return json.dumps({k: v for k, v in config.items() if v is not None}).encode()


FRAME = {"before": "[", "after": "]"}
ROLES = {"roles": {"system": FRAME, "user": FRAME, "assistant": FRAME}}
# Descriptions of templates, each followed by a conversation.
TEMPLATES = {
    "whole": {**ROLES, "bos": True, "trim": True, "default_system": "Be kind.", "answer": "A:<t>",
              "think": {"open": "<t>", "close": "</t>"}, "stop": ["]", "</s>"]},
    "no_roles": {}, "roles_list": {"roles": []}, "role_text": {"roles": {"user": "x"}},
    "unknown": {**ROLES, "x": 1}, "stop_text": {**ROLES, "stop": "x"},
    "stop_empty": {**ROLES, "stop": [""]}, "bos_text": {**ROLES, "bos": "x"},
    "half_think": {**ROLES, "think": {"open": "<t>"}},
    "no_system": {"roles": {"user": FRAME, "assistant": FRAME}, "default_system": "Be kind."},
    "no_user": {"roles": {"assistant": FRAME}}, "list": [],
}
N_TEMPLATE_NAMES = 7  # of chat_template_names(): the fuzzer counts on from there


def folder(files):
    """Files as fuzz/folder_fuzz.cpp takes them: by the names' numbers there."""
    return b"".join(bytes([number]) + len(data).to_bytes(3, "little") + data
                    for number, data in files.items())


def hf_folder(name):
    files = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
             "model.safetensors", "model.safetensors.index.json",
             "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    return {number: (FIXTURES / name / file).read_bytes() for number, file in enumerate(files)
            if (FIXTURES / name / file).exists()}


def shard(number, n_tensors, count=2):
    pairs = [pair("split.no", 2, number), pair("split.count", 2, count),
             pair("split.tensors.count", 5, n_tensors)]
    return gguf(pairs, [(f"t{number}", [2], 0, 8)])


def folders():
    llama, index = hf_folder("hf_llama"), 5
    bad_indices = {"text": b"{", "no_map": b"{}",
                   "path": b'{"weight_map":{"a":"../x.safetensors"}}',
                   "number": b'{"weight_map":{"a":1}}',
                   "absent": b'{"weight_map":{"a":"model-00001-of-00002.safetensors"}}'}
    return {"llama": folder(llama), "qwen2": folder(hf_folder("hf_qwen2")),
            "one_shard": folder({k: v for k, v in llama.items() if k != 7}),
            "no_weights": folder({k: v for k, v in llama.items() if k < 4}),
            "shards": folder({8: shard(0, 2), 9: shard(1, 2)}),
            "shards_swapped": folder({8: shard(1, 2), 9: shard(0, 2)}),
            "shards_miscounted": folder({8: shard(0, 3), 9: shard(1, 3)}),
            "shards_disagree": folder({8: shard(0, 2), 9: shard(1, 3)}),
            "template": folder({10: json.dumps(TEMPLATES["whole"]).encode()}),
            **{"index_" + name: folder({index: text, 6: SAFETENSORS["three"]})
               for name, text in bad_indices.items()}}


def main():
    seeds = {"gguf_fuzz": {"types": every_type(), "llama": tiny_model("llama"),
                           "qwen2": tiny_model("qwen2")},
             "safetensors_fuzz": SAFETENSORS,
             "hf_json_fuzz": {name: b"\0".join((FIXTURES / name / file).read_bytes() for file in (
                 "config.json", "tokenizer.json", "tokenizer_config.json"))
                 for name in ("hf_llama", "hf_qwen2")} | {
                     "config_" + name: changed_config(changes)
                     for name, changes in BAD_CONFIGS.items()},
             "folder_fuzz": folders(),
             "template_fuzz": {
                 "described_" + name: bytes([N_TEMPLATE_NAMES + 2]) +
                 json.dumps(description).encode() + b"\0\1\1\2Hi\2\2Yo\0\1S\3\1T"
                 for name, description in TEMPLATES.items()},
             "grammar_fuzz": GRAMMARS, "json_schema_fuzz": json_schema_seeds(),
             "http_fuzz": http_seeds(), "store_fuzz": store_seeds()}
    for fuzzer, files in seeds.items():
        (CORPUS / fuzzer).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (CORPUS / fuzzer / name).write_bytes(data)


if __name__ == "__main__":
    main()

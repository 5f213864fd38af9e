"""Makes the tiny Hugging Face folders of tests/model/fixtures, and checks a conversion of one.

    python tools/convert_fixtures.py make OUT       # needs torch, transformers, tokenizers
    python tools/convert_fixtures.py check HF GGUF BACK   # and gguf

`check` opens our GGUF with the gguf package, compares every tensor with the folder's, and loads the
folder that was converted back in transformers: equal weights, token ids and logits.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
TEXT = ["the quick brown fox jumps over the lazy dog and the other one watches",
        "think of a number between 1 and 1234567890, then add 42 to it",
        "der Weg ist das Ziel; l'été dernier; Ångström und ñandú", "一二三四五六七八九十"] * 4
PROBES = ["the quick brown fox", "I'll think <think>about 12345</think> it",
          " \n\n  Ångström e\u0301",
          "<|end|> is text or a mark", "数学 🦊"]


def tokenizer(family, vocab_size):
    tok = Tokenizer(models.BPE(ignore_merges=family == "llama3"))
    if family == "qwen2":
        tok.normalizer = normalizers.NFC()
    pattern = Regex(QWEN if family == "qwen2" else LLAMA3)
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(pattern, "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=vocab_size - 8, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[], show_progress=False))
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True)
                            for t in ("<|begin|>", "<|end|>", "<|pad|>")])
    tok.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    byte_level = processors.ByteLevel(trim_offsets=False)
    if family == "llama3":
        tok.post_processor = processors.Sequence([byte_level, processors.TemplateProcessing(
            single="<|begin|> $A", pair="<|begin|> $A <|begin|>:1 $B:1",
            special_tokens=[("<|begin|>", tok.token_to_id("<|begin|>"))])])
    else:
        tok.post_processor = byte_level
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|pad|>",
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}")


def make(out):
    torch.manual_seed(7)
    common = dict(vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                  num_attention_heads=4, max_position_embeddings=128, rms_norm_eps=1e-6)
    llama3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
                  high_freq_factor=4.0, original_max_position_embeddings=64)
    folders = {
        "hf_llama": (LlamaForCausalLM(LlamaConfig(**common, num_key_value_heads=2, head_dim=16,
                                                  rope_parameters=llama3)), "llama3", "60KB"),
        "hf_qwen2": (Qwen2ForCausalLM(Qwen2Config(
            **common, num_key_value_heads=1, tie_word_embeddings=True, use_sliding_window=False,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0))), "qwen2", "5GB"),
    }
    for name, (model, family, shard) in folders.items():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        tok = tokenizer(family, common["vocab_size"])
        model.config.bos_token_id = tok.bos_token_id
        model.config.eos_token_id = tok.eos_token_id
        model.generation_config.bos_token_id = tok.bos_token_id
        model.generation_config.eos_token_id = tok.eos_token_id
        model.generation_config.do_sample = True
        model.generation_config.temperature = 0.6
        model.generation_config.top_p = 0.95
        folder = Path(out) / name
        model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=shard)
        tok.save_pretrained(folder)


def permuted(weight, heads):
    rows = weight.shape[0] // heads
    return weight.reshape(heads, 2, rows // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def check(hf, gguf_path, back):
    import gguf
    model = AutoModelForCausalLM.from_pretrained(hf, dtype=torch.float32).eval()
    again = AutoModelForCausalLM.from_pretrained(back, dtype=torch.float32).eval()
    raw = AutoModelForCausalLM.from_pretrained(hf, dtype="auto").state_dict()
    raw_again = AutoModelForCausalLM.from_pretrained(back, dtype="auto").state_dict()
    assert raw.keys() == raw_again.keys()
    for name, tensor in raw.items():
        assert tensor.dtype == raw_again[name].dtype, (name, tensor.dtype, raw_again[name].dtype)
        assert torch.equal(tensor, raw_again[name]), name

    reader = gguf.GGUFReader(gguf_path)
    found = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    names = gguf.get_tensor_name_map(
        gguf.MODEL_ARCH.LLAMA if model.config.model_type == "llama" else gguf.MODEL_ARCH.QWEN2,
        model.config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        expected = tensor.numpy()
        if model.config.model_type == "llama" and name.endswith("q_proj.weight"):
            expected = permuted(expected, model.config.num_attention_heads)
        if model.config.model_type == "llama" and name.endswith("k_proj.weight"):
            expected = permuted(expected, model.config.num_key_value_heads)
        ours = found.pop(names.get_name(name, try_suffixes=(".weight", ".bias")))
        assert np.array_equal(ours.reshape(expected.shape), expected), name
    if "rope_freqs.weight" in found:
        plain = 1.0 / model.config.rope_parameters["rope_theta"] ** (
            np.arange(0, model.config.head_dim, 2) / model.config.head_dim)
        divisors = plain / model.model.rotary_emb.inv_freq.numpy()
        assert np.allclose(found.pop("rope_freqs.weight"), divisors, rtol=1e-5)
    assert not found, found.keys()

    tok, tok_again = AutoTokenizer.from_pretrained(hf), AutoTokenizer.from_pretrained(back)
    for text in PROBES:
        assert tok(text)["input_ids"] == tok_again(text)["input_ids"], text
        assert (tok(text, add_special_tokens=False)["input_ids"] ==
                tok_again(text, add_special_tokens=False)["input_ids"]), text
    chat = [{"role": "user", "content": "hi"}]
    assert (tok.apply_chat_template(chat, tokenize=False) ==
            tok_again.apply_chat_template(chat, tokenize=False))
    for which in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(tok, which) == getattr(tok_again, which), which
    ids = torch.tensor([tok(PROBES[0])["input_ids"] * 3])
    with torch.no_grad():
        assert torch.equal(model(ids).logits, again(ids).logits)
    generation = json.loads((Path(back) / "generation_config.json").read_text())
    assert generation["temperature"] == 0.6 and generation["top_p"] == 0.95
    print(f"{hf}: {len(reader.tensors)} tensors, tokens and logits agree")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])

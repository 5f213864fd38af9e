#!/usr/bin/env python3
"""Vocabularies that the reference trains, for tests/tokenizer/bpe_trainer_test.cpp.

Usage: bpe_fixtures.py > tests/tokenizer/fixtures/bpe_training.json   (needs PyPI's tokenizers)
"""

import json
import random
import sys

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
           r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def texts():
    rng = random.Random(3)
    out = ["", "a", "aaaaaaaa aaaa aaa aa a", "What is 347 * 26?\n347*6: 42:42 24:28 18:20 =2082",
           "It's what they've done; I'm sure we'll see. THE END", "北京是什么？北京在哪里？请介绍一下北京。",
           "cafe\u0301 café naïve Å \u212b", "tabs\tand  two blanks \r\n\r\nlines\n"]
    syllables = ["ab", "ba", "an", "na", "abc", "bc", "ca", "é", "的", "数"]
    for _ in range(60):
        words = ["".join(rng.choice(syllables) for _ in range(rng.randint(1, 5)))
                 for _ in range(rng.randint(3, 12))]
        out.append(" ".join(words) + rng.choice([".", "?", "\n", "!!", ""]))
    return out


def train(corpus, vocab_size, min_count):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=min_count, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus, trainer)
    state = json.loads(tokenizer.to_str())
    vocab = sorted(state["model"]["vocab"].items(), key=lambda item: item[1])
    merges = [m if isinstance(m, str) else " ".join(m) for m in state["model"]["merges"]]
    probe = ["347 + 26 = ?", "abana 北京 naïve", "It's café\n\n"]
    return {"vocab_size": vocab_size, "min_count": min_count,
            "tokens": [token for token, _ in vocab], "merges": merges,
            "probes": [{"text": text, "ids": tokenizer.encode(text).ids} for text in probe]}


def main():
    corpus = texts()
    # The last one is more than the corpus has pairs for.
    sizes = ((300, 2), (420, 1), (420, 6), (5000, 2))
    cases = [train(corpus, size, count) for size, count in sizes]
    json.dump({"texts": corpus, "cases": cases}, sys.stdout, ensure_ascii=True, indent=0)
    print()


main()

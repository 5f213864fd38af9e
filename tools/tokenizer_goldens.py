#!/usr/bin/env python3
"""Writes what PyPI `tokenizers` makes of generated strings, for the tokenizer's tests.

Usage: tokenizer_goldens.py tiny   the committed fixtures in tests/tokenizer/fixtures: a vocabulary
                                   trained here and strings, with ids for every pre-tokenizer
       tokenizer_goldens.py real   the same for over 20,000 strings a family with the real
                                   vocabularies in $RECKON_REAL_DIR (default .cache/real), written
                                   to its tokenizer_goldens/ (a minute or two)
Needs: pip install tokenizers==0.23.3
"""

import json
import os
import pathlib
import random
import struct
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, trainers

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = REPOSITORY / "tests" / "tokenizer" / "fixtures"
REAL = pathlib.Path(os.environ.get("RECKON_REAL_DIR") or REPOSITORY / ".cache" / "real")

# --- the pre-tokenizers, as the models' own tokenizer.json files have them ------------------------

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"\p{N}| ?", r"\p{N}{1,3}| ?")
DEEPSEEK_V3 = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
               r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
               r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+"]
# What llama.cpp splits by where a file's pre-tokenizer is "default".
DEFAULT = [r"[\p{P}\$\+<=>\^~\|]+",
           r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
           r"\p{N}+", "[0-9][0-9][0-9]"]


def splits(patterns):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def pre_tokenizer(name):
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    return {
        "deepseek-r1-qwen": lambda: splits([QWEN2]),
        "qwen2": lambda: splits([QWEN2]),
        "llama-bpe": lambda: splits([LLAMA3]),
        "deepseek-v3": lambda: splits(DEEPSEEK_V3),
        "gpt-2": lambda: gpt2,
        "default": lambda: splits(DEFAULT),
    }[name]()


def reference(name, vocab, merges):
    """A `tokenizers` tokenizer without special tokens, and so one that reads them as text."""
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges,
                                     ignore_merges=name == "llama-bpe"))
    tokenizer.pre_tokenizer = pre_tokenizer(name)
    tokenizer.decoder = decoders.ByteLevel()
    if name in ("deepseek-r1-qwen", "qwen2"):
        tokenizer.normalizer = normalizers.NFC()
    return tokenizer


# --- the strings ----------------------------------------------------------------------------------

PHRASES = [
    "The quick brown fox doesn't jump; it'll've been they're WE'VE I'M he'd O'Reilly's rock'n'roll",
    "Der Zweck heiligt die Mittel: Größenmaßstäbe, naïve façade, señor, Łódź, žluťoučký kůň, Ça va",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ґанок, їжак'ється, ѣѳѵ",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Τί ἐστιν ἀλήθεια; ᾳ ᾷ ΐ",
    "דג סקרן שט בים מאוכזב ולפתע מצא לו חברה. שָׁלוֹם וּבְרָכָה",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ١٢٣٤٥ ۱۲۳ ـ لا إله",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का क़िला १२३ क्‍ष",
    "যুক্তাক্ষর কাণ্ড ড় ঢ় য় ো ৌ ২০২৪ தமிழ் கொண்டு తెలుగు ಕನ್ನಡ മലയാളം සිංහල ไทยแลนด์ น้ำ ລາວ",
    "ខ្មែរ မြန်မာဘာသာ བོད་ཡིག ქართული ენა հայերեն ግዕዝ ᏣᎳᎩ ᓀᐦᐃᔭᐍᐏᐣ ᚠᚢᚦ ᠮᠣᠩᠭᠣᠯ ꦗꦮ 𐌰𐌱𐌲 𓀀𓁐",
    "我能吞下玻璃而不伤身体。為什麼？人工智能「深度求索」，三體：１２３ 〇一二三 龥龦鿿㐀𠀀 豈更車",
    "いろはにほへと ちりぬるを パピプペポ がぎぐ ハ゜ カ゛ ﾊﾝｶｸ ー々〆 ゟヿ",
    "다람쥐 헌 쳇바퀴에 타고파 각 한글 ㅋㅋㅋ ᄒ 각",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 ⅷ Ⅻ ½ ² ³ ① ㊿ 𒐕 Å Å Å ﬁ ſ ẛ̣ ǰ Ω K",
    "Please reason step by step. Let x^2 + 3x - 4 = 0, so x ∈ {1, -4}: \\boxed{x_1} \\frac{a}{b}",
    "def f(x):\n    return [i**2 for i in range(10)]\n\n\nclass A(object):\n\tpass  # done\n",
    "#include <stdio.h>\r\nint main(void) {\r\n\tprintf(\"%d\\n\", 0x7fff & ~1);\r\n}\r\n",
    "SELECT * FROM t WHERE a >= 1.5e-10 AND b != 'it''s' -- ;\n",
    "{\"key\": [1, 2.0, null], \"ключ\": \"值\"}",
    "https://example.org/a/b?c=d&e=%20f#g user@host.example <div class=\"x\">&nbsp;</div>",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 1️⃣ ❤️‍🔥 🏴\U000e0067\U000e0062\U000e007f ☺︎ 🤷🏻‍♂️ 🫠🫡 ©️ ™ →⇒∀∃",
    "1234567890 3.14159 1,000,000 0xDEADBEEF 10^-5 50% 2024-05-17T12:34:56Z +49 (0)30 12 345 6789",
    "a  b   c    d\t\te \n\n \n  f\r\n\r\ng\u00a0h\u2003i\u3000j\u200bk\u2028l\u0085m \x0b\x0c n",
]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1f", "\x85",
          "\xa0", "\u1680", "\u180e", "\u2000", "\u2009", "\u200b", "\u2028", "\u2029", "\u202f",
          "\u205f", "\u2060", "\u3000", "\ufeff"]
CONTRACTIONS = ["'s", "'S", "'\u017f", "'t", "'T", "'re", "'RE", "'rE", "'ve", "'Ve", "'m", "'M",
                "'ll", "'lL", "'d", "'D", "\u2019s", "'r", "'v", "'l", "''s", "'x", "'se", " 's"]
EMOJI = ["\U0001f600", "\U0001f44d\U0001f3fd", "\U0001f469\u200d\U0001f4bb", "\U0001f1e9\U0001f1ea",
         "\u2764\ufe0f", "1\ufe0f\u20e3", "\U0001f3f4\U000e0067\U000e007f", "\u263a", "\U0001fae8",
         "\u00a9\ufe0f", "\U0001f937\U0001f3fb\u200d\u2642\ufe0f"]
CODE = ["def ", "return", "(x)", "{\n", "}\n", "    ", "\t", "==", "!=", "->", "::", "//", "/* */",
        "#", "self.", "[i]", "\"str\"", "'c'", ";", "\n\n", "<<", "&&", "||", "0x1F", "1e-5", "_a",
        "fooBar", "snake_case", "$x", "@dec", "\\n", "%d", "`ls`", "...", "<T>", "=>", "?:", "i++"]
# The first and last code points of ranges that hold the world's scripts and signs.
RANGES = [(0x21, 0x7e), (0xa1, 0x24f), (0x250, 0x36f), (0x370, 0x52f), (0x530, 0x5ff),
          (0x600, 0x7bf), (0x7c0, 0x8ff), (0x900, 0xdff), (0xe00, 0xfff), (0x1000, 0x137f),
          (0x1380, 0x18af), (0x18b0, 0x1cff), (0x1d00, 0x1fff), (0x2010, 0x2bff),
          (0x2c00, 0x2fff), (0x3000, 0x33ff), (0x3400, 0x9fff), (0xa000, 0xabff),
          (0xac00, 0xd7ff), (0xf900, 0xffff), (0x10000, 0x10fff), (0x11000, 0x11fff),
          (0x12000, 0x1bfff), (0x1c000, 0x1efff), (0x1f000, 0x1faff), (0x20000, 0x323af),
          (0xe0000, 0xe01ef), (0x10fff0, 0x10ffff)]


class Strings:
    """Generated strings; the same for a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        everything = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
        self.marks = [c for c in everything if unicodedata.category(c)[0] == "M"]
        self.numbers = [c for c in everything if unicodedata.category(c)[0] == "N"]
        self.controls = [c for c in everything if unicodedata.category(c) in ("Cc", "Cf")]
        self.decomposing = [c for c in everything
                            if unicodedata.decomposition(c)[:1] not in ("", "<")]
        self.kinds = [self.script, self.script, self.combining, self.decomposed, self.emoji,
                      self.code, self.number, self.space, self.control, self.phrase, self.phrase,
                      self.contraction, self.anything, self.repeated]

    def pick(self, choices, low, high):
        return [self.random.choice(choices) for _ in range(self.random.randint(low, high))]

    def script(self):
        low, high = self.random.choice(RANGES)
        chars = [chr(self.random.randint(low, high)) for _ in range(self.random.randint(2, 20))]
        return "".join(c + (" " if self.random.random() < 0.2 else "") for c in chars)

    def combining(self):
        out = ""
        for _ in range(self.random.randint(1, 6)):
            base = self.random.choice("aeiouAçйあかक가각ऀ \n1.ᄀאا")
            out += base + "".join(self.pick(self.marks, 0, 4))
        return out

    def decomposed(self):
        form = self.random.choice(["NFC", "NFD", "NFKD"])
        chars = "".join(self.pick(self.decomposing, 1, 8))
        return unicodedata.normalize(form, chars) if self.random.random() < 0.7 else chars

    def emoji(self):
        return "".join(self.pick(EMOJI + [" ", "a", "\u200d", "\ufe0f"], 1, 8))

    def code(self):
        return "".join(self.pick(CODE + [" "] * 8, 3, 20))

    def number(self):
        digits = self.pick("0123456789" * 3 + ",. -+eE/:%", 1, 16)
        return "".join(digits if self.random.random() < 0.5 else self.pick(self.numbers, 1, 8))

    def space(self):
        return "".join(self.pick(SPACES * 2 + ["a", "1", ".", "字", "é"], 2, 16))

    def control(self):
        return "".join(self.pick(self.controls + list("aZ 1.\n中"), 1, 12))

    def phrase(self):
        phrase = self.random.choice(PHRASES)
        begin = self.random.randrange(len(phrase))
        return phrase[begin:begin + self.random.randint(3, 60)]

    def contraction(self):
        return "".join(self.pick(CONTRACTIONS * 2 + ["I", " we", "x", "1", " ", "\n", "é"], 2, 10))

    def anything(self):
        return "".join(c for c in (chr(self.random.randrange(0x110000)) for _ in range(10))
                       if not "\ud800" <= c <= "\udfff")

    def repeated(self):
        unit = self.random.choice(["a", " ", "\n", "=", "ab", "é", "字", "\u0301", "1", "A", ". ",
                                   "\r\n", "\t", "\U0001f600"])
        return unit * self.random.randint(2, 80)

    def make(self):
        parts = self.random.choice((1, 1, 2, 3))
        return "".join(self.random.choice(self.kinds)() for _ in range(parts))

    def with_specials(self, specials):
        parts = []
        for _ in range(self.random.randint(1, 4)):
            parts.append(self.phrase() if self.random.random() < 0.5 else self.space())
            special = self.random.choice(specials)
            cut = self.random.random()
            parts.append(special if cut < 0.8 else special[:-1] if cut < 0.9 else special[1:])
        return "".join(parts + [self.script()])


# --- tiny -----------------------------------------------------------------------------------------


def trained_vocabulary():
    trainer = trainers.BpeTrainer(vocab_size=900, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer("qwen2")
    strings = Strings(5)
    texts = PHRASES * 8 + [kind() for kind in strings.kinds * 40]
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    # Whole words that no merge makes: what ignore_merges is about.
    for word in ("Ġbrown", "SELECT", "quick"):
        model["vocab"].setdefault(word, len(model["vocab"]))
    return model["vocab"], merges


FAMILIES = ["deepseek-r1-qwen", "qwen2", "llama-bpe", "deepseek-v3", "smollm", "gpt-2", "default"]


def write_tiny():
    vocab, merges = trained_vocabulary()
    strings = Strings(7)
    texts = PHRASES + SPACES + CONTRACTIONS + EMOJI + [""]
    texts += [kind() for kind in strings.kinds * 20] + [strings.make() for _ in range(60)]
    ids = {}
    for family in FAMILIES:
        tokenizer = reference(family, vocab, merges)
        ids[family] = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    FIXTURES.mkdir(parents=True, exist_ok=True)
    dump(FIXTURES / "tiny_vocabulary.json",
         {"tokens": sorted(vocab, key=vocab.get), "merges": [" ".join(m) for m in merges]})
    dump(FIXTURES / "tiny_goldens.json", {"strings": texts, "ids": ids})


def dump(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


# --- real -----------------------------------------------------------------------------------------


def gguf_metadata(path):
    """The metadata of a GGUF file, strings as bytes."""
    with open(path, "rb") as file:
        def read(form):
            return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))

        def string():
            return file.read(read("Q")[0])

        def value(kind):
            if kind == 8:
                return string()
            if kind == 9:
                element, count = read("IQ")
                if element == 8:
                    return [string() for _ in range(count)]
                return list(read(f"{count}{SCALARS[element]}"))
            return read(SCALARS[kind])[0]

        assert file.read(4) == b"GGUF"
        _, _, n_keys = read("IQQ")
        metadata = {}
        for _ in range(n_keys):
            key = string().decode()
            metadata[key] = value(read("I")[0])
        return metadata


SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
           12: "d"}
CONTROL, USER_DEFINED = 3, 4


def from_gguf(name, path):
    """(reads specials as text, parses specials, special spellings)"""
    metadata = gguf_metadata(path)
    tokens = [token.decode() for token in metadata["tokenizer.ggml.tokens"]]
    merges = [tuple(m.decode().split(" ")) for m in metadata["tokenizer.ggml.merges"]]
    kinds = metadata["tokenizer.ggml.token_type"]
    vocab = {token: i for i, token in enumerate(tokens)}
    specials = [t for t, kind in zip(tokens, kinds) if kind in (CONTROL, USER_DEFINED)]
    parsing = reference(name, vocab, merges)
    parsing.add_tokens([AddedToken(t, normalized=False) for t in specials])
    return reference(name, vocab, merges), parsing, specials


def from_json(path):
    text = path.read_text(encoding="utf-8")
    plain = json.loads(text)
    specials = [token["content"] for token in plain["added_tokens"]]
    plain["added_tokens"] = []
    plain["post_processor"] = None
    return Tokenizer.from_str(json.dumps(plain)), Tokenizer.from_str(text), specials


def from_fixture(name):
    """The committed vocabulary: real ones of these two families can't be had."""
    fixture = json.loads((FIXTURES / "tiny_vocabulary.json").read_text())
    vocab = {token: i for i, token in enumerate(fixture["tokens"])}
    merges = [tuple(merge.split(" ")) for merge in fixture["merges"]]
    specials = ["<|endoftext|>", "<|end|>", "<|end|>of"]
    parsing = reference(name, vocab, merges)
    parsing.add_tokens([AddedToken(t, normalized=False) for t in specials])
    return reference(name, vocab, merges), parsing, specials


def real_families():
    vocabularies = REAL / "tokenizer"
    return {
        "smollm": lambda: from_gguf("smollm", REAL / "SmolLM2-135M-Instruct.Q4_1.gguf"),
        "deepseek-r1-qwen":
            lambda: from_gguf("deepseek-r1-qwen", REAL / "r1-distill-qwen-7b.part0.gguf"),
        "qwen2": lambda: from_json(vocabularies / "qwen3" / "tokenizer.json"),
        "llama-bpe": lambda: from_json(vocabularies / "llama3_1" / "tokenizer.json"),
        "deepseek-v3": lambda: from_json(vocabularies / "deepseek_v3" / "tokenizer.json"),
        "gpt-2": lambda: from_fixture("gpt-2"),
        "default": lambda: from_fixture("default"),
    }


def write_real():
    strings = Strings(11)
    texts = PHRASES + CONTRACTIONS + [strings.make() for _ in range(20000)]
    folder = REAL / "tokenizer_goldens"
    folder.mkdir(parents=True, exist_ok=True)
    for family, load in real_families().items():
        plain, parsing, specials = load()
        marked = [strings.with_specials(specials) for _ in range(1500)]
        all_texts = texts + marked
        as_text = plain.encode_batch(all_texts, add_special_tokens=False)
        parsed = parsing.encode_batch(all_texts, add_special_tokens=False)
        with open(folder / f"{family}.jsonl", "w", encoding="ascii") as file:
            for text, ids, special_ids in zip(all_texts, as_text, parsed):
                row = {"text": text, "ids": ids.ids}
                if special_ids.ids != ids.ids:
                    row["special_ids"] = special_ids.ids
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
        print(f"{family}: {len(all_texts)} strings")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["tiny"]:
            write_tiny()
        case ["real"]:
            write_real()
        case _:
            sys.exit(__doc__)

#!/usr/bin/env python3
"""References for the native chat templates, made with the published Jinja sources and transformers.

  template_goldens.py goldens  writes tests/tokenizer/fixtures/chat_template_goldens.json: generated
                               conversations; for each template the text that
                               apply_chat_template gives for each of them (null: it raises; a
                               triple: see differences()); and the normal forms of small Jinja
                               sources as Jinja's own lexer gives them
  template_goldens.py known    writes src/tokenizer/chat_template_known.inc: the normal forms of the
                               published sources (docs/templates.md)

Needs transformers and jinja2, the files that tools/fetch_real.py fetches (--real, default
.cache/real) and a folder with the sources that the fetched files lack (--templates: the
models/templates folder of llama.cpp's source tree).
"""

import argparse
import json
import pathlib
import random
import struct

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers.utils.chat_template_utils import render_jinja_template

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "tests" / "tokenizer" / "fixtures" / "chat_template_goldens.json"
KNOWN = ROOT / "src" / "tokenizer" / "chat_template_known.inc"
N_CONVERSATIONS = 225
DATE = "26 Jul 2024"

# ---- the published sources ----------------------------------------------------------------------

CHATML_LOOP = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
               "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt "
               "%}{{ '<|im_start|>assistant\\n' }}{% endif %}")
UNDEFINED_MEANS_NO = ("{% if not add_generation_prompt is defined %}"
                      "{% set add_generation_prompt = false %}{% endif %}")


def gguf_template(path):
    """tokenizer.chat_template of a GGUF file, or of the head of one."""
    head = path.open("rb").read(16 << 20)
    key = b"tokenizer.chat_template"
    at = head.index(struct.pack("<Q", len(key)) + key) + 8 + len(key)
    kind, length = struct.unpack_from("<IQ", head, at)
    assert kind == 8, "expected a string"
    return head[at + 12:at + 12 + length].decode()


def npm_template(real, name):
    config = json.loads((real / "tokenizer" / name / "tokenizer_config.json").read_text())
    return config["chat_template"]


def sources(real, templates):
    """(family, what it is, source) of every published template that is recognised."""
    older = gguf_template(real / "r1-distill-qwen-7b.part0.gguf")
    older_end = "{{'<｜Assistant｜>'}}{% endif %}"
    newer_end = "{{'<｜Assistant｜><think>\\n'}}{% endif %}"
    assert older.endswith(older_end)
    smol = gguf_template(real / "SmolLM2-135M-Instruct.Q4_1.gguf")
    def read(name):
        return (templates / name).read_text()
    return [
        ("kR1Older", "R1 distills, January 2025", older),
        ("kR1", "R1 distills, since February 2025", older.removesuffix(older_end) + newer_end),
        ("kR1", "the same, laid out in lines",
         read("deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja")),
        ("kChatMl", "ChatML", CHATML_LOOP),
        ("kChatMl", "ChatML", UNDEFINED_MEANS_NO + CHATML_LOOP),
        ("kChatMlDefault", "SmolLM2, Qwen 1.5 and 2", smol),
        ("kQwen25", "Qwen 2.5", read("Qwen-Qwen2.5-7B-Instruct.jinja")),
        ("kLlama3", "Llama 3", npm_template(real, "llama3_1")),
        ("kLlama31", "Llama 3.1 and 3.3", read("meta-llama-Llama-3.1-8B-Instruct.jinja")),
        ("kLlama31", "Llama 3.2", read("meta-llama-Llama-3.2-3B-Instruct.jinja")),
    ]


# ---- normal forms, by Jinja's own lexer ---------------------------------------------------------

PLAIN_KEYS = {"role", "content", "tool_calls", "function", "name", "arguments", "type", "id",
              "reasoning_content", "parameters"}
KEYWORDS = {"in", "and", "or", "not", "if", "is", "else", "elif"}
SYSTEM_OPEN, SYSTEM_CLOSE = "<|im_start|>system\n", "<|im_end|>\n"


def normal_form(source):
    """What normalise_jinja gives: a list of (kind, text)."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    tokens = []

    def add_data(text):
        if not text:
            return
        if tokens and tokens[-1][0] == "d":
            tokens[-1] = ("d", tokens[-1][1] + text)
        else:
            tokens.append(("d", text))

    first = 0
    for _, kind, value in environment.lexer.tokeniter(source, None):
        if kind == "data":
            add_data(value)
        elif kind in ("block_begin", "variable_begin"):
            first = len(tokens)
            tokens.append(("%" if kind == "block_begin" else "{", ""))
        elif kind in ("block_end", "variable_end"):
            if len(tokens) == first + 2 and tokens[first][0] == "{" and tokens[-1][0] == "s":
                literal = tokens[-1][1]
                del tokens[first:]
                add_data(literal)
            else:
                tokens.append(("}", ""))
        elif kind == "string":
            text = value[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")
            tokens.append(("s", text))
        elif kind in ("integer", "float"):
            tokens.append(("n", value))
        elif kind == "name":
            tokens.append(("w", value.lower() if value in ("True", "False", "None") else value))
        elif kind == "operator":
            tokens.append(("o", value))
            subscript = tokens[-4:]
            if (len(subscript) == 4 and value == "]" and subscript[2][0] == "s"
                    and subscript[2][1] in PLAIN_KEYS and subscript[1] == ("o", "[")
                    and ((subscript[0][0] == "w" and subscript[0][1] not in KEYWORDS)
                         or subscript[0] in (("o", "]"), ("o", ")")))):
                tokens[-3:] = [("o", "."), ("w", subscript[2][1])]
        else:
            assert kind in ("whitespace", "comment", "comment_begin", "comment_end"), kind
    return tokens


def framed_system(token):
    kind, text = token
    frame = len(SYSTEM_OPEN) + len(SYSTEM_CLOSE)
    if (kind in "ds" and text.startswith(SYSTEM_OPEN) and text.endswith(SYSTEM_CLOSE)
            and len(text) > frame):
        return text[len(SYSTEM_OPEN):-len(SYSTEM_CLOSE)]
    return None


def blank_default_system(tokens):
    system = next((s for s in map(framed_system, tokens) if s is not None), None)
    if system is None or "<|im_" in system:
        return tokens
    def blank(token):
        if token[0] in "ds" and token[1] == system:
            return (token[0], "\x01")
        if framed_system(token) == system:
            return (token[0], SYSTEM_OPEN + "\x01" + SYSTEM_CLOSE)
        return token
    return [blank(token) for token in tokens]


def form_hash(tokens):
    value = 0xCBF29CE484222325
    for kind, text in tokens:
        for byte in kind.encode() + text.encode() + b"\0":
            value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def write_known(published):
    lines, seen = [], set()
    for family, what, source in published:
        tokens = blank_default_system(normal_form(source))
        entry = (form_hash(tokens), len(tokens))
        print(f"{entry[0]:016x} {entry[1]:4} {family}: {what}")
        if entry not in seen:
            lines.append(f"    {{0x{entry[0]:016x}u, {entry[1]}, Family::{family}}},  // {what}\n")
        seen.add(entry)
    KNOWN.write_text("// Written by tools/template_goldens.py known.\n" + "".join(lines))


# ---- conversations ------------------------------------------------------------------------------

SPECIALS = ["<think>", "</think>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>",
            "<｜begin▁of▁sentence｜>", "<|im_start|>", "<|im_end|>", "<|eot_id|>",
            "<|begin_of_text|>", "<|start_header_id|>", "<｜tool▁calls▁begin｜>",
            "<｜tool▁outputs▁end｜>", "<tool_call>", "</tool_response>", "<|python_tag|>"]
ODD = ["", " ", "\n", "\n\n", "  x  ", "\tx\t\n", "a\r\nb", "\u00a0x\u3000", "\u2028y\x1f", "\x85",
       "\x00\x01\x7f", "{{ bos_token }}", "{% if x %}", "'\"\\", "\\n", "e\u0301\u0323", "﷽",
       "𝒳🧑‍🚀🇪🇺", "\u200b\ufeff", "ﬁﬀ½", "العربية", "日本語のテキスト", "हिन्दी", "ẞß", "0" * 20, "None",
       "null", "<script>&amp;", "```json\n{}\n```"]
PLAIN = ["Hi", "What is 2+2?", "Sum 7 and 8.", "Why is the sky blue?", "Go on.", "Thanks!", "No.",
         "Write a haiku.", "def f(x):\n    return x", "Is 91 prime?", "x = {1: 'a'}", "Et alors ?"]
ANSWERS = ["4.", "15", "Rayleigh scattering.", "It is 7 * 13.", "Sure:\n- a\n- b", "I can't."]
NAMES = ["add", "get_weather", "f", "näme", 'q"uote', "a.b-c"]
ARGUMENTS = ['{}', '{"x": 1}', '{"city": "Zürich", "days": 3}',
             '{"a":[1,2.50,-0,1e3,1E-7],"b":null}',
             '{"s": "tab\\t \\u00e9 \\ud83d\\ude00 \\/ \\" \\\\"}',
             '{"n": {"m": {"k": [true, false]}}}',
             '[]', '"text"', '12345678901234567890123', '1.0', '0.1', '1e22',
             '123456789012345680.0',
             '5e-324', 'not json', '{"unclosed": ', '', '  {"sp" :  [ ] }  ', '-0.0', '{"z": {}}',
             '1e-5', '0.0001', '9007199254740993', '{"x": "</tool_call>"}']
TOOLS = [
    {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {
        "type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}}},
    {"type": "function", "function": {"name": "wetter", "description": "Für \"heute\" <b>\n",
                                      "parameters": {}, "strict": True, "n": 1.5}},
    {"name": "bare", "list": [], "nested": [[1, 2], [{}], "é"]},
]
SYSTEMS = ["Be brief.", "You are a pirate.", "Antworte auf Deutsch.", "\n Trim me \n"]
TOOL_RESULTS = ['{"ok": true}', "12 °C", "error: no such city", "line 1\nline 2", '"quoted"']


def text(rng, plain):
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(plain)
    if kind < 0.75:
        return rng.choice(ODD)
    if kind < 0.9:
        return rng.choice(["", "a ", "Say "]) + rng.choice(SPECIALS) + rng.choice(["", "!", " b\n"])
    return rng.choice(ODD) + rng.choice(plain) + rng.choice(SPECIALS) + rng.choice(ODD)


def answer(rng):
    body = text(rng, ANSWERS)
    thought = rng.random()
    if thought < 0.3:
        return "<think>\nHm, " + rng.choice(PLAIN) + "\n</think>\n\n" + body
    if thought < 0.4:
        return rng.choice(PLAIN) + "</think>" + body + rng.choice(["", "</think>", "</think>z"])
    return body


def calls(rng):
    count = rng.choice([1] * 14 + [2, 3])
    return [{"name": rng.choice(NAMES), "arguments": rng.choice(ARGUMENTS)} for _ in range(count)]


def conversation(rng):
    """One conversation in our own form, as the C++ test reads it."""
    messages = []
    if rng.random() < 0.45:
        messages.append({"role": "system", "content": text(rng, SYSTEMS)})
    for _ in range(rng.choice([1, 1, 1, 2, 2])):
        messages.append({"role": "user", "content": text(rng, PLAIN)})
        turn = rng.random()
        if turn < 0.35:
            for _ in range(rng.choice([1, 1, 2])):
                called = calls(rng)
                said = "" if rng.random() < 0.75 else text(rng, ANSWERS)
                messages.append({"role": "assistant", "content": said, "calls": called})
                for _ in called[:rng.choice([1, 2, 3])]:
                    messages.append({"role": "tool", "content": text(rng, TOOL_RESULTS)})
            if rng.random() < 0.5:
                messages.append({"role": "assistant", "content": answer(rng)})
        elif turn < 0.85:
            messages.append({"role": "assistant", "content": answer(rng)})
        if rng.random() < 0.06:
            messages.append({"role": "system", "content": text(rng, SYSTEMS)})
    if rng.random() < 0.5 and messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": text(rng, PLAIN)})
    out = {"messages": messages, "prompt": rng.random() < 0.8}
    if rng.random() < 0.25:
        out["tools"] = json.dumps(rng.sample(TOOLS, rng.choice([0, 1, 1, 2])), ensure_ascii=False,
                                  separators=rng.choice([(",", ":"), (", ", ": ")]))
    if rng.random() < 0.2:
        out["date"] = rng.choice(["01 Jan 2025", "23 Nov 2026"])
    return out


def loads_or_text(arguments):
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def hf_messages(messages, parse_arguments):
    """The messages as transformers takes them: a turn of calls alone has a content of None."""
    out = []
    for message in messages:
        turn = {"role": message["role"], "content": message["content"]}
        if "calls" in message:
            parse = loads_or_text if parse_arguments else str
            turn["tool_calls"] = [
                {"type": "function",
                 "function": {"name": call["name"], "arguments": parse(call["arguments"])}}
                for call in message["calls"]]
            turn["content"] = message["content"] or None
        out.append(turn)
    return out


def render(source, bos, chat, uses_none, parse_arguments):
    """What apply_chat_template(tokenize=False) returns, or None where it raises."""
    messages = hf_messages(chat["messages"], parse_arguments)
    if not uses_none:
        for message in messages:
            message["content"] = message["content"] or ""
    tools = json.loads(chat["tools"]) if "tools" in chat else None
    try:
        rendered, _ = render_jinja_template(
            conversations=[messages], tools=tools, chat_template=source,
            add_generation_prompt=chat["prompt"], bos_token=bos,
            date_string=chat.get("date", DATE))
    except (jinja2.exceptions.TemplateError, TypeError):
        return None
    return rendered[0]


# Small sources for the lexer's own test.
LAYOUTS = [
    "", "text", "text\n", "a\r\nb\rc\n\n", "{{ x }}", "{{x}}\n", "{{'a'}}b{{ \"c\" }}",
    "{% if x %}\n  a\n{% endif %}\nb", "{% if x -%}\n  a\n{%- endif %}\n b",
    "  {% if x %}y{% endif %}",
    "a  {%+ if x %} y {%- endif +%}\nz", "{# note #}\nx{#- n -#}  y", "x {# a #} y\n  {# b #}\nz",
    "{{ m['role'] }}{{ m.role }}{{ m[\"role\"] }}", "{{ m['other'] }}",
    "{% if 'a' in ['role'] %}{% endif %}",
    "{{ f(x)['name'] }}{{ a[0]['type'] }}{{ (a)['id'] }}", "{{ 'it\\'s' }}",
    "{{ 'a\\tb\\u00e9\\x41' }}",
    "{{ {'a': 1}['a'] }}", "{{ True and none }}", "{{ 1.5 + 20 - x[-1:] }}", "{{- x -}}  y",
    "{{ x }}  \n  {{- y }}",
    "{% set a = '%}' %}b", "{{ '}}' }}{{ x ~ '}}' }}",
    "{%- for m in ms -%} {{ m }} {%- endfor -%} ",
    "a{% if x %}{# c #}{% endif %}b", "\u00a0{%- x %}", "{{ x|trim }}{{ x | trim }}",
    "{{ {} }}{{ [] }}",
    "{% if a %}\n{% endif %}   {% if b %}\n{% endif %}\n", "x\n  {{ y }}\n   {% z %}",
    CHATML_LOOP, CHATML_LOOP.replace("['role']", ".role").replace("\\n", "\n"),
    "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{{ 'Be kind.' }}",
]


def differences(texts, others):
    """Each text as [bytes shared at the start, what differs, bytes shared at the end] with the
    other template's text for the same conversation, where both exist."""
    out = []
    for one, other in zip(texts, others):
        if one is None or other is None:
            out.append(one)
            continue
        limit, start, end = min(len(one), len(other)), 0, 0
        while start < limit and one[start] == other[start]:
            start += 1
        while end < limit - start and one[-1 - end] == other[-1 - end]:
            end += 1
        tail = one[len(one) - end:]
        out.append([len(one[:start].encode()), one[start:len(one) - end], len(tail.encode())])
    return out


def write_goldens(published):
    by_family = {}
    for family, _, source in published:
        by_family.setdefault(family, source)
    r1_bos, llama_bos = "<｜begin▁of▁sentence｜>", "<|begin_of_text|>"
    smol = by_family["kChatMlDefault"]
    # name: source, bos, whether a turn of calls alone has no content, whether arguments are parsed
    templates = {
        "deepseek-r1": (by_family["kR1"], r1_bos, True, False),
        "deepseek-r1-older": (by_family["kR1Older"], r1_bos, True, False),
        "chatml": (by_family["kChatMl"], "", False, False),
        "chatml-smollm2": (smol, "<|im_start|>", False, False),
        "chatml-qwen2.5": (by_family["kQwen25"], "", True, True),
        "llama3": (by_family["kLlama3"], llama_bos, False, False),
        "llama3.1": (by_family["kLlama31"], llama_bos, True, True),
    }
    rng = random.Random(20261123)
    chats = [conversation(rng) for _ in range(N_CONVERSATIONS)]
    expected = {name: [render(source, bos, chat, uses_none, parse) for chat in chats]
                for name, (source, bos, uses_none, parse) in templates.items()}
    for name, texts in expected.items():
        print(f"{name}: {sum(t is not None for t in texts)} rendered, {texts.count(None)} raise")
    names = list(expected)
    packed = [{"name": names[0], "texts": expected[names[0]]}]
    for name, other in zip(names[1:], names):
        packed.append({"name": name, "texts": differences(expected[name], expected[other])})
    forms = []
    for source in LAYOUTS:
        tokens = normal_form(source)
        blanked = blank_default_system(tokens)
        forms.append({"source": source, "parts": len(tokens), "hash": f"{form_hash(tokens):016x}",
                      "blanked": f"{form_hash(blanked):016x}"})
    fixture = {"conversations": chats, "expected": packed, "forms": forms}
    GOLDENS.parent.mkdir(parents=True, exist_ok=True)
    GOLDENS.write_text(json.dumps(fixture, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{GOLDENS.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("goldens", "known"))
    parser.add_argument("--real", type=pathlib.Path, default=ROOT / ".cache" / "real")
    parser.add_argument("--templates", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    published = sources(arguments.real, arguments.templates)
    if arguments.what == "known":
        write_known(published)
    else:
        write_goldens(published)


if __name__ == "__main__":
    main()

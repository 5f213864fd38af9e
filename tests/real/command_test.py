#!/usr/bin/env python3
"""The reckon command on real files, as a user or a program calls it. Label real.

Usage: command_test.py RECKON     (files in $RECKON_REAL_DIR, default .cache/real)
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
REAL = pathlib.Path(os.environ.get("RECKON_REAL_DIR") or REPOSITORY / ".cache" / "real")
SMOL = REAL / "SmolLM2-135M-Instruct.Q4_1.gguf"
HEAD_7B = REAL / "r1-distill-qwen-7b.part0.gguf"
RECKON = ""


def run(*arguments, stdin=b"", isa=None):
    environment = dict(os.environ)
    if isa:
        environment["RECKON_ISA"] = isa
    return subprocess.run([RECKON, *map(str, arguments)], input=stdin, capture_output=True,
                          env=environment, check=False, timeout=600)


def json_of(finished):
    """The one object on the one line of a successful --json command."""
    assert finished.returncode == 0, (finished.returncode, finished.stderr)
    assert finished.stdout.count(b"\n") == 1 and finished.stdout.endswith(b"\n"), finished.stdout
    return json.loads(finished.stdout)


@unittest.skipUnless(SMOL.is_file(), f"{SMOL} is missing")
class SmolLM2(unittest.TestCase):
    def ask(self, *arguments, question="What is the capital of France?", **options):
        if "--temp" not in arguments:
            arguments += ("--temp", 0)
        return json_of(run("ask", "-m", SMOL, "--max-tokens", 24, "--json", *arguments, question,
                           **options))

    def test_answer_and_usage(self):
        found = self.ask()
        self.assertEqual(set(found), {"thinking", "answer", "finish_reason", "thought_end", "usage",
                                      "timings"})
        self.assertEqual(found["thought_end"], "none")
        self.assertEqual(found["thinking"], "")  # this model does not think
        self.assertTrue(found["answer"].strip())
        self.assertIn(found["finish_reason"], ("stop", "length"))
        self.assertEqual(set(found["usage"]), {"prompt_tokens", "thinking_tokens", "answer_tokens",
                                               "scaffold_tokens", "computed_tokens",
                                               "probe_tokens", "discarded_tokens"})
        self.assertEqual(found["usage"]["thinking_tokens"], 0)
        self.assertLessEqual(found["usage"]["answer_tokens"], 24)
        # Joules too, where the machine tells.
        self.assertEqual(set(found["timings"]) - {"joules"},
                         {"load_ms", "prefill_ms", "decode_ms", "total_ms", "prefill_tok_s",
                          "decode_tok_s"})

    def test_greedy_answer_is_the_same_every_way(self):
        expected = self.ask()
        for arguments, options in ((("--threads", 1), {}), (("--threads", 3), {}),
                                   (("--ctx", 512), {}), ((), {"isa": "scalar"})):
            with self.subTest(arguments=arguments, **options):
                found = self.ask(*arguments, **options)
                self.assertEqual(found["answer"], expected["answer"])
                self.assertEqual(found["usage"], expected["usage"])

    def test_question_from_standard_input(self):
        expected = self.ask()
        self.assertEqual(self.ask(question="-", stdin=b"What is the capital of France?")["answer"],
                         expected["answer"])

    def test_seed_decides_the_draw(self):
        answers = [self.ask("--temp", 1.5, "--seed", seed)["answer"] for seed in (1, 1, 2, 3)]
        self.assertEqual(answers[0], answers[1])
        self.assertGreater(len(set(answers)), 1)

    def test_raw_completion(self):
        found = self.ask("--raw", question="The capital of France is")
        self.assertEqual(found["usage"]["prompt_tokens"], 5)
        self.assertTrue(found["answer"].startswith(" Paris"), found["answer"])

    def test_tokenize_round_trip(self):
        text = "Größe 日本 🙂\r\n\t<|im_end|> 12345".encode() + b"\x80\xc3("
        ids = json_of(run("tokenize", "-m", SMOL, "--json", stdin=text))
        self.assertNotIn(2, ids["ids"])  # <|im_end|> stays text
        back = run("tokenize", "-m", SMOL, "--decode", stdin=json.dumps(ids).encode())
        self.assertEqual(back.stdout, text)
        special = json_of(run("tokenize", "-m", SMOL, "--special", "--json", stdin=text))
        self.assertIn(2, special["ids"])

    def test_show(self):
        found = json_of(run("show", SMOL, "--json"))
        self.assertEqual(len(found["tensors"]), 272)
        text = run("show", SMOL)
        self.assertEqual(text.returncode, 0)
        self.assertIn(b"30 layers", text.stdout)

    def test_a_context_beyond_the_models_is_wrong_usage(self):
        finished = run("ask", "-m", SMOL, "--ctx", 10_000_000, "x")
        self.assertEqual(finished.returncode, 2, finished.stderr)
        self.assertEqual(finished.stdout, b"")

    def test_a_cut_copy_is_a_bad_file(self):
        with tempfile.TemporaryDirectory() as folder:
            cut = pathlib.Path(folder, "cut.gguf")
            whole = SMOL.read_bytes()
            for size in (0, 3, 1000, 1 << 20, len(whole) - 1):
                with self.subTest(size=size):
                    cut.write_bytes(whole[:size])
                    finished = run("ask", "-m", cut, "x")
                    self.assertEqual(finished.returncode, 3, finished.stderr)
                    self.assertIn(str(cut).encode(), finished.stderr)
                    self.assertEqual(finished.stdout, b"")


@unittest.skipUnless(HEAD_7B.is_file(), f"{HEAD_7B} is missing")
class HeadOfTheReal7B(unittest.TestCase):
    def test_it_is_refused_as_cut_short(self):
        for command in (("show", HEAD_7B), ("ask", "-m", HEAD_7B, "x")):
            with self.subTest(command=command[0]):
                finished = run(*command)
                self.assertEqual(finished.returncode, 3)
                self.assertEqual(finished.stdout, b"")
                for part in (str(HEAD_7B).encode(), b"4683073248", b"99614720"):
                    self.assertIn(part, finished.stderr)

    def test_every_byte_comes_back(self):
        # (SmolLM2's vocabulary lacks tokens for 21 bytes; this one is complete.)
        everything = bytes(range(256)) * 2 + b"\xf0\x9f\x99 cut"
        ids = json_of(run("tokenize", "-m", HEAD_7B, "--json", stdin=everything))
        back = run("tokenize", "-m", HEAD_7B, "--decode", stdin=json.dumps(ids).encode())
        self.assertEqual(back.stdout, everything)

    def test_marks_typed_by_a_user_stay_text(self):
        marks = "<think></think><｜User｜><｜Assistant｜><｜end▁of▁sentence｜>".encode()
        plain = json_of(run("tokenize", "-m", HEAD_7B, "--json", stdin=marks))["ids"]
        self.assertFalse({151648, 151649, 151644, 151645, 151643} & set(plain), plain)
        special = json_of(run("tokenize", "-m", HEAD_7B, "--special", "--json", stdin=marks))["ids"]
        self.assertEqual(special[-5:], [151648, 151649, 151644, 151645, 151643])


if __name__ == "__main__":
    RECKON = sys.argv.pop(1)
    unittest.main(verbosity=2)

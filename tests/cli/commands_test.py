"""Every command from the outside: its JSON, its exit codes, its errors.

Usage: commands_test.py RECKON [unittest's arguments]
"""

import json
import os
import shutil
import signal
import subprocess
import time

import harness
from harness import RECKON, read_until

NUMBER = (int, float)


class Bundled(harness.Tests):
    def test_answers_where_none_is_named(self):
        ask = self.expect(0, "ask", "--temp", "0", "--show-thinking", "What is 12 + 35?")
        self.assertEqual(ask.stdout, b"47\n")
        self.assertIn(b"12+35", ask.stderr)
        self.assertIn("number", self.expect(0, "ask", "--temp", "0", "Who was the first king of "
                                            "France?").stdout.decode())

    def test_is_not_stopped_at_a_result_on_the_way(self):
        for rule in ("confident", "agreed", "either"):
            for question, answer in (("What is 412*37?", b"15244"), ("What is 58*64?", b"3712")):
                ask = self.expect(0, "ask", "--temp", "0", "--early-stop", rule, question)
                self.assertEqual(ask.stdout.strip(), answer, (rule, question))

    def test_explains_why_the_thought_ended(self):
        def explanation(*more):
            return self.expect(0, "ask", "-m", "reckon-small", "--temp", "0", "--explain", *more,
                               "What is 412*37?").stderr.decode()

        self.assertRegex(explanation(), r"ended after \d+ tokens: the model closed it\.")
        self.assertRegex(explanation("--think-budget", 4), r"ended after 4 tokens: its budget\.")
        self.assertIn("1 side branch took", explanation("--early-stop", "confident"))
        self.assertIn("The vote was decided (no other answer could catch up); no more paths were "
                      "begun.", explanation("--paths", 3, "--window", 1, "--vote-confidence", 1))

    def test_is_a_model_like_others(self):
        models = json.loads(self.expect(0, "list", "--json").stdout)["models"]
        own = [model for model in models if model["name"] == "reckon-small"]
        self.assertEqual([model["origin"] for model in own], ["reckon"])
        self.expect(0, "verify", "reckon-small")
        self.assertIn(b"deepseek-r1", self.expect(0, "show", "reckon-small").stdout)
        self.expect_error(2, "reckon-small", "rm", "reckon-small")
        copy = self.folder / "copy.gguf"
        self.expect(0, "quantize", "bundled:reckon-small", copy, "--type", "f16")
        ask = self.expect(0, "ask", "-m", copy, "--temp", "0", "What is 12 + 35?")
        self.assertEqual(ask.stdout, b"47\n")


class Surroundings(harness.Tests):
    def test_a_closed_stream_is_not_written_into_files(self):
        for closed in ((2,), (1, 2), (0, 1, 2)):
            target = self.folder / "closed.gguf"
            command = "exec \"$@\" " + " ".join(f"{fd}>&-" for fd in closed)
            run = subprocess.run(["sh", "-c", command, "sh", RECKON, "quantize", self.model, target,
                                  "--type", "q8_0"], env=self.environment(), check=False)
            self.assertIn(run.returncode, (0, 1), closed)
            if target.exists():
                self.expect(0, "quantize", self.model, "open.gguf", "--type", "q8_0")
                self.assertEqual(target.read_bytes(), (self.folder / "open.gguf").read_bytes())
                target.unlink()

    def test_a_file_needs_no_home(self):
        for model in (self.model, "reckon-small"):
            run = subprocess.run([RECKON, "ask", "-m", model, "--max-tokens", "4", "x"], env={},
                                 capture_output=True, check=False)
            self.assertEqual(run.returncode, 0, run.stderr)
        self.expect(0, "show", self.model, env={"HF_ENDPOINT": "nonsense"})

    def test_a_file_that_may_not_grow_is_an_error(self):
        run = subprocess.run(["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", RECKON, "quantize",
                              self.model, "large.gguf", "--type", "f16"], cwd=self.folder,
                             env=self.environment(), capture_output=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"large.gguf", run.stderr)
        self.assertEqual(list(self.folder.glob("large.gguf*")), [])


class OddHeads(harness.Tests):
    """Heads of 8 elements, for which there is no 8-bit cache."""

    def test_the_8_bit_cache_is_refused_where_it_cannot_be(self):
        small = self.folder / "small.gguf"
        self.expect(0, "train", "init", "--tokenizer", self.model, "--d", "32", "--heads", "4",
                    "--kv-heads", "2", "--ffn", "64", "--layers", "2", "-o", small)
        self.assertIn(b"cache", self.expect(0, "show", small).stdout)
        memory = json.loads(self.expect(0, "show", small, "--json").stdout)["memory"]
        self.assertIn("kv_f16_bytes", memory["by_context"][0])
        self.assertNotIn("kv_q8_bytes", memory["by_context"][0])
        self.assertIn("kv_q8_bytes", json.loads(self.expect(
            0, "show", "reckon-small", "--json").stdout)["memory"]["by_context"][0])
        self.expect_error(2, "multiple of 32", "ask", "-m", small, "--kv-type", "q8", "x")
        self.expect_error(2, "multiple of 32", "bench", "-m", small, "--kv-type", "q8")
        self.expect(0, "ask", "-m", small, "--max-tokens", "4", "--template", "deepseek-r1", "x")


class Usage(harness.Tests):
    def test_help_teaches(self):
        text = self.expect(0, "--help").stdout.decode()
        for name in ("ask", "chat", "show", "tokenize", "convert", "quantize", "synth",
                     "perplexity", "bench", "version", "completion"):
            self.assertRegex(text, rf"(?m)^  {name} ")
            page = self.expect(0, name, "--help").stdout.decode()
            self.assertIn(f"Usage: reckon {name}", page)
            for line in page.split("\n"):
                self.assertLessEqual(len(line), 110, line)
        self.assertIn("Examples:", text)

    def test_wrong_usage_is_2(self):
        self.expect_error(2, "COMMAND")
        self.expect_error(2, "nonsense", "nonsense")
        self.expect_error(2, "--nonsense", "ask", "--nonsense", "-m", self.model, "x")
        self.expect_error(2, "TEXT", "ask", "-m", self.model)
        self.expect_error(2, "--threads", "ask", "-m", self.model, "--threads", "0", "x")
        self.expect_error(2, "--kv-type", "ask", "-m", self.model, "--kv-type", "f8", "x")
        self.expect_error(2, "99999", "ask", "-m", self.model, "--ctx", "99999", "x")
        self.expect_error(2, "--temp", "ask", "-m", self.model, "--temp", "-1", "x")
        self.expect_error(2, "no chat template is called", "ask", "-m", self.model, "--template",
                          "nonsense", "x")
        self.expect_error(2, "r1:7b", "synth", "r1:9b", "-o", "x.gguf")
        self.expect_error(2, "Q4_K_M", "quantize", self.model, "x.gguf", "--type", "q9")
        self.expect_error(2, "RECKON_ISA", "version", env={"RECKON_ISA": "mmx"})

    def test_bad_files_are_3(self):
        cut = self.folder / "cut.gguf"
        cut.write_bytes(self.model.read_bytes()[:-1000])
        text = self.folder / "text.gguf"
        text.write_text("not a model at all, only text that is long enough to be read\n")
        empty = self.folder / "empty.gguf"
        empty.write_bytes(b"")
        for bad in (cut, text, empty, self.folder, self.folder / "absent.gguf"):
            self.expect_error(3, str(bad), "show", bad)
            self.expect_error(3, str(bad), "ask", "-m", bad, "x")
            self.expect_error(3, str(bad), "ask", "-m", bad, "--json", "x")
            self.expect_error(3, str(bad), "perplexity", "-m", bad, text)
            self.expect_error(3, str(bad), "bench", "-m", bad)
            self.expect_error(3, str(bad), "quantize", bad, "x.gguf", "--type", "q8_0")
        self.expect_error(3, str(text), "tokenize", "-m", text)
        self.expect_error(3, "absent.txt", "perplexity", "-m", self.model, "absent.txt")

    def test_standard_output_that_fails_is_1(self):
        with open("/dev/full", "wb") as full:
            for arguments in (("version",), ("--help",), ("show", self.model),
                              ("ask", "-m", self.model, "--max-tokens", "5", "--json",
                               "x")):
                run = subprocess.run([RECKON, *map(str, arguments)], stdout=full,
                                     stderr=subprocess.PIPE, check=False)
                self.assertEqual(run.returncode, 1, arguments)
                self.assertIn(b"standard output", run.stderr)
        run = subprocess.run(["sh", "-c", '"$1" version >&-', "sh", RECKON], check=False,
                             stderr=subprocess.PIPE)
        self.assertEqual(run.returncode, 1)

    def test_reader_that_leaves_ends_the_answer(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        run = subprocess.run([RECKON, "ask", "-m", self.model, "--raw", "--temp", "0",
                              "--max-tokens", "3000", "x"], stdout=write_end,
                             stderr=subprocess.PIPE, check=False, timeout=harness.TIMEOUT_S)
        os.close(write_end)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"standard output", run.stderr)

    def test_version(self):
        tree = self.expect_json("version")
        self.assertEqual(set(tree), {"version", "numerics_version", "kernels", "physical_cores"})
        self.assertIn(tree["version"], self.expect(0, "--version").stdout.decode())
        scalar = self.expect_json("version", env={"RECKON_ISA": "scalar"})
        self.assertEqual(scalar["kernels"], "scalar")

    def test_completion_and_man(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.expect(0, "completion", shell).stdout
            self.assertIn(b"--think-budget" if shell != "fish" else b"-l think-budget", script)
            if shutil.which(shell):
                path = self.folder / f"completion.{shell}"
                path.write_bytes(script)
                subprocess.run([shell, "-n", path], check=True)
        self.expect_error(2, "SHELL", "completion", "tcsh")
        page = self.expect(0, "man").stdout.decode()
        for part in (".SH NAME", ".SH EXIT STATUS", ".SS reckon ask", "\\-\\-think\\-budget"):
            self.assertIn(part, page)
        if shutil.which("man"):
            (self.folder / "reckon.1").write_text(page)
            lint = subprocess.run(["man", "--warnings", "-l", "reckon.1"], cwd=self.folder,
                                  capture_output=True, check=True)
            self.assertEqual(lint.stderr, b"")

    def test_bash_completes(self):
        script = self.folder / "completion.bash"
        script.write_bytes(self.expect(0, "completion", "bash").stdout)

        def complete(*words):
            line = "\n".join(("source completion.bash; compopt() { :; }",
                              f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}",
                              "_reckon; printf '%s\\n' \"${COMPREPLY[@]}\""))
            run = subprocess.run(["bash", "-c", line], cwd=self.folder, capture_output=True,
                                 check=True)
            return run.stdout.decode().split()

        self.assertEqual(complete("reckon", "qu"), ["quantize"])
        self.assertEqual(complete("reckon", "ask", "--think"), ["--think-budget"])
        self.assertEqual(complete("reckon", "ask", "--kv-type", "''"), ["f16", "q8"])
        self.assertIn("r1:70b", complete("reckon", "synth", "r1:7"))
        self.assertIn("agreed", complete("reckon", "ask", "--early-stop", "''"))
        self.assertIn("llama3", complete("reckon", "chat", "--template", "''"))
        self.assertEqual(complete("reckon", "train", "sf"), ["sft"])
        self.assertEqual(complete("reckon", "train", "sft", "--batch-t"), ["--batch-tokens"])
        self.assertEqual(complete("reckon", "recipe", "--smo"), ["--smoke"])
        self.assertIn(self.model.name, complete("reckon", "show", "tiny"))
        self.assertIn(self.model.name, complete("reckon", "ask", "-m", "tiny"))


class Ask(harness.Tests):
    def ask(self, *arguments, **more):
        return self.expect_json("ask", "-m", self.model, *arguments, **more)

    def test_json_contract(self):
        tree = self.ask("--max-tokens", 12, "--temp", 0, "hello")
        self.assertEqual(set(tree), {"thinking", "answer", "finish_reason", "thought_end",
                                     "usage", "timings"})
        self.assertEqual(set(tree["usage"]), {"prompt_tokens", "thinking_tokens", "answer_tokens",
                                              "scaffold_tokens", "computed_tokens",
                                              "probe_tokens", "discarded_tokens"})
        # Joules, where the machine tells them.
        self.assertEqual(set(tree["timings"]) - {"joules"},
                         {"load_ms", "prefill_ms", "decode_ms", "total_ms", "prefill_tok_s",
                          "decode_tok_s"})
        self.assertEqual(tree["finish_reason"], "length")
        self.assertEqual(tree["usage"]["thinking_tokens"] + tree["usage"]["answer_tokens"], 12)
        for value in tree["usage"].values():
            self.assertIsInstance(value, int)
        for value in tree["timings"].values():
            self.assertIsInstance(value, NUMBER)
            self.assertGreater(value, 0)

    def test_sampling_options(self):
        def raw(*more):
            return self.ask("--raw", "--temp", 0, "--max-tokens", 40, *more, "hello")

        plain = raw()["answer"]
        first = json.loads(self.expect(0, "tokenize", "-m", self.model, "--json",
                                       stdin=plain.encode()).stdout)["ids"]
        self.assertNotEqual(raw("--logit-bias", f"{first[0]}=-1000")["answer"], plain)
        self.assertEqual(raw("--stop", plain[2:4])["answer"], plain[:plain.index(plain[2:4])])
        self.assertEqual(raw("--stop", plain[2:4])["finish_reason"], "stop")
        for option in ("--repeat-penalty", "--presence-penalty", "--frequency-penalty"):
            self.assertEqual(raw(option, 1 if option == "--repeat-penalty" else 0)["answer"], plain)
        self.assertNotEqual(raw("--repeat-penalty", 50)["answer"], plain)
        self.expect_error(2, "--repeat-penalty: expected", "ask", "-m", self.model,
                          "--repeat-penalty", 0, "x")
        self.expect_error(2, "ID=X", "ask", "-m", self.model, "--logit-bias", "5", "x")

    def test_numbers_are_read_to_their_last_letter(self):
        for option, value, expected in (
                ("--seed", "-1", "--seed: expected a whole number from 0"),
                ("--seed", "abc", 'found "abc"'), ("--seed", str(2**64), "2^64 - 1"),
                ("--top-k", str(2**63), "--top-k: expected a whole number"),
                ("--max-tokens", "5x", 'found "5x"'), ("--think-budget", "", 'found ""'),
                ("--ctx", "1e3", "--ctx: expected a whole number"), ("--temp", "", "a number"),
                ("--temp", "nan", "--temp: expected"), ("--top-p", "2", "--top-p: expected"),
                ("--ctx", "0", "--ctx: expected"), ("--ctx", "999999999", "--ctx: expected"),
                ("--max-tokens", "-1", "--max-tokens: expected")):
            self.expect_error(2, expected, "ask", "-m", self.model, option, value, "x")
        self.expect_error(2, "--seed", "synth", "tiny", "--seed", "-1", "-o", "x.gguf")
        self.assertEqual(self.ask("--seed", str(2**64 - 1), "--max-tokens", 1, "x")
                         ["usage"]["answer_tokens"] <= 1, True)

    def test_budget_closes_the_thought(self):
        tree = self.ask("--max-tokens", 20, "--temp", 0, "--think-budget", 4, "hello")
        self.assertLessEqual(tree["usage"]["thinking_tokens"], 7)
        self.assertGreater(tree["usage"]["answer_tokens"], 0)
        self.assertNotEqual(tree["answer"], "")
        self.assertNotIn("</think>", tree["thinking"] + tree["answer"])
        none = self.ask("--max-tokens", 20, "--temp", 0, "--think-budget", 0, "hello")
        self.assertEqual(none["thinking"], "")

    def test_same_answer_whatever_the_threads_and_kernels(self):
        def answer(*arguments, **more):
            tree = self.ask("--max-tokens", 40, "--seed", 5, *arguments, "hello", **more)
            return tree["thinking"], tree["answer"]
        one = answer("--threads", 1)
        self.assertEqual(one, answer("--threads", 3))
        self.assertEqual(one, answer(env={"RECKON_ISA": "scalar"}))
        self.assertEqual(one, answer())

    def test_another_seed_gives_another_answer(self):
        five, six = (self.ask("--max-tokens", 40, "--seed", seed, "hello") for seed in (5, 6))
        self.assertNotEqual(five["thinking"], six["thinking"])

    def test_guesses_leave_the_answer_alone(self):
        def answer(*arguments):
            tree = self.ask("--max-tokens", 100, "--seed", 3, *arguments, "ab " * 30)
            tree["usage"].pop("computed_tokens")  # wrong guesses too
            return tree["thinking"], tree["answer"], tree["usage"]
        self.assertEqual(answer("--speculate", "off"), answer("--speculate", "ngram"))
        self.assertEqual(answer("--speculate", "off"), answer())
        self.assertEqual(answer("--speculate", "off"), answer("--draft", self.model))
        self.expect_error(3, "no-such", "ask", "-m", self.model, "--draft", "no-such", "hello")
        self.expect_error(2, "--speculate", "ask", "-m", self.model, "--speculate", "x", "hello")

    def test_constraints_hold_the_answer_and_not_the_thought(self):
        schema = ('{"type": "object", "properties": {"n": {"type": "integer"}, "s": {"enum": '
                  '["x", "y"]}}, "required": ["n", "s"], "additionalProperties": false}')
        file = self.folder / "schema.json"
        file.write_text(schema)
        grammar = self.folder / "list.gbnf"
        grammar.write_text('root ::= "[" [a-c]{3} "]"\n')
        for seed in range(2):
            common = ("--seed", seed, "--think-budget", 4)
            tree = self.ask(*common, "--json-schema", schema, "hello")
            self.assertEqual(tree["finish_reason"], "stop")
            answer = json.loads(tree["answer"])
            self.assertEqual(set(answer), {"n", "s"})
            self.assertIsInstance(answer["n"], int)
            self.assertEqual(self.ask(*common, "--json-schema", file, "hello")["answer"],
                             tree["answer"])
            free = self.ask(*common, "--max-tokens", 20, "hello")
            self.assertEqual(free["thinking"], tree["thinking"])
            tree = self.ask(*common, "--grammar", grammar, "hello")
            self.assertRegex(tree["answer"], r"^\[[abc]{3}\]$")
        for schema, named in (('{"not": {}}', "not"), ('{"type": "tuple"}', "type")):
            self.expect_error(2, named, "ask", "-m", self.model, "--json-schema", schema, "x")
        self.expect_error(3, "JSON", "ask", "-m", self.model, "--json-schema", "{", "x")
        self.expect_error(3, "absent", "ask", "-m", self.model, "--json-schema", "absent", "x")
        self.expect_error(3, "absent", "ask", "-m", self.model, "--grammar", "absent", "x")
        self.expect_error(2, "excludes", "ask", "-m", self.model, "--grammar", grammar,
                          "--json-schema", file, "x")
        grammar.write_text("root ::= ^+a")
        self.expect_error(2, "line 1, column 10", "ask", "-m", self.model, "--grammar", grammar,
                          "x")

    def test_dash_reads_standard_input(self):
        typed = self.ask("--max-tokens", 8, "--temp", 0, "what is\nit?")
        piped = self.ask("--max-tokens", 8, "--temp", 0, "-", stdin=b"what is\nit?")
        self.assertEqual(typed["thinking"], piped["thinking"])
        self.assertEqual(typed["usage"], piped["usage"])

    def test_answer_and_thought_go_separate_ways(self):
        arguments = ("ask", "-m", self.model, "--max-tokens", "20", "--temp", "0",
                     "--think-budget", "4", "hello")
        tree = self.ask("--max-tokens", 20, "--temp", 0, "--think-budget", 4, "hello")
        quiet = self.expect(0, *arguments)
        self.assertEqual(quiet.stdout.decode().rstrip("\n"), tree["answer"].rstrip("\n"))
        self.assertEqual(quiet.stderr.decode(), "(broken off: --max-tokens is reached)\n")
        shown = self.expect(0, *arguments, "--show-thinking")
        self.assertEqual(shown.stdout, quiet.stdout)
        self.assertIn(tree["thinking"], shown.stderr.decode())

    def test_raw_goes_on_from_the_text(self):
        tree = self.expect_json("ask", "-m", self.model, "--raw", "--max-tokens", 5, "--temp", 0,
                                "hello")
        self.assertEqual(tree["thinking"], "")
        # BOS, and "hello" as h el l o.
        self.assertEqual(tree["usage"]["prompt_tokens"], 5)

    def test_special_tokens_in_the_question_stay_text(self):
        plain = self.ask("--max-tokens", 1, "abc")["usage"]["prompt_tokens"]
        mark = self.ask("--max-tokens", 1, "abc</think><｜User｜>")["usage"]["prompt_tokens"]
        self.assertGreater(mark, plain + 10)

    def test_full_context_is_told(self):
        tree = self.ask("--ctx", 64, "--temp", 0, "hello")
        self.assertEqual(tree["finish_reason"], "length")
        usage = tree["usage"]
        self.assertLessEqual(usage["prompt_tokens"] + usage["thinking_tokens"]
                             + usage["answer_tokens"], 64)
        self.expect_error(2, "64", "ask", "-m", self.model, "--ctx", "64", "x" * 500)

    def test_kv_types_and_paged(self):
        for more in (("--kv-type", "q8"), ("--paged",)):
            tree = self.ask("--max-tokens", 4, "--temp", 0, *more, "hello")
            self.assertEqual(tree["finish_reason"], "length")

    def test_packed_weights_are_kept(self):
        model = self.synth("tiny-qwen", "q8_0")
        question = ("ask", "-m", model, "--max-tokens", 8, "--temp", 0, "--json", "hello")

        def answer(*more, **changes):
            tree = json.loads(self.expect(0, *question, *more, env=changes).stdout)
            return tree["thinking"], tree["answer"]

        plain = answer()
        cache = self.folder / ".cache" / "reckon" / "packed"
        self.assertFalse(cache.exists())
        self.assertEqual(answer("--keep-packed"), plain)
        kept = list(cache.glob("*.packed"))
        self.assertEqual(len(kept), 1)
        before = kept[0].stat().st_mtime_ns
        self.assertEqual(answer(RECKON_KEEP_PACKED="1"), plain)
        self.assertEqual(kept[0].stat().st_mtime_ns, before)
        elsewhere = self.folder / "elsewhere"
        self.assertEqual(answer("--keep-packed", XDG_CACHE_HOME=str(elsewhere)), plain)
        self.assertEqual(len(list(elsewhere.glob("reckon/packed/*.packed"))), 1)
        run = self.expect(0, *question, "--keep-packed", env={"XDG_CACHE_HOME": str(model)})
        self.assertIn(b"packed weights are not kept", run.stderr)


class Thinking(harness.Tests):
    def ask(self, *arguments, **more):
        return self.expect_json("ask", "-m", self.model, "--ctx", 256, "--temp", 1, "--seed", 5,
                                "--max-tokens", 40, *arguments, "hello", **more)

    def test_effort_none_opens_with_a_finished_thought(self):
        tree = self.ask("--effort", "none")
        self.assertEqual(tree["thinking"], "Okay, I think I have finished thinking.")
        self.assertEqual(tree["usage"]["thinking_tokens"], 0)
        self.assertEqual(tree["thought_end"], "budget")
        self.assertEqual(tree["usage"]["saved_tokens"], 0)

    def test_effort_is_a_share(self):
        tree = self.ask("--effort", "medium")
        self.assertLessEqual(tree["usage"]["thinking_tokens"], 10)
        self.assertIn("saved_tokens", tree["usage"])

    def test_closing_sentence(self):
        tree = self.ask("--think-budget", 3, "--closing", "Time is up.")
        self.assertTrue(tree["thinking"].endswith("Time is up."), tree["thinking"])

    def test_paths(self):
        plain = self.ask()
        tree = self.ask("--paths", 5, "--window", 2, "--vote-stop", "off")
        report = tree["deliberation"]
        self.assertEqual(len(report["paths"]), 5)
        self.assertEqual((report["paths_asked"], report["vote_end"]), (5, "none"))
        for path in report["paths"]:
            self.assertTrue({"answer", "thought_end", "finished", "finish_reason", "tokens",
                             "probes", "weight"} <= set(path))
            self.assertEqual(path["finished"], path["finish_reason"] == "stop")
        if report["chosen"] == 0:
            self.assertEqual((tree["thinking"], tree["answer"]),
                             (plain["thinking"], plain["answer"]))
        again = self.ask("--paths", 5, "--window", 5, "--vote-stop", "off")
        self.assertEqual(again["deliberation"]["votes"], report["votes"])
        self.assertEqual(again["answer"], tree["answer"])

    def test_a_path_that_is_probed_stays_as_it_is(self):
        plain = self.ask()
        tree = self.ask("--early-stop", "either", "--early-confidence", 1, "--early-agree", 1000,
                        "--early-style", "lines", "--early-gap", 1)
        self.assertEqual((tree["thinking"], tree["answer"]), (plain["thinking"], plain["answer"]))
        self.assertIn("deliberation", tree)

    def test_verify(self):
        program = self.folder / "verify.sh"
        program.write_text("#!/bin/sh\nread -r line\necho '{\"pass\": true}'\n")
        program.chmod(0o755)
        tree = self.ask("--effort", "none", "--verify", program)
        path = tree["deliberation"]["paths"][0]
        # Broken off it is not judged.
        self.assertEqual(path.get("passed", False),
                         path["finished"] and path["answer"] != "")

        def explained(**more):
            return self.expect(0, "ask", "-m", self.model, "--ctx", 256, "--max-tokens", 100,
                               "--json-schema", '{"enum": [1]}', "--effort", "none", "--verify",
                               program, "--explain", "hello", **more).stderr.decode()

        # With one path there is no vote to tell of, but a verdict.
        for verdict, told in (('"pass": true', "The answer passed."),
                              ('"pass": false', "The answer did not pass."),
                              ('"score": 0.5', "The answer's score is 0.500.")):
            program.write_text(f"#!/bin/sh\nread -r line\necho '{{{verdict}}}'\n")
            text = explained()
            self.assertIn(told, text)
            self.assertNotIn("100.0 %", text)
        # Whoever starts reckon may have told the kernel to forget about children that end.
        text = explained(preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertIn("The answer's score is 0.500.", text)

    def test_explain_goes_to_standard_error(self):
        run = self.expect(0, "ask", "-m", self.model, "--ctx", 256, "--max-tokens", 20, "--effort",
                          "none", "--explain", "hello")
        self.assertIn("No thought was allowed.", run.stderr.decode())

    def test_budget_off_in_a_chat_is_no_effort_either(self):
        run = self.expect(0, "chat", "-m", self.model, "--effort", "low",
                          stdin=b"/budget\n/budget off\n/budget\n")
        notes = [line for line in run.stderr.decode().split("\n") if "thought" in line]
        self.assertEqual(notes, ["a thought may take what effort low allows",
                                 *["a thought may take as many tokens as it likes"] * 2])

    def test_what_makes_no_sense_is_2(self):
        ask = ("ask", "-m", self.model)
        self.expect_error(2, "--effort", *ask, "--effort", "huge", "x")
        self.expect_error(2, "--effort", *ask, "--effort", "low", "--think-budget", "3", "x")
        self.expect_error(2, "--paths: expected", *ask, "--ctx", 64, "--paths", "0", "x")
        self.expect_error(2, "--paths: expected", *ask, "--ctx", 64, "--paths", "65", "x")
        self.expect_error(2, "--window: expected", *ask, "--ctx", 64, "--paths", "2", "--window",
                          "0", "x")
        self.expect_error(2, "--window: expected at least 2", *ask, "--ctx", 64, "--paths", "2",
                          "--window", "1", "--vote-stop", "window", "x")
        self.expect_error(2, "--early-stop", *ask, "--early-stop", "often", "x")
        self.expect_error(2, "--soft-share: expected", *ask, "--ctx", 64, "--soft-share", "2", "x")
        self.expect_error(2, "--verify", *ask, "--ctx", 64, "--verify", "absent", "x")
        self.expect_error(2, "--verify", *ask, "--ctx", 64, "--verify", self.folder, "x")
        self.expect_error(2, "--min-think: expected", *ask, "--ctx", 64, "--min-think", "9",
                          "--think-budget", "3", "x")
        self.expect_error(2, "--early-stop: expected off", *ask, "--ctx", 64, "--early-stop",
                          "agreed", "--json-schema", '{"type": "boolean"}', "x")

    def test_comparison_of_methods(self):
        data = self.folder / "tasks.jsonl"
        data.write_text("".join(
            json.dumps({"kind": "sum", "rule": "number", "question": f"{i}+1?",
                        "answer": str(i + 1)}) + "\n" for i in range(2)))
        tree = self.expect_json("thinking", "-m", self.model, "--ctx", 128, "--data", data,
                                "--max-tokens", 12, "--alone", 1, "--plot", "plot.svg")
        self.assertEqual(tree["methods"][0]["method"], "full thought")
        self.assertGreater(len(tree["methods"]), 15)
        for method in tree["methods"]:
            self.assertEqual(method["n"], 2)
            self.assertGreater(method["tokens"], 0)
        self.assertGreater(tree["alone_seconds_8_paths"], 0)
        plot = (self.folder / "plot.svg").read_text()
        self.assertTrue(plot.startswith("<svg") and plot.endswith("</svg>\n"))
        # What was not measured is left out.
        arguments = ("thinking", "-m", self.model, "--ctx", 128, "--data", data, "-n", 1,
                     "--max-tokens", 1, "--alone", 0)
        self.assertNotIn("alone_seconds_1_path", self.expect_json(*arguments))
        self.assertNotIn(b"alone", self.expect(0, *arguments).stdout)


class CtrlC(harness.Tests):
    # Greedy, this model never ends its thought by itself.
    def long_ask(self, *more):
        return self.start("ask", "-m", self.model, "--temp", "0", "--max-tokens",
                          "4000", "--threads", "1", *more, "hello", env={"RECKON_ISA": "scalar"})

    def test_first_ends_the_thought_second_the_answer(self):
        process = self.long_ask("--show-thinking", "--explain")
        read_until(process.stderr, lambda data: len(data) > 5)
        process.send_signal(signal.SIGINT)
        read_until(process.stdout, lambda data: len(data) > 5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(process.returncode, 130)
        self.assertIn(b"(stopped)", errors)
        self.assertIn(b"the answer was asked for", errors)

    def test_json_is_whole_when_interrupted(self):
        process = self.long_ask("--json", "--raw")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(process.returncode, 130, (output, errors))
        # Interrupted while it was still loading, it has nothing to say.
        if output:
            self.assertEqual(json.loads(output)["finish_reason"], "cancelled")

    def test_writing_leaves_nothing_behind(self):
        out = self.folder / "big"
        out.mkdir()
        process = self.start("synth", "r1:1.5b", "-o", out / "x.gguf", "--threads", "1")
        while not any(out.iterdir()):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(list(out.iterdir()), [])


class Tokenize(harness.Tests):
    def ids(self, data, *more):
        return self.expect_json("tokenize", "-m", self.model, *more, stdin=data)["ids"]

    def test_bytes_come_back(self):
        for data in (b"", b"hello world", "caf\u00e9 \U0001f600".encode(), bytes(range(256)) * 3,
                     b"\xff\xfe</think>\xe2\x80"):
            ids = self.ids(data)
            for spelling in (json.dumps(ids), json.dumps({"ids": ids})):
                run = self.expect(0, "tokenize", "-m", self.model, "--decode",
                                  stdin=spelling.encode())
                self.assertEqual(run.stdout, data)

    def test_special_tokens(self):
        plain = self.ids("<think>".encode())
        self.assertGreater(len(plain), 1)
        special = self.ids("<think>".encode(), "--special")
        self.assertEqual(len(special), 2)  # BOS comes first, as the file says
        self.assertEqual(special[1], special[0] + 2)

    def test_bad_ids_are_refused(self):
        for text in (b"", b"[1,", b"{}", b'{"ids": 5}', b"[-1]", b"[100000]", b"[1.5]", b'["1"]'):
            self.expect_error(3, "standard input", "tokenize", "-m", self.model, "--decode",
                              stdin=text)
        self.expect_error(2, "--decode", "tokenize", "-m", self.model, "--decode", "--special")

    def test_list_for_people(self):
        text = self.expect(0, "tokenize", "-m", self.model, stdin=b"hello\x1b").stdout.decode()
        self.assertEqual(len(text.strip().split("\n")), 5)
        self.assertIn('"el"', text)
        self.assertNotIn("\x1b", text)


class Show(harness.Tests):
    def test_json(self):
        tree = self.expect_json("show", self.model)
        self.assertEqual(tree["metadata"]["general.architecture"], "qwen2")
        self.assertEqual(tree["metadata"]["tokenizer.ggml.tokens"]["count"], 544)
        self.assertIs(tree["metadata"]["tokenizer.ggml.add_bos_token"], True)
        self.assertEqual(tree["tensors"][0],
                         {"name": "output.weight", "shape": [256, 544], "type": "f32",
                          "bytes": 256 * 544 * 4})
        self.assertEqual(len(tree["tensors"]), 27)
        memory = tree["memory"]
        self.assertEqual(memory["weights_bytes"], self.model.stat().st_size)
        contexts = [at["context"] for at in memory["by_context"]]
        self.assertEqual(contexts, [2048, 4096])
        for at in memory["by_context"]:
            self.assertEqual(at["total_f16_bytes"], memory["weights_bytes"] +
                             memory["working_bytes"] + at["kv_f16_bytes"])
            # 2 layers, K and V, 2 heads of 64, two bytes each.
            self.assertEqual(at["kv_f16_bytes"], at["context"] * 2 * 2 * 128 * 2)
            self.assertLess(at["kv_q8_bytes"], at["kv_f16_bytes"])

    def test_text(self):
        text = self.expect(0, "show", self.model).stdout.decode()
        for part in ("numerics version 2", "general.architecture", "27 tensors", "blk.N.attn_q",
                     "Memory by context", "chat template"):
            self.assertIn(part, text)


class Files(harness.Tests):
    def types(self, path):
        return {t["name"]: t["type"] for t in self.expect_json("show", path)["tensors"]}

    def test_quantize(self):
        run = self.expect(0, "quantize", self.model, "small.gguf", "--type", "Q4_K_M")
        self.assertIn(b"small.gguf", run.stdout)
        types = self.types("small.gguf")
        self.assertEqual(types["output.weight"], "q6_K")
        self.assertEqual(types["blk.0.attn_q.weight"], "q4_K")
        self.assertEqual(types["blk.0.attn_norm.weight"], "f32")
        # synth's own choice of types is the same.
        self.assertEqual(types, self.types(self.synth("tiny-qwen", "q4_k_m")))

    def test_convert_there_and_back(self):
        self.expect(0, "convert", self.model, "-o", "folder", "--type", "f32")
        self.assertTrue((self.folder / "folder" / "config.json").exists())
        self.expect(0, "convert", "folder", "-o", "back.gguf")
        there = self.expect_json("show", self.model)
        back = self.expect_json("show", "back.gguf")
        self.assertEqual({t["name"]: t["shape"] for t in there["tensors"]},
                         {t["name"]: t["shape"] for t in back["tensors"]})
        one, other = (self.expect_json("ask", "-m", path, "--raw", "--max-tokens", 10, "--temp",
                                       0, "hello") for path in (self.model, "back.gguf"))
        self.assertEqual(one["answer"], other["answer"])
        self.expect_error(2, "bf16 or f32", "convert", self.model, "-o", "x", "--type", "f16")
        self.expect_error(3, "absent", "convert", "absent", "-o", "x")

    def test_synth_is_repeatable(self):
        again = self.folder / "again.gguf"
        self.expect(0, "synth", "tiny-qwen", "--type", "f32", "-o", again, "--threads", 3)
        self.assertEqual(again.read_bytes(), self.model.read_bytes())

    def test_output_that_cannot_be_written_is_1(self):
        self.expect_error(1, "absent/x.gguf", "synth", "tiny-qwen", "-o", "absent/x.gguf")
        self.expect_error(1, "absent/x.gguf", "quantize", self.model, "absent/x.gguf")


class Measures(harness.Tests):
    def test_perplexity(self):
        text = self.folder / "text.txt"
        text.write_text("a man a plan a canal panama " * 40 + "\n")
        tree = self.expect_json("perplexity", "-m", self.model, "--ctx", 64, text)
        self.assertEqual(set(tree), {"perplexity", "stderr", "tokens", "chunks"})
        n_tokens = len(self.expect_json("tokenize", "-m", self.model, "--special",
                                        stdin=text.read_bytes().rstrip(b"\n"))["ids"])
        self.assertEqual(tree["chunks"], n_tokens // 64)
        self.assertEqual(tree["tokens"], tree["chunks"] * 31)
        self.assertGreater(tree["perplexity"], 1)
        self.assertGreater(tree["stderr"], 0)
        scalar = self.expect_json("perplexity", "-m", self.model, "--ctx", 64, "--threads", 3,
                                  text, env={"RECKON_ISA": "scalar"})
        self.assertEqual(scalar, tree)
        text.write_text("short")
        self.expect_error(2, "at least 128 tokens", "perplexity", "-m", self.model, "--ctx", 64,
                          text)
        self.expect_error(2, "--ctx", "perplexity", "-m", self.model, "--ctx", -5, text)
        self.expect_error(2, "4096", "perplexity", "-m", self.model, "--ctx", 5000, text)

    def test_bench(self):
        tree = self.expect_json("bench", "-m", self.model, "--prefill", 70, "--decode", 5,
                                "--batch", 3, "--threads", 2)
        self.assertEqual(set(tree), {"prefill_tok_s", "decode_tok_s", "batch_decode_tok_s",
                                     "read_gb_s", "limit_read_gb_s", "macs_g_s", "limit_macs_g_s",
                                     "predicted_bytes", "resident_peak_bytes"})
        for name, value in tree.items():
            self.assertIsInstance(value, NUMBER)
            self.assertGreater(value, 0, name)
        self.expect_error(2, "--batch", "bench", "-m", self.model, "--batch", 0)
        self.expect_error(2, "4096", "bench", "-m", self.model, "--prefill", 4096)


if __name__ == "__main__":
    harness.main()

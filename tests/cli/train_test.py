#!/usr/bin/env python3
"""reckon train from the outside: kill -9 at random moments and a full disk end in exact resumption,
a lockfile reruns to the same file, also for a run that was made of parts.

Usage: train_test.py RECKON [--preload LIBRARY] [--long] [TEST...]     (--long: 100 kills)
"""

import hashlib
import json
import os
import random
import signal
import sys
import time

PRELOAD = ""
if "--preload" in sys.argv:
    at = sys.argv.index("--preload")
    PRELOAD = sys.argv[at + 1]
    del sys.argv[at:at + 2]
LONG = "--long" in sys.argv
if LONG:
    sys.argv.remove("--long")

import harness  # noqa: E402  (takes the program from the arguments)

N_KILLS = 100 if LONG else 4


def with_options(words, more):
    """More options behind the words, or in place of the words' own."""
    for name, *values in split_options(more):
        if name in words:
            at = words.index(name)
            del words[at:at + 1 + len(values)]
        words += [name, *values]
    return words


def split_options(words):
    options = []
    for word in words:
        if str(word).startswith("--"):
            options.append([word])
        else:
            options[-1].append(word)
    return options


class Train(harness.Tests):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.folder / "data.jsonl"
        with open(cls.data, "w", encoding="utf-8") as out:
            for i in range(80):
                out.write(json.dumps({"messages": [
                    {"role": "user", "content": f"{i} + 1?"},
                    {"role": "assistant", "content": str(i + 1)}]}) + "\n")
        cls.problems = cls.folder / "problems.jsonl"
        with open(cls.problems, "w", encoding="utf-8") as out:
            for i in range(9):
                out.write(json.dumps({"question": f"{i} + 1?", "answer": i + 1}) + "\n")

    def sft(self, out, *more):
        return with_options(
            ["train", "sft", "-m", self.model, "--data", self.data, "-o", self.folder / out,
             "--steps", 30, "--batch-tokens", 128, "--save-every", 1, "--threads", 2], more)

    def grpo(self, out, *more):
        return with_options(
            ["train", "grpo", "-m", self.model, "--data", self.problems, "--reward", "length",
             "-o", self.folder / out, "--steps", 6, "--questions", 2, "--group", 4,
             "--max-tokens", 8, "--save-every", 1, "--threads", 2], more)

    def hash_of(self, name):
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()

    def lock_of(self, name):
        return json.loads((self.folder / (name + ".lock.json")).read_text(encoding="utf-8"))

    def forget(self, name):
        for path in self.folder.glob(name + "*"):
            path.unlink()

    def assert_nothing_left(self, name):
        left = {path.name for path in self.folder.glob(name + "*")}
        self.assertLessEqual(left, {name, *(name + end for end in (
            ".csv", ".svg", ".lock.json", ".samples.txt"))})

    def kill_at_random(self, command, n_kills):
        """Kills a run again and again until it has got through between two kills; whether it went
        on from a checkpoint after one of them."""
        start = time.monotonic()
        self.expect(0, *command("whole.gguf"))
        whole_s = time.monotonic() - start
        random.seed(n_kills)
        resumed = 0
        killed = 0
        while killed < n_kills:
            self.forget("cut.gguf")
            while killed < n_kills:
                process = self.start(*command("cut.gguf", "--resume"))
                time.sleep(random.uniform(0, whole_s))
                ended = process.poll() is not None
                process.kill()
                process.wait()
                if ended:
                    break
                killed += 1
            self.expect(0, *command("cut.gguf", "--resume"))
            self.assertEqual(self.hash_of("cut.gguf"), self.hash_of("whole.gguf"))
            self.assert_nothing_left("cut.gguf")
            resumed += len(self.lock_of("cut.gguf")["resumed_from"])
        print(f"killed {killed} times, went on from a checkpoint {resumed} times")

    def start_to_checkpoint(self, checkpoint, command, **more):
        """A run that has written a checkpoint of its own and goes on."""
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = self.start(*command, **more)
        end = time.monotonic() + 60
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.002)
        return process

    def test_kill(self):
        self.kill_at_random(self.sft, N_KILLS)

    def test_kill_grpo(self):
        self.kill_at_random(self.grpo, N_KILLS // 2)

    def test_a_run_of_parts_is_rerun_to_the_same_hash(self):
        for command in (self.sft, self.grpo):
            self.forget("parts.gguf")
            checkpoint = self.folder / "parts.gguf.checkpoint"
            for _ in range(2):
                process = self.start_to_checkpoint(checkpoint, command("parts.gguf", "--resume"))
                process.kill()
                process.wait()
            self.expect(0, *command("parts.gguf", "--resume"))
            lock = self.lock_of("parts.gguf")
            self.assertEqual(len(lock["resumed_from"]), 2)
            self.assertEqual(lock["out_sha256"], self.hash_of("parts.gguf"))
            again = self.expect(0, "train", "rerun", self.folder / "parts.gguf.lock.json",
                                "-o", self.folder / "again.gguf")
            self.assertIn(b"the same file", again.stdout)
            self.assertEqual(self.hash_of("again.gguf"), self.hash_of("parts.gguf"))

    def test_the_lockfile_holds_the_profile(self):
        self.expect(0, *self.sft("f32.gguf", "--steps", 3))
        run = self.expect(0, *self.sft("bf16.gguf", "--steps", 3, "--compute", "bf16"))
        self.assertIn(b"of memory, bf16\n", run.stderr)
        self.assertNotEqual(self.hash_of("bf16.gguf"), self.hash_of("f32.gguf"))
        for profile in ("f32", "bf16"):
            lock = self.lock_of(profile + ".gguf")
            self.assertEqual(lock["profile"], profile)
            self.assertEqual(lock["settings"]["compute"], [profile])
            self.expect(0, "train", "rerun", self.folder / (profile + ".gguf.lock.json"),
                        "-o", self.folder / "again.gguf")
            self.assertEqual(self.hash_of("again.gguf"), self.hash_of(profile + ".gguf"))
        self.expect_error(2, "--compute", *self.sft("x.gguf", "--compute", "f16"))

    def test_other_data_is_no_rerun(self):
        self.expect(0, *self.sft("x.gguf"))
        lock = self.lock_of("x.gguf")
        lock["inputs"][1]["sha256"] = "0" * 64
        path = self.folder / "x.gguf.lock.json"
        path.write_text(json.dumps(lock), encoding="utf-8")
        self.expect_error(1, "data.jsonl: expected SHA-256 0000", "train", "rerun", path,
                          "-o", self.folder / "again.gguf")

    def test_full_disk(self):
        """ENOSPC at write after write: an error that says so, and the next try ends right."""
        if not PRELOAD:
            return
        for command in (self.sft, self.grpo):
            self.forget("whole.gguf")
            self.expect(0, *command("whole.gguf"))
            fired = self.folder / "fired"
            failed = 0
            for n in range(1, 400, 1 if LONG else 29):
                fired.unlink(missing_ok=True)
                self.forget("full.gguf")
                run = self.run_reckon(*command("full.gguf"), env={
                    "LD_PRELOAD": PRELOAD, "RECKON_FAULT": f"write:{n}",
                    "RECKON_FAULT_FIRED": str(fired)})
                if not fired.exists():
                    break
                if run.returncode == 0:
                    continue  # a line of progress was lost
                failed += 1
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertIn(b"No space left on device", run.stderr)
                self.expect(0, *command("full.gguf", "--resume"))
                self.assertEqual(self.hash_of("full.gguf"), self.hash_of("whole.gguf"))
                self.assert_nothing_left("full.gguf")
            self.assertGreater(failed, 3 if command == self.sft else 0)

    def test_resume_wants_the_run_that_began(self):
        self.forget("off.gguf")
        more = ("--held-out", self.problems, "--steps", 100)
        process = self.start_to_checkpoint(self.folder / "off.gguf.checkpoint",
                                           self.grpo("off.gguf", *more))
        process.kill()
        process.wait()
        self.expect_error(2, "began with --reward length, now language",
                          *self.grpo("off.gguf", *more, "--resume", "--reward", "language"))
        self.expect_error(2, "began with --updates 1, now 2",
                          *self.grpo("off.gguf", *more, "--resume", "--updates", 2))
        self.expect_error(2, "began with --compute f32, now bf16",
                          *self.grpo("off.gguf", *more, "--resume", "--compute", "bf16"))
        other = self.folder / "other.jsonl"
        other.write_text(self.problems.read_text(encoding="utf-8").replace('"answer": 1',
                                                                           '"answer": 7'),
                         encoding="utf-8")
        self.expect_error(2, "began with another file than",
                          *self.grpo("off.gguf", *more, "--resume", "--data", other))

        # What fails before it begins takes nothing from the run that can go on.
        self.expect_error(2, "--steps: expected 1 or more", *self.grpo("off.gguf", "--steps", -1))
        # Begun by a program that computed in float32 alone, and did not say so.
        note = self.folder / "off.gguf.run.json"
        run = json.loads(note.read_text(encoding="utf-8"))
        del run["settings"]["compute"]
        note.write_text(json.dumps(run), encoding="utf-8")
        self.expect_error(2, "began with --compute f32, now bf16",
                          *self.grpo("off.gguf", *more, "--resume", "--compute", "bf16"))
        self.expect(0, *self.grpo("off.gguf", *more, "--resume"))
        self.assert_nothing_left("off.gguf")

    def test_held_out_problems_are_answered_on_the_way(self):
        both = self.folder / "both.jsonl"
        with open(both, "w", encoding="utf-8") as out:
            for i in range(4):
                out.write(json.dumps({
                    "question": f"{i} + 1?", "answer": i + 1,
                    "messages": [{"role": "user", "content": f"{i} + 1?"},
                                 {"role": "assistant", "content": str(i + 1)}]}) + "\n")
        judged = ["--held-out", both, "--reward", "number", "--eval-problems", 2,
                  "--eval-every", 15, "--max-tokens", 64]
        run = self.expect(0, *self.sft("a.gguf", *judged))
        self.assertIn(b"held-out accuracy", run.stdout)
        self.assertIn(b"80 examples, 4 held out, 30 steps", run.stderr)
        samples = (self.folder / "a.gguf.samples.txt").read_text(encoding="utf-8")
        self.assertEqual(samples.count("==== after step"), 2)
        self.assertIn("-- 2 + 1?", samples)
        self.assert_nothing_left("a.gguf")
        # The data of `sft` need not be problems, unless they are to be answered.
        self.expect_error(3, "\"question\"",
                          *self.sft("b.gguf", "--held-out", self.data, "--reward", "number"))
        run = self.expect(0, *self.grpo("b.gguf", "--held-out", both))
        self.assertIn(b"9 problems, 4 held out, 6 steps", run.stderr)

    def test_out_is_no_input(self):
        before = self.data.read_bytes()
        self.expect_error(2, "--out: expected another file than what is read",
                          *self.sft(self.data.name))
        self.assertEqual(self.data.read_bytes(), before)

    def test_the_last_step_diverges(self):
        self.expect_error(1, "step 1: the training diverged: a weight that is no number",
                          *self.sft("nan.gguf", "--steps", 1, "--lr", 1e30, "--warmup", 0,
                                    "--clip", 0, "--weight-decay", 1e30))
        self.assertFalse((self.folder / "nan.gguf").exists())

    def with_verifier(self, out, command, *more):
        words = self.grpo(out, *more)
        at = words.index("--reward")
        words[at:at + 2] = ["--verifier", command]
        return words

    def test_verifiers_that_misbehave(self):
        for command, why in (("read x; echo no; sleep 5000", "expected {\"score\": NUMBER}"),
                             ("while read x; do echo '{\"score\":1}'; echo '{\"score\":0}'; done",
                              "expected one line for each answer, found more")):
            start = time.monotonic()
            self.expect_error(1, why, *self.with_verifier("v.gguf", command))
            self.assertLess(time.monotonic() - start, 60)

    def test_interrupted_with_a_verifier(self):
        """Ctrl-C goes to the whole group of the terminal: the verifier outlives it."""
        script = "while read x; do echo '{\"score\":1}'; done"
        self.forget("off.gguf")
        process = self.start_to_checkpoint(
            self.folder / "off.gguf.checkpoint",
            self.with_verifier("off.gguf", script, "--steps", 400), start_new_session=True)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, error)
        self.assertIn(b"--resume goes on from there", error)

    def test_options_that_can_not_be_honoured(self):
        for words, why in (
                (self.sft("o.gguf", "--lora-targets", "q"), "expected --lora with them"),
                (self.sft("o.gguf", "--lora", 2, "--lora-alpha", -3), "--lora-alpha: expected 0"),
                (self.sft("o.gguf", "--epochs", 1e9), "--epochs: expected at most"),
                (self.sft("o.gguf", "--batch-tokens", 2**62), "--batch-tokens: expected at most"),
                (self.grpo("o.gguf", "--group", 10**12), "--group: expected 2 to"),
                (self.grpo("o.gguf", "--max-running", 10**6), "--max-running: expected at most"),
                (self.grpo("o.gguf", "--eval-problems", -1), "--eval-problems: expected 1 or more"),
                (self.grpo("o.gguf", "--max-prompt", -9), "--max-prompt: expected 1 or more"),
                (self.grpo("o.gguf", "--patience", 2), "--patience: expected --held-out")):
            self.expect_error(2, why, *words)


if __name__ == "__main__":
    harness.main()

#!/usr/bin/env python3
"""A5 and D4 of docs/reliability.md on the whole program, with a tiny made-up model: each call of a
kind fails in turn (by a preloaded library), weights are cut while they are mapped, and memory runs
out. Every time the program ends with a message and a documented exit code, or with the right
answer; nothing else is printed, no file is damaged or left behind, and the next try succeeds.

Usage: command_faults_test.py RECKON PRELOAD-LIBRARY [A5|D4|A5.test_ask]     (default: all)
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import unittest

RECKON, PRELOAD = "", ""
KINDS = ("malloc", "open", "read", "write", "fsync", "rename", "mmap", "close")
EXIT_CODES = (0, 1, 2, 3)


def ask_arguments(model, n_tokens=6):
    return ["ask", "-m", str(model), "--raw", "--temp", "0", "--ctx", "1024", "--max-tokens",
            str(n_tokens), "--threads", "2", "--json", "hi"]


def answer_of(stdout):
    found = json.loads(stdout)
    return found["answer"], found["finish_reason"], found["usage"]


class WithTinyModel(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.model = self.path / "model.gguf"
        made = self.run_reckon(["synth", "tiny-qwen", "-o", str(self.model)])
        self.assertEqual(made.returncode, 0, made.stderr)

    def tearDown(self):
        self.folder.cleanup()

    def run_reckon(self, arguments, fault=None, **options):
        environment = dict(os.environ)
        if fault:
            environment |= {"LD_PRELOAD": PRELOAD, "RECKON_FAULT": fault,
                            "RECKON_FAULT_FIRED": str(self.path / "fired")}
        return subprocess.run([RECKON, *arguments], capture_output=True, env=environment,
                              stdin=subprocess.DEVNULL, check=False, timeout=60, **options)

    def assert_clean_end(self, finished):
        """A documented exit code, and for a failure a message and no answer."""
        self.assertIn(finished.returncode, EXIT_CODES, finished.stderr)
        if finished.returncode != 0:
            self.assertEqual(finished.stdout, b"")
            self.assertTrue(finished.stderr.startswith(b"reckon: ") or not finished.stderr,
                            finished.stderr)
            self.assertNotIn(b"internal error", finished.stderr)


class A5(WithTinyModel):
    """For every kind and every n: fail the n-th call."""

    def fail_each(self, arguments, check, kinds=KINDS):
        """check(finished, fault) looks at each run's outcome and files."""
        fired = self.path / "fired"
        for kind in kinds:
            n = 0
            messages = 0
            while True:
                n += 1
                fault = f"{kind}:{n}"
                finished = self.run_reckon(arguments, fault)
                with self.subTest(fault=fault, command=arguments[0]):
                    self.assert_clean_end(finished)
                    check(finished)
                # Standard error itself may be what failed.
                messages += bool(finished.stderr)
                if finished.returncode != 0 and kind != "write":
                    self.assertTrue(finished.stderr, fault)
                if not fired.exists():
                    self.assertEqual(finished.returncode, 0, finished.stderr)
                    break
                fired.unlink()
            print(f"{arguments[0]}: {kind}: each of {n - 1} failed once, {messages} messages",
                  flush=True)

    def test_ask(self):
        arguments = ask_arguments(self.model)
        expected = answer_of(self.run_reckon(arguments).stdout)
        before = self.model.read_bytes()

        def check(finished):
            if finished.returncode == 0:
                self.assertEqual(answer_of(finished.stdout), expected)

        self.fail_each(arguments, check)
        self.assertEqual(self.model.read_bytes(), before)
        self.assertEqual(os.listdir(self.path), ["model.gguf"])

    def fail_each_writing(self, arguments, target):
        self.assertEqual(self.run_reckon(arguments).returncode, 0)
        expected = target.read_bytes()
        names = {*os.listdir(self.path), target.name}

        def check(finished):
            found = target.read_bytes()
            if finished.returncode == 0:
                self.assertEqual(found, expected)
            else:
                self.assertIn(found, (b"old", expected))
            self.assertEqual({*os.listdir(self.path)} - {"fired"}, names)
            target.write_bytes(b"old")

        target.write_bytes(b"old")
        self.fail_each(arguments, check)

    def test_synth(self):
        target = self.path / "out.gguf"
        self.fail_each_writing(["synth", "tiny-qwen", "--threads", "2", "-o", str(target)], target)

    def test_quantize(self):
        target = self.path / "out.gguf"
        made = self.run_reckon(["synth", "tiny-qwen", "--type", "f32", "-o", str(self.model)])
        self.assertEqual(made.returncode, 0, made.stderr)
        self.fail_each_writing(["quantize", str(self.model), str(target), "--type", "q8_0",
                                "--threads", "2"], target)


class D4(WithTinyModel):
    def test_weights_cut_while_mapped(self):
        """50 times: the file is cut somewhere, some time after the start. Every second time the
        weights stay mapped for the whole run; else they are copied at the load."""
        whole = self.model.read_bytes()
        commands = []
        for more in ([], ["--paged"]):
            arguments = ask_arguments(self.model, 800) + more
            arguments.remove("--json")
            start = time.monotonic()
            expected = self.run_reckon(arguments)
            self.assertEqual(expected.returncode, 0, expected.stderr)
            commands.append((arguments, expected, time.monotonic() - start))
        self.assertEqual(commands[0][1].stdout, commands[1][1].stdout)
        stopped = [0, 0]
        for i in range(50):
            self.model.write_bytes(whole)
            arguments, expected, duration = commands[i % 2]
            process = subprocess.Popen([RECKON, *arguments], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(duration * i / 50)
            # From nothing left to one byte too few.
            os.truncate(self.model, (len(whole) - 1) * (i * 7 % 50) // 49)
            stdout, stderr = process.communicate(timeout=60)
            with self.subTest(i=i):
                self.assertIn(process.returncode, (0, 1, 3), stderr)
                self.assertTrue(expected.stdout.startswith(stdout.rstrip(b"\n")), stdout)
                if process.returncode == 0:
                    self.assertEqual(stdout, expected.stdout)
                else:
                    stopped[i % 2] += 1
                    self.assertIn(b"reckon: ", stderr)
        print(f"weights cut while mapped: {stopped[0]} of 25 runs stopped with a message, "
              f"{stopped[1]} of 25 with --paged, the others had their answer")

    def run_limited(self, arguments, limit):
        return self.run_reckon(
            arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))

    def least_limit(self, arguments):
        """The least address space, to 64 KiB, in which the command succeeds."""
        low, high = 0, 1 << 30
        while high - low > 1 << 16:
            middle = (low + high) // 2
            if self.run_limited(arguments, middle).returncode == 0:
                high = middle
            else:
                low = middle
        return high

    def test_memory_runs_out(self):
        """20 limits on the address space: from what the program needs to start to enough."""
        arguments = ask_arguments(self.model)
        expected = answer_of(self.run_reckon(arguments).stdout)
        least = self.least_limit(["--version"])
        enough = self.least_limit(arguments)
        outcomes = []
        for i in range(20):
            limit = least + (enough - least) * i // 18
            finished = self.run_limited(arguments, limit)
            with self.subTest(limit=limit):
                self.assert_clean_end(finished)
                outcomes.append(finished.returncode)
                if finished.returncode == 0:
                    self.assertEqual(answer_of(finished.stdout), expected)
                else:
                    self.assertTrue(finished.stderr)
        self.assertIn(1, outcomes)
        self.assertEqual(outcomes[-1], 0)
        print(f"memory runs out: {outcomes.count(1)} of 20 runs stopped with a message, the others "
              f"had their answer ({least >> 10} to {enough >> 10} KiB)")


if __name__ == "__main__":
    RECKON, PRELOAD = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)

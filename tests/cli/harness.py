"""Runs the reckon program for the tests: with pipes, or on a terminal of its own."""

import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

RECKON = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
# A sanitized program on a busy machine takes its time.
TIMEOUT_S = 120


class Tests(unittest.TestCase):
    """A folder with tiny models, and ways to run the program in it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="reckon-cli-"))
        cls.model = cls.synth("tiny-qwen", "f32")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def environment(cls, **changes):
        environment = dict(os.environ, HOME=str(cls.folder), LC_ALL="C.UTF-8", TERM="xterm")
        for name in ("NO_COLOR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "RECKON_ISA",
                     "RECKON_KEEP_PACKED", "EDITOR", "VISUAL"):
            environment.pop(name, None)
        environment.update(changes)
        return environment

    @classmethod
    def synth(cls, shape, kind, seed=0):
        path = cls.folder / f"{shape}-{kind}-{seed}.gguf"
        subprocess.run([RECKON, "synth", shape, "--type", kind, "--seed", str(seed), "-o", path],
                       check=True, capture_output=True, timeout=TIMEOUT_S)
        return path

    def run_reckon(self, *arguments, stdin=b"", env=None, **more):
        """Runs to the end, without a terminal."""
        return subprocess.run([RECKON, *map(str, arguments)], input=stdin, capture_output=True,
                              timeout=TIMEOUT_S, env=self.environment(**(env or {})),
                              cwd=self.folder, check=False, **more)

    def expect(self, code, *arguments, **more):
        run = self.run_reckon(*arguments, **more)
        self.assertEqual(run.returncode, code, (arguments, run.stdout[-500:], run.stderr[-2000:]))
        return run

    def expect_error(self, code, words, *arguments, **more):
        run = self.expect(code, *arguments, **more)
        self.assertEqual(run.stdout, b"", arguments)
        self.assertIn(words, run.stderr.decode())
        return run

    def expect_json(self, *arguments, **more):
        """One object on one line of standard output, nothing else anywhere."""
        run = self.expect(0, *arguments, "--json", **more)
        self.assertTrue(run.stdout.endswith(b"\n") and run.stdout.count(b"\n") == 1, run.stdout)
        self.assertEqual(run.stderr, b"")
        tree = json.loads(run.stdout)
        self.assertIsInstance(tree, dict)
        return tree

    def start(self, *arguments, env=None, **more):
        """A running process with pipes."""
        process = subprocess.Popen([RECKON, *map(str, arguments)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(**(env or {})), cwd=self.folder, **more)
        self.addCleanup(finish, process)
        return process

    def terminal(self, *arguments, env=None):
        terminal = Terminal([RECKON, *map(str, arguments)], self.environment(**(env or {})),
                            self.folder)
        self.addCleanup(terminal.close)
        return terminal


def finish(process):
    if process.poll() is None:
        process.kill()
    process.communicate()


def read_until(stream, is_enough):
    """Reads from a pipe until is_enough(what came so far)."""
    data = b""
    end = time.monotonic() + TIMEOUT_S
    while not is_enough(data):
        ready, _, _ = select.select([stream], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise AssertionError(f"nothing more came after {data[-500:]!r}")
        piece = os.read(stream.fileno(), 65536)
        if not piece:
            raise AssertionError(f"the end came after {data[-500:]!r}")
        data += piece
    return data


class Terminal:
    """A process whose standard streams are a terminal."""

    def __init__(self, command, environment, folder):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(command[0], list(map(str, command)), environment)
        self.seen = b""
        self.code = None

    def expect(self, words):
        """Reads on until words have come; returns what stands before them."""
        wanted = words.encode()
        end = time.monotonic() + TIMEOUT_S
        while wanted not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready or not self._read():
                raise AssertionError(f"no {words!r} in {self.seen[-2000:]!r}")
        before, self.seen = self.seen.split(wanted, 1)
        return before.decode(errors="replace")

    def _read(self):
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # Linux: the other side is closed
            return False
        self.seen += piece
        return bool(piece)

    def send(self, text):
        os.write(self.fd, text.encode())

    def prompt(self, words):
        """Waits until a line can be typed; returns what stands before the prompt.

        libedit takes the terminal over only after it has shown the prompt: keys sent
        before that would meet the terminal's own line mode.
        """
        before = self.expect(words)
        end = time.monotonic() + TIMEOUT_S
        while termios.tcgetattr(self.fd)[3] & termios.ISIG:
            if time.monotonic() > end:
                raise AssertionError("the terminal stays in its line mode")
            time.sleep(0.01)
        return before

    def interrupt(self):
        """Ctrl-C while the program computes (while it reads a line, send("\\x03") is the key)."""
        os.kill(self.pid, signal.SIGINT)

    def wait(self):
        """The exit code, after everything was read."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no end after {self.seen[-2000:]!r}")
            if not self._read():
                break
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def close(self):
        if self.code is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        os.close(self.fd)


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])

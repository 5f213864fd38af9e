"""reckon chat, driven by a script and by a terminal.

Usage: chat_test.py RECKON [unittest's arguments]
"""

import json
import os
import stat

import harness


class Scripted(harness.Tests):
    def chat(self, *lines, code=0, env=None, more=()):
        return self.expect(code, "chat", "-m", self.model, "--temp", "0",
                           "--max-tokens", "12", "--think-budget", "3", *more, env=env,
                           stdin="".join(line + "\n" for line in lines).encode())

    def test_answers_go_to_standard_output(self):
        run = self.chat("hello", "and more")
        alone = self.chat("hello")
        self.assertTrue(run.stdout.startswith(alone.stdout))
        self.assertGreater(len(run.stdout), len(alone.stdout))

    def test_first_answer_is_that_of_ask(self):
        ask = self.expect(0, "ask", "-m", self.model, "--temp", "0", "--max-tokens",
                          "12", "--think-budget", "3", "hello")
        self.assertEqual(self.chat("hello").stdout, ask.stdout)

    def test_blank_lines_and_exit(self):
        self.assertEqual(self.chat("", "  ", "/exit", "hello").stdout, b"")

    def test_help_and_unknown_commands(self):
        run = self.chat("/help", "/nonsense")
        for word in (b"/budget", b"/retry", b"/edit", b"/save", b"/load", b"/exit",
                     b"/nonsense is no command"):
            self.assertIn(word, run.stderr)

    def test_save_and_load(self):
        self.chat("hello", "/save talk.json", more=("--system", "Be brief."))
        tree = json.loads((self.folder / "talk.json").read_text())
        self.assertEqual([m["role"] for m in tree["messages"]], ["system", "user", "assistant"])
        self.assertEqual(tree["messages"][1]["content"], "hello")
        self.assertNotIn("</think>", tree["messages"][2]["content"])
        self.assertNotEqual(tree["messages"][2]["reasoning_content"], "")
        (self.folder / "same.sh").write_text('#!/bin/sh\ncp "$1" seen.txt\n')
        (self.folder / "same.sh").chmod(0o755)
        self.chat("/load talk.json", "/edit", env={"EDITOR": str(self.folder / "same.sh")})
        self.assertEqual((self.folder / "seen.txt").read_text().strip(),
                         tree["messages"][2]["reasoning_content"].strip())
        on = self.chat("/load talk.json", "and more")
        through = self.chat("hello", "and more", more=("--system", "Be brief."))
        self.assertTrue(through.stdout.endswith(on.stdout))
        self.assertIn(b"3 messages from talk.json", on.stderr)

    def test_files_that_are_none_are_told(self):
        (self.folder / "bad.json").write_text('{"messages": [{"role": "god", "content": "x"}]}')
        run = self.chat("/load bad.json", "/load absent.json", "/load", "/save",
                        "/save absent/x.json", "hello")
        for word in (b"messages[0]", b"absent.json", b"/load: expected", b"/save: expected",
                     b"absent/x.json"):
            self.assertIn(word, run.stderr)
        self.assertNotEqual(run.stdout, b"")

    def test_budget(self):
        run = self.chat("/budget\t0", "hello", "/budget", "/budget off", "/budget many",
                        more=("--show-thinking",))
        self.assertIn(b"0 tokens", run.stderr)
        self.assertIn(b"as many tokens as it likes", run.stderr)
        self.assertIn(b'found "many"', run.stderr)

    def test_retry_asks_again(self):
        run = self.expect(0, "chat", "-m", self.model, "--max-tokens", "30", "--seed", "7",
                          "--think-budget", "2", stdin=b"hello\n/save a\n/retry\n/save b\n")
        first, second = (json.loads((self.folder / name).read_text())["messages"]
                         for name in ("a", "b"))
        self.assertEqual(len(first), 2)
        self.assertEqual(len(second), 2)
        self.assertEqual(first[0], second[0])
        self.assertNotEqual(first[1], second[1])
        self.assertNotEqual(run.stdout, b"")
        self.assertIn(b"/retry: expected a question", self.chat("/retry").stderr)

    def test_edit_goes_on_from_the_new_thought(self):
        script = self.folder / "editor.sh"
        script.write_text('#!/bin/sh\ncp "$2" seen.txt\nprintf "%s" "$1" > "$2"\n')
        script.chmod(0o755)
        run = self.chat("hello", "/edit", "/save edited.json",
                        env={"EDITOR": f"{script} 'a new thought'"}, more=("--show-thinking",))
        self.assertNotEqual((self.folder / "seen.txt").read_text(), "")
        self.assertEqual(len(json.loads((self.folder / "edited.json").read_text())["messages"]), 2)
        failing = self.chat("hello", "/edit", env={"EDITOR": "false"})
        self.assertIn(b"false: ended with an error", failing.stderr)
        self.assertIn(b"found none", self.chat("/edit").stderr)
        self.assertNotEqual(run.stdout, self.chat("hello").stdout)

    def test_an_edit_that_fails_leaves_the_answer(self):
        script = self.folder / "long.sh"
        script.write_text('#!/bin/sh\nhead -c 3000 /dev/zero | tr "\\0" x > "$1"\n')
        script.chmod(0o755)
        run = self.chat("hello", "/edit", "/save kept.json", more=("--ctx", "256"),
                        env={"EDITOR": str(script)})
        self.assertIn(b"256", run.stderr)
        self.assertEqual(len(json.loads((self.folder / "kept.json").read_text())["messages"]), 2)

    def test_a_question_too_long_is_taken_back(self):
        run = self.chat("x" * 3000, "hello", more=("--ctx", "256"))
        self.assertIn(b"256", run.stderr)
        self.assertEqual(run.stdout, self.chat("hello").stdout)


class OnATerminal(harness.Tests):
    def chat(self, *more, env=None):
        return self.terminal("chat", "-m", self.model, "--temp", "0", *more, env=env)

    def test_a_short_talk(self):
        terminal = self.chat("--max-tokens", "12", "--think-budget", "3")
        terminal.expect("/help")
        terminal.prompt("0/4096 > ")
        terminal.send("hellp\x7fo\r")
        terminal.expect("\x1b[2m")  # the thought is dim
        figures = terminal.expect("of 4096")
        self.assertIn("answered", figures)
        terminal.prompt("/4096 > ")
        terminal.send("\x04")
        self.assertEqual(terminal.wait(), 0)
        history = self.folder / ".local" / "state" / "reckon" / "chat_history"
        self.assertIn("hello", history.read_text())
        self.assertEqual(stat.S_IMODE(history.stat().st_mode), 0o600)

    def test_any_character_can_be_typed_in_any_locale(self):
        for locale in ("C", "POSIX", "en_US.ISO-8859-1", "C.UTF-8"):
            terminal = self.chat("--max-tokens", "4", env={"LC_ALL": locale})
            terminal.prompt("0/4096 > ")
            terminal.send("wie groß ist 3+4? 中文😀\r")
            terminal.expect("of 4096")
            terminal.prompt("/4096 > ")
            terminal.send("/save typed.json\r")
            terminal.expect("messages in")
            terminal.prompt("/4096 > ")
            terminal.send("\x04")
            self.assertEqual(terminal.wait(), 0)
            saved = json.loads((self.folder / "typed.json").read_text())["messages"]
            self.assertEqual(saved[0]["content"], "wie groß ist 3+4? 中文😀", locale)

    def test_history_comes_back(self):
        state = self.folder / "state"
        environment = {"XDG_STATE_HOME": str(state)}
        terminal = self.chat(env=environment)
        terminal.prompt("0/4096 > ")
        terminal.send("/budget 77\r")
        terminal.expect("77 tokens")
        terminal.send("/exit\r")
        self.assertEqual(terminal.wait(), 0)
        terminal = self.chat(env=environment)
        terminal.prompt("0/4096 > ")
        terminal.send("\x1b[A\x1b[A\r")
        terminal.expect("77 tokens")
        terminal.send("/exit\r")
        self.assertEqual(terminal.wait(), 0)

    def test_ctrl_c_at_the_prompt_drops_the_line(self):
        terminal = self.chat("--max-tokens", "5")
        terminal.prompt("0/4096 > ")
        terminal.send("not this\x03")
        terminal.expect("Ctrl-D leaves")
        terminal.prompt("0/4096 > ")
        terminal.send("/exit\r")
        self.assertEqual(terminal.wait(), 0)

    def test_ctrl_c_ends_thought_then_answer_and_talk_goes_on(self):
        terminal = self.chat("--max-tokens", "4000", "--threads", "1", env={"RECKON_ISA": "scalar"})
        terminal.prompt("0/4096 > ")
        terminal.send("hello\r")
        terminal.expect("\x1b[2m")
        terminal.interrupt()
        terminal.expect("\r\n\r\n")  # between thought and answer
        terminal.interrupt()
        terminal.expect("(stopped)")
        terminal.prompt("/4096 > ")
        terminal.send("/exit\r")
        self.assertEqual(terminal.wait(), 0)

    def test_no_color(self):
        terminal = self.chat("--max-tokens", "5",
                             env={"NO_COLOR": "1", "XDG_STATE_HOME": "/nowhere"})
        self.assertNotIn("\x1b[2m", terminal.prompt("0/4096 > "))
        terminal.send("/exit\r")
        self.assertEqual(terminal.wait(), 0)


class AskOnATerminal(harness.Tests):
    def test_escape_sequences_of_the_model_do_not_get_through(self):
        # Random bytes, sampled hot, hold control characters sooner or later.
        terminal = self.terminal("ask", "-m", self.model, "--temp", "5", "--top-k", "0",
                                 "--top-p", "1", "--min-p", "0", "--max-tokens", "800",
                                 "--seed", "1", "hello", env={"NO_COLOR": "1"})
        self.assertIn(terminal.wait(), (0,))
        seen = terminal.seen.decode(errors="replace")
        self.assertIn("^", seen)
        for character in seen.replace("\r\n", ""):
            self.assertFalse(ord(character) < 32 and character not in "\n\t", repr(character))

    def test_figures_are_told(self):
        terminal = self.terminal("ask", "-m", self.model, "--max-tokens", "5", "--seed", "1",
                                 "hello")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn("context 14 of 4096", terminal.seen.decode(errors="replace"))


if __name__ == "__main__":
    harness.main()

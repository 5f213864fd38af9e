#!/usr/bin/env python3
"""That tidy.py finds what it is for: each case is one file in a small repository of its own."""

import pathlib
import tempfile
import unittest

import tidy

HEAD = "// What this file is.\n"
ORDER = ["base", "quants", "gguf", "cli"]


class Tidy(unittest.TestCase):
    def findings(self, name, text):
        with tempfile.TemporaryDirectory() as folder:
            repository = pathlib.Path(folder)
            path = repository / name
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            self.assertIn(path, list(tidy.source_files(repository)))
            return list(tidy.check_file(repository, path, ORDER))

    def assert_found(self, name, text, what):
        found = self.findings(name, text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(what, found[0])

    def assert_clean(self, name, text):
        self.assertEqual(self.findings(name, text), [])

    def test_include_direction(self):
        self.assert_found("src/base/a.cpp", HEAD + '#include "gguf/b.h"\n', "may not include gguf/")
        self.assert_clean("src/gguf/a.cpp", HEAD + '#include "base/b.h"\n#include "gguf/c.h"\n')
        self.assert_found("src/gguf/a.cpp", HEAD + '#include "b.h"\n', "expected a path from src/")
        self.assert_found("src/other/a.cpp", HEAD, "not in docs/architecture.md's list")

    def test_calls(self):
        for call in ("std::regex r;", "strcpy(a, b);", "x = atoi(s);", "x = rand();", "assert(x);",
                     "using namespace std;", 'std::printf("x");', 'printf("x");', "exit(1);",
                     "std::cout << x;", "#include <cassert>"):
            with self.subTest(call):
                self.assert_found("src/base/a.cpp", HEAD + call + "\n", "a.cpp:2")
        for call in ("static_assert(x);", "snprintf(a, n, b);", "// assert(x)", '"rand()"',
                     "std::fprintf(f, x);", "operand();", "self.exit(1);", "::_exit(1);"):
            with self.subTest(call):
                self.assert_clean("src/base/a.cpp", HEAD + call + "\n")
        self.assert_clean("src/cli/a.cpp", HEAD + 'std::printf("x");\n')

    def test_literals_do_not_hide_code(self):
        self.assert_found("src/base/a.cpp", HEAD + "const int x = 1'000; assert(x);\n", "assert")
        self.assert_found("src/base/a.cpp", HEAD + 'f("/*"); assert(x); g("*/");\n', "assert")
        self.assert_found("src/base/a.cpp", HEAD + 'f(R"x(a\n"b)x");\nassert(x);\n', "a.cpp:4")

    def test_text(self):
        self.assert_found("src/base/a.cpp", HEAD + "// " + "x" * 98 + "\n", "101 columns")
        self.assert_clean("src/base/a.cpp", HEAD + "// " + "x" * 97 + "\n")
        self.assert_found("src/base/a.cpp", HEAD + "int x; \n", "blanks at the end")
        self.assert_found("src/base/a.cpp", HEAD + "\tint x;\n", "a tab")
        self.assert_found("src/base/a.cpp", HEAD + "int x;", "no newline at the end")
        self.assert_found("src/base/a.cpp", HEAD + "int x;\n" * 800, "801 lines")
        self.assert_found("docs/a.md", "see /" + "home/someone/notes\n", "a path of one machine")
        self.assert_found("docs/a.md", "from pypi" + ".org\n", "package registry")

    def test_opening(self):
        self.assert_found("src/base/a.cpp", "int x;\n", "expected a comment")
        self.assert_found("src/base/a.h", HEAD + "int x;\n", "expected #pragma once")

    def test_order_comes_from_the_document(self):
        repository = pathlib.Path(__file__).resolve().parent.parent.parent
        order = tidy.folder_order(repository)
        self.assertEqual((order[0], order[-1]), ("base", "cli"))


if __name__ == "__main__":
    unittest.main()

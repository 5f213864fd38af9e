#!/usr/bin/env python3
"""House style as a test. Prints one line a finding and fails when there is any.

Usage: tidy.py REPOSITORY COMPILER [COMPILER-ARGUMENT...]
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

MAX_COLUMNS = 100
MAX_LINES = 800
CODE = {".h", ".cpp"}
TEXT = CODE | {".py", ".sh", ".cmake", ".md", ".txt", ".json"}
FOLDERS = ("src", "tests", "fuzz", "bench", "tools", "cmake", "docs", ".ci")
# Data, generated or from outside, is not ours to format.
SKIPPED_PARTS = {"fixtures", "corpus", "data", "__pycache__"}

EVERYWHERE = [
    (r"\bstd::(w?regex|basic_regex|regex_\w+)\b", "std::regex overflows the stack on long input"),
    (r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\(", "no bound on the buffer"),
    (r"\b(atoi|atol|atoll|atof)\s*\(", "reports no error: use std::from_chars"),
    (r"(?<![\w:.>])(std::)?s?rand\s*\(", "not reproducible: use a seeded generator"),
    (r"(?<!static_)(?<!\w)assert\s*\(", "gone with NDEBUG: use RECKON_CHECK or a Result"),
    (r"#\s*include\s*<(c?assert|assert\.h|regex)>", "see the calls it is for"),
    (r"\busing\s+namespace\s+(?!std::\w*literals)", "hides where names come from"),
]
# Libraries never print or end the program; the command does.
LIBRARIES = [
    (r"(?<!\w)(std::)?(printf|puts|putchar|vprintf)\s*\(", "libraries never print"),
    (r"\bstd::(cout|cerr|clog)\b", "libraries never print"),
    (r"(?<![\w.>])(std::)?(exit|quick_exit|_Exit|terminate)\s*\(", "libraries never exit"),
]
# base/ has the two places that may: CHECK and the guard of mapped files.
LIBRARY_EXCEPTIONS = {"src/base/check.cpp"}
# Nothing that holds on one machine only.
TEXT_RULES = [
    (r"(?<![\w.])/(work|home/\w+|root)/", "a path of one machine"),
    (r"py[p]i\.org|pythonh[o]sted|npm[j]s\.(org|com)", "the name of a package registry's host"),
]


def without_comments_and_strings(text):
    """The text with comments and literals blanked, line numbers kept."""
    pattern = re.compile(
        r'R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|'
        r"(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'|//[^\n]*|/\*.*?\*/",
        re.DOTALL)
    return pattern.sub(lambda match: '""' + "\n" * match.group(0).count("\n"), text)


def folder_order(repository):
    """The list in docs/architecture.md: `1. `src/base/` ...`."""
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    order = re.findall(r"^\d+\. `src/(\w+)/`", text, re.MULTILINE)
    if len(order) < 10:
        raise SystemExit("tidy: the list of folders in docs/architecture.md can't be read")
    return order


def source_files(repository):
    for top in FOLDERS:
        for root, folders, names in os.walk(repository / top):
            folders[:] = sorted(f for f in folders if f not in SKIPPED_PARTS)
            for name in sorted(names):
                path = pathlib.Path(root, name)
                if path.suffix in TEXT or top == ".ci":
                    yield path
    for name in ("CMakeLists.txt", "CMakePresets.json", "README.md", "Makefile"):
        if (repository / name).is_file():
            yield repository / name


def check_text(name, lines, suffix):
    if len(lines) > MAX_LINES:
        yield f"{name}: {len(lines)} lines, at most {MAX_LINES}: it holds two ideas"
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS and suffix not in (".md", ".json"):
            yield f"{name}:{number}: {len(line)} columns, at most {MAX_COLUMNS}"
        if line != line.rstrip():
            yield f"{name}:{number}: blanks at the end of the line"
        if "\t" in line and name != "Makefile":
            yield f"{name}:{number}: a tab"
        for pattern, reason in TEXT_RULES:
            if re.search(pattern, line):
                yield f"{name}:{number}: {reason}"


def check_calls(name, code_lines):
    rules = list(EVERYWHERE)
    if name.startswith("src/") and not name.startswith("src/cli/"):
        if name not in LIBRARY_EXCEPTIONS:
            rules += LIBRARIES
    for number, line in enumerate(code_lines, 1):
        for pattern, reason in rules:
            if match := re.search(pattern, line):
                yield f"{name}:{number}: {match.group(0).strip()}: {reason}"


def check_includes(name, lines, order):
    """A folder of src/ includes itself and the folders before it."""
    parts = name.split("/")
    if parts[0] != "src":
        return
    if parts[1] not in order:
        yield f"{name}: the folder is not in docs/architecture.md's list"
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        folder = match.group(1).split("/")[0]
        if "/" not in match.group(1) or folder not in order:
            yield f'{name}:{number}: "{match.group(1)}": expected a path from src/'
        elif order.index(folder) > order.index(parts[1]):
            yield f"{name}:{number}: {parts[1]}/ may not include {folder}/, which stands after it"


def check_opening(name, lines, suffix):
    if not lines or not lines[0].startswith("//"):
        yield f"{name}:1: expected a comment that says what the file does"
    if suffix == ".h" and not any(line.strip() == "#pragma once" for line in lines):
        yield f"{name}: expected #pragma once"


def check_file(repository, path, order):
    name = path.relative_to(repository).as_posix()
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    else:
        yield f"{name}: no newline at the end"
    yield from check_text(name, lines, path.suffix)
    if path.suffix in CODE:
        yield from check_calls(name, without_comments_and_strings(text).split("\n"))
        yield from check_includes(name, lines, order)
        yield from check_opening(name, lines, path.suffix)


def headers_to_compile(repository):
    """Headers that no .cpp of theirs, by including them first, proves to stand alone."""
    for path in sorted((repository / "src").rglob("*.h")):
        own = '#include "' + path.relative_to(repository / "src").as_posix() + '"'
        source = path.with_suffix(".cpp")
        if source.is_file():
            includes = [line for line in source.read_text(encoding="utf-8").split("\n")
                        if line.startswith("#include")]
            if includes and includes[0].startswith(own):
                continue
        # Kernels of another processor can't be compiled here.
        if re.search(r"#include <(\w*intrin|arm_neon)\.h>", path.read_text(encoding="utf-8")):
            continue
        yield path


def check_header(repository, path, compiler):
    name = path.relative_to(repository).as_posix()
    run = subprocess.run(
        [*compiler, "-std=c++20", "-fsyntax-only", "-x", "c++", "-include", str(path), os.devnull],
        capture_output=True, text=True, check=False)
    if run.returncode != 0:
        first = next((line for line in run.stderr.split("\n") if "error" in line), run.stderr)
        return [f"{name}: does not stand alone: {first}"]
    return []


def main():
    repository = pathlib.Path(sys.argv[1]).resolve()
    order = folder_order(repository)
    findings = []
    for path in source_files(repository):
        findings += check_file(repository, path, order)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        compiler = sys.argv[2:]
        if compiler:
            for found in pool.map(lambda path: check_header(repository, path, compiler),
                                  headers_to_compile(repository)):
                findings += found
    print("\n".join(findings))
    print(f"tidy: {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()

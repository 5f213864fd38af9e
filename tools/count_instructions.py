#!/usr/bin/env python3
"""Instructions that the hot kernels take, beside the committed numbers: a guard that no clock and
no load can disturb.

    tools/count_instructions.py BUILD [--write]

BUILD holds bench/kernel_counts and the AVX-512 objects of a release build. Of the scalar and AVX2
paths callgrind counts what runs. It can't run AVX-512: there the instructions of each loop that
multiplies are counted in the disassembly, for each product in it. More than 3 % above
bench/instruction_counts.json fails; --write writes that file. A compiler's choices are its own:
with another g++ than the one the numbers were made with, nothing is compared.
"""

import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

BASELINE = os.path.join(os.path.dirname(__file__), "..", "bench", "instruction_counts.json")
MOST = 1.03
PRODUCTS = re.compile(r"^vp?(dpbusd|dpbf16ps|fmadd\w*ps)\b")


def output_of(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def compiler_of(build):
    """"g++ 12.2.0" by the build's own compiler; another compiler's name never equals it."""
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as cache:
        path = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache.read(), re.MULTILINE).group(1)
    name = "clang" if "clang" in output_of([path, "--version"]) else "g++"
    return f"{name} {output_of([path, '-dumpfullversion', '-dumpversion']).strip()}"


def counted_runs(build, isa):
    """Name of each kernel -> instructions it took, by callgrind."""
    program = os.path.join(build, "bench", "kernel_counts")
    with tempfile.TemporaryDirectory() as folder:
        names = output_of(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no",
             "--toggle-collect=reckon_counted", "--dump-after=reckon_counted",
             f"--callgrind-out-file={folder}/out", program, isa]).splitlines()
        dumps = sorted((path for path in glob.glob(f"{folder}/out.*")),
                       key=lambda path: int(path.rsplit(".", 1)[1]))
        totals = []
        for path in dumps:
            with open(path, encoding="utf-8") as file:
                totals.append(int(re.search(r"^(?:summary|totals): (\d+)", file.read(),
                                            re.MULTILINE).group(1)))
    if len(totals) != len(names):
        sys.exit(f"{isa}: {len(names)} kernels ran, callgrind wrote {len(totals)} totals")
    return dict(zip(names, totals))


def functions_of(objects):
    """(name, [(address, instruction, jump target or None)]) of each function."""
    name, code = None, []
    for line in output_of(["objdump", "-d", "-C", "--no-show-raw-insn", *objects]).splitlines():
        if found := re.match(r"^[0-9a-f]+ <(.*)>:$", line):
            if name:
                yield name, code
            name, code = found.group(1), []
        elif found := re.match(r"^\s+([0-9a-f]+):\s+(\S+)\s*(.*)$", line):
            address, instruction, operands = found.groups()
            target = re.match(r"^([0-9a-f]+) <", operands) if instruction[0] == "j" else None
            code.append((int(address, 16), instruction,
                         int(target.group(1), 16) if target else None))
    if name:
        yield name, code


def short_name(name):
    """Without what all of them share, and without the parameters: the template's arguments tell
    functions apart."""
    shared = r"reckon::kernels::|reckon::|\(anonymous namespace\)::|avx512(_bf16)?::|^void "
    name = re.sub(shared, "", name)
    return name.split("(")[0].replace("> >", ">>")


def loops_of(code):
    """(first, last) address of each loop: what a jump backwards goes over."""
    start = code[0][0]
    return {(target, address) for address, _, target in code
            if target is not None and start <= target < address}


def counted_loops(build):
    """Function -> instructions of its loops a hundred products. Each product counts for the
    smallest loop around it, and each loop once."""
    objects = sorted(glob.glob(f"{build}/CMakeFiles/reckon_kernels_avx512*.dir/**/*.o",
                               recursive=True))
    found = {}
    for name, code in functions_of(objects):
        loops = sorted(loops_of(code), key=lambda loop: loop[1] - loop[0])
        around = {}
        for address, instruction, _ in code:
            if not PRODUCTS.match(instruction):
                continue
            loop = next((x for x in loops if x[0] <= address <= x[1]), None)
            if loop:
                around[loop] = around.get(loop, 0) + 1
        if around:
            n = sum(first <= address <= last for first, last in around for address, _, _ in code)
            each = round(100 * n / sum(around.values()))
            name = short_name(name)  # the compiler's clones of a function share one
            found[name] = max(each, found.get(name, 0))
    return found


def compare(part, expected, found):
    worse = 0
    for name in sorted(set(expected) | set(found)):
        was, now = expected.get(name), found.get(name)
        if was is None or now is None:
            print(f"{part}: {name}: expected {was}, found {now}: run with --write")
            worse += 1
        elif now > was * MOST:
            print(f"{part}: {name}: {was} before, {now} now: {100 * (now / was - 1):+.1f} %")
            worse += 1
    less = sum(found.get(name, was) * MOST < was for name, was in expected.items())
    print(f"{part}: {len(found)} counted, {worse} worse, {less} better by more than 3 %")
    return worse


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    compiler = compiler_of(options.build)
    with open(BASELINE, encoding="utf-8") as file:
        expected = json.load(file)
    if compiler != expected["compiler"] and not options.write:
        print(f"skipped: the numbers are {expected['compiler']}'s, this build is {compiler}'s")
        return
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        if not re.search(r"^flags\s*:.* avx2 ", file.read(), re.MULTILINE):
            print("skipped: this machine has no AVX2")
            return
    found = {"compiler": compiler,
             "scalar": counted_runs(options.build, "scalar"),
             "avx2": counted_runs(options.build, "avx2"),
             "avx512": counted_loops(options.build)}
    if options.write:
        with open(BASELINE, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
            file.write("\n")
        return
    worse = sum(compare(part, expected[part], found[part]) for part in ("scalar", "avx2", "avx512"))
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()

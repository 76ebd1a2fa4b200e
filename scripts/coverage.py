#!/usr/bin/env python3
"""coverage.py: which lines of src/ the tests run, by gcov. Builds in build-coverage, runs the tests, prints a line a file.

    scripts/coverage.py             builds, runs the tests, prints the table (some 15 minutes on 2 cores)
    scripts/coverage.py --report    the table of the last run
    scripts/coverage.py --lines src/nn/order.c     its lines that no test ran

A file that is compiled several times (kernels: once per instruction set, and all of src/ in double for the gradient checks)
counts with the build of which the most lines ran. Tests that count every call which changes a file are left out: the
counters of gcov are files too.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-coverage"
COUNT_CALLS = r"^(runs\.test_kill|cli\.runs)$"


def gcov(counters, *options):
    return subprocess.run(["gcov", *options, "-o", str(counters.parent), str(counters)], cwd=BUILD, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False).stdout


def measured():
    """{file of src/: (lines that ran, lines, its counters)}"""
    best = {}
    for counters in sorted(BUILD.glob("CMakeFiles/**/src/**/*.gcda")):
        for name, percent, lines in re.findall(r"File '([^']*)'\nLines executed:([\d.]+)% of (\d+)", gcov(counters, "-n")):
            name = os.path.relpath(name, ROOT) if os.path.isabs(name) else name
            ran = round(float(percent) * int(lines) / 100)
            if name.startswith("src/") and ran >= best.get(name, (0,))[0]:
                best[name] = (ran, int(lines), counters)
    return best


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--report", action="store_true", help="do not build nor test")
    p.add_argument("--lines", metavar="FILE", help="print the lines of FILE that did not run")
    args = p.parse_args()
    if not args.report and not args.lines:
        for command in (["cmake", "-G", "Ninja", "-S", ROOT, "-B", BUILD, "-DRECUR_TESTS=ON", "-DRECUR_SHARED=OFF",
                         "-DCMAKE_BUILD_TYPE=Coverage", "-DCMAKE_C_FLAGS_COVERAGE=-O1 -g --coverage -fprofile-update=atomic"],
                        ["cmake", "--build", BUILD], ["ctest", "--test-dir", BUILD, "-j2", "-E", COUNT_CALLS]):
            if subprocess.run([str(word) for word in command], check=False).returncode:
                sys.exit(f"{command[0]} fails")
    best = measured()
    if not best:
        sys.exit(f"{BUILD}: no counters; run without --report first")
    if args.lines:
        if args.lines not in best:
            sys.exit(f"{args.lines}: no line of it is counted")
        text, inside = gcov(best[args.lines][2], "-t").splitlines(), False
        for line in text:
            if ":    0:Source:" in line:
                inside = line.endswith(args.lines)
            elif inside and line.lstrip().startswith("#####"):
                print(line)
        return
    for name, (ran, lines, _) in sorted(best.items(), key=lambda b: b[1][0] / max(1, b[1][1])):
        print(f"{100 * ran / max(1, lines):6.1f} % of {lines:5d}  {name}")
    ran, lines = sum(b[0] for b in best.values()), sum(b[1] for b in best.values())
    print(f"{100 * ran / lines:6.1f} % of {lines:5d}  lines of src/")


if __name__ == "__main__":
    main()

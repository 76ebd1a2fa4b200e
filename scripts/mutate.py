#!/usr/bin/env python3
"""mutate.py: does a test fail when the code is wrong? Changes one place at a time in a copy of the tree and runs the tests.

    scripts/mutate.py --count 200 --seed 1 --jobs 2        200 mutants, spread over the files; resumes where it stopped
    scripts/mutate.py --only src/optim/schedule.c          of one file or folder
    scripts/mutate.py --list --count 20                    what would be changed, without building
    scripts/mutate.py --report                             the table of what was done so far

A mutant is one change of one line: a sign, a bound, a constant, a condition, a term or a statement less. Which ones are
drawn follows from the seed and the sources alone: 200 mutants begin with the 20 of --count 20. Per mutant the objects that
depend on the file are compiled again; when all of their bits are the same the change is of code that this machine does not
compile, or changes nothing: `equivalent`, not counted, and another is drawn. Then the tests that run the changed line run,
the quickest first, each with a time limit, until one fails: `killed by`. Which tests run a line is counted once, by gcov, in
a build of its own; of a line that gcov does not count (a table, a macro) every test is tried. A mutant that no test notices
is a hole in the tests, or a change without effect on any result (a block size, a shortcut): somebody has to look at it.

Work folders (a copy of the tree and a build per job), baseline times and results.jsonl lie in --work; the table is
results.md beside them.
"""
import argparse
import concurrent.futures
import hashlib
import heapq
import json
import math
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

from coverage import COUNT_CALLS

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What is mutated unless --only says otherwise: what computes, and what reads files from outside.
ROOMS = ["src/kernels", "src/autograd", "src/nn", "src/optim", "src/formats", "src/data", "src/train/checkpoint.c"]
# Not worth a mutant: these measure speed (no result is wrong with another loop count) or print what is built in.
LEFT_OUT = {"src/kernels/peak.c", "src/kernels/peak.inc", "src/kernels/version.c"}
# Kernels are compiled once per instruction set; ref, plain and this hold every branch of the sources but sizes.
ISAS = "v4"
# Tests that are linked together before they run: few, since the first often fails.
AT_ONCE = 4

# ---- where a file can be changed -------------------------------------------------------------------------------------

BLANK = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
TOKEN = re.compile(r"[A-Za-z_]\w*|0[xX][0-9a-fA-F]+[uUlL]*|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fFuUlL]*"
                   r"|<<=|>>=|->|\+\+|--|[-+*/%&|^<>=!]=|&&|\|\||<<|>>|\S")
# Of these calls nothing is changed: messages, and assertions that ordinary builds do not have.
MESSAGES = {"rc_fail", "printf", "fprintf", "snprintf", "RC_ASSERT", "_Static_assert", "perror", "strerror"}
# A statement whose loss is a leak or a slower program only: the sanitizers' business.
NO_DROP = re.compile(r"free|close|unlink|decref|abort|destroy|end$|madvise|fsync|prefetch|begin$|pthread|_init$|leave_c")
SWAPS = {" + ": [" - "], " - ": [" + "], " * ": [" + "], " / ": [" * "], " % ": [" / "], " += ": [" -= ", " = "],
         " -= ": [" += ", " = "], " *= ": [" = "], " < ": [" <= "], " <= ": [" < "], " > ": [" >= "], " >= ": [" > "],
         " == ": [" != "], " != ": [" == "], " && ": [" || "], " || ": [" && "], " & ": [" | "], " | ": [" & "],
         " ^ ": [" | "], " << ": [" >> "], " >> ": [" << "], " ? ": [" == 0 ? "]}
ENDS_TERM = {"+", "-", "<", ">", "<=", ">=", "==", "!=", "&&", "||", "?", ":", ";", ",", "&", "|", "^", "<<", ">>", "=",
             "{", "}"}


def blanked(text):
    """The text without comments, strings and preprocessor lines, every other character in its place."""
    text = BLANK.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    lines = text.split("\n")
    directive = False
    for i, line in enumerate(lines):
        if directive or line.lstrip().startswith("#"):
            directive = line.rstrip().endswith("\\")
            lines[i] = " " * len(line)
    return "\n".join(lines)


def another_number(token):
    m = re.fullmatch(r"(0[xX][0-9a-fA-F]+)([uUlL]*)", token)
    if m:
        return [hex(int(m[1], 16) ^ 1) + m[2]]
    m = re.fullmatch(r"(\d+)([uUlL]*)", token)
    if m:
        n = int(m[1])
        return [f"{n + 1}{m[2]}"] + ([f"{n - 1}{m[2]}"] if n > 1 else [])
    m = re.fullmatch(r"([\d.eE+-]+)([fFlL]?)", token)
    return [f"{float(m[1]) * 1.0625 if float(m[1]) else 1.0!r}{m[2]}"] if m else []


def candidates(path):
    """[(line, start, end, new, kind)]: every change that can be made to the file."""
    source = path.read_text()
    code = blanked(source)
    tokens = [(m.group(), m.start(), m.end()) for m in TOKEN.finditer(code)]
    line_of = [0]
    for c in code:
        line_of.append(line_of[-1] + (c == "\n"))
    closes, stack = {}, []
    for i, (t, _, _) in enumerate(tokens):
        if t in "([{" and len(t) == 1:
            stack.append(i)
        elif t in ")]}" and len(t) == 1 and stack:
            closes[stack.pop()] = i
    quiet = [False] * len(tokens)
    for i, (t, _, _) in enumerate(tokens):
        if t in MESSAGES and i + 1 < len(tokens) and i + 1 in closes:
            for k in range(i, closes[i + 1] + 1):
                quiet[k] = True
    out = []

    def add(start, end, new, kind):
        if source[start:end] == code[start:end] or kind == "drop":
            out.append((line_of[start] + 1, start, end, new, kind))

    for i, (t, start, end) in enumerate(tokens):
        if quiet[i]:
            continue
        spaced = code[start - 1:end + 1]
        for new in SWAPS.get(spaced, []):
            add(start - 1, end + 1, new, "operator")
        if spaced in (" + ", " - "):  # the term behind it
            depth, k = 0, i + 1
            while k < len(tokens) and not (depth == 0 and (tokens[k][0] in ENDS_TERM or tokens[k][0] in ")]")):
                depth += (tokens[k][0] in "([") - (tokens[k][0] in ")]") if len(tokens[k][0]) == 1 else 0
                k += 1
            if k < len(tokens) and "\n" not in code[start:tokens[k - 1][2]]:
                add(start - 1, tokens[k - 1][2], "", "term")
        if t[0].isdigit() or (t[0] == "." and len(t) > 1):
            for new in another_number(t):
                add(start, end, new, "constant")
        if t in ("true", "false"):
            add(start, end, "false" if t == "true" else "true", "constant")
        if t == "!" and code[end:end + 1].strip():
            add(start, end, "", "condition")
        if t == "if" and i + 1 in closes:
            last = tokens[closes[i + 1]][1]
            if "\n" not in code[start:last]:
                add(tokens[i + 1][2], last, "!(" + source[tokens[i + 1][2]:last] + ")", "condition")
    position = 0
    lines = code.split("\n")
    for n, line in enumerate(lines):
        before = next((x.rstrip() for x in reversed(lines[:n]) if x.strip()), "")
        text = line.strip()
        whole = before.endswith((";", "{", "}", ":", "else")) or re.search(r"\b(if|for|while) \(.*\)$", before)
        first = position + len(line) - len(line.lstrip())
        if whole and text.endswith(";") and text.count(";") == 1 and text.count("(") == text.count(")"):
            call = re.match(r"\*?(\w+)", text)
            statement = re.match(r"\*?\w+(\(|\[|\.|->|\s[-+*/|&^]?= |\+\+|--)", text)
            check = re.match(r"if \(.*\) (return|goto)\b", text)
            if (statement and call and not NO_DROP.search(call[1]) and call[1] not in MESSAGES
                    and call[1] not in ("return", "goto", "sizeof", "if", "for", "while")) or check:
                out.append((n + 1, first, position + len(line.rstrip()), ";", "drop"))
        position += len(line) + 1
    return source, out


def sequence(files, seed):
    """All mutants in the order in which they are tried: files by turns, large ones oftener (square root of their lines);
    in a file the lines are shuffled, on a line the kind of change is drawn before the change."""
    heap, of_file = [], {}
    for name in files:
        source, found = candidates(ROOT / name)
        by_line = {}
        for c in found:
            by_line.setdefault(c[0], []).append(c)
        if not by_line:
            continue
        draw = random.Random(f"{seed}:{name}")
        lines = sorted(by_line)
        draw.shuffle(lines)
        chosen = []
        for n in lines:
            kind = draw.choice(sorted({c[4] for c in by_line[n]}))
            chosen.append(draw.choice([c for c in by_line[n] if c[4] == kind]))
        of_file[name] = (source, chosen)
        heap.append((draw.random() / math.sqrt(len(chosen)), name, 0))
    heapq.heapify(heap)
    while heap:
        at, name, k = heapq.heappop(heap)
        source, chosen = of_file[name]
        line, start, end, new, kind = chosen[k]
        begin = source.rfind("\n", 0, start) + 1
        stop = source.find("\n", end)
        stop = len(source) if stop < 0 else stop
        yield {"id": f"{name}:{line}:{start - begin + 1}:{hashlib.sha1((source[begin:stop] + new).encode()).hexdigest()[:8]}",
               "file": name, "line": line, "kind": kind, "was": source[begin:stop].strip(),
               "is": (source[begin:start] + new + source[end:stop]).strip(), "text": source[:start] + new + source[end:]}
        if k + 1 < len(chosen):
            heapq.heappush(heap, (at + 1 / math.sqrt(len(chosen)), name, k + 1))


def sources(only):
    out = []
    for room in only or ROOMS:
        path = ROOT / room
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for p in found:
            name = str(p.relative_to(ROOT))
            if p.is_file() and p.suffix in (".c", ".h", ".inc") and (name not in LEFT_OUT or name in (only or [])):
                out.append(name)
    if not out:
        sys.exit(f"no source file in {' '.join(only or ROOMS)}")
    return out


# ---- building and testing --------------------------------------------------------------------------------------------

def order(tests, name, line, reach, times):
    """The tests that can notice a change of the line: those named like the file, then the quickest."""
    stem = pathlib.Path(name).stem.removeprefix("cell_")
    counted = reach["lines"].get(name, {})
    can = set(tests)
    if str(line) in counted:
        can = {reach["tests"][k] for k in counted[str(line)]} | set(tests).difference(reach["tests"]) | set(reach["unknown"])
    return sorted(can & set(tests), key=lambda t: (not re.search(rf"test_(base_|lm_)?{re.escape(stem)}", t), times[t]))


class Group:
    """A command in a process group of its own, ended with everything that it started when its time is over."""

    def __init__(self, limit_memory):
        self.limit_memory = limit_memory

    def run(self, command, env, cwd, limit):
        def limits():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 40, 4 << 40))  # a test makes a sparse file
            resource.setrlimit(resource.RLIMIT_AS, (self.limit_memory, self.limit_memory))

        with subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=limits) as p:
            try:
                return p.wait(limit)
            except subprocess.TimeoutExpired:
                return None
            finally:
                try:
                    os.killpg(p.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


class Slot:
    """A copy of the tree with a build of its own."""

    def __init__(self, work, number, args):
        self.tree = work / f"slot{number}" / "tree"
        self.build = work / f"slot{number}" / "build"
        self.tmp = work / f"slot{number}" / "tmp"
        self.args = args
        self.group = Group(args.memory << 30)
        self.env = dict(os.environ, TMPDIR=str(self.tmp), CCACHE_DIR=str(work / "ccache"), CCACHE_MAXSIZE="2G",
                        CCACHE_BASEDIR=str(self.tree.parent), CCACHE_NOHASHDIR="1")
        self.tree.mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                                stdout=subprocess.PIPE).stdout.decode().split("\0")
        listed = [n for n in listed if n and (ROOT / n).is_file()]
        for old in [p for p in self.tree.rglob("*") if p.is_file() and str(p.relative_to(self.tree)) not in set(listed)]:
            old.unlink()
        for name in listed:  # only what differs, so that a second run compiles nothing
            to = self.tree / name
            if not to.is_file() or to.read_bytes() != (ROOT / name).read_bytes():
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, to)
                os.utime(to)
        self.configure(self.build, "-O1 -g0")
        self.compile([])
        self.hashes = {p: self.digest(p) for p in self.objects()}

    def configure(self, build, flags):
        cached = "--coverage" not in flags and shutil.which("ccache")  # gcov's objects name the folder they are made in
        launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if cached else []
        self.tool(["cmake", "-G", "Ninja", "-S", str(self.tree), "-B", str(build), "-DRECUR_TESTS=ON",
                   "-DRECUR_SHARED=OFF", "-DCMAKE_BUILD_TYPE=Mutation", f"-DCMAKE_C_FLAGS_MUTATION={flags}",
                   f"-DRECUR_ISAS={self.args.isas}", *launcher])

    def tool(self, command):
        done = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout.decode()[-4000:]}")

    def ninja(self, targets, build=None):
        done = subprocess.run(["nice", "-n", "10", "ninja", "-C", str(build or self.build), "-j",
                               str(self.args.compile_jobs), *targets], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        self.said = done.stdout.decode(errors="replace")
        return done.returncode == 0

    def compile(self, targets, build=None):
        if not self.ninja(targets, build):
            sys.exit(f"the tree does not build without any change:\n{self.said[-4000:]}")

    def objects(self):
        return [p for p in self.build.glob("CMakeFiles/**/*.o")]

    @staticmethod
    def digest(path):
        return hashlib.sha1(path.read_bytes()).digest()

    def tests(self, build=None):
        build = build or self.build
        listed = json.loads(subprocess.run(["ctest", "--test-dir", str(build), "--show-only=json-v1"], check=True,
                                           stdout=subprocess.PIPE).stdout)
        out = {}
        for t in listed["tests"]:
            properties = {p["name"]: p["value"] for p in t.get("properties", [])}
            # The build's own tests are of headers and symbols, bench.table is of speed, the examples depend on each other.
            if t["name"].startswith(("build.", "bench.", "examples.")):
                continue
            env = dict(e.split("=", 1) for e in properties.get("ENVIRONMENT", []))
            program = pathlib.Path(t["command"][0])  # of the build, or a shell for a script that runs `recur`
            out[t["name"]] = {"command": t["command"], "env": env, "cwd": properties.get("WORKING_DIRECTORY"),
                              "skip": properties.get("SKIP_RETURN_CODE", -1),
                              "targets": ["recur"] + ([str(program.relative_to(build))] if build in program.parents else [])}
        return out

    def test(self, t, limit):
        """True: passed."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.tmp.mkdir(parents=True)
        code = self.group.run(t["command"], dict(self.env, **t["env"]), t["cwd"], limit)
        return None if code is None else code in (0, t["skip"])

    def try_mutant(self, m, tests, reach, times):
        began = time.monotonic()
        path = self.tree / m["file"]
        whole = path.read_bytes()
        path.write_text(m["text"])
        try:
            verdict, by = self.judge(m, tests, reach, times)
        finally:
            path.write_bytes(whole)
        return {k: m[k] for k in ("id", "file", "line", "kind", "was", "is")} | {
            "verdict": verdict, "by": by, "seconds": round(time.monotonic() - began, 1)}

    def judge(self, m, tests, reach, times):
        before = {p: p.stat().st_mtime_ns for p in self.hashes}
        if not self.ninja(["recur_lib", "recur64"]):
            return "does not build", ""
        changed = [p for p in self.hashes if p.stat().st_mtime_ns != before[p]]
        if all(self.digest(p) == self.hashes[p] for p in changed):
            return "equivalent", ""
        ordered = order(tests, m["file"], m["line"], reach, times)
        for at in range(0, len(ordered), AT_ONCE):
            batch = ordered[at:at + AT_ONCE]
            if not self.ninja(sorted({target for name in batch for target in tests[name]["targets"]})):
                return "does not build", ""
            for name in batch:
                passed = self.test(tests[name], 20 + 8 * times[name])
                if not passed:
                    return "killed", name if passed is False else f"{name} (time limit)"
        return "SURVIVED", ""


def baseline(slot, work, stamp):
    """Every test without a change: it must pass, and how long it takes."""
    path = work / "baseline.json"
    if path.is_file():
        known = json.loads(path.read_text())
        if known["stamp"] == stamp:
            return known["times"]
    times, bad = {}, []
    for name, t in slot.tests().items():
        began = time.monotonic()
        if not slot.test(t, 900):
            bad.append(name)
        times[name] = round(time.monotonic() - began, 2)
    if bad:
        sys.exit(f"these tests fail without any change: {' '.join(bad)}")
    path.write_text(json.dumps({"stamp": stamp, "times": times}, indent=1))
    return times


def reached(slots, work, stamp):
    """{"tests": [name], "unknown": [name], "lines": {file: {line: [places in tests]}}}: the tests that run each line that
    gcov counts. A test that is not among them counts the calls that change files, and gcov's are such; it is tried for
    every line, and so is one that fails while lines are counted."""
    path = work / "reach.json"
    if path.is_file():
        known = json.loads(path.read_text())
        if known["stamp"] == stamp:
            return known
    build = work / "reach"
    slots[0].configure(build, "-O1 -g0 --coverage -fprofile-update=atomic")
    slots[0].compile([], build)
    tests = {n: t for n, t in slots[0].tests(build).items() if not re.search(COUNT_CALLS, n)}
    names, unknown, lines, lock = sorted(tests), [], {}, threading.Lock()
    notes = list(build.glob("CMakeFiles/**/src/**/*.gcno"))
    queue = iter(enumerate(names))

    def worker(k):
        room = work / f"reach-counters{k}"  # where GCOV_PREFIX sends them: two tests at once do not mix
        shutil.rmtree(room, ignore_errors=True)
        for note in notes:
            to = room / note.relative_to("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.symlink_to(note)
        while True:
            with lock:
                number, name = next(queue, (0, None))
            if name is None:
                return
            t = tests[name]
            for old in room.glob("**/*.gcda"):
                old.unlink()
            if not slots[k].test(dict(t, env=t["env"] | {"GCOV_PREFIX": str(room)}), 1800):
                print(f"{name} fails while lines are counted: it is tried for every line", flush=True)
                with lock:
                    unknown.append(name)
                continue
            counters = list(room.glob("**/src/**/*.gcda"))
            if not counters:
                continue
            said = subprocess.run(["gcov", "--json-format", "--stdout", *map(str, counters)], cwd=slots[k].tree,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
            found = {}
            for text in said.splitlines():
                counted = json.loads(text)
                for file in counted["files"]:
                    source = os.path.relpath(os.path.join(counted["current_working_directory"], file["file"]), slots[0].tree)
                    if source.startswith("src/"):
                        ran = found.setdefault(source, {})
                        for line in file["lines"]:
                            ran[line["line_number"]] = ran.get(line["line_number"], False) or line["count"] > 0
            with lock:
                for source, ran in found.items():
                    for line, yes in ran.items():
                        at = lines.setdefault(source, {}).setdefault(str(line), [])
                        if yes:
                            at.append(number)

    with concurrent.futures.ThreadPoolExecutor(len(slots)) as pool:
        for f in [pool.submit(worker, k) for k in range(len(slots))]:
            f.result()
    known = {"stamp": stamp, "tests": names, "unknown": unknown, "lines": lines}
    path.write_text(json.dumps(known))
    return known


# ---- the table -------------------------------------------------------------------------------------------------------

def report(results, path, seed):
    counted = [r for r in results if r["verdict"] in ("killed", "SURVIVED")]
    lived = [r for r in counted if r["verdict"] == "SURVIVED"]
    rooms = {}
    for r in counted:
        room = "/".join(r["file"].split("/")[:2])
        killed, n = rooms.get(room, (0, 0))
        rooms[room] = (killed + (r["verdict"] == "killed"), n + 1)
    skipped = {v: sum(r["verdict"] == v for r in results) for v in ("equivalent", "does not build")}

    def cell(text):
        return "`" + text.replace("|", "\\|").replace("`", "'") + "`"

    out = ["# Mutants", "",
           f"Seed {seed}: {len(counted)} mutants counted, {len(counted) - len(lived)} killed, {len(lived)} survived. "
           f"Not counted: {skipped['equivalent']} whose object files have the same bits, {skipped['does not build']} that "
           "do not build.", "", "| room | killed | of |", "| --- | ---: | ---: |"]
    out += [f"| {room} | {killed} | {n} |" for room, (killed, n) in sorted(rooms.items())]
    out += ["", "| where | kind | was | is | verdict |", "| --- | --- | --- | --- | --- |"]
    rank = {"SURVIVED": 0, "killed": 1, "does not build": 2, "equivalent": 3}
    for r in sorted(results, key=lambda r: (rank[r["verdict"]], r["file"], r["line"])):
        verdict = f"killed by {r['by']}" if r["verdict"] == "killed" else r["verdict"]
        out.append(f"| {r['file']}:{r['line']} | {r['kind']} | {cell(r['was'])} | {cell(r['is'])} | {verdict} |")
    path.write_text("\n".join(out) + "\n")
    return counted, lived


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=200, help="mutants that build and differ (%(default)s)")
    p.add_argument("--seed", type=int, default=1, help="which ones (%(default)s)")
    p.add_argument("--jobs", type=int, default=1, help="mutants at once (%(default)s)")
    p.add_argument("--compile-jobs", type=int, default=2, help="compilers at once for each (%(default)s)")
    p.add_argument("--only", action="append", metavar="FILE", help="a source file or folder; may be repeated")
    p.add_argument("--work", type=pathlib.Path, default=ROOT / "build-mutate", help="folder of copies, builds and results")
    p.add_argument("--memory", type=int, default=16, help="GiB of address space for a test (%(default)s)")
    p.add_argument("--isas", default=ISAS, help="kernel builds, as RECUR_ISAS (%(default)s)")
    p.add_argument("--list", action="store_true", help="print the mutants and stop")
    p.add_argument("--report", action="store_true", help="write the table of what was done and stop")
    p.add_argument("--fresh", action="store_true", help="forget earlier results")
    args = p.parse_args()

    files = sources(args.only)
    mutants = list(sequence(files, args.seed))
    if args.list:
        for m in mutants[:args.count]:
            print(f"{m['file']}:{m['line']}: {m['kind']}\n  - {m['was']}\n  + {m['is']}")
        print(f"{len(mutants)} lines of {len(files)} files can be changed")
        return 0
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    log = work / "results.jsonl"
    if args.fresh and log.exists():
        log.unlink()
    known = {}
    if log.exists():
        for line in log.read_text().splitlines():
            try:
                r = json.loads(line)
            except ValueError:  # the last line of a run that was killed
                continue
            known[r["id"]] = r
    # Results of lines that are no longer as they were do not belong to these mutants.
    results = [known[m["id"]] for m in mutants if m["id"] in known]
    if args.report:
        counted, lived = report(results, work / "results.md", args.seed)
        print(f"{len(counted)} counted, {len(lived)} survived: {work / 'results.md'}")
        return 0

    stamp = hashlib.sha1()
    for name in sorted(subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                                      stdout=subprocess.PIPE, text=True).stdout.split("\n")):
        if name and (ROOT / name).is_file() and name.startswith(("src/", "tests/", "cli/", "include/", "CMake")):
            stamp.update(name.encode() + (ROOT / name).read_bytes())
    slots = []
    for k in range(args.jobs):
        print(f"building copy {k + 1} of {args.jobs} in {work}", flush=True)
        slots.append(Slot(work, k, args))
    print("running every test without a change", flush=True)
    times = baseline(slots[0], work, stamp.hexdigest() + args.isas)
    print("counting which lines each test runs", flush=True)
    reach = reached(slots, work, stamp.hexdigest() + args.isas)
    tests = [s.tests() for s in slots]

    done, counted, running, lock = [], 0, 0, threading.Condition()
    waiting = iter(mutants)

    def worker(k):
        nonlocal counted, running
        while True:
            with lock:
                while counted + running >= args.count and running > 0:
                    lock.wait()
                if counted >= args.count:
                    return
                m = next(waiting, None)
                if m is None:
                    return
                running += 1
            r = known.get(m["id"])
            fresh = r is None
            try:
                if fresh:
                    r = slots[k].try_mutant(m, tests[k], reach, times)
            finally:
                with lock:
                    running -= 1
                    if r:
                        done.append(r)
                        counted += r["verdict"] in ("killed", "SURVIVED")
                        if fresh:
                            with log.open("a") as f:
                                f.write(json.dumps(r) + "\n")
                            what = f"killed by {r['by']}" if r["verdict"] == "killed" else r["verdict"]
                            print(f"{counted:4d}/{args.count}  {r['file']}:{r['line']}  {what}  ({r['seconds']:.0f} s)\n"
                                  f"           {r['was']}\n        -> {r['is']}", flush=True)
                    lock.notify_all()

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for f in [pool.submit(worker, k) for k in range(args.jobs)]:
            f.result()
    counted_results, lived = report(done, work / "results.md", args.seed)
    print(f"{len(counted_results)} counted, {len(lived)} survived: {work / 'results.md'}")
    for r in lived:
        print(f"SURVIVED {r['file']}:{r['line']}\n  - {r['was']}\n  + {r['is']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

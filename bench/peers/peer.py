"""What the peers written in Python share: the loop that reads one JSON object a line and answers with one (README.md).

A peer calls serve(name, version, prepare). prepare(point) builds the model and its input and returns a function without
arguments that runs one pass (or one time step, where point["step"] is set); it raises Skip("why") for what it does not
have. The model stays until another point is asked for, so only the first request of a point pays for building it.
"""
import json
import os
import statistics
import sys
import time

FIELDS = dict(cell="lstm", batch=32, seq_len=64, hidden=256, layers=1, train=False, precision="fp32", threads=1,
              lengths=None, bidirectional=False, step=False, memory=False, rounds=1000, seconds=0.3)
WARM = 3
# Answers go where standard output went; what a library prints must not come between them.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


class Skip(Exception):
    """Says why a point is left out."""


def threads():
    """Number after --threads: of this process, for libraries that take it only once, before they start."""
    return int(sys.argv[sys.argv.index("--threads") + 1]) if "--threads" in sys.argv else 1


def say(**answer):
    print(json.dumps(answer), file=answers, flush=True)


def process_bytes(name):
    """VmRSS or VmHWM of this process."""
    try:
        with open("/proc/self/status", encoding="ascii") as f:
            return next(int(line.split()[1]) << 10 for line in f if line.startswith(name + ":"))
    except (OSError, StopIteration):
        return None


class Runner:
    def __init__(self, prepare):
        self.prepare, self.key, self.call, self.first = prepare, None, None, None

    def build(self, point):
        key = json.dumps({k: v for k, v in point.items() if k not in ("rounds", "seconds")}, sort_keys=True)
        if key == self.key:
            return
        self.key = self.call = None  # frees the last model first
        self.call = self.prepare(point)
        start = time.perf_counter()
        self.call()
        self.first = time.perf_counter() - start
        for _ in range(100 if point["step"] else WARM):
            if not point["rounds"] or time.perf_counter() - start > 1 + 2 * self.first:
                break
            self.call()
        self.key = key

    def answer(self, point):
        if point["threads"] != threads():
            raise Skip(f"started for {threads()} threads")
        before = process_bytes("VmRSS")
        self.build(point)
        if not point["rounds"]:
            return dict(first_us=1e6 * self.first) if point["step"] else dict(first_ms=1e3 * self.first)
        if point["memory"]:
            return dict(rss_growth_bytes=process_bytes("VmHWM") - before if before else None)
        seconds = []
        end = time.perf_counter() + point["seconds"]
        while len(seconds) < point["rounds"] and (len(seconds) < 3 or time.perf_counter() < end):
            start = time.perf_counter()
            self.call()
            seconds.append(time.perf_counter() - start)
        seconds.sort()
        median = statistics.median(seconds)
        if point["step"]:
            return dict(us_median=1e6 * median, us_p99=1e6 * seconds[len(seconds) * 99 // 100], us_min=1e6 * seconds[0],
                        first_us=1e6 * self.first, steps=len(seconds))
        return dict(ms=1e3 * median, ms_min=1e3 * seconds[0], first_ms=1e3 * self.first, passes=len(seconds))


def serve(name, version, prepare):
    say(peer=name, version=version)
    runner = Runner(prepare)
    for line in sys.stdin:
        try:
            say(**runner.answer({**FIELDS, **json.loads(line)}))
        except Skip as why:
            say(skip=str(why))
        except Exception as error:  # a peer's own failure is an answer too
            runner.key = None
            say(skip=f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}")


def missing(name, error):
    """The library is not there: that is told, and no error."""
    say(peer=name, skip=str(error))
    sys.exit(0)

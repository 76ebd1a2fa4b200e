#!/usr/bin/env python3
"""Measures recur and its peers by turns and prints tables in Markdown (README.md). Standard library only.

    make bench BENCH="--quick"
    PYTHON=venv/bin/python python3 bench/table.py --only rnn --cells lstm --shapes 32x64x128 --threads 2

For each point every contender runs once a round, in an order that rotates; what is told are medians over the rounds.
Each run of recur measures the machine's peak beside its passes. A peer that is not there, has no such thing or dies is
left out, and a line below the table says why. Ctrl-C prints what there is so far.
"""
import argparse
import datetime
import itertools
import json
import os
import platform
import random
import select
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SECTIONS = ["rnn", "lengths", "bidirectional", "cells", "options", "memory", "startup", "step", "program", "classify", "seq2seq"]
SHAPES = "1x64x128 1x64x512 8x64x256 32x64x128 32x64x256 64x64x512 64x128x1024"
CELLS = ("rnn rnn-relu lstm lstm-peephole lstm-projection lstm-layernorm lstm-coupled gru gru-v1 gru-d mgu rhn indrnn "
         "mingru minlstm sru").split()
PEERS = {"onednn": "oneDNN", "torch": "PyTorch", "ort": "ONNX Runtime", "keras": "Keras", "jax": "JAX"}
OPTIONS = ["--dropout 0.2 --layers 2", "--dropout 0.2 --dropout-sequence --layers 2", "--skip residual --layers 2",
           "--skip highway --layers 2", "--recurrent-dropout 0.2", "--zoneout 0.1", "--zoneout 0.1 --zoneout-c 0.1",
           "--weight-drop 0.2", "--learn-initial-state", "--bidirectional", "--lengths random"]
PAUSE = 0.02  # between contenders: threads of the last one stop spinning
NOTES = {}    # why something was left out -> how often


def note(what, why):
    NOTES[f"{what}: {why}"] = NOTES.get(f"{what}: {why}", 0) + 1


def progress(text):
    end = "" if sys.stderr.isatty() else "\n"
    print(("\r\033[K" if sys.stderr.isatty() else "") + text[:110], end=end, file=sys.stderr, flush=True)


# ---- contenders ----------------------------------------------------------------------------------------

class Peer:
    """A process that answers one JSON line per JSON line. It is started when first asked, and again when it died."""

    def __init__(self, name, command, threads, limit):
        self.name, self.command, self.threads, self.limit = name, command, threads, limit
        self.process, self.absent, self.version, self.deaths = None, None, "", 0

    def start(self):
        if self.process or self.absent:
            return
        try:
            self.process = subprocess.Popen(
                self.command + ["--threads", str(self.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": str(self.threads)})
        except OSError as error:
            self.absent = f"{self.command[0]}: {error.strerror}"
            return
        hello = self.read()
        if "skip" in hello:
            self.absent = hello["skip"]
            self.stop()
        else:
            self.version = hello.get("version", "")

    def read(self):
        line, end = b"", time.monotonic() + self.limit
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                self.stop()
                return dict(skip=f"no answer within {self.limit:g} s")
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                code = self.process.wait()
                self.stop()
                self.deaths += 1
                how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                return dict(skip=how)
            line += part
        try:
            return json.loads(line)
        except ValueError:
            return dict(skip=f"answered {line[:60]!r}")

    def ask(self, point):
        if self.deaths >= 3:
            return dict(skip="died three times")
        self.start()
        if self.absent:
            return dict(skip=self.absent)
        try:
            self.process.stdin.write(json.dumps({**point, "threads": self.threads}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it is gone: read says how
        return self.read()

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
        self.process = None


def peer_command(key):
    if key == "onednn":
        return [a.onednn]
    return [a.python, os.path.join(HERE, "peers", key + "_rnn.py")]


def new_peers(threads):
    return {PEERS[k]: Peer(PEERS[k], peer_command(k), threads, a.limit) for k in a.peers}


def recur(words, timeout=None):
    """Runs recur; its JSON object, or {"skip": why}."""
    try:
        done = subprocess.run([a.recur] + words, capture_output=True, text=True,
                              timeout=timeout or a.limit, check=False)
    except subprocess.TimeoutExpired:
        return dict(skip=f"took longer than {timeout or a.limit:g} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return dict(skip=lines[0])
    return json.loads(done.stdout)


def recur_point(p, more=()):
    """The command line of a point."""
    words = ["bench", "step" if p.get("step") else "rnn", "--time", f"{a.seconds}s", "--json"]
    for name in ("cell", "batch", "hidden", "layers", "precision", "threads"):
        words += ["--" + name, p[name]]
    if not p.get("step"):
        words += ["--seq-len", p["seq_len"]]
    for name in ("train", "bidirectional"):
        if p.get(name):
            words.append("--" + name)
    return [str(w) for w in words] + list(more)


# ---- rounds ----------------------------------------------------------------------------------------

def measure(contenders, rounds):
    """contenders: name -> function that runs once and returns a dict. Medians of each number, or {"skip": why}."""
    answers, skipped = {name: [] for name in contenders}, {}
    names = list(contenders)
    for r in range(rounds):
        for name in names[r % len(names):] + names[:r % len(names)]:
            if name in skipped:
                continue
            time.sleep(PAUSE)
            answer = contenders[name]()
            if "skip" in answer:
                skipped[name] = answer["skip"]
                note(name, answer["skip"])
            else:
                answers[name].append(answer)
    result = {name: dict(skip=why) for name, why in skipped.items()}
    for name, given in answers.items():
        if name not in skipped and given:
            result[name] = {key: median([g[key] for g in given]) for key in given[0]}
    return {name: result[name] for name in names if name in result}


def median(values):
    """Of numbers; of anything else the first."""
    if all(v == values[0] for v in values) or not all(isinstance(v, (int, float)) for v in values):
        return values[0]
    return statistics.median(values)


def compare(p, peers, more=(), also=None):
    """One point: recur, what else of recur, and the peers."""
    progress(" ".join(w for w in recur_point(p, more) if w not in ("bench", "--json")))
    contenders = {"recur": lambda: recur(recur_point(p, more))}
    contenders.update(also or {})
    for name, peer in peers.items():
        contenders[name] = lambda peer=peer: peer.ask({**p, "seconds": a.seconds, "rounds": 100000})
    result = measure(contenders, a.rounds)
    return dict(point={k: v for k, v in p.items() if k != "lengths"}, result=result)


def ratio(record, key):
    """Time of the best peer over ours, and its name; None without one."""
    ours = record["result"].get("recur", {}).get(key)
    others = [(v[key], n) for n, v in record["result"].items() if n in PEERS.values() and key in v]
    return (min(others)[0] / ours, min(others)[1]) if ours and others else None


# ---- Markdown ----------------------------------------------------------------------------------------

def number(x):
    if x is None:
        return ""
    return f"{x:.0f}" if x >= 1000 else f"{x:.3g}"


def ratio_text(r):
    if not r:
        return ""
    return f"{r[0]:.2f} ({r[1]})" if r[0] >= 1 else f"**{r[0]:.2f} loses** ({r[1]})"


def print_table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join("---" if i == 0 else "---:" for i in range(len(head))) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def point_text(p):
    text = f"{p['cell']} {p['layers']} x {p['hidden']}, batch {p['batch']}"
    if "seq_len" in p:
        text += f", {p['seq_len']} steps"
    return text


def work_text(p):
    work = "training" if p.get("train") else "inference"
    return f"{work}, {p['precision']}, {p['threads']} thread{'s' * (p['threads'] > 1)}"


def peer_columns(records):
    return [n for n in PEERS.values() if any(n in r["result"] and "skip" not in r["result"][n] for r in records)]


def table_of(records, key="ms", unit="ms", extra=()):
    """The usual table. extra: (heading, function of a record) after the floor."""
    names = peer_columns(records)
    head = ["point", "work", f"recur {unit}", "GFLOP/s", "% of peak", "peak", f"floor {unit}", "bound", f"first {unit}"]
    head += [h for h, _ in extra] + [f"{n} {unit}" for n in names] + ["best peer / recur"]
    rows = []
    for r in records:
        ours = r["result"].get("recur", {})
        row = [point_text(r["point"]), work_text(r["point"])]
        row += [number(ours.get(k)) for k in (key, "gflops", "percent_of_peak", "peak_gflops", f"floor_{unit}")]
        row += [ours.get("bound", ours.get("skip", "")), number(ours.get(f"first_{unit}"))]
        row += [f(r) for _, f in extra] + [number(r["result"].get(n, {}).get(key)) for n in names]
        rows.append(row + [ratio_text(ratio(r, key))])
    print_table(head, rows)
    known = [ratio(r, key)[0] for r in records if ratio(r, key)]
    if known:
        print(f"{len(known)} points with a peer, {sum(x < 1 for x in known)} lost; geometric mean of best peer / recur "
              f"{statistics.geometric_mean(known):.2f}.\n", flush=True)


def multiple(record):
    """Time per operation as a multiple of the plain layer measured beside it."""
    plain, ours = record["result"].get("plain", {}), record["result"].get("recur", {})
    return plain["gflops"] / ours["gflops"] if "gflops" in plain and ours.get("gflops") else None


# ---- sections: each a list of points, and a way to print the records ------------------------------------

def points(cells, shapes, layers, works, precisions):
    for cell in cells:
        for batch, seq_len, hidden in shapes:
            for n in layers:
                for work in works:
                    for precision in precisions:
                        if not (precision == "int8" and work == "train"):
                            yield dict(cell=cell, batch=batch, seq_len=seq_len, hidden=hidden, layers=n,
                                       train=work == "train", precision=precision)


def run_points(todo, peers_of, measure_one):
    """measure_one(point, peers) for every point and number of threads. Returns what there is when interrupted."""
    records = []
    for threads in a.threads:
        peers = peers_of(threads)
        try:
            for p in todo:
                records.append(measure_one({**p, "threads": threads}, peers))
        except KeyboardInterrupt:
            STOPPED.append(True)
        finally:
            for peer in peers.values():
                if peer.version:
                    VERSIONS[peer.name] = peer.version
                peer.stop()
        if STOPPED:
            break
    return records


def section_rnn():
    print("## Sequences\n")
    todo = list(points(a.cells or ["lstm", "gru", "rnn"], a.shapes, a.layers, a.work, a.precision))
    records = run_points(todo, new_peers, compare)
    table_of(records)
    return records


def section_bidirectional():
    print("## Both directions\n")
    shapes = [s for s in a.shapes if s[0] > 1] or a.shapes
    todo = [{**p, "bidirectional": True}
            for p in points(a.cells or ["lstm", "gru", "rnn"], shapes, a.layers, a.work, ["fp32"])]
    records = run_points(todo, new_peers, compare)
    table_of(records)
    return records


def section_lengths():
    print("## Rows of random length\n")
    shapes = [s for s in a.shapes if s[0] > 1] or a.shapes

    def one(p, peers):
        drawn = recur(recur_point(p, ["--lengths", "random", "--time", "0.01s"]))
        asked = {**p, "lengths": drawn.get("row_lengths")}
        if "skip" in drawn:
            note("recur", drawn["skip"])
        return compare(asked, peers, ["--lengths", "random"], {"full": lambda: recur(recur_point(p))})

    def rate(record):
        full, ours = record["result"].get("full", {}), record["result"].get("recur", {})
        return number(100 * ours["gflops"] / full["gflops"]) if "gflops" in full and "gflops" in ours else ""

    todo = list(points(a.cells or ["lstm", "gru", "rnn"], shapes, [1], a.work, ["fp32"]))
    records = run_points(todo, new_peers, one)
    table_of(records, extra=[("% of the full batch's rate", rate)])
    return records


def section_cells():
    print("## Every cell, as a multiple of plain LSTM per operation\n")
    shapes = [s for s in a.shapes if s[0] == 32] or a.shapes

    def one(p, peers):
        return compare(p, peers, also={"plain": lambda: recur(recur_point({**p, "cell": "lstm"}))})

    records = run_points(list(points(a.cells or CELLS, shapes, [1], a.work, ["fp32"])), new_peers, one)
    table_of(records, extra=[("x plain LSTM", lambda r: number(multiple(r)))])
    return records


def section_options():
    print("## Every option, as a multiple of the plain layers per operation\n")
    shapes = [s for s in a.shapes if s[0] == 32] or a.shapes
    todo = [{**p, "options": o}
            for p in points(a.cells or ["lstm", "gru"], shapes, [1], ["train"], a.precision) for o in OPTIONS
            if "--zoneout-c" not in o or p["cell"].startswith("lstm")]  # others have no cell state

    def one(p, peers):
        words = shlex.split(p["options"])
        layers = 2 if "--layers" in words else 1
        p = {**p, "layers": layers}
        return compare(p, peers, words, {"plain": lambda: recur(recur_point(p))})

    records = run_points(todo, lambda threads: {}, one)
    print_table(["point", "work", "options", "ms", "GFLOP/s", "x plain"],
                [[point_text(r["point"]), work_text(r["point"]), "`" + r["point"]["options"] + "`",
                  number(r["result"].get("recur", {}).get("ms")), number(r["result"].get("recur", {}).get("gflops")),
                  number(multiple(r))] for r in records])
    return records


def section_memory():
    print("## Memory of a training step: growth of the process, MiB\n")

    def one(p, peers):
        progress("memory: " + point_text(p))
        result = {"recur": recur(recur_point(p))}
        for name in peers:
            fresh = Peer(name, peers[name].command, p["threads"], a.limit)
            result[name] = fresh.ask({**p, "memory": True})
            peers[name].version = fresh.version
            fresh.stop()
            if "skip" in result[name]:
                note(name, result[name]["skip"])
        return dict(point=p, result=result)

    todo = list(points(a.cells or ["lstm", "gru"], a.shapes, a.layers, ["train"], ["fp32"]))
    records = run_points(todo, new_peers, one)

    def mib(answer, key):
        return number(answer[key] / 2 ** 20) if answer.get(key) else ""

    names = peer_columns(records)
    print_table(["point", "work", "recur", "of which the library's"] + names,
                [[point_text(r["point"]), work_text(r["point"]), mib(r["result"]["recur"], "rss_growth_bytes"),
                  mib(r["result"]["recur"], "peak_bytes")] +
                 [mib(r["result"].get(n, {}), "rss_growth_bytes") for n in names] for r in records])
    return records


def section_startup():
    print("## From nothing to the first answer, ms\n")
    text = "the cat sat on the mat and the dog ran home\n" * 60
    with tempfile.TemporaryDirectory() as folder:
        model, source = os.path.join(folder, "m.safetensors"), os.path.join(folder, "text.txt")
        with open(source, "w", encoding="ascii") as f:
            f.write(text)
        small = shlex.split("--steps 1 --layers 1 --hidden 64 --batch 4 --seq-len 16 --sample-length 0 --quiet")
        subprocess.run([a.recur, "train", "lm", source, "--run", os.path.join(folder, "run"), "-o", model] + small,
                       check=True, stdout=subprocess.DEVNULL)

        def ours():
            start = time.perf_counter()
            subprocess.run([a.recur, "predict", model, "--length", "1"], check=True, stdout=subprocess.DEVNULL)
            return dict(ms=1e3 * (time.perf_counter() - start))

        def theirs(name, command):
            start = time.perf_counter()
            fresh = Peer(name, command, 1, a.limit)
            answer = fresh.ask(dict(cell="lstm", batch=1, seq_len=1, hidden=64, layers=1, rounds=0))
            spent = time.perf_counter() - start
            fresh.stop()
            return answer if "skip" in answer else dict(ms=1e3 * spent)

        contenders = {"recur": ours}
        for key in a.peers:
            contenders[PEERS[key]] = lambda key=key: theirs(PEERS[key], peer_command(key))
        progress("startup")
        result = measure(contenders, a.rounds)
    record = dict(point=dict(cell="lstm", hidden=64), result=result)
    print_table(list(result), [[number(v.get("ms")) for v in result.values()]])
    print("recur: starts, loads a model file (LSTM 1 x 64) and writes one character (`recur predict`). Peers: start,\n"
          "import, build the same layer, run one step.\n", flush=True)
    return [record]


def section_step():
    print("## One step at a time, batch 1\n")
    sizes = sorted({s[2] for s in a.shapes}) if a.shapes_given else [8, 16, 32, 64, 128, 256, 512, 1024]
    todo = [dict(cell=c, batch=1, hidden=h, layers=1, precision=p, step=True)
            for c in a.cells or ["lstm", "gru", "rnn"] for h in sizes for p in a.step_precision]
    records = run_points(todo, new_peers, compare)
    p99 = ("recur p99 us", lambda r: number(r["result"].get("recur", {}).get("us_p99")))
    table_of(records, "us_median", "us", [p99])
    return records


# name, tokens a step, options both understand, options of recur and of the peer
PROGRAMS = [
    ("LSTM 2 x 256, characters", "--cell lstm --layers 2 --hidden 256 --batch 64 --seq-len 64", "--vocab char", ""),
    ("GRU 1 x 128, characters", "--cell gru --layers 1 --hidden 128 --batch 64 --seq-len 70", "--vocab char", ""),
    ("LSTM 2 x 256, words, V = 10,000", "--cell lstm --layers 2 --hidden 256 --batch 32 --seq-len 35",
     "--vocab word:10000", "--words 10000"),
    ("Transformer 4 x 128, characters", "--cell transformer --layers 4 --hidden 128 --batch 64 --seq-len 64",
     "--vocab char --no-carry", ""),
    ("Transformer 6 x 256, T = 256, characters", "--cell transformer --layers 6 --hidden 256 --batch 16 --seq-len 256",
     "--vocab char --no-carry", ""),
    ("Transformer 4 x 512, words, V = 10,000", "--cell transformer --layers 4 --hidden 512 --batch 32 --seq-len 35",
     "--vocab word:10000 --no-carry", "--words 10000"),
]
UNTIL = "--layers 2 --hidden 256 --batch 16 --seq-len 64 --lr 0.004 --dropout 0.2 --warmup 100 --average-decay 0.998"


def section_program():
    print("## Whole programs\n")
    if not a.text:
        note("program", "no text: name one with --text, or the folder of data sets with RECUR_DATA")
        return []
    options = subprocess.run([a.recur, "help", "train"], capture_output=True, text=True, check=False).stdout
    has_precision = "--precision" in options
    records = []
    work = tempfile.TemporaryDirectory()

    def ours(words):
        folder = os.path.join(work.name, "run")
        subprocess.run(["rm", "-rf", folder], check=True)
        answer = recur(["train", "lm", a.text, "--run", folder, "-o", os.path.join(work.name, "m.safetensors"),
                        "--sample-length", "0", "--json", "--quiet"] + words, 3600)
        answer["metrics"] = os.path.join(folder, "metrics.jsonl")
        return answer

    def theirs(words):
        command = [a.python, os.path.join(HERE, "peers", "torch_lm.py"), a.text] + words
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return dict(skip=str(error))
        if done.returncode:
            return dict(skip=(done.stderr.strip().splitlines() or ["failed"])[-1])
        return json.loads(done.stdout)

    def rate(threads, precision, name, common, own, peer_own):
        words = shlex.split(common) + ["--threads", str(threads), "--steps", str(a.steps)]
        bf16 = ["--precision", "bf16"] if precision == "bf16" else []
        fixed = shlex.split("--dropout 0 --optimizer adamw --clip 1 --valid-fraction 0.01 --valid-every 100000 " + own)
        progress(f"program: {name}, {precision}, {threads} threads")
        contenders = {}
        if not bf16 or has_precision:
            contenders["recur"] = lambda: ours(words + fixed + bf16)
        if "torch" in a.peers:
            contenders["PyTorch"] = lambda: theirs(words + shlex.split(peer_own) + bf16)
        result = measure(contenders, a.rounds) if contenders else {}
        return dict(point=dict(name=name, precision=precision, threads=threads), result=result)

    def until(threads):
        """Seconds to a validation loss of a.until_loss, one run each."""
        progress(f"program: seconds to {a.until_loss} nats, {threads} threads")
        words = shlex.split(UNTIL) + ["--threads", str(threads), "--steps", str(a.until_steps), "--valid-every", "500"]
        recipe = "--cell lstm --tied --schedule cosine --average ema --optimizer adamw --clip 1"
        answer = ours(words + shlex.split(recipe))
        if "skip" not in answer:
            with open(answer["metrics"], encoding="utf-8") as f:
                lines = [json.loads(line) for line in f]
            reached = [m["seconds"] for m in lines if (m.get("valid_loss") or 99) <= a.until_loss]
            answer["seconds_to_loss"] = reached[0] if reached else None
        result = {"recur": answer}
        if "torch" in a.peers:
            result["PyTorch"] = theirs(words + ["--until-loss", str(a.until_loss)])
        name = f"seconds to {a.until_loss} nats a character"
        return dict(point=dict(name=name, precision="fp32", threads=threads), result=result)

    try:
        for threads in a.threads:
            for precision in a.precision:
                for program in PROGRAMS if precision != "int8" else []:
                    records.append(rate(threads, precision, *program))
            if a.until_loss:
                records.append(until(threads))
    except KeyboardInterrupt:
        STOPPED.append(True)
    finally:
        work.cleanup()

    rows = []
    for r in records:
        key = "seconds_to_loss" if r["point"]["name"].startswith("seconds") else "tokens_per_second"
        values = [r["result"].get(n, {}).get(key) for n in ("recur", "PyTorch")]
        quotient = None
        if all(values):
            quotient = values[0] / values[1] if key == "tokens_per_second" else values[1] / values[0]
        work_done = work_text({**r["point"], "train": True})
        rows.append([r["point"]["name"], work_done] + [number(v) for v in values] +
                    [ratio_text((quotient, "PyTorch")) if quotient else ""])
        for name, answer in r["result"].items():
            if "skip" in answer and key == "seconds_to_loss":
                note(name, answer["skip"])
    print_table(["program", "work", "recur", "PyTorch", "recur's speed / PyTorch's"], rows)
    print("Tokens (characters, words) a second, or seconds; optimizer, data and, for seconds, validation included.\n",
          flush=True)
    return records


CLASSIFIER = "--encoder lstm --bidirectional --layers 1 --hidden 128 --embedding 100 --pool last --batch 32"
PLAIN = ("--dropout 0 --dropout-input 0 --word-dropout 0 --average none --min-count 1 --max-len 0 --optimizer adamw "
         "--clip 1 --valid-fraction 0.01 --valid-every 1000000")


def made_up_texts(path, examples, longest, words=15000):
    """A label, a tab and 3 to `longest` of `words` words in each line; the same for the same arguments."""
    state = 12345

    def draw(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % n

    with open(path, "w", encoding="ascii") as f:
        for _ in range(examples):
            text = " ".join(f"w{draw(words)}" for _ in range(3 + draw(longest - 2)))
            f.write(f"{'yes' if draw(2) else 'no'}\t{text}\n")


def section_classify():
    print("## A classifier of texts: bidirectional LSTM of 128, V = 15,000, embedding 100, lengths 3 to T, batch 32\n")
    records = []
    work = tempfile.TemporaryDirectory()
    try:
        for longest in (30, 200):
            source = os.path.join(work.name, f"texts{longest}.tsv")
            made_up_texts(source, 6400 if longest < 100 else 3200, longest)
            for threads in a.threads:
                progress(f"classify: T = {longest}, {threads} threads")

                def ours(source=source, longest=longest, threads=threads):
                    run, model = os.path.join(work.name, "run"), os.path.join(work.name, "m.safetensors")
                    subprocess.run(["rm", "-rf", run], check=True)
                    answer = recur(["train", "classify", source, "--run", run, "-o", model, "--json", "--quiet", "--steps",
                                    str(a.steps), "--threads", str(threads)] + shlex.split(CLASSIFIER + " " + PLAIN))
                    if "skip" in answer:
                        return answer
                    scored = recur(["eval", model, source, "--json", "--no-details", "--batch", "32", "--threads",
                                    str(threads)])
                    if "skip" in scored:
                        return scored
                    mean = answer["tokens"] / (answer["steps"] * 32)  # words of a text
                    return dict(sequences_per_second=answer["tokens_per_second"] / mean,
                                predicted_per_second=scored["examples"] / scored["seconds"])

                def theirs(source=source, threads=threads):
                    command = [a.python, os.path.join(HERE, "peers", "torch_classify.py"), source, "--steps", str(a.steps),
                               "--threads", str(threads)]
                    try:
                        done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
                    except (OSError, subprocess.TimeoutExpired) as error:
                        return dict(skip=str(error))
                    if done.returncode:
                        return dict(skip=(done.stderr.strip().splitlines() or ["failed"])[-1])
                    return json.loads(done.stdout)

                contenders = {"recur": ours}
                if "torch" in a.peers:
                    contenders["PyTorch"] = theirs
                records.append(dict(point=dict(seq_len=longest, threads=threads), result=measure(contenders, a.rounds)))
    except KeyboardInterrupt:
        STOPPED.append(True)
    finally:
        work.cleanup()
    rows = []
    for r in records:
        for name, key in (("training", "sequences_per_second"), ("prediction", "predicted_per_second")):
            values = [r["result"].get(n, {}).get(key) for n in ("recur", "PyTorch")]
            quotient = ratio_text((values[0] / values[1], "PyTorch")) if all(values) else ""
            rows.append([f"T = {r['point']['seq_len']}", f"{name}, {r['point']['threads']} threads"] +
                        [number(v) for v in values] + [quotient])
    print_table(["lengths", "work", "recur", "PyTorch", "recur's speed / PyTorch's"], rows)
    print("Sequences a second; training with optimizer, clipping and data.\n", flush=True)
    return records


# ---- sequence to sequence -------------------------------------------------------------------------------

TRANSLATOR = ("--vocab word --no-shared --cell lstm --encoder lstm --bidirectional --attention general --layers 2 --hidden 256 "
              "--embedding 256 --batch 128 --batch-tokens 0 --dropout 0 --dropout-input 0 --word-dropout 0 --label-smoothing 0.1 "
              "--average none --optimizer adamw --clip 1 --valid-fraction 0.005 --valid-every 1000000")


def made_up_pairs(path, pairs, words=6000):
    """Sources of 5 to 25 words, targets about as long; the words' frequencies fall as in text (Zipf's law)."""
    draw = random.Random(1)
    weights = list(itertools.accumulate(1 / (k + 10) for k in range(words)))
    with open(path, "w", encoding="utf-8") as f:
        for _ in range(pairs):
            sides = [draw.choices(range(words), cum_weights=weights, k=n)
                     for n in (draw.randint(5, 25), draw.randint(5, 25))]
            f.write("\t".join(" ".join(f"w{i}" for i in side) for side in sides) + "\n")


def section_seq2seq():
    print("## A translator: LSTM 2 x 256 on both sides, attention, V = 6,000, batch 128\n")
    records = []
    work = tempfile.TemporaryDirectory()
    try:
        source, sources = os.path.join(work.name, "pairs.tsv"), os.path.join(work.name, "sources.txt")
        made_up_pairs(source, 10000)
        with open(source, encoding="utf-8") as f, open(sources, "w", encoding="utf-8") as out:
            out.writelines(line.split("\t")[0] + "\n" for line in itertools.islice(f, 256))
        for threads in a.threads:
            for precision in [x for x in a.precision if x != "int8"]:
                progress(f"seq2seq: {precision}, {threads} threads")

                def ours(threads=threads, precision=precision):
                    run, model = os.path.join(work.name, "run"), os.path.join(work.name, "m.safetensors")
                    subprocess.run(["rm", "-rf", run], check=True)
                    answer = recur(["train", "translate", source, "--run", run, "-o", model, "--json", "--quiet", "--steps",
                                    str(a.steps), "--threads", str(threads), "--precision", precision] +
                                   shlex.split(TRANSLATOR), 3600)
                    if "skip" in answer or precision != "fp32":
                        return answer
                    for beam in (1, 5):
                        began = time.perf_counter()
                        done = subprocess.run([a.recur, "predict", model, sources, "--beam", str(beam), "--min-length", "40", "--max-length", "40",
                                               "--batch", "64", "--threads", str(threads)], capture_output=True, check=False)
                        if done.returncode == 0:
                            answer[f"sentences_per_second_{beam}"] = 256 / (time.perf_counter() - began)
                    return answer

                def theirs(threads=threads, precision=precision):
                    command = [a.python, os.path.join(HERE, "peers", "torch_seq2seq.py"), source, "--steps", str(a.steps),
                               "--threads", str(threads), "--precision", precision]
                    try:
                        done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
                    except (OSError, subprocess.TimeoutExpired) as error:
                        return dict(skip=str(error))
                    if done.returncode:
                        return dict(skip=(done.stderr.strip().splitlines() or ["failed"])[-1])
                    return json.loads(done.stdout)

                contenders = {"recur": ours}
                if "torch" in a.peers:
                    contenders["PyTorch"] = theirs
                records.append(dict(point=dict(precision=precision, threads=threads), result=measure(contenders, a.rounds)))
    except KeyboardInterrupt:
        STOPPED.append(True)
    finally:
        work.cleanup()
    rows = []
    for r in records:
        for name, key in (("training, target tokens/s", "tokens_per_second"), ("beam 1, sentences/s", "sentences_per_second_1"),
                          ("beam 5, sentences/s", "sentences_per_second_5")):
            values = [r["result"].get(n, {}).get(key) for n in ("recur", "PyTorch")]
            if not any(values):
                continue
            quotient = ratio_text((values[0] / values[1], "PyTorch")) if all(values) else ""
            rows.append([f"{name}, {r['point']['precision']}", f"{r['point']['threads']} threads"] +
                        [number(v) for v in values] + [quotient])
    print_table(["work", "threads", "recur", "PyTorch", "recur's speed / PyTorch's"], rows)
    print("Training with optimizer, clipping and data. Decoding: exactly 40 tokens; recur's is the whole command, its start and the\n"
          "file's reading included.\n", flush=True)
    return records


# ---- the whole ----------------------------------------------------------------------------------------

STOPPED, VERSIONS = [], {}


def machine():
    cpu = platform.processor()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            cpu = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    build = subprocess.run([a.recur, "--version"], capture_output=True, text=True, check=False).stdout
    return dict(cpu=cpu, cores=cores, system=platform.platform(), date=datetime.date.today().isoformat(),
                recur=build.strip().splitlines())


def arguments():
    p = argparse.ArgumentParser(
        description="recur and its peers, measured by turns; tables in Markdown. See bench/README.md.")
    words = lambda text: [w for w in text.replace(",", " ").split() if w]
    p.add_argument("--only", type=words, default=SECTIONS, metavar="LIST", help="sections: " + ",".join(SECTIONS))
    p.add_argument("--quick", action="store_true", help="fp32, 1 layer, the most threads, 2 rounds")
    p.add_argument("--cells", type=words, metavar="LIST", help="instead of each section's own choice")
    p.add_argument("--shapes", type=words, metavar="LIST", help=f"batch x steps x hidden [{SHAPES}]")
    p.add_argument("--layers", type=words, metavar="LIST", help="[1,2]")
    p.add_argument("--threads", type=words, metavar="LIST", help="[2,1]")
    p.add_argument("--precision", type=words, metavar="LIST", help="[fp32,bf16]; step measures int8 too")
    p.add_argument("--work", type=words, default=["infer", "train"], metavar="LIST", help="infer,train")
    p.add_argument("--peers", type=words, default=list(PEERS), metavar="LIST",
                   help=",".join(PEERS) + "; none for recur alone")
    p.add_argument("--rounds", type=int, metavar="N", help="each contender runs so often [5; quick 2]")
    p.add_argument("--seconds", type=float, default=0.3, metavar="S", help="of each run [0.3]")
    p.add_argument("--limit", type=float, default=180, metavar="S", help="longest wait for an answer [180]")
    p.add_argument("--steps", type=int, metavar="N", help="program: steps of each run [200; quick 60]")
    p.add_argument("--until-loss", type=float, metavar="X",
                   help="program: seconds to this loss; 0 leaves it out [1.48; quick 0]")
    p.add_argument("--until-steps", type=int, default=12000, metavar="N",
                   help="program: the schedule's length for that [12000]")
    p.add_argument("--text", metavar="FILE", help="program: the text [$RECUR_DATA/tinyshakespeare/input.txt]")
    p.add_argument("--build", default="build", metavar="DIR", help="where recur and peer_onednn are [build]")
    p.add_argument("--recur", metavar="FILE", help="[BUILD/recur]")
    p.add_argument("--onednn", metavar="FILE", help="[BUILD/peer_onednn]")
    p.add_argument("--python", default=os.environ.get("PYTHON") or sys.executable, metavar="FILE",
                   help="Python that has the peers [$PYTHON]")
    p.add_argument("--json", metavar="FILE", help="also writes every number there; - prints JSON instead of tables")
    o = p.parse_args()
    for name in o.only:
        if name not in SECTIONS:
            p.error(f"--only: unknown section {name}; sections: {' '.join(SECTIONS)}")
    o.peers = [] if o.peers == ["none"] else o.peers
    for name in o.peers:
        if name not in PEERS:
            p.error(f"--peers: unknown peer {name}; peers: {' '.join(PEERS)}")
    for name in o.work:
        if name not in ("infer", "train"):
            p.error(f"--work: expected infer or train, found {name}")
    o.shapes_given = o.shapes is not None
    o.step_precision = o.precision or (["fp32"] if o.quick else ["fp32", "bf16", "int8"])
    o.precision = o.precision or (["fp32"] if o.quick else ["fp32", "bf16"])
    try:
        o.shapes = [tuple(int(n) for n in s.split("x")) for s in o.shapes or SHAPES.split()]
        if any(len(s) != 3 for s in o.shapes):
            raise ValueError
        o.layers = [int(n) for n in o.layers or (["1"] if o.quick else ["1", "2"])]
        o.threads = [int(n) for n in o.threads or (["2"] if o.quick else ["2", "1"])]
    except ValueError:
        p.error("--shapes: expected BATCHxSTEPSxHIDDEN; --layers, --threads: expected whole numbers")
    o.rounds = o.rounds or (2 if o.quick else 5)
    o.steps = o.steps or (60 if o.quick else 200)
    o.until_loss = o.until_loss if o.until_loss is not None else 0 if o.quick else 1.48
    o.recur = o.recur or os.path.join(o.build, "recur")
    o.onednn = o.onednn or os.path.join(o.build, "peer_onednn")
    data = os.environ.get("RECUR_DATA")
    o.text = o.text or (os.path.join(data, "tinyshakespeare", "input.txt") if data else None)
    if o.text and not os.access(o.text, os.R_OK):
        p.error(f"--text: {o.text} cannot be read")
    if not os.access(o.recur, os.X_OK):
        p.error(f"{o.recur} is not there: run make first, or name it with --recur")
    return o


def main():
    here = machine()
    if a.json == "-":
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    print(f"# recur and its peers\n\n{here['cpu']}, {here['cores']} cores; {here['date']}; {a.rounds} rounds of "
          f"{a.seconds:g} s.\n")
    sections = {}
    for name in a.only:
        try:
            sections[name] = globals()["section_" + name]()
        except KeyboardInterrupt:
            STOPPED.append(True)
        except subprocess.CalledProcessError as error:
            note(name, str(error))
        if STOPPED:
            break
    progress("")
    if VERSIONS:
        print("Peers: " + ", ".join(f"{n} {v}" for n, v in VERSIONS.items()) + ".\n")
    if NOTES:
        print("Left out:\n")
        for why, times in sorted(NOTES.items()):
            print(f"- {why}" + (f" ({times} points)" if times > 1 else ""))
        print()
    if STOPPED:
        print("Interrupted: the tables end early.\n")
    everything = dict(machine=here, rounds=a.rounds, seconds=a.seconds, peers=VERSIONS, interrupted=bool(STOPPED),
                      left_out=NOTES, sections=sections)
    if a.json == "-":
        json.dump(everything, sys.__stdout__, indent=1)
        print(file=sys.__stdout__)
    elif a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump(everything, f, indent=1)
    return 130 if STOPPED else 0


if __name__ == "__main__":
    a = arguments()
    sys.exit(main())

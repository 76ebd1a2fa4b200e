#!/usr/bin/env python3
"""Writes spans_data.h: random sequences of tags, most of them invalid, and what seqeval says of them, without mode and
with mode="strict". Made with seqeval 1.2.2."""
import pathlib
import random
import warnings
from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as prf_loose
from seqeval.metrics.v1 import precision_recall_fscore_support as prf_strict
from seqeval.scheme import BILOU, IOB2, IOBES, Entities

warnings.simplefilter("ignore")
random.seed(11)
TYPES = ["PER", "geo-loc", "X"]
out = ["/* Made by make_spans.py; do not edit. */"]


def put(name, words, kind="const int32_t"):
    out.append(f"static {kind} {name}[{len(words)}] = {{")
    line = "   "
    for word in words:
        word = f" {word},"
        if len(line) + len(word) > 118:
            out.append(line)
            line = "   "
        line += word
    out.extend([line.rstrip(","), "};"])


def some_tags(parts, n):
    """A sequence that keeps a type and a plausible part more often than not."""
    tags, part, kind = [], "O", TYPES[0]
    for _ in range(n):
        if random.random() < .5:
            part = random.choice("O" + parts)
        if random.random() < .3:
            kind = random.choice(TYPES)
        tags.append("O" if part == "O" else f"{part}-{kind}")
    return tags


def counts(truth, guess):
    """right, guessed, truth per type of two lists of (sequence, type, start, end)"""
    return [x for t in TYPES for x in (sum(1 for s in set(truth) & set(guess) if s[1] == t),
                                       sum(1 for s in guess if s[1] == t), sum(1 for s in truth if s[1] == t))]


def loose(seqs):
    return [(i, t, a, b + 1) for i, s in enumerate(seqs) for t, a, b in get_entities(s)]


def strict(seqs, scheme):
    return [(i, e.tag, e.start, e.end) for i, s in enumerate(Entities(seqs, scheme).entities) for e in s]


def prf(name, f, truth, guess, **more):
    words = []
    for average in ("micro", "macro"):
        words += [repr(float(x)) for x in f(truth, guess, average=average, zero_division=0, **more)[:3]]
    put(name, words, "const double")


for name, parts, scheme in (("iob2", "BI", IOB2), ("iobes", "BIES", IOBES), ("bilou", "BILU", BILOU)):
    names = ["O"] + [f"{p}-{t}" for t in TYPES for p in parts]
    number = {t: k for k, t in enumerate(names)}
    lengths = [random.randrange(0, 12) for _ in range(60)]
    truth = [some_tags(parts, n) for n in lengths]
    guess = [[t if random.random() < .7 else random.choice(names) for t in s] for s in truth]
    put(f"{name}_names", [f'"{t}"' for t in names], "const char *const")
    put(f"{name}_lengths", lengths, "const size_t")
    put(f"{name}_truth", [number[t] for s in truth for t in s])
    put(f"{name}_guess", [number[t] for s in guess for t in s])
    if name != "bilou":  # seqeval knows L and U in strict mode alone
        put(f"{name}_loose", counts(loose(truth), loose(guess)))
        put(f"{name}_loose_spans", [x for s in loose(truth) for x in (s[0], s[2], s[3], TYPES.index(s[1]))])
        prf(f"{name}_loose_prf", prf_loose, truth, guess)
    put(f"{name}_strict", counts(strict(truth, scheme), strict(guess, scheme)))
    prf(f"{name}_strict_prf", prf_strict, truth, guess, scheme=scheme)
    put(f"{name}_accuracy", [repr(float(accuracy_score(truth, guess)))], "const double")

(pathlib.Path(__file__).parent / "spans_data.h").write_text("\n".join(out) + "\n")

#!/usr/bin/env python3
"""Writes metrics_data.h: random labels, probabilities and forecasts, and what scikit-learn says of them.
Made with scikit-learn 1.9.1, numpy 2.4.6."""
import pathlib
import warnings
import numpy as np
import sklearn.metrics as skm

warnings.simplefilter("ignore")
rng = np.random.default_rng(7)
out = ["/* Made by make_metrics.py; do not edit. */"]


def put(name, values, kind="double"):
    values = np.asarray(values).ravel()
    out.append(f"static const {kind} {name}[{len(values)}] = {{")
    line = "   "
    for x in values:
        word = f" {float(x)!r}," if kind == "double" else f" {int(x)},"
        word = word.replace("nan", "NAN").replace("inf", "INFINITY")
        if len(line) + len(word) > 118:
            out.append(line)
            line = "   "
        line += word
    out.extend([line.rstrip(","), "};"])


def prf(name, truth, guess, average, **more):
    p, r, f, _ = skm.precision_recall_fscore_support(truth, guess, average=average, zero_division=0, **more)
    put(name, [p, r, f])


# classes: 6, of which 4 is a guess but never a truth, 3 a truth but never a guess, 5 neither
N, C = 60, 6
truth = rng.choice(4, N, p=[.5, .3, .15, .05])
guess = np.where(rng.random(N) < .6, truth, rng.choice([0, 1, 2, 4], N))
guess[guess == 3] = 1
put("class_truth", truth, "int32_t")
put("class_guess", guess, "int32_t")
put("class_confusion", skm.confusion_matrix(truth, guess, labels=range(C)), "uint64_t")
for average in ("macro", "micro", "weighted"):
    prf(f"class_{average}", truth, guess, average)
each = skm.precision_recall_fscore_support(truth, guess, labels=range(C), zero_division=0)
put("class_each", np.stack(each, 1))
put("class_single", [skm.accuracy_score(truth, guess), skm.balanced_accuracy_score(truth, guess),
                     skm.cohen_kappa_score(truth, guess), skm.matthews_corrcoef(truth, guess)])

# probabilities
P = rng.dirichlet(np.full(4, .6), N)
put("class_prob", P)
put("class_prob_single", [skm.log_loss(truth, P, labels=range(4)),
                          skm.brier_score_loss(truth, P, labels=range(4), scale_by_half=False),
                          skm.top_k_accuracy_score(truth, P, k=2, labels=range(4))])
half = rng.random(N)
binary = (truth > 0).astype(int)
put("binary_prob", np.stack([1 - half, half], 1))
put("binary_brier", [skm.brier_score_loss(binary, half)])

# several labels: 5, of which the last never occurs
L = 5
many = (rng.random((N, L)) < [.5, .3, .1, .05, 0]).astype(int)
said = np.where(rng.random((N, L)) < .8, many, rng.random((N, L)) < .3).astype(int)
said[:, 4] = 0
put("multi_truth", many, "uint8_t")
put("multi_guess", said, "uint8_t")
for average in ("macro", "micro", "weighted", "samples"):
    prf(f"multi_{average}", many, said, average)
put("multi_single", [skm.accuracy_score(many, said), skm.hamming_loss(many, said)])

# forecasts: pinball by scikit-learn, CRPS in its energy form by the double sum
y = rng.normal(2, 3, N)
q = np.sort(rng.normal(2, 3, (N, 9)), 1)
taus = np.arange(1, 10) / 10
put("fc_y", y)
put("fc_quantiles", q)
put("fc_pinball", [skm.mean_pinball_loss(y, q[:, k], alpha=t) for k, t in enumerate(taus)])
x = rng.normal(2, 3, (N, 7))
put("fc_samples", x)
put("fc_crps", [np.mean(np.abs(x - y[:, None])) - .5 * np.mean(np.abs(x[:, :, None] - x[:, None, :]))])
f = y + rng.normal(0, 1, N)
put("fc_point", f)
put("fc_scores", [skm.mean_squared_error(y, f), skm.mean_absolute_error(y, f), skm.root_mean_squared_error(y, f),
                  100 * skm.mean_absolute_percentage_error(y, f),
                  np.mean(200 * np.abs(y - f) / (np.abs(y) + np.abs(f)))])

(pathlib.Path(__file__).parent / "metrics_data.h").write_text("\n".join(out) + "\n")

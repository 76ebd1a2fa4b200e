#!/usr/bin/env python3
"""Fits the polynomials and rationals of src/kernels/vecmath.h (needs numpy alone) and prints them as C.

Each fit minimises the greatest relative error by Lawson's iteration: weighted least squares whose weights grow where the
error is greatest. Rationals are linearised with the denominator of the round before.
"""
import math
import numpy as np

LD = np.longdouble


def lawson(a, t, rounds=400):
    """c with least max |a @ c - t|."""
    w = np.ones(len(t))
    best, best_err = None, math.inf
    for _ in range(rounds):
        s = np.sqrt(w)
        c = np.linalg.lstsq(a * s[:, None], t * s, rcond=None)[0]
        err = np.abs(a @ c - t)
        if err.max() < best_err:
            best, best_err = c, err.max()
        w = w * (err / err.max() + 1e-12)
        w /= w.max()
    return best, best_err


def rational(x2, f, np_, nq, rounds=60):
    """f ~ P(x2) / Q(x2) with Q(0) = 1."""
    q = np.ones_like(x2)
    w = np.ones_like(x2)
    best = (None, None, math.inf)
    pb = np.vander(x2, np_ + 1, increasing=True)
    qb = np.vander(x2, nq + 1, increasing=True)
    for _ in range(rounds * 5):
        scale = np.sqrt(w) / (f * q)
        a = np.hstack([pb, -f[:, None] * qb[:, 1:]]) * scale[:, None]
        norm = np.abs(a).max(axis=0)
        c = np.linalg.lstsq(a / norm, f * scale, rcond=1e-16)[0] / norm
        p, qc = c[:np_ + 1], np.concatenate([[1], c[np_ + 1:]])
        q = qb @ qc
        err = np.abs((pb @ p) / q / f - 1)
        if err.max() < best[2]:
            best = (p, qc, err.max())
        w = w * (err / err.max() + 1e-9)
        w /= w.max()
    return best


def show(name, c, err):
    print(f"{name}: max relative error {err:.3g}")
    for k, v in enumerate(c):
        print(f"    c{k} = {np.float32(v):.9g}f")


def nodes(a, b, n=4000):
    return a + (b - a) * (1 - np.cos(np.linspace(0, np.pi, n))) / 2


# exp(r) = 1 + r + r^2 q(r), |r| <= ln2 / 2; the error is relative to exp(r)
h = math.log(2) / 2 * 1.0005
r = nodes(-h, h)
r = r[np.abs(r) > 1e-4]
rl = r.astype(LD)
show("exp q", *lawson(np.vander(r, 5, increasing=True) * (r * r / np.exp(r))[:, None],
                      ((np.expm1(rl) - rl) / np.exp(rl)).astype(np.float64)))

# log(1 + m) = m - m^2 / 2 + m^3 q(m), m in [sqrt(1/2) - 1, sqrt(2) - 1]; the error is relative to log(1 + m)
m = nodes(math.sqrt(.5) - 1, math.sqrt(2) - 1)
m = m[np.abs(m) > 1e-3]
ml = m.astype(LD)
y = ((np.log1p(ml) - ml + ml ** 2 / 2) / ml ** 3).astype(np.float64)
weight = np.abs(m ** 3 / np.log1p(m))
show("log q", *lawson(np.vander(m, 9, increasing=True) * weight[:, None], y * weight))

# erf(x) = x P(x^2) / Q(x^2) on [0, 3.83] (1 - 2^-24 beyond)
x = nodes(1e-3, 3.9)
erf = np.array([math.erf(v) for v in x])
p, q, err = rational(x * x, erf / x, 5, 5)
show("erf P", p, err)
show("erf Q", q, err)

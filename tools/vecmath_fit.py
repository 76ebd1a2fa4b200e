#!/usr/bin/env python3
"""Fits the polynomials and rationals of src/kernels/vecmath.h (needs numpy alone) and prints them as C.

Each fit minimises the greatest relative error by Lawson's iteration: weighted least squares whose weights grow where the
error is greatest. Rationals are linearised with the denominator of the round before.
"""
import math
import numpy as np

LD = np.longdouble


def lawson(basis, target, rounds=400):
    """Coefficients c with least max |basis @ c / target - 1|."""
    a = (basis / target[:, None]).astype(np.float64)
    w = np.ones(len(target))
    best, best_err = None, math.inf
    for _ in range(rounds):
        s = np.sqrt(w)
        c = np.linalg.lstsq(a * s[:, None], s, rcond=None)[0]
        err = np.abs(a @ c - 1)
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


# exp(r) = 1 + r + r^2 q(r): q fitted so that the error is relative to exp(r)
h = math.log(2) / 2 * 1.0005
r = nodes(-h, h)
r = r[np.abs(r) > 1e-4]
for deg in (3, 4):
    b = np.vander(r, deg + 1, increasing=True) * (r * r)[:, None]
    e = np.expm1(r.astype(LD)) - r
    w = (r.astype(LD) ** 2)
    # minimise |r^2 (q - q*)| / exp(r): scale the target so that lawson's relative error is that
    a = (b / np.exp(r)[:, None])
    t = (e / np.exp(r.astype(LD))).astype(np.float64)
    wt = np.ones_like(r)
    best, be = None, 1
    for _ in range(400):
        s = np.sqrt(wt)
        c = np.linalg.lstsq(a * s[:, None], t * s, rcond=None)[0]
        err = np.abs(a @ c - t)
        if err.max() < be:
            best, be = c, err.max()
        wt = wt * (err / err.max() + 1e-12)
        wt /= wt.max()
    show(f"exp q degree {deg}", best, be)

# log(1 + m) = m - m^2/2 + m^3 q(m), m in [sqrt(1/2) - 1, sqrt(2) - 1]
m = nodes(math.sqrt(.5) - 1, math.sqrt(2) - 1)
m = m[np.abs(m) > 1e-3]
for deg in (7, 8):
    y = ((np.log1p(m.astype(LD)) - m + m.astype(LD) ** 2 / 2) / m.astype(LD) ** 3).astype(np.float64)
    # error relative to log1p
    wgt = np.abs(m ** 3 / np.log1p(m))
    wt = np.ones_like(m)
    best, be = None, 1
    a = np.vander(m, deg + 1, increasing=True) * wgt[:, None]
    for _ in range(400):
        s = np.sqrt(wt)
        c = np.linalg.lstsq(a * s[:, None], y * wgt * s, rcond=None)[0]
        err = np.abs(a @ c - y * wgt)
        if err.max() < be:
            best, be = c, err.max()
        wt = wt * (err / err.max() + 1e-12)
        wt /= wt.max()
    show(f"log q degree {deg}", best, be)

# tanh(x) = x P(x^2) / Q(x^2) on [0, 9.01]
x = nodes(1e-3, 9.011)
for dp, dq in ((5, 4), (6, 3), (5, 3), (6, 4)):
    p, q, err = rational(x * x, np.tanh(x) / x, dp, dq)
    show(f"tanh P{dp}", p, err)
    show(f"tanh Q{dq}", q, err)

# erf(x) = x P(x^2) / Q(x^2) on [0, 3.83] (1 - 2^-24 beyond)
x = nodes(1e-3, 3.9)
erf = np.array([math.erf(v) for v in x])
for dp, dq in ((6, 4), (5, 5), (6, 5)):
    p, q, err = rational(x * x, erf / x, dp, dq)
    show(f"erf P{dp}", p, err)
    show(f"erf Q{dq}", q, err)

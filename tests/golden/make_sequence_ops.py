#!/usr/bin/env python3
"""Writes sequence_ops_golden.h: convolution over time and likelihoods with their gradients as PyTorch computes them.

Run: python make_sequence_ops.py > sequence_ops_golden.h      (seed 21; the version of PyTorch is in the file)
"""
import torch
import torch.nn.functional as F

T, B, I, O, K, N = 6, 4, 5, 7, 4, 24
g = torch.Generator().manual_seed(21)


def randn(*shape):
    return torch.randn(*shape, generator=g)


def emit(name, x, kind="float"):
    def word_of(v):
        return str(int(v)) if kind == "int32_t" else "NAN" if v != v else f"{float(v):#.9g}f"

    words = [word_of(v) for v in x.detach().reshape(-1)]
    line, lines = "   ", []
    for word in words:
        if len(line) + len(word) + 2 > 118:
            lines.append(line)
            line = "   "
        line += f" {word},"
    print(f"static const {kind} {name}[{len(words)}] = {{\n" + "\n".join(lines + [line]) + "\n};")


print(f"/* Made by make_sequence_ops.py with PyTorch {torch.__version__.split('+')[0]}; do not edit. */")
print("#include <math.h>\n#include <stdint.h>")
print(f"enum {{ G_T = {T}, G_B = {B}, G_I = {I}, G_O = {O}, G_K = {K}, G_N = {N} }};")

lengths = torch.tensor([6, 0, 3, 1])
x = randn(T, B, I).requires_grad_()
w = (0.5 * randn(O, I, K)).requires_grad_()
b = randn(O).requires_grad_()
weight = randn(T, B, O)  # of the sum whose gradients are taken
for name, value in dict(x=x, w=w, b=b, weight=weight).items():
    emit(f"g_{name}", value)
emit("g_lengths", lengths, "int32_t")
for pad in range(K):
    rows = []
    for row, L in enumerate(lengths.tolist()):
        y = torch.zeros(T, O)
        if L:
            seen = F.pad(x[:L, row].T, (pad, K - 1 - pad))
            y = F.pad(F.conv1d(seen[None], w, b)[0].T, (0, 0, 0, T - L))
        rows.append(y)
    y = torch.stack(rows, 1)
    emit(f"g_conv_{pad}", y)
    for name, d in zip("xwb", torch.autograd.grad((y * weight).sum(), (x, w, b))):
        emit(f"g_conv_{pad}_d{name}", d)

params = (2 * randn(N, 3)).double().requires_grad_()
target = 3 * randn(N).double()
count = torch.poisson(5 * torch.rand(N, generator=g), generator=g).double()
scale = (0.5 + 4 * torch.rand(N, generator=g)).double()
with torch.no_grad():
    params[0, 1:] = torch.tensor([-12.0, -12.0])  # near the floors
    params[1, 1:] = torch.tensor([9.0, 40.0])
    count[0], count[1] = 0, 200
    target[3] = float("nan")
    target, scale, params.data = target.float().double(), scale.float().double(), params.float().double()
emit("g_params", params)
emit("g_target", target)
emit("g_count", count)
emit("g_scale", scale)
there = ~torch.isnan(target)


def emit_likelihood(name, distribution, y, rows, width):
    loss = -distribution.log_prob(y)[rows].mean()
    emit(f"g_{name}_loss", loss)
    emit(f"g_{name}_dparams", torch.autograd.grad(loss, params, retain_graph=True)[0][:, :width])


s = F.softplus(params, threshold=50)
emit_likelihood("gaussian", torch.distributions.Normal(params[:, 0], s[:, 1] + 1e-4), target.nan_to_num(), there, 2)
emit_likelihood("student", torch.distributions.StudentT(2 + s[:, 2], params[:, 0], s[:, 1] + 1e-4), target.nan_to_num(),
                there, 3)
for name, by in (("binomial", torch.ones(N).double()), ("scaled", scale)):
    m, a = by * (s[:, 0] + 1e-6), (s[:, 1] + 1e-6) / by.sqrt()
    d = torch.distributions.NegativeBinomial(total_count=1 / a, logits=(a * m).log())
    emit_likelihood(name, d, count, slice(None), 2)

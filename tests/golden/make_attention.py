#!/usr/bin/env python3
"""Writes attention_golden.h: attention, root mean square norm and rotary positions with their gradients as PyTorch computes
them, in double.

Run: python make_attention.py > attention_golden.h      (seed 31; the version of PyTorch is in the file)
"""
import torch
import torch.nn.functional as F

g = torch.Generator().manual_seed(31)


def randn(*shape):
    return torch.randn(*shape, generator=g).double()


def emit(name, x, kind="float"):
    words = [str(int(v)) if kind == "int32_t" else f"{float(v):#.9g}f" for v in x.detach().reshape(-1)]
    line, lines = "   ", []
    for word in words:
        if len(line) + len(word) + 2 > 118:
            lines.append(line)
            line = "   "
        line += f" {word},"
    print(f"static const {kind} {name}[{len(words)}] = {{\n" + "\n".join(lines + [line]) + "\n};")


H, G, D, E = 2, 1, 4, 3
q_lengths, k_lengths = [5, 3, 7], [5, 6, 2]
NQ, NK = sum(q_lengths), sum(k_lengths)
print(f"/* Made by make_attention.py with PyTorch {torch.__version__.split('+')[0]}; do not edit. */")
print("#include <stdint.h>")
print(f"enum {{ G_H = {H}, G_G = {G}, G_D = {D}, G_E = {E}, G_B = {len(q_lengths)}, G_NQ = {NQ}, G_NK = {NK} }};")
emit("g_q_lengths", torch.tensor(q_lengths), "int32_t")
emit("g_k_lengths", torch.tensor(k_lengths), "int32_t")
q, k, v = randn(NQ, H * D), randn(NK, G * D), randn(NK, G * E)
dy = randn(NQ, H * E)
w, a = randn(D), randn(NQ, D)
for x in (q, k, v, dy, w, a):
    x.copy_(x.float().double())
for name, x in dict(q=q, k=k, v=v, dy=dy, w=w, a=a).items():
    emit(f"g_{name}", x)
for x in (q, k, v, w, a):
    x.requires_grad_()


def per_sequence():
    """Rows of q and k and the distance of each query to each key, the last of both lying at one position."""
    i = j = 0
    for nq, nk in zip(q_lengths, k_lengths):
        far = torch.arange(nq)[:, None] + (nk - nq) - torch.arange(nk)[None]
        yield slice(i, i + nq), slice(j, j + nk), far
        i, j = i + nq, j + nk


def attention(mask_of, bias_of=None, scale=None):
    rows = []
    for qs, ks, far in per_sequence():
        mask = mask_of(far)
        bias = torch.zeros(H, *far.shape).double() if bias_of is None else bias_of(far)
        bias = bias.masked_fill(~mask, float("-inf"))
        heads = [x.view(-1, n, x.shape[1] // n).transpose(0, 1) for x, n in ((q[qs], H), (k[ks], G), (v[ks], G))]
        y = F.scaled_dot_product_attention(*[x[None] for x in heads], attn_mask=bias[None], scale=scale, enable_gqa=True)[0]
        y = torch.where(mask.any(1)[None, :, None], y, torch.zeros_like(y))  # a query that sees no key: 0
        rows.append(y.transpose(0, 1).reshape(-1, H * E))
    return torch.cat(rows)


def additive(mask_of):
    rows, weights = [], []
    for qs, ks, far in per_sequence():
        score = torch.tanh(a[qs][:, None] + k[ks][None, :, :D]) @ w
        p = F.softmax(score.masked_fill(~mask_of(far), float("-inf")), 1).nan_to_num()
        rows.append(p @ v[ks][:, :E])
        weights.append(p.reshape(-1))
    return torch.cat(rows), torch.cat(weights)


slopes = torch.tensor([2 ** (-8 * (h + 1) / H) for h in range(H)]).double()[:, None, None]
variants = {
    "all": dict(mask_of=lambda far: far >= -1000),
    "causal": dict(mask_of=lambda far: far >= 0),
    "window": dict(mask_of=lambda far: (far >= 0) & (far < 2), scale=0.3),
    "around": dict(mask_of=lambda far: far.abs() < 3),
    "alibi": dict(mask_of=lambda far: far >= 0, bias_of=lambda far: -slopes * far.abs()),
}
for name, options in variants.items():
    y = attention(**options)
    # what no query sees has no gradient; where PyTorch's softmax over nothing gives NaN, there is none either
    grads = [x.nan_to_num() for x in torch.autograd.grad((y * dy).sum(), (q, k, v))]
    emit(f"g_{name}", y)
    for what, x in zip("qkv", grads):
        emit(f"g_{name}_d{what}", x)
y, weights = additive(lambda far: far >= -1000)
emit("g_additive", y)
emit("g_additive_weights", weights)
for what, x in zip("akwv", torch.autograd.grad((y * dy[:, :E]).sum(), (a, k, w, v))):
    emit(f"g_additive_d{what}", x[:, :D] if what == "k" else x[:, :E] if what == "v" else x)

gain = randn(H * D).float().double().requires_grad_()
emit("g_gain", gain)
y = F.rms_norm(q, (H * D,), gain, eps=1e-5)
emit("g_rms", y)
for what, x in zip(("q", "gain"), torch.autograd.grad((y * dy[:, :1]).sum(), (q, gain))):
    emit(f"g_rms_d{what}", x)

# rotary positions by complex numbers: (j, j + D/2) is one
positions = torch.arange(NQ) * 37
emit("g_positions", positions, "int32_t")
turn = torch.polar(torch.ones(NQ, D // 2).double(), positions[:, None] * 10000 ** (-torch.arange(D // 2).double() * 2 / D))
x = q.view(NQ, H, 2, D // 2)
y = torch.complex(x[:, :, 0], x[:, :, 1]) * turn[:, None]
emit("g_rotary", torch.stack([y.real, y.imag], 2).reshape(NQ, H * D))

y = F.silu(q[:, : H * D // 2]) * q[:, H * D // 2 :]
emit("g_swiglu", y)
emit("g_swiglu_dq", torch.autograd.grad((y * dy[:, : H * D // 2]).sum(), q)[0])

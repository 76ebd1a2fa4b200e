#!/usr/bin/env python3
"""Writes optim_data.h: weights after steps 1, 2, 5 and 12 of torch.optim, in double, for every optimizer and option.

The problem needs no data: weights start at w[i] = cos(i + 1); at step t (from 1) the gradient of weight i (counted over all
parameters) is  s_t (sin(3 w[i] + i) + w[i] / 2),  s_t = 3 when t is divisible by 4, else 1/2, so that clipping is on and off;
the rate is  lr (1 - t / 20). Parameters: a (5, 3), bias (7), and for the sparse case emb (6, 3) whose rows t mod 6 and
(2 t + 1) mod 6 are used at step t. Made with torch 2.15."""
import math
import pathlib
import torch

torch.set_default_dtype(torch.float64)
STEPS, KEEP = 12, (1, 2, 5, 12)

# name, kind, keyword arguments of torch, clip_value, clip_norm, scale of the bias' rate, bias without decay
CASES = [
    ("sgd", "SGD", dict(lr=0.1), 0, 0, 1, False),
    ("sgd weight decay", "SGD", dict(lr=0.1, weight_decay=0.1), 0, 0, 1, False),
    ("sgd momentum", "SGD", dict(lr=0.05, momentum=0.9), 0, 0, 1, False),
    ("sgd nesterov weight decay", "SGD", dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.05), 0, 0, 1, False),
    ("sgd clip norm", "SGD", dict(lr=0.1), 0, 2.0, 1, False),
    ("sgd clip value", "SGD", dict(lr=0.1), 0.4, 0, 1, False),
    ("sgd clip both", "SGD", dict(lr=0.1, momentum=0.5), 0.4, 1.5, 1, False),
    ("sgd groups", "SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.1), 0, 0, 0.25, True),
    ("rmsprop", "RMSprop", dict(lr=0.01), 0, 0, 1, False),
    ("rmsprop momentum", "RMSprop", dict(lr=0.01, alpha=0.9, momentum=0.9, eps=1e-6), 0, 0, 1, False),
    ("rmsprop weight decay", "RMSprop", dict(lr=0.01, weight_decay=0.1), 0, 1.0, 1, False),
    ("adagrad", "Adagrad", dict(lr=0.1), 0, 0, 1, False),
    ("adagrad weight decay", "Adagrad", dict(lr=0.1, weight_decay=0.1, eps=1e-3), 0.5, 0, 1, False),
    ("adam", "Adam", dict(lr=0.02), 0, 0, 1, False),
    ("adam weight decay", "Adam", dict(lr=0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1), 0, 3.0, 1, False),
    ("adamw", "AdamW", dict(lr=0.02, weight_decay=0), 0, 0, 1, False),
    ("adamw weight decay", "AdamW", dict(lr=0.02, weight_decay=0.3), 0, 3.0, 1, False),
    ("adamw groups", "AdamW", dict(lr=0.02, betas=(0.9, 0.99), weight_decay=0.3), 0, 0, 3, True),
    ("sparse adam", "SparseAdam", dict(lr=0.05, eps=1e-14), 0, 0, 1, False),
]


def start(shape, first):
    n = math.prod(shape)
    return torch.tensor([math.cos(first + i + 1) for i in range(n)]).reshape(shape)


def gradient(w, first, t):
    i = torch.arange(first, first + w.numel(), dtype=torch.float64).reshape(w.shape)
    return (3.0 if t % 4 == 0 else 0.5) * (torch.sin(3 * w + i) + w / 2)


def run(kind, kw, clip_value, clip_norm, scale, no_decay):
    if kind == "SparseAdam":
        ps, firsts = [torch.nn.Parameter(start((6, 3), 0))], [0]
        groups = [dict(params=ps)]
    else:
        ps, firsts = [torch.nn.Parameter(start((5, 3), 0)), torch.nn.Parameter(start((7,), 15))], [0, 15]
        groups = [dict(params=[ps[0]]), dict(params=[ps[1]])]
        if no_decay:
            groups[1]["weight_decay"] = 0
    opt = getattr(torch.optim, kind)(groups, **kw)
    out = []
    for t in range(1, STEPS + 1):
        for k, group in enumerate(opt.param_groups):
            group["lr"] = kw["lr"] * (1 - t / 20) * (scale if k == 1 else 1)
        for p, first in zip(ps, firsts):
            p.grad = gradient(p.detach(), first, t)
        if kind == "SparseAdam":
            rows = sorted({t % 6, (2 * t + 1) % 6})
            ps[0].grad = torch.sparse_coo_tensor([rows], ps[0].grad[rows], (6, 3), check_invariants=True)
        if clip_value:
            torch.nn.utils.clip_grad_value_(ps, clip_value)
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(ps, clip_norm)
        opt.step()
        if t in KEEP:
            out.append(torch.cat([p.detach().reshape(-1) for p in ps]).tolist())
    return out


def main():
    kinds = dict(SGD="SGD", RMSprop="RMSPROP", Adagrad="ADAGRAD", Adam="ADAM", AdamW="ADAMW", SparseAdam="ADAM")
    text = ["/* Made by make_optim.py; do not edit. */", "static const golden_case golden_cases[] = {"]
    for name, kind, kw, clip_value, clip_norm, scale, no_decay in CASES:
        fields = [f".kind = RC_OPTIM_{kinds[kind]}"]
        for key in ("momentum", "alpha", "eps", "weight_decay"):
            if key in kw:
                fields.append(f".{key} = {kw[key]!r}")
        if kind == "RMSprop" and "alpha" not in kw:
            fields.append(".alpha = 0.99")
        if kw.get("nesterov"):
            fields.append(".nesterov = true")
        b1, b2 = kw.get("betas", (0.9, 0.999))
        fields += [f".beta1 = {b1!r}", f".beta2 = {b2!r}", f".clip_norm = {clip_norm!r}", f".clip_value = {clip_value!r}"]
        text.append(f'    {{"{name}", {{{", ".join(fields)}}}, {kw["lr"]!r}, {scale!r}, '
                    f'{str(no_decay).lower()}, {str(kind == "SparseAdam").lower()}, {{')
        for row in run(kind, kw, clip_value, clip_norm, scale, no_decay):
            line = "        {"
            for x in row:
                word = f"{x!r}, "
                if len(line) + len(word) > 118:
                    text.append(line.rstrip())
                    line = "         "
                line += word
            text.append(line.rstrip(", ") + "},")
        text.append("    }},")
    text.append("};")
    (pathlib.Path(__file__).parent / "optim_data.h").write_text("\n".join(text) + "\n")


main()

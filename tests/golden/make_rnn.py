"""Makes rnn.safetensors: inputs, weights, outputs, final states, gradients and ten training steps of every cell;
and rnn_options.safetensors: the same of the options (skips between layers, no biases, reversal, depth, zoneout's mean).

Cells that torch.nn has come from it; the others, and all options, from the equations written out below, in plain torch
(autograd gives their gradients). Run: python3 make_rnn.py   (the version of torch and the seed are in the file's metadata)
"""
import json
import os
import torch
from safetensors.torch import save_file

torch.manual_seed(1)
torch.set_num_threads(1)
sig, tanh, relu = torch.sigmoid, torch.tanh, torch.relu
T, B, I, H, P = 5, 3, 4, 6, 4
out, cases = {}, []


def layer_norm(v, a):
    m = v.mean(-1, keepdim=True)
    return a * (v - m) / torch.sqrt(((v - m) ** 2).mean(-1, keepdim=True) + 1e-5)


def bias_hh(w, parts):
    return w["bias_hh"].chunk(parts) if "bias_hh" in w else [0] * parts


# each: step(w, x, h, c) -> h, c, from weights named as in the file
def rnn(w, x, h, c):
    return tanh(x @ w["weight_ih"].T + w.get("bias_ih", 0) + h @ w["weight_hh"].T + w.get("bias_hh", 0)), c


def rnn_relu(w, x, h, c):
    return relu(x @ w["weight_ih"].T + w.get("bias_ih", 0) + h @ w["weight_hh"].T + w.get("bias_hh", 0)), c


def lstm(w, x, h, c):
    i, f, g, o = (x @ w["weight_ih"].T + h @ w["weight_hh"].T + w.get("bias_ih", 0) + w.get("bias_hh", 0)).chunk(4, -1)
    c = sig(f) * c + sig(i) * tanh(g)
    return sig(o) * tanh(c), c


def lstm_projection(w, x, h, c):
    h, c = lstm(w, x, h, c)
    return h @ w["weight_hr"].T, c


def gru(w, x, h, c):
    xr, xz, xn = (x @ w["weight_ih"].T + w.get("bias_ih", 0)).chunk(3, -1)
    Rr, Rz, Rn = w["weight_hh"].chunk(3)
    br, bz, bn = bias_hh(w, 3)
    r, z = sig(xr + h @ Rr.T + br), sig(xz + h @ Rz.T + bz)
    return (1 - z) * tanh(xn + r * (h @ Rn.T + bn)) + z * h, c


def lstm_peephole(w, x, h, c):
    i, f, g, o = (x @ w["weight_ih"].T + h @ w["weight_hh"].T + w.get("bias_ih", 0) + w.get("bias_hh", 0)).chunk(4, -1)
    pi, pf, po = w["weight_peephole"].chunk(3)
    i, f, g = sig(i + pi * c), sig(f + pf * c), tanh(g)
    c = f * c + i * g
    return sig(o + po * c) * tanh(c), c


def lstm_coupled(w, x, h, c):
    i, g, o = (x @ w["weight_ih"].T + h @ w["weight_hh"].T + w.get("bias_ih", 0) + w.get("bias_hh", 0)).chunk(3, -1)
    i = sig(i)
    c = (1 - i) * c + i * tanh(g)
    return sig(o) * tanh(c), c


def lstm_layernorm(w, x, h, c):
    z = layer_norm(x @ w["weight_ih"].T, w["weight_ln_ih"]) + layer_norm(h @ w["weight_hh"].T, w["weight_ln_hh"]) + w["bias_ih"]
    i, f, g, o = z.chunk(4, -1)
    c = sig(f) * c + sig(i) * tanh(g)
    return sig(o) * tanh(layer_norm(c, w["weight_ln_c"]) + w["bias_ln_c"]), c


def gru_v1(w, x, h, c):
    xr, xz, xn = (x @ w["weight_ih"].T + w.get("bias_ih", 0)).chunk(3, -1)
    Rr, Rz, Rn = w["weight_hh"].chunk(3)
    br, bz, bn = bias_hh(w, 3)
    r, z = sig(xr + h @ Rr.T + br), sig(xz + h @ Rz.T + bz)
    n = tanh(xn + (r * h) @ Rn.T + bn)
    return (1 - z) * n + z * h, c


def gru_d(w, x, h, c):
    """Che et al. 2018, eq. 10 and 12-14; z keeps the old state, where theirs lets the new one in."""
    xr, xz, xn, xd = (x @ w["weight_ih"].T + w.get("bias_ih", 0)).chunk(4, -1)
    Rr, Rz, Rn = w["weight_hh"].chunk(3)
    br, bz, bn = bias_hh(w, 3)
    h = torch.exp(-relu(xd)) * h
    r, z = sig(xr + h @ Rr.T + br), sig(xz + h @ Rz.T + bz)
    return (1 - z) * tanh(xn + (r * h) @ Rn.T + bn) + z * h, c


def mgu(w, x, h, c):
    xf, xn = (x @ w["weight_ih"].T + w.get("bias_ih", 0)).chunk(2, -1)
    Rf, Rn = w["weight_hh"].chunk(2)
    bf, bn = bias_hh(w, 2)
    f = sig(xf + h @ Rf.T + bf)
    return (1 - f) * h + f * tanh(xn + (f * h) @ Rn.T + bn), c


def rhn(w, x, h, c, depth=3):
    for l in range(depth):
        R, b = w["weight_hh"][2 * H * l:2 * H * (l + 1)], bias_hh(w, depth)[l]
        z = h @ R.T + b
        if l == 0:
            z = z + x @ w["weight_ih"].T + w.get("bias_ih", 0)
        a, t = z.chunk(2, -1)
        a, t = tanh(a), sig(t)
        h = a * t + h * (1 - t)
    return h, c


def indrnn(w, x, h, c):
    return relu(x @ w["weight_ih"].T + w.get("bias_ih", 0) + w["weight_hh"] * h), c


def mingru(w, x, h, c):
    z, n = (x @ w["weight_ih"].T + w.get("bias_ih", 0)).chunk(2, -1)
    z = sig(z)
    return (1 - z) * h + z * n, c


def minlstm(w, x, h, c):
    f, i, n = (x @ w["weight_ih"].T + w.get("bias_ih", 0)).chunk(3, -1)
    f, i = sig(f), sig(i)
    return f / (f + i) * h + i / (f + i) * n, c


def sru(w, x, h, c):
    parts = (x @ w["weight_ih"].T + w.get("bias_ih", 0)).split(H, -1)
    f, r, n = parts[:3]
    k = parts[3] if len(parts) > 3 else x
    vf, vr = w["weight_c"].chunk(2)
    f, r = sig(f + vf * c), sig(r + vr * c)
    c = f * c + (1 - f) * n
    return r * c + (1 - r) * k, c


def shapes(cell, i, h, p, depth, no_bias):
    gates = {"rnn": 1, "rnn-relu": 1, "lstm": 4, "lstm-projection": 4, "gru": 3, "lstm-peephole": 4, "lstm-coupled": 3, "lstm-layernorm": 4, "gru-v1": 3, "gru-d": 4, "mgu": 2, "rhn": 2, "indrnn": 1,
             "mingru": 2, "minlstm": 3, "sru": 3 if i == h else 4}[cell]
    s = {"weight_ih": (gates * h, i), "bias_ih": (gates * h,)}
    rows = {"rhn": 2 * depth * h, "gru-d": 3 * h}.get(cell, gates * h)
    if cell not in ("indrnn", "mingru", "minlstm", "sru"):
        s["weight_hh"] = (rows, p)
        if cell != "lstm-layernorm":
            s["bias_hh"] = (rows,)
    if cell == "lstm-peephole":
        s["weight_peephole"] = (3 * h,)
    if cell == "lstm-layernorm":
        s |= {"weight_ln_ih": (4 * h,), "weight_ln_hh": (4 * h,), "weight_ln_c": (h,), "bias_ln_c": (h,)}
    if cell == "indrnn":
        s["weight_hh"] = (h,)
    if cell == "sru":
        s["weight_c"] = (2 * h,)
    if cell == "lstm-projection":
        s["weight_hr"] = (p, h)
    return {n: shape for n, shape in s.items() if not no_bias or n not in ("bias_ih", "bias_hh")}


class Written(torch.nn.Module):
    """A stack of a written-out cell, one or two directions, with lengths and options.

    skip: "residual" y_l = y_(l-1) + f_l(y_(l-1)); "highway" y_l = y_(l-1) + gate (f_l - y_(l-1)), where
    gate = sigmoid(W y_(l-1) + b); from the second layer on. zoneout: what it does at inference, the mean of keeping and
    replacing, h_t = p h_(t-1) + (1 - p) h_new; the same for c, after h_new was made from c_new.
    """

    def __init__(self, cell, layers, bidir, inp, skip="", no_bias=False, reverse=False, depth=3, zoneout_h=0, zoneout_c=0):
        super().__init__()
        self.cell, self.layers, self.dirs, self.skip, self.reverse = cell, layers, 2 if bidir else 1, skip, reverse
        self.zoneout_h, self.zoneout_c = zoneout_h, zoneout_c
        self.cell_step = globals()[cell.replace("-", "_")]
        if cell == "rhn":
            self.cell_step = lambda w, x, h, c: rhn(w, x, h, c, depth)
        width = P if cell == "lstm-projection" else H
        for l in range(layers):
            if l and skip == "highway":
                for n, shape in (("weight_gate", (width * self.dirs,) * 2), ("bias_gate", (width * self.dirs,))):
                    self.register_parameter(f"{n}_l{l}", torch.nn.Parameter(torch.empty(shape).uniform_(-0.5, 0.5)))
            for d in range(self.dirs):
                for n, shape in shapes(cell, inp if l == 0 else width * self.dirs, H, width, depth, no_bias).items():
                    w = torch.empty(shape).uniform_(-0.5, 0.5) + (1.0 if n.startswith("weight_ln") else 0.0)
                    self.register_parameter(f"{n}_l{l}" + ("_reverse" if d else ""), torch.nn.Parameter(w))

    def forward(self, x, h0, c0, lengths):
        hn, cn = [], []
        for l in range(self.layers):
            ys = []
            for d in range(self.dirs):
                suffix = f"_l{l}" + ("_reverse" if d else "")
                w = {n[: -len(suffix)]: p for n, p in self.named_parameters() if n.endswith(suffix)}
                k = l * self.dirs + d
                rows, hs, cs = [], [], []
                for b in range(x.shape[1]):
                    h, c = h0[k, b:b + 1], c0[k, b:b + 1]
                    forward = d == 0 and not self.reverse
                    steps = range(lengths[b]) if forward else range(lengths[b] - 1, -1, -1)
                    row = [torch.zeros_like(h)] * x.shape[0]
                    for t in steps:
                        h_new, c_new = self.cell_step(w, x[t, b:b + 1], h, c)
                        h = self.zoneout_h * h + (1 - self.zoneout_h) * h_new if self.zoneout_h else h_new
                        c = self.zoneout_c * c + (1 - self.zoneout_c) * c_new if self.zoneout_c else c_new
                        row[t] = h
                    rows.append(torch.cat(row))
                    hs.append(h)
                    cs.append(c)
                ys.append(torch.stack(rows, 1))
                hn.append(torch.cat(hs))
                cn.append(torch.cat(cs))
            f = torch.cat(ys, -1)
            if l and self.skip == "residual":
                x = x + f
            elif l and self.skip == "highway":
                own = dict(self.named_parameters())
                gate = sig(x @ own[f"weight_gate_l{l}"].T + own[f"bias_gate_l{l}"])
                x = x + gate * (f - x)
            else:
                x = f
        return x, torch.stack(hn), torch.stack(cn)


class Torch(torch.nn.Module):
    """torch.nn's own, with lengths by packing (rows of length 0 are left out: it refuses them)."""

    def __init__(self, cell, layers, bidir, inp):
        super().__init__()
        kw = dict(num_layers=layers, bidirectional=bidir)
        self.has_c = cell.startswith("lstm")
        make = {"rnn": lambda: torch.nn.RNN(inp, H, **kw), "rnn-relu": lambda: torch.nn.RNN(inp, H, nonlinearity="relu", **kw),
                "lstm": lambda: torch.nn.LSTM(inp, H, **kw), "gru": lambda: torch.nn.GRU(inp, H, **kw),
                "lstm-projection": lambda: torch.nn.LSTM(inp, H, proj_size=P, **kw)}[cell]
        self.m = make()

    def named_parameters(self, *a, **k):
        return self.m.named_parameters()

    def forward(self, x, h0, c0, lengths):
        keep = [b for b in range(len(lengths)) if lengths[b] > 0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x[:, keep], [lengths[b] for b in keep], enforce_sorted=False)
        start = (h0[:, keep], c0[:, keep]) if self.has_c else h0[:, keep]
        y, end = self.m(packed, start)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=x.shape[0])
        hn, cn = end if self.has_c else (end, c0[:, keep])
        full = torch.zeros(x.shape[0], x.shape[1], y.shape[-1])
        full[:, keep] = y
        h, c = h0.clone(), c0.clone()
        h[:, keep], c[:, keep] = hn, cn
        return full, h, c


def case(cell, layers=1, bidir=False, lengths=None, inp=I, **options):
    name = f"{cell}.l{layers}" + (".bi" if bidir else "") + (".len" if lengths else "") + (".sq" if inp == H else "")
    name += ".wide" if inp > H else ""
    name += "".join(f".{k}" if v is True else f".{k}-{v}" for k, v in options.items())
    torch_cell = cell in ("rnn", "rnn-relu", "lstm", "gru", "lstm-projection") and not options
    m = (Torch if torch_cell else Written)(cell, layers, bidir, inp, **options)
    D, width = layers * (2 if bidir else 1), P if cell == "lstm-projection" else H
    x, h0, c0 = torch.randn(T, B, inp), torch.randn(D, B, width) * 0.5, torch.randn(D, B, H) * 0.5
    wy, wh, wc = torch.randn(T, B, width * (2 if bidir else 1)), torch.randn(D, B, width), torch.randn(D, B, H)
    for v in (x, h0, c0):
        v.requires_grad_()
    L = lengths or [T] * B
    has_c = cell.startswith("lstm") or cell == "sru"
    for n, p in m.named_parameters():
        out[f"{name}/w/{n}"] = p.detach().clone()
    y, hn, cn = m(x, h0, c0, L)
    loss = (y * wy).sum() + (hn * wh).sum() + ((cn * wc).sum() if has_c else 0)
    loss.backward()
    zero = torch.zeros_like(h0) # sru: h only leaves the cell, nothing reads the initial one
    keep = dict(x=x, h0=h0, wy=wy, wh=wh, y=y, hn=hn, dx=x.grad, dh0=zero if h0.grad is None else h0.grad)
    if has_c:
        keep |= dict(c0=c0, wc=wc, cn=cn, dc0=c0.grad)
    for k, v in keep.items():
        out[f"{name}/{k}"] = v.detach().clone()
    params = dict(m.named_parameters())
    for n, p in params.items():
        out[f"{name}/dw/{n}"] = p.grad.detach().clone()
    # ten steps of gradient descent on the mean of (y - target)^2 over all elements of y
    target, losses = torch.tanh(torch.randn_like(y)), []
    for _ in range(10):
        y, _, _ = m(x.detach(), h0.detach(), c0.detach(), L)
        loss = ((y - target) ** 2).mean()
        grads = torch.autograd.grad(loss, list(params.values()))
        with torch.no_grad():
            for p, g in zip(params.values(), grads):
                p -= 0.5 * g
        losses.append(loss.item())
    out[f"{name}/target"] = target.detach()
    out[f"{name}/losses"] = torch.tensor(losses)
    cases.append(dict(name=name, cell=cell, layers=layers, bidirectional=bidir, lengths=lengths or [], input=inp,
                      **options))


def save(file):
    tensors = {k: v.contiguous().float() for k, v in out.items()}
    here = os.path.dirname(os.path.abspath(__file__))
    meta = {"cases": json.dumps(dict(T=T, B=B, H=H, P=P, cases=cases)), "torch": torch.__version__, "seed": "1"}
    save_file(tensors, os.path.join(here, file), meta)
    print(file, len(cases), "cases,", sum(v.numel() for v in out.values()), "numbers")
    out.clear()
    cases.clear()


for cell in ("rnn", "rnn-relu", "lstm", "gru", "lstm-projection", "lstm-peephole", "lstm-coupled", "lstm-layernorm", "gru-v1", "mgu",
             "rhn", "indrnn", "mingru", "minlstm", "sru"):
    case(cell)
    case(cell, layers=2, bidir=True, lengths=[3, 0, 5])
case("sru", inp=H)
with torch.random.fork_rng():  # a later cell: the numbers of the others stay
    case("gru-d")
    case("gru-d", layers=2, bidir=True, lengths=[3, 0, 5])
save("rnn.safetensors")

T, H, P = 3, 5, 3
some = [2, 0, 3]
case("lstm", layers=3, skip="residual")
case("rnn", layers=2, bidir=True, lengths=some, skip="residual")
case("gru", layers=2, skip="highway")
case("lstm", layers=2, bidir=True, lengths=some, skip="highway")
case("lstm-projection", layers=2, skip="highway")
for cell in ("rnn", "lstm", "gru", "lstm-projection", "lstm-peephole", "gru-v1", "rhn", "indrnn", "mingru", "sru"):
    case(cell, no_bias=True)
case("lstm", layers=2, lengths=some, reverse=True)
case("sru", lengths=some, reverse=True)
case("rhn", depth=1)
case("rhn", lengths=some, depth=5)
case("lstm", layers=2, lengths=some, zoneout_h=0.1, zoneout_c=0.3)
case("lstm", zoneout_c=0.5)
case("gru", zoneout_h=0.25)
case("lstm-projection", zoneout_h=0.25, zoneout_c=0.125)
case("rhn", zoneout_h=0.25)
case("sru", zoneout_h=0.125, zoneout_c=0.25)
case("lstm", inp=9)
with torch.random.fork_rng():
    case("gru-d", no_bias=True)
    case("gru-d", lengths=some, reverse=True)
    case("gru-d", zoneout_h=0.25)
save("rnn_options.safetensors")

#!/usr/bin/env python3
"""Writes losses_golden.h: losses, norms, softmax and embedding with their gradients as PyTorch computes them (float32).

Run: python make_losses.py > losses_golden.h      (seed 20; the version of PyTorch is in the file)
"""
import torch
import torch.nn.functional as F

T, B, V, K, E, N_IDS = 3, 4, 7, 5, 6, 8
g = torch.Generator().manual_seed(20)


def randn(*shape):
    return torch.randn(*shape, generator=g)


def emit(name, x, kind="float"):
    x = x.detach().reshape(-1)
    text = ", ".join(str(int(v)) if kind == "int32_t" else f"{float(v):.9g}f".replace("nanf", "NAN") for v in x)
    text = ", ".join(t if "." in t or "e" in t or kind == "int32_t" or t == "NAN" else t[:-1] + ".0f" for t in text.split(", "))
    line, lines = "   ", []
    for part in text.split(", "):
        if len(line) + len(part) + 2 > 118:
            lines.append(line)
            line = "   "
        line += f" {part},"
    lines.append(line)
    print(f"static const {kind} {name}[{x.numel()}] = {{\n" + "\n".join(lines) + "\n};")


def grads(loss, *xs):
    return torch.autograd.grad(loss, xs)


print(f"/* Made by make_losses.py with PyTorch {torch.__version__.split('+')[0]}; do not edit. */")
print("#include <stdint.h>")
print(f"enum {{ G_T = {T}, G_B = {B}, G_V = {V}, G_K = {K}, G_E = {E}, G_IDS = {N_IDS} }};")

lengths = torch.tensor([2, 0, 3, 1])
valid = torch.arange(T)[:, None] < lengths[None, :]
target = torch.randint(0, V, (T, B), generator=g)
target[1, 2] = -100
weight = torch.rand(V, generator=g) + 0.2
weight[3] = 0
logits = (2 * randn(T, B, V)).requires_grad_()
x = randn(T, B, K).requires_grad_()
w = randn(V, K).requires_grad_()
b = randn(V).requires_grad_()
emit("g_lengths", lengths, "int32_t")
emit("g_target", target, "int32_t")
emit("g_weight", weight)
emit("g_logits", logits)
emit("g_x", x)
emit("g_w", w)
emit("g_b", b)

# variant bits: 1 lengths, 2 sum, 4 smoothing 0.15, 8 class weights
loss_values = []
for variant in range(16):
    def ce(z):
        y = target
        if variant & 1:
            z, y = z[valid], y[valid]
        return F.cross_entropy(z.reshape(-1, V), y.reshape(-1), weight=weight if variant & 8 else None,
                               reduction="sum" if variant & 2 else "mean", label_smoothing=0.15 if variant & 4 else 0.0)
    loss = ce(logits)
    fused = ce(F.linear(x, w, b))
    loss_values += [loss.detach(), fused.detach()]
    emit(f"g_ce_dlogits_{variant}", grads(loss, logits)[0])
    if variant in (0, 5, 15):
        dx, dw, db = grads(fused, x, w, b)
        emit(f"g_fused_dx_{variant}", dx)
        emit(f"g_fused_dw_{variant}", dw)
        emit(f"g_fused_db_{variant}", db)
emit("g_ce_loss", torch.stack(loss_values))
print("static const float *const g_ce_dlogits[16] = {" + ", ".join(f"g_ce_dlogits_{v}" for v in range(16)) + "};")

# element-wise ones, on all positions and on those within lengths
pred = (2 * randn(T, B, E)).requires_grad_()
value = randn(T, B, E)
binary = torch.rand(T, B, E, generator=g).round()
positive = torch.rand(E, generator=g) * 3
emit("g_pred", pred)
emit("g_value", value)
emit("g_binary", binary)
emit("g_positive", positive)
quantiles = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9, 0.95])
emit("g_quantile", quantiles)


def pinball(p, y, reduction):
    d = y[..., :1] - p
    loss = torch.maximum(quantiles * d, (quantiles - 1) * d)
    return loss.mean() if reduction == "mean" else loss.sum()


names = {
    "mse": lambda p, y, z, r: F.mse_loss(p, y, reduction=r),
    "mae": lambda p, y, z, r: F.l1_loss(p, y, reduction=r),
    "huber": lambda p, y, z, r: F.huber_loss(p, y, reduction=r, delta=0.7),
    "quantile": lambda p, y, z, r: pinball(p, y, r),
    "bce": lambda p, y, z, r: F.binary_cross_entropy_with_logits(p, z, reduction=r),
    "bce_weighted": lambda p, y, z, r: F.binary_cross_entropy_with_logits(p, z, reduction=r, pos_weight=positive),
}
for name, f in names.items():
    values = []
    for padded in (False, True):
        for r in ("mean", "sum"):
            p, y, z = (pred[valid], value[valid], binary[valid]) if padded else (pred, value, binary)
            values.append(f(p, y, z, r))
    emit(f"g_{name}_loss", torch.stack([v.detach() for v in values]))
    emit(f"g_{name}_dpred", grads(values[2], pred)[0])

# norms, softmax, embedding: gradient of sum(out * value)
gain, bias = torch.rand(E, generator=g) + 0.5, randn(E)
gain.requires_grad_(), bias.requires_grad_()
emit("g_gain", gain)
emit("g_bias", bias)


def emit_op(name, out, *xs):
    emit(f"g_{name}", out)
    for label, d in zip("xgb", grads((out * value).sum(), *xs)):
        emit(f"g_{name}_d{label}", d)


emit_op("layer_norm", F.layer_norm(pred, (E,), gain, bias, 1e-5), pred, gain, bias)
emit_op("softmax", F.softmax(pred, -1), pred)
emit_op("log_softmax", F.log_softmax(pred, -1), pred)
mean, var = randn(E), torch.rand(E, generator=g) + 0.5
emit("g_mean0", mean)
emit("g_var0", var)
emit_op("batch_norm_eval", F.batch_norm(pred.reshape(-1, E), mean, var, gain, bias, False, 0.1, 1e-5).reshape(T, B, E),
        pred, gain, bias)
emit_op("batch_norm", F.batch_norm(pred.reshape(-1, E), mean, var, gain, bias, True, 0.1, 1e-5).reshape(T, B, E),
        pred, gain, bias)
emit("g_mean1", mean)
emit("g_var1", var)
padded = torch.zeros_like(pred)
padded[valid] = F.batch_norm(pred[valid], mean, var, gain, bias, True, 0.1, 1e-5)
emit_op("batch_norm_padded", padded, pred, gain, bias)
emit("g_mean2", mean)
emit("g_var2", var)
table = randn(V, E).requires_grad_()
ids = torch.randint(0, V, (N_IDS,), generator=g)
emit("g_ids", ids, "int32_t")
emit("g_table", table)
out = F.embedding(ids, table)
emit("g_embedding_dtable", grads((out * out).sum(), table)[0])

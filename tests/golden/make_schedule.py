#!/usr/bin/env python3
"""Writes schedule_data.h: factors of torch.optim.lr_scheduler over a run of 40 steps. Made with torch 2.15."""
import pathlib
import torch

torch.set_default_dtype(torch.float64)
N = 40
LOSSES = [5.0, 4.0, 4.0, 3.9997, 4.1, float("nan"), 3.0, 3.0, 3.0, 3.0, 2.9999, 2.0, 2.5, 2.4, 2.3, 2.2, 2.1, 2.05, 2.04, 1.0]


def factors(make, n=N):
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    sched = make(opt)
    out = []
    for _ in range(n + 1):
        out.append(opt.param_groups[0]["lr"])
        opt.step()
        if len(out) <= n:
            sched.step()
    return out


S = torch.optim.lr_scheduler
tables = {
    "torch_step": factors(lambda o: S.StepLR(o, step_size=10, gamma=0.5)),
    "torch_exponential": factors(lambda o: S.ExponentialLR(o, gamma=0.01 ** (1 / N))),
    "torch_cosine": factors(lambda o: S.CosineAnnealingLR(o, T_max=N, eta_min=0.02)),
    "torch_warmup": factors(lambda o: S.LinearLR(o, start_factor=1 / 8, end_factor=1.0, total_iters=7)),
    # 31 steps: the peak is step 0.3 * 30 + 1 - 1 = 9 of torch's count; the end is step 30
    "torch_one_cycle": factors(lambda o: S.OneCycleLR(o, max_lr=1.0, total_steps=31, pct_start=10 / 31, div_factor=25,
                                                      final_div_factor=4.0, cycle_momentum=False), 30),
}
opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
plateau = S.ReduceLROnPlateau(opt, factor=0.25, patience=1, min_lr=0.01)
tables["torch_plateau"] = []
for loss in LOSSES:
    plateau.step(loss)
    tables["torch_plateau"].append(opt.param_groups[0]["lr"])

text = ["/* Made by make_schedule.py; do not edit. */"]
for name, values in dict(plateau_losses=LOSSES, **tables).items():
    text.append(f"static const double {name}[{len(values)}] = {{")
    line = "   "
    for x in values:
        word = " NAN," if x != x else f" {x!r},"
        if len(line) + len(word) > 118:
            text.append(line)
            line = "   "
        line += word
    text += [line.rstrip(","), "};"]
(pathlib.Path(__file__).parent / "schedule_data.h").write_text("\n".join(text) + "\n")

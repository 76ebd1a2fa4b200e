"""The training loop of `recur train lm` in PyTorch: embedding, recurrent stack (or the blocks of a GPT), softmax, clipping,
fused AdamW.

    python3 bench/peers/torch_lm.py TEXT --cell lstm --layers 2 --hidden 256 --batch 64 --seq-len 64 --threads 2

Needs `pip install torch`. Prints one JSON object; the first 20 steps are not counted.

--words N makes a word model of the N most frequent words. --precision bf16 runs the model under autocast.
--until-loss X trains on the first 90 % of the text with what the recipe of `recur train lm --preset quick` has - tied,
dropout, warm-up and cosine over --steps, average of the weights, initial weights of the same distributions - and scores
the rest every --valid-every steps, in 64 rows side by side; it stops when the loss is X or below, and tells the seconds
since the first step, scoring included.
"""
import argparse
import collections
import json
import math
import time

import torch

p = argparse.ArgumentParser()
p.add_argument("text")
p.add_argument("--cell", default="lstm", choices=["lstm", "gru", "rnn", "transformer"])
p.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
for name, value in dict(layers=2, hidden=256, batch=64, seq_len=64, steps=200, threads=2, words=0, valid_every=500,
                        warmup=100).items():
    p.add_argument("--" + name.replace("_", "-"), type=int, default=value)
for name, value in dict(lr=2e-3, until_loss=0, dropout=0, average_decay=0.998).items():
    p.add_argument("--" + name.replace("_", "-"), type=float, default=value)
a = p.parse_args()
reach = a.until_loss > 0
torch.set_num_threads(a.threads)
torch.manual_seed(1)
with open(a.text, encoding="utf-8") as f:
    text = f.read()
if a.words:
    pieces = text.split()
    kept = [w for w, _ in collections.Counter(pieces).most_common(a.words - 1)]
    index = {w: i + 1 for i, w in enumerate(kept)}
    vocab_size = len(index) + 1  # 0 is every other word
    ids = torch.tensor([index.get(w, 0) for w in pieces])
else:
    index = {c: i for i, c in enumerate(sorted(set(text)))}
    vocab_size = len(index)
    ids = torch.tensor([index[c] for c in text])


def rows(tokens, n):
    """Input and target as n rows side by side, time first."""
    length = (len(tokens) - 1) // n
    return tokens[:length * n].view(n, length).t(), tokens[1:length * n + 1].view(n, length).t()


class Block(torch.nn.Module):
    """Pre-norm, causal scaled_dot_product_attention with a head for each 64 columns, GELU; positions: learned (below)."""

    def __init__(self, width):
        super().__init__()
        self.heads = max(1, width // 64)
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.qkv, self.out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (w.view(B, T, self.heads, -1).transpose(1, 2) for w in self.qkv(self.norm1(x)).chunk(3, -1))
        h = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(h.transpose(1, 2).reshape(B, T, D))
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm2(x))))


class Blocks(torch.nn.Module):
    def __init__(self, width, layers, longest):
        super().__init__()
        self.positions = torch.nn.Parameter(0.02 * torch.randn(longest, width))
        self.blocks = torch.nn.Sequential(*(Block(width) for _ in range(layers)))
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, x, state):
        x = x.transpose(0, 1) + self.positions[:len(x)]
        return self.norm(self.blocks(x)).transpose(0, 1), torch.zeros(1)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        if a.cell == "transformer":
            self.embedding = torch.nn.Embedding(vocab_size, a.hidden)
            self.rnn = Blocks(a.hidden, a.layers, a.seq_len)
            self.dropout = torch.nn.Dropout(a.dropout)
            self.head = torch.nn.Linear(a.hidden, vocab_size)
            return
        kind = dict(lstm=torch.nn.LSTM, gru=torch.nn.GRU, rnn=torch.nn.RNN)[a.cell]
        self.embedding = torch.nn.Embedding(vocab_size, a.hidden)
        self.rnn = kind(a.hidden, a.hidden, a.layers, dropout=a.dropout if a.layers > 1 else 0)
        self.dropout = torch.nn.Dropout(a.dropout)
        self.head = torch.nn.Linear(a.hidden, vocab_size)
        if reach:
            self.start_as_recur()

    def start_as_recur(self):
        self.head.weight = self.embedding.weight
        torch.nn.init.normal_(self.embedding.weight, std=0.4)
        torch.nn.init.zeros_(self.head.bias)
        for name, w in self.rnn.named_parameters():
            for gate in w.data.split(a.hidden):
                if "bias" in name:
                    gate.zero_()
                elif "weight_ih" in name:
                    torch.nn.init.xavier_uniform_(gate)
                else:
                    torch.nn.init.orthogonal_(gate)
            if "bias_ih" in name and a.cell == "lstm":
                w.data[a.hidden:2 * a.hidden] = 1  # the forget gate

    def forward(self, tokens, state):
        h, state = self.rnn(self.embedding(tokens), state)
        return self.head(self.dropout(h)), state


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def loss_of(net, tokens, targets, state):
    with torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
        logits, state = net(tokens, state)
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten()), detached(state)


@torch.no_grad()
def score(net):
    net.eval()
    total, state = 0.0, None
    for t in range(0, len(valid_x), 256):
        loss, state = loss_of(net, valid_x[t:t + 256], valid_y[t:t + 256], state)
        total += loss.item() * len(valid_x[t:t + 256])
    net.train()
    return total / len(valid_x)


model = Model()
if reach:
    cut = len(ids) * 9 // 10
    valid_x, valid_y = rows(ids[cut:], 64)
    ids = ids[:cut]
    plain = [w for w in model.rnn.parameters() if w.dim() == 2]
    others = [w for w in model.parameters() if not any(w is q for q in plain)]
    groups = [dict(params=plain, weight_decay=0.01), dict(params=others, weight_decay=0.0)]
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(a.average_decay))
    optimizer = torch.optim.AdamW(groups, a.lr, betas=(0.9, 0.99), fused=True)
else:
    optimizer = torch.optim.AdamW(model.parameters(), a.lr, fused=True)
x, y = rows(ids, a.batch)
skipped = 0 if reach else 20
state, at, start, valid_loss, reached = None, 0, time.perf_counter(), None, None
for step in range(skipped + a.steps):
    if step == skipped:
        start = time.perf_counter()
    if at + a.seq_len > len(x):
        at, state = 0, None
    if reach:
        rate = (step + 1) / a.warmup if step < a.warmup else 1
        for group in optimizer.param_groups:
            group["lr"] = a.lr * rate * (1 + math.cos(math.pi * step / a.steps)) / 2
    loss, state = loss_of(model, x[at:at + a.seq_len], y[at:at + a.seq_len], state)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    at += a.seq_len
    if reach:
        average.update_parameters(model)
        if (step + 1) % a.valid_every == 0:
            valid_loss = score(average)
            if valid_loss <= a.until_loss:
                reached = time.perf_counter() - start
                break
seconds = time.perf_counter() - start
answer = dict(torch=torch.__version__, cell=a.cell, precision=a.precision, vocab_size=vocab_size, threads=a.threads,
              loss=loss.item())
if reach:
    answer.update(valid_loss=valid_loss, seconds_to_loss=reached, steps=step + 1, seconds=seconds)
else:
    answer.update(tokens_per_second=a.steps * a.batch * a.seq_len / seconds)
print(json.dumps(answer))

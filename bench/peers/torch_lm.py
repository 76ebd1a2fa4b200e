"""The training loop of `recur train lm` written with PyTorch: embedding, recurrent stack, softmax, clipping, fused AdamW.

    python3 bench/peers/torch_lm.py TEXT --cell lstm --layers 2 --hidden 256 --batch 64 --seq-len 64 --steps 200 --threads 2

Needs `pip install torch`. Prints one JSON object; the first 20 steps are not counted.
"""
import argparse
import json
import time

import torch

p = argparse.ArgumentParser()
p.add_argument("text")
p.add_argument("--cell", default="lstm", choices=["lstm", "gru", "rnn"])
for name, value in dict(layers=2, hidden=256, batch=64, seq_len=64, steps=200, threads=2).items():
    p.add_argument("--" + name.replace("_", "-"), type=int, default=value)
a = p.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(1)
text = open(a.text, encoding="utf-8").read()
chars = sorted(set(text))
index = {c: i for i, c in enumerate(chars)}
ids = torch.tensor([index[c] for c in text])
length = (len(ids) - 1) // a.batch
x, y = ids[:length * a.batch].view(a.batch, length).t(), ids[1:length * a.batch + 1].view(a.batch, length).t()


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(len(chars), a.hidden)
        self.rnn = dict(lstm=torch.nn.LSTM, gru=torch.nn.GRU, rnn=torch.nn.RNN)[a.cell](a.hidden, a.hidden, a.layers)
        self.head = torch.nn.Linear(a.hidden, len(chars))

    def forward(self, tokens, state):
        h, state = self.rnn(self.embedding(tokens), state)
        return self.head(h), state


model = Model()
optimizer = torch.optim.AdamW(model.parameters(), 2e-3, fused=True)
state, at, start = None, 0, 0.0
for step in range(20 + a.steps):
    if step == 20:
        start = time.perf_counter()
    if at + a.seq_len > length:
        at, state = 0, None
    logits, state = model(x[at:at + a.seq_len], state)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y[at:at + a.seq_len].flatten())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
    at += a.seq_len
seconds = time.perf_counter() - start
print(json.dumps(dict(torch=torch.__version__, cell=a.cell, tokens_per_second=a.steps * a.batch * a.seq_len / seconds,
                      loss=loss.item(), threads=a.threads)))

"""The classifier of `recur train classify` in PyTorch: embedding, bidirectional LSTM over packed sequences, the final
states, a linear layer, cross-entropy, clipping, fused AdamW.

    python3 bench/peers/torch_classify.py FILE.tsv --threads 2

FILE has a label, a tab and words with blanks between in each line. Needs `pip install torch`. Prints one JSON object:
sequences a second in training and in prediction; the first steps are not counted. Batches are of similar length, as
recur's are: examples are shuffled, sorted by length within 50 batches, and the batches shuffled.
"""
import argparse
import json
import random
import time

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

p = argparse.ArgumentParser()
p.add_argument("data")
for name, value in dict(hidden=128, embedding=100, batch=32, steps=200, threads=2).items():
    p.add_argument("--" + name, type=int, default=value)
a = p.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(1)
random.seed(1)

index, labels, examples = {}, {}, []
with open(a.data, encoding="utf-8") as f:
    for line in f:
        label, text = line.rstrip("\n").split("\t")
        ids = torch.tensor([index.setdefault(w, len(index) + 2) for w in text.split()])
        examples.append((ids, labels.setdefault(label, len(labels))))


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(len(index) + 2, a.embedding)
        self.rnn = torch.nn.LSTM(a.embedding, a.hidden, bidirectional=True)
        self.head = torch.nn.Linear(2 * a.hidden, len(labels))

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(self.embedding(ids), lengths, enforce_sorted=True)
        _, (h, _) = self.rnn(packed)
        return self.head(torch.cat([h[0], h[1]], dim=1))


def batches(items):
    """Batches of similar length, each longest first."""
    items = items[:]
    random.shuffle(items)
    out = []
    for i in range(0, len(items), 50 * a.batch):
        pool = sorted(items[i:i + 50 * a.batch], key=lambda x: -len(x[0]))
        out += [pool[k:k + a.batch] for k in range(0, len(pool), a.batch)]
    random.shuffle(out)
    return [(pad_sequence([x for x, _ in b]), torch.tensor([len(x) for x, _ in b]), torch.tensor([y for _, y in b]))
            for b in out]


model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)
done, started, warm = 0, 0.0, 10
ready = batches(examples)
for step in range(a.steps + warm):
    if step == warm:
        started = time.perf_counter()
    ids, lengths, y = ready[step % len(ready)]
    optimizer.zero_grad(set_to_none=True)
    loss = torch.nn.functional.cross_entropy(model(ids, lengths), y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    done += len(y) if step >= warm else 0
train = done / (time.perf_counter() - started)
model.eval()
with torch.inference_mode():
    for ids, lengths, _ in ready[:warm]:
        model(ids, lengths)
    started = time.perf_counter()
    for ids, lengths, _ in ready:
        model(ids, lengths)
    predict = len(examples) / (time.perf_counter() - started)
print(json.dumps(dict(sequences_per_second=train, predicted_per_second=predict, version=torch.__version__)))

"""The recurrent translator of `recur train translate` in PyTorch: bidirectional LSTM encoder over packed sequences, LSTM
decoder, attention by a matrix ("general"), softmax, label smoothing, clipping, fused AdamW. (recur's second decoder layer
reads the context too, and costs as much more.)

    python3 bench/peers/torch_seq2seq.py PAIRS.tsv --threads 2

PAIRS.tsv has source, a tab and target in each line, words with blanks between. Needs `pip install torch`. Prints one JSON
object: target tokens a second in training (the end of each sentence counted), and sentences a second of decoding by beam 1
and 5 after it, all hypotheses of a batch in one step; the first steps are not counted. Batches are of similar length.
--cell transformer: torch.nn.Transformer of `layers` blocks on each side instead.
"""
import argparse
import json
import random
import time

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

p = argparse.ArgumentParser()
p.add_argument("data")
p.add_argument("--cell", default="lstm", choices=["lstm", "transformer"])
p.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
for name, value in dict(hidden=256, embedding=256, layers=2, ffn=1024, batch=128, steps=60, threads=2, sentences=256,
                        longest=40, decode_batch=64).items():
    p.add_argument("--" + name.replace("_", "-"), type=int, default=value)
a = p.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(1)
random.seed(1)
PAD, BEGIN, END = 0, 1, 2

index = ({}, {})
pairs = []
with open(a.data, encoding="utf-8") as f:
    for line in f:
        pairs.append(tuple([index[side].setdefault(w, len(index[side]) + 3) for w in text.split()] + [END]
                           for side, text in enumerate(line.rstrip("\n").split("\t"))))
V = [len(i) + 3 for i in index]


def batches(items, size):
    items = items[:]
    random.shuffle(items)
    out = []
    for i in range(0, len(items), 50 * size):
        pool = sorted(items[i:i + 50 * size], key=lambda x: (-len(x[0]), -len(x[1])))
        out += [pool[k:k + size] for k in range(0, len(pool), size)]
    random.shuffle(out)
    ready = []
    for b in out:
        b.sort(key=lambda x: -len(x[0]))
        ready.append((pad_sequence([torch.tensor(s) for s, _ in b]), torch.tensor([len(s) for s, _ in b]),
                      pad_sequence([torch.tensor([BEGIN] + t[:-1]) for _, t in b]),
                      pad_sequence([torch.tensor(t) for _, t in b])))
    return ready


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        H, E = a.hidden, a.embedding
        self.source, self.target = torch.nn.Embedding(V[0], E), torch.nn.Embedding(V[1], E)
        self.encoder = torch.nn.LSTM(E, H, a.layers, bidirectional=True)
        self.bridge = torch.nn.Linear(2 * H, H)
        self.decoder = torch.nn.LSTM(E, H, a.layers)
        self.general = torch.nn.Linear(2 * H, H, bias=False)
        self.join = torch.nn.Linear(3 * H, H)
        self.head = torch.nn.Linear(H, V[1])

    def encode(self, x, lengths):
        memory, state = self.encoder(pack_padded_sequence(self.source(x), lengths, enforce_sorted=True))
        memory = pad_packed_sequence(memory)[0].transpose(0, 1)
        both = tuple(torch.tanh(self.bridge(s.view(a.layers, 2, s.shape[1], -1).transpose(1, 2).flatten(2))) for s in state)
        return (memory, self.general(memory), (x.t() == PAD)), both

    def decode(self, y, state, memory):
        values, keys, hidden = memory
        h, state = self.decoder(self.target(y), state)
        h = h.transpose(0, 1)
        scores = torch.bmm(h, keys.transpose(1, 2)).masked_fill(hidden.unsqueeze(1), -torch.inf)
        context = torch.bmm(scores.softmax(-1), values)
        return self.head(torch.tanh(self.join(torch.cat([h, context], -1)))), state  # (B, S, V)

    def forward(self, x, lengths, y):
        memory, state = self.encode(x, lengths)
        return self.decode(y, state, memory)[0]


class Transformer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        D = a.hidden
        self.source, self.target = torch.nn.Embedding(V[0], D), torch.nn.Embedding(V[1], D)
        self.positions = torch.nn.Parameter(0.02 * torch.randn(512, D))
        self.net = torch.nn.Transformer(D, max(1, D // 64), a.layers, a.layers, a.ffn, 0.0, norm_first=True, batch_first=True)
        self.head = torch.nn.Linear(D, V[1])

    def forward(self, x, lengths, y):
        x, y = x.t(), y.t()
        mask = torch.nn.Transformer.generate_square_subsequent_mask(y.shape[1])
        h = self.net(self.source(x) + self.positions[:x.shape[1]], self.target(y) + self.positions[:y.shape[1]],
                     tgt_mask=mask, tgt_is_causal=True, src_key_padding_mask=x == PAD, memory_key_padding_mask=x == PAD)
        return self.head(h)


@torch.inference_mode()
def translate(model, x, lengths, beam):
    """Beam search, all hypotheses of the batch in one step, to exactly `longest` tokens: whoever is compared does as many."""
    B = x.shape[1]
    memory, state = model.encode(x, lengths)
    memory = tuple(m.repeat_interleave(beam, 0) for m in memory)
    state = tuple(s.repeat_interleave(beam, 1).contiguous() for s in state)
    tokens = torch.full((1, B * beam), BEGIN)
    total = torch.full((B, beam), -torch.inf)
    total[:, 0] = 0
    for _ in range(a.longest):
        logits, state = model.decode(tokens, state, memory)
        logp = logits[:, 0].log_softmax(-1)
        logp[:, END] = -torch.inf
        total, best = (total.unsqueeze(-1) + logp.view(B, beam, -1)).view(B, -1).topk(beam)
        parent = (best // V[1] + beam * torch.arange(B).unsqueeze(1)).view(-1)
        tokens = (best % V[1]).view(1, -1)
        state = tuple(s[:, parent] for s in state)


model = Recurrent() if a.cell == "lstm" else Transformer()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
ready, done, started, warm = batches(pairs, a.batch), 0, 0.0, 5
for step in range(a.steps + warm):
    if step == warm:
        started = time.perf_counter()
    x, lengths, y, want = ready[step % len(ready)]
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
        logits = model(x, lengths, y)
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), want.t().flatten(), ignore_index=PAD,
                                             label_smoothing=0.1)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    done += int((want != PAD).sum()) if step >= warm else 0
answer = dict(torch=torch.__version__, cell=a.cell, precision=a.precision, threads=a.threads, vocab=V,
              tokens_per_second=done / (time.perf_counter() - started), loss=loss.item())
if a.cell == "lstm":
    model.eval()
    some = batches(pairs[:a.sentences], a.decode_batch)
    for beam in (1, 5):
        translate(model, *some[0][:2], beam)
        started = time.perf_counter()
        for x, lengths, _, _ in some:
            translate(model, x, lengths, beam)
        answer[f"sentences_per_second_{beam}"] = a.sentences / (time.perf_counter() - started)
print(json.dumps(answer))

#!/usr/bin/env python3
"""Loads a recur language model into PyTorch modules; as a program, prints them and, for a text, the loss.

    recur_to_pytorch.py model.safetensors [TEXT]

For the cells that torch.nn has: rnn, rnn-relu, lstm, lstm-projection, gru. As a module: load(path) -> (model, document).
"""
import json
import math
import sys

import torch
from safetensors import safe_open
from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, size, o):
        super().__init__()
        embedding, hidden, proj = o["embedding_size"], o["hidden_size"], o["proj_size"]
        kind = {"rnn": nn.RNN, "rnn-relu": nn.RNN, "gru": nn.GRU}.get(o["cell"], nn.LSTM)
        extra = {"nonlinearity": "relu"} if o["cell"] == "rnn-relu" else {}
        if o["cell"] == "lstm-projection":
            extra = {"proj_size": proj}
        width = proj if o["cell"] == "lstm-projection" else hidden
        self.embedding = nn.Embedding(size, embedding)
        self.rnn = kind(embedding, hidden, o["num_layers"], bias=not o["no_bias"], **extra)
        self.adapter = nn.Linear(width, embedding, bias=False) if o["tied"] and width != embedding else nn.Identity()
        self.head = nn.Linear(embedding if o["tied"] else width, size)
        if o["tied"]:
            self.head.weight = self.embedding.weight

    def forward(self, ids, state=None):
        """ids (T, B) -> logits (T, B, V), state"""
        h, state = self.rnn(self.embedding(ids), state)
        return self.head(self.adapter(h)), state


def defaults(o):
    o = {"cell": "lstm", "num_layers": 1, "proj_size": 0, "tied": False, "no_bias": False, "skip": "none",
         "learn_initial_state": False, "embedding_size": 0} | o
    o["embedding_size"] = o["embedding_size"] or o["hidden_size"]
    if o["cell"] == "lstm-projection":
        o["proj_size"] = o["proj_size"] or o["hidden_size"] // 2
    known = o["cell"] in ("rnn", "rnn-relu", "lstm", "lstm-projection", "gru")
    if not known or o["skip"] != "none" or o["learn_initial_state"]:
        sys.exit(f"torch.nn has nothing equal to cell {o['cell']}, skip {o['skip']}"
                 f"{', a learnt initial state' * o['learn_initial_state']}")
    return o


def load(path):
    with safe_open(path, "pt") as f:
        document = json.loads(f.metadata()["recur"])
        tensors = {k: f.get_tensor(k) for k in f.keys()}
    o = defaults(document["model"])
    model = LanguageModel(tensors["embedding.weight"].shape[0], o)
    if o["tied"]:
        tensors["head.weight"] = tensors["embedding.weight"]
    model.load_state_dict(tensors)
    return model.eval(), document


def encode(vocab, data):
    """Text to ids, for byte and character vocabularies."""
    if vocab["kind"] == "byte":
        return list(data)
    if vocab["kind"] == "char":
        ids = {cp: i for i, cp in enumerate(vocab["codepoints"])}
        return [ids.get(ord(c), ids[-1]) for c in data.decode()]
    sys.exit(f"{vocab['kind']} vocabulary: encode with recur")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    model, document = load(sys.argv[1])
    print(model)
    if len(sys.argv) == 3:
        with open(sys.argv[2], "rb") as f:
            ids = torch.tensor(encode(document["vocab"], f.read()))
        nll, state = 0.0, None
        with torch.no_grad():
            for i in range(0, len(ids) - 1, 1000):
                target = ids[i + 1 : i + 1001]
                logits, state = model(ids[i : i + len(target)].unsqueeze(1), state)
                nll += nn.functional.cross_entropy(logits[:, 0].double(), target, reduction="sum").item()
        n = len(ids) - 1
        print(f"{n} tokens  {nll / n:.6f} nats per token  perplexity {math.exp(nll / n):.4f}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Makes a recur model file of a PyTorch state_dict: nn.Embedding, nn.LSTM / nn.GRU / nn.RNN, nn.Linear.

    pytorch_to_recur.py weights.safetensors vocab.json model.safetensors
    pytorch_to_recur.py weights.pt          vocab.json model.safetensors --embedding encoder --rnn lstm --head decoder

vocab.json is a list of the characters of a character model in the order of their ids, null for the one that unknown characters
become; or any vocabulary in recur's own form (docs/format.md). Sizes, cell and tying are read off the
tensors. nn.RNN(nonlinearity="relu") has the shapes of a tanh one: say --cell rnn-relu.
As a module: to_recur(state_dict, path, char_vocab(characters), ...).
"""
import argparse
import json
import sys

import torch
from safetensors.torch import load_file, save_file


def char_vocab(chars):
    """A character vocabulary; None is the place of <unk>, which every one has."""
    if sum(c is None for c in chars) != 1:
        raise ValueError("a character vocabulary has one null: the id that unknown characters become")
    return {"kind": "char", "codepoints": [-1 if c is None else ord(c) for c in chars]}


def guess(state, suffix, words):
    """The module whose tensor <module>.<suffix> has one of words in its name."""
    found = {k[: -len(suffix) - 1] for k in state if k.endswith("." + suffix)}
    named = [m for m in found if any(w in m.lower() for w in words)]
    if len(named) != 1:
        sys.exit(f"which of {sorted(found)} is it? say --{words[0]} NAME")
    return named[0]


def cell_of(weight_ih, weight_hh, projected):
    if projected:
        return "lstm-projection"
    gates = weight_ih.shape[0] // weight_hh.shape[1]
    return {4: "lstm", 3: "gru", 1: "rnn"}[gates]


def to_recur(state, path, vocab, embedding=None, rnn=None, head=None, cell=None, provenance=None, more=None):
    embedding = embedding or guess(state, "weight", ["embedding", "embed", "encoder"])
    rnn = rnn or guess(state, "weight_ih_l0", ["rnn", "lstm", "gru", ""])
    head = head or guess(state, "bias", ["head", "decoder", "fc", "linear", "out"])
    table = state[embedding + ".weight"]
    tensors = {"embedding.weight": table, "head.bias": state[head + ".bias"]}
    tensors |= more or {}  # the adapter of a tied model whose widths differ
    tensors |= {"rnn." + k[len(rnn) + 1 :]: v for k, v in state.items() if k.startswith(rnn + ".")}
    if any("reverse" in k for k in tensors):
        sys.exit("a bidirectional network sees what it is to predict: no language model")
    weight = state.get(head + ".weight")
    tied = weight is None or weight.shape == table.shape and bool((weight == table).all())
    if not tied:
        tensors["head.weight"] = weight
    ih, hh = tensors["rnn.weight_ih_l0"], tensors["rnn.weight_hh_l0"]
    projected = "rnn.weight_hr_l0" in tensors
    model = {
        "cell": cell or cell_of(ih, hh, projected),
        "num_layers": sum(k.startswith("rnn.weight_hh_l") for k in tensors),
        "hidden_size": tensors["rnn.weight_hr_l0"].shape[1] if projected else hh.shape[1],
        "embedding_size": table.shape[1],
        "tied": tied,
        "no_bias": "rnn.bias_ih_l0" not in tensors,
    }
    if projected:
        model["proj_size"] = hh.shape[1]
    document = {"format": 1, "task": "lm", "model": model, "vocab": vocab, "provenance": provenance or {}}
    tensors = {k: v.detach().float().contiguous() for k, v in tensors.items()}
    save_file(tensors, path, metadata={"recur": json.dumps(document, ensure_ascii=False)})


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("state", help="state_dict: .safetensors, or what torch.save wrote")
    p.add_argument("vocab", help="JSON")
    p.add_argument("out", help="model file to write")
    for name in ("embedding", "rnn", "head"):
        p.add_argument("--" + name, help="name of that module in the state_dict; default: guessed")
    p.add_argument("--cell", help="default: by the number of gates")
    a = p.parse_args()
    state = load_file(a.state) if a.state.endswith(".safetensors") else torch.load(a.state, "cpu", weights_only=True)
    with open(a.vocab, encoding="utf-8") as f:
        vocab = json.load(f)
    vocab = char_vocab(vocab) if isinstance(vocab, list) else vocab
    to_recur(state, a.out, vocab, a.embedding, a.rnn, a.head, a.cell, {"made_by": "pytorch_to_recur.py"})


if __name__ == "__main__":
    main()

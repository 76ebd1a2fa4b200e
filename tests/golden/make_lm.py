"""Makes lm_*.safetensors, model files from PyTorch's weights, and lm.safetensors: what PyTorch computes with each.

Per case: ids and targets (T, B), logits (T, B, V), the loss, the gradient of every parameter, and the losses of ten steps
of SGD (momentum, gradient norm clipped) and of AdamW (weight decay on matrices but the embedding), state carried in both.
The first loss of each sequence of ten is before any step. Run: python3 make_lm.py
"""
import os
import sys

import torch
from safetensors.torch import save_file
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../examples"))
from pytorch_to_recur import char_vocab, to_recur  # noqa: E402
from recur_to_pytorch import LanguageModel, defaults, load  # noqa: E402

SEED = 3
T, B, H, STEPS = 7, 3, 10, 10
CHARS = [None, *" abcdefghijklmnop"]  # None: <unk>
CASES = {
    "rnn": {},
    "rnn-relu": {"num_layers": 2},
    "lstm": {"num_layers": 2},
    "lstm-tied": {"cell": "lstm", "tied": True, "embedding_size": H},
    "lstm-adapter": {"cell": "lstm", "tied": True},
    "lstm-projection": {"num_layers": 2, "proj_size": 4},
    "lstm-no-bias": {"cell": "lstm", "no_bias": True},
    "gru": {"num_layers": 2},
}
SGD = dict(lr=0.5, momentum=0.9)
ADAMW = dict(lr=0.02, betas=(0.9, 0.999), eps=1e-8)
DECAY, CLIP = 0.1, 0.25


def decays(name):
    return name.startswith(("rnn.weight", "head.weight", "adapter")) and not name.startswith("embedding")


def batches(ids):
    for i in range(STEPS):
        yield ids[i * T : (i + 1) * T], ids[i * T + 1 : (i + 1) * T + 1]


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def ten_steps(model, ids, optimizer, clip):
    losses, state = [], None
    for x, y in batches(ids):
        logits, state = model(x, state)
        state = detached(state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses)


def case(name, change, out):
    torch.manual_seed(SEED)
    o = defaults({"cell": name, "hidden_size": H, "embedding_size": 6} | change)
    size = len(CHARS)
    model = LanguageModel(size, o)
    if o["tied"]:  # a tied matrix is also the softmax's: keep the logits small
        nn.init.uniform_(model.embedding.weight, -0.3, 0.3)
    file = os.path.join(HERE, f"lm_{name}.safetensors")
    state = {k: v.clone() for k, v in model.state_dict().items()}
    extra = {k: state[k] for k in state if k.startswith("adapter")}
    to_recur(state, file, char_vocab(CHARS), "embedding", "rnn", "head", o["cell"], {"torch": torch.__version__, "seed": SEED}, more=extra)
    back, _ = load(file)
    assert all((a == b).all() for a, b in zip(model.state_dict().values(), back.state_dict().values()))

    ids = torch.randint(0, size, (STEPS * T + 1, B))
    logits, _ = model(ids[:T])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids[1 : T + 1].flatten())
    loss.backward()
    out[name + ".ids"] = ids.to(torch.int32)
    out[name + ".logits"] = logits.detach()
    out[name + ".loss"] = loss.detach().reshape(1)
    for key, p in model.named_parameters():
        out[f"{name}.grad.{key}"] = p.grad.clone()
    out[name + ".sgd"] = ten_steps(model, ids, torch.optim.SGD(model.parameters(), **SGD), CLIP)
    model.load_state_dict(state)
    groups = [{"params": [p for k, p in model.named_parameters() if decays(k)], "weight_decay": DECAY},
              {"params": [p for k, p in model.named_parameters() if not decays(k)], "weight_decay": 0.0}]
    out[name + ".adamw"] = ten_steps(model, ids, torch.optim.AdamW(groups, **ADAMW), None)


def main():
    torch.set_num_threads(1)
    out = {}
    for name, change in CASES.items():
        case(name, change, out)
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(HERE, "lm.safetensors"),
              metadata={"torch": torch.__version__, "seed": str(SEED), "script": "make_lm.py"})


if __name__ == "__main__":
    main()

"""Makes transformer.safetensors: weights, inputs, outputs and all gradients of torch.nn.TransformerEncoder and
TransformerDecoder (their layers' own code), under padding and causal masks, with norms before and after, relu and gelu.

Run: python3 make_transformer.py   (the version of torch and the seed are in the file's metadata)
"""
import json
import os
import torch
from torch import nn
from safetensors.torch import save_file

torch.manual_seed(1)
torch.set_num_threads(1)
T, S, B, H, F, L = 6, 5, 3, 8, 12, 2
lengths, memory_lengths = [4, 6, 1], [5, 2, 3]
out, cases = {}, []


def padding(lengths, n):
    return torch.arange(n)[None, :] >= torch.tensor(lengths)[:, None]


def causal(n):
    return torch.triu(torch.ones(n, n, dtype=torch.bool), 1)


def window(n, w):  # a step sees itself and the w - 1 before it
    i = torch.arange(n)
    return (i[None, :] > i[:, None]) | (i[None, :] <= i[:, None] - w)


def case(name, decoder, pre, activation, heads, self_mask, context=0, bias=True):
    kind = nn.TransformerDecoderLayer if decoder else nn.TransformerEncoderLayer
    layer = kind(H, heads, F, dropout=0.0, activation=activation, norm_first=pre, bias=bias)
    norm = nn.LayerNorm(H, bias=bias) if pre else None
    net = nn.TransformerDecoder(layer, L, norm) if decoder else nn.TransformerEncoder(layer, L, norm, enable_nested_tensor=False)
    for p in net.parameters():  # away from equal layers, ones and zeros
        with torch.no_grad():
            p.add_(0.2 * torch.randn_like(p))
    x = torch.randn(T, B, H, requires_grad=True)
    memory = torch.randn(S, B, H, requires_grad=True)
    pad = padding(lengths, T)
    if decoder:
        y = net(x, memory, tgt_mask=self_mask, tgt_key_padding_mask=pad,
                memory_key_padding_mask=padding(memory_lengths, S))
    else:
        y = net(x, mask=self_mask, src_key_padding_mask=pad)
    y = y.masked_fill(pad.T[:, :, None], 0)
    wy = torch.randn_like(y)
    (y * wy).sum().backward()
    tensors = {"x": x, "wy": wy, "y": y, "d/x": x.grad}
    if decoder:
        tensors |= {"memory": memory, "d/memory": memory.grad}
    for key, p in net.named_parameters():
        tensors["w/" + key] = p
        tensors["d/w/" + key] = p.grad
    for key, v in tensors.items():
        out[f"{name}/{key}"] = v.detach().clone().contiguous()
    cases.append({"name": name, "decoder": decoder, "pre": pre, "relu": activation == "relu", "heads": heads,
                  "both": self_mask is None, "context": context, "bias": bias})


case("encoder post relu", False, False, "relu", 2, None)
case("encoder pre gelu", False, True, "gelu", 4, None)
case("causal pre gelu", False, True, "gelu", 2, causal(T))
case("window post gelu", False, False, "gelu", 2, window(T, 3), context=3)
case("no biases", False, True, "relu", 1, causal(T), bias=False)
case("decoder post relu", True, False, "relu", 2, causal(T))
case("decoder pre gelu", True, True, "gelu", 4, causal(T))
meta = {"torch": torch.__version__, "seed": "1",
        "cases": json.dumps({"H": H, "F": F, "L": L, "lengths": lengths, "memory_lengths": memory_lengths, "cases": cases})}
save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "transformer.safetensors"), meta)

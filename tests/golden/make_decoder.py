"""Makes decoder.safetensors: weights, a batch, the loss, log probabilities and all gradients of encoder-decoders with attention
as src/nn/decoder.h describes them, with torch.nn.LSTM and torch.nn.GRU for the layers and the attention written out.

Run: python3 make_decoder.py   (the version of torch and the seed are in the file's metadata)
"""
import json
import os
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from safetensors.torch import save_file

torch.manual_seed(1)
torch.set_num_threads(1)
B, V, E, HE, H = 4, 7, 5, 3, 6
source_lengths, target_lengths = [4, 2, 5, 1], [3, 5, 1, 2]
BEGIN, END = V, V + 1
out, cases = {}, []


class Net(nn.Module):
    def __init__(self, cell, attention, layers, feeding=False, copy=False, coverage=False):
        super().__init__()
        rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.cell, self.attention, self.layers = cell, attention, layers
        self.feeding, self.copy, self.coverage = feeding, copy, coverage
        M = 2 * HE
        if copy:
            self.source_table = self.target_table = nn.Embedding(V + 2, E)
        else:
            self.source_table, self.target_table = nn.Embedding(V + 2, E), nn.Embedding(V + 2, E)
        self.encoder = rnn(E, HE, bidirectional=True)
        low = layers - 1 if layers > 1 else layers
        self.lower = rnn(E + (H if feeding else 0), H, num_layers=low)
        self.upper = rnn(H + M, H) if layers > 1 else None
        width = layers * H * (2 if cell == "lstm" else 1)
        self.bridge = nn.Linear(M, width)
        if attention == "general":
            self.query = nn.Linear(H, M, bias=False)
        else:
            self.query, self.key, self.vector = nn.Linear(H, H, bias=False), nn.Linear(M, H), nn.Parameter(torch.randn(H))
        if coverage:
            self.features = nn.Parameter(torch.randn(H, 1))
        self.output = nn.Linear(H + M, H, bias=False)
        self.head = nn.Linear(H, V + 2)
        if copy:
            self.gate = nn.Linear(H + E + M, 1)

    def names(self):
        """recur's name of each parameter."""
        n = {}
        if self.copy:
            n["embedding.weight"] = self.source_table.weight
        else:
            n["source.embedding.weight"], n["target.embedding.weight"] = self.source_table.weight, self.target_table.weight
        n.update({"encoder." + k: v for k, v in self.encoder.named_parameters()})
        n.update({"decoder." + k: v for k, v in self.lower.named_parameters()})
        if self.upper:
            n.update({"decoder.upper." + k: v for k, v in self.upper.named_parameters()})
        n["decoder.attention.query.weight"] = self.query.weight
        if self.attention != "general":
            n["decoder.attention.key.weight"], n["decoder.attention.key.bias"] = self.key.weight, self.key.bias
            n["decoder.attention.vector"] = self.vector
        if self.coverage:
            n["decoder.attention.features.weight"] = self.features
        n["decoder.bridge.weight"], n["decoder.bridge.bias"] = self.bridge.weight, self.bridge.bias
        n["decoder.output.weight"] = self.output.weight
        n["head.weight"], n["head.bias"] = self.head.weight, self.head.bias
        if self.copy:
            n["copy.weight"], n["copy.bias"] = self.gate.weight, self.gate.bias
        return n

    def attend(self, h, memory, mask, coverage):  # h (S, B, H), memory (T, B, M) -> weights (S, B, T)
        if self.attention == "general":
            e = torch.einsum("sbm,tbm->sbt", self.query(h), memory)
        else:
            u = self.query(h)[:, :, None, :] + self.key(memory).permute(1, 0, 2)[None]
            if self.coverage:
                u = u + coverage[None, :, :, None] * self.features[:, 0]
            e = torch.tanh(u) @ self.vector
        return e.masked_fill(~mask[None], float("-inf")).softmax(-1)

    def forward(self, source, target_in):  # (T, B), (S, B) -> log probabilities (S, B, V + 2), coverage losses (S, B)
        x = self.source_table(source)
        packed, last = self.encoder(pack_padded_sequence(x, source_lengths, enforce_sorted=False))
        memory, _ = pad_packed_sequence(packed, total_length=source.shape[0])
        last = last[0] if self.cell == "lstm" else last
        start = torch.tanh(self.bridge(torch.cat([last[0], last[1]], -1)))
        L = self.layers
        h = start[:, : L * H].reshape(B, L, H).permute(1, 0, 2).contiguous()
        c = start[:, L * H :].reshape(B, L, H).permute(1, 0, 2).contiguous() if self.cell == "lstm" else None
        low = L - 1 if L > 1 else L
        pair = lambda a, z: (h[a:z].contiguous(), c[a:z].contiguous()) if self.cell == "lstm" else h[a:z].contiguous()
        state, above = pair(0, low), pair(low, L)
        mask = torch.arange(source.shape[0])[None] < torch.tensor(source_lengths)[:, None]
        y = self.target_table(target_in)
        fed, covered, logs, losses = torch.zeros(B, H), torch.zeros(B, source.shape[0]), [], []
        for s in range(target_in.shape[0]):
            i = torch.cat([y[s], fed], -1) if self.feeding else y[s]
            r, state = self.lower(i[None], state)
            a = self.attend(r, memory, mask, covered)
            losses.append(torch.minimum(a[0], covered).sum(-1))
            covered = covered + a[0]
            context = torch.einsum("sbt,tbm->sbm", a, memory)
            if self.upper:
                r, above = self.upper(torch.cat([r, context], -1), above)
            fed = torch.tanh(self.output(torch.cat([r, context], -1)))[0]
            p = self.head(fed).log_softmax(-1)
            if self.copy:
                g = torch.sigmoid(self.gate(torch.cat([fed, y[s], context[0]], -1)))
                places = nn.functional.one_hot(source, V + 2).permute(1, 0, 2).double()  # (B, T, V + 2)
                p = torch.log(g * p.exp() + (1 - g) * torch.einsum("bt,btv->bv", a[0], places))
            logs.append(p)
        return torch.stack(logs), torch.stack(losses)


def case(name, **how):
    torch.set_default_dtype(torch.float64)
    net = Net(**how)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_((torch.randn(p.shape) * 0.5).float())
    T, S = max(source_lengths), max(target_lengths)
    source, target_in, target_out = torch.zeros(T, B).long(), torch.zeros(S, B).long(), torch.full((S, B), -100)
    for b in range(B):
        n, m = source_lengths[b] - 1, target_lengths[b] - 1
        source[:n, b], source[n, b] = torch.randint(V, (n,)), END
        words = torch.randint(V, (m,))
        target_in[0, b], target_in[1 : m + 1, b] = BEGIN, words
        target_out[:m, b], target_out[m, b] = words, END
    logp, covered = net(source, target_in)
    keep = target_out != -100
    loss = -logp.gather(-1, target_out.clamp(min=0)[..., None])[..., 0][keep].mean()
    if how.get("coverage"):
        loss = loss + covered[keep].mean()
    loss.backward()
    put = lambda k, v: out.__setitem__(f"{name}/{k}", v.detach().float().contiguous())
    for k, v in net.names().items():
        put("w/" + k, v)
        put("g/" + k, v.grad)
    for k, v in {"source": source, "target_in": target_in, "target_out": target_out, "loss": loss.reshape(1), "logp": logp}.items():
        put(k, v)
    cases.append({"name": name, **how})


case("lstm-general", cell="lstm", attention="general", layers=2)
case("gru-additive", cell="gru", attention="additive", layers=2)
case("lstm-three", cell="lstm", attention="general", layers=3)
case("gru-feeding", cell="gru", attention="additive", layers=1, feeding=True)
case("pointer-generator", cell="lstm", attention="additive", layers=2, copy=True, coverage=True)
case("pointer-generator-feeding", cell="gru", attention="additive", layers=2, copy=True, coverage=True, feeding=True)
doc = {"torch": torch.__version__, "seed": 1, "V": V, "E": E, "HE": HE, "H": H, "cases": cases,
       "source_lengths": source_lengths, "target_lengths": target_lengths}
save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "decoder.safetensors"), {"doc": json.dumps(doc)})

"""PyTorch as a peer (README.md): torch.nn.LSTM, GRU and RNN; every other cell written out as a loop over time.

The loops are what one writes: the input product of all steps at once, one fused product for all gates of a step, the
rest element by element. Their equations are those of src/kernels/cell_*.inc.
"""
import peer

try:
    import torch
    from torch.nn import functional as F
except ImportError as error:
    peer.missing("PyTorch", error)

DTYPE = dict(fp32=torch.float32, bf16=torch.bfloat16)


class Written(torch.nn.Module):
    """One layer, written out. gates: blocks of the input product; products: blocks of the recurrent one."""
    gates = products = 1

    def __init__(self, inputs, hidden):
        super().__init__()
        self.hidden = hidden
        self.w, self.b = self.parameter(self.gates * hidden, inputs), self.parameter(self.gates * hidden)
        if self.products:
            self.r = self.parameter(self.products * hidden, hidden)
        self.more(hidden)

    def parameter(self, *shape):
        return torch.nn.Parameter(torch.empty(*shape).uniform_(-self.hidden ** -0.5, self.hidden ** -0.5))

    def more(self, hidden):
        pass

    def input(self, x):
        return F.linear(x, self.w, self.b)

    def forward(self, x):
        h = c = x.new_zeros(x.shape[1], self.hidden)
        y = []
        for g in self.input(x).unbind(0):
            h, c = self.step(g, h, c)
            y.append(h)
        return torch.stack(y)


class LayerNormLSTM(Written):
    gates = products = 4

    def more(self, hidden):
        self.gain_x, self.gain_h = self.parameter(4 * hidden), self.parameter(4 * hidden)
        self.gain_c, self.bias_c = self.parameter(hidden), self.parameter(hidden)

    def input(self, x):
        return F.layer_norm(F.linear(x, self.w), self.gain_x.shape, self.gain_x) + self.b

    def step(self, g, h, c):
        i, f, n, o = (g + F.layer_norm(F.linear(h, self.r), self.gain_h.shape, self.gain_h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * n.tanh()
        return o.sigmoid() * F.layer_norm(c, self.gain_c.shape, self.gain_c, self.bias_c).tanh(), c


class PeepholeLSTM(Written):
    gates = products = 4

    def more(self, hidden):
        self.p_i, self.p_f, self.p_o = (self.parameter(hidden) for _ in range(3))

    def step(self, g, h, c):
        i, f, n, o = (g + F.linear(h, self.r)).chunk(4, 1)
        new = (f + self.p_f * c).sigmoid() * c + (i + self.p_i * c).sigmoid() * n.tanh()
        return (o + self.p_o * new).sigmoid() * new.tanh(), new


class CoupledLSTM(Written):
    gates = products = 3

    def step(self, g, h, c):
        i, n, o = (g + F.linear(h, self.r)).chunk(3, 1)
        i = i.sigmoid()
        c = c + i * (n.tanh() - c)
        return o.sigmoid() * c.tanh(), c


class GRUv1(Written):
    gates, products = 3, 2

    def more(self, hidden):
        self.r_n = self.parameter(hidden, hidden)

    def step(self, g, h, c):
        r, z = (g[:, :2 * self.hidden] + F.linear(h, self.r)).sigmoid().chunk(2, 1)
        n = (g[:, 2 * self.hidden:] + F.linear(r * h, self.r_n)).tanh()
        return n + z * (h - n), c


class GRUD(Written):
    gates, products = 4, 2

    def more(self, hidden):
        self.r_n = self.parameter(hidden, hidden)

    def step(self, g, h, c):
        n_h = 2 * self.hidden
        h = h * (-g[:, 3 * self.hidden:].relu()).exp()
        r, z = (g[:, :n_h] + F.linear(h, self.r)).sigmoid().chunk(2, 1)
        n = (g[:, n_h:3 * self.hidden] + F.linear(r * h, self.r_n)).tanh()
        return n + z * (h - n), c


class MGU(Written):
    gates, products = 2, 1

    def more(self, hidden):
        self.r_n = self.parameter(hidden, hidden)

    def step(self, g, h, c):
        f = (g[:, :self.hidden] + F.linear(h, self.r)).sigmoid()
        n = (g[:, self.hidden:] + F.linear(f * h, self.r_n)).tanh()
        return h + f * (n - h), c


class RHN(Written):
    gates = products = 2
    depth = 3

    def more(self, hidden):
        self.rs = torch.nn.ParameterList(self.parameter(2 * hidden, hidden) for _ in range(self.depth - 1))
        self.bs = torch.nn.ParameterList(self.parameter(2 * hidden) for _ in range(self.depth - 1))

    def step(self, g, h, c):
        u = g + F.linear(h, self.r)
        for k in range(self.depth):
            if k:
                u = F.linear(h, self.rs[k - 1], self.bs[k - 1])
            a, t = u.chunk(2, 1)
            h = h + t.sigmoid() * (a.tanh() - h)
        return h, c


class IndRNN(Written):
    gates, products = 1, 0

    def more(self, hidden):
        self.u = self.parameter(hidden)

    def step(self, g, h, c):
        return (g + self.u * h).relu(), c


class MinGRU(Written):
    gates, products = 2, 0

    def step(self, g, h, c):
        z, n = g.chunk(2, 1)
        return h + z.sigmoid() * (n - h), c


class MinLSTM(Written):
    gates, products = 3, 0

    def step(self, g, h, c):
        f, i, n = g.chunk(3, 1)
        f, i = f.sigmoid(), i.sigmoid()
        return (f * h + i * n) / (f + i), c


class SRU(Written):
    gates, products = 3, 0

    def more(self, hidden):
        self.v_f, self.v_r = self.parameter(hidden), self.parameter(hidden)

    def forward(self, x):
        c, y = x.new_zeros(x.shape[1], self.hidden), []
        for now, g in zip(x.unbind(0), self.input(x).unbind(0)):
            f, r, n = g.chunk(3, 1)
            f, r = (f + self.v_f * c).sigmoid(), (r + self.v_r * c).sigmoid()
            c = n + f * (c - n)
            y.append(now + r * (c - now))
        return torch.stack(y)


WRITTEN = {"lstm-layernorm": LayerNormLSTM, "lstm-peephole": PeepholeLSTM, "lstm-coupled": CoupledLSTM, "gru-v1": GRUv1,
           "gru-d": GRUD, "mgu": MGU, "rhn": RHN, "indrnn": IndRNN, "mingru": MinGRU, "minlstm": MinLSTM, "sru": SRU}


def built_in(p):
    """torch.nn's own module, or None."""
    more = dict(num_layers=p["layers"], bidirectional=p["bidirectional"])
    size = p["hidden"]
    if p["cell"] in ("lstm", "gru"):
        return dict(lstm=torch.nn.LSTM, gru=torch.nn.GRU)[p["cell"]](size, size, **more)
    if p["cell"] in ("rnn", "rnn-relu"):
        return torch.nn.RNN(size, size, nonlinearity="relu" if p["cell"] == "rnn-relu" else "tanh", **more)
    if p["cell"] == "lstm-projection":
        return torch.nn.LSTM(size, size, proj_size=size // 2, **more)
    return None


def prepare(p):
    torch.set_num_threads(p["threads"])
    torch.manual_seed(1)
    net = built_in(p)
    if net is None:
        if p["cell"] not in WRITTEN:
            raise peer.Skip("no such cell")
        if p["step"] or p["lengths"] or p["bidirectional"]:
            raise peer.Skip("written out for whole batches of one direction")
        net = torch.nn.Sequential(*(WRITTEN[p["cell"]](p["hidden"], p["hidden"]) for _ in range(p["layers"])))
    if p["precision"] == "int8":
        if p["train"] or p["cell"] not in ("lstm", "gru"):
            raise peer.Skip("dynamic quantization is for inference of LSTM and GRU")
        net = torch.ao.quantization.quantize_dynamic(net, {type(net)}, dtype=torch.qint8)
    else:
        net = net.to(DTYPE[p["precision"]])
    x = torch.randn(p["seq_len"], p["batch"], p["hidden"], dtype=DTYPE.get(p["precision"], torch.float32))
    if p["step"]:
        return stepper(net.eval(), x[:1])
    if p["lengths"]:
        lengths = torch.tensor(p["lengths"])

        def run():
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
            return torch.nn.utils.rnn.pad_packed_sequence(net(packed)[0])[0]
    elif isinstance(net, torch.nn.Sequential):
        def run():
            return net(x)
    else:
        def run():
            return net(x)[0]
    if p["train"]:
        x.requires_grad_()

        def train():
            net.zero_grad()
            x.grad = None
            run().sum().backward()
        return train
    net.eval()

    def infer():
        with torch.inference_mode():
            run()
    return infer


def stepper(net, x):
    state = None

    def step():
        nonlocal state
        with torch.inference_mode():
            _, state = net(x, state)
    return step


if __name__ == "__main__":
    peer.serve("PyTorch", torch.__version__, prepare)

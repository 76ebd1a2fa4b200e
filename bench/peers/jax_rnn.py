"""JAX as a peer (README.md): LSTM, GRU and RNN as one jitted lax.scan a layer, the input product outside it."""
import os

import peer

os.environ["JAX_PLATFORMS"] = "cpu"
if hasattr(os, "sched_setaffinity"):  # its threads are as many as the cores it may use
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:peer.threads()])
try:
    import jax
    import jax.numpy as jnp
    from jax import lax
except ImportError as error:
    peer.missing("JAX", error)


def lstm(g, r, state):
    h, c = state
    i, f, n, o = jnp.split(g + h @ r, 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(n)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return h, c


def gru(g, r, state):
    h = state[0]
    u = h @ r
    width = 2 * h.shape[1]
    gate_r, z = jnp.split(jax.nn.sigmoid(g[:, :width] + u[:, :width]), 2, axis=1)
    n = jnp.tanh(g[:, width:] + gate_r * u[:, width:])
    return n + z * (h - n), state[1]


def rnn(g, r, state):
    return jnp.tanh(g + state[0] @ r), state[1]


CELLS = dict(lstm=(lstm, 4), gru=(gru, 3), rnn=(rnn, 1))


def prepare(p):
    if p["cell"] not in CELLS:
        raise peer.Skip("no such cell written")
    if p["precision"] == "int8" or p["step"]:
        raise peer.Skip("no int8" if p["precision"] == "int8" else "no streaming call written")
    if p["bidirectional"]:
        raise peer.Skip("written in one direction")
    step, gates = CELLS[p["cell"]]
    hidden, dtype = p["hidden"], dict(fp32=jnp.float32, bf16=jnp.bfloat16)[p["precision"]]
    keys = iter(jax.random.split(jax.random.key(1), 3 * p["layers"] + 1))

    def uniform(*shape):
        return jax.random.uniform(next(keys), shape, minval=-hidden ** -0.5, maxval=hidden ** -0.5).astype(dtype)

    weights = [(uniform(hidden, gates * hidden), uniform(hidden, gates * hidden), uniform(gates * hidden))
               for _ in range(p["layers"])]
    x = jax.random.normal(next(keys), (p["seq_len"], p["batch"], hidden)).astype(dtype)
    lengths = jnp.array(p["lengths"])[:, None] if p["lengths"] else None

    def layer(x, w, r, b):
        def advance(carry, now):
            t, g = now
            new = step(g, r, carry)
            if lengths is None:
                return new, new[0]
            live = t < lengths  # a row that has ended keeps its state, its output is zero
            return tuple(jnp.where(live, n, o) for n, o in zip(new, carry)), jnp.where(live, new[0], 0)
        zero = jnp.zeros((p["batch"], hidden), dtype)
        return lax.scan(advance, (zero, zero), (jnp.arange(p["seq_len"]), x @ w + b))[1]

    def run(weights, x):
        for w, r, b in weights:
            x = layer(x, w, r, b)
        return x

    infer = jax.jit(run)
    train = jax.jit(jax.grad(lambda weights, x: run(weights, x).astype(jnp.float32).sum(), argnums=(0, 1)))
    f = train if p["train"] else infer
    return lambda: jax.block_until_ready(f(weights, x))


if __name__ == "__main__":
    peer.serve("JAX", jax.__version__, prepare)

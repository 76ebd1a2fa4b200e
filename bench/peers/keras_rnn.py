"""Keras on TensorFlow as a peer (README.md): keras.layers.LSTM, GRU and SimpleRNN inside one tf.function."""
import os

import peer

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
try:
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(peer.threads())
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import keras
except ImportError as error:
    peer.missing("Keras", error)

LAYERS = {"lstm": (keras.layers.LSTM, {}), "gru": (keras.layers.GRU, dict(reset_after=True)),
          "gru-v1": (keras.layers.GRU, dict(reset_after=False)), "rnn": (keras.layers.SimpleRNN, {}),
          "rnn-relu": (keras.layers.SimpleRNN, dict(activation="relu"))}


def prepare(p):
    if p["cell"] not in LAYERS:
        raise peer.Skip("no such layer")
    if p["precision"] == "int8":
        raise peer.Skip("no int8")
    if p["step"]:
        raise peer.Skip("no streaming call")
    keras.utils.set_random_seed(1)
    kind, options = LAYERS[p["cell"]]
    dtype = dict(fp32="float32", bf16="bfloat16")[p["precision"]]
    shape = (p["batch"], p["seq_len"], p["hidden"])
    x = tf.cast(tf.random.normal(shape), dtype)
    mask = tf.sequence_mask(p["lengths"], p["seq_len"]) if p["lengths"] else None
    layers = []
    for _ in range(p["layers"]):
        layer = kind(p["hidden"], return_sequences=True, dtype=dtype, **options)
        layers.append(keras.layers.Bidirectional(layer, dtype=dtype) if p["bidirectional"] else layer)

    def run(y):
        for layer in layers:
            y = layer(y, mask=mask)
        return y

    run(x)  # makes the weights
    if not p["train"]:
        infer = tf.function(run)
        return lambda: infer(x)
    weights = [v.value for layer in layers for v in layer.trainable_variables]

    @tf.function
    def train(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            loss = tf.reduce_sum(run(y))
        return tape.gradient(loss, [y] + weights)
    return lambda: train(x)[0].numpy()


if __name__ == "__main__":
    peer.serve("Keras", f"{keras.__version__} on TensorFlow {tf.__version__}", prepare)

"""ONNX Runtime as a peer (README.md): the LSTM, GRU and RNN operators of ONNX; inference alone."""
import os
import tempfile

import peer

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper
except ImportError as error:
    peer.missing("ONNX Runtime", error)

# operator, gates, attributes
CELLS = {"lstm": ("LSTM", 4, {}), "lstm-peephole": ("LSTM", 4, {}), "lstm-coupled": ("LSTM", 4, dict(input_forget=1)),
         "gru": ("GRU", 3, dict(linear_before_reset=1)), "gru-v1": ("GRU", 3, dict(linear_before_reset=0)),
         "rnn": ("RNN", 1, {}), "rnn-relu": ("RNN", 1, dict(activations=["Relu"]))}


def model(p):
    """Nodes: per layer the operator, then (T, directions, B, H) to (T, B, directions * H)."""
    operator, gates, attributes = CELLS[p["cell"]]
    directions = 2 if p["bidirectional"] else 1
    hidden, rng = p["hidden"], np.random.default_rng(1)
    if "activations" in attributes:
        attributes = dict(activations=attributes["activations"] * directions)
    weights, nodes, inputs, outputs = [], [], [], []

    def weight(name, *shape):
        values = rng.uniform(-hidden ** -0.5, hidden ** -0.5, shape).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(values, name))
        return name

    def io(where, name, shape, kind=TensorProto.FLOAT):
        where.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    x = io(inputs, "x", [p["seq_len"], p["batch"], hidden])
    lengths = io(inputs, "lengths", [p["batch"]], TensorProto.INT32) if p["lengths"] else ""
    weights.append(onnx.numpy_helper.from_array(np.array([1]), "axis"))
    weights.append(onnx.numpy_helper.from_array(np.array([0, 0, -1]), "flat"))
    state = [directions, p["batch"], hidden]
    for k in range(p["layers"]):
        width = hidden if k == 0 else directions * hidden
        ins = [x, weight(f"w{k}", directions, gates * hidden, width),
               weight(f"r{k}", directions, gates * hidden, hidden),
               weight(f"b{k}", directions, 2 * gates * hidden), lengths]
        outs = [f"y{k}"]
        if p["step"]:
            ins.append(io(inputs, f"h{k}", state))
            outs.append(io(outputs, f"hn{k}", state))
            if operator == "LSTM":
                ins.append(io(inputs, f"c{k}", state))
                outs.append(io(outputs, f"cn{k}", state))
        if p["cell"] == "lstm-peephole":
            ins += [""] * (7 - len(ins)) + [weight(f"p{k}", directions, 3 * hidden)]
        direction = "bidirectional" if p["bidirectional"] else "forward"
        nodes.append(helper.make_node(operator, ins, outs, hidden_size=hidden, direction=direction, **attributes))
        if directions == 1:
            nodes.append(helper.make_node("Squeeze", [f"y{k}", "axis"], [f"x{k}"]))
        else:
            nodes.append(helper.make_node("Transpose", [f"y{k}"], [f"t{k}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"t{k}", "flat"], [f"x{k}"]))
        x = f"x{k}"
    io(outputs, x, None)
    graph = helper.make_graph(nodes, "layers", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def quantized(m):
    """Weights of LSTM nodes as int8, dynamically: a file in and a file out is the only way."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    with tempfile.TemporaryDirectory() as folder:
        a, b = os.path.join(folder, "a.onnx"), os.path.join(folder, "b.onnx")
        onnx.save(m, a)
        quantize_dynamic(a, b, weight_type=QuantType.QInt8, op_types_to_quantize=["LSTM"])
        return onnx.load(b)


def prepare(p):
    if p["cell"] not in CELLS:
        raise peer.Skip("no such operator")
    if p["train"]:
        raise peer.Skip("inference only")
    if p["precision"] == "bf16" or (p["precision"] == "int8" and CELLS[p["cell"]][0] != "LSTM"):
        raise peer.Skip(f"no {p['precision']} on this operator")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = p["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if p["step"]:
        p = {**p, "seq_len": 1}
    m = model(p)
    if p["precision"] == "int8":
        m = quantized(m)
    session = onnxruntime.InferenceSession(m.SerializeToString(), options, ["CPUExecutionProvider"])
    rng = np.random.default_rng(2)
    feed = {"x": rng.standard_normal((p["seq_len"], p["batch"], p["hidden"]), np.float32)}
    if p["lengths"]:
        feed["lengths"] = np.array(p["lengths"], np.int32)
    if not p["step"]:
        return lambda: session.run(None, feed)
    names = [i.name for i in session.get_inputs() if i.name[0] in "hc"]
    wanted = [n[0] + "n" + n[1:] for n in names] + [session.get_outputs()[-1].name]
    for n in names:
        feed[n] = np.zeros((1, p["batch"], p["hidden"]), np.float32)

    def step():
        for name, value in zip(names, session.run(wanted, feed)):
            feed[name] = value
    return step


if __name__ == "__main__":
    peer.serve("ONNX Runtime", onnxruntime.__version__, prepare)

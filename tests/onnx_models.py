"""Small ONNX models for tests, made with onnx.helper: an architecture each, weights random but always the same."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 18, 9


class ModelBuilder:
    """Nodes and weights in the making. `node` and `weight` return names to be used as inputs of later nodes."""

    def __init__(self, name: str, seed: int = 0):
        self.name, self.rng = name, np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def weight(self, *shape: int, scale: float | None = None) -> str:
        """Normal weights, scaled so that sums over all but the first axis keep their size."""
        scale = scale or 1 / np.sqrt(max(np.prod(shape[1:]), 1))
        return self.constant((self.rng.standard_normal(shape) * scale).astype(np.float32))

    def constant(self, value: Any) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, outputs: Sequence[str] | None = None, name: str | None = None, **attributes: Any) -> str:
        name = name or f"{op}_{len(self.nodes)}"
        outputs = list(outputs or [f"{name}_out"])
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=name, **attributes))
        return outputs[0]

    def model(self, inputs: dict[str, tuple[int, Sequence]], outputs: dict[str, tuple[int, Sequence]], opset: int = OPSET) -> onnx.ModelProto:
        """The finished model; inputs and outputs are name → (element type, shape)."""
        values = [[helper.make_tensor_value_info(n, t, s) for n, (t, s) in group.items()] for group in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, self.name, *values, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def mlp(widths: Sequence[int] = (20, 33, 17, 5), batch: int | str = "batch", name: str = "mlp") -> onnx.ModelProto:
    """x float32[batch, 20] → y float32[batch, 5], a softmax at the end."""
    b = ModelBuilder(name)
    value = "x"
    for i, (inside, outside) in enumerate(zip(widths, widths[1:])):
        value = b.node("Gemm", value, b.weight(outside, inside), b.weight(outside), transB=1, name=f"dense{i}")
        if i < len(widths) - 2:
            value = b.node("Relu", value, name=f"relu{i}")
    b.node("Softmax", value, outputs=["y"], name="softmax", axis=1)
    return b.model({"x": (FLOAT, [batch, widths[0]])}, {"y": (FLOAT, [batch, widths[-1]])})


def _convolution(b: ModelBuilder, value: str, inside: int, outside: int, kernel: int = 3, stride: int = 1, group: int = 1, name: str = "") -> str:
    """Convolution, batch normalisation, ReLU."""
    value = b.node("Conv", value, b.weight(outside, inside // group, kernel, kernel), name=f"{name}/conv", group=group,
                   pads=[kernel // 2] * 4, strides=[stride] * 2, kernel_shape=[kernel] * 2)
    statistics = (1 + 0.1 * b.rng.standard_normal(outside), 0.1 * b.rng.standard_normal(outside), 0.1 * b.rng.standard_normal(outside),
                  b.rng.uniform(0.5, 1.5, outside))
    value = b.node("BatchNormalization", value, *(b.constant(s.astype(np.float32)) for s in statistics), name=f"{name}/norm")
    return b.node("Relu", value, name=f"{name}/relu")


def cnn(size: int = 12, batch: int | str = 1, name: str = "cnn") -> onnx.ModelProto:
    """image float32[1, 3, 12, 12] → scores float32[1, 4]: convolutions with a residual, pooling, a dense layer."""
    b = ModelBuilder(name)
    first = _convolution(b, "image", 3, 8, name="first")
    second = _convolution(b, first, 8, 8, name="second")
    value = b.node("Add", first, second, name="residual")
    value = b.node("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2], name="pool")
    value = _convolution(b, value, 8, 16, stride=2, name="third")
    value = b.node("GlobalAveragePool", value, name="mean")
    value = b.node("Flatten", value, name="flatten")
    b.node("Gemm", value, b.weight(4, 16), b.weight(4), outputs=["scores"], transB=1, name="head")
    return b.model({"image": (FLOAT, [batch, 3, size, size])}, {"scores": (FLOAT, [batch, 4])})


def depthwise(size: int = 14, batch: int | str = 1, name: str = "depthwise") -> onnx.ModelProto:
    """image float32[1, 6, 14, 14] → y float32[1, 9, 7, 7]: a pointwise, a depthwise and a grouped convolution."""
    b = ModelBuilder(name)
    value = _convolution(b, "image", 6, 12, kernel=1, name="expand")
    value = _convolution(b, value, 12, 12, stride=2, group=12, name="depthwise")
    value = _convolution(b, value, 12, 9, group=3, name="grouped")
    b.node("Clip", value, b.constant(np.float32(0)), b.constant(np.float32(6)), outputs=["y"], name="clip")
    return b.model({"image": (FLOAT, [batch, 6, size, size])}, {"y": (FLOAT, [batch, 9, size // 2, size // 2])})


def transformer(width: int = 16, heads: int = 2, vocabulary: int = 50, name: str = "transformer") -> onnx.ModelProto:
    """ids int64[batch, seq] → y float32[batch, seq, 16]: embedding, one block of attention and of a GELU network, layer norms."""
    b = ModelBuilder(name)
    depth = width // heads
    x = b.node("Gather", b.weight(vocabulary, width, scale=1), "ids", name="embed")

    def linear(value: str, outside: int, inside: int, label: str) -> str:
        return b.node("Add", b.node("MatMul", value, b.weight(inside, outside, scale=inside**-0.5), name=f"{label}/matmul"),
                      b.weight(outside, scale=0.1), name=f"{label}/bias")

    def split(value: str, label: str, perm: list[int]) -> str:
        value = b.node("Reshape", value, b.constant(np.array([0, 0, heads, depth])), name=f"{label}/heads")
        return b.node("Transpose", value, perm=perm, name=f"{label}/transpose")

    q = split(linear(x, width, width, "query"), "query", [0, 2, 1, 3])
    k = split(linear(x, width, width, "key"), "key", [0, 2, 3, 1])
    v = split(linear(x, width, width, "value"), "value", [0, 2, 1, 3])
    scores = b.node("Mul", b.node("MatMul", q, k, name="scores"), b.constant(np.float32(depth**-0.5)), name="scale")
    mixed = b.node("MatMul", b.node("Softmax", scores, axis=-1, name="softmax"), v, name="mix")
    mixed = b.node("Reshape", b.node("Transpose", mixed, perm=[0, 2, 1, 3], name="back"), b.constant(np.array([0, 0, width])), name="merge")

    def norm(value: str, label: str, outputs=None) -> str:
        return b.node("LayerNormalization", value, b.constant(np.linspace(0.5, 1.5, width, dtype=np.float32)), b.weight(width, scale=0.1),
                      axis=-1, name=label, outputs=outputs)

    x = norm(b.node("Add", x, linear(mixed, width, width, "project"), name="residual1"), "norm1")
    hidden = linear(x, 3 * width, width, "up")
    erf = b.node("Erf", b.node("Mul", hidden, b.constant(np.float32(2**-0.5)), name="gelu/scale"), name="gelu/erf")
    gelu = b.node("Mul", b.node("Mul", hidden, b.node("Add", erf, b.constant(np.float32(1)), name="gelu/add"), name="gelu/mul"),
                  b.constant(np.float32(0.5)), name="gelu/half")
    norm(b.node("Add", x, linear(gelu, width, 3 * width, "down"), name="residual2"), "norm2", ["y"])
    return b.model({"ids": (INT64, ["batch", "seq"])}, {"y": (FLOAT, ["batch", "seq", width])})


def lstm(inputs: int = 7, hidden: int = 10, length: int | str = "time", name: str = "lstm") -> onnx.ModelProto:
    """x float32[time, 2, 7] → y float32[time, 2, 2, 10]: both directions."""
    b = ModelBuilder(name)
    weights = (b.weight(2, 4 * hidden, inputs, scale=0.4), b.weight(2, 4 * hidden, hidden, scale=0.4), b.weight(2, 8 * hidden, scale=0.2))
    hidden_states = b.node("LSTM", "x", *weights, hidden_size=hidden, direction="bidirectional", name="lstm")
    b.node("Transpose", hidden_states, perm=[0, 2, 1, 3], outputs=["y"], name="transpose")
    return b.model({"x": (FLOAT, [length, 2, inputs])}, {"y": (FLOAT, [length, 2, 2, hidden])})


BUILDERS = {"mlp": mlp, "cnn": cnn, "depthwise": depthwise, "transformer": transformer, "lstm": lstm}


def random_inputs(model: onnx.ModelProto, seed: int = 0, limit: int = 50, **dims: int) -> dict[str, np.ndarray]:
    """Normal floats, integers below `limit`; symbolic dimensions as given."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for value in model.graph.input:
        type_ = value.type.tensor_type
        shape = [dims[d.dim_param] if d.dim_param else d.dim_value for d in type_.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(type_.elem_type)
        arrays[value.name] = (rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, limit, shape)).astype(dtype)
    return arrays

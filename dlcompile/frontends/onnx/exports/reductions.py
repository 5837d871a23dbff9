"""Reductions, running sums and order as ONNX writes them."""
from __future__ import annotations

import numpy as np
from onnx import helper

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.exports.movement import pad_axes, slice_axes
from dlcompile.frontends.onnx.writer import Writer, exporter, onnx_type
from dlcompile.graph import Dim, DimLike, Node, is_float

REDUCTIONS = {
    "reduce_sum": "ReduceSum",
    "reduce_prod": "ReduceProd",
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
}


def _reduction(op_type: str):
    def row(writer: Writer, node: Node, x: str) -> str:
        axes, keepdims = node.attributes["axes"], int(node.attributes["keepdims"])
        if not axes:  # which ONNX would take as all of them
            return writer.emit("Identity", [x])
        boolean = node.inputs[0].dtype == np.bool_
        y = writer.emit(op_type, [writer.cast(x, np.uint8) if boolean else x, writer.vector(axes)], keepdims=keepdims)
        return writer.cast(y, np.bool_) if boolean else y
    return row


for _name, _op_type in {**REDUCTIONS, "reduce_and": "ReduceMin", "reduce_or": "ReduceMax"}.items():
    exporter(_name)(_reduction(_op_type))


@exporter("argmax", "argmin")
def argmax(writer: Writer, node: Node, x: str) -> str:
    a = node.attributes
    x = writer.cast(x, np.int32) if node.inputs[0].dtype == np.bool_ else x
    return writer.emit("ArgMax" if node.op == "argmax" else "ArgMin", [x], axis=a["axis"], keepdims=int(a["keepdims"]),
                       select_last_index=int(a["select_last_index"]))


@exporter("cumsum")
def cumsum(writer: Writer, node: Node, x: str) -> str:
    a = node.attributes
    return writer.emit(
        "CumSum", [x, writer.constant(np.int64(a["axis"]))], exclusive=int(a["exclusive"]), reverse=int(a["reverse"])
    )


@exporter("cumprod")
def cumprod(writer: Writer, node: Node, x: str) -> str:
    """CumProd, or to opsets before 26 a scan along the first axis that multiplies."""
    tensor, a = node.inputs[0], node.attributes
    axis, rank = a["axis"], tensor.rank
    if writer.opset >= 26:
        return writer.emit("CumProd", [x, writer.constant(np.int64(axis))], exclusive=int(a["exclusive"]),
                           reverse=int(a["reverse"]))
    order = [axis, *(i for i in range(rank) if i != axis)]
    shape = tuple(tensor.shape[i] for i in order)
    y = writer.transpose(x, order)
    y = _backwards(writer, y) if a["reverse"] else y
    y = _running_product(writer, node, y, shape)
    if a["exclusive"]:
        front = [int(i == 0) for i in range(rank)]
        y = pad_axes(writer, y, front, [0] * rank, writer.like(1, tensor))
        y = slice_axes(writer, y, (shape[0] + 1, *shape[1:]), (0,) * rank, shape, (1,) * rank)
    y = _backwards(writer, y) if a["reverse"] else y
    return writer.transpose(y, [order.index(i) for i in range(rank)])


def _backwards(writer: Writer, x: str) -> str:
    """`x` from its end along the first axis."""
    last, before_first = writer.vector([-1]), writer.vector([np.iinfo(np.int64).min])
    return writer.emit("Slice", [x, last, before_first, writer.vector([0]), last])


def _running_product(writer: Writer, node: Node, x: str, shape: tuple[DimLike, ...]) -> str:
    tensor = node.inputs[0]
    dtype, rest = onnx_type(tensor.dtype), [None] * (len(shape) - 1)
    names = [writer.fresh(f"{writer.origin}_{part}") for part in ("state", "element", "product", "result")]
    state, element, product, result = (helper.make_tensor_value_info(n, dtype, rest) for n in names)
    body = helper.make_graph(
        [
            helper.make_node("Mul", names[:2], [names[2]]),
            helper.make_node("Identity", [names[2]], [names[3]]),
        ],
        "cumprod",
        [state, element],
        [product, result],
    )
    start = writer.emit("Expand", [writer.like(1, tensor), writer.shape(shape[1:])])
    return writer.emit("Scan", [start, x], 2, body=body, num_scan_inputs=1)[1]


@exporter("sort")
def sort(writer: Writer, node: Node, x: str) -> str:
    a = node.attributes
    size = node.inputs[0].shape[a["axis"]]
    return writer.emit("TopK", [x, writer.dim(size)], 2, axis=a["axis"], largest=int(a["descending"]))[0]


@exporter("top_k")
def top_k(writer: Writer, node: Node, x: str) -> list[str]:
    a = node.attributes
    return writer.emit("TopK", [x, writer.dim(a["k"])], 2, axis=a["axis"], largest=int(a["largest"]))


# -- windows -----------------------------------------------------------------------------------------------------------
@exporter("reduce_window")
def reduce_window(writer: Writer, node: Node, x: str) -> str:
    """MaxPool, its negative, or AveragePool times the size of the window, on spatial axes brought to the end."""
    a, tensor = node.attributes, node.inputs[0]
    rank = tensor.rank
    slides = [row != (1, 1, (0, 0), 1) for row in zip(a["window"], a["strides"], a["padding"], a["dilation"])]
    spatial = [axis for axis in range(rank) if slides[axis]]
    still = [axis for axis in range(rank) if not slides[axis]]
    if len(spatial) < rank - 2 and not any(slides[:2]):
        still, spatial = [0, 1], list(range(2, rank))
    if not spatial:
        return writer.emit("Identity", [x])
    if len(spatial) > 3:
        raise UnsupportedOperatorError(f"{node!r}: ONNX's pools slide over at most three axes")
    dtype = tensor.dtype
    order = [*still, *spatial]
    y = writer.transpose(x, order)
    lead = [tensor.shape[axis] for axis in still]
    pooled = [node.output.shape[axis] for axis in spatial]
    flat = len(lead) != 2
    if flat:  # [n, c, *spatial] is what pools take
        size: object = 1
        for d in lead:
            size = d * size
        y = writer.reshape(y, (size, 1, *(tensor.shape[axis] for axis in spatial)))
    if not is_float(dtype) or dtype.itemsize != 4:
        y = writer.cast(y, np.float32 if dtype.itemsize <= 2 else np.float64)
    y = _pool(writer, node, y, spatial, np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64)
    if not is_float(dtype) or dtype.itemsize != 4:
        y = writer.cast(y, dtype)
    if flat:
        y = writer.reshape(y, (*lead, *pooled))
    return writer.transpose(y, [order.index(axis) for axis in range(rank)])


def _pool(writer: Writer, node: Node, y: str, spatial: list[int], dtype) -> str:
    a = node.attributes
    kernel, strides, dilations = ([int(a[k][axis]) for axis in spatial] for k in ("window", "strides", "dilation"))
    low, high = ([a["padding"][axis][side] for axis in spatial] for side in (0, 1))
    kind = a["kind"]
    if kind == "min":
        y = writer.emit("Neg", [y])
    # pools take less than a window
    if any(not isinstance(n, int) or n >= k for n, k in zip((*low, *high), (*kernel, *kernel))):
        neutral = writer.constant(np.asarray(0 if kind == "sum" else -np.inf, dtype))
        y = pad_axes(writer, y, (0, 0, *low), (0, 0, *high), neutral)
        low = high = [0] * len(spatial)
    common = {"kernel_shape": kernel, "strides": strides, **_padding(node, spatial, low, high)}
    if any(d != 1 for d in dilations):
        common["dilations"] = dilations
    if kind == "sum":
        y = writer.emit("AveragePool", [y], count_include_pad=1, **common)
        return writer.emit("Mul", [y, writer.constant(np.asarray(np.prod(kernel), dtype))])
    y = writer.emit("MaxPool", [y], **common)
    return writer.emit("Neg", [y]) if kind == "min" else y


def _padding(node: Node, spatial: list[int], low: list[int], high: list[int]) -> dict[str, object]:
    """A pool's padding by its name where it is uneven and has one, as models from TensorFlow do, else in numbers."""
    a, x = node.attributes, node.inputs[0]
    numbers = {"pads": [*low, *high]}
    if low == high or any(a["dilation"][axis] != 1 for axis in spatial):
        return numbers
    if any(isinstance(x.shape[axis], Dim) or -(-x.shape[axis] // a["strides"][axis]) != node.output.shape[axis] for axis in spatial):
        return numbers
    whole = [max(0, (node.output.shape[i] - 1) * a["strides"][i] + a["window"][i] - x.shape[i]) for i in spatial]
    smaller, larger = [n // 2 for n in whole], [n - n // 2 for n in whole]
    names = {"SAME_UPPER": (smaller, larger), "SAME_LOWER": (larger, smaller)}
    return next(({"auto_pad": name} for name, pads in names.items() if pads == (low, high)), numbers)

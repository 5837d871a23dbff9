"""Reductions, running sums and order as ONNX writes them."""
from __future__ import annotations

import numpy as np
from onnx import helper

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.exports.movement import pad_axes, slice_axes
from dlcompile.frontends.onnx.writer import Writer, exporter, onnx_type
from dlcompile.graph import Node, is_float

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
    """A scan that multiplies: runtimes do not have CumProd yet."""
    tensor, a = node.inputs[0], node.attributes
    axis, rank = a["axis"], tensor.rank
    dtype, rest = onnx_type(tensor.dtype), [None] * (rank - 1)
    names = [writer.fresh(f"{writer.origin}_{part}") for part in ("state", "element", "product", "result")]
    state, element, product, result = (helper.make_tensor_value_info(n, dtype, rest) for n in names)
    state_in, element_in, product_out, result_out = names
    body = helper.make_graph(
        [
            helper.make_node("Mul", [state_in, element_in], [product_out]),
            helper.make_node("Identity", [product_out], [result_out]),
        ],
        "cumprod",
        [state, element],
        [product, result],
    )
    one = writer.like(1, tensor)
    start = writer.emit("Expand", [one, writer.shape([d for i, d in enumerate(tensor.shape) if i != axis])])
    flip = int(a["reverse"])
    _, y = writer.emit(
        "Scan",
        [start, x],
        2,
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_output_axes=[axis],
        scan_input_directions=[flip],
        scan_output_directions=[flip],
    )
    if not a["exclusive"]:
        return y
    before, after = ([int(i == axis) * on for i in range(rank)] for on in (1 - flip, flip))
    padded = pad_axes(writer, y, before, after, one)
    wide = tuple(d + before[i] + after[i] for i, d in enumerate(tensor.shape))
    first = tuple(after)
    return slice_axes(writer, padded, wide, first, tuple(d + f for d, f in zip(tensor.shape, first)), (1,) * rank)


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
    common = {"kernel_shape": kernel, "strides": strides, "pads": [*low, *high]}
    if any(d != 1 for d in dilations):
        common["dilations"] = dilations
    if kind == "sum":
        y = writer.emit("AveragePool", [y], count_include_pad=1, **common)
        return writer.emit("Mul", [y, writer.constant(np.asarray(np.prod(kernel), dtype))])
    y = writer.emit("MaxPool", [y], **common)
    return writer.emit("Neg", [y]) if kind == "min" else y

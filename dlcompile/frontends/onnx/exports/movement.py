"""Primitives that move elements as ONNX writes them."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.writer import Writer, exporter
from dlcompile.graph import Node

_TO_THE_END = -(2**63)


@exporter("reshape")
def reshape(writer: Writer, node: Node, x: str) -> str:
    return writer.reshape(x, node.attributes["shape"])


@exporter("transpose")
def transpose(writer: Writer, node: Node, x: str) -> str:
    permutation = list(node.attributes["permutation"])
    return writer.emit("Transpose", [x], perm=permutation) if permutation else writer.emit("Identity", [x])


@exporter("broadcast_to")
def broadcast_to(writer: Writer, node: Node, x: str) -> str:
    return writer.emit("Expand", [x, writer.shape(node.attributes["shape"])])


@exporter("slice")
def slice_(writer: Writer, node: Node, x: str) -> str:
    a, shape = node.attributes, node.inputs[0].shape
    return slice_axes(writer, x, shape, a["start"], a["limit"], a["strides"])


def slice_axes(writer: Writer, x: str, shape, start, limit, strides) -> str:
    """x[start:limit:strides], naming the axes that are cut only."""
    axes = [
        axis
        for axis, row in enumerate(zip(start, limit, strides, shape))
        if row[0] != 0 or row[1] != row[3] or row[2] != 1
    ]
    if not axes:
        return x
    inputs = [
        x,
        writer.shape([start[axis] for axis in axes]),
        writer.shape([limit[axis] for axis in axes]),
        writer.vector(axes),
    ]
    if any(strides[axis] != 1 for axis in axes):
        inputs.append(writer.vector([strides[axis] for axis in axes]))
    return writer.emit("Slice", inputs)


@exporter("reverse")
def reverse(writer: Writer, node: Node, x: str) -> str:
    return reverse_axes(writer, x, node.attributes["axes"])


def reverse_axes(writer: Writer, x: str, axes) -> str:
    """x back to front along axes."""
    n = len(axes)
    return writer.emit("Slice", [x, writer.vector([-1] * n), writer.vector([_TO_THE_END] * n), writer.vector(axes),
                                 writer.vector([-1] * n)]) if n else x


@exporter("pad")
def pad(writer: Writer, node: Node, x: str, value: str) -> str:
    return pad_axes(writer, x, node.attributes["low"], node.attributes["high"], value)


def pad_axes(writer: Writer, x: str, low, high, value: str) -> str:
    """x with `value` around it."""
    return writer.emit("Pad", [x, writer.shape((*low, *high)), value], mode="constant")


@exporter("concatenate")
def concatenate(writer: Writer, node: Node, *parts: str) -> str:
    return writer.emit("Concat", parts, axis=node.attributes["axis"])


# -- indices -----------------------------------------------------------------------------------------------------------
def _indices(writer: Writer, node: Node, name: str) -> str:
    """Indices as int64, which every runtime takes."""
    return name if node.inputs[1].dtype in (np.dtype(np.int64), np.dtype(np.int32)) else writer.cast(name, np.int64)


@exporter("gather")
def gather(writer: Writer, node: Node, x: str, indices: str) -> str:
    return writer.emit("Gather", [x, _indices(writer, node, indices)], axis=node.attributes["axis"])


@exporter("gather_nd")
def gather_nd(writer: Writer, node: Node, x: str, indices: str) -> str:
    return writer.emit("GatherND", [x, _wide_indices(writer, node, indices)], batch_dims=node.attributes["batch_dims"])


def _wide_indices(writer: Writer, node: Node, name: str) -> str:
    return name if node.inputs[1].dtype == np.int64 else writer.cast(name, np.int64)


@exporter("take_along_axis")
def take_along_axis(writer: Writer, node: Node, x: str, indices: str) -> str:
    return writer.emit("GatherElements", [x, _indices(writer, node, indices)], axis=node.attributes["axis"])


@exporter("scatter_nd")
def scatter_nd(writer: Writer, node: Node, x: str, indices: str, updates: str) -> str:
    return writer.emit("ScatterND", [x, _wide_indices(writer, node, indices), updates], reduction=_reduction(node))


@exporter("scatter_elements")
def scatter_elements(writer: Writer, node: Node, x: str, indices: str, updates: str) -> str:
    return writer.emit("ScatterElements", [x, _indices(writer, node, indices), updates], axis=node.attributes["axis"],
                       reduction=_reduction(node))


def _reduction(node: Node) -> str | None:
    return None if node.attributes["reduction"] == "none" else node.attributes["reduction"]


# -- sources -----------------------------------------------------------------------------------------------------------
@exporter("iota")
def iota(writer: Writer, node: Node) -> str:
    shape, axis = node.attributes["shape"], node.attributes["axis"]
    line = writer.emit(
        "Range", [writer.constant(np.int64(0)), writer.scalar(shape[axis]), writer.constant(np.int64(1))]
    )
    if np.dtype(node.attributes["dtype"]) != np.int64:
        line = writer.cast(line, node.attributes["dtype"])
    if len(shape) == 1:
        return line
    line = writer.emit("Reshape", [line, writer.vector([-1 if a == axis else 1 for a in range(len(shape))])])
    return (
        line
        if all(d == 1 for a, d in enumerate(shape) if a != axis)
        else writer.emit("Expand", [line, writer.shape(shape)])
    )


@exporter("dims")
def dims(writer: Writer, node: Node) -> str:
    return writer.shape(node.attributes["values"])


@exporter("random_bits")
def random_bits(writer: Writer, node: Node, *names: str) -> str:
    raise UnsupportedOperatorError(f"{node!r}: ONNX has no counter-based random numbers")



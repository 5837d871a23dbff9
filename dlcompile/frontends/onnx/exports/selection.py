"""Dimensions defined by data, and selections: ONNX's results have as many entries as there are, dlcompile's have room for
all there can be."""
from __future__ import annotations

import numpy as np

from dlcompile.frontends.onnx.writer import Writer, exporter
from dlcompile.graph import DEFINE, DimLike, Node


@exporter(DEFINE)
def define_dim(writer: Writer, node: Node, value: str) -> str:
    """From here on the symbol is that value."""
    writer.dims[node.attributes["symbol"]] = writer.emit("Reshape", [value, writer.vector([1])])
    return value


def _count(writer: Writer, entries: str) -> str:
    """The number of entries along axis 0, an int64 scalar."""
    return writer.emit("Squeeze", [writer.emit("Shape", [entries], start=0, end=1)])


def _with_capacity(writer: Writer, entries: str, capacity: DimLike, rank: int = 1) -> str:
    """Entries along axis 0 followed by zeros."""
    missing = writer.emit("Sub", [writer.dim(capacity), writer.emit("Shape", [entries], start=0, end=1)])
    zeros = [writer.vector([0] * n) for n in (rank, rank - 1)]
    pads = writer.emit("Concat", [zeros[0], missing, *([zeros[1]] if rank > 1 else [])], axis=0)
    return writer.emit("Pad", [entries, pads])


@exporter("flatnonzero")
def flatnonzero(writer: Writer, node: Node, mask: str) -> tuple[str, str]:
    positions = writer.emit("Squeeze", [writer.emit("NonZero", [mask]), writer.vector([0])])
    return _with_capacity(writer, positions, node.inputs[0].shape[0]), _count(writer, positions)


@exporter("unique")
def unique(writer: Writer, node: Node, x: str) -> tuple[str, ...]:
    rows = node.inputs[0].shape[0]
    x = writer.cast(x, np.int8) if node.inputs[0].dtype == np.bool_ else x  # the small type that runtimes have
    _, first, inverse, counts = writer.emit("Unique", [x], 4, axis=0, sorted=int(node.attributes["sorted"]))
    return _with_capacity(writer, first, rows), inverse, _with_capacity(writer, counts, rows), _count(writer, first)


@exporter("non_max_suppression")
def non_max_suppression(writer: Writer, node: Node, *names: str) -> tuple[str, str]:
    """ONNX takes the number of boxes and the thresholds as vectors of one element."""
    scalars = [writer.emit("Reshape", [name, writer.vector([1])]) for name in names[2:]]
    center = int(node.attributes["center_point_box"])
    selected = writer.emit("NonMaxSuppression", [*names[:2], *scalars], center_point_box=center)
    return _with_capacity(writer, selected, node.outputs[0].shape[0], 2), _count(writer, selected)

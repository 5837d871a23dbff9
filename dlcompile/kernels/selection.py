"""The selection forms: where a mask is true, different rows, the best of boxes that overlap.

The C is csrc/dlc_select.h and csrc/dlc_suppress.h. Results have room for all there can be; the kernels write what there
is, and how many that are.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlcompile.graph import DTYPES, DimLike, Node, Tensor
from dlcompile.kernels.access import CannotFuse, Coordinates, Storage, axes_symbols, strided
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Context, Group, Lowered, finish
from dlcompile.kernels.ir import Address, Invoke, InvokeArgument, Record
from dlcompile.operators.selection import capacity_per_class

UINT8 = np.dtype(np.uint8)
BOX_BYTES = 20  # sizeof(dlc_box)


def operands_to_copy(node: Node, stored: Callable[[Tensor], Storage | None]) -> set[Tensor]:
    """Operands that are no strided arrays."""
    return {t for t in node.inputs if _strided(t, stored) is None}


def _strided(tensor: Tensor, stored: Callable[[Tensor], Storage | None]):
    at = axes_symbols(tensor.shape, "i")
    return strided(tensor, at, at, stored)


class _Arguments:
    """The addresses and strides of a node's tensors."""

    def __init__(self, context: Context):
        self.context, self.parameters = context, Parameters()

    def read(self, tensor: Tensor) -> tuple[Address, Coordinates]:
        found = _strided(tensor, self.context.stored)
        if found is None:
            raise CannotFuse(f"{tensor!r} is no strided array")
        storage, index, strides = found
        return Address(self.parameters.read(storage.argument, tensor.dtype), index), tuple(strides)

    def write(self, tensor: Tensor) -> Address:
        """Results are whole arrays: nothing that has room to spare is put into another array."""
        storage = self.context.stored(tensor)
        return Address(self.parameters.write(storage.argument, tensor.dtype), storage.offset)

    def workspace(self, nbytes: DimLike) -> str:
        return self.parameters.write(self.context.workspace(nbytes).argument, UINT8)

    def finish(self, call: Invoke, parallel: bool, scratch: DimLike = 0) -> Lowered:
        return finish(self.parameters, (call,), "selection", parallel, scratch)


def lower_flatnonzero(group: Group, context: Context) -> Lowered:
    """All threads, each a part of the mask."""
    (node,) = group.anchors
    (mask,) = node.inputs
    arguments = _Arguments(context)
    address, (step,) = arguments.read(mask)
    outputs = [arguments.write(t) for t in node.outputs]
    call = Invoke("dlc_flatnonzero", ("team", mask.shape[0], address, step, *outputs), "dlc_select.h")
    return arguments.finish(call, True)


def lower_unique(group: Group, context: Context) -> Lowered:
    """One thread."""
    (node,) = group.anchors
    (x,) = node.inputs
    arguments = _Arguments(context)
    address, (row, column) = arguments.read(x)
    rows, columns = x.shape
    outputs = [arguments.write(t) for t in node.outputs]
    is_complex = x.dtype.kind == "c"
    number = x.dtype.itemsize // 2 if is_complex else x.dtype.itemsize
    parts = rows * columns * x.dtype.itemsize if is_complex else 0
    space = f"(char *){arguments.workspace(rows * (32 if number == 8 else 16) + parts)}"
    suffix = "u8" if x.dtype == np.bool_ else DTYPES[x.dtype].suffix
    header = "dlc_unique_text.h" if suffix == "str" else "dlc_select.h"
    is_sorted = int(node.attributes["sorted"])
    call = Invoke(f"dlc_unique_{suffix}", (rows, columns, address, row, column, is_sorted, *outputs, space), header)
    return arguments.finish(call, False)


def lower_non_max_suppression(group: Group, context: Context) -> Lowered:
    """All threads, each some classes."""
    (node,) = group.anchors
    boxes, scores, *scalars = node.inputs
    batches, classes, count = scores.shape
    limit = capacity_per_class(node.attributes, boxes.type)
    arguments = _Arguments(context)
    fields: list[tuple[str, InvokeArgument]] = [
        ("batches", batches), ("classes", classes), ("boxes", count), ("limit", limit),
        ("center", int(node.attributes["center_point_box"]))]
    for name, tensor in (("box", boxes), ("score", scores)):
        address, strides = arguments.read(tensor)
        fields += [(name, address), *((f"{name}_strides[{axis}]", stride) for axis, stride in enumerate(strides))]
    fields += [(name, arguments.read(t)[0]) for name, t in zip(("most", "iou_threshold", "score_threshold"), scalars)]
    fields += [(name, arguments.write(t)) for name, t in zip(("selected", "count"), node.outputs)]
    nbytes = 8 * batches * classes * (limit + 1) + BOX_BYTES * batches * count  # dlc_suppress_workspace
    fields.append(("workspace", f"(char *){arguments.workspace(nbytes)}"))
    call = Invoke("dlc_non_max_suppression", ("team", Record("dlc_suppression", tuple(fields))), "dlc_suppress.h")
    return arguments.finish(call, True, 16 * count)

"""The ordering form: a row sorted, or its first k found, by one call for each row (csrc/dlc_sort.h); threads share rows."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlcompile.graph import DTYPES, DimLike, Node, Tensor
from dlcompile.kernels.access import CannotFuse, Coordinates, Storage, axes_symbols, strided
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import Address, Invoke
from dlcompile.kernels.nest import axes_of, nest

FEW = 8  # DLC_FEW of the header


def operands_to_copy(node: Node, stored: Callable[[Tensor], Storage | None]) -> set[Tensor]:
    """An operand whose rows are no strided arrays."""
    (x,) = node.inputs
    at = axes_symbols(x.shape, "i")
    return set() if strided(x, at, at, stored) else {x}


def lower_ordering(group: Group, context: Context) -> Lowered:
    """sort and top_k: one `dlc_top_k_T` for each row."""
    (node,) = group.anchors
    (x,) = node.inputs
    at, axis = axes_symbols(x.shape, "i"), node.attributes["axis"]
    parameters = Parameters()
    read = strided(x, at, at, context.stored)
    if read is None:
        raise CannotFuse(f"{node!r}: the rows of the operand are no strided arrays")
    rows = tuple(0 if a == axis else c for a, c in enumerate(at))

    def address(parameter: str, index: DimLike, strides: Coordinates) -> tuple[Address, DimLike]:
        for variable, stride in zip(rows, strides):
            index = variable * stride + index
        return Address(parameter, index), strides[axis]

    def written(tensor: Tensor) -> tuple[Address, DimLike]:
        storage = context.stored(tensor)
        return address(parameters.write(storage.argument, tensor.dtype), storage.offset, storage.strides)

    source = address(parameters.read(read[0].argument, x.dtype), read[1], tuple(read[2]))
    values, *indices = (written(t) for t in node.outputs)
    extent, largest = x.shape[axis], node.attributes["descending" if node.op == "sort" else "largest"]
    found = (*values, *(indices[0] if indices else (Address(None), 0)))
    call = Invoke(f"dlc_top_k_{_suffix(x.dtype)}", (
        extent, node.outputs[0].shape[axis], int(largest), *source, *found, "team->scratch"), "dlc_sort.h")
    axes = axes_of(rows)
    parallel = worth_sharing(cost({node})) and bool(axes)
    loops = nest(axes, (call,), parallel=parallel, vector=False)
    return finish(parameters, loops, "ordering", parallel, _scratch(node))


def _suffix(dtype: np.dtype) -> str:
    return "u8" if dtype == np.bool_ else DTYPES[dtype].suffix


def _scratch(node: Node) -> DimLike:
    """Bytes of the words that are put in order, and as many to move them to."""
    (x,), axis = node.inputs, node.attributes["axis"]
    n, k = x.shape[axis], node.outputs[0].shape[axis]
    few = isinstance(n, int) and isinstance(k, int) and k <= n // FEW
    return (k if few else n) * 2 * (16 if x.dtype.itemsize == 8 else 8)

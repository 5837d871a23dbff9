"""The tree form: an ensemble of decision trees (csrc/dlc_trees.h). Threads share the rows."""
from __future__ import annotations

import numpy as np

from dlcompile.graph import DTYPES, Node, Tensor
from dlcompile.kernels.access import CannotFuse, axes_symbols, strided
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import Address, Invoke, Record

ROWS = 256  # DLC_TREE_ROWS
AGGREGATES = {"SUM": 0, "MIN": 1, "MAX": 2}
TABLES = ("roots", "depths", "features", "thresholds", "modes", "yes", "no", "first", "ids", "weights")


def operands_to_copy(node: Node, stored) -> set[Tensor]:
    """A matrix that is no strided array."""
    x, *tables = node.inputs
    at = axes_symbols(x.shape, "i")
    return (set() if strided(x, at, at, stored) else {x}) | {t for t in tables if stored(t) is None}


def lower_trees(group: Group, context: Context) -> Lowered:
    """All threads, each some rows."""
    (node,) = group.anchors
    x, roots = node.inputs[:2]
    parameters = Parameters()
    at = axes_symbols(x.shape, "i")
    read = strided(x, at, at, context.stored)
    if read is None:
        raise CannotFuse(f"{node!r}: the matrix is no strided array")
    storage, base, (row, column) = read
    targets = node.attributes["targets"]
    mixed = not node.inputs[5].is_constant or bool(np.any(node.inputs[5].value))
    fields = [("rows", x.shape[0]), ("row_stride", row), ("column_stride", column), ("trees", roots.shape[0]), ("targets", targets),
              ("aggregate", AGGREGATES[node.attributes["aggregate"]]), ("mixed", int(mixed)),
              ("x", Address(parameters.read(storage.argument, x.dtype), base))]
    for name, tensor in zip(TABLES, node.inputs[1:], strict=True):
        place = context.stored(tensor)
        fields.append((name, Address(parameters.read(place.argument, tensor.dtype), place.offset)))
    target = context.stored(node.output)
    fields.append(("result", Address(parameters.write(target.argument, x.dtype), target.offset)))
    call = Invoke(f"dlc_trees_{DTYPES[x.dtype].suffix}", ("team", Record("dlc_trees", tuple(fields))), "dlc_trees.h")
    return finish(parameters, (call,), "trees", worth_sharing(cost({node})), 16 * ROWS * targets)

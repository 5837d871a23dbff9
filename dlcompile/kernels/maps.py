"""The map form: elementwise operators, views and indexed reads, one loop nest over the elements of the result."""
from __future__ import annotations

import numpy as np

from dlcompile.graph import ceildiv, dim_min, symbol
from dlcompile.graph.dim import substitute
from dlcompile.kernels.access import axes_symbols, linear_coefficients
from dlcompile.kernels.emit import Emitter, Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import Address, Invoke, Load, Store
from dlcompile.kernels.nest import Axes, Axis, Block, axes_of, block_transposed, merge, nest, split

FLOAT32 = np.dtype(np.float32)
ROWS = 64  # of a transposition that a call does


def lower_map(group: Group, context: Context) -> Lowered:
    """One loop nest over the elements of the root; what is not stored is computed where it is used."""
    root = group.root
    parameters = Parameters()
    emitter = Emitter(parameters, context.readable(root), group.shared())
    at = axes_symbols(root.shape, "i")
    value = emitter.value(root, at)
    target = context.stored(root)
    store = Store(parameters.write(target.argument, root.dtype), target.index(at), value)
    axes, statements = merge(*split(axes_of(at), (*emitter.lets, store)))
    transposed = _transposition(axes, statements)
    axes, statements = transposed or block_transposed(axes, statements)
    parallel = worth_sharing(root.type.size + cost(group.nodes))
    return finish(parameters, nest(axes, statements, parallel=parallel, vector=not transposed), "map", parallel)


LEAST_TRANSPOSED = 8  # elements along either axis: fewer are no block


def _transposition(axes: Axes, statements: Block) -> tuple[Axes, Block] | None:
    """A copy of float32 that runs along the last axis where it is written and along another where it is read, as calls that transpose blocks,
    and the axes around them; None for anything else."""
    if len(statements) != 1 or not isinstance(statements[0], Store) or not isinstance(statements[0].value, Load):
        return None
    store, load = statements[0], statements[0].value
    if load.dtype != FLOAT32 or len(axes) < 2:
        return None
    found = [linear_coefficients(index, [a.symbol for a in axes]) for index in (load.index, store.index)]
    if None in found:
        return None
    (_, reads), (_, writes) = found
    row = next((p for p, c in enumerate(reads[:-1]) if c == 1), None)
    if writes[-1] != 1 or reads[-1] in (0, 1) or row is None:
        return None
    last, axis = axes[-1], axes[row]
    if any(isinstance(a.extent, int) and a.extent < LEAST_TRANSPOSED for a in (last, axis)):
        return None
    blocks = ceildiv(axis.extent, ROWS)
    block = symbol(f"{axis.name}a", blocks) if blocks != 1 else 0
    at = {axis.name: block * ROWS, last.name: 0}
    call = Invoke("dlc_transpose_f32", (
        Address(load.buffer, substitute(load.index, at)), reads[-1], Address(store.buffer, substitute(store.index, at)), writes[row],
        dim_min(ROWS, axis.extent - block * ROWS), last.extent), "dlc_transpose.h")
    around = [Axis(f"{axis.name}a", blocks) if a is axis else a for a in axes[:-1]]
    return tuple(a for a in around if a.extent != 1), (call,)

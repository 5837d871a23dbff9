"""The map form: elementwise operators, views and indexed reads, one loop nest over the elements of the result."""
from __future__ import annotations

from dlcompile.kernels.access import axes_symbols
from dlcompile.kernels.emit import Emitter, Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import Store
from dlcompile.kernels.nest import axes_of, block_transposed, merge, nest, split


def lower_map(group: Group, context: Context) -> Lowered:
    """One loop nest over the elements of the root; what is not stored is computed where it is used."""
    root = group.root
    parameters = Parameters()
    emitter = Emitter(parameters, context.readable(root), group.shared())
    at = axes_symbols(root.shape, "i")
    value = emitter.value(root, at)
    target = context.stored(root)
    store = Store(parameters.write(target.argument, root.dtype), target.index(at), value)
    axes, statements = block_transposed(*merge(*split(axes_of(at), (*emitter.lets, store))))
    parallel = worth_sharing(root.type.size + cost(group.nodes))
    return finish(parameters, nest(axes, statements, parallel=parallel), "map", parallel)

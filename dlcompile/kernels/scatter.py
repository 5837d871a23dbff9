"""The scatter form: a copy of the operand, and then the updates one after the other, so that of several to one place the last one stays."""
from __future__ import annotations

from dlcompile.graph import DimLike, Node, symbol
from dlcompile.kernels.access import Coordinates, axes_symbols
from dlcompile.kernels.emit import BOOL, INT64, Emitter, Parameters, both, cast
from dlcompile.kernels.group import Context, Group, Lowered, finish
from dlcompile.kernels.ir import Accumulate, Apply, Expression, Index, Let, Local, Number, Statement, Store, When
from dlcompile.kernels.nest import axes_of, merge, nest, split

COMBINE = {"add": "add", "mul": "mul", "max": "maximum", "min": "minimum"}
"""scatter's `reduction` → the accumulation; "none" stores"""


def lower_scatter(group: Group, context: Context) -> Lowered:
    """scatter_nd and scatter_elements, on one thread. Negative indices count from the end; what is out of range is left alone."""
    (node,) = group.anchors
    x, indices, updates = node.inputs
    parameters = Parameters()
    emitter = Emitter(parameters, context.readable(group.root))
    storage = context.stored(group.root)
    target = parameters.write(storage.argument, x.dtype)

    at = axes_symbols(x.shape, "i")
    saved = emitter.scope()
    value = emitter.value(x, at)
    copy = merge(*split(axes_of(at), (*emitter.restore(saved), Store(target, storage.index(at), value))))

    u = axes_symbols(updates.shape, "u")
    saved = emitter.scope()
    places, checks, lets = _places(emitter, node, u)
    update = emitter.value(updates, u)
    where = storage.index(places)
    reduction = node.attributes["reduction"]
    write: Statement = Store(target, where, update) if reduction == "none" else Accumulate(target, COMBINE[reduction], update, where)
    statements = (*emitter.restore(saved), *lets, When(checks, (write,)))
    loops = nest(axes_of(u), statements, parallel=False, vector=False)
    return finish(parameters, (*nest(*copy, parallel=False), *loops), "scatter", False)


def _places(emitter: Emitter, node: Node, u: Coordinates) -> tuple[Coordinates, Expression, list[Let]]:
    """Where an update goes, the condition under which that is in range, and the variables both are made of."""
    x, indices, updates = node.inputs
    lets: list[Let] = []
    checks: list[Expression] = []

    def place(index: Expression, extent: DimLike) -> DimLike:
        raw, name = emitter.fresh("raw"), emitter.fresh("place")
        lets.append(Let(raw, cast(index, INT64)))
        wrapped = Apply("add", (Local(raw, INT64), Index(extent, INT64)), INT64)
        negative = Apply("lt", (Local(raw, INT64), Number(0, INT64)), BOOL)
        lets.append(Let(name, Apply("select", (negative, wrapped, Local(raw, INT64)), INT64)))
        held = Local(name, INT64)
        checks.append(Apply("ge", (held, Number(0, INT64)), BOOL))
        checks.append(Apply("lt", (held, Index(extent, INT64)), BOOL))
        return symbol(name, extent)

    if node.op == "scatter_elements":
        axis = node.attributes["axis"]
        spot = place(emitter.value(indices, u), x.shape[axis])
        return (*u[:axis], spot, *u[axis + 1:]), both(*checks), lets
    depth, lead = indices.shape[-1], indices.rank - 1
    spots = tuple(place(emitter.value(indices, (*u[:lead], k)), x.shape[k]) for k in range(depth))
    return (*spots, *u[lead:]), both(*checks) or Number(True, BOOL), lets

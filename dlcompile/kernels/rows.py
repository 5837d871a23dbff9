"""The row and window forms: reductions, and what lies between reductions along the same axes.

Softmax, layer normalisation, pooling and a plain sum are one thing here. Around the reduced axes are *outer* loops (parallel); inside,
each reduction is a *phase*, a loop over the reduced axes that accumulates; the result is stored in a last phase. A phase may use what
earlier ones found: the sum of `exp(x - max)` comes after the max.

Where the innermost axis in memory is reduced (a *row*), a phase is a vector loop over it with a scalar accumulator. Where it is kept (a
*column*: pooling in channels-last layout), phases work on a block of it, with an accumulator for each element of the block.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dlcompile.graph import Dim, DimLike, Node, Tensor, at_least, ceildiv, dim_min, is_float, product, symbol, symbols_of
from dlcompile.kernels.access import CannotFuse, Coordinates, axes_symbols, linearize
from dlcompile.kernels.emit import BOOL, INT64, Emitter, Parameters, both, cast, identity, within
from dlcompile.kernels.group import EXPENSIVE, Context, Group, Lowered, cost, finish, forward, worth_sharing
from dlcompile.kernels.ir import (
    Accumulate,
    Apply,
    Assign,
    Declare,
    Expression,
    Index,
    Load,
    Local,
    LocalBuffer,
    Loop,
    Number,
    ScratchBuffer,
    Statement,
    Store,
    When,
    substitute,
    symbols_used,
)
from dlcompile.kernels.nest import Axes, Axis, Block, axes_of, nest

COLUMN_BLOCK = 64  # elements of the kept innermost axis that one accumulator array holds: four AVX-512 vectors
CHUNK = 32  # terms of a long sum that are added up by themselves


@dataclass(frozen=True)
class Reduction:
    """How a node reduces: the extents it runs over, how terms combine, and the term at given output and reduction coordinates, under a
    condition (None: always) without which there is no term."""

    extents: tuple[DimLike, ...]
    combine: str
    term: Callable[[Emitter, Coordinates, Coordinates], tuple[Expression | None, Expression]]


def _reduce(combine: str) -> Callable[[Node], Reduction]:
    def describe(node: Node) -> Reduction:
        operand, axes, keepdims = node.inputs[0], node.attributes["axes"], node.attributes["keepdims"]

        def term(emitter: Emitter, at: Coordinates, r: Coordinates):
            kept = iter(c for a, c in enumerate(at) if not (keepdims and a in axes))
            reduced = iter(r)
            return None, emitter.value(operand, tuple(next(reduced) if a in axes else next(kept) for a in range(operand.rank)))

        return Reduction(tuple(operand.shape[a] for a in sorted(axes)), combine, term)

    return describe


def _reduce_window(node: Node) -> Reduction:
    operand, attributes = node.inputs[0], node.attributes
    combine = {"max": "maximum", "min": "minimum", "sum": "add"}[attributes["kind"]]

    def term(emitter: Emitter, at: Coordinates, r: Coordinates):
        where = tuple(c * stride + k * dilation - low for c, k, stride, dilation, (low, _) in zip(
            at, r, attributes["strides"], attributes["dilation"], attributes["padding"], strict=True))
        inside = (within(c, extent) for c, extent, padding in zip(where, operand.shape, attributes["padding"]) if padding != (0, 0))
        return both(*inside), emitter.value(operand, where)

    return Reduction(tuple(attributes["window"]), combine, term)


def _dot_general(node: Node) -> Reduction:
    """Products of element types that have no tile operation."""
    lhs, rhs = node.inputs
    (lc, rc), (lb, rb) = node.attributes["contracting"], node.attributes["batch"]

    def term(emitter: Emitter, at: Coordinates, r: Coordinates):
        batch, rest = at[: len(lb)], at[len(lb):]
        lhs_free = lhs.rank - len(lb) - len(lc)

        def place(tensor: Tensor, contracting, batched, free: Coordinates) -> Expression:
            taken = iter(free)
            return emitter.value(tensor, tuple(
                r[contracting.index(a)] if a in contracting else batch[batched.index(a)] if a in batched else next(taken)
                for a in range(tensor.rank)))

        left, right = place(lhs, tuple(lc), tuple(lb), rest[:lhs_free]), place(rhs, tuple(rc), tuple(rb), rest[lhs_free:])
        return None, Apply("mul", (cast(left, node.output.dtype), cast(right, node.output.dtype)), node.output.dtype)

    return Reduction(tuple(lhs.shape[a] for a in lc), "add", term)


def _conv_general(node: Node) -> Reduction:
    """Convolutions that no tile operation takes: any element type, dilated inputs. Channels-last or channels-first."""
    x, w = node.inputs
    attributes = node.attributes
    last = attributes["layout"] == "channels_last"
    spatial = x.rank - 2
    kernel = w.shape[:-2] if last else w.shape[2:]
    channels = w.shape[-2] if last else w.shape[1]
    per_group = (w.shape[-1] if last else w.shape[0]) // attributes["groups"]

    def term(emitter: Emitter, at: Coordinates, r: Coordinates):
        taps, channel = r[:spatial], r[spatial]
        out = at[-1] if last else at[1]
        position = at[1:-1] if last else at[2:]
        conditions, where = [], []
        for axis in range(spatial):
            dilation = attributes["lhs_dilation"][axis]
            spot = (position[axis] * attributes["strides"][axis] + taps[axis] * attributes["rhs_dilation"][axis]
                    - attributes["padding"][axis][0])
            extent = x.shape[1 + axis] if last else x.shape[2 + axis]
            if dilation != 1:
                conditions.append(Apply("eq", (Index(spot % dilation, INT64), Number(0, INT64)), BOOL))
                conditions.append(within(spot, (extent - 1) * dilation + 1))
                spot = spot // dilation
            else:
                conditions.append(within(spot, extent))
            where.append(spot)
        source = (out // per_group) * channels + channel if attributes["groups"] != 1 else channel
        at_x = (at[0], *where, source) if last else (at[0], source, *where)
        at_w = (*taps, channel, out) if last else (out, channel, *taps)
        dtype = node.output.dtype
        return both(*conditions), Apply("mul", (cast(emitter.value(x, at_x), dtype), cast(emitter.value(w, at_w), dtype)), dtype)

    return Reduction((*kernel, channels), "add", term)


REDUCTIONS: dict[str, Callable[[Node], Reduction]] = {
    "reduce_sum": _reduce("add"),
    "reduce_prod": _reduce("mul"),
    "reduce_max": _reduce("maximum"),
    "reduce_min": _reduce("minimum"),
    "reduce_and": _reduce("and"),
    "reduce_or": _reduce("or"),
    "reduce_window": _reduce_window,
    "dot_general": _dot_general,
    "conv_general": _conv_general,
}

PLAIN_REDUCTIONS = frozenset(op for op in REDUCTIONS if op.startswith("reduce_") and op != "reduce_window")


class RowEmitter(Emitter):
    """An emitter that also knows reductions: asked for the value of one, it first writes the phase that computes it."""

    def __init__(self, parameters: Parameters, stored: Callable, group: Group, block: Axis | None):
        super().__init__(parameters, stored, group.shared() | _between_phases(group))
        self.block = block
        self.statements: list[Statement] = []  # of the innermost outer loop: phases, and what they find
        self.scratch: DimLike = 0
        self._found: dict[tuple[Node, Coordinates], Expression] = {}
        self._inner: set[str] = set()  # loop variables of phases
        self._kept = _worth_keeping(group)
        for node in group.anchors:
            self.overrides[node.output] = lambda at, node=node: self.reduce(node, at)

    def reduce(self, node: Node, at: Coordinates) -> Expression:
        """The result of a reduction at given coordinates, computed in a phase of its own."""
        key = (node, at)
        if key not in self._found:
            if any(s.name in self._inner or s.name in self.loaded for c in at for s in symbols_of(c)):
                raise CannotFuse(f"{node.op} is wanted inside a loop over other elements, or where data says")
            self._found[key] = ARGUMENT_REDUCTIONS[node.op](self, node, at) if node.op in ARGUMENT_REDUCTIONS else self._phase(node, at)
        return self._found[key]

    def loop_symbols(self, extents: tuple[DimLike, ...]) -> Coordinates:
        """Loop variables for the reduced axes of a phase."""
        r = axes_symbols(extents, f"r{len(self._found)}_")
        self._inner |= {s.name for c in r for s in symbols_of(c)}
        return r

    def _phase(self, node: Node, at: Coordinates) -> Expression:
        reduction = REDUCTIONS[node.op](node)
        dtype = node.output.dtype
        r = self.loop_symbols(reduction.extents)
        saved = self.scope()
        condition, value = reduction.term(self, at, r)
        operand = node.inputs[0]
        body: list[Statement] = []
        if operand in self._kept and node.op in PLAIN_REDUCTIONS and self.block is None and operand not in self.overrides:
            value = self._keep(operand, r, reduction.extents, value, body)
        lets = self.restore(saved)
        start = identity(reduction.combine, dtype)
        if self.block is None:
            accumulator = self.fresh("a")
            inner: Block = (*lets, *body, Accumulate(accumulator, reduction.combine, value))
            if condition is not None:
                inner = (When(condition, inner),)
            self.statements.append(Declare(accumulator, start))
            self.statements += nest(axes_of(r), inner, parallel=False, vector=condition is None)
            return Local(accumulator, dtype)
        lane, axes = self.block, axes_of(r)
        accumulator = LocalBuffer(self.fresh("a"), dtype, COLUMN_BLOCK if not _fits(lane) else lane.extent)
        chunked = reduction.combine == "add" and is_float(dtype) and bool(axes) and not (isinstance(axes[0].extent, int) and axes[0].extent <= 2 * CHUNK)
        target = replace(accumulator, name=self.fresh("a")) if chunked else accumulator
        step: Block = (*lets, Accumulate(target.name, reduction.combine, value, lane.symbol))
        if condition is None:
            lane_loop = nest((lane,), step, parallel=False)
        elif lane.name in symbols_used(When(condition, ())):
            lane_loop = nest((lane,), (When(condition, step),), parallel=False)  # a window padded along the lanes
        else:
            lane_loop = (When(condition, nest((lane,), step, parallel=False)),)
        self.statements += self._cleared(accumulator, start)
        self.statements += self._in_chunks(axes, lane_loop, accumulator, target, start) if chunked else nest(axes, lane_loop, parallel=False, vector=False)
        return Load(accumulator.name, lane.symbol, dtype)

    def _cleared(self, buffer: LocalBuffer, start: Expression) -> Block:
        return buffer, Loop(self.block.name, self.block.extent, (Store(buffer.name, self.block.symbol, start),), "vector")

    def _in_chunks(self, axes: Axes, statements: Block, total: LocalBuffer, partial: LocalBuffer, start: Expression) -> Block:
        """Loops around statements that add to `partial`, for chunks of the first axis, whose sums are added up: the roundings of a sum grow with
        the number of its terms."""
        lane, first = self.block, axes[0]
        count = ceildiv(first.extent, CHUNK)
        begin = symbol(f"{first.name}a", count) * CHUNK
        exact = isinstance(first.extent, int) and first.extent % CHUNK == 0
        inside = Axis(f"{first.name}b", CHUNK if exact else dim_min(CHUNK, first.extent - begin))
        statements = substitute(statements, {first.name: begin + inside.symbol})
        added = Loop(lane.name, lane.extent, (Accumulate(total.name, "add", Load(partial.name, lane.symbol, partial.dtype), lane.symbol),), "vector")
        body = (*self._cleared(partial, start), *nest((inside, *axes[1:]), statements, parallel=False, vector=False), added)
        return (Loop(f"{first.name}a", count, body),)

    def _keep(self, operand: Tensor, r: Coordinates, extents, value: Expression, body: list[Statement]) -> Expression:
        """Store what a phase computes at great cost, for the phases after it."""
        name = self.fresh("row")
        size = product(extents)
        self.statements.insert(0, ScratchBuffer(name, operand.dtype, self.scratch, size))
        self.scratch = self.scratch + size
        held = self.bind(value) if not isinstance(value, Local) else value
        body.append(Store(name, linearize(r, extents), held))
        axes = self._kept[operand]
        self.overrides[operand] = lambda at: Load(name, linearize(tuple(at[a] for a in axes), extents), operand.dtype)
        return held


def _between_phases(group: Group) -> frozenset[Tensor]:
    """Tensors with one element a row: worth a variable outside the loops over the row."""
    sizes = {node.output.type.size for node in group.anchors}
    full = group.anchors[0].inputs[0].type.size
    return frozenset(t for n in group.nodes for t in n.outputs if t.type.size in sizes and t.type.size != full and n not in group.anchors)


def _worth_keeping(group: Group) -> dict[Tensor, tuple[int, ...]]:
    """Operands of reductions that other nodes read too and that are expensive to compute: tensor → the reduced axes."""
    if any(node.op not in PLAIN_REDUCTIONS for node in group.anchors):
        return {}
    shared = group.shared()
    return {
        node.inputs[0]: tuple(sorted(node.attributes["axes"]))
        for node in group.anchors
        if node.inputs[0] in shared and node.inputs[0].producer in group.nodes and node.inputs[0].producer.op in EXPENSIVE
    }


def _fits(lane: Axis) -> bool:
    return isinstance(lane.extent, int)


# -- reductions to a position -----------------------------------------------------------------------------------------------
def _argument_reduction(order: str, ties: str) -> Callable[[RowEmitter, Node, Coordinates], Expression]:
    """argmax and argmin: a NaN beats everything, as in NumPy; of equals the first, or the last where `select_last_index`."""

    def phase(emitter: RowEmitter, node: Node, at: Coordinates) -> Expression:
        if emitter.block is not None:
            raise CannotFuse(f"{node.op} keeps no block of columns")
        operand, axis = node.inputs[0], node.attributes["axis"]
        (r,) = emitter.loop_symbols((operand.shape[axis],))
        kept = iter(at[:axis] + at[axis + 1:] if node.attributes["keepdims"] else at)
        saved = emitter.scope()
        value = emitter.bind(emitter.value(operand, tuple(r if a == axis else next(kept) for a in range(operand.rank))))
        lets = emitter.restore(saved)
        best, found = emitter.fresh("best"), emitter.fresh("at")
        held = Local(best, operand.dtype)
        better: Expression = Apply(ties if node.attributes["select_last_index"] else order, (value, held), BOOL)
        if is_float(operand.dtype):
            nan = Apply("is_nan", (value,), BOOL)
            fresh = Apply("and", (nan, Apply("not", (Apply("is_nan", (held,), BOOL),), BOOL)), BOOL)
            better = Apply("or", (better, fresh), BOOL)
        start = identity("maximum" if order == "gt" else "minimum", operand.dtype)
        emitter.statements += [Declare(best, start), Declare(found, Number(0, INT64))]
        inner: Block = (*lets, When(better, (Assign(best, value), Assign(found, Index(r, INT64)))))
        emitter.statements += nest(axes_of((r,)), inner, parallel=False, vector=False)
        return Local(found, INT64)

    return phase


ARGUMENT_REDUCTIONS = {"argmax": _argument_reduction("gt", "ge"), "argmin": _argument_reduction("lt", "le")}


# -- the form ---------------------------------------------------------------------------------------------------------------
def lower_rows(group: Group, context: Context) -> Lowered:
    """Reductions and what is around them: outer loops, phases, a last phase that stores the root."""
    body, views = group.body_and_views()
    first = group.anchors[0]
    root = group.root
    at = axes_symbols(body.shape, "i")
    full = first.op in PLAIN_REDUCTIONS and body.shape == first.inputs[0].shape and body is not first.output
    reduced_axes = set(first.attributes["axes"]) if full else set()
    if not full and not at_least(first.output.type.size, body.type.size):
        raise CannotFuse(f"{first.op} would be computed again for many elements of what follows it")
    lane_axis = _lane_axis(first, body, full, reduced_axes)
    parameters = Parameters()
    outer, block = [], None
    for axis, coordinate in enumerate(at):
        if not isinstance(coordinate, Dim) or axis in reduced_axes:
            continue
        if axis == lane_axis:
            if isinstance(body.shape[axis], int) and body.shape[axis] <= _longest_block(body.shape, axis, reduced_axes):
                block = Axis(f"i{axis}", body.shape[axis])
            else:
                count = ceildiv(body.shape[axis], COLUMN_BLOCK)
                outer.append(Axis("b", count))
                start = symbol("b", count) * COLUMN_BLOCK
                left = body.shape[axis] - start
                exact = isinstance(body.shape[axis], int) and body.shape[axis] % COLUMN_BLOCK == 0
                block = Axis("c", COLUMN_BLOCK if exact else dim_min(left, COLUMN_BLOCK))
                at = (*at[:axis], start + block.symbol, *at[axis + 1:])
        else:
            outer.append(Axis(f"i{axis}", body.shape[axis]))
    emitter = RowEmitter(parameters, context.readable(root), group, block)
    emitter._inner |= {f"i{a}" for a in reduced_axes}
    for _ in range(2):  # the first time finds the phases; the second may read what they kept
        saved = emitter.scope()
        value = emitter.value(body, at)
        lets = emitter.restore(saved)
    target = context.stored(root)
    store = Store(parameters.write(target.argument, root.dtype), target.index(forward(views, at)), value)
    last_axes = tuple(Axis(f"i{a}", body.shape[a]) for a in sorted(reduced_axes) if body.shape[a] != 1)
    if block is not None:
        last_axes = (*last_axes, block)
    statements = (*emitter.statements, *nest(last_axes, (*lets, store), parallel=False))
    parallel = worth_sharing(product(first.inputs[0].shape) + cost(group.nodes)) and bool(outer)
    loops = nest(tuple(outer), statements, parallel=parallel, vector=False)
    return finish(parameters, loops, "window" if first.op == "reduce_window" else "row", parallel, emitter.scratch * body.dtype.itemsize)


def _longest_block(shape, lane_axis: int, reduced_axes: set[int]) -> int:
    """How many columns a block may have: more than `COLUMN_BLOCK` only where the other axes give every thread something to do."""
    others = product(extent for axis, extent in enumerate(shape) if axis != lane_axis and axis not in reduced_axes)
    return 4 * COLUMN_BLOCK if not isinstance(others, int) or others >= 16 else COLUMN_BLOCK


def _lane_axis(first: Node, body: Tensor, full: bool, reduced_axes: set[int]) -> int | None:
    """The axis of the root along which a block of columns is kept, or None where rows are right."""
    if first.op in ARGUMENT_REDUCTIONS or body.rank == 0 or body.shape[-1] == 1:
        return None
    if full:
        return None if body.rank - 1 in reduced_axes else body.rank - 1
    if body.shape != first.output.shape:
        return None
    last = first.inputs[0].rank - 1
    if first.op in PLAIN_REDUCTIONS:
        return None if last in first.attributes["axes"] else body.rank - 1
    if first.op == "reduce_window":
        return None if first.attributes["window"][last] != 1 else body.rank - 1
    if first.op == "conv_general":
        return body.rank - 1 if first.attributes["layout"] == "channels_last" and first.attributes["groups"] == 1 else None
    rhs = first.inputs[1]
    return body.rank - 1 if rhs.rank - 1 not in (*first.attributes["contracting"][1], *first.attributes["batch"][1]) else None


def lower_cumulative(group: Group, context: Context) -> Lowered:
    """cumsum and cumprod: a serial loop along the axis inside loops over the others."""
    (node,) = group.anchors
    combine = {"cumsum": "add", "cumprod": "mul"}[node.op]
    axis, extent = node.attributes["axis"], node.output.shape[node.attributes["axis"]]
    parameters = Parameters()
    emitter = Emitter(parameters, context.readable(group.root), group.shared())
    at = list(axes_symbols(node.output.shape, "i"))
    step = symbol("s", extent) if extent != 1 else 0
    outer = tuple(a for position, a in zip(at, at) for a in axes_of((position,)) if a.name != f"i{axis}")
    at[axis] = extent - 1 - step if node.attributes["reverse"] else step
    value = emitter.value(node.inputs[0], tuple(at))
    dtype = node.output.dtype
    add = Accumulate("a", combine, value)
    target = context.stored(group.root)
    store = Store(parameters.write(target.argument, dtype), target.index(tuple(at)), Local("a", dtype))
    inner: Block = (*emitter.lets, *((store, add) if node.attributes["exclusive"] else (add, store)))
    loop = nest(axes_of((step,)), inner, parallel=False, vector=False)
    parallel = worth_sharing(node.output.type.size) and bool(outer)
    body = nest(outer, (Declare("a", identity(combine, dtype)), *loop), parallel=parallel, vector=False)
    return finish(parameters, body, "row", parallel)


__all__ = ["ARGUMENT_REDUCTIONS", "PLAIN_REDUCTIONS", "REDUCTIONS", "lower_cumulative", "lower_rows"]

"""Loop nests: from "these statements for all values of these axes" to loops worth running.

The steps, each a small function over (axes, statements):

    split     an axis that indices take apart (`i // 64`, `i % 64`) becomes two axes, and the divisions are gone
    merge     neighbouring axes that every index treats as one (`i*64 + j`) become one axis
    block     a transposition walks both its sides a cache line at a time
    collapse  outer axes become one parallel loop, long enough to share out
    nest      loops around the statements, each variable bound in the outermost loop that knows its value
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlcompile.graph import Dim, DimLike, at_least, ceildiv, dim_min, floordiv, mod, symbol, symbols_of
from dlcompile.graph.dim import Operation
from dlcompile.kernels.access import linear_coefficients
from dlcompile.kernels.emit import INT64
from dlcompile.kernels.ir import (
    Declare,
    Index,
    Let,
    Load,
    LocalBuffer,
    Loop,
    ScratchBuffer,
    Statement,
    dims,
    expressions,
    substitute,
    symbols_used,
    walk,
    walk_expression,
)


@dataclass(frozen=True)
class Axis:
    """A loop to be: the variable's name and the number of iterations."""

    name: str
    extent: DimLike

    @property
    def symbol(self) -> Dim:
        return symbol(self.name, self.extent)


Axes = tuple[Axis, ...]
Block = tuple[Statement, ...]

PARALLEL_ITERATIONS = 64  # a parallel loop this long can be shared out evenly enough over the threads of a large machine


def axes_of(coordinates: Sequence[DimLike]) -> Axes:
    """The axes behind coordinates made by `axes_symbols`."""
    axes = []
    for coordinate in coordinates:
        if isinstance(coordinate, Dim):
            (((atom,), _),) = coordinate.terms.items()
            axes.append(Axis(atom.name, atom.bound))
    return tuple(axes)


# -- split ------------------------------------------------------------------------------------------------------------------
def split(axes: Axes, statements: Block) -> tuple[Axes, Block]:
    """Split axes until no index divides one of them by a factor of its extent."""
    for _ in range(16):
        found = _split_candidate(axes, statements)
        if found is None:
            break
        position, factor = found
        axis = axes[position]
        outer = Axis(f"{axis.name}a", floordiv(axis.extent, factor))
        inner = Axis(f"{axis.name}b", factor)
        statements = substitute(statements, {axis.name: outer.symbol * factor + inner.symbol})
        axes = (*axes[:position], outer, inner, *axes[position + 1:])
    return axes, statements


def _split_candidate(axes: Axes, statements: Block) -> tuple[int, DimLike] | None:
    by_name = {axis.name: position for position, axis in enumerate(axes)}
    for statement in walk(statements):
        for dim in dims(statement):
            for operation in _operations(dim):
                for atom in symbols_of(operation.left):
                    position = by_name.get(atom.name)
                    if position is None:
                        continue
                    step = _step(operation.left, axes[position])
                    if step is None or operation.right == 0 or mod(operation.right, step) != 0:
                        continue
                    extent, factor = axes[position].extent, floordiv(operation.right, step)
                    if factor != 1 and mod(extent, factor) == 0 and floordiv(extent, factor) != 1:
                        return position, factor
    return None


def _step(dim: DimLike, axis: Axis) -> int | None:
    """c for an expression c*axis + rest with 0 <= rest < c, which stays below a multiple of c until the axis steps; None for others."""
    linear = linear_coefficients(dim, (axis.symbol,))
    if linear is None or not isinstance(linear[1][0], int):
        return None
    rest, (step,) = linear
    return step if step > 0 and at_least(rest, 0) and at_least(step - 1, rest) else None


def _operations(dim: DimLike):
    if isinstance(dim, Dim):
        for monomial in dim.terms:
            for atom in monomial:
                if isinstance(atom, Operation):
                    yield from _operations(atom.left)
                    yield from _operations(atom.right)
                    if atom.name in ("floordiv", "mod"):
                        yield atom


# -- merge ------------------------------------------------------------------------------------------------------------------
def merge(axes: Axes, statements: Block) -> tuple[Axes, Block]:
    """Merge neighbouring axes that every index expression treats as one."""
    position = len(axes) - 2
    while position >= 0:
        outer, inner = axes[position], axes[position + 1]
        if _mergeable(outer, inner, statements):
            both = Axis(inner.name, outer.extent * inner.extent)
            statements = substitute(statements, {outer.name: 0, inner.name: both.symbol})
            axes = (*axes[:position], both, *axes[position + 2:])
        position -= 1
    return axes, statements


def _mergeable(outer: Axis, inner: Axis, statements: Block) -> bool:
    for statement in walk(statements):
        for dim in dims(statement):
            names = {s.name for s in symbols_of(dim)}
            if outer.name not in names and inner.name not in names:
                continue
            linear = linear_coefficients(dim, (outer.symbol, inner.symbol))
            if linear is None or linear[1][0] != inner.extent * linear[1][1]:
                return False
    return True


# -- block ------------------------------------------------------------------------------------------------------------------
TRANSPOSE_BLOCK = 16  # elements: a cache line of float32


def block_transposed(axes: Axes, statements: Block) -> tuple[Axes, Block]:
    """Where the result runs along the last axis in memory but an operand along another one, walk that one in blocks innermost: reads
    are whole cache lines then, and the lines written stay in the nearest cache until they are full."""
    if len(axes) < 2:
        return axes, statements
    last = axes[-1]
    for statement in statements:
        for load in (e for root in expressions(statement) for e in walk_expression(root) if isinstance(e, Load)):
            linear = linear_coefficients(load.index, [a.symbol for a in axes])
            if linear is None or linear[1][-1] in (0, 1):
                continue
            position = next((p for p, c in enumerate(linear[1][:-1]) if c == 1), None)
            if position is None or (isinstance(axes[position].extent, int) and axes[position].extent < TRANSPOSE_BLOCK):
                continue
            axis = axes[position]
            blocks = Axis(f"{axis.name}a", ceildiv(axis.extent, TRANSPOSE_BLOCK))
            start = blocks.symbol * TRANSPOSE_BLOCK if blocks.extent != 1 else 0
            exact = isinstance(axis.extent, int) and axis.extent % TRANSPOSE_BLOCK == 0
            inside = Axis(f"{axis.name}b", TRANSPOSE_BLOCK if exact else dim_min(TRANSPOSE_BLOCK, axis.extent - start))
            statements = substitute(statements, {axis.name: start + inside.symbol})
            outer = (blocks,) if blocks.extent != 1 else ()
            return (*axes[:position], *outer, *axes[position + 1:-1], last, inside), statements
    return axes, statements


# -- collapse and nest ------------------------------------------------------------------------------------------------------
def nest(axes: Axes, statements: Block, *, parallel: bool, vector: bool = True) -> Block:
    """Loops over the axes around the statements. The last axis is a vector loop where `vector`; where `parallel` the first ones become one
    loop shared out over the threads, or the only one is cut into pieces."""
    if not axes:
        return statements
    if len(axes) == 1:
        kind = " ".join(word for word, wanted in (("parallel", parallel), ("vector", vector)) if wanted)
        return _place(axes, statements, {axes[0].name: kind or "serial"})
    kinds = {axes[-1].name: "vector"} if vector else {}
    if parallel and all(axis.extent != 0 for axis in axes):
        axes, statements = collapse(axes, statements, keep=1 if vector else 0)
        kinds[axes[0].name] = "parallel"
    return _place(axes, statements, kinds)


def collapse(axes: Axes, statements: Block, keep: int = 1) -> tuple[Axes, Block]:
    """Make the first axes one, as few as give a loop of `PARALLEL_ITERATIONS`; the last `keep` axes stay."""
    count, total = 1, axes[0].extent
    while count < len(axes) - keep and not (isinstance(total, int) and total >= PARALLEL_ITERATIONS):
        total = total * axes[count].extent
        count += 1
    if count == 1:
        return axes, statements
    flat = Axis("p", total)
    lets: list[Statement] = []
    position: DimLike = flat.symbol
    for axis in reversed(axes[1:count]):
        lets.append(Let(axis.name, Index(mod(position, axis.extent), INT64)))
        position = floordiv(position, axis.extent)
    lets.append(Let(axes[0].name, Index(position, INT64)))
    return (flat, *axes[count:]), (*reversed(lets), *statements)


def _place(axes: Axes, statements: Block, kinds: dict[str, str]) -> Block:
    """Nest loops; a `Let` goes into the outermost loop that has all it depends on, one that reads what is kept for a turn into that turn."""
    levels = {axis.name: depth + 1 for depth, axis in enumerate(axes)}
    kept = {s.name for s in statements if isinstance(s, (LocalBuffer, ScratchBuffer))}
    placed: list[list[Statement]] = [[] for _ in range(len(axes) + 1)]
    for statement in statements:
        if isinstance(statement, Let):
            level = max((levels.get(name, 0) for name in symbols_used(statement)), default=0)
            if any(isinstance(e, Load) and e.buffer in kept for e in walk_expression(statement.value)):
                level = len(axes)
            levels[statement.name] = level
        else:
            level = len(axes)
            if isinstance(statement, Declare):
                levels[statement.name] = level
        placed[level].append(statement)
    body: Block = tuple(placed[-1])
    for depth in reversed(range(len(axes))):
        body = (*placed[depth], Loop(axes[depth].name, axes[depth].extent, body, kinds.get(axes[depth].name, "serial")))
    return body


def symbols_inside(statements: Block) -> frozenset[str]:
    """Names of the symbols that are used in statements and bound neither by a loop nor by a variable in them: the dimensions."""
    used: set[str] = set()
    bound: set[str] = set()
    for statement in walk(statements):
        used |= {s.name for d in dims(statement) for s in symbols_of(d)}
        match statement:
            case Loop(axis=name) | Let(name=name):
                bound.add(name)
    return frozenset(used - bound)


"""Control flow: branches and loops whose bodies are graphs.

A body is closed: it reads its own inputs only. What it needs of the graph around it is handed in as captured operands, after the others.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dlcompile.graph import Dim, DimLike, Graph, Shape, Tensor, apply, define, later, make_input, symbols_in
from dlcompile.ops.core import TensorLike, as_tensor, reshape, shape_vector


def cond(predicate: TensorLike, then_branch: Graph, else_branch: Graph, *operands: TensorLike) -> tuple[Tensor, ...]:
    """The results of `then_branch` where the bool scalar `predicate` holds, else those of `else_branch`; only that one is run.

    Both take the operands and yield results of the same dtypes and ranks. A dimension that is not the same in both is known only when the
    model runs.
    """
    branches = (then_branch, else_branch)
    inside = {*then_branch.definitions, *else_branch.definitions}
    shapes: list[Shape | None] = [None] * len(then_branch.outputs)
    hidden: list[tuple[int, int]] = []
    for i, (a, b) in enumerate(zip(then_branch.outputs, else_branch.outputs)):
        if a.rank == b.rank and a.shape != b.shape or _mentions(a.shape, inside):
            hidden += [(i, axis) for axis, (m, n) in enumerate(zip(a.shape, b.shape)) if m != n or _mentions((m,), inside)]
            shapes[i] = a.shape
    names = [later() for _ in hidden]
    for (i, axis), name in zip(hidden, names):
        shapes[i] = _with_dim(shapes[i], axis, name)
    count = len(then_branch.outputs)
    taken = [_extended(b, (), [_scalar(b.outputs[i].shape[axis]) for i, axis in hidden], count) for b in branches]
    made = apply("cond", as_tensor(predicate), *map(as_tensor, operands), then_branch=taken[0], else_branch=taken[1],
                 shapes=(*shapes, *(None for _ in hidden)), defines=tuple((d, count + k) for k, d in enumerate(names)))
    for k, name in enumerate(names):
        define(name, made[count + k])
    return made[:count]


def while_loop(condition: Graph, body: Graph, *operands: TensorLike, num_carry: int) -> tuple[Tensor, ...]:
    """The carries when `condition` first fails, what the turns have yielded besides, stacked [turns, …], and the number of turns.

    The first `num_carry` operands are the carries, the others captured. condition(carries, captured) → bool scalar, asked before each turn;
    body(carries, captured) → the next carries, of the same dtypes and ranks, and the values to stack. Both have the same input types. A
    dimension of a carry that is a symbol there, and another thing in the operand, may change with every turn.
    """
    given = tuple(map(as_tensor, operands))
    moving = [(i, axis) for i, (formal, operand) in enumerate(zip(body.inputs[:num_carry], given))
              for axis, (m, n) in enumerate(zip(formal.shape, operand.shape)) if m != n and isinstance(m, Dim)]
    moved = [body.inputs[i].shape[axis] for i, axis in moving]
    inside = {*body.definitions, *map(str, moved)}
    stacked = body.outputs[num_carry:]
    hidden = [(k, axis) for k, t in enumerate(stacked) for axis, d in enumerate(t.shape) if _mentions((d,), inside)]
    # the dimensions that change are carried beside the rest, as scalars; those of the stacks' elements too, from 0
    starts = [*(_scalar(given[i].shape[axis]) for i, axis in moving), *(as_tensor(np.int64(0)) for _ in hidden)]
    ends = [*(_scalar(body.outputs[i].shape[axis]) for i, axis in moving), *(_scalar(stacked[k].shape[axis]) for k, axis in hidden)]
    formal = [make_input(f"_size{i}", np.int64, ()) for i in range(len(starts))]
    carries = num_carry + len(starts)

    shapes: list[Shape | None] = [None] * carries
    names = [later() for _ in starts]
    for (i, axis), name in zip(moving, names):
        shapes[i] = _with_dim(shapes[i] or given[i].shape, axis, name)
    elements = [t.shape for t in stacked]
    for (k, axis), name in zip(hidden, names[len(moving):]):
        elements[k] = _with_dim(elements[k], axis, name)
    turns = later()
    defines = [*((name, num_carry + i) for i, name in enumerate(names)), (turns, carries + len(stacked))]
    made = apply("while", *given[:num_carry], *starts, *given[num_carry:], condition=_extended(condition, formal, (), 1, num_carry),
                 body=_extended(body, formal, ends, num_carry, num_carry), num_carry=carries,
                 sizes=tuple((dim, num_carry + i) for i, dim in enumerate(moved)),
                 shapes=(*shapes, *((turns, *shape) for shape in elements)), defines=tuple(defines))
    for name, (_, index) in zip((*names, turns), defines):
        define(name, made[index])
    return (*made[:num_carry], *made[carries:])


def _scalar(dim: DimLike) -> Tensor:
    return reshape(shape_vector((dim,)), ())


def _mentions(shape: Shape, names: set[str]) -> bool:
    return any(s.name in names for s in symbols_in(shape))


def _with_dim(shape: Shape, axis: int, dim: DimLike) -> Shape:
    return (*shape[:axis], dim, *shape[axis + 1:])


def _extended(graph: Graph, inputs: Sequence[Tensor], outputs: Iterable[Tensor], position: int, input_position: int = 0) -> Graph:
    """A body with more inputs and outputs, put in at the given positions."""
    def insert(old: Sequence, new: Sequence, at: int) -> list:
        return [*old[:at], *new, *old[at:]]

    outputs = list(outputs)
    return Graph(graph.name, insert(graph.inputs, inputs, input_position), insert(graph.outputs, outputs, position),
                 input_names=insert(graph.input_names, [t.name for t in inputs], input_position),
                 output_names=insert(graph.output_names, [f"_size{i}" for i in range(len(outputs))], position),
                 constraints=graph.constraints, definitions=graph.definitions)


def scan(body: Graph, *operands: TensorLike, num_carry: int, num_scanned: int, length: DimLike, reverse: bool = False) -> tuple[Tensor, ...]:
    """A loop of `length` steps over the leading axis of the scanned operands, from the end where `reverse`.

    operands: `num_carry` carries, `num_scanned` scanned ones [length, …], captured ones. body(carries, slices, captured) → the next
    carries and this step's outputs. Returns the last carries and the outputs stacked [length, …].
    """
    return apply("scan", *map(as_tensor, operands), body=body, num_carry=num_carry, num_scanned=num_scanned, length=length,
                 reverse=bool(reverse))

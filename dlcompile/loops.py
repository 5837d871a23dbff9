"""Loops whose bodies are Python functions. The graph of a body is closed: what it reads of the graph around it is found, and handed in.

    carry, outputs = scan(lambda carry, x: (carry + x, carry), init, xs)         # as jax.lax.scan

What a body computes from nothing that changes stays outside of it, and is computed once.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlcompile import ops, tree
from dlcompile.errors import ShapeError
from dlcompile.graph import DEFINE, DimLike, Graph, Tensor, defined_symbol, make_input, topological_order, unify
from dlcompile.variables import Variable, current_trace


def scan(body: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None, *, length: DimLike | None = None,
         reverse: bool = False) -> tuple[Any, Any]:
    """body(carry, x) → (carry, y) for each x along the leading axis of `xs`, from the end where `reverse`: the last carry, and the y
    stacked.

    init, xs, and what the body returns are tensors or nested structures of them; None for xs or y where there are none. The carry that the
    body returns has the structure, dtypes and shapes of `init`. `length` is how many steps there are, where that is not said by `xs`. The
    body may read any tensor of the graph around it, and in a trace read and assign variables. ShapeError or DTypeError for a carry of
    another type than before, and for `xs` of different lengths.
    """
    init = tree.map_structure(ops.as_tensor, init)
    scanned = [] if xs is None else [ops.as_tensor(x) for x in tree.flatten(xs)]
    for x in scanned:
        if x.rank == 0:
            raise ShapeError("scan: a scalar has no steps")
        length = x.shape[0] if length is None else unify(length, x.shape[0], "scan: the numbers of steps")
    if length is None:
        raise ShapeError("scan: without xs, length has to say how many steps there are")
    carries = tree.flatten(init)
    formal = [make_input(f"carry{i}", t.dtype, t.shape) for i, t in enumerate(carries)]
    slices = [make_input(f"x{i}", t.dtype, t.shape[1:]) for i, t in enumerate(scanned)]

    def step() -> tuple[list[Tensor], Any]:
        after, y = body(tree.pack_sequence_as(init, formal), None if xs is None else tree.pack_sequence_as(xs, slices))
        tree.assert_same_structure(init, after)
        return [ops.as_tensor(t) for t in tree.flatten(after)], y

    (after, y), state = _with_variables(step)
    ys = [] if y is None else [ops.as_tensor(t) for t in tree.flatten(y)]
    graph, captured = closed("scan", [*formal, *state.formal, *slices], [*after, *state.after, *ys])
    count = len(carries) + len(state.before)
    results = ops.scan(graph, *carries, *state.before, *scanned, *captured, num_carry=count, num_scanned=len(scanned), length=length,
                       reverse=reverse)
    last, values, stacked = results[:len(carries)], results[len(carries):count], results[count:]
    for variable, value in zip(state.variables, values):
        variable.assign(value)
    return tree.pack_sequence_as(init, last), None if y is None else tree.pack_sequence_as(y, stacked)


@dataclass
class State:
    """The variables that a loop's body assigns: their values before the loop, in a step, and after one."""

    variables: tuple[Variable, ...] = ()
    before: list[Tensor] = field(default_factory=list)
    formal: list[Tensor] = field(default_factory=list)
    after: list[Tensor] = field(default_factory=list)


def _with_variables(step: Callable[[], Any]) -> tuple[Any, State]:
    """What a step yields, with the variables that it assigns as carries. Which they are is seen by tracing it, so it is traced again with
    them."""
    trace, state = current_trace(), State()
    if trace is None:
        return step(), state
    while True:
        written = dict(trace.written)
        state.before = [trace.value(v) for v in state.variables]
        state.formal = [make_input(f"variable{i}", t.dtype, t.shape) for i, t in enumerate(state.before)]
        trace.written.update(zip(state.variables, state.formal))
        made = step()
        assigned = tuple(v for v, t in trace.written.items() if written.get(v) is not t)
        state.after = [trace.value(v) for v in state.variables]
        trace.written.clear()
        trace.written.update(written)
        if set(assigned) <= set(state.variables):
            return made, state
        state.variables = tuple(dict.fromkeys((*state.variables, *assigned)))


def closed(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple[Graph, tuple[Tensor, ...]]:
    """A graph from `inputs` to `outputs` that reads nothing else, and the tensors to hand to its further inputs.

    Those are what the outputs are computed from besides: inputs of the graph around it, and results of nodes there that depend on none of
    `inputs`. Constants stay inside.
    """
    around = dict.fromkeys(t for node in topological_order(outputs) for t in node.inputs if t.producer is None and not t.is_constant)
    around.update(dict.fromkeys(t for t in outputs if t.producer is None and not t.is_constant))
    whole = Graph(name, [*inputs, *(t for t in around if t not in set(inputs))], outputs, input_names=_numbered("x", len({*inputs, *around})),
                  output_names=_numbered("y", len(outputs)))
    inside, symbols = set(inputs), set()
    needed: dict[Tensor, None] = {}
    for node in whole.nodes:
        if any(t in inside for t in node.inputs) or any(s.name in symbols for s in node.symbols):
            inside.update(node.outputs)
            needed.update(dict.fromkeys(node.inputs))
            if node.op == DEFINE:
                symbols.add(defined_symbol(node).name)
    needed.update(dict.fromkeys(outputs))
    captured = tuple(t for t in needed if t not in inside and not t.is_constant)
    formal = [make_input(f"captured{i}", t.dtype, t.shape) for i, t in enumerate(captured)]
    bound = whole.bound(dict(zip(captured, formal)))
    graph = Graph(name, [*inputs, *formal], bound.outputs, input_names=_numbered("x", len(inputs) + len(formal)),
                  output_names=_numbered("y", len(outputs)), definitions={s: t for s, t in bound.definitions.items() if s in symbols})
    return graph, captured


def _numbered(letter: str, count: int) -> list[str]:
    return [f"{letter}{i}" for i in range(count)]


__all__ = ["closed", "scan"]

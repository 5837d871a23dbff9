"""The reference interpreter: a graph evaluated node by node with the operators' own NumPy definitions.

It is the oracle that compiled models are compared with, the constant folder, and a way to run a model with no compiler at all.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, ExecutionError
from dlcompile.graph import (
    DEFINE,
    OPERATORS,
    Dim,
    Graph,
    Node,
    Operator,
    Tensor,
    TensorType,
    defined_symbol,
    dtype_name,
    make_input,
    order_of,
    substitute,
)
from dlcompile.graph.dim import Symbol
from dlcompile.graph.graph import Constraint

PROMISES = ("shapes", "defines", "sizes")
"""attributes of control flow that tell of results to those who cannot see them"""

Observer = Callable[[Node, tuple[np.ndarray, ...]], None]


def evaluate(graph: Graph, inputs: Mapping[str, Any] | Sequence[Any], *, observe: Observer | None = None,
             symbols: Mapping[str, int] | None = None) -> tuple[np.ndarray, ...]:
    """The outputs of `graph` for `inputs` (by name, or in order).

    Symbols take their values from the inputs' shapes; `symbols` gives those that the inputs do not tell (a loop's body may use
    dimensions of the graph around it). `observe(node, results)` is called after each node. Raises `ArgumentError` naming the input
    whose number, dtype or shape is wrong, and `ExecutionError` where dimensions the graph takes as equal are not.
    """
    arrays = _in_order(graph, inputs)
    known = dict(bind_symbols(graph, arrays, symbols))
    _check(graph.constraints, known)
    values: dict[Tensor, np.ndarray] = dict(zip(graph.inputs, arrays))
    uses: dict[Tensor, int] = {}
    for tensor in (*(t for n in graph.nodes for t in n.inputs), *graph.outputs):
        uses[tensor] = uses.get(tensor, 0) + 1
    for node in graph.nodes:
        operands = [t.value if t.is_constant else values[t] for t in node.inputs]
        results = evaluate_node(node, *operands, symbols=known)
        if node.op == DEFINE:
            _define(node, results[0], known)
            _check(graph.constraints, known)
        if observe is not None:
            observe(node, results)
        values.update(zip(node.outputs, results, strict=True))
        for tensor in node.inputs:  # large activations are not kept longer than needed
            uses[tensor] -= 1
            if uses[tensor] == 0 and tensor in values:
                del values[tensor]
    _check(graph.constraints, known, complete=True)
    return tuple(t.value if t.is_constant else values[t] for t in graph.outputs)


def _check(constraints: Sequence[Constraint], known: Mapping[str, int], complete: bool = False) -> None:
    """ExecutionError for dimensions that must be equal and are not: those that are known so far, or all."""
    for left, right, origin in constraints:
        a, b = substitute(left, known), substitute(right, known)
        if a != b and (complete or isinstance(a, int) and isinstance(b, int)):
            low, high = order_of(left, right) or (left, right)
            low, high = (_equation(d, substitute(d, known)) for d in (low, high))
            raise ExecutionError((f"{low} must be at most {high}" if order_of(left, right) else f"{low} and {high} must be equal")
                                 + (f" (node {', '.join(origin)})" if origin else ""))


def _define(node: Node, value: np.ndarray, known: dict[str, int]) -> None:
    """What a dimension defined by data is from here on."""
    if value < 0:
        raise ExecutionError(f"a dimension is {int(value)}" + (f" (node {', '.join(node.origin)})" if node.origin else ""))
    known[defined_symbol(node).name] = int(value)


def evaluate_node(node: Node, *operands: np.ndarray, symbols: Mapping[str, int] | None = None) -> tuple[np.ndarray, ...]:
    """The results of one node for the given operands, `symbols` being the values of the dimensions its attributes mention.

    Raises `ExecutionError` where a result's shape is not the one that the type rule promises: one of the two would be wrong.
    """
    if node.op == DEFINE:
        return operands
    operator, symbols = OPERATORS[node.op], symbols or {}
    hidden = PROMISES if operator.family == "control" else ()
    attributes = {key: _concrete(value, symbols) for key, value in node.attributes.items() if key not in hidden}
    if operator.evaluate is None:
        results = _evaluate_composite(operator, attributes, operands)
    else:
        result = operator.evaluate(attributes, *operands)
        results = result if isinstance(result, tuple) else (result,)
    results = tuple(np.asarray(r, dtype=t.dtype) for r, t in zip(results, node.outputs, strict=True))
    for result, tensor in zip(results, node.outputs):
        promised = tuple(substitute(d, symbols) for d in tensor.shape)
        if len(promised) != result.ndim or any(isinstance(p, int) and p != n for p, n in zip(promised, result.shape)):
            raise ExecutionError(f"{node.op} yields {list(result.shape)}, its type is {tensor.type}"
                                 + (f" (node {', '.join(node.origin)})" if node.origin else ""))
    return results


def _evaluate_composite(operator: Operator, attributes: Mapping[str, Any], operands: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """A composite by its decomposition, made for the operands' own shapes."""
    inputs = [make_input(f"x{i}", a.dtype, a.shape) for i, a in enumerate(operands)]
    for tensor, array in zip(inputs, operands):
        if array.dtype.kind in "iu" and array.size <= 64:
            tensor.known = array.astype(object)
    made = operator.decompose(attributes, *inputs)
    outputs = made if isinstance(made, tuple) else (made,)
    return evaluate(Graph(operator.name, inputs, outputs, output_names=[f"y{i}" for i in range(len(outputs))]), operands)


def _equation(dim, value) -> str:
    return str(dim) if str(dim) == str(value) else f"{dim} = {value}"


@dataclass(frozen=True)
class Body:
    """A graph in an attribute, as control flow evaluates it: called with arrays it returns the tuple of its results."""

    graph: Graph
    symbols: Mapping[str, int]

    def __call__(self, *operands: np.ndarray) -> tuple[np.ndarray, ...]:
        return evaluate(self.graph, operands, symbols=self.symbols)

    @property
    def output_types(self) -> tuple[TensorType, ...]:
        """The types of the results, with the dimensions that are known outside of the body."""
        return tuple(TensorType(t.dtype, tuple(substitute(d, self.symbols) for d in t.shape)) for t in self.graph.outputs)


def _concrete(value, symbols: Mapping[str, int]):
    """An attribute with dimensions replaced by numbers, and graphs by functions of arrays."""
    if isinstance(value, Dim):
        return value.evaluate(symbols)
    if isinstance(value, (tuple, list)):
        return tuple(_concrete(v, symbols) for v in value)
    return Body(value, symbols) if isinstance(value, Graph) else value


# -- the values of symbols --------------------------------------------------------------------------------------------------
def bind_symbols(graph: Graph, arrays: Sequence[np.ndarray], given: Mapping[str, int] | None = None) -> dict[str, int]:
    """The values of the graph's symbols that the arrays' shapes imply, in addition to the `given` ones.

    A symbol is found from any axis whose extent is linear in it (`n`, `2*n + 1`). ArgumentError naming input, axis and both values
    where shapes contradict each other or the graph.
    """
    symbols = dict(given or {})
    for name, tensor, array in zip(graph.input_names, graph.inputs, arrays):
        if array.dtype != tensor.dtype:
            raise ArgumentError(f"input {name!r} must be {dtype_name(tensor.dtype)}, not {array.dtype}")
        if array.ndim != tensor.rank:
            raise ArgumentError(f"input {name!r} must have {tensor.rank} axes ({tensor.type}), not {array.ndim}")
    axes = [(name, axis, dim, extent) for name, tensor, array in zip(graph.input_names, graph.inputs, arrays)
            for axis, (dim, extent) in enumerate(zip(tensor.shape, array.shape))]
    waiting = [(dim, extent) for _, _, dim, extent in axes if isinstance(dim, Dim)]
    waiting.sort(key=lambda pair: len(str(pair[0])))  # plain symbols first: what they say is taken as given
    for _ in range(len(waiting)):
        for dim, extent in waiting:
            symbols.update(_solve(substitute(dim, symbols), extent))
    for name, axis, dim, extent in axes:
        expected = substitute(dim, symbols)
        if isinstance(expected, Dim):
            raise ArgumentError(f"input {name!r}: {', '.join(sorted(map(str, expected.symbols)))} of axis {axis} ({dim}) cannot be told from the inputs")
        if expected != extent:
            raise ArgumentError(f"input {name!r}: axis {axis} must be {dim}" + (f" = {expected}" if isinstance(dim, Dim) else "")
                                + f", not {extent}")
    return symbols


def _solve(dim, extent: int) -> dict[str, int]:
    """{symbol: value} for `dim` = a*symbol + c with an integer solution >= 0, {} for any other expression."""
    if not isinstance(dim, Dim):
        return {}
    factors = [monomial for monomial in dim.terms if monomial]
    if len(factors) != 1 or len(factors[0]) != 1 or not isinstance(factors[0][0], Symbol):
        return {}
    value, rest = divmod(extent - dim.terms.get((), 0), dim.terms[factors[0]])
    return {factors[0][0].name: value} if rest == 0 and value >= 0 else {}


def _in_order(graph: Graph, inputs) -> list[np.ndarray]:
    if isinstance(inputs, Mapping):
        unknown = [n for n in inputs if n not in graph.input_names]
        missing = [n for n in graph.input_names if n not in inputs]
        if unknown or missing:
            raise ArgumentError(f"inputs are {', '.join(graph.input_names)};" + (f" unknown: {', '.join(unknown)}" if unknown else "")
                                + (f" missing: {', '.join(missing)}" if missing else ""))
        inputs = [inputs[n] for n in graph.input_names]
    if len(inputs) != len(graph.inputs):
        raise ArgumentError(f"{len(graph.inputs)} inputs expected ({', '.join(graph.input_names)}), {len(inputs)} given")
    return [np.asarray(a) for a in inputs]

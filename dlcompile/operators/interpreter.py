"""The reference interpreter: a graph evaluated node by node with the operators' own NumPy definitions.

It is the oracle that compiled models are compared with, the constant folder, and a way to run a model with no compiler at all.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, ExecutionError
from dlcompile.graph import OPERATORS, Dim, Graph, Node, Tensor, dtype_name, evaluate as evaluate_dim
from dlcompile.graph.dim import Symbol
from dlcompile.graph.graph import topological_order

Observer = Callable[[Node, tuple[np.ndarray, ...]], None]


def evaluate(graph: Graph, inputs: Mapping[str, Any] | Sequence[Any], *, observe: Observer | None = None) -> tuple[np.ndarray, ...]:
    """The outputs of `graph` for `inputs` (by name, or in order).

    Symbols take their values from the inputs' shapes. `observe(node, results)` is called after each node. Raises `ArgumentError` naming
    the input whose number, dtype or shape is wrong, and `ExecutionError` where dimensions the graph takes as equal are not.
    """
    arrays = _in_order(graph, inputs)
    symbols = bind_symbols(graph, arrays)
    for node in graph.nodes:
        for left, right in node.constraints:
            a, b = evaluate_dim(left, symbols), evaluate_dim(right, symbols)
            if a != b:
                raise ExecutionError(f"node {', '.join(node.origin) or node.op}: {left} = {a} and {right} = {b} must be equal")
    values: dict[Tensor, np.ndarray] = dict(zip(graph.inputs, arrays))
    uses: dict[Tensor, int] = {}
    for tensor in (*(t for n in graph.nodes for t in n.inputs), *graph.outputs):
        uses[tensor] = uses.get(tensor, 0) + 1
    for node in graph.nodes:
        operands = [t.value if t.is_constant else values[t] for t in node.inputs]
        results = evaluate_node(node, *operands, symbols=symbols)
        if observe is not None:
            observe(node, results)
        values.update(zip(node.outputs, results, strict=True))
        for tensor in node.inputs:  # large activations are not kept longer than needed
            uses[tensor] -= 1
            if uses[tensor] == 0 and tensor in values:
                del values[tensor]
    return tuple(t.value if t.is_constant else values[t] for t in graph.outputs)


def evaluate_node(node: Node, *operands: np.ndarray, symbols: Mapping[str, int] | None = None) -> tuple[np.ndarray, ...]:
    """The results of one node for the given operands, `symbols` being the values of the dimensions its attributes mention."""
    operator = OPERATORS[node.op]
    attributes = {key: _concrete(value, symbols or {}) for key, value in node.attributes.items()}
    if operator.evaluate is None:
        return _evaluate_composite(operator, attributes, operands)
    result = operator.evaluate(attributes, *operands)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(r, dtype=t.dtype) for r, t in zip(results, node.outputs, strict=True))


def _evaluate_composite(operator, attributes, operands) -> tuple[np.ndarray, ...]:
    """A composite by its decomposition, made for the operands' own shapes."""
    from dlcompile.graph import make_input

    inputs = [make_input(f"x{i}", a.dtype, a.shape) for i, a in enumerate(operands)]
    for tensor, array in zip(inputs, operands):
        if array.dtype.kind in "iu" and array.size <= 64:
            tensor.known = array.astype(object)
    made = operator.decompose(attributes, *inputs)
    outputs = made if isinstance(made, tuple) else (made,)
    values: dict[Tensor, np.ndarray] = dict(zip(inputs, operands))
    for node in topological_order(outputs):
        results = evaluate_node(node, *(t.value if t.is_constant else values[t] for t in node.inputs))
        values.update(zip(node.outputs, results, strict=True))
    return tuple(t.value if t.is_constant else values[t] for t in outputs)


def bind_symbols(graph: Graph, arrays: Sequence[np.ndarray]) -> dict[str, int]:
    """The values of the graph's symbols that the arrays' shapes imply. ArgumentError naming input, axis and both values otherwise."""
    symbols: dict[str, int] = {}
    for name, tensor, array in zip(graph.input_names, graph.inputs, arrays):
        if array.dtype != tensor.dtype:
            raise ArgumentError(f"input {name!r} must be {dtype_name(tensor.dtype)}, not {array.dtype}")
        if array.ndim != tensor.rank:
            raise ArgumentError(f"input {name!r} must have {tensor.rank} axes ({tensor.type}), not {array.ndim}")
        for dim, extent in zip(tensor.shape, array.shape):
            if _is_symbol(dim):
                symbols.setdefault(str(dim), extent)
    for name, tensor, array in zip(graph.input_names, graph.inputs, arrays):
        for axis, (dim, extent) in enumerate(zip(tensor.shape, array.shape)):
            expected = evaluate_dim(dim, symbols)
            if expected != extent:
                raise ArgumentError(f"input {name!r}: axis {axis} must be {dim}" + (f" = {expected}" if str(dim) != str(expected) else "")
                                    + f", not {extent}")
    return symbols


def _is_symbol(dim) -> bool:
    if not isinstance(dim, Dim) or len(dim.terms) != 1:
        return False
    ((monomial, coefficient),) = dim.terms.items()
    return coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], Symbol)


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


def _concrete(value, symbols: Mapping[str, int]):
    """An attribute with dimensions replaced by numbers."""
    if isinstance(value, Dim):
        return value.evaluate(symbols)
    if isinstance(value, (tuple, list)):
        return tuple(_concrete(v, symbols) for v in value)
    return value

"""Symbolic dimensions given values: graph(batch, seq) → graph(8, seq)."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcompile.errors import ShapeError
from dlcompile.graph import DEFINE, Dim, Graph, Tensor, apply, definitely_different, make_input, provenance, substitute, symbol


def pin(graph: Graph, dims: Mapping[str, int]) -> Graph:
    """The graph with each symbol named in `dims` replaced by its value, in shapes, attributes and constraints. Names stay.

    ShapeError where a value contradicts what the graph relies on.
    """
    tensors: dict[Tensor, Tensor] = {}
    for tensor in graph.inputs:
        tensors[tensor] = make_input(tensor.name, tensor.dtype, _replaced(tensor.shape, dims))
    for node in graph.nodes:
        inputs = tuple(tensors.get(t, t) for t in node.inputs)
        if node.op == DEFINE and not isinstance(_replaced(node.attributes["symbol"], dims), Dim):
            tensors[node.output] = inputs[0]
            continue
        with provenance(*node.origin):
            made = apply(node.op, *inputs, **{key: _replaced(value, dims) for key, value in node.attributes.items()})
        for old, new in zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=True):
            new.name = old.name
            tensors[old] = new
    constraints = []
    for left, right, origin in graph.constraints:
        left, right = substitute(left, dims), substitute(right, dims)
        if definitely_different(left, right):
            values = ", ".join(f"{name}={value}" for name, value in dims.items())
            raise ShapeError(f"{values}: node {', '.join(origin)} needs dimensions to be equal that are {left} and {right}")
        if left != right:
            constraints.append((left, right, origin))
    return Graph(graph.name, [tensors[t] for t in graph.inputs], [tensors.get(t, t) for t in graph.outputs],
                 input_names=graph.input_names, output_names=graph.output_names, constraints=constraints, structure=graph.structure,
                 definitions={str(_replaced(symbol(name), dims)): tensors[t] for name, t in graph.definitions.items()
                              if isinstance(_replaced(symbol(name), dims), Dim)})


def _replaced(value: Any, dims: Mapping[str, int]) -> Any:
    """An attribute with the symbols in it replaced."""
    if isinstance(value, Dim):
        return value.substitute(dims)
    if isinstance(value, Graph):
        return pin(value, dims)
    if isinstance(value, (tuple, list)):
        return type(value)(_replaced(item, dims) for item in value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return np.array([_replaced(item, dims) for item in value.ravel()], dtype=object).reshape(value.shape)
    return value


def pin_defined(graph: Graph) -> Graph:
    """define_dim(c; k) → k is c, where what defines a dimension has turned out to be a constant."""
    known = {}
    for name, tensor in graph.definitions.items():
        value = tensor.producer.inputs[0]
        if value.known is not None and isinstance(value.known.item(), int) and value.known.item() >= 0:
            known[name] = value.known.item()
    return pin(graph, known) if known else graph

"""Is a graph well formed? The checker that runs after every transform in tests."""
from __future__ import annotations

from collections.abc import Collection

from dlcompile.errors import InvalidModelError
from dlcompile.graph.dim import Symbol
from dlcompile.graph.graph import Graph
from dlcompile.graph.operator import OPERATORS
from dlcompile.graph.tensor import Node, Tensor
from dlcompile.graph.unknown import DEFINE, defined_symbol


def verify(graph: Graph, within: Collection[Symbol] | None = None) -> Graph:
    """Return `graph` when it is well formed; otherwise raise `InvalidModelError` naming the node and the rule it breaks.

    The rules: names are unique; every operand is an input, a constant or made by an earlier node; operators are in the table; the
    output types are those the type rule gives; constants have the type they claim; no symbol appears before an input or a definition
    brings it (or `within`, the symbols of the graph around a body).
    """
    for kind, names in (("input", graph.input_names), ("output", graph.output_names)):
        if len(set(names)) != len(names):
            raise InvalidModelError(f"{kind} names are not unique: {', '.join(names)}")
    if len(graph.input_names) != len(graph.inputs) or len(graph.output_names) != len(graph.outputs):
        raise InvalidModelError("there are not as many names as inputs and outputs")
    available: set[Tensor] = set(graph.inputs)
    symbols = {s.name for s in (*graph.symbols, *(() if within is None else within))}
    for node in graph.nodes:
        for position, tensor in enumerate(node.inputs):
            if tensor.is_constant:
                _check_constant(node, tensor)
            elif tensor not in available:
                raise InvalidModelError(f"{node!r}: operand {position} ({tensor!r}) is not made by an earlier node of the graph")
        _check_types(node)
        if node.op == DEFINE:
            symbols.add(defined_symbol(node).name)
        free = {s.name for s in node.symbols} - symbols
        if free:
            types = ", ".join(str(t.type) for t in node.outputs)
            raise InvalidModelError(f"{node!r}: {types} uses {', '.join(sorted(free))}, which no input and no earlier node brings")
        for value in node.attributes.values():
            if isinstance(value, Graph):
                verify(value, [Symbol(name) for name in symbols])
        available.update(node.outputs)
    for name, tensor in zip(graph.output_names, graph.outputs):
        if not tensor.is_constant and tensor not in available:
            raise InvalidModelError(f"output {name!r} is made by no node of the graph")
    return graph


def _check_constant(node: Node, tensor: Tensor) -> None:
    value = tensor.value
    if value.dtype != tensor.dtype or value.shape != tensor.shape:
        raise InvalidModelError(f"{node!r}: a constant of type {tensor.type} holds {value.dtype}{list(value.shape)}")


def _check_types(node: Node) -> None:
    if node.op not in OPERATORS:
        raise InvalidModelError(f"{node!r}: no operator {node.op!r} in the table")
    types, _ = OPERATORS[node.op].infer_types(tuple(t.type for t in node.inputs), node.attributes, node.inputs)
    actual = tuple(t.type for t in node.outputs)
    if types != actual:
        raise InvalidModelError(f"{node!r}: the type rule gives {', '.join(map(str, types))}, the node says {', '.join(map(str, actual))}")

"""Which node of a model is the first that the compiled code computes differently.

The model is compiled once more with every intermediate value as an output, which keeps kernels from being fused past them. Where all
values agree like that although the model's outputs did not, what is wrong is in the fusion: then the model is compiled with one
value more than its own outputs, and the first value that departs is found by bisection.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dlcompile.graph import Graph, Node, Tensor

Measure = Callable[[np.ndarray, np.ndarray], tuple[float, float, bool]]


@dataclass(frozen=True)
class Departure:
    """A value that the compiled model computes differently: the node of the model that makes it, and by how much."""

    node: str
    operator: str
    type: str
    error: float
    relative: float


def first_departures(graph: Graph, arrays: Mapping[str, np.ndarray], options: Mapping, measure: Measure, progress) -> tuple[list[Departure], int]:
    """The values of `graph` that depart from the interpreter's, in the model's order, and how many values were compared."""
    from dlcompile.operators import evaluate

    reference: dict[Tensor, np.ndarray] = {}
    evaluate(graph, arrays, observe=lambda node, results: reference.update(zip(node.outputs, results)))
    values = [(node, tensor) for node in graph.nodes for tensor in node.outputs]

    def departures(some: Sequence[tuple[Node, Tensor]]) -> list[Departure]:
        found = []
        for (node, tensor), actual in zip(some, _computed(graph, [t for _, t in some], arrays, options, progress)):
            error, relative, within = measure(actual, reference[tensor])
            if not within:
                found.append(Departure(", ".join(node.origin) or node.op, node.op, str(tensor.type), error, relative))
        return found

    found = departures(values)
    if found or not departures([v for v in values if v[1] in graph.outputs]):
        return found, len(values)
    low, high = 0, len(values) - 1  # values[high] is taken to depart, everything before values[low] to agree
    while low < high:
        middle = (low + high) // 2
        if departures([values[middle]]):
            high = middle
        else:
            low = middle + 1
    return departures([values[low]]), len(values)


def _computed(graph: Graph, tensors: Sequence[Tensor], arrays: Mapping[str, np.ndarray], options: Mapping, progress) -> list[np.ndarray]:
    """The given values of the graph, as the compiled model computes them when they are its outputs."""
    import dlcompile

    names = [f"value_{i}" for i in range(len(tensors))]
    probe = Graph(graph.name, graph.inputs, tensors, input_names=graph.input_names, output_names=names, constraints=graph.constraints)
    results = dlcompile.compile(probe, cache=False, progress=progress, **options).run(dict(arrays))
    return [results[n] for n in names]

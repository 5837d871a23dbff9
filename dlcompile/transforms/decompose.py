"""Decomposition: composites become the primitives they are defined by."""
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from dlcompile.graph import OPERATORS, Graph, Node, Tensor

PASSES = 32  # a composite inside a composite takes one pass each


def decompose(graph: Graph, keep: Collection[str] | Callable[[Node], bool] = ()) -> Graph:
    """f(x) → the decomposition of f, for every composite that is not kept, until none is left.

    keep: names of composites that stay whole because somebody compiles them as they are, or a predicate on their nodes.
    """
    kept = keep if callable(keep) else lambda node: node.op in keep

    def replace(node: Node, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        operator = OPERATORS[node.op]
        if not operator.is_composite or kept(node):
            return None
        outputs = operator.decompose(node.attributes, *inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    for _ in range(PASSES):
        new = graph.rebuild(replace)
        if new is graph:
            return graph
        graph = new
    raise RecursionError("the decomposition of a composite contains itself")

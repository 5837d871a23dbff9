"""Dead code. A graph holds only what its outputs depend on, so a node that nobody reads is gone as soon as nobody reads
it; what is left to remove are the parts of a loop that nobody reads. Inputs of the model stay: they are its interface.
"""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile.graph import Graph, Node, Tensor, apply


def remove_dead_code(graph: Graph) -> Graph:
    """scan(…) → scan(…) without the stacked results that nobody reads, and the operands that its body does not read."""
    read = {t for node in graph.nodes for t in node.inputs} | set(graph.outputs)

    def replace(node: Node, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        return _without_dead_parts(node, inputs, read) if node.op == "scan" else None

    return graph.rebuild(replace)


def _without_dead_parts(node: Node, inputs: tuple[Tensor, ...], read: set[Tensor]) -> Sequence[Tensor] | None:
    body, carries, scanned = (node.attributes[name] for name in ("body", "num_carry", "num_scanned"))
    results = [i for i in range(len(body.outputs)) if i < carries or node.outputs[i] in read]
    smaller = Graph(body.name, body.inputs, [body.outputs[i] for i in results])  # so that what only the others need is gone
    needed = {t for inner in smaller.nodes for t in inner.inputs} | set(smaller.outputs)
    operands = [i for i, t in enumerate(body.inputs) if i < carries or t in needed]
    if len(operands) == len(inputs) and len(results) == len(body.outputs):
        return None
    smaller = Graph(body.name, [body.inputs[i] for i in operands], smaller.outputs, constraints=body.constraints,
                    input_names=[body.input_names[i] for i in operands], output_names=[body.output_names[i] for i in results])
    kept = sum(carries <= i < carries + scanned for i in operands)
    made = apply("scan", *(inputs[i] for i in operands), **{**node.attributes, "body": smaller, "num_scanned": kept})
    new = dict(zip(results, made))
    return [new.get(i, old) for i, old in enumerate(node.outputs)]  # an old result stands where nobody reads it

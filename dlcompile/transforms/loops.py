"""Loops and branches: what is known of their operands before they run. A weight that a loop carries through its turns, as exporters of
TensorFlow write it, is a constant of the body then: packed once, not once a turn.
"""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile.graph import Graph, Node, apply
from dlcompile.transforms.rewrite import Answer, Table


def invariant_carries(node: Node) -> Answer:
    """loop(c, …; c, … ↦ c, …) → c, loop(…, c): what each turn hands on as it came is captured, and is the result as well."""
    body, carries = node.attributes["body"], node.attributes["num_carry"]
    sizes = {i for name in ("sizes", "defines") for _, i in node.attributes.get(name, ())}  # carries that hold a dimension of others
    found = [i for i in range(carries) if i not in sizes and body.outputs[i] is body.inputs[i]
             and node.inputs[i].type == body.inputs[i].type == node.outputs[i].type]
    if not found or len(found) == carries:
        return None
    order = [i for i in range(len(node.inputs)) if i not in found] + found
    results = [i for i in range(len(node.outputs)) if i not in found]
    place = {old: new for new, old in enumerate(results)}
    attributes = {**node.attributes, "num_carry": carries - len(found), "body": _reordered(body, order, [i for i in results if i < len(body.outputs)])}
    if node.op == "while":
        attributes["condition"] = _reordered(node.attributes["condition"], order, [0])
        attributes["shapes"] = tuple(shape for i, shape in enumerate(node.attributes["shapes"]) if i not in found)
        for name in ("sizes", "defines"):
            attributes[name] = tuple((dim, place[i]) for dim, i in node.attributes[name])
    made = apply(node.op, *(node.inputs[i] for i in order), **attributes)
    return [made[place[i]] if i in place else node.inputs[i] for i in range(len(node.outputs))]


def _reordered(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
    return Graph(graph.name, [graph.inputs[i] for i in inputs], [graph.outputs[i] for i in outputs],
                 input_names=[graph.input_names[i] for i in inputs], output_names=[graph.output_names[i] for i in outputs],
                 constraints=graph.constraints, definitions=graph.definitions)


# operator: (its graphs, which of its operands are handed on to all of them, how many operands come before the graphs' first one)
_CAPTURED = {
    "cond": (("then_branch", "else_branch"), lambda attributes: 1, 1),
    "while": (("condition", "body"), lambda attributes: attributes["num_carry"], 0),
    "scan": (("body",), lambda attributes: attributes["num_carry"] + attributes["num_scanned"], 0),
}


def captured_constants(node: Node) -> Answer:
    """f(…, 5; …, k ↦ g(k)) → f(…; … ↦ g(5)): a captured constant is one of the graph that reads it."""
    names, first, skipped = _CAPTURED[node.op]
    graphs = [node.attributes[name] for name in names]
    known = {i for i in range(first(node.attributes), len(node.inputs))
             if node.inputs[i].is_constant and all(g.inputs[i - skipped].type == node.inputs[i].type for g in graphs)}
    if not known:
        return None
    bound = {name: g.bound({g.inputs[i - skipped]: node.inputs[i] for i in known}) for name, g in zip(names, graphs)}
    return apply(node.op, *(t for i, t in enumerate(node.inputs) if i not in known), **{**node.attributes, **bound})


LOOPS: Table = (
    (("while", "scan"), invariant_carries),
    (("cond", "while", "scan"), captured_constants),
)

"""Loops and branches: what is known of their operands before they run. A weight that a loop carries through its turns, as exporters of
TensorFlow write it, is a constant of the body then: packed once, not once a turn. What every turn would compute again is computed before.
"""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile.graph import OPERATORS, Graph, Node, Tensor, apply, make_input, provenance, remake, symbols_in
from dlcompile.graph.graph import topological_order
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


# -- what is captured ---------------------------------------------------------------------------------------------------------
# operator: (its graphs, which of its operands is the first that is captured, how many operands come before the graphs' first one)
_CAPTURED = {
    "cond": (("then_branch", "else_branch"), lambda attributes: 1, 1),
    "while": (("condition", "body"), lambda attributes: attributes["num_carry"], 0),
    "scan": (("body",), lambda attributes: attributes["num_carry"] + attributes["num_scanned"], 0),
}


def _captures(node: Node) -> dict[int, list[Tensor]]:
    """For each captured operand the inputs of the node's graphs that it is; without those whose type is not the operand's."""
    names, first, skipped = _CAPTURED[node.op]
    graphs = [node.attributes[name] for name in names]
    formals = {i: [g.inputs[i - skipped] for g in graphs] for i in range(first(node.attributes), len(node.inputs))}
    return {i: tensors for i, tensors in formals.items() if all(t.type == node.inputs[i].type for t in tensors)}


def captured_constants(node: Node) -> Answer:
    """f(…, 5; …, k ↦ g(k)) → f(…; … ↦ g(5)): a captured constant is one of the graph that reads it."""
    names, captures = _CAPTURED[node.op][0], _captures(node)
    known = [i for i in captures if node.inputs[i].is_constant]
    if not known:
        return None
    bound = {name: node.attributes[name].bound({captures[i][k]: node.inputs[i] for i in known}) for k, name in enumerate(names)}
    return apply(node.op, *(t for i, t in enumerate(node.inputs) if i not in known), **{**node.attributes, **bound})


def unread_captures(node: Node) -> Answer:
    """f(…, x; …, k ↦ g) → f(…; … ↦ g) for a captured operand that no graph reads."""
    names, captures = _CAPTURED[node.op][0], _captures(node)
    graphs = [node.attributes[name] for name in names]
    read = {t for g in graphs for t in (*g.outputs, *(t for inner in g.nodes for t in inner.inputs))}
    unread = [i for i, tensors in captures.items() if not read.intersection(tensors)]
    if not unread:
        return None
    left = {name: g.bound({captures[i][k]: node.inputs[i] for i in unread}) for k, (name, g) in enumerate(zip(names, graphs))}
    return apply(node.op, *(t for i, t in enumerate(node.inputs) if i not in unread), **{**node.attributes, **left})


# -- what every turn computes again ---------------------------------------------------------------------------------------------
CHEAP = ("elementwise", "movement", "indexing")  # families: not worth a place in memory alone, but what follows something costly goes with it
STAYING = ("control", "random", "definition")  # families that are left where they are


def invariant_work(node: Node) -> Answer:
    """loop(…, k; … ↦ g(f(k), …)) → loop(…, k, f(k); …, t ↦ g(t, …)): costly work on captured values alone is done once, before the loop."""
    names, captures = _CAPTURED[node.op][0], _captures(node)
    body = node.attributes["body"]
    before = {tensors[-1]: node.inputs[i] for i, tensors in captures.items()}  # tensor of the body → what it is outside
    around = symbols_in(tuple(t.shape for t in before)) | body.free_symbols
    moved: list[Node] = []
    costly: set[Tensor] = set()
    for inner in body.nodes:
        family = OPERATORS[inner.op].family
        if family in STAYING or inner.constraints or not inner.symbols <= around or not all(t.is_constant or t in before for t in inner.inputs):
            continue
        with provenance(*inner.origin):
            before.update(zip(inner.outputs, remake(inner, tuple(before.get(t, t) for t in inner.inputs)), strict=True))
        if family not in CHEAP or inner.op != "broadcast_to" and costly.intersection(inner.inputs):
            moved.append(inner)
            costly.update(inner.outputs)
    inside = set(moved)
    read = {t for inner in body.nodes if inner not in inside for t in inner.inputs} | set(body.outputs) | set(body.definitions.values())
    edge = [t for inner in moved for t in inner.outputs if t in read]
    if not edge:
        return None
    formals = [[make_input(f"_before{len(body.inputs) + k}", t.dtype, t.shape) for k, t in enumerate(edge)] for _ in names]
    graphs = {name: _with_inputs(node.attributes[name], made, dict(zip(edge, made)) if name == "body" else {}) for name, made in zip(names, formals)}
    return apply(node.op, *node.inputs, *(before[t] for t in edge), **{**node.attributes, **graphs})


def _with_inputs(graph: Graph, inputs: Sequence[Tensor], values: dict[Tensor, Tensor]) -> Graph:
    """A graph with more inputs, some of which stand for tensors that it made itself."""
    graph = graph.bound(values) if values else graph
    return Graph(graph.name, [*graph.inputs, *inputs], graph.outputs, input_names=[*graph.input_names, *(t.name for t in inputs)],
                 output_names=graph.output_names, constraints=graph.constraints, definitions=graph.definitions)


# -- loops that are computed twice ------------------------------------------------------------------------------------------------
def differentiated_recurrences(graph: Graph) -> Graph:
    """lstm(x, …) beside a scan over the same step, which its derivative has brought along → what it is made of, so that steps are taken once."""
    bodies = {node.attributes["body"].inputs for node in graph.nodes if node.op == "scan"}

    def replace(node: Node, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        if node.op not in RECURRENT or not bodies:
            return None
        made = OPERATORS[node.op].decompose(node.attributes, *inputs)
        scans = [n for n in topological_order(made) if n.op == "scan"]
        return made if any(n.attributes["body"].inputs in bodies for n in scans) else None

    return graph.rebuild(replace)


def merge_scans(graph: Graph) -> Graph:
    """scan(x; b ↦ c, y), scan(x; b ↦ c, z) → scan(x; b ↦ c, y, z) where both bodies are made of the same tensors: a derivative needs the loop
    that it is of with more results."""
    groups: dict[tuple, list[Node]] = {}
    for node in graph.nodes:
        if node.op == "scan":
            groups.setdefault(_same_loop(node), []).append(node)
    made: dict[tuple, tuple[Tensor, ...]] = {}

    def replace(node: Node, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        key = _same_loop(node) if node.op == "scan" else None
        if len(groups.get(key, ())) < 2:
            return None
        carries = node.attributes["num_carry"]
        if key not in made:
            bodies = [other.attributes["body"] for other in groups[key]]
            stacked = dict.fromkeys(t for b in bodies for t in b.outputs[carries:])
            outputs = [*bodies[0].outputs[:carries], *stacked]
            body = Graph(bodies[0].name, bodies[0].inputs, outputs, input_names=bodies[0].input_names,
                         output_names=[f"result{i}" for i in range(len(outputs))], constraints=[c for b in bodies for c in b.constraints],
                         definitions={name: t for b in bodies for name, t in b.definitions.items()})
            made[key] = apply("scan", *inputs, **{**node.attributes, "body": body})
        results = made[key]
        place = {t: i for i, t in enumerate(results[0].producer.attributes["body"].outputs) if i >= carries}
        return [*results[:carries], *(results[place[t]] for t in node.attributes["body"].outputs[carries:])]

    return graph.rebuild(replace)


def _same_loop(node: Node) -> tuple:
    """What scans have in common that differ in what they stack alone."""
    a, body = node.attributes, node.attributes["body"]
    return node.inputs, body.inputs, body.outputs[:a["num_carry"]], *(a[name] for name in ("num_carry", "num_scanned", "length", "reverse"))


RECURRENT = frozenset({"rnn", "gru", "lstm"})  # composites that are scans

LOOPS: Table = (
    (("while", "scan"), invariant_carries),
    (("cond", "while", "scan"), captured_constants),
    (("while", "scan"), invariant_work),
    (("cond", "while", "scan"), unread_captures),
)

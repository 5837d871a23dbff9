"""The engine: tables of (operator, rule) pairs run over a graph until nothing changes.

A rule looks at one node (its operands are already rewritten) and returns what may stand for its outputs, or None. It
makes new nodes by calling functions of `dlcompile.ops`; those carry the node's origin, and the origin of every producer
that the rule looked at through `made_by`. A rule must keep value and type; an answer of another type is not taken.
"""
from __future__ import annotations

import contextvars
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

from dlcompile.graph import OPERATORS, Graph, Node, Tensor, absorb, provenance, remake

Answer = Tensor | Sequence[Tensor] | None
Rule = Callable[[Node], Answer]
Table = Sequence[tuple[str | tuple[str, ...], Rule]]

ANY = "*"                       # a table's row for every operator (what defines a dimension stays as it is)
ELEMENTWISE = "*elementwise"    # … for every operator of a family

PASSES = 100  # far more than any model needs; a table that is still changing the graph then goes round in circles

_uses: contextvars.ContextVar[Counter[Tensor]] = contextvars.ContextVar("dlcompile_uses")


def rewrite(graph: Graph, *tables: Table) -> Graph:
    """The graph after the rules of all `tables` have been applied, in order, until none of them has anything to say."""
    rules = _by_operator(tables)
    fired: list[str] = []
    for _ in range(PASSES):
        fired.clear()
        new = _one_pass(graph, rules, fired)
        if new is graph:
            return graph
        graph = new
    names = ", ".join(sorted(set(fired)))
    warnings.warn(f"rewriting stopped after {PASSES} passes; still changing: {names}", stacklevel=2)
    return graph


def made_by(tensor: Tensor, *ops: str) -> Node | None:
    """The node that makes `tensor`, where it is one of the operators `ops`. What the rule makes then also comes from
    that node."""
    node = tensor.producer
    if node is None or node.op not in ops:
        return None
    absorb(node)
    return node


def uses(tensor: Tensor) -> int:
    """How often a tensor is read in the graph being rewritten, outputs included; 1 for a tensor that a rule has just
    made."""
    return _uses.get()[tensor] or 1


def _by_operator(tables: Sequence[Table]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {name: [] for name in OPERATORS}
    for ops, rule in (row for table in tables for row in table):
        for op in (ops,) if isinstance(ops, str) else ops:
            for name, operator in OPERATORS.items():
                if op in (name, ANY + operator.family) or op == ANY and operator.family != "definition":
                    found[name].append(rule)
    return found


def _one_pass(graph: Graph, rules: dict[str, list[Rule]], fired: list[str]) -> Graph:
    count = Counter(t for node in graph.nodes for t in node.inputs)
    count.update(graph.outputs)
    count.update(graph.definitions.values())

    def replace(old: Node, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        node = old
        if inputs != old.inputs:
            node = remake(old, inputs)[0].producer
        outputs = _apply_rules(node, rules, fired)
        if outputs is None and node is old:
            return None
        outputs = outputs or node.outputs
        for before, after in zip(old.outputs, outputs, strict=True):
            if after is not before:
                count[after] += count[before]
        return outputs

    token = _uses.set(count)
    try:
        return graph.rebuild(replace)
    finally:
        _uses.reset(token)


def _apply_rules(node: Node, rules: dict[str, list[Rule]], fired: list[str]) -> tuple[Tensor, ...] | None:
    """The tensors that stand for the node's outputs after the first rule that has an answer; then the same for the node
    that answer ends in, and so on. None where no rule has any."""
    best: tuple[Tensor, ...] | None = None
    for _ in range(PASSES):
        answer = _first_answer(node, rules, fired)
        if answer is None:
            return best
        best = answer
        node = answer[0].producer
        seen = answer[0] in _uses.get()  # somebody reads it already, so that its node has had its turn
        if len(answer) != 1 or node is None or len(node.outputs) != 1 or seen:
            return best
    return best


def _first_answer(node: Node, rules: dict[str, list[Rule]], fired: list[str]) -> tuple[Tensor, ...] | None:
    for rule in rules[node.op]:
        with provenance(*node.origin):
            answer = rule(node)
        if answer is None:
            continue
        outputs = (answer,) if isinstance(answer, Tensor) else tuple(answer)
        if outputs != node.outputs and all(a.type == b.type for a, b in zip(outputs, node.outputs, strict=True)):
            fired.append(rule.__name__)
            return outputs
    return None

"""Derivatives of branches and loops.

    cond     a cond over the same predicate, whose branches compute their operands' cotangents from those of the results
    scan     a scan in the opposite direction: each step is computed again from the carries it started with, which a scan like the one
             that is differentiated stacks, but for products with these, which it stacks as well; and hands the cotangents of its results on
             to its carries, slices and captured operands
    while    the same, over as many steps as there were turns

The cotangents of captured operands are sums over the steps, carried beside those of the carries. What has no influence takes no part: a
counter among the carries has no cotangent, though it is stacked where a step needs it.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dlcompile import ops
from dlcompile.autodiff.reverse import between, moving, pull_back, substituted
from dlcompile.autodiff.rules import FLAT, Cotangents, rule_of_results, shaped, zeros
from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import OPERATORS, DimLike, Graph, Node, Tensor, distinct_names, make_input, symbols_in


def _graph(like: Graph, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Graph:
    """A graph over tensors of `like`."""
    return Graph(like.name, inputs, outputs, input_names=distinct_names(t.name or "input" for t in inputs),
                 output_names=distinct_names(t.name or "result" for t in outputs), definitions=like.definitions)


# -- branches ---------------------------------------------------------------------------------------------------------------
@rule_of_results("cond")
def _cond(node: Node, cotangents: Cotangents, wanted: Sequence[bool]) -> Cotangents:
    predicate, *operands = node.inputs
    given = [(i, c) for i, c in enumerate(cotangents) if c is not None]
    branches = [node.attributes[name] for name in ("then_branch", "else_branch")]
    formals = [[make_input(f"_cotangent{i}", c.dtype, c.shape) for i, c in given] for _ in branches]
    found = [pull_back([(branch.outputs[i], shaped(t, branch.outputs[i].shape)) for (i, _), t in zip(given, made)],
                       [t for t, wish in zip(branch.inputs, wanted[1:]) if wish]) for branch, made in zip(branches, formals)]
    places = [i for i in range(len(operands)) if any(branch.inputs[i] in parts for branch, parts in zip(branches, found))]
    taken = []
    for branch, made, parts in zip(branches, formals, found):
        own = [parts.get(branch.inputs[i]) for i in places]
        outputs = [zeros(operands[i]) if c is None else shaped(c, operands[i].shape) for i, c in zip(places, own)]
        taken.append(_graph(branch, [*branch.inputs, *made], outputs))
    results = ops.cond(predicate, *taken, *operands, *(c for _, c in given)) if places else ()
    part = dict(zip(places, results))
    return [None, *(part.get(i) for i in range(len(operands)))]


# -- loops ------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Loop:
    """A loop to be differentiated. `stacked(carries, tensors)` is the loop that also stacks the given carries as each step starts, and tensors
    of its body: (these stacks, their length); `varying` names the dimensions that change with the steps."""

    node: Node
    body: Graph
    carries: int
    scanned: int
    stacked: Callable[[Sequence[int], Sequence[Tensor]], tuple[Sequence[Tensor], DimLike]]
    reverse: bool = False
    varying: frozenset[str] = frozenset()


@rule_of_results("scan")
def _scan(node: Node, cotangents: Cotangents, wanted: Sequence[bool]) -> Cotangents:
    a, body = node.attributes, node.attributes["body"]

    def stacked(carries: Sequence[int], tensors: Sequence[Tensor]) -> tuple[Sequence[Tensor], DimLike]:
        if not carries and not tensors:
            return (), a["length"]
        made = ops.scan(_with_starts(node, body, carries, tensors), *node.inputs, **{k: v for k, v in a.items() if k != "body"})
        return made[-len(carries) - len(tensors):], a["length"]

    return _backward(_Loop(node, body, a["num_carry"], a["num_scanned"], stacked, a["reverse"]), cotangents, wanted)


@rule_of_results("while")
def _while(node: Node, cotangents: Cotangents, wanted: Sequence[bool]) -> Cotangents:
    a, body = node.attributes, node.attributes["body"]

    def stacked(carries: Sequence[int], tensors: Sequence[Tensor]) -> tuple[Sequence[Tensor], DimLike]:
        if not carries and not tensors:
            return (), ops.dim_of(node.outputs[-1])
        made = ops.while_loop(a["condition"], _with_starts(node, body, carries, tensors), *node.inputs, num_carry=a["num_carry"])
        found = made[-1 - len(carries) - len(tensors):-1]
        return found, found[0].shape[0]

    varying = frozenset(s.name for dim, _ in a["sizes"] for s in symbols_in(dim))
    return _backward(_Loop(node, body, a["num_carry"], 0, stacked, False, varying), cotangents[:-1], wanted)


def _with_starts(node: Node, body: Graph, carries: Sequence[int], tensors: Sequence[Tensor]) -> Graph:
    """A body that also yields what some of its carries are when a step starts, and some of what it computes."""
    return _graph(body, body.inputs, [*body.outputs, *(shaped(body.inputs[j], node.inputs[j].shape) for j in carries), *tensors])


def _backward(loop: _Loop, cotangents: Cotangents, wanted: Sequence[bool]) -> Cotangents:
    """The cotangents of a loop's operands for those of its carries and stacks."""
    body, operands, first = loop.body, loop.node.inputs, loop.carries + loop.scanned
    stacks = {m: c for m, c in enumerate(cotangents) if c is not None and m >= loop.carries}
    carried, reached = _influences(loop, cotangents, stacks, wanted)
    scanned, captured = ([i for i in places if wanted[i] and body.inputs[i] in reached]
                         for places in (range(loop.carries, first), range(first, len(operands))))
    if not carried and not scanned and not captured:
        return [None for _ in operands]

    states, sums = ({i: make_input(f"_{what}{i}", operands[i].dtype, operands[i].shape) for i in places}
                    for what, places in (("cotangent", carried), ("sum", captured)))
    slices = {m: make_input(f"_stacked{m}", c.dtype, c.shape[1:]) for m, c in stacks.items()}
    found = pull_back([(body.outputs[m], shaped(t, body.outputs[m].shape)) for m, t in (*states.items(), *slices.items())],
                      [body.inputs[i] for i in (*carried, *scanned, *captured)])

    def part(i: int, shape) -> Tensor:
        t = body.inputs[i]
        return shaped(found[t] if t in found else zeros(t), shape)

    results = [*(part(i, operands[i].shape) for i in carried), *(t + part(i, t.shape) for i, t in sums.items()),
               *(part(i, operands[i].shape[1:]) for i in scanned)]
    kept = {t: make_input(f"_kept{k}", t.dtype, t.shape) for k, t in enumerate(_kept(loop, results))}
    results = list(substituted(results, kept))
    read = _read(loop, _graph(body, [*states.values(), *sums.values(), *slices.values(), *kept.values(), *body.inputs], results))
    _check_sizes(loop, [*(body.inputs[i] for i in (*carried, *(i for i in read if i < loop.carries))), *(body.outputs[m] for m in stacks)])
    groups = [[i for i in read if low <= i < high] for low, high in ((0, loop.carries), (loop.carries, first), (first, len(operands)))]
    starts, length = loop.stacked(groups[0], list(kept))
    inputs = [*states.values(), *sums.values(), *(body.inputs[i] for i in groups[0]), *kept.values(), *(body.inputs[i] for i in groups[1]),
              *slices.values(), *(body.inputs[i] for i in groups[2])]
    ends = [cotangents[i] if cotangents[i] is not None else zeros(operands[i]) for i in carried]
    given = [*ends, *(zeros(operands[i]) for i in captured), *starts, *(operands[i] for i in groups[1]), *stacks.values(),
             *(operands[i] for i in groups[2])]
    made = ops.scan(_graph(body, inputs, results), *given, num_carry=len(states) + len(sums), length=length, reverse=not loop.reverse,
                    num_scanned=len(starts) + len(groups[1]) + len(slices))
    parts = dict(zip((*carried, *captured, *scanned), made))
    return [parts.get(i) if wish else None for i, wish in enumerate(wanted)]


def _influences(loop: _Loop, cotangents: Cotangents, stacks: Iterable[int], wanted: Sequence[bool]) -> tuple[list[int], set[Tensor]]:
    """The carries that have cotangents, and what in the body has."""
    body = loop.body
    moved: set[Tensor] = {t for t, wish in zip(body.inputs, wanted) if wish}
    while True:  # what a step changes changes the next step
        moved = moving(body.nodes, moved)
        more = {t for t, after in zip(body.inputs[:loop.carries], body.outputs) if after in moved} - moved
        if not more:
            break
        moved |= more
    carried = {j for j in range(loop.carries) if cotangents[j] is not None and body.inputs[j] in moved}
    while True:
        reached = _reached(body, [body.outputs[m] for m in (*carried, *stacks)], moved)
        more = {j for j in range(loop.carries) if body.inputs[j] in reached} - carried
        if not more:
            return sorted(carried), reached
        carried |= more


def _reached(body: Graph, outputs: Iterable[Tensor], moved: set[Tensor]) -> set[Tensor]:
    """What results depend on, of what moves."""
    found = {t for t in outputs if t in moved}
    for node in reversed(body.nodes):
        if node.op not in FLAT and any(t in found for t in node.outputs):
            found.update(t for t in node.inputs if t in moved)
    return found


def _kept(loop: _Loop, results: Sequence[Tensor]) -> list[Tensor]:
    """What a step computes that its derivative reads and that is not worth computing again: products with what is carried."""
    body = loop.body
    carried = set(body.inputs[:loop.carries])
    for node in body.nodes:
        if any(t in carried for t in node.inputs):
            carried.update(node.outputs)
    own, found = set(body.nodes), []
    for node in between(results, [t for n in body.nodes if OPERATORS[n.op].family == "contraction" for t in n.outputs]):
        for t in node.inputs:
            if t.producer in own and t in carried and OPERATORS[t.op].family == "contraction" and t not in found:
                if not any(s.name in loop.varying or s.name in body.definitions for s in symbols_in(t.shape)):
                    found.append(t)
    return found


def _read(loop: _Loop, graph: Graph) -> list[int]:
    """The inputs of the body that a graph over them reads, or takes a dimension from that is not called so outside."""
    tensors = {t for node in graph.nodes for t in node.inputs} | set(graph.outputs)
    mentioned = frozenset().union(symbols_in(tuple(t.shape for t in graph.outputs)), *(node.symbols for node in graph.nodes))
    return [i for i, (formal, operand) in enumerate(zip(loop.body.inputs, loop.node.inputs))
            if formal in tensors or mentioned & (symbols_in(formal.shape) - symbols_in(operand.shape))]


def _check_sizes(loop: _Loop, tensors: Iterable[Tensor]) -> None:
    for t in tensors:
        if any(s.name in loop.varying for s in symbols_in(t.shape)):
            raise UnsupportedOperatorError(f"{loop.node!r}: the derivative of a {loop.node.op} that carries a tensor whose size changes "
                                           f"({t.type}) is not supported")

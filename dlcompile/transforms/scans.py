"""Scans: what all steps do that does not depend on one another is done at once, before or after the loop.

    carry_free_products   a product of what is scanned with what is captured is one product for all steps
    summed_products       a sum of products over the steps is one product, the steps being contracted as well

A recurrent layer's step is left with the products of its state; of its derivative, whatever a step contributed to that of the weights is left.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlcompile import ops
from dlcompile.graph import OPERATORS, Graph, Node, Tensor, apply, make_input, provenance, remake
from dlcompile.transforms.batching import batched
from dlcompile.transforms.rewrite import Answer, Table

COSTLY = ("contraction",)  # families that are worth a stack of their results in memory
FOLLOWING = ("elementwise",)  # what goes with them


# -- before the loop --------------------------------------------------------------------------------------------------------
def carry_free_products(node: Node) -> Answer:
    """scan(x; c, xₜ ↦ g(c, xₜ·w)) → scan(x·w; c, yₜ ↦ g(c, yₜ))"""
    a, body = node.attributes, node.attributes["body"]
    first = a["num_carry"] + a["num_scanned"]
    outside = dict(zip(body.inputs[a["num_carry"]:], node.inputs[a["num_carry"]:]))  # tensor of the body → what it is for all steps
    stacked = set(body.inputs[a["num_carry"]:first])
    moved: list[Node] = []
    for inner in body.nodes:
        if inner.constraints or inner.symbols & body.free_symbols or not all(t.is_constant or t in outside for t in inner.inputs):
            continue
        operands = [outside.get(t, t) for t in inner.inputs]
        with provenance(*inner.origin):
            if not stacked.intersection(inner.inputs):
                outside.update(zip(inner.outputs, remake(inner, tuple(operands)), strict=True))
                continue
            made = batched(inner, operands, [t in stacked for t in inner.inputs], a["length"])
        if made is None:
            continue
        outside[inner.output] = made
        stacked.add(inner.output)
        family = OPERATORS[inner.op].family
        if family in COSTLY or family in FOLLOWING and any(t.producer in moved for t in inner.inputs):
            moved.append(inner)
    read = {t for inner in body.nodes if inner not in moved for t in inner.inputs} | set(body.outputs)
    edge = [inner.output for inner in moved if inner.output in read]
    if not edge:
        return None
    formals = [make_input(f"_product{len(body.inputs) + k}", t.dtype, t.shape) for k, t in enumerate(edge)]
    bound = body.bound(dict(zip(edge, formals)))
    order = [*bound.inputs[:first], *formals, *bound.inputs[first:]]
    return apply("scan", *node.inputs[:first], *(outside[t] for t in edge), *node.inputs[first:],
                 **{**a, "body": _graph(bound, order, bound.outputs), "num_scanned": a["num_scanned"] + len(edge)})


def _graph(like: Graph, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Graph:
    """A body over the tensors of another one."""
    return Graph(like.name, inputs, outputs, input_names=[f"input{i}" for i in range(len(inputs))],
                 output_names=[f"result{i}" for i in range(len(outputs))], constraints=like.constraints, definitions=like.definitions)


# -- after the loop ---------------------------------------------------------------------------------------------------------
LINEAR = ("reshape", "transpose", "neg")  # what may stand between a product and the sum that it goes into


@dataclass(frozen=True)
class _Term:
    """What a step adds to a sum: `node`, a product or a sum along axes, behind `views`, the last one first."""

    node: Node
    views: tuple[Node, ...]

    @staticmethod
    def of(tensor: Tensor) -> _Term | None:
        views = []
        while tensor.op in LINEAR:
            views.append(tensor.producer)
            tensor = tensor.producer.inputs[0]
        return _Term(tensor.producer, tuple(views)) if tensor.op in ("dot_general", "reduce_sum") else None

    def total(self, stacks: dict[Tensor, Tensor]) -> Tensor:
        """The sum over all steps, of stacks of the operands."""
        a, operands = self.node.attributes, [stacks[t] for t in self.node.inputs]
        with provenance(*self.node.origin):
            if self.node.op == "reduce_sum":
                made = ops.reduce_sum(operands[0], (0, *(i + 1 for i in a["axes"])))
                made = ops.reshape(made, self.node.output.shape)
            else:
                (lc, rc), (lb, rb) = (tuple(tuple(i + 1 for i in axes) for axes in a[name]) for name in ("contracting", "batch"))
                made = ops.dot_general(*operands, contracting=((0, *lc), (0, *rc)), batch=(lb, rb))
            for view in reversed(self.views):
                (made,) = remake(view, (made,))
        return made


def summed_products(node: Node) -> Answer:
    """scan(s, x; s, xₜ ↦ s + uₜ·vₜ) → s + U·V, where the sum is read nowhere else in a step; u and v are stacked, where they are not scanned."""
    a, body = node.attributes, node.attributes["body"]
    carries, first = a["num_carry"], a["num_carry"] + a["num_scanned"]
    reads: dict[Tensor, int] = {}
    for tensor in (*(t for inner in body.nodes for t in inner.inputs), *body.outputs, *body.definitions.values()):
        reads[tensor] = reads.get(tensor, 0) + 1
    taken: dict[int, tuple[list[_Term], list[Tensor]]] = {}  # carry → what is summed after the loop, and what is left in it
    for i in range(carries):
        parts = _summands(body.outputs[i], reads)
        if parts.count(body.inputs[i]) != 1 or reads.get(body.inputs[i], 0) != 1:
            continue
        terms = [(t, _Term.of(t) if t.shape == body.inputs[i].shape else None) for t in parts if t is not body.inputs[i]]
        if any(term and term.node.op == "dot_general" for _, term in terms):
            taken[i] = ([term for _, term in terms if term], [t for t, term in terms if term is None])
    if not taken:
        return None
    captured = set(body.inputs[first:])
    if any(t in captured or t.is_constant for terms, _ in taken.values() for term in terms for t in term.node.inputs):
        return None
    scanned = dict(zip(body.inputs[carries:first], node.inputs[carries:first]))
    known = {**scanned, **dict.fromkeys(body.outputs[carries:])}
    more = list(dict.fromkeys(t for terms, _ in taken.values() for term in terms for t in term.node.inputs if t not in known))
    kept = [i for i in range(carries) if i not in taken or taken[i][1]]
    ends = [body.outputs[i] if i not in taken else _sum([body.inputs[i], *taken[i][1]]) for i in kept]
    inputs = [*(body.inputs[i] for i in kept), *body.inputs[carries:]]
    changed = _graph(body, inputs, [*ends, *body.outputs[carries:], *more])
    made = apply("scan", *(node.inputs[i] for i in kept), *node.inputs[carries:], **{**a, "body": changed, "num_carry": len(kept)})
    stacks = {**dict(zip(changed.outputs[len(kept):], made[len(kept):])), **scanned}
    last = dict(zip(kept, made))
    results = [_sum([last.get(i, node.inputs[i]), *(term.total(stacks) for term in taken[i][0])]) if i in taken else last[i] for i in range(carries)]
    return [*results, *made[len(kept):len(kept) + len(body.outputs) - carries]]


def _summands(tensor: Tensor, reads: dict[Tensor, int]) -> list[Tensor]:
    """What a sum is made of, taken apart where nothing else reads a partial sum."""
    node = tensor.producer
    if node is None or node.op != "add" or reads[tensor] != 1:
        return [tensor]
    return [part for t in node.inputs for part in _summands(t, reads)]


def _sum(tensors: Sequence[Tensor]) -> Tensor:
    total = tensors[0]
    for tensor in tensors[1:]:
        total = ops.add(total, tensor)
    return total


SCANS: Table = (
    ("scan", carry_free_products),
    ("scan", summed_products),
)

"""One node for all steps at once: f(x₁), f(x₂), … → F(X), X being the stack [steps, …] of what each step takes.

A row of `RULES` says what an operator becomes that takes stacks for some of its operands, and yields the stack of its results.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from dlcompile import ops
from dlcompile.graph import OPERATORS, DimLike, Node, Tensor, apply

Rule = Callable[[Node, Sequence[Tensor], Sequence[bool], "DimLike"], "Tensor | None"]


def batched(node: Node, operands: Sequence[Tensor], stacked: Sequence[bool], length: DimLike) -> Tensor | None:
    """The stack of a node's results for operands of which some are stacks of `length`; None where there is no rule for it."""
    rule = _elementwise if OPERATORS[node.op].family == "elementwise" else RULES.get(node.op)
    if rule is None or len(node.outputs) != 1 or not any(stacked):
        return None
    made = rule(node, operands, stacked, length)
    return made if made is None or made.shape == (length, *node.output.shape) else None


def _elementwise(node: Node, operands, stacked, length) -> Tensor:
    rank = node.output.rank
    aligned = [_widened(t, rank) if many else t for t, many in zip(operands, stacked)]
    return apply(node.op, *aligned, **node.attributes)


def _widened(x: Tensor, rank: int) -> Tensor:
    """A stack of elements with as many axes as are wanted, for broadcasting."""
    missing = rank + 1 - x.rank
    return ops.reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:])) if missing else x


def _one(rule: Callable[[Node, Tensor, DimLike], Tensor]) -> Rule:
    """A rule for the operator's first operand, any others being the same for all steps."""
    return lambda node, operands, stacked, length: rule(node, operands[0], length) if stacked[0] and not any(stacked[1:]) else None


def _later(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + 1 for a in axes)


def _reduced(node: Node, x: Tensor, length: DimLike) -> Tensor:
    return apply(node.op, x, **{**node.attributes, "axes": _later(node.attributes["axes"])})


def _pad(node: Node, operands, stacked, length) -> Tensor | None:
    a = node.attributes
    return ops.pad(*operands, (0, *a["low"]), (0, *a["high"])) if stacked[0] and not stacked[1] else None


def _concatenate(node: Node, operands, stacked, length) -> Tensor:
    parts = [t if many else ops.broadcast_to(t, (length, *t.shape)) for t, many in zip(operands, stacked)]
    return ops.concatenate(parts, node.attributes["axis"] + 1)


def _dot_general(node: Node, operands, stacked, length) -> Tensor:
    """Steps are a free axis of the operand that is a stack, and a batch axis where both are."""
    (lhs, rhs), (left, right) = operands, stacked
    (lc, rc), (lb, rb) = node.attributes["contracting"], node.attributes["batch"]
    if left:
        lc, lb = _later(lc), _later(lb)
    if right:
        rc, rb = _later(rc), _later(rb)
    if left and right:
        return ops.dot_general(lhs, rhs, contracting=(lc, rc), batch=((0, *lb), (0, *rb)))
    made = ops.dot_general(lhs, rhs, contracting=(lc, rc), batch=(lb, rb))
    place = len(lb) if left else len(lb) + lhs.rank - len(lb) - len(lc)  # of the steps among [batch…, free of lhs…, free of rhs…]
    return made if place == 0 else ops.transpose(made, (place, *(i for i in range(made.rank) if i != place)))


RULES: dict[str, Rule] = {
    "reshape": _one(lambda node, x, length: ops.reshape(x, (length, *node.output.shape))),
    "broadcast_to": _one(lambda node, x, length: ops.broadcast_to(_widened(x, node.output.rank), (length, *node.output.shape))),
    "transpose": _one(lambda node, x, length: ops.transpose(x, (0, *_later(node.attributes["permutation"])))),
    "slice": _one(lambda node, x, length: ops.slice(x, (0, *node.attributes["start"]), (length, *node.attributes["limit"]), (1, *node.attributes["strides"]))),
    "reverse": _one(lambda node, x, length: ops.reverse(x, _later(node.attributes["axes"]))),
    "reduce_sum": _one(_reduced), "reduce_max": _one(_reduced), "reduce_min": _one(_reduced), "reduce_prod": _one(_reduced),
    "pad": _pad,
    "concatenate": _concatenate,
    "dot_general": _dot_general,
}
"""operator → (node, operands, which of them are stacks, steps) → the stack of its results, None where it cannot be made"""

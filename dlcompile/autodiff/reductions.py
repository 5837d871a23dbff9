"""Derivatives of reductions, running sums and running products."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.autodiff.movement import inverse
from dlcompile.autodiff.rules import chosen, rule
from dlcompile.graph import Graph, Node, Tensor, make_input, product


def _spread(node: Node, t: Tensor) -> Tensor:
    """A tensor of the shape of a reduction's result, repeated along the axes that are gone."""
    x, axes = node.inputs[0], node.attributes["axes"]
    return ops.broadcast_to(ops.reshape(t, [1 if i in axes else d for i, d in enumerate(x.shape)]), x.shape)


@rule("reduce_sum")
def _reduce_sum(node: Node, c: Tensor) -> list[Tensor]:
    return [_spread(node, c)]


@rule("reduce_max", "reduce_min")
def _reduce_extreme(node: Node, c: Tensor) -> list[Tensor]:
    """Equals share it."""
    x, a = node.inputs[0], node.attributes
    here = ops.eq(x, _spread(node, node.output))
    share = c / ops.reduce_sum(ops.cast(here, x.dtype), a["axes"], a["keepdims"])
    return [chosen(_spread(node, share), here)]


@rule("reduce_prod")
def _reduce_prod(node: Node, c: Tensor) -> list[Tensor]:
    """The product of all others is that of those before and that of those behind: no division, which zeros do not allow."""
    x, axes = node.inputs[0], node.attributes["axes"]
    order = [*(i for i in range(x.rank) if i not in axes), *axes]
    moved = ops.transpose(x, order)
    kept = moved.shape[:x.rank - len(axes)]
    flat = ops.reshape(moved, (*kept, product(moved.shape[len(kept):])))
    others = ops.cumprod(flat, len(kept), exclusive=True) * ops.cumprod(flat, len(kept), exclusive=True, reverse=True)
    return [ops.transpose(ops.reshape(others, moved.shape), inverse(order)) * _spread(node, c)]


@rule("cumsum")
def _cumsum(node: Node, c: Tensor) -> list[Tensor]:
    a = node.attributes
    return [ops.cumsum(c, a["axis"], a["exclusive"], not a["reverse"])]


@rule("cumprod")
def _cumprod(node: Node, c: Tensor) -> list[Tensor]:
    """∂(Σ cᵢ yᵢ)/∂xₖ = Π_{j<k} xⱼ · sₖ, where sₖ = Σ_{i≥k} cᵢ Π_{k<j≤i} xⱼ is cₖ + xₖ₊₁ sₖ₊₁: a recurrence from the end, and no division.
    Of exclusive products sₖ = Σ_{i>k} cᵢ Π_{k<j<i} xⱼ, which is cₖ₊₁ + xₖ₊₁ sₖ₊₁."""
    (x,), a = node.inputs, node.attributes
    axis, exclusive, reverse = a["axis"], a["exclusive"], a["reverse"]
    order = [axis, *(i for i in range(x.rank) if i != axis)]
    rows, cotangents = ops.transpose(x, order), ops.transpose(c, order)
    behind, factor, row = (make_input(name, x.dtype, rows.shape[1:]) for name in ("behind", "factor", "row"))
    if exclusive:
        body = Graph("behind", [behind, factor, row], [row + factor * behind, behind])
    else:
        total = row + behind
        body = Graph("behind", [behind, factor, row], [factor * total, total])
    start = ops.broadcast_to(np.zeros((), x.dtype), behind.shape)
    made = ops.scan(body, start, rows, cotangents, num_carry=1, num_scanned=2, length=rows.shape[0], reverse=not reverse)
    return [ops.cumprod(x, axis, exclusive=True, reverse=reverse) * ops.transpose(made[1], inverse(order))]

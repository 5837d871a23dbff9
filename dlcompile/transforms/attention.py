"""Scaled dot-product attention, recognised: softmax(q·kᵀ * scale + mask)·v → attention(q, k, v, mask).

The pieces are looked for by what they compute, not by how one exporter spells them: softmax as a composite or as the
primitives it stands for; the scale as a product or a quotient, on the scores or on q and k; the mask as a sum or as a
select; any order of axes in the two products.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dlcompile import ops
from dlcompile.graph import Node, Tensor, absorb, is_float
from dlcompile.transforms.matmul import axes_of
from dlcompile.transforms.rewrite import Answer, Table, made_by, uses
from dlcompile.transforms.shapes import is_identity, is_splat, splat


def attention(node: Node) -> Answer:
    """dot(softmax(dot(q, k) * scale + mask), v) → attention(q, k, v, mask; scale), where nothing else reads the
    scores. Not in float64, which attention's kernel does not compute in."""
    weights, v = node.inputs
    batch, free, contracting = axes_of(node, 0)
    if not is_float(weights.dtype) or weights.dtype == np.float64 or len(free) != 1 or len(contracting) != 1 or not is_identity((*batch, *free, *contracting)):
        return None
    unguarded = _without_guard(weights)
    if uses(weights) != 1:
        return None
    scores = _softmax_operand(unguarded)
    found = _scores(scores) if scores is not None else None
    if found is None:
        return None
    q, k = _operand(found.product, 0), _operand(found.product, 1)
    same_batch = len(found.product.attributes["batch"][0]) == len(batch) and found.product.output.shape == weights.shape
    if q is None or k is None or not same_batch:
        return None
    v_batch, v_free, v_contracting = axes_of(node, 1)
    if len(v_free) != 1:
        return None
    v = ops.transpose(v, (*v_batch, *v_contracting, *v_free))
    (q, q_scale), (k, k_scale) = _without_scale(q), _without_scale(k)
    mask = () if found.mask is None else (found.mask,)
    y = ops.attention(q, k, v, *mask, scale=found.scale * q_scale * k_scale)
    return y if unguarded is weights or not mask else _hide_dead_rows(y, found.mask)


# -- softmax ----------------------------------------------------------------------------------------------------------------
def _softmax_operand(tensor: Tensor) -> Tensor | None:
    """x where `tensor` is softmax(x) along the last axis."""
    if node := made_by(tensor, "softmax"):
        return node.inputs[0] if node.attributes["axis"] in (-1, tensor.rank - 1) else None
    quotient = made_by(tensor, "div")
    exp = made_by(quotient.inputs[0], "exp") if quotient else None
    total = made_by(quotient.inputs[1], "reduce_sum") if exp else None
    shifted = made_by(exp.inputs[0], "sub") if total and total.inputs[0] is exp.output and _last_axis(total) else None
    largest = made_by(shifted.inputs[1], "reduce_max") if shifted else None
    if largest and largest.inputs[0] is shifted.inputs[0] and _last_axis(largest):
        return shifted.inputs[0]
    return None


def _last_axis(node: Node) -> bool:
    return tuple(node.attributes["axes"]) == (node.inputs[0].rank - 1,) and node.attributes["keepdims"]


def _without_guard(tensor: Tensor) -> Tensor:
    """p where `tensor` is select(is_nan(p), 0, p), as exporters write it for rows that the mask hides entirely."""
    node = tensor.producer
    if node is None or node.op != "select" or uses(tensor) != 1 or not is_splat(node.inputs[1], 0):
        return tensor
    test = node.inputs[0].producer
    p = node.inputs[2]
    if test is None or test.op != "is_nan" or test.inputs[0] is not p or uses(node.inputs[0]) != 1 or uses(p) != 2:
        return tensor
    absorb(node)
    absorb(test)
    return p


def _hide_dead_rows(y: Tensor, mask: Tensor) -> Tensor:
    """Zero for queries whose keys are all masked by -inf. (A guard would also hide NaN that comes from q or k; here it
    stays NaN.)"""
    hidden = ops.eq(ops.reduce_max(mask, (mask.rank - 1,), keepdims=True), np.asarray(-np.inf, mask.dtype))
    return ops.select(hidden, np.zeros((), y.dtype), y)


# -- scale, mask, product ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Scores:
    """product * scale + mask."""

    product: Node
    scale: float = 1.0
    mask: Tensor | None = None

    def masked(self, mask: Tensor) -> _Scores:
        """With one more mask."""
        return replace(self, mask=mask if self.mask is None else ops.add(self.mask, mask))


def _scores(tensor: Tensor) -> _Scores | None:
    """Take a tensor apart into a dot_general, a scale and a mask; None where it is anything else or read elsewhere
    (softmax's own decomposition reads it twice)."""
    node = tensor.producer
    if node is None or not is_float(tensor.dtype):
        return None
    if node.op == "dot_general":
        absorb(node)
        return _Scores(node)
    if node.op in ("mul", "div") and (value := splat(node.inputs[1])) is not None:
        inner = _scores(node.inputs[0]) if uses(node.inputs[0]) == 1 else None
        if inner is None or inner.mask is not None or not np.isfinite(value) or value == 0:
            return None
        absorb(node)
        return replace(inner, scale=inner.scale * float(value) if node.op == "mul" else inner.scale / float(value))
    if node.op == "add":
        for scores, mask in (node.inputs, node.inputs[::-1]):
            inner = _scores(scores) if uses(scores) == 1 and scores.shape == tensor.shape else None
            if inner is not None:
                absorb(node)
                return inner.masked(mask)
    if node.op == "select":
        return _selected(node)
    return None


def _selected(node: Node) -> _Scores | None:
    """select(p, scores, -big) → scores + select(p, 0, -big), and select(p, -big, scores) alike. Where -big is not -inf
    the two differ by less than a rounding of -big, as long as it is below anything scores can be."""
    predicate, a, b = node.inputs
    for scores, other, keep in ((a, b, True), (b, a, False)):
        low = splat(other)
        hides = low is not None and low <= -1e30 and uses(scores) == 1 and scores.shape == node.output.shape
        inner = _scores(scores) if hides else None
        if inner is None:
            continue
        absorb(node)
        zero = np.zeros((), scores.dtype)
        floor = np.asarray(low, scores.dtype)
        return inner.masked(ops.select(predicate, *((zero, floor) if keep else (floor, zero))))
    return None


def _operand(product: Node, side: int) -> Tensor | None:
    """An operand of q·kᵀ as [*batch, rows, depth]."""
    batch, free, contracting = axes_of(product, side)
    if len(free) != 1 or len(contracting) != 1:
        return None
    return ops.transpose(product.inputs[side], (*batch, *free, *contracting))


def _without_scale(tensor: Tensor) -> tuple[Tensor, float]:
    """(x, c) with tensor = x * c for a scalar c, looking through transpositions; (tensor, 1) where there is none."""
    node = tensor.producer
    value = splat(node.inputs[1]) if node is not None and node.op in ("mul", "div") else None
    if value is not None and np.isfinite(value) and value != 0 and node.inputs[0].shape == tensor.shape:
        absorb(node)
        return node.inputs[0], float(value) if node.op == "mul" else 1 / float(value)
    if node is not None and node.op == "transpose":
        inner, scale = _without_scale(node.inputs[0])
        if scale != 1.0:
            return ops.transpose(inner, node.attributes["permutation"]), scale
    return tensor, 1.0


ATTENTION: Table = (
    ("dot_general", attention),
)

"""Scaled dot-product attention (Vaswani et al. 2017)."""
from __future__ import annotations

import math

import numpy as np

from dlcompile import ops
from dlcompile.graph import Tensor, product
from dlcompile.operators.composite import composite, scalar


def _flops(inputs, outputs, attributes):
    q, k, v = inputs[:3]
    return 2 * product(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1] + 3)


@composite("attention", flops=_flops)
def attention(attributes, q: Tensor, k: Tensor, v: Tensor, *mask: Tensor) -> Tensor:
    """softmax(scale * q kᵀ + mask) v.

    q [..., S, D], k [..., T, D], v [..., T, E] → [..., S, E]. `mask` is added to the scores and broadcasts to [..., S, T]; with `causal`
    a query sees the keys up to its own position only. `scale` is 1/√D by default. A row whose scores are all -inf gives NaN.
    """
    lead = tuple(range(q.rank - 2))
    scale = attributes.get("scale")
    scores = ops.dot_general(q, k, contracting=((q.rank - 1,), (k.rank - 1,)), batch=(lead, lead))
    scores = ops.mul(scores, scalar(q, 1 / math.sqrt(q.shape[-1]) if scale is None else scale))
    for term in mask:
        scores = ops.add(scores, term)
    if attributes.get("causal"):
        later = ops.gt(ops.iota(np.int64, scores.shape[-2:], 1), ops.iota(np.int64, scores.shape[-2:], 0))
        scores = ops.select(later, scalar(q, -math.inf), scores)
    weights = ops.softmax(scores, axis=-1)
    return ops.dot_general(weights, v, contracting=((q.rank - 1,), (v.rank - 2,)), batch=(lead, lead))

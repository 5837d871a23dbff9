"""Attention."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import ShapeError
from dlcompile.frontends.onnx.node import Declined, OnnxNode, importer
from dlcompile.graph import DimLike, Tensor, floordiv


@importer("Attention", since=23)
def attention(
    node: OnnxNode, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *more: Tensor | None
) -> Tensor:
    """softmax(scale * q kᵀ + mask) v for [batch, heads, sequence, features], or [batch, sequence, heads * features].

    What caches, caps the scores or hands them out is left to the definition ONNX gives.
    """
    windows = node.get("left_window_size", -1), node.get("right_window_size", -1)
    if (
        more
        or len(node.proto.output) > 1
        or node.get("softcap", 0.0)
        or mask is not None
        and node["is_causal"]
        or windows != (-1, -1)
    ):
        raise Declined
    flat = q.rank == 3
    if flat:
        heads, kv_heads = node["q_num_heads"], node["kv_num_heads"]
        if not heads or not kv_heads:
            raise ShapeError(f"q_num_heads and kv_num_heads must be given for operands of three axes such as {q.type}")
        q, k, v = _apart(q, heads), _apart(k, kv_heads), _apart(v, kv_heads)
    k, v = (_shared(t, q.shape[1]) for t in (k, v))
    seen = None
    if mask is not None and mask.dtype == np.bool_:
        seen = ops.reduce_or(mask, mask.rank - 1, True) if mask.value is None or not mask.value.any(-1).all() else None
        mask = ops.select(mask, np.zeros((), q.dtype), np.asarray(-np.inf, q.dtype))
    y = ops.attention(q, k, v, mask, scale=node["scale"], causal=bool(node["is_causal"]))
    y = y if seen is None else ops.select(seen, y, np.zeros((), y.dtype))  # a query that sees nothing yields zeros
    if not flat:
        return y
    y = ops.transpose(y, (0, 2, 1, 3))
    return ops.reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3]))


def _apart(x: Tensor, heads: int) -> Tensor:
    """[batch, sequence, heads * features] → [batch, heads, sequence, features]."""
    batch, length, width = x.shape
    return ops.transpose(ops.reshape(x, (batch, length, heads, floordiv(width, heads))), (0, 2, 1, 3))


def _shared(x: Tensor, heads: DimLike) -> Tensor:
    """Heads of keys or values repeated for the queries that share them."""
    batch, own, length, width = x.shape
    if own == heads:
        return x
    times = floordiv(heads, own)
    wide = ops.broadcast_to(ops.reshape(x, (batch, own, 1, length, width)), (batch, own, times, length, width))
    return ops.reshape(wide, (batch, heads, length, width))

"""Gradients of a limited norm (Pascanu et al. 2013)."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcompile import ops
from dlcompile.graph import Tensor


def clip_by_norm(x: Tensor, limit: float) -> Tensor:
    """x limit / max(|x|, limit)"""
    return x * limit / ops.maximum(ops.sqrt(ops.reduce_sum(ops.square(x))), limit)


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """√ of the sum of all squares, float32 (float64 where all are)."""
    wide = np.dtype(np.float64 if all(t.dtype == np.float64 for t in tensors) else np.float32)
    total = ops.as_tensor(0, wide)
    for tensor in tensors:
        total = total + ops.cast(ops.reduce_sum(ops.square(tensor)), wide)
    return ops.sqrt(total)


def clip_by_global_norm(tensors: Sequence[Tensor], limit: float) -> list[Tensor]:
    """All tensors times limit / max(n, limit), n being the norm of all; NaN where that is not finite."""
    norm = global_norm(tensors)
    scale = limit * ops.minimum(1.0 / norm, 1.0 / limit) + (norm - norm)
    return [tensor * ops.cast(scale, tensor.dtype) for tensor in tensors]


__all__ = ["clip_by_global_norm", "clip_by_norm", "global_norm"]

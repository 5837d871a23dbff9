"""What losses and metrics do with their operands before they compute: floats made of labels, ranks that differ by an axis of one, shapes checked;
and quotients that are 0 where they would not be numbers."""
from __future__ import annotations

from typing import Any

import numpy as np

from dlcompile import config, ops
from dlcompile.errors import ShapeError
from dlcompile.graph import Tensor, as_dtype, definitely_different, is_float


def floats(value: Any, dtype: Any = None) -> Tensor:
    """A tensor of floats: of `dtype`, or else of the type that the value has where that is one of floats, or else of `floatx`."""
    tensor = value if isinstance(value, Tensor) else ops.as_tensor(value)
    if dtype is None:
        dtype = tensor.dtype if is_float(tensor.dtype) and hasattr(value, "dtype") else config.floatx()
    return ops.cast(tensor, as_dtype(dtype))


def same_rank(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors whose ranks differ by a last axis of one, with the same rank: [n] and [n, 1] as [n, 1], [n, m] and [n, m, 1] as [n, m]."""
    if a.rank == b.rank + 1 and a.shape[-1] == 1:
        return (a, ops.expand_dims(b, -1)) if b.rank == 1 else (ops.squeeze(a, -1), b)
    if b.rank == a.rank + 1 and b.shape[-1] == 1:
        return (ops.expand_dims(a, -1), b) if a.rank == 1 else (a, ops.squeeze(b, -1))
    return a, b


def pair(what: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of one type of floats and of one shape. ShapeError naming both shapes where they have not; a scalar `y_true` goes with any."""
    y_pred = floats(y_pred)
    y_true, y_pred = same_rank(floats(y_true, y_pred.dtype), y_pred)
    if y_true.rank and (y_true.rank != y_pred.rank or any(a != b and definitely_different(a, b) for a, b in zip(y_true.shape, y_pred.shape))):
        raise ShapeError(f"{what}: y_true {y_true.type} and y_pred {y_pred.type} have different shapes")
    return y_true, y_pred


def safe_div(a: Tensor, b: Tensor) -> Tensor:
    """a / b, 0 where b is 0."""
    zero = ops.eq(b, 0)
    return ops.select(zero, ops.as_tensor(0, a.dtype), a / ops.select(zero, ops.as_tensor(1, b.dtype), b))


def unit_length(x: Tensor, axis: int = -1) -> Tensor:
    """x / |x| along `axis`, where |x| is at least `epsilon`."""
    least = max(config.epsilon() ** 2, float(np.finfo(np.float32).tiny))
    return x * ops.rsqrt(ops.maximum(ops.reduce_sum(ops.square(x), axis, keepdims=True), least))


__all__ = ["floats", "pair", "safe_div", "same_rank", "unit_length"]

"""Linear quantisation, and triangles."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import Tensor, integer_range, is_half, is_integer, nothing_of
from dlcompile.operators.composite import composite, scalar


def _along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """A scalar as it is, a vector so that it broadcasts along one axis of `x`."""
    if values.rank == 0 or values.shape == (1,):
        return ops.reshape(values, ())
    return ops.reshape(values, tuple(values.shape[0] if a == axis % x.rank else 1 for a in range(x.rank)))


def quotient(x: Tensor, scale: Tensor) -> Tensor:
    """x / scale, rounded to the type of `x`: ONNX says in which precision values are divided by their scale."""
    if x.dtype.itemsize > 2:
        return ops.div(x, scale)
    return ops.cast(ops.div(ops.cast(x, np.float32), ops.cast(scale, np.float32)), x.dtype)


@composite("quantize_linear", rounds=False)
def quantize_linear(attributes, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """saturate(round(x / scale) + zero_point), halves to even; the quotient is rounded to the type of `x`"""
    dtype, axis = zero_point.dtype, attributes["axis"]
    low, high = integer_range(dtype)
    y = ops.round(quotient(x, _along(scale, x, axis)))
    if is_half(x.dtype):  # which cannot count to the zero points of all types
        y = ops.cast(y, np.float32)
    y = ops.add(y, ops.cast(_along(zero_point, x, axis), y.dtype))
    return ops.cast(ops.minimum(ops.maximum(y, scalar(y, low)), scalar(y, high)), dtype)


@composite("dequantize_linear")
def dequantize_linear(attributes, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """(x - zero_point) * scale; the difference is exact in int32"""
    axis = attributes["axis"]
    zero = _along(zero_point, x, axis)
    if x.dtype.itemsize < 4 and is_integer(x.dtype):
        x, zero = ops.cast(x, np.int32), ops.cast(zero, np.int32)
    return ops.mul(ops.cast(ops.sub(x, zero), scale.dtype), _along(scale, x, axis))


@composite("trilu", rounds=False)
def trilu(attributes, x: Tensor) -> Tensor:
    """The elements on and above (lower: below) diagonal k of the last two axes, 0 or the empty text elsewhere"""
    row, column = (ops.iota(np.int64, x.shape[-2:], axis) for axis in (0, 1))
    edge = ops.add(row, ops.reshape(ops.shape_vector((attributes["k"],)), ()))
    inside = ops.ge(column, edge) if attributes["upper"] else ops.le(column, edge)
    return ops.select(inside, x, nothing_of(x.dtype))

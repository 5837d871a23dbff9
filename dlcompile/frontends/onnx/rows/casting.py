"""Conversions between element types."""
from __future__ import annotations

import ml_dtypes
import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.reader import element_type
from dlcompile.graph import Tensor, is_float, is_narrow

SATURATING = frozenset(np.dtype(getattr(ml_dtypes, name)) for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"))
"""types that the attribute `saturate` is for"""

POWER = np.dtype(ml_dtypes.float8_e8m0fnu)
"""the type that `round_mode` is for"""


@importer("Cast")
def cast(node: OnnxNode, x: Tensor) -> Tensor:
    return _cast(node, x, element_type(node["to"], "the target of the cast"))


@importer("CastLike", since=15)
def cast_like(node: OnnxNode, x: Tensor, like: Tensor) -> Tensor:
    return _cast(node, x, like.dtype)


@importer("BitCast", since=26)
def bit_cast(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.bitcast(x, element_type(node["to"], "the target of the cast"))


def _cast(node: OnnxNode, x: Tensor, dtype: np.dtype) -> Tensor:
    saturate = bool(node.get("saturate", 1))
    if x.dtype == dtype and not (saturate and dtype == ml_dtypes.float8_e5m2):  # which has infinities
        return x
    if dtype == POWER:
        return power_of_two(x, saturate, node.get("round_mode", "up"))
    return to_narrow(x, dtype, saturate)


def to_narrow(x: Tensor, dtype: np.dtype, saturate: bool) -> Tensor:
    """`x` in another type. What is too large for an 8-bit float becomes its largest number where `saturate`, infinities too, otherwise
    infinity, or NaN where it has none."""
    if dtype in SATURATING and saturate:
        if not is_float(x.dtype) or is_narrow(x.dtype):
            x = ops.cast(x, np.float32)
        info = ml_dtypes.finfo(dtype)
        x = ops.minimum(ops.maximum(x, float(info.min)), float(info.max))
    return ops.cast(x, dtype)


def power_of_two(x: Tensor, saturate: bool, mode: str) -> Tensor:
    """The exponent of a float32, its fraction rounded up, down or to the nearest; infinities and NaN are NaN. (The sign has no place in
    the type.)"""
    bits = ops.bitcast(ops.cast(x, np.float32), np.uint32)
    exponent = ops.logical_and(ops.shift_right(bits, np.uint32(23)), np.uint32(0xFF))
    fraction = ops.logical_and(bits, np.uint32(0x7FFFFF))
    if mode == "up":
        up = ops.gt(fraction, np.uint32(0))
    elif mode == "nearest":
        half = np.uint32(0x400000)
        up = ops.logical_or(ops.gt(fraction, half), ops.logical_and(ops.eq(fraction, half), ops.gt(exponent, np.uint32(0))))
    elif mode == "down":
        up = ops.lt(fraction, np.uint32(0))
    else:
        raise InvalidModelError(f"round_mode is {mode!r}; expected 'up', 'down' or 'nearest'")
    if saturate:
        up = ops.logical_and(up, ops.ne(exponent, np.uint32(0xFE)))
    rounded = ops.add(exponent, ops.cast(up, np.uint32))
    code = ops.select(ops.eq(exponent, np.uint32(0xFF)), np.uint32(0xFF), rounded)
    return ops.bitcast(ops.cast(code, np.uint8), POWER)

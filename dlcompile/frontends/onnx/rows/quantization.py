"""Quantised values: q = saturate(round(x / scale) + zero_point), x = (q - zero_point) * scale, and products of them."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.reader import element_type
from dlcompile.frontends.onnx.rows.casting import SATURATING, to_narrow
from dlcompile.frontends.onnx.rows.contraction import centred, convolution, matmul_integer, per_channel
from dlcompile.frontends.onnx.shapes import as_axis, assume_equal
from dlcompile.graph import Tensor, ceildiv, integer_range, is_float, is_half, is_integer, make_constant
from dlcompile.operators.quantization import quotient


def _along(values: Tensor, x: Tensor, node: OnnxNode) -> Tensor:
    """Scales or zero points laid out to broadcast against `x`: one for all, one for each index of `axis`, or one for
    each block along it."""
    if values.rank == 0 or values.shape == (1,):
        return ops.reshape(values, ())
    axis, block = as_axis(node.get("axis", 1), x.rank), node.get("block_size", 0)
    if block:
        if values.rank != x.rank:
            raise ShapeError(f"the scale or zero point of {x.type} is {values.type}; expected one for each block of {block} along axis {axis}")
        for a, (extent, size) in enumerate(zip(values.shape, x.shape)):
            assume_equal(extent, ceildiv(size, block) if a == axis else size, f"scales or zero points along axis {a}:")
        count = values.shape[axis]
        wide = ops.broadcast_to(
            ops.expand_dims(values, axis + 1), (*values.shape[: axis + 1], block, *values.shape[axis + 1 :])
        )
        flat = ops.reshape(wide, (*values.shape[:axis], count * block, *values.shape[axis + 1:]))
        return ops.slice(flat, (0,) * x.rank, x.shape) if flat.shape != x.shape else flat
    if values.rank != 1:
        raise ShapeError(
            f"the scale or zero point is {values.type}; expected a scalar or a vector, or blocks with block_size"
        )
    return ops.reshape(values, tuple(values.shape[0] if a == axis else 1 for a in range(x.rank)))


def saturated(x: Tensor, zero: Tensor | None, dtype: np.dtype) -> Tensor:
    """round(x) + zero, cut to the range of the integer type `dtype` and converted to it."""
    if not is_integer(dtype):
        raise DTypeError(f"quantisation to {dtype} is not supported; expected an integer type")
    y = ops.round(x)
    if is_half(y.dtype):  # which cannot count to the zero points of all types
        y = ops.cast(y, np.float32)
    if zero is not None:
        y = ops.add(y, ops.cast(zero, y.dtype))
    low, high = integer_range(dtype)
    return ops.cast(ops.minimum(ops.maximum(y, low), high), dtype)


@importer("QuantizeLinear", since=10)
def quantize_linear(node: OnnxNode, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """To an integer type, or a narrow float: these have no zero points but 0."""
    if zero is None:
        dtype = (
            element_type(node["output_dtype"], "output_dtype") if node.get("output_dtype", 0) else np.dtype(np.uint8)
        )
        zero = _zeros(scale, dtype)
    wide = element_type(node["precision"], "precision") if node.get("precision", 0) else scale.dtype
    wide = wide if is_float(wide) else x.dtype
    values, scale = ops.cast(x, wide), ops.cast(scale, wide)
    if _is_plain(node, scale, zero):
        return ops.quantize_linear(values, *_as_scalars(scale, zero), axis=_axis(node, x))
    ratio = quotient(values, _along(scale, x, node))
    if is_integer(zero.dtype):
        return saturated(ratio, _along(zero, x, node), zero.dtype)
    if zero.dtype not in SATURATING:
        ratio = ops.add(ratio, ops.cast(_along(zero, x, node), wide))
    return to_narrow(ratio, zero.dtype, bool(node.get("saturate", 1)))


@importer("DequantizeLinear", since=10)
def dequantize_linear(node: OnnxNode, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    zero = _zeros(scale, x.dtype) if zero is None else zero
    if _is_plain(node, scale, zero):
        y = ops.dequantize_linear(x, *_as_scalars(scale, zero), axis=_axis(node, x))
    else:
        distance = _distance(x, _along(zero, x, node), scale.dtype)
        y = ops.mul(ops.cast(distance, scale.dtype), _along(scale, x, node))
    return ops.cast(y, element_type(node["output_dtype"], "output_dtype")) if node.get("output_dtype", 0) else y


def _distance(x: Tensor, zero: Tensor, wide: np.dtype) -> Tensor:
    """x - zero, exactly."""
    return centred(x, zero) if is_integer(x.dtype) else ops.sub(ops.cast(x, wide), ops.cast(zero, wide))


def _zeros(scale: Tensor, dtype: np.dtype) -> Tensor:
    """The zero points where none are given; an array of them where it is a small one, which a scale with no element in common with x need not be."""
    if scale.type.is_static and scale.type.size <= 2**20:
        return make_constant(np.zeros(scale.shape, dtype))
    return ops.broadcast_to(make_constant(np.zeros((), dtype)), scale.shape)


def _is_plain(node: OnnxNode, scale: Tensor, zero: Tensor) -> bool:
    """One scale, or one for each index of an axis."""
    return (
        not node.get("block_size", 0)
        and scale.type.size == zero.type.size
        and scale.rank <= 1
        and is_integer(zero.dtype)
    )


def _as_scalars(scale: Tensor, zero: Tensor) -> tuple[Tensor, Tensor]:
    """Scalars where there is one of each; constants stay constants."""
    if scale.shape not in ((), (1,)):
        return scale, zero
    return tuple(make_constant(t.value.reshape(())) if t.is_constant else ops.reshape(t, ()) for t in (scale, zero))


def _axis(node: OnnxNode, x: Tensor) -> int:
    """The axis of the scales; it has no meaning, and often no sense, where there is one scale only."""
    axis = node.get("axis", 1)
    return axis % x.rank if x.rank and -x.rank <= axis < x.rank else 0


def _requantized(
    node: OnnxNode, sums: Tensor, x_scale: Tensor, w_scale: Tensor, y_scale: Tensor, y_zero: Tensor
) -> Tensor:
    """Sums of products in the units of the result, to an integer type or an 8-bit float."""
    x_scale, w_scale, y_scale = (ops.cast(t, np.float32) for t in (x_scale, w_scale, y_scale))
    factor = ops.div(ops.mul(x_scale, w_scale), y_scale)
    y = ops.mul(ops.cast(sums, np.float32), factor)
    if is_integer(y_zero.dtype):
        return saturated(y, y_zero, y_zero.dtype)
    return to_narrow(ops.add(y, ops.cast(y_zero, np.float32)), y_zero.dtype, True)


@importer("QLinearConv", since=10)
def q_linear_conv(
    node: OnnxNode,
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    outwards = (*w_zero.shape, *(1,) * (w.rank - 1)) if w_zero.rank else ()
    sums = convolution(node, centred(x, x_zero), centred(w, ops.reshape(w_zero, outwards)))
    if bias is not None:
        sums = ops.add(sums, per_channel(bias, sums.rank))
    w_scale = per_channel(w_scale, sums.rank) if w_scale.rank else w_scale
    return _requantized(node, sums, x_scale, w_scale, y_scale, y_zero)


@importer("QLinearMatMul", since=10)
def q_linear_matmul(
    node: OnnxNode,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Tensor:
    a_scale, y_scale, y_zero = (
        ops.reshape(t, (*t.shape, 1)) if t.rank == 1 and t.shape != (1,) else t for t in (a_scale, y_scale, y_zero)
    )
    if is_integer(a.dtype) and is_integer(b.dtype):
        sums = matmul_integer(node, a, b, a_zero, b_zero)
    else:  # 8-bit floats, which are no whole numbers
        a_zero = ops.reshape(a_zero, (*a_zero.shape, 1)) if a_zero.rank == 1 and a.rank > 1 else a_zero
        sums = ops.matmul(*(ops.sub(ops.cast(t, np.float32), ops.cast(zero, np.float32)) for t, zero in ((a, a_zero), (b, b_zero))))
    return _requantized(node, sums, a_scale, b_scale, y_scale, y_zero)


@importer("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(node: OnnxNode, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 by the range of the data, which is widened to hold 0: scale = (max - min) / 255, or 1 / 255 where all is 0;
    zero_point = round(-min / scale)."""
    low, high = (ops.reshape(t, ()) for t in (ops.minimum(ops.reduce_min(x), 0.0), ops.maximum(ops.reduce_max(x), 0.0)))
    scale = ops.div(ops.select(ops.eq(high, low), 1.0, ops.sub(high, low)), 255.0)
    zero = saturated(ops.div(ops.neg(low), scale), None, np.dtype(np.uint8))
    return saturated(ops.div(x, scale), zero, np.dtype(np.uint8)), scale, zero



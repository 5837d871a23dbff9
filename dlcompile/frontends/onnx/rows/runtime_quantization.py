"""The operators that ONNX Runtime's quantiser writes beside ONNX's own: those of a model quantised in the operator form, where each operator
takes and gives integers with their scales and zero points (domain com.microsoft).

Definitions: "Contributed operators" of ONNX Runtime (docs/ContribOperators.md). Zero points that are left out are 0.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx.node import OnnxNode, find_importer, importer
from dlcompile.frontends.onnx.rows import quantization
from dlcompile.frontends.onnx.rows.contraction import matmul_integer
from dlcompile.graph import Tensor, make_constant

DOMAIN = "com.microsoft"

# ONNX's own of later opsets, for models of earlier ones
importer("QuantizeLinear", domain=DOMAIN)(quantization.quantize_linear)
importer("DequantizeLinear", domain=DOMAIN)(quantization.dequantize_linear)


# -- in and out of integers ---------------------------------------------------------------------------------------------
def _real(x: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    """What quantised values stand for, with one scale for all of them."""
    return ops.dequantize_linear(x, _single(scale), _zero(x.dtype, zero), axis=0)


def _quantized(y: Tensor, scale: Tensor, zero: Tensor | None, dtype: np.dtype) -> Tensor:
    return ops.quantize_linear(y, _single(scale), _zero(dtype, zero), axis=0)


def _zero(dtype: np.dtype, zero: Tensor | None) -> Tensor:
    return make_constant(np.zeros((), dtype)) if zero is None else _single(zero)


def _single(values: Tensor) -> Tensor:
    """A scalar, also where it is written as a vector of one."""
    if values.type.size != 1:
        raise ShapeError(f"a scale or zero point is {values.type}; expected one number")
    return make_constant(values.value.reshape(())) if values.is_constant else ops.reshape(values, ())


def _as_onnx(node: OnnxNode, name: str, *inputs: Tensor, **attributes: object) -> Tensor:
    """The operator of ONNX with the attributes of this one, on real values. `attributes`: those of the node that are not ONNX's."""
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    proto.op_type, proto.domain = name, ""
    version = node.scope.versions[""]
    row = find_importer("", name, version)
    return row(replace(node, proto=proto, version=version, read=dict(attributes)), *inputs)


# -- elementwise --------------------------------------------------------------------------------------------------------
def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    def row(node: OnnxNode, a: Tensor, a_scale: Tensor, a_zero: Tensor | None, b: Tensor, b_scale: Tensor, b_zero: Tensor | None,
            y_scale: Tensor, y_zero: Tensor | None = None) -> Tensor:
        return _quantized(function(_real(a, a_scale, a_zero), _real(b, b_scale, b_zero)), y_scale, y_zero, a.dtype)
    return row


importer("QLinearAdd", domain=DOMAIN)(_binary(ops.add))
importer("QLinearMul", domain=DOMAIN)(_binary(ops.mul))


def _unary(function: Callable[[OnnxNode, Tensor], Tensor]) -> Callable:
    def row(node: OnnxNode, x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor | None = None) -> Tensor:
        return _quantized(function(node, _real(x, x_scale, x_zero)), y_scale, y_zero, x.dtype)
    return row


importer("QLinearSigmoid", domain=DOMAIN)(_unary(lambda node, x: ops.logistic(x)))
importer("QLinearLeakyRelu", domain=DOMAIN)(_unary(lambda node, x: _as_onnx(node, "LeakyRelu", x)))


@importer("QLinearWhere", domain=DOMAIN)
def q_linear_where(node: OnnxNode, condition: Tensor, x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y: Tensor, y_scale: Tensor,
                   y_zero: Tensor | None, z_scale: Tensor, z_zero: Tensor | None = None) -> Tensor:
    return _quantized(ops.select(condition, _real(x, x_scale, x_zero), _real(y, y_scale, y_zero)), z_scale, z_zero, x.dtype)


@importer("QLinearConcat", domain=DOMAIN)
def q_linear_concat(node: OnnxNode, y_scale: Tensor, y_zero: Tensor | None, *inputs: Tensor | None) -> Tensor:
    """The inputs come in threes: values, their scale, their zero point."""
    if len(inputs) % 3:
        inputs = (*inputs, *(None,) * (-len(inputs) % 3))
    if not inputs:
        raise InvalidModelError("there are no values to concatenate")
    parts = [_real(*inputs[i:i + 3]) for i in range(0, len(inputs), 3)]
    return _quantized(_as_onnx(node, "Concat", *parts), y_scale, y_zero, inputs[0].dtype)


# -- over axes ----------------------------------------------------------------------------------------------------------
def _pooling(name: str) -> Callable:
    """With `channels_last` the axis of channels is the last one."""
    def pool(node: OnnxNode, x: Tensor) -> Tensor:
        if not node.get("channels_last", 0):
            return _as_onnx(node, name, x)
        last = x.rank - 1
        y = _as_onnx(node, name, ops.transpose(x, (0, last, *range(1, last))))
        return ops.transpose(y, (0, *range(2, x.rank), 1))
    return _unary(pool)


importer("QLinearAveragePool", domain=DOMAIN)(_pooling("AveragePool"))
importer("QLinearGlobalAveragePool", domain=DOMAIN)(_pooling("GlobalAveragePool"))


@importer("QLinearSoftmax", domain=DOMAIN)
def q_linear_softmax(node: OnnxNode, x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor,
                     y_zero: Tensor | None = None) -> Tensor:
    """Before opset 13 (the attribute `opset` says of which this is) over all axes from `axis` on, as one."""
    opset = node.get("opset", 13)
    row = find_importer("", "Softmax", opset)
    y = row(replace(node, read={"axis": node.get("axis", -1 if opset >= 13 else 1)}), _real(x, x_scale, x_zero))
    return _quantized(y, y_scale, y_zero, x.dtype)


# -- products -----------------------------------------------------------------------------------------------------------
@importer("QGemm", domain=DOMAIN)
def q_gemm(node: OnnxNode, a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor, c: Tensor | None = None,
           y_scale: Tensor | None = None, y_zero: Tensor | None = None) -> Tensor:
    """alpha * a' b' and c, an int32 in units of alpha * a_scale * b_scale; a real number where there is no scale for it. Scale and zero
    point of b may be one for each column."""
    if a.rank != 2 or b.rank != 2:
        raise ShapeError(f"the operands are {a.type} and {b.type}; expected matrices")
    a = ops.transpose(a, (1, 0)) if node.get("transA", 0) else a
    b = ops.transpose(b, (1, 0)) if node.get("transB", 0) else b
    sums = matmul_integer(node, a, b, _single(a_zero), b_zero)
    if c is not None:
        sums = ops.add(sums, c)
    unit = ops.mul(ops.mul(_single(a_scale), b_scale), np.float32(node.get("alpha", 1.0)))
    y = ops.mul(ops.cast(sums, np.float32), unit)
    return y if y_scale is None else _quantized(y, y_scale, y_zero, a.dtype)


@importer("MatMulIntegerToFloat", domain=DOMAIN)
def matmul_integer_to_float(node: OnnxNode, a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor, a_zero: Tensor | None = None,
                            b_zero: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """(a - a_zero) (b - b_zero) * a_scale * b_scale + bias"""
    y = ops.mul(ops.cast(matmul_integer(node, a, b, a_zero, b_zero), a_scale.dtype), ops.mul(a_scale, b_scale))
    return y if bias is None else ops.add(y, bias)


@importer("DynamicQuantizeMatMul", domain=DOMAIN)
def dynamic_quantize_matmul(node: OnnxNode, a: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor | None = None,
                            bias: Tensor | None = None) -> Tensor:
    """The product with `a` quantised by the range of its values."""
    narrow, a_scale, a_zero = quantization.dynamic_quantize_linear(node, a)
    return matmul_integer_to_float(node, narrow, b, a_scale, b_scale, a_zero, b_zero, bias)


@importer("MatMulNBits", domain=DOMAIN)
def matmul_n_bits(node: OnnxNode, a: Tensor, b: Tensor, scales: Tensor, zeros: Tensor | None = None, group: Tensor | None = None,
                  bias: Tensor | None = None) -> Tensor:
    """a [..., K] times the transposed weights [N, K], which are in blocks of `block_size` numbers of 2, 4 or 8 bits, the first of a byte lowest:
    (number - zero) * scale with one of each for a block. b [N, blocks, bytes]; scales [N, blocks] and zeros, as many numbers packed as the
    weights are or real ones, in any shape. Zero points that are left out are in the middle. The products are of real numbers, whatever
    `accuracy_level` allows."""
    bits, size, rows, inner = node.get("bits", 4), node["block_size"], node["N"], node["K"]
    if bits not in (2, 4, 8) or not all(isinstance(n, int) and n > 0 for n in (size, rows, inner)) or size * bits % 8:
        raise InvalidModelError(f"weights of {bits} bits in blocks of {size} for N = {rows} and K = {inner}; expected 2, 4 or 8 bits in whole bytes")
    if group is not None:
        raise UnsupportedOperatorError("MatMulNBits with g_idx, columns in an order of their own")
    blocks = -(-inner // size)
    codes = ops.reshape(_unpacked(b, bits), (rows, blocks, size))
    if zeros is None:
        zeros = make_constant(np.asarray(1 << (bits - 1), a.dtype))
    elif zeros.dtype == np.uint8:
        zeros = ops.reshape(zeros, (rows, -(-blocks * bits // 8)))
        zeros = ops.reshape(ops.slice(ops.reshape(_unpacked(zeros, bits), (rows, -(-blocks * bits // 8) * (8 // bits))), (0, 0), (rows, blocks)),
                            (rows, blocks, 1))
    else:
        zeros = ops.reshape(zeros, (rows, blocks, 1))
    real = ops.mul(ops.sub(ops.cast(codes, a.dtype), ops.cast(zeros, a.dtype)), ops.reshape(scales, (rows, blocks, 1)))
    weights = ops.slice(ops.reshape(real, (rows, blocks * size)), (0, 0), (rows, inner))
    y = ops.matmul(a, ops.transpose(weights, (1, 0)))
    return y if bias is None else ops.add(y, bias)


def _unpacked(x: Tensor, bits: int) -> Tensor:
    """The numbers in bytes, in a new last axis."""
    if x.dtype != np.uint8:
        raise InvalidModelError(f"packed numbers are {x.type}; expected uint8")
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ops.logical_and(ops.shift_right(ops.expand_dims(x, x.rank), shifts), np.uint8((1 << bits) - 1))

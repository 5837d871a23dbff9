"""Quantisation and triangles against ONNX Runtime and NumPy."""
import numpy as np
import pytest

from dlcompile import ops
from tests.operators.helpers import check, normal, onnx_runtime


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_quantize(dtype, axis):
    x = np.concatenate([normal(3, 20) * 40, np.array([[0.5, 1.5, 2.5, -0.5], [1e9, -1e9, 0, 1], [-1.5, -2.5, 3.5, 126.5]], np.float32)], 1)
    count = () if axis is None else (x.shape[axis],)
    scale = (np.abs(normal(*count)) + 0.25 if count else np.asarray(0.5)).astype(np.float32)
    zero = np.random.default_rng(4).integers(0, 5, count).astype(dtype)
    options = {} if axis is None else {"axis": axis}
    (expected,) = onnx_runtime("QuantizeLinear", [x, scale, zero], **options)
    check(lambda *t: ops.quantize_linear(*t, **options), [x, scale, zero], expected)
    (back,) = onnx_runtime("DequantizeLinear", [expected, scale, zero], **options)
    check(lambda *t: ops.dequantize_linear(*t, **options), [expected, scale, zero], back, rtol=1e-7)


def test_dequantize_int32():
    arrays = [np.array([[2**30, -5]], np.int32), np.asarray(0.1, np.float32), np.asarray(0, np.int32)]
    check(ops.dequantize_linear, arrays, onnx_runtime("DequantizeLinear", arrays)[0], rtol=1e-6)


@pytest.mark.parametrize("k", [-3, -1, 0, 2, 9])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_trilu(k, dtype):
    x = (normal(2, 4, 5) * 5).astype(dtype)
    check(lambda t: ops.trilu(t, k), [x], np.triu(x, k))
    check(lambda t: ops.trilu(t, k, upper=False), [x], np.tril(x, k))

"""Normalisations against ONNX Runtime, ONNX's reference evaluator or their formulas in float64."""
import ml_dtypes
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import ShapeError
from dlcompile.graph import make_input
from tests.operators.helpers import check, normal, onnx_reference, onnx_runtime, run

CLOSE = dict(rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("shape, axis", [((2, 3, 8), -1), ((2, 3, 8), 1), ((4, 5), 0), ((7,), 0)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_layer(shape, axis, with_bias):
    x, scale = normal(*shape) * 3 + 1, normal(*shape[axis:])
    arrays = [x, scale, *([normal(*shape[axis:])] if with_bias else [])]
    (expected,) = onnx_runtime("LayerNormalization", arrays, axis=axis, epsilon=1e-3)
    check(lambda *t: ops.layer_normalization(*t, axis=axis, epsilon=1e-3), arrays, expected, **CLOSE)


@pytest.mark.parametrize("shape, axis", [((2, 3, 8), -1), ((4, 5), 0)])
def test_rms(shape, axis):
    x, scale = normal(*shape) * 3 + 1, normal(*shape[axis:])
    wide = x.astype(np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    expected = wide / np.sqrt((wide ** 2).mean(axes, keepdims=True) + 1e-3) * scale
    check(lambda *t: ops.rms_normalization(*t, axis=axis, epsilon=1e-3), [x, scale], expected.astype(np.float32), **CLOSE)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4), (2, 3), (5,)])
def test_batch(shape):
    channels = shape[1] if len(shape) > 1 else 1
    x = normal(*shape)
    scale, bias, mean = (normal(channels) for _ in range(3))
    variance = np.abs(normal(channels)) + 0.1
    arrays = [x, scale, bias, mean, variance]
    wide = [a.astype(np.float64).reshape([-1 if i == 1 else 1 for i in range(x.ndim)] if x.ndim > 1 else -1) for a in arrays[1:]]
    expected = (x - wide[2]) / np.sqrt(wide[3] + 1e-3) * wide[0] + wide[1]
    check(lambda *t: ops.batch_normalization(*t, epsilon=1e-3), arrays, expected.astype(np.float32), fixed=(0, 1), **CLOSE)
    if x.ndim > 1:
        (runtime,) = onnx_runtime("BatchNormalization", arrays, opset=15, epsilon=1e-3)
        check(lambda *t: ops.batch_normalization(*t, epsilon=1e-3), arrays, runtime, **CLOSE)
        last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        check(lambda *t: ops.batch_normalization(*t, axis=x.ndim - 1, epsilon=1e-3), [last, *arrays[1:]],
              np.moveaxis(expected, 1, -1).astype(np.float32), **CLOSE)


def test_instance():
    arrays = [normal(2, 3, 5, 4) + 2, normal(3), normal(3)]
    (expected,) = onnx_runtime("InstanceNormalization", arrays, epsilon=1e-3)
    check(lambda *t: ops.instance_normalization(*t, epsilon=1e-3), arrays, expected, **CLOSE)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group(groups):
    x, scale, bias = normal(2, 6, 5, 4) + 2, normal(6), normal(6)
    wide = x.astype(np.float64).reshape(2, groups, -1)
    wide = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-3)
    expected = wide.reshape(x.shape) * scale[:, None, None] + bias[:, None, None]
    check(lambda *t: ops.group_normalization(*t, num_groups=groups, epsilon=1e-3), [x, scale, bias], expected.astype(np.float32), fixed=(1,), **CLOSE)


@pytest.mark.parametrize("size", [1, 3, 4, 5])
def test_lrn(size):
    """Windows of an even size reach one further up. (ONNX Runtime takes odd ones only, its reference evaluator errs beyond channel 2.)"""
    x = normal(2, 7, 3, 3)
    squares = x.astype(np.float64) ** 2
    sums = np.stack([squares[:, max(0, c - (size - 1) // 2):c + size // 2 + 1].sum(1) for c in range(7)], 1)
    options = dict(size=size, alpha=0.3, beta=0.6, bias=1.5)
    check(lambda t: ops.lrn(t, **options), [x], (x / (1.5 + 0.3 / size * sums) ** 0.6).astype(np.float32), fixed=(1,), **CLOSE)
    if size % 2:
        check(lambda t: ops.lrn(t, **options), [x], onnx_runtime("LRN", [x], **options), fixed=(1,), **CLOSE)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [0, -1])
def test_lp(p, axis):
    x = normal(3, 4)
    x[0] = x[:, 0] = 0
    norm = np.linalg.norm(x.astype(np.float64), ord=p, axis=axis, keepdims=True)
    expected = np.divide(x, norm, out=np.zeros(x.shape), where=norm != 0)
    check(lambda t: ops.lp_normalization(t, axis=axis, p=p), [x], expected.astype(np.float32), **CLOSE)


def test_mean_variance():
    x = normal(2, 3, 4, 5) * 2 + 1
    (expected,) = onnx_reference("MeanVarianceNormalization", [x])
    check(ops.mean_variance_normalization, [x], expected, **CLOSE)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_statistics_of_narrow_floats_are_taken_in_float32(dtype):
    """Sums of squares of 16-bit floats would overflow (float16) or stop growing (bfloat16)."""
    x = (normal(3, 600) * 200 + 300).astype(dtype)
    one, zero = np.ones(600, dtype), np.zeros(600, dtype)
    wide = x.astype(np.float64)
    centered = wide - wide.mean(-1, keepdims=True)
    for build, arrays, expected in (
            (lambda *t: ops.layer_normalization(*t), [x, one, zero], centered / np.sqrt((centered ** 2).mean(-1, keepdims=True) + 1e-5)),
            (lambda *t: ops.rms_normalization(*t), [x, one], wide / np.sqrt((wide ** 2).mean(-1, keepdims=True) + 1e-5)),
            (lambda *t: ops.instance_normalization(*t), [x[None], one[:3], zero[:3]],
             (centered / np.sqrt((centered ** 2).mean(-1, keepdims=True) + 1e-5))[None]),
            (lambda *t: ops.group_normalization(*t, num_groups=3), [x[None], one[:3], zero[:3]],
             (centered / np.sqrt((centered ** 2).mean(-1, keepdims=True) + 1e-5))[None])):
        (result,) = run(build, *arrays)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.astype(np.float64), expected, rtol=2e-2, atol=2e-2)


def test_a_constant_row_is_zero():
    x = np.full((2, 8), 1e4, np.float32)
    check(lambda t: ops.layer_normalization(t, np.ones(8, np.float32)), [x], np.zeros((2, 8), np.float32), atol=1e-6)


def test_refusals():
    x = make_input("x", np.float32, (2, 3, 4))
    with pytest.raises(ShapeError):
        ops.layer_normalization(x, np.ones(5, np.float32))
    with pytest.raises(ShapeError):
        ops.batch_normalization(x, *(np.ones(4, np.float32),) * 4)

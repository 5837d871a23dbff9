"""Reductions, positions of extremes and running sums against NumPy."""
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlcompile import ops
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import make_input, symbol
from tests.operators.helpers import check, normal, onnx_runtime, run

FEW = settings(max_examples=25, deadline=None)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4)
NUMPY = {"reduce_sum": np.sum, "reduce_prod": np.prod, "reduce_max": np.max, "reduce_min": np.min}


def some_axes(data, rank):
    return sorted(data.draw(st.sets(st.integers(0, rank - 1)))) if rank else []


@pytest.mark.parametrize("name", NUMPY)
@FEW
@given(SHAPES, st.data(), st.booleans())
def test_floats(name, shape, data, keepdims):
    x, axes = normal(*shape, dtype=np.float64), some_axes(data, len(shape))
    signed = tuple(a - len(shape) if data.draw(st.booleans()) else a for a in axes)
    expected = NUMPY[name](x, axis=tuple(axes), keepdims=keepdims)
    check(lambda t: getattr(ops, name)(t, signed, keepdims), [x], expected, rtol=1e-13, atol=1e-13)


def test_all_axes_by_default_and_none_for_the_empty_list():
    x = normal(2, 3)
    check(ops.reduce_max, [x], x.max())
    check(lambda t: ops.reduce_max(t, ()), [x], x)
    check(lambda t: t.max(axis=-1), [x], x.max(-1))
    check(lambda t: t.mean((0, 1), keepdims=True), [x], x.mean(keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.uint8, np.uint64])
def test_integers_wrap(dtype):
    x = np.array([[100, 100, 3], [7, 0, 255 if dtype in (np.uint8, np.uint64) else 127]]).astype(dtype)
    for name, function in NUMPY.items():
        expected = function(x.astype(object), axis=1)
        bits = np.dtype(dtype).itemsize * 8
        wrapped = [(int(v) - np.iinfo(dtype).min) % 2**bits + np.iinfo(dtype).min for v in expected]
        check(lambda t: getattr(ops, name)(t, 1), [x], np.array(wrapped, dtype))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_floats_accumulate_in_float32(dtype):
    x = np.full((3000,), 1.0).astype(dtype)  # a running 16-bit sum stops at 2048 (float16) and 256 (bfloat16)
    check(ops.reduce_sum, [x], np.asarray(3000.0).astype(dtype))
    check(lambda t: ops.slice(ops.cumsum(t, 0), (2999,), (3000,)), [x], np.asarray([3000.0]).astype(dtype))


def test_empty():
    x = np.zeros((0, 2), np.float32)
    for name, value in (("reduce_sum", 0), ("reduce_prod", 1), ("reduce_max", -math.inf), ("reduce_min", math.inf)):
        check(lambda t: getattr(ops, name)(t, 0), [x], np.full(2, value, np.float32))
    check(lambda t: ops.reduce_max(t, 0), [np.zeros((0,), np.int8)], np.int8(-128))
    check(lambda t: ops.reduce_and(t, 0), [np.zeros((0,), bool)], np.bool_(True))


def test_nan_is_an_extreme():
    x = np.array([[1, math.nan, 3], [1, 2, -math.inf]], np.float32)
    check(lambda t: ops.reduce_max(t, 1), [x], np.array([math.nan, 2], np.float32))
    check(lambda t: ops.reduce_min(t, 1), [x], np.array([math.nan, -math.inf], np.float32))


def test_logic():
    x = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
    check(lambda t: ops.reduce_and(t, 1), [x], x.all(1))
    check(lambda t: ops.reduce_or(t, 1, True), [x], x.any(1, keepdims=True))
    for name, dtype in (("reduce_and", np.int32), ("reduce_sum", bool)):
        with pytest.raises(DTypeError, match="bool"):
            getattr(ops, name)(make_input("x", dtype, (2,)))


def test_mean_of_symbols():
    x = normal(5, 3)
    check(lambda t: ops.reduce_mean(t, 0), [x], x.mean(0), rtol=1e-6)
    check(lambda t: ops.reduce_mean(t), [x], x.mean(), rtol=1e-6)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape, axis", [((7,), 0), ((3, 5), 1), ((3, 5), 0), ((2, 3, 4), -2), ((1, 1), 0)])
def test_positions(name, last, shape, axis):
    """With many equals, as ONNX Runtime breaks the ties."""
    x = np.random.default_rng(3).integers(0, 3, shape).astype(np.float32)
    for keepdims in (False, True):
        (expected,) = onnx_runtime("ArgMax" if name == "argmax" else "ArgMin", [x], axis=axis, keepdims=int(keepdims), select_last_index=int(last))
        check(lambda t: getattr(ops, name)(t, axis, keepdims, last), [x], expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
@FEW
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5), st.data())
def test_cumulative(exclusive, reverse, shape, data):
    x, axis = normal(*shape, dtype=np.float64), data.draw(st.integers(-len(shape), len(shape) - 1))
    for name, start, combine in (("cumsum", 0.0, lambda a, b: a + b), ("cumprod", 1.0, lambda a, b: a * b)):
        y = np.moveaxis(x, axis, 0)
        rows, total = [], np.full(y.shape[1:], start)
        for row in y[::-1] if reverse else y:
            rows.append(total if exclusive else combine(total, row))
            total = combine(total, row)
        expected = np.moveaxis(np.array(rows[::-1] if reverse else rows).reshape(y.shape), 0, axis)
        check(lambda t: getattr(ops, name)(t, axis, exclusive, reverse), [x], expected, rtol=1e-12)


def test_cumulative_integers_wrap():
    x = np.array([100, 100, 100], np.int8)
    check(lambda t: ops.cumsum(t, 0), [x], np.array([100, -56, 44], np.int8))


def test_refusals():
    x = make_input("x", np.float32, (symbol("n"), 0))
    for build in (lambda: ops.reduce_sum(x, 2), lambda: ops.argmax(x, 1), lambda: ops.cumsum(x, -3), lambda: ops.reduce_sum(x, (0, 0))):
        with pytest.raises(ShapeError):
            build()
    with pytest.raises(DTypeError, match="bool"):
        ops.cumsum(make_input("b", bool, (2,)), 0)


def test_flops():
    from dlcompile.graph import OPERATORS
    x = make_input("x", np.float32, (symbol("n"), 8))
    assert OPERATORS["reduce_sum"].flops((x.type,), (), {}) == 8 * symbol("n")
    assert run(lambda t: ops.reduce_sum(t), normal(2, 2))[0].shape == ()

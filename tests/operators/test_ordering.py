"""Sorting and the k largest: values against sorted(), indices against the order ONNX Runtime gives."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlcompile import ops
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import as_dtype, make_input, symbol
from tests.operators.helpers import check, normal, onnx_runtime, run

FEW = settings(max_examples=25, deadline=None)
RNG = np.random.default_rng(11)


@FEW
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5), st.data(), st.booleans())
def test_sort(shape, data, descending):
    axis, x = data.draw(st.integers(-len(shape), len(shape) - 1)), normal(*shape)
    expected = -np.sort(-x, axis) if descending else np.sort(x, axis)
    check(lambda t: ops.sort(t, axis, descending), [x], expected)


@FEW
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6), st.data(), st.booleans())
def test_top_k(shape, data, largest):
    """Among many equals the one with the lowest index comes first."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    k = data.draw(st.integers(1, shape[axis]))
    x = RNG.integers(0, 4, shape).astype(np.float32)
    expected = onnx_runtime("TopK", [x, np.array([k])], 2, axis=axis, largest=int(largest), sorted=1)
    check(lambda t: ops.top_k(t, k, axis, largest), [x], expected)


def test_unsigned_and_extremes():
    x = np.array([0, 255, 3, 255], np.uint8)
    check(lambda t: ops.top_k(t, 3), [x], (np.array([255, 255, 3], np.uint8), np.array([1, 3, 2])))
    low = np.array([-128, 127, -128], np.int8)
    check(lambda t: ops.top_k(t, 2, largest=False), [low], (np.array([-128, -128], np.int8), np.array([0, 2])))
    y = np.array([math.inf, 1, -math.inf], np.float32)
    check(lambda t: ops.sort(t, descending=True), [y], y)


def test_nan_counts_as_larger_than_all():
    x = np.array([1, math.nan, 3, math.inf], np.float32)
    check(ops.sort, [x], np.array([1, 3, math.inf, math.nan], np.float32))
    values, indices = run(lambda t: ops.top_k(t, 2), x)
    assert math.isnan(values[0]) and values[1] == math.inf and indices.tolist() == [1, 3]


def test_k_of_symbols():
    n = symbol("n")
    x = make_input("x", np.float32, (3, n))
    values, indices = ops.top_k(x, n)
    assert values.shape == indices.shape == (3, n) and indices.dtype == np.int64
    for k in (n + 1, -1):
        with pytest.raises(ShapeError, match="largest along axis 1"):
            ops.top_k(x, k)


def test_what_has_no_order():
    for dtype in ("complex64", "int4"):
        x = make_input("x", as_dtype(dtype), (3, 4))
        # complex numbers are told apart without an order of their own
        for make in (ops.sort, lambda t: ops.top_k(t, 1), *([] if dtype == "complex64" else [ops.unique])):
            with pytest.raises(DTypeError, match="only real numbers"):
                make(x)

"""Sliding windows against the definition and ONNX Runtime's pooling."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcompile import ops
from dlcompile.errors import ShapeError
from dlcompile.graph import make_input
from tests.operators.helpers import check, normal, onnx_runtime

FEW = settings(max_examples=30, deadline=None)
REDUCE = {"max": (max, -math.inf), "min": (min, math.inf), "sum": (lambda a, b: a + b, 0.0)}


@pytest.mark.parametrize("kind", REDUCE)
@FEW
@given(st.data())
def test_reduce_window(kind, data):
    rank = data.draw(st.integers(1, 3))
    shape, window = ([data.draw(st.integers(1, high)) for _ in range(rank)] for high in (5, 3))
    strides, dilation = ([data.draw(st.integers(1, 3)) for _ in range(rank)] for _ in range(2))
    padding = [(data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in range(rank)]
    padding = [(a, b + max(0, (k - 1) * d + 1 - e - a - b)) for (a, b), k, d, e in zip(padding, window, dilation, shape)]
    x = normal(*shape, dtype=np.float64)
    combine, neutral = REDUCE[kind]
    out = [(e + a + b - ((k - 1) * d + 1)) // s + 1 for e, (a, b), k, d, s in zip(shape, padding, window, dilation, strides)]
    expected = np.full(out, neutral)
    for place in np.ndindex(*out):
        for tap in np.ndindex(*window):
            source = tuple(p * s + t * d - a for p, s, t, d, (a, _) in zip(place, strides, tap, dilation, padding))
            if all(0 <= i < e for i, e in zip(source, shape)):
                expected[place] = combine(expected[place], x[source])
    check(lambda t: ops.reduce_window(t, kind, window, strides, padding, dilation), [x], expected, rtol=1e-13, atol=1e-13)


def test_other_types():
    x = np.array([[3, -5, 7, -128]], np.int8)
    check(lambda t: ops.reduce_window(t, "max", (1, 2), (1, 1), ((0, 0), (1, 1))), [x], np.array([[3, 3, 7, 7, -128]], np.int8))
    y = np.array([1.0, math.nan, 3.0], np.float32)
    check(lambda t: ops.reduce_window(t, "max", (2,)), [y], np.array([math.nan, math.nan], np.float32))
    ones = np.ones(3000, np.float16)
    check(lambda t: ops.reduce_window(t, "sum", (3000,)), [ones], np.array([3000], np.float16))


@pytest.mark.parametrize("attributes", [
    dict(kernel_shape=[2, 2], strides=[2, 2]), dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1]), dict(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1]),
    dict(kernel_shape=[2, 2], dilations=[2, 2])])
@pytest.mark.parametrize("include", [False, True])
def test_pooling_as_onnx_runtime(attributes, include):
    x = normal(2, 3, 7, 6)
    pads = attributes.get("pads", [0] * 4)
    options = dict(window=attributes["kernel_shape"], strides=attributes.get("strides", [1, 1]), padding=list(zip(pads[:2], pads[2:])),
                   dilation=attributes.get("dilations"))
    (mean,) = onnx_runtime("AveragePool", [x], count_include_pad=int(include), **attributes)
    check(lambda t: ops.average_pool(t, count_include_pad=include, **options), [x], mean, rtol=1e-5, atol=1e-6)
    (largest,) = onnx_runtime("MaxPool", [x], **attributes)
    window = {k: (1, 1, *(v or (1, 1))) for k, v in options.items() if k != "padding"}
    check(lambda t: ops.reduce_window(t, "max", padding=((0, 0), (0, 0), *options["padding"]), **window), [x], largest)


def test_refusals():
    x = make_input("x", np.float32, (2, 3))
    for arguments in (("max", (1, 4)), ("max", (1,)), ("mean", (1, 1))):
        with pytest.raises(ShapeError, match="reduce_window"):
            ops.reduce_window(x, *arguments)

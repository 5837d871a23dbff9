"""Windows of every kind against differences, and where there is none against loops."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlcompile import ops
from dlcompile.graph import symbol
from tests.autodiff.helpers import check, derivative, normal

FEW = settings(max_examples=40, deadline=None)


def first_of_each_window(x, kind, window, strides, padding, dilation, cotangent):
    """What the first greatest (least) element of each window gets, in row-major order."""
    best = {"max": lambda a, b: a > b, "min": lambda a, b: a < b}[kind]
    result = np.zeros_like(x)
    for place in np.ndindex(cotangent.shape):
        found = None
        for tap in np.ndindex(*window):
            at = tuple(p * s + t * d - low for p, s, t, d, (low, _) in zip(place, strides, tap, dilation, padding))
            if all(0 <= i < n for i, n in zip(at, x.shape)) and (found is None or best(x[at], x[found])):
                found = at
        if found is not None:
            result[found] += cotangent[place]
    return result


@st.composite
def windows(draw):
    rank = draw(st.integers(1, 3))
    shape, window = ([draw(st.integers(1, high)) for _ in range(rank)] for high in (6, 4))
    strides, dilation = ([draw(st.integers(1, high)) for _ in range(rank)] for high in (4, 2))
    padding = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank)]
    assume(all(n + a + b >= (k - 1) * d + 1 for n, (a, b), k, d in zip(shape, padding, window, dilation)))
    return shape, window, strides, padding, dilation


@FEW
@given(windows())
def test_sums(parameters):
    shape, *rest = parameters
    check(lambda x: ops.reduce_window(x, "sum", *rest), normal(*shape))


@pytest.mark.parametrize("kind", ["max", "min"])
@FEW
@given(parameters=windows(), seed=st.integers(0, 10**6))
def test_of_equals_the_first(kind, parameters, seed):
    shape, window, strides, padding, dilation = parameters
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, shape).astype(np.float64)
    out = [(n + a + b - ((k - 1) * d + 1)) // s + 1 for n, (a, b), k, d, s in zip(shape, padding, window, dilation, strides)]
    c = rng.normal(size=out)
    # windows that lie in the padding are infinite, and have no cotangent
    (got,) = derivative(lambda x: ops.mul_no_nan(ops.reduce_window(x, kind, window, strides, padding, dilation), c), x)
    np.testing.assert_allclose(got, first_of_each_window(x, kind, window, strides, padding, dilation, c), atol=1e-12)


def test_an_element_may_be_what_padding_counts_for():
    x = np.full((3,), -np.inf)
    (got,) = derivative(lambda x: ops.reduce_window(x, "max", (3,), (1,), ((2, 0),)), x)
    np.testing.assert_array_equal(got, [3, 0, 0])


@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("window, strides", [((3, 2), (2, 1)), ((2, 2), (2, 3)), ((5, 5), (1, 2))])
def test_images_of_any_size(kind, window, strides):
    n, h, w = symbol("n"), symbol("h"), symbol("w")
    check(lambda x: ops.reduce_window(x, kind, (1, *window), (1, *strides), ((0, 0), (1, 1), (1, 0))), normal(2, 7, 6), dims={0: (n, h, w)})


@pytest.mark.parametrize("include", [False, True])
def test_average_pooling(include):
    check(lambda x: ops.average_pool(x, window=(3, 2), strides=(2, 2), padding=((1, 1), (0, 1)), count_include_pad=include), normal(2, 3, 7, 6))


def test_second_derivatives_of_large_windows():
    check(lambda x: ops.reduce_window(x, "max", (5, 5), (1, 2), ((2, 2), (1, 0))), normal(6, 7), order=2)

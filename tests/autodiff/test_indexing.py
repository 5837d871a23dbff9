"""Scatters with equal indices, zeros and ties; sorting and extremes of equals."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import symbol
from tests.autodiff.helpers import check, derivative, normal


def test_of_updates_to_one_place_the_last_counts():
    x, u = derivative(lambda x, u: ops.scatter_elements(x, np.array([1, 1, 0, 1]), u) * np.array([1.0, 10, 100]), normal(3), normal(4))
    np.testing.assert_array_equal(x, [0, 0, 100])
    np.testing.assert_array_equal(u, [0, 0, 1, 10])


def test_equals_share():
    """What is written and what was there."""
    x, u = derivative(lambda x, u: ops.scatter_elements(x, np.array([0, 0, 2]), u, reduction="max"), np.array([1.0, 5, 2]), np.array([1.0, 1, 0]))
    np.testing.assert_allclose(x, [1 / 3, 1, 1])
    np.testing.assert_allclose(u, [1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("updates", [[0.0, 2, 3], [0.0, 0, 3], [0.0, 0, 0], [1.0, 2, 3]])
@pytest.mark.parametrize("start", [2.0, 0.0])
def test_products_with_zeros(start, updates):
    check(lambda x, u: ops.scatter_elements(x, np.array([0, 0, 0]), u, reduction="mul"), np.array([start, 5]), np.array(updates))
    check(lambda x, u: ops.scatter_nd(x, np.array([[0], [0], [0]]), u, "mul"), np.array([start, 5]), np.array(updates))


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max"])
def test_extents_that_are_symbols(reduction):
    n = symbol("n")
    x, u = normal(4, 3), normal(2, 3)
    check(lambda x, u: ops.scatter_nd(x, np.array([[0], [-1]]), u, reduction), x, u, dims={0: (n, 3)})
    check(lambda x, u: ops.scatter_elements(x, np.array([[1, 0, 2], [3, -1, 0]]), u, 0, reduction), x, u, dims={0: (n, 3)})


def test_unsigned_and_narrow_indices():
    x = normal(5)
    for dtype in (np.uint8, np.int32, np.uint64):
        (slope,) = derivative(lambda x, d=dtype: ops.gather(x, np.array([4, 0, 4], d)), x)
        np.testing.assert_array_equal(slope, [1, 0, 0, 0, 2])


def test_an_embedding():
    table, words = normal(7, 3), np.array([[1, 1, 6], [0, 1, 2]])
    (slope, _) = derivative(lambda t, w: ops.gather(t, words) * w, table, normal(2, 3, 3))
    assert slope.shape == table.shape and not slope[3:6].any()
    check(lambda t: ops.gather(t, words), table)


def test_sorting_equals_keeps_their_order():
    weights = np.array([1.0, 10, 100, 1000])
    x = np.array([2.0, 1, 2, 1])
    np.testing.assert_array_equal(derivative(lambda x: ops.sort(x) * weights, x)[0], [100, 1, 1000, 10])
    np.testing.assert_array_equal(derivative(lambda x: ops.sort(x, descending=True) * weights, x)[0], [1, 100, 10, 1000])
    np.testing.assert_array_equal(derivative(lambda x: ops.top_k(x, 3)[0] * weights[:3], x)[0], [1, 100, 10, 0])


def test_equals_share_what_a_maximum_gets():
    np.testing.assert_array_equal(derivative(lambda x: ops.reduce_max(x), np.array([1.0, 3, 3, 2]))[0], [0, 0.5, 0.5, 0])


def test_the_indices_of_the_largest_have_no_derivative():
    (slope,) = derivative(lambda x: ops.cast(ops.top_k(x, 2)[1], np.float64) + ops.cast(ops.argmax(x, 0), np.float64), normal(4))
    np.testing.assert_array_equal(slope, np.zeros(4))

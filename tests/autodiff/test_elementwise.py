"""Corners of elementwise derivatives: ties, poles, and branches that are not taken."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.autodiff import gradients
from tests.autodiff.helpers import check, derivative, normal, run

INF, NAN = np.inf, np.nan

KNOWN = {
    "|x| at 0": (ops.abs, [0.0, -2, 3], [0, -1, 1]),
    "√x at 0": (ops.sqrt, [0.0, 4], [INF, 0.25]),
    "x² by pow, at 0": (lambda x: ops.pow(x, 2.0), [0.0, -3], [0, -6]),
    "x¹ by pow, at 0": (lambda x: ops.pow(x, 1.0), [0.0, -3], [1, 1]),
    "x⁰ by pow, at 0": (lambda x: ops.pow(x, 0.0), [0.0, -3], [0, 0]),
    "2ˣ": (lambda x: ops.pow(np.float64(2), x), [0.0, 3], [np.log(2), 8 * np.log(2)]),
    "0ˣ": (lambda x: ops.pow(np.float64(0), x), [2.0, 1], [0, 0]),
    "maximum of equals": (lambda x: ops.maximum(x, 1.0), [0.0, 1, 2], [0, 0.5, 1]),
    "minimum of equals": (lambda x: ops.minimum(x, 1.0), [0.0, 1, 2], [1, 0.5, 0]),
    "atan2 beside the origin": (lambda x: ops.atan2(x, np.float64(-2)), [1.0, -1], [-0.4, -0.4]),
    "remainder": (lambda x: ops.rem(np.float64(7), x), [2.0, -3, 0.9], [-3, 2, -7]),
    "near 1": (ops.acosh, [1 + 1e-12], [1 / np.sqrt(2e-12)]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_values(name):
    function, at, expected = KNOWN[name]
    np.testing.assert_allclose(derivative(function, np.array(at))[0], expected, rtol=1e-4, atol=1e-12)


NOT_TAKEN = {  # function, where it is not to be taken
    "sqrt": (ops.sqrt, [0.0, -1]), "rsqrt": (ops.rsqrt, [0.0]), "log": (ops.log, [0.0, -1]), "log1p": (ops.log1p, [-1.0]),
    "exp": (ops.exp, [1e4, INF]), "expm1": (ops.expm1, [1e4]), "sinh": (ops.sinh, [1e4]), "cosh": (ops.cosh, [-1e4]),
    "asin": (ops.asin, [1.0, 2]), "acos": (ops.acos, [-1.0]), "acosh": (ops.acosh, [1.0, 0]), "atanh": (ops.atanh, [1.0]),
    "sin": (ops.sin, [INF]), "cos": (ops.cos, [INF]), "tan": (ops.tan, [INF]),
    "1/x": (lambda x: ops.div(1.0, x), [0.0]), "x/x": (lambda x: ops.div(x, x), [0.0]), "xᵃ": (lambda x: ops.pow(x, 0.3), [0.0]),
    "xˣ": (lambda x: ops.pow(x, x), [0.0]), "atan2": (lambda x: ops.atan2(x, x), [0.0]), "rem": (lambda x: ops.rem(1.0, x), [0.0]),
    "√ of √": (lambda x: ops.sqrt(ops.sqrt(x)), [0.0]),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_a_branch_that_is_not_taken_has_no_influence(name):
    """select(mask, f(x), x²), and its second derivative."""
    function, at = NOT_TAKEN[name]
    x = np.array([*at, 0.5])
    taken = np.array([False] * len(at) + [name != "acosh"])  # which begins at 1

    def branches(x):
        return ops.select(taken, function(x), x * x)

    def second(x):
        return gradients(gradients(branches(x), [x])[0], [x])

    np.testing.assert_array_equal(derivative(branches, x)[0][:len(at)], 2 * x[:len(at)])
    if name not in ("tan", "xˣ"):  # whose derivatives are products of what is NaN there
        np.testing.assert_array_equal(run(second, x)[0][:len(at)], np.full(len(at), 2.0))


def test_a_cotangent_that_happens_to_be_0_counts_in_the_second_derivative():
    """(ln x)² has a minimum at 1, and the second derivative 2/x² (1 - ln x)."""
    def second(x):
        return gradients(gradients(ops.square(ops.log(x)), [x])[0], [x])

    x = np.array([1.0, 2])
    np.testing.assert_allclose(run(second, x)[0], 2 / x**2 * (1 - np.log(x)), rtol=1e-12)


def test_a_product_that_is_0_where_a_factor_is():
    a, b = np.array([INF, NAN, 2, -INF]), np.array([0.0, 0, 3, 2])
    np.testing.assert_array_equal(run(ops.mul_no_nan, a, b)[0], [0, 0, 6, -INF])
    check(ops.mul_no_nan, normal(3, 4), normal(4))
    check(ops.mul_no_nan, normal(3, 4), normal(4), order=2)


def test_large_arguments_do_not_overflow():
    x = np.float32([-1e4, 1e4])
    for function, expected in ((ops.tanh, [0, 0]), (ops.logistic, [0, 0]), (ops.erf, [0, 0]), (ops.atan, [1e-8, 1e-8])):
        np.testing.assert_allclose(derivative(function, x)[0], expected, rtol=1e-5)

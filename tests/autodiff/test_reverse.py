"""What holds for derivatives of any graph."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.autodiff import gradients, pull_back, substituted
from dlcompile.errors import DTypeError, UnsupportedOperatorError
from dlcompile.graph import Graph, make_input, provenance, symbol
from dlcompile.operators import evaluate
from tests.autodiff.helpers import check, derivative, graph_of, normal, run


def test_no_influence_gives_zeros():
    first, second = derivative(lambda x, z: ops.floor(x) + ops.cast(ops.gt(x, 0.0), np.float32), np.float32([1, 2]), np.float32([1, 2, 3]))
    np.testing.assert_array_equal(first, np.zeros(2, np.float32))
    np.testing.assert_array_equal(second, np.zeros(3, np.float32))


def test_what_is_behind_a_tensor_does_not_matter():
    w = make_input("w", np.float64, (3,))
    h = ops.sin(w)
    (g,) = evaluate(Graph("g", [w], gradients(ops.mul(h, h), [h])), {"w": np.array([0.1, 0.2, 0.3])})
    np.testing.assert_allclose(g, 2 * np.sin([0.1, 0.2, 0.3]))


def test_a_tensor_that_is_read_twice():
    x = normal(3)
    np.testing.assert_allclose(derivative(lambda x: x * x * x + x, x)[0], 3 * x * x + 1)


def test_a_composite_that_reads_a_tensor_twice():
    check(lambda x: ops.attention(x, x, x), normal(2, 3, 4))


def test_second_and_third_derivatives():
    def third(x):
        (first,) = gradients(ops.sin(x) * x, [x])
        (second,) = gradients(first, [x])
        return gradients(second, [x])

    x = normal(4)
    np.testing.assert_allclose(run(third, x)[0], -3 * np.sin(x) - x * np.cos(x), rtol=1e-12)


def test_a_graph_at_another_place():
    x, other = make_input("x", np.float64, (2,)), make_input("other", np.float64, (2,))
    y = ops.exp(ops.mul(x, x))
    moved, kept = substituted([y, x], {x: other})
    assert kept is other
    np.testing.assert_allclose(evaluate(Graph("g", [other], (moved,)), {"other": np.array([0.5, 1])})[0], np.exp([0.25, 1]))


def test_cotangents_of_several_results():
    """Those of a result that is given twice add up."""
    def function(x):
        y, z = ops.sin(x), x * x
        found = pull_back([(y, ops.as_tensor(np.float64(2))), (z, ops.as_tensor(np.float64(3))), (y, ops.as_tensor(np.float64(1)))], [x])
        return found[x]

    x = np.float64(0.7)
    np.testing.assert_allclose(run(function, x)[0], 3 * np.cos(x) + 6 * x)


def test_symbolic_dimensions_stay():
    n = symbol("n")
    x, w = make_input("x", np.float32, (n, 4)), make_input("w", np.float32, (4, 2))
    first, second = gradients(ops.softmax(ops.matmul(x, w), 1), [x, w])
    assert first.type == x.type and second.type == w.type


def test_a_size_that_data_decides():
    """The elements that are not 0 are as many as there are."""
    def function(x):
        return ops.reduce_sum(ops.exp(ops.compress(ops.gt(x, 0.0), x)))

    x = np.array([0.5, -1, 2, -3, 0.1])
    np.testing.assert_allclose(derivative(function, x)[0], np.where(x > 0, np.exp(x), 0))


def test_names_are_kept():
    x = make_input("x", np.float32, (3,))
    with provenance("layer"):
        y = ops.sin(x)
    (g,) = gradients(y, [x])
    assert "layer" in g.producer.origin


def test_what_has_no_derivative_is_named():
    x = make_input("x", np.float16, (4,))
    with provenance("twiddle"):
        y = ops.bitcast(x, "bfloat16")
    with pytest.raises(UnsupportedOperatorError, match="bitcast.*from twiddle.*the bits of a number"):
        gradients(y, [x])


def test_only_floats_have_derivatives():
    x, k = make_input("x", np.float64, (4,)), make_input("k", np.int64, (4,))
    with pytest.raises(DTypeError, match=r"int64\[4\]"):
        gradients(ops.mul(ops.cast(k, np.float64), x), [x, k])
    with pytest.raises(UnsupportedOperatorError, match="complex"):
        gradients(ops.cast(ops.mul(ops.cast(x, np.complex128), np.complex128(1j)), np.float64), [x])


def test_half_floats_are_summed_in_float32():
    """float16 ends at 65504."""
    x = np.full((4, 300), 200, np.float16)
    (slope,) = derivative(lambda x: ops.log_softmax(x * np.float16(0.25), 0), x)
    assert slope.dtype == np.float16 and np.isfinite(slope).all()
    (graph,) = (graph_of("g", [t := make_input("x", np.float16, (4, 300))], *gradients(ops.softmax(t, 1), [t])),)
    assert any(node.op == "reduce_sum" and node.inputs[0].dtype == np.float32 for node in graph.nodes)

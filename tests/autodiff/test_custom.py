"""What a model says about derivatives: it holds until the model is differentiated, and costs nothing after."""
from __future__ import annotations

import numpy as np
import pytest

import dlcompile
from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.frontends.onnx import export_onnx
from dlcompile.graph import Graph, make_input, verify
from dlcompile.operators import evaluate
from dlcompile.transforms import optimize
from tests.autodiff.helpers import derivative, graph_of, normal, run


def straight_through(x):
    """round(x), whose derivative is taken to be 1, times a factor that counts how often it is used."""
    c = make_input("c", x.dtype, x.shape)
    (y,) = ops.custom_vjp([ops.round(x)], [x], [], graph_of("backward", [c], c))
    return y


def clipped(x):
    """x, whose cotangents are cut to [-|x|, |x|]: a residual."""
    bound, c = make_input("bound", x.dtype, x.shape), make_input("c", x.dtype, x.shape)
    backward = graph_of("backward", [bound, c], ops.maximum(ops.minimum(c, bound), -bound))
    (y,) = ops.custom_vjp([x * np.ones((), x.dtype)], [x], [ops.abs(x)], backward)
    return y


def test_stop_gradient():
    x = normal(4)
    np.testing.assert_allclose(derivative(lambda x: ops.stop_gradient(x) * x, x)[0], x)
    np.testing.assert_array_equal(derivative(lambda x: ops.exp(ops.stop_gradient(x * x)), x)[0], np.zeros(4))
    np.testing.assert_array_equal(run(lambda x: ops.stop_gradient(x), x)[0], x)


def test_stop_gradient_leaves_sizes_known():
    x = make_input("x", np.float32, (3, 4))
    assert ops.stop_gradient(ops.shape_of(x)).known.tolist() == [3, 4]


def test_an_alias_is_told_from_what_it_is_an_alias_of():
    def by_alias(x):
        y = ops.alias(x)
        return gradients(y * y * x, [y])

    x = normal(4)
    np.testing.assert_allclose(run(by_alias, x)[0], 2 * x * x)
    np.testing.assert_allclose(derivative(lambda x: by_alias(x)[0], x)[0], 4 * x)
    t = make_input("x", np.float32, (3,))
    assert [n.op for n in optimize(Graph("g", [t], [ops.alias(t) * t])).nodes] == ["mul"]


def test_a_derivative_of_its_own():
    x = normal(4) * 3
    np.testing.assert_array_equal(derivative(lambda x: straight_through(x) * 2.0, x)[0], np.full(4, 2.0))
    np.testing.assert_array_equal(run(straight_through, x)[0], np.round(x))


def test_residuals():
    x = np.array([0.5, -2, 3])
    np.testing.assert_allclose(derivative(lambda x: clipped(x) * np.array([1.0, -5, 2]), x)[0], [0.5, -2, 2])


def test_its_derivative_has_one():
    """backward is a graph like any other: of c·|x| the derivative by x is c·sign(x)."""
    def function(x):
        bound, c = make_input("bound", x.dtype, x.shape), make_input("c", x.dtype, x.shape)
        (y,) = ops.custom_vjp([ops.stop_gradient(x)], [x], [ops.abs(x)], graph_of("backward", [bound, c], bound * c))
        return gradients(y, [x])

    x = normal(4)
    np.testing.assert_allclose(derivative(lambda x: function(x)[0], x)[0], np.sign(x))


def test_several_results_and_operands():
    """Results without a cotangent have zeros, and an integer operand has none."""
    def function(x, y, k):
        formal = [make_input(n, np.float64, (2,)) for n in ("cx", "cy")]
        backward = graph_of("backward", formal, formal[1] * 10.0, formal[0] + formal[1], np.zeros((2,), np.int64) + ops.cast(formal[0], np.int64))
        first, _ = ops.custom_vjp([x + y, x * y], [x, y, k], [], backward)
        return first

    x, y, k = normal(2), normal(2), np.array([1, 2])
    got = run(lambda x, y, k: gradients(function(x, y, k), [x, y]), x, y, k)
    np.testing.assert_array_equal(got[0], np.zeros(2))
    np.testing.assert_array_equal(got[1], np.ones(2))


def test_in_the_body_of_a_loop():
    def function(x):
        h = make_input("h", np.float64, (3,))
        return ops.scan(graph_of("body", [h], straight_through(h) * 2.0 + ops.stop_gradient(ops.sin(h))), x, num_carry=1, num_scanned=0, length=3)[0]

    np.testing.assert_array_equal(derivative(function, normal(3))[0], np.full(3, 8.0))


def test_refusals():
    x, c = make_input("x", np.float64, (3,)), make_input("c", np.float64, (3,))
    with pytest.raises(ShapeError, match="takes 1 tensors; expected 2"):
        ops.custom_vjp([x * 1.0], [x], [x], graph_of("backward", [c], c))
    with pytest.raises(ShapeError, match=r"yields is float64\[\]; expected float64\[3\]"):
        ops.custom_vjp([x * 1.0], [x], [], graph_of("backward", [c], ops.reduce_sum(c)))
    with pytest.raises(DTypeError, match=r"yields is float32\[3\]; expected float64\[3\]"):
        ops.custom_vjp([x * 1.0], [x], [], graph_of("backward", [c], ops.cast(c, np.float32)))


def model():
    x = make_input("x", np.float32, (2, 3))
    y = ops.matmul(clipped(ops.stop_gradient(x) + straight_through(x)), np.float32([[1], [2], [3]]))
    return verify(Graph("model", [x], [y], output_names=["y"]))


def expected(x):
    return (x + np.round(x)) @ np.float32([[1], [2], [3]])


def test_nothing_of_it_is_compiled():
    after = optimize(model())
    assert not {n.op for n in after.nodes} & {"stop_gradient", "custom_vjp", "abs"}
    x = normal(2, 3).astype(np.float32)
    np.testing.assert_allclose(evaluate(after, [x])[0], expected(x), rtol=1e-5)
    np.testing.assert_allclose(dlcompile.compile(model(), cache=False)(x), expected(x), rtol=1e-5)
    assert "custom_vjp" in str(model())


def test_nothing_of_it_is_exported():
    from onnx.reference import ReferenceEvaluator

    proto = export_onnx(model(), opset=20)
    assert {n.op_type for n in proto.graph.node} <= {"Add", "Round", "Mul", "MatMul", "Abs", "Gemm", "Reshape", "Transpose", "Identity"}
    x = normal(2, 3).astype(np.float32)
    np.testing.assert_allclose(ReferenceEvaluator(proto).run(None, {"x": x})[0], expected(x), rtol=1e-5)


def test_a_model_that_is_an_input():
    x = make_input("x", np.float32, (3,))
    graph = Graph("same", [x], [ops.stop_gradient(x)], output_names=["y"])
    values = np.float32([1, 2, 3])
    np.testing.assert_array_equal(dlcompile.compile(graph, cache=False)(values), values)

"""Functions that state their derivative themselves."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import ArgumentError
from dlcompile.functional import TensorSpec, custom_vjp, grad, jit, trace, value_and_grad
from dlcompile.operators import evaluate
from dlcompile.transforms import decompose

F = np.float32


def log1pexp():
    """ln(1 + eˣ), whose plain derivative overflows."""
    @custom_vjp
    def function(x):
        """ln(1 + e**x)"""
        return ops.log1p(ops.exp(x))

    function.defvjp(lambda x: (function(x), ops.exp(x)), lambda e, c: (c * (1.0 - 1.0 / (1.0 + e)),))
    return function


def test_value_and_derivative(backend):
    f = log1pexp()
    assert f.__doc__ == "ln(1 + e**x)"
    np.testing.assert_allclose(f(F(2)), np.log1p(np.exp(2)), rtol=1e-6)
    np.testing.assert_array_equal(grad(lambda x: f(x).sum())(np.array([0, 1000], F)), [0.5, 1])
    np.testing.assert_allclose(jit(f)(F(2)), np.log1p(np.exp(2)), rtol=1e-6)


def test_its_derivative_has_one(backend):
    s = 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(grad(grad(log1pexp()))(np.float64(0.5)), s * (1 - s))


def test_nothing_is_left_where_nothing_is_differentiated():
    """Not even the residuals."""
    graph = decompose(trace(log1pexp(), TensorSpec(("n",))))
    assert [n.op for n in graph.nodes] == ["exp", "log1p"]


def test_trees(backend):
    @custom_vjp
    def f(params, k, x):
        return {"y": params["a"] * x, "z": params["b"]}

    def forward(params, k, x):
        return f(params, k, x), {"x": x, "twice": (2.0, None), "a": params["a"]}

    def backward(residuals, cotangents):
        return {"a": cotangents["y"] * residuals["x"] * residuals["twice"][0], "b": None}, None, cotangents["y"] * residuals["a"] + cotangents["z"]

    f.defvjp(forward, backward)
    params, x = {"a": np.array([1.0, 2]), "b": np.array([5.0, 6])}, np.array([3.0, 4])

    def total(params, x):
        made = f(params, np.int64(3), x)
        return (made["y"] * np.array([1.0, 10])).sum() + (made["z"] * 100.0).sum()

    slopes, dx = grad(total, argnums=(0, 1))(params, x)
    np.testing.assert_array_equal(slopes["a"], 2 * x * [1, 10])
    np.testing.assert_array_equal(slopes["b"], [0, 0])
    np.testing.assert_array_equal(dx, params["a"] * [1, 10] + 100)


def test_arguments_that_are_not_differentiated(backend):
    from functools import partial

    @partial(custom_vjp, nondiff_argnums=(0, 2))
    def apply(function, x, scale):
        return function(x) * scale

    apply.defvjp(lambda function, x, scale: (apply(function, x, scale), x), lambda function, scale, x, c: (c * scale * 10.0,))
    assert apply(ops.neg, F(2), 3.0) == -6
    assert grad(lambda x: apply(ops.neg, x, 3.0))(F(2)) == 30


def test_what_backward_closes_over(backend):
    """A tensor of the trace around it."""
    def outer(x, factor):
        @custom_vjp
        def f(x):
            return x * 1.0

        f.defvjp(lambda x: (f(x), None), lambda _, c: (c * ops.exp(factor),))
        return f(x)

    value, (slope, other) = value_and_grad(outer, argnums=(0, 1))(np.float64(2), np.float64(0.5))
    np.testing.assert_allclose((value, slope, other), (2, np.exp(0.5), 0))


def test_in_the_body_of_a_loop(backend):
    f = log1pexp()

    def repeated(x):
        body = trace(lambda h: f(h), x)
        return ops.scan(body, x, num_carry=1, num_scanned=0, length=3)[0]

    def steps(x):
        values = [x]
        for _ in range(3):
            values.append(np.log1p(np.exp(values[-1])))
        return values

    values = steps(0.3)
    np.testing.assert_allclose(repeated_value := jit(repeated)(np.float64(0.3)), values[3])
    np.testing.assert_allclose(grad(repeated)(np.float64(0.3)), np.prod([1 / (1 + np.exp(-v)) for v in values[:3]]))
    assert repeated_value.shape == ()


def test_in_a_graph():
    graph = trace(lambda x: grad(lambda x: log1pexp()(x).sum())(x), TensorSpec(("n",)))
    np.testing.assert_array_equal(evaluate(graph, [F([0, 1000])])[0], [0.5, 1])


@pytest.mark.parametrize("forward, backward, message", [
    (None, None, r"f: a custom_vjp needs defvjp"),
    (lambda x: x, lambda r, c: (c,), r"f: forward returns Tensor; expected \(results, residuals\)"),
    (lambda x: ((x, x), None), lambda r, c: (c,), r"forward's results are \(float32\[3\], float32\[3\]\); the function's are float32\[3\]"),
    (lambda x: (x.sum(), None), lambda r, c: (c,), r"forward's results are float32\[\]; the function's are float32\[3\]"),
    (lambda x: (x, None), lambda r, c: c, r"backward returns Tensor; expected a tuple with the cotangents of 1 arguments"),
    (lambda x: (x, None), lambda r, c: (c, c), r"backward returns a tuple of 2; expected a tuple with the cotangents of 1"),
    (lambda x: (x, None), lambda r, c: ((c, c),), r"backward's cotangent of argument 0 is \(\*, \*\); the argument is \*"),
    (lambda x: (x, None), lambda r, c: (c.sum(),), r"backward's cotangent of argument 0 is float32\[\]; the argument is float32\[3\]"),
    (lambda x: (object(), None), lambda r, c: (c,), r"f: forward returns something else than tensors"),
])
def test_refusals(forward, backward, message):
    @custom_vjp
    def f(x):
        return x * 1.0

    if forward is not None:
        f.defvjp(forward, backward)
    with pytest.raises(ArgumentError, match=message):
        f(np.ones(3, F))

"""Derivatives of functions, against what they are known to be."""
from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import ArgumentError, DTypeError, ShapeError
from dlcompile.functional import TensorSpec, grad, jit, stop_gradient, trace, value_and_grad
from dlcompile.graph import verify
from dlcompile.operators import evaluate

F = np.float32
Layer = namedtuple("Layer", "w b")


def loss(params, x, y):
    return ((x @ params["w"] + params["b"] - y) ** 2.0).mean()


def numbers():
    rng = np.random.default_rng(3)
    return {"w": rng.normal(size=(4, 1)), "b": rng.normal(size=1)}, rng.normal(size=(5, 4)), rng.normal(size=(5, 1))


def test_least_squares(backend):
    params, x, y = numbers()
    value, slopes = value_and_grad(loss)(params, x, y)
    rest = x @ params["w"] + params["b"] - y
    np.testing.assert_allclose(value, np.mean(rest**2))
    np.testing.assert_allclose(slopes["w"], 2 * x.T @ rest / 5)
    np.testing.assert_allclose(slopes["b"], 2 * rest.mean(0))
    assert sorted(slopes) == ["b", "w"] and grad(loss)(params, x, y)["w"].shape == (4, 1)


def test_several_arguments(backend):
    f = lambda a, b, c: (a * a * b["x"] + ops.exp(c[0])).sum()  # noqa: E731
    a, b, c = np.array([1.0, 2]), {"x": np.array([3.0, 4])}, [np.float64(0.5), np.float64(1)]
    da, (dc, none) = grad(f, argnums=(0, -1))(a, b, c)
    np.testing.assert_allclose(da, 2 * a * b["x"])
    np.testing.assert_allclose((dc, none), (2 * np.exp(0.5), 0))
    np.testing.assert_allclose(grad(f, argnums=1)(a, b, c)["x"], a * a)


def test_named_tuples_and_names(backend):
    def f(layer, *, factor):
        return (layer.w * factor).sum() + layer.b

    slopes = grad(f)(Layer(np.ones(2, F), F(3)), factor=np.array([2, 5], F))
    assert isinstance(slopes, Layer) and slopes.w.tolist() == [2, 5] and slopes.b == 1


def test_aux(backend):
    def f(x):
        y = x * x
        return y.sum(), {"y": y, "count": 2}

    x = np.array([1.0, 3])
    (value, aux), slope = value_and_grad(f, has_aux=True)(x)
    assert value == 10 and aux["y"].tolist() == [1, 9] and aux["count"] == 2 and slope.tolist() == [2, 6]
    slope, aux = grad(f, has_aux=True)(x)
    assert slope.tolist() == [2, 6] and aux["y"].tolist() == [1, 9]


def test_python_numbers(backend):
    assert grad(lambda x: x ** 3.0)(2.0) == 12 and grad(lambda x: x ** 3.0)(2.0).dtype == F
    assert grad(lambda x: (x * x).sum())([1.0, 2.0]).tolist() == [2, 4]
    assert grad(lambda x, y: x * y)(2.0, np.float64(3)).dtype == np.float64


def test_nested(backend):
    f = lambda x: ops.sin(x) * x  # noqa: E731
    x = np.float64(0.7)
    np.testing.assert_allclose(grad(grad(f))(x), 2 * np.cos(x) - x * np.sin(x))
    np.testing.assert_allclose(grad(grad(grad(f)))(x), -3 * np.sin(x) - x * np.cos(x))
    hessian = jit(lambda x: ops.stack([grad(lambda x, k=k: grad(lambda x: (x[0] * x[1] * x[1]))(x)[k])(x) for k in range(2)]))
    np.testing.assert_allclose(hessian(np.array([2.0, 3])), [[0, 6], [6, 4]])


def test_what_is_closed_over_is_taken_as_given(backend):
    """Inside, x is not the argument that is differentiated by, though it is the same tensor."""
    assert grad(lambda x: x * grad(lambda y: x + y)(x))(3.0) == 1
    assert grad(lambda x: grad(lambda y: y * x)(x))(3.0) == 1
    assert grad(lambda x: grad(lambda y: y * y * x)(x))(3.0) == 12  # of 2 x x
    assert jit(lambda x: grad(lambda y: y * x)(x))(F(3)) == 3


def test_a_penalty_on_the_derivative(backend):
    def penalty(x):
        return (grad(lambda x: ops.tanh(x).sum())(x) ** 2.0).sum()

    x = np.array([0.3, -0.8])
    slope = 1 - np.tanh(x) ** 2
    np.testing.assert_allclose(grad(penalty)(x), 2 * slope * -2 * np.tanh(x) * slope)


def test_in_a_trace():
    graph = verify(trace(lambda w, x: value_and_grad(lambda w: ops.logsumexp(x @ w))(w), TensorSpec((3,), "float64"), TensorSpec(("n", 3), "float64")))
    w, x = np.array([0.1, 0.2, -0.3]), np.arange(6.0).reshape(2, 3)
    value, slope = evaluate(graph, [w, x])
    e = np.exp(x @ w)
    np.testing.assert_allclose(value, np.log(e.sum()))
    np.testing.assert_allclose(slope, (e / e.sum()) @ x)


def test_a_step_of_gradient_descent_is_one_program(backend):
    @jit
    def step(params, x, y):
        value, slopes = value_and_grad(loss)(params, x, y)
        return value, {name: params[name] - 0.1 * slopes[name] for name in params}

    params, x, y = numbers()
    values = []
    for _ in range(60):
        value, params = step(params, x, y)
        values.append(float(value))
    assert step.cache_size() == 1 and values[-1] < 0.1 * values[0] and all(b < a for a, b in zip(values, values[1:]))


def test_one_program_for_each_form(backend):
    calls = []

    @grad
    def slope(x):
        calls.append(1)
        return (x * x).sum()

    for _ in range(3):
        slope(np.ones(2, F))
    slope(np.ones(3, F))
    assert len(calls) == 2


def test_stop_gradient(backend):
    x = np.array([1.0, 2])
    assert grad(lambda x: (stop_gradient({"a": (x, None, 1)})["a"][0] * x).sum())(x).tolist() == [1, 2]
    assert stop_gradient([x, 2])[0] is x
    assert grad(lambda x: stop_gradient(x).sum())(x).tolist() == [0, 0]


def test_a_value_that_depends_on_nothing(backend):
    assert grad(lambda x: 3.0)(np.ones(2, F)).tolist() == [0, 0]


def test_refusals():
    x = np.ones(3, F)

    def cube(x, k=None):
        return x * x * x

    with pytest.raises(ShapeError, match=r"cube: its derivative is wanted, and it returns float32\[3\]; expected a scalar"):
        grad(cube)(x)
    with pytest.raises(ShapeError, match="pair: .*returns tuple; expected one scalar, or has_aux=True"):
        def pair(x):
            return x.sum(), x
        grad(pair)(x)
    with pytest.raises(DTypeError, match=r"count: .*returns int64\[\]; expected a float"):
        def count(x):
            return ops.cast(x.sum(), np.int64)
        grad(count)(x)
    with pytest.raises(DTypeError, match=r"cube: a derivative by k\['n'\]\[1\], which is int64\[\]; expected floats"):
        grad(cube, argnums=1)(x, {"n": (F(1), 2)})
    with pytest.raises(ArgumentError, match="cube: a derivative by argument 2 of 1 positional ones"):
        grad(cube, argnums=2)(x)
    with pytest.raises(ArgumentError, match=r"cube: argument x\[0\]: str.* is no array|expected an array"):
        grad(cube)([object()])
    with pytest.raises(ArgumentError, match="only: with has_aux it returns"):
        def only(x):
            return x.sum()
        grad(only, has_aux=True)(x)
    with pytest.raises(ArgumentError, match="grad takes a function"):
        grad(3)

"""Derivatives against differences of the function itself, in float64."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import Graph, make_input, symbol
from dlcompile.operators import evaluate
from dlcompile.operators.gradients import BINARY, UNARY, gradients, substituted

RNG = np.random.default_rng(5)


def check(function, *arrays, dims=None, step=1e-6):
    """d(sum(w * f))/dx by `gradients`, and by a difference along a random direction."""
    inputs = [make_input(f"x{i}", a.dtype, (dims or {}).get(i, a.shape)) for i, a in enumerate(arrays)]
    y = function(*inputs)
    feeds = dict(zip((f"x{i}" for i in range(len(arrays))), arrays))
    (value,) = evaluate(Graph("f", inputs, (y,)), feeds)
    w = RNG.normal(size=np.shape(value))
    weighted = ops.reduce_sum(ops.mul(y, w))
    found = evaluate(Graph("g", inputs, gradients(weighted, inputs), output_names=[f"d{i}" for i in range(len(inputs))]), feeds)
    total = Graph("s", inputs, (weighted,))
    for (name, x), derivative in zip(feeds.items(), found):
        assert derivative.shape == x.shape and derivative.dtype == x.dtype
        direction = RNG.normal(size=x.shape)
        ahead, behind = (evaluate(total, {**feeds, name: x + s * direction})[0] for s in (step, -step))
        np.testing.assert_allclose(np.sum(derivative * direction), (ahead - behind) / (2 * step), rtol=2e-6, atol=1e-7)


def normal(*shape):
    return RNG.normal(size=shape)


DOMAINS = {"sqrt": (0.5, 3), "rsqrt": (0.5, 3), "log": (0.5, 3), "log1p": (-0.5, 3), "asin": (-0.8, 0.8), "acos": (-0.8, 0.8), "acosh": (1.5, 4),
           "atanh": (-0.8, 0.8), "tan": (-1, 1)}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    check(getattr(ops, name), RNG.uniform(*DOMAINS.get(name, (-2, 2)), size=(3, 5)))


@pytest.mark.parametrize("name", [*BINARY, "pow"])
@pytest.mark.parametrize(("left", "right"), [((3, 5), (3, 5)), ((3, 1, 5), (2, 1)), ((4,), ())])
def test_binary(name, left, right):
    positive = name in ("pow", "div", "rem")
    a, b = (RNG.uniform(0.5, 2, shape) if positive else normal(*shape) for shape in (left, right))
    check(getattr(ops, name), a, b)


X = normal(3, 4, 5)
CASES = {
    "select": (lambda a, b: ops.select(ops.gt(a, 0.0), a, b), normal(3, 4), normal(4)),
    "cast": (lambda x: ops.mul(ops.cast(ops.cast(x, np.float64), np.float64), x), X),
    "reshape": (lambda x: ops.reshape(x, (5, 12)), X),
    "transpose": (lambda x: ops.transpose(x, (1, 2, 0)), X),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (2, 3, 4, 5)), normal(3, 1, 5)),
    "reverse": (lambda x: ops.reverse(x, (0, 2)), X),
    "concatenate": (lambda a, b: ops.concatenate([a, b, a], 1), normal(2, 3), normal(2, 1)),
    "slice": (lambda x: ops.slice(x, (1, 0, 1), (3, 4, 4)), X),
    "slice with strides": (lambda x: ops.slice(x, (0, 1, 0), (3, 4, 5), (2, 3, 2)), X),
    "slice whose last stride leads out": (lambda x: ops.slice(x, (0, 0, 4), (3, 3, 5), (1, 2, 3)), X),
    "pad": (lambda x, v: ops.pad(x, v, (1, 0, 2), (0, 3, 1)), X, normal()),
    "gather": (lambda x: ops.gather(x, np.array([[1, 3], [1, 0]]), 1), X),
    "gather first": (lambda x: ops.gather(x, np.int64(2), 0), X),
    "take_along_axis": (lambda x: ops.take_along_axis(x, np.array([[[0, 4, 4]]] * 3).repeat(4, 1), 2), X),
    "reduce_sum": (lambda x: ops.reduce_sum(x, (0, 2)), X),
    "reduce_mean": (lambda x: ops.reduce_mean(x, (1,), True), X),
    "reduce_max": (lambda x: ops.reduce_max(x, (0, 2), True), X),
    "reduce_min": (lambda x: ops.reduce_min(x), X),
    "reduce_prod": (lambda x: ops.reduce_prod(x, (0, 2)), X),
    "cumsum": (lambda x: ops.cumsum(x, 1, True, True), X),
    "matmul": (ops.matmul, normal(2, 3, 4), normal(4, 5)),
    "matmul of batches": (ops.matmul, normal(2, 1, 3, 4), normal(6, 4, 5)),
    "dot_general": (lambda a, b: ops.dot_general(a, b, contracting=((0, 3), (2, 1)), batch=((2,), (0,))), normal(2, 3, 4, 5), normal(4, 5, 2, 6)),
    "softmax": (lambda x: ops.softmax(x, 1), X),
    "gelu": (lambda x: ops.gelu(x), X),
    "layer_normalization": (lambda x, s, b: ops.layer_normalization(x, s, b), X, normal(5), normal(5)),
    "a loss": (lambda x, w: ops.reduce_sum(-ops.log_softmax(ops.matmul(x, w), 1)), normal(4, 3), normal(3, 5)),
    "attention": (lambda q, k, v: ops.attention(q, k, v), normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 6)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rest(name):
    function, *arrays = CASES[name]
    check(function, *arrays)


def test_a_product_with_zeros_in_it():
    check(lambda x: ops.reduce_prod(x, 1), np.array([[0.0, 2, 3], [0, 0, 5], [1, 2, 4]]))


def test_equals_share_what_a_maximum_gets():
    x = make_input("x", np.float64, (4,))
    (g,) = evaluate(Graph("g", [x], gradients(ops.reduce_max(x), [x])), {"x": np.array([1.0, 3, 3, 2])})
    np.testing.assert_array_equal(g, [0, 0.5, 0.5, 0])


def test_symbolic_dimensions():
    n = symbol("n")
    check(lambda x, w: ops.softmax(ops.matmul(x, w), 1), normal(3, 4), normal(4, 2), dims={0: (n, 4)})


def test_no_influence_gives_zeros():
    x, z = make_input("x", np.float32, (2,)), make_input("z", np.float32, (3,))
    g = evaluate(Graph("g", [x, z], gradients(ops.floor(x) + ops.cast(ops.gt(x, 0.0), np.float32), [x, z]), output_names=["a", "b"]),
                 {"x": np.float32([1, 2]), "z": np.float32([1, 2, 3])})
    np.testing.assert_array_equal(g[0], [0, 0])
    np.testing.assert_array_equal(g[1], [0, 0, 0])


def test_what_is_behind_a_tensor_does_not_matter():
    w = make_input("w", np.float64, (3,))
    h = ops.sin(w)
    y = ops.mul(h, h)
    (g,) = evaluate(Graph("g", [w], gradients(y, [h])), {"w": np.array([0.1, 0.2, 0.3])})
    np.testing.assert_allclose(g, 2 * np.sin([0.1, 0.2, 0.3]))


def test_second_derivatives():
    x = make_input("x", np.float64, (3,))
    (first,) = gradients(ops.mul(ops.mul(x, x), x), [x])
    (second,) = evaluate(Graph("g", [x], gradients(first, [x])), {"x": np.array([1.0, -2, 3])})
    np.testing.assert_allclose(second, [6, -12, 18])


def test_a_graph_at_another_place():
    x, other = make_input("x", np.float64, (2,)), make_input("other", np.float64, (2,))
    y = ops.exp(ops.mul(x, x))
    moved = substituted(y, {x: other})
    np.testing.assert_allclose(evaluate(Graph("g", [other], (moved,)), {"other": np.array([0.5, 1])})[0], np.exp([0.25, 1]))


def test_what_has_no_derivative_is_named():
    x = make_input("x", np.float64, (1, 1, 4))
    with pytest.raises(UnsupportedOperatorError, match="conv_general"):
        gradients(ops.conv_general(x, np.ones((1, 1, 2))), [x])

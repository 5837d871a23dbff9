"""Derivatives of compiled code: float32 against the interpreter's float64."""
from __future__ import annotations

import numpy as np
import pytest

import dlcompile
from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.graph import make_input, symbol, verify
from dlcompile.operators import evaluate
from tests.autodiff.helpers import RNG, graph_of, normal

N = symbol("n")


def compare(function, *arrays, dims=None, rtol=2e-5):
    """The value of Σ f and its derivatives by all float arguments."""
    results = []
    for dtype in (np.float64, np.float32):
        given = [a.astype(dtype) if a.dtype == np.float64 else a for a in arrays]
        inputs = [make_input(f"x{i}", a.dtype, (dims or {}).get(i, a.shape)) for i, a in enumerate(given)]
        loss = ops.reduce_sum(function(*inputs))
        graph = verify(graph_of("derivatives", inputs, loss, *gradients(loss, [t for t in inputs if t.dtype == dtype])))
        results.append(evaluate(graph, given) if dtype == np.float64 else dlcompile.compile(graph, cache=False, threads=2)(*given))
    for expected, got in zip(*results, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * (np.abs(expected).max() + 1e-3))


def classified(scores, labels):
    return -ops.log_softmax(scores, 1) * ops.one_hot(labels, scores.shape[1], dtype=scores.dtype)


def number(x, value):
    return np.asarray(value, x.dtype)


def test_dense_layers():
    def function(x, labels, a, b, c, d):
        return classified(ops.matmul(ops.relu(ops.matmul(x, a) + b), c) + d, labels)

    arrays = normal(5, 8), np.array([0, 2, 1, 1, 0]), normal(8, 16), normal(16), normal(16, 3), normal(3)
    compare(function, *arrays)
    compare(function, *arrays, dims={0: (N, 8), 1: (N,)})


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_convolutions_and_pooling(layout):
    last = layout == "channels_last"

    def function(x, w, s, b, v):
        y = ops.conv_general(x, w, padding=((1, 1), (1, 1)), strides=(2, 1), layout=layout)
        y = ops.transpose(y, (0, 3, 1, 2)) if last else y
        mean = ops.reduce_mean(y, (0, 2, 3), True)
        variance = ops.reduce_mean(ops.square(y - mean), (0, 2, 3), True)
        y = ops.gelu((y - mean) * ops.rsqrt(variance + number(y, 1e-5)) * ops.reshape(s, (6, 1, 1)) + ops.reshape(b, (6, 1, 1)))
        y = ops.reduce_window(y, "max", (1, 1, 2, 2), (1, 1, 2, 2))
        y = ops.average_pool(ops.conv_general(y, v, groups=3), window=(2, 2), strides=(1, 1), padding=((0, 1), (1, 0)))
        return ops.sin(y)

    x, w = (normal(2, 12, 9, 4), normal(3, 3, 4, 6)) if last else (normal(2, 4, 12, 9), normal(6, 4, 3, 3))
    compare(function, x, w, normal(6), normal(6), normal(9, 2, 2, 2))


def test_images_of_any_size():
    h, w = symbol("h"), symbol("w")

    def function(x, f):
        y = ops.relu(ops.conv_general(x, f, strides=(2, 2), padding=((1, 1), (1, 1))))
        return ops.square(ops.reduce_window(y, "max", (1, 1, 3, 3), (1, 1, 1, 2), ((0, 0), (0, 0), (1, 1), (0, 1))))

    compare(function, normal(2, 3, 9, 8), normal(4, 3, 3, 3), dims={0: (N, 3, h, w)})


def test_a_transformer_block():
    def function(words, table, q, k, v, o, s, b, up, down):
        x = ops.gather(table, words)
        heads = [ops.transpose(ops.reshape(ops.matmul(x, m), (2, 6, 2, 4)), (0, 2, 1, 3)) for m in (q, k, v)]
        y = ops.reshape(ops.transpose(ops.attention(*heads, causal=True), (0, 2, 1, 3)), (2, 6, 8))
        x = ops.layer_normalization(x + ops.matmul(y, o), s, b)
        return ops.sin(x + ops.matmul(ops.silu(ops.matmul(x, up)), down))

    compare(function, RNG.integers(0, 7, (2, 6)), normal(7, 8), *(normal(8, 8) * 0.4 for _ in range(4)), normal(8), normal(8), normal(8, 16), normal(16, 8))


@pytest.mark.parametrize("kind, gates", [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_recurrent(kind, gates):
    t = symbol("t")
    compare(lambda x, w, r, b: ops.sin(getattr(ops, kind)(x, w, r, b, present=("b",), direction="bidirectional")[0]), normal(5, 3, 4),
            normal(2, gates * 4, 4), normal(2, gates * 4, 4), normal(2, gates * 8), dims={0: (t, 3, 4)})


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop(reverse):
    def function(h, x, w):
        state, count, row, m = (make_input(n, d, s) for n, d, s in (("h", h.dtype, (4,)), ("k", np.int64, ()), ("row", h.dtype, (4,)), ("m", h.dtype, (4, 4))))
        after = ops.tanh(ops.matmul(m, state) + row * ops.cast(count, h.dtype))
        made = ops.scan(graph_of("body", [state, count, row, m], after, count + np.int64(1), after * row), h, np.int64(1), x, w, num_carry=2,
                        num_scanned=1, length=x.shape[0], reverse=reverse)
        return made[0] + ops.reduce_sum(made[2], 0)

    compare(function, normal(4), normal(6, 4), normal(4, 4) * 0.5)
    compare(function, normal(4), normal(6, 4), normal(4, 4) * 0.5, dims={1: (symbol("t"), 4)})


def test_branches_and_turns():
    def function(x, w):
        def vector(name):
            return make_input(name, x.dtype, (3,))

        a, k, b, c, n, d, e, f, g, h = (make_input("k", np.int64, ()) if name in "kn" else vector(name) for name in "akbcndefgh")
        (made,) = ops.cond(ops.gt(ops.reduce_sum(c), number(x, 0)), graph_of("then", [e, f], ops.sin(e * f)), graph_of("else", [g, h], g + h), c, d)
        loop = ops.while_loop(graph_of("condition", [a, k, b], ops.lt(k, np.int64(4))), graph_of("body", [c, n, d], made, n + np.int64(1), c * c), x,
                              np.int64(0), w, num_carry=2)
        return loop[0] * ops.reduce_sum(loop[2], 0)

    compare(function, normal(3), normal(3))


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min"])
def test_scatters_and_sorting(reduction):
    indices = np.array([[0, 1, 1], [2, -1, 0]])
    compare(lambda x, u: ops.sort(ops.scatter_elements(x, indices, u, 1, reduction), 1) * np.arange(8).reshape(2, 4).astype("f4" if x.dtype == np.float32 else "f8"),
            RNG.permutation(8).reshape(2, 4) * 0.3 - 1, RNG.permutation(6).reshape(2, 3) * 0.41 - 1)


def test_running_products_with_zeros():
    compare(lambda x: ops.cumprod(x, 1), np.array([[1.5, 0, 2, 3], [0.5, 2, 0, 0]]))


def test_a_penalty_on_a_derivative():
    """The square of a derivative, differentiated again."""
    def function(x, w, v):
        y = ops.reduce_sum(ops.matmul(ops.tanh(ops.matmul(x, w)), v))
        return ops.square(gradients(y, [x])[0])

    compare(function, normal(4, 5), normal(5, 6), normal(6, 2))


def test_what_is_not_taken_when_compiled():
    """No NaN of the square root's pole."""
    x = make_input("x", np.float32, (64,))
    graph = graph_of("g", [x], *gradients(ops.select(ops.gt(x, 0.0), ops.sqrt(x), x), [x]))
    values = np.linspace(-1, 1, 64, dtype=np.float32)
    values[10] = 0
    expected = np.where(values > 0, 0.5 / np.sqrt(np.where(values > 0, values, 1)), 1)
    np.testing.assert_allclose(dlcompile.compile(graph, cache=False)(values), expected, rtol=1e-5)

"""Float arithmetic on dimensions: where it is taken over as integer arithmetic, and that the floats agree."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import Graph, ceildiv, dim_max, dim_min, make_input, symbol
from dlcompile.operators import evaluate

H, W = symbol("h"), symbol("w")
X = make_input("x", np.float32, (H, W))


def floats(dtype=np.float32):
    return ops.cast(ops.shape_of(X), dtype)


def integers(x):
    return ops.cast(x, np.int64)


@pytest.mark.parametrize("build, expected, reference", [
    (lambda: integers(floats()), [H, W], lambda s: s),
    (lambda: integers(ops.floor(floats() * np.float32(0.5))), [H // 2, W // 2], lambda s: np.floor(s * 0.5)),
    (lambda: integers(floats() * np.array([2.0, 1.5], np.float32)), [2 * H, 3 * W // 2], lambda s: np.trunc(s * [2.0, 1.5])),
    (lambda: integers(ops.ceil(floats() / np.float32(7))), [ceildiv(H, 7), ceildiv(W, 7)], lambda s: np.ceil(s / 7)),
    (lambda: integers(ops.ceil(floats() / np.float32(7)) * 7.0), [7 * ceildiv(H, 7), 7 * ceildiv(W, 7)], lambda s: np.ceil(s / 7) * 7),
    (lambda: integers(ops.floor((floats() + 1.0) / np.float32(2) - 0.5)), [H // 2, W // 2], lambda s: np.floor((s + 1) / 2 - 0.5)),
    (lambda: integers(ops.minimum(ops.maximum(floats(), 4.0), 64.0)), [dim_min(dim_max(H, 4), 64), dim_min(dim_max(W, 4), 64)],
     lambda s: np.clip(s, 4, 64)),
    (lambda: integers(ops.concatenate([floats()[1:] * 2.0, np.array([5], np.float32)])), [2 * W, 5], lambda s: [2 * s[1], 5]),
    (lambda: ops.cast(ops.gather(floats(np.float64), np.int64(0)) * 4.0, np.int32), 4 * H, lambda s: 4 * s[0])])
def test_taken_over(build, expected, reference):
    tensor = build()
    assert tensor.known is not None and tensor.known.tolist() == expected
    for shape in ((1, 1), (6, 15), (64, 63), (224, 1023)):
        (result,) = evaluate(Graph("g", [X], [tensor]), [np.zeros(shape, np.float32)])
        np.testing.assert_array_equal(result, reference(np.array(shape)))


@pytest.mark.parametrize("build", [
    lambda: integers(floats() * np.float32(0.1)), lambda: integers(floats() / np.float32(49) * 49.0), lambda: integers(ops.sqrt(floats())),
    lambda: integers(floats() * np.float32(np.inf)), lambda: integers(floats() / floats()), lambda: integers(ops.reduce_max(ops.exp(X))),
    lambda: integers((floats() - 3.0) * 0.5), lambda: integers(floats() / np.float32(0)), lambda: integers(ops.reduce_sum(X, 0))])
def test_left_to_floats(build):
    """Where they would round, or where data is among it."""
    tensor = build()
    assert tensor.op == "cast" and tensor.known is None
    evaluate(Graph("g", [X], [tensor]), [np.ones((3, 4), np.float32)])

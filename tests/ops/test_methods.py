"""Python's operators, NumPy-like methods and indexing of tensors, against NumPy."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlcompile import ops
from dlcompile.errors import ExecutionError, ShapeError
from dlcompile.graph import Graph, Tensor, dim_max, dim_min, make_input, symbol
from dlcompile.operators import evaluate
from tests.operators.helpers import check, normal, run

N = symbol("n")
A, B = normal(2, 3), normal(3) + 3


@pytest.mark.parametrize("build", [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a % b, lambda a, b: 2 - a, lambda a, b: 1 / b,
    lambda a, b: 3 * a + 1, lambda a, b: -a, lambda a, b: abs(a), lambda a, b: b ** 2, lambda a, b: 2 ** b, lambda a, b: a @ b, lambda a, b: 7 % b,
    lambda a, b: a < b, lambda a, b: a >= 0, lambda a, b: (a > 0) & (a < 1), lambda a, b: ~(a > 0) | (a < -1), lambda a, b: (a > 0) ^ (b > 3),
    lambda a, b: a.sum(), lambda a, b: a.sum(axis=0), lambda a, b: a.max(axis=1, keepdims=True), lambda a, b: a.min(), lambda a, b: a.mean(axis=-1),
    lambda a, b: a.prod(axis=1), lambda a, b: a.T, lambda a, b: a.transpose(), lambda a, b: a.argmax(axis=1), lambda a, b: a.cumsum(axis=1),
    lambda a, b: a[None].squeeze(), lambda a, b: np.float32(2) * b])
def test_operators(build):
    expected = build(A, B)
    check(build, [A, B], np.asarray(expected), rtol=1e-5, atol=1e-6)


def test_integers():
    a, b = np.array([7, -7, 5]), np.array([2, 2, -3])
    for build in (lambda s, t: s % t, lambda s, t: s // t, lambda s, t: 9 // t, lambda s, t: s << 2, lambda s, t: s >> 1, lambda s, t: ~s & t, lambda s, t: 5 - s):
        check(build, [a, b], build(a, b))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.float32, np.float64])
def test_division_rounded_down(dtype):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    a = np.array([0, 1, 5, 6, 7, 100] + ([] if info is None else [info.min, info.max, info.min + 1]), dtype)
    b = np.array([1, 2, 3, 7], dtype)
    if np.dtype(dtype).kind != "u":
        a, b = np.concatenate([a, [-1, -6, -7, -100]]).astype(dtype), np.concatenate([b, [-2, -3]]).astype(dtype)
    if info is None:
        a, b = np.append(a, dtype([0.3, -0.3, 1e6, np.inf])), np.append(b, dtype([0.1, -0.1, np.inf, -np.inf, 0]))
    with np.errstate(all="ignore"):
        check(lambda a, b: a // b, [a[:, None], b], a[:, None] // b)
        check(lambda a, b: a % b, [a[:, None], b], a[:, None] % b)


def test_equality_is_identity():
    x, y = make_input("x", np.float32, (2,)), make_input("x", np.float32, (2,))
    assert x == x and x != y and len({x, y, x}) == 2


def test_a_tensor_is_no_sequence():
    with pytest.raises(TypeError):
        list(make_input("x", np.float32, (3,)))


@settings(max_examples=60, deadline=None)
@given(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=6), st.data())
def test_indexing(shape, data):
    x = normal(*shape)
    index = data.draw(hnp.basic_indices(shape, allow_ellipsis=True, allow_newaxis=True))
    items = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, slice) and i.step is not None and i.step < 0 and i != slice(None, None, -1) for i in items):
        with pytest.raises(ShapeError, match="negative step"):
            run(lambda t: t[index], x)
    else:
        check(lambda t: t[index], [x], x[index])


def test_indexing_symbols():
    x = make_input("x", np.float32, (N, 4))
    assert x[1:].shape == (dim_max(N, 1) - 1, 4) or x[1:].shape == (dim_max(N - 1, 0), 4) or "max" in str(x[1:].shape[0]) or "min" in str(x[1:].shape[0])
    assert x[:3].shape == (dim_min(N, 3), 4)
    assert x[-1].shape == (4,) and x[::2].shape == ((N + 1) // 2, 4)
    assert x[:, ::-1].shape == (N, 4)
    graph = Graph("g", [x], [x[1:], x[:3], x[-1], x[-2:], x[:-1], x[1:N], x[N - 1]])
    for n in (1, 2, 5):
        v = normal(n, 4)
        for result, expected in zip(evaluate(graph, [v]), (v[1:], v[:3], v[-1], v[-2:], v[:-1], v[1:n], v[n - 1])):
            np.testing.assert_array_equal(result, expected)
    with pytest.raises(ExecutionError):
        evaluate(Graph("g", [x], [x[2]]), [normal(2, 4)])


def test_rows_by_index():
    x, i = normal(5, 2), np.array([[0, -1], [3, 3]])
    check(lambda t, k: t[k], [x, i], x[i])
    check(lambda t: t[[4, -5]], [x], x[[4, -5]])


@pytest.mark.parametrize("index, message", [((0, 0, 0), "too many indices"), (5, "index 5 is out of range for axis 0"), (-4, "index -4 is out of range"),
                                            ((Ellipsis, Ellipsis), "too many"), (slice(None, None, 0), "step 0")])
def test_bad_indices(index, message):
    with pytest.raises(ShapeError, match=message):
        make_input("x", np.float32, (3, 4))[index]


def test_helpers():
    check(lambda t: ops.arange(t.shape[0], 3, 2), [normal(4)], np.arange(3, 11, 2))
    check(lambda t: ops.arange(t.shape[0], 0.5, 0.25, np.float32), [normal(3)], np.array([0.5, 0.75, 1.0], np.float32))
    check(lambda t: ops.full(t.shape, 7, np.int8), [A], np.full(A.shape, 7, np.int8))
    check(ops.square, [A], A * A)
    check(lambda t: ops.dim_scalar(t.shape[1], np.float32), [A], np.float32(3))


def test_everything_public_is_documented():
    for name in ops.__all__:
        value = getattr(ops, name)
        if callable(value) and not isinstance(value, type) and getattr(value, "__module__", "").startswith("dlcompile.ops"):
            assert value.__doc__, name
    assert isinstance(ops.neg(make_input("x", np.float32, ())), Tensor)

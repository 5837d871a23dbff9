"""Movement of elements against NumPy, on random shapes, static and symbolic."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlcompile import ops
from dlcompile.errors import DTypeError, ExecutionError, ShapeError
from dlcompile.graph import Graph, Tensor, make_constant, make_input, product, symbol
from dlcompile.operators import evaluate
from tests.operators.helpers import check, normal, run

FEW = settings(max_examples=25, deadline=None)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
N = symbol("n")


@FEW
@given(SHAPES, st.randoms(use_true_random=False))
def test_transpose(shape, random):
    x, order = normal(*shape), random.sample(range(len(shape)), len(shape))
    check(lambda t: ops.transpose(t, order), [x], x.transpose(order))
    check(ops.transpose, [x], x.T)


@FEW
@given(SHAPES, st.data())
def test_reshape(shape, data):
    x = normal(*shape)
    factors = data.draw(st.permutations([*shape, 1]))
    check(lambda t: ops.reshape(t, factors), [x], x.reshape(factors), fixed=None)
    if x.size:
        check(lambda t: ops.reshape(t, (-1, *shape[1:])), [x], x.reshape(-1, *shape[1:]))
        check(lambda t: ops.reshape(t, (-1,)), [x], x.reshape(-1))


def test_reshape_of_symbols():
    x = make_input("x", np.float32, (N, 6, 4))
    assert ops.reshape(x, (N, -1)).shape == (N, 24)
    assert ops.reshape(x, (-1, 2, 4)).shape == (3 * N, 2, 4)
    assert ops.reshape(x, (4, -1)).shape == (4, 6 * N)
    assert ops.reshape(x, (N * 24,)).producer.constraints == ()
    trusted = ops.reshape(x, (2, symbol("m"), 3))
    assert len(trusted.producer.constraints) == 1


@pytest.mark.parametrize("shape, message", [((5,), "differ"), ((-1, -1), "only one"), ((-2, 3), "negative"), ((-1, 0), "no meaning beside 0"), ((4, -1), "differ")])
def test_reshape_refuses(shape, message):
    with pytest.raises(ShapeError, match=message):
        ops.reshape(make_input("x", np.float32, (2, 3)), shape)


@FEW
@given(hnp.mutually_broadcastable_shapes(num_shapes=1, base_shape=(3, 1, 4), min_dims=0, max_dims=3))
def test_broadcast_to(shapes):
    x = normal(*shapes.input_shapes[0])
    if np.broadcast_shapes(x.shape, (3, 1, 4)) == (3, 1, 4):
        check(lambda t: ops.broadcast_to(t, (3, 1, 4)), [x], np.broadcast_to(x, (3, 1, 4)), fixed=None)
    check(lambda t: ops.broadcast_to(t, (2, *(d if d > 1 else 5 for d in t.shape))) if x.ndim else t, [x],
          np.broadcast_to(x, (2, *(d if d > 1 else 5 for d in x.shape))) if x.ndim else x, fixed=None)


def test_broadcast_to_refuses():
    x = make_input("x", np.float32, (2, 3))
    for shape in ((3,), (2, 4), (3, 3)):
        with pytest.raises(ShapeError, match="broadcast"):
            ops.broadcast_to(x, shape)
    assert ops.broadcast_to(make_input("s", np.float32, (1, N)), (symbol("m"), N)).shape == (symbol("m"), N)


@FEW
@given(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7), st.data())
def test_slice(shape, data):
    x, bounds = normal(*shape), []
    for extent in shape:
        start = data.draw(st.integers(0, extent))
        bounds.append((start, data.draw(st.integers(start, extent)), data.draw(st.integers(1, 3))))
    start, limit, strides = (tuple(b[i] for b in bounds) for i in range(3))
    check(lambda t: ops.slice(t, start, limit, strides), [x], x[tuple(slice(*b) for b in bounds)])


def test_slice_of_symbols():
    x = make_input("x", np.float32, (N, 6))
    assert ops.slice(x, (0, 1), (N, 6), (2, 2)).shape == ((N + 1) // 2, 3)
    assert ops.slice(x, (N - 2, 0), (N, 6)).shape == (2, 6)
    for start, limit, strides in (((0, 0), (N + 1, 6), (1, 1)), ((0, 0), (N, 7), (1, 1)), ((0, 4), (N, 3), (1, 1)), ((-1, 0), (N, 6), (1, 1)),
                                  ((0, 0), (N, 6), (1, 0)), ((0,), (N,), (1,))):
        with pytest.raises(ShapeError, match="slice"):
            ops.slice(x, start, limit, strides)
    graph = Graph("g", [x], [ops.slice(x, (0, 0), (3, 6))])
    with pytest.raises(ExecutionError, match="3 must be at most n = 2"):  # a promise that only the values break
        evaluate(graph, [normal(2, 6)])


@FEW
@given(SHAPES, st.data())
def test_reverse(shape, data):
    x = normal(*shape)
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1))) if shape else set()
    check(lambda t: ops.reverse(t, sorted(axes)), [x], np.flip(x, sorted(axes)))


@FEW
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=5), st.data())
def test_pad(shape, data):
    """Negative amounts cut off, as `jax.lax.pad` has it."""
    amounts = [data.draw(st.tuples(st.integers(-1, 3), st.integers(-1, 3))) for _ in shape]
    x = normal(*shape)
    cut = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(amounts, shape))]
    expected = np.pad(cut, [(max(a, 0), max(b, 0)) for a, b in amounts], constant_values=7)
    check(lambda t: ops.pad(t, 7.0, *zip(*amounts)), [x], expected)


def test_pad_by_symbols():
    x = make_input("x", np.int64, (2, N))
    y = ops.pad(x, -1, (0, 0), (0, 5 - N))
    assert y.shape == (2, 5)
    np.testing.assert_array_equal(evaluate(Graph("g", [x], [y]), [np.ones((2, 3), np.int64)])[0], [[1, 1, 1, -1, -1]] * 2)
    with pytest.raises(DTypeError, match="must be a int64 scalar"):
        ops.pad(x, ops.as_tensor(np.float32(1)), (0, 1), (0, 0))


@FEW
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3), st.data())
def test_concatenate(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = []
    for _ in range(data.draw(st.integers(1, 3))):
        extents = list(shape)
        extents[axis] = data.draw(st.integers(0, 3))
        parts.append(normal(*extents))
    check(lambda *ts: ops.concatenate(ts, axis), parts, np.concatenate(parts, axis))


def test_concatenate_refuses():
    a, b = make_input("a", np.float32, (2, 3)), make_input("b", np.float32, (3, 3))
    with pytest.raises(ShapeError, match="axis 0"):
        ops.concatenate([a, b], 1)
    with pytest.raises(ShapeError, match="out of range"):
        ops.concatenate([a, b], 2)
    with pytest.raises(DTypeError, match="element types differ"):
        ops.concatenate([a, ops.cast(a, np.int32)])
    assert ops.concatenate([make_input("c", np.float32, (N, 3)), a]).shape == (N + 2, 3)


def test_stack_tile_expand_squeeze():
    x, y = normal(2, 1, 3), normal(2, 1, 3)
    for axis in range(-4, 4):
        check(lambda s, t: ops.stack([s, t], axis), [x, y], np.stack([x, y], axis))
    check(lambda t: ops.tile(t, (2, 3, 1)), [x], np.tile(x, (2, 3, 1)))
    check(lambda t: ops.expand_dims(t, (0, -1)), [x], x[None, ..., None])
    check(ops.squeeze, [x], x[:, 0])
    check(lambda t: ops.squeeze(t, 1), [x], x[:, 0])
    with pytest.raises(ShapeError, match="extent is not 1"):
        ops.squeeze(make_input("x", np.float32, (2, 3)), 0)


@FEW
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5), st.data(), st.sampled_from([np.int64, np.int32, np.float32]))
def test_iota(shape, data, dtype):
    axis = data.draw(st.integers(0, len(shape) - 1))
    check(lambda: ops.iota(dtype, shape, axis), [], np.indices(shape)[axis].astype(dtype), fixed=None)


def test_shapes_as_data():
    x = make_input("x", np.float32, (N, 2, 3 * N + 1))
    graph = Graph("g", [x], [ops.shape_of(x), ops.iota(np.int32, (N,)), ops.reshape(ops.shape_vector((product(x.shape),)), ())])
    shape, line, size = evaluate(graph, [normal(4, 2, 13)])
    assert shape.tolist() == [4, 2, 13] and shape.dtype == np.int64 and line.tolist() == [0, 1, 2, 3] and size == 104
    assert ops.shape_of(make_input("y", np.float32, (2, 3))).is_constant


class TestScalars:
    """Operators on tensors of no axes yield tensors of no axes."""

    @pytest.mark.parametrize("build", [
        lambda x: ops.transpose(x), lambda x: ops.reverse(x, ()), lambda x: ops.slice(x, (), ()), lambda x: ops.reshape(x, ()),
        lambda x: ops.neg(x), lambda x: ops.reduce_sum(x), lambda x: ops.reduce_max(x, keepdims=True)])
    def test_rank(self, build):
        assert run(build, np.float32(3) * np.ones((), np.float32))[0].shape == ()


def test_methods():
    x = normal(2, 3, 4)
    check(lambda t: t.reshape(6, 4).transpose(), [x], x.reshape(6, 4).T, fixed=None)
    check(lambda t: t.reshape((2, -1)).T, [x], x.reshape(2, -1).T)
    check(lambda t: t.transpose(2, 0, 1), [x], x.transpose(2, 0, 1))
    check(lambda t: t.astype(np.int64), [x * 9], (x * 9).astype(np.int64))
    assert isinstance(ops.full((N, 2), 1.5, np.float32), Tensor) and make_constant(1).shape == ()

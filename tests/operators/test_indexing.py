"""Gathering and scattering against NumPy and loops."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlcompile import ops
from dlcompile.errors import DTypeError, InvalidModelError, ShapeError
from dlcompile.graph import make_input, symbol
from tests.operators.helpers import check, normal, onnx_reference, run

FEW = settings(max_examples=25, deadline=None)
RNG = np.random.default_rng(5)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)


@FEW
@given(SHAPES, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4), st.data(), st.sampled_from([np.int64, np.int32]))
def test_gather(shape, indices_shape, data, dtype):
    axis, x = data.draw(st.integers(-len(shape), len(shape) - 1)), normal(*shape)
    indices = RNG.integers(0, shape[axis], indices_shape).astype(dtype)
    check(lambda t, i: ops.gather(t, i, axis), [x, indices], np.take(x, indices, axis))
    signed = RNG.integers(-shape[axis], shape[axis], indices_shape).astype(dtype)
    check(lambda t, i: ops.gather(t, i, axis, normalize=True), [x, signed], np.take(x, signed, axis))


def test_reads_out_of_range_are_clamped():
    x = normal(3, 2)
    check(lambda t, i: ops.gather(t, i, 0), [x, np.array([-5, 7, 1])], x[[0, 2, 1]])
    check(lambda t, i: ops.take_along_axis(t, i, 1), [x, np.array([[9, -9]] * 3)], x[:, [1, 0]])
    check(lambda t, i: ops.gather_nd(t, i), [x, np.array([[9, -9], [0, 1]])], np.array([x[2, 0], x[0, 1]]), fixed=(1,))


def test_reads_from_an_axis_without_elements_are_zero():
    x, zeros = normal(0, 2), np.zeros((2, 2), np.float32)
    check(lambda t, i: ops.gather(t, i, 0), [x, np.array([0, 3])], zeros)
    check(lambda t, i: ops.take_along_axis(t, i, 0), [x, np.array([[0, 1], [4, -9]])], zeros, fixed=None)
    check(lambda t, i: ops.gather_nd(t, i), [x, np.array([[0], [1]])], zeros, fixed=(1,))
    check(lambda t, i: ops.gather(t, i, 0), [x, np.array([], np.int64)], x)


@FEW
@given(SHAPES, st.data())
def test_take_along_axis(shape, data):
    axis, x = data.draw(st.integers(-len(shape), len(shape) - 1)), normal(*shape)
    extents = list(shape)
    extents[axis] = data.draw(st.integers(0, 5))
    indices = RNG.integers(0, shape[axis], extents)
    check(lambda t, i: ops.take_along_axis(t, i, axis), [x, indices], np.take_along_axis(x, indices, axis), fixed=None)


@pytest.mark.parametrize("x_shape, index_shape, batch", [((4,), (3, 1), 0), ((2, 3), (5, 2), 0), ((2, 3), (5, 1), 0), ((2, 3, 4), (2, 2), 1),
                                                         ((2, 3, 4), (2, 5, 1), 1), ((2, 3, 4, 5), (2, 3, 2), 2), ((2, 3, 4), (2, 3, 1), 2), ((3, 2), (2, 2, 2), 0)])
def test_gather_nd(x_shape, index_shape, batch):
    x, depth = normal(*x_shape), index_shape[-1]
    indices = np.stack([RNG.integers(0, x_shape[batch + k], index_shape[:-1]) for k in range(depth)], -1)
    (expected,) = onnx_reference("GatherND", [x, indices], batch_dims=batch)
    check(lambda t, i: ops.gather_nd(t, i, batch), [x, indices], expected, fixed=(len(index_shape) - 1,))


def scattered(x, indices, updates, reduction):
    result = x.copy()
    for where in np.ndindex(*indices.shape[:-1]):
        place = tuple(indices[where])
        if all(0 <= i < n for i, n in zip(place, x.shape)):
            old, new = result[place], updates[where]
            result[place] = {"none": new, "add": old + new, "mul": old * new, "max": np.maximum(old, new), "min": np.minimum(old, new)}[reduction]
    return result


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("x_shape, count, depth", [((5,), 4, 1), ((4, 3), 6, 1), ((4, 3), 5, 2), ((2, 3, 2), 3, 2)])
def test_scatter_nd(reduction, x_shape, count, depth):
    """Also where a place is written twice, or lies outside (and is ignored)."""
    x = normal(*x_shape)
    indices = np.stack([RNG.integers(0, n, count) for n in x_shape[:depth]], -1)
    if reduction == "none":  # which of two writes comes last is not promised
        indices = np.unique(indices, axis=0)
    indices[-1, 0] = 99
    updates = normal(len(indices), *x_shape[depth:])
    check(lambda *t: ops.scatter_nd(*t, reduction=reduction), [x, indices, updates], scattered(x, indices, updates, reduction), fixed=None)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_elements(reduction, axis):
    x = normal(4, 5)
    indices = np.argsort(RNG.random((4, 5)), axis)[:3, :2]
    if reduction != "none":
        indices[0] = indices[1]
    updates = normal(3, 2)
    arrays = [x, indices, updates]
    (expected,) = onnx_reference("ScatterElements", arrays, axis=axis, reduction=reduction)
    check(lambda *t: ops.scatter_elements(*t, axis=axis, reduction=reduction), arrays, expected)


def test_wrapped_indices_of_symbols():
    x, i = normal(7, 2), np.array([-1, -7, 3])
    check(lambda t, k: ops.gather(t, k, 0, normalize=True), [x, i], x[i])
    (unsigned,) = run(lambda t, k: ops.gather(t, k, 0, normalize=True), x, np.array([1, 2], np.uint8))
    np.testing.assert_array_equal(unsigned, x[[1, 2]])


def test_refusals():
    x, i = make_input("x", np.float32, (symbol("n"), 3)), make_input("i", np.int64, (4,))
    for build, error, message in (
            (lambda: ops.gather(x, make_input("f", np.float32, (2,))), DTypeError, "indices must be integers"),
            (lambda: ops.gather(x, i, 2), ShapeError, "out of range"), (lambda: ops.take_along_axis(x, i, 0), ShapeError, "ranks differ"),
            (lambda: ops.gather_nd(x, make_input("j", np.int64, (2, 3))), ShapeError, "gather_nd"),
            (lambda: ops.gather_nd(x, make_input("j", np.int64, (2, symbol("k")))), ShapeError, "gather_nd"),
            (lambda: ops.scatter_nd(x, make_input("j", np.int64, (4, 1)), make_input("u", np.float32, (4, 2))), ShapeError, "differ"),
            (lambda: ops.scatter_nd(x, make_input("j", np.int64, (4, 1)), make_input("u", np.float64, (4, 3))), ShapeError, "needs updates of shape"),
            (lambda: ops.scatter_elements(x, make_input("j", np.int64, (4, 1)), make_input("u", np.float32, (4, 2))), ShapeError, "differ"),
            (lambda: ops.scatter_nd(x, make_input("j", np.int64, (4, 1)), make_input("u", np.float32, (4, 3)), "sum"), InvalidModelError, "reduction 'sum'")):
        with pytest.raises(error, match=message):
            build()


def test_one_hot():
    i = np.array([[0, 2], [-1, 5]])
    expected = np.stack([np.where(np.arange(3) == (k + 3 if k < 0 else k), 1.0, 0.0) for k in i.ravel()]).reshape(2, 2, 3).astype(np.float32)
    check(lambda t: ops.one_hot(t, 3), [i], expected)
    check(lambda t: ops.one_hot(t, 3, 5, -1, axis=0, dtype=np.int32), [i], np.moveaxis(expected * 6 - 1, -1, 0).astype(np.int32))

"""Selections compiled: against NumPy and ONNX's own evaluator, for static and symbolic shapes, cut to what there is."""
import itertools
from functools import partial

import numpy as np
import pytest

import dlcompile
from dlcompile import ops
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import Graph, apply, make_input, symbol
from dlcompile.operators import evaluate
from tests.kernels.build import RUNNABLE, Case, check
from tests.operators.helpers import onnx_reference, run

RNG = np.random.default_rng(5)
COUNTER = itertools.count()


def case(name: str, make, *arrays: np.ndarray, symbolic: bool = False) -> Case:
    inputs = []
    for array in arrays:
        number = next(COUNTER)
        shape = tuple(symbol(f"d{number}_{a}") for a in range(array.ndim)) if symbolic else array.shape
        inputs.append((make_input(f"x{number}", array.dtype, shape), array))
    made = make(*(t for t, _ in inputs))
    return Case(name, inputs, made if isinstance(made, tuple) else [made], 0)


def detections(batches: int, classes: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes on a coarse grid, so that many overlap by the same amount, with many equal scores."""
    corners = RNG.integers(0, 9, (batches, count, 4)).astype(np.float32)
    return corners, (RNG.integers(0, 12, (batches, classes, count)) / 12).astype(np.float32)


def cases():
    for symbolic, shape in itertools.product((False, True), ((4, 5, 7), (331,), (3, 0, 2), (1, 1))):
        x = (RNG.random(shape) < 0.3).astype(np.float32)
        x.flat[:1] = np.nan  # is not 0
        yield case(f"nonzero {shape}", ops.nonzero, x, symbolic=symbolic)
        condition = RNG.random(max(shape[0] - 1, 0)) < 0.5
        yield case(f"compress {shape}", partial(ops.compress, axis=0), condition, x, symbolic=symbolic)
        yield case(f"compress all {shape}", ops.compress, condition[:x.size], x, symbolic=symbolic)
    yield case("nonzero of a scalar", ops.nonzero, np.array(3))
    yield case("nonzero of a view", lambda x: ops.nonzero(ops.transpose(x)), RNG.random((40, 30)) < 0.1)
    yield case("every second", lambda x: ops.flatnonzero(x[::2]), RNG.random(99) < 0.5)
    for dtype in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"):
        x = RNG.integers(0, 2 if dtype == "bool" else 60, 300).astype(dtype)
        if dtype.startswith("float"):
            x[[3, 9, 50, 60, 7]] = np.nan, np.nan, -0.0, 0.0, -np.inf
        yield case(f"unique {dtype}", lambda t: ops.unique(t)[1:], x)
        yield case(f"unique {dtype} in order of appearance", partial(ops.unique, sorted=False), x.reshape(20, 15), symbolic=True)
        yield case(f"unique columns of {dtype}", partial(ops.unique, axis=1, sorted=bool(RNG.integers(2))), x[:99].reshape(3, 33))
    for shape, axis in (((0,), 0), ((1, 3), 0), ((4, 0), 0), ((4, 0), 1), ((3, 4, 2), -1), ((65,), None)):
        yield case(f"unique of {shape}", partial(ops.unique, axis=axis), RNG.integers(0, 2, shape))
    for center, symbolic in itertools.product((False, True), repeat=2):
        boxes, scores = detections(2, 3, 70)
        for most in (0, 1, 9, 1000):
            yield case(f"non_max_suppression {most} {center}",
                       partial(ops.non_max_suppression, max_output_boxes_per_class=most, iou_threshold=0.2, score_threshold=0.25,
                               center_point_box=center), boxes, scores, symbolic=symbolic)
        yield case(f"non_max_suppression from data {center}", partial(ops.non_max_suppression, center_point_box=center), boxes, scores,
                   np.array([5]), np.array([0.5], np.float32), np.array([0.1], np.float32))
        turned = np.ascontiguousarray(scores.transpose(0, 2, 1))
        yield case(f"non_max_suppression of a view {center}", lambda b, s, c=center: ops.non_max_suppression(
            b[:, 3:60], ops.transpose(s[:, 3:60], (0, 2, 1)), 6, 0.3, center_point_box=c), boxes, turned)


@pytest.mark.parametrize("target", RUNNABLE[:1], ids=lambda t: t.name)
def test_selections(target, tmp_path):
    check(list(cases()), target, tmp_path)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(threads):
    """Each thread finds out by itself where its part of the results begins."""
    mask, (boxes, scores), rows = RNG.random(70001) < 0.4, detections(2, 3, 200), RNG.standard_normal((130, 90)).astype(np.float32)
    arrays = (mask, boxes, scores, rows)
    inputs = [make_input(f"x{i}", a.dtype, a.shape) for i, a in enumerate(arrays)]
    outputs = [ops.flatnonzero(inputs[0]), ops.non_max_suppression(*inputs[1:3], 20, 0.3), *ops.top_k(inputs[3], 40, 1), ops.sort(inputs[3], 0)]
    graph = Graph("threads", inputs, outputs)
    for got, expected in zip(dlcompile.compile(graph, threads=threads)(*arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique_strings(axis):
    """By their code points; a part of another string comes before it."""
    x = RNG.choice(np.array(["b", "", "ä", "ba", "b\0", "zz" * 40, "日本"], object), (40, 2))
    tensor = make_input("x", object, (symbol("n"), 2))
    outputs = [*ops.unique(tensor, axis), *ops.unique(tensor, axis, sorted=False), ops.nonzero(tensor)]
    graph = Graph("strings", [tensor], outputs)
    got = dlcompile.compile(graph)(x)
    for a, b in zip(got, evaluate(graph, [x]), strict=True):
        np.testing.assert_array_equal(a, b)
    if axis is None:
        for a, b in zip(got, np.unique(x, True, True, True)):
            np.testing.assert_array_equal(a, b.reshape(a.shape))


# -- what they mean ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_unique_is_numpys(axis):
    x = RNG.integers(-2, 2, (6, 5, 2))[:, :, :1 if axis else 2]
    got = run(lambda t: ops.unique(t, axis), x)
    for a, b in zip(got, np.unique(x, True, True, True, axis=axis), strict=True):
        np.testing.assert_array_equal(a, b.reshape(a.shape))
    unsorted = run(lambda t: ops.unique(t, axis, sorted=False), x)
    assert (np.diff(unsorted[1]) > 0).all()
    flat = x.ravel() if axis is None else x
    np.testing.assert_array_equal(np.take(unsorted[0], unsorted[2], axis or 0), flat)
    np.testing.assert_array_equal(np.bincount(unsorted[2]), unsorted[3])


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("threshold", [0.0, 1 / 3, 0.5, 1.0])
def test_non_max_suppression_is_onnxs(center, threshold):
    boxes, scores = detections(2, 2, 30)
    operands = [boxes, scores, np.array([7]), np.array([threshold], np.float32)]
    for extra in ([], [np.array([0.4], np.float32)]):
        (expected,) = onnx_reference("NonMaxSuppression", [*operands, *extra], center_point_box=center)
        (got,) = run(lambda *ts: ops.non_max_suppression(*ts, center_point_box=bool(center)), *operands, *extra)
        np.testing.assert_array_equal(got, expected)


def test_constants_select_at_once():
    found = ops.nonzero(np.array([[0, 2], [3, 0]]))
    assert found.shape == (2, 2)
    assert ops.compress(np.array([True, False, True]), make_input("x", np.float32, (3, symbol("n"))), 0).shape == (2, symbol("n"))


def test_refusals():
    x = make_input("x", np.float32, (3, 4))
    with pytest.raises(ShapeError, match="vector of bool"):
        apply("flatnonzero", x)
    with pytest.raises(ShapeError, match="expected a matrix"):
        apply("unique", make_input("y", np.float32, (3,)), sorted=True)
    with pytest.raises(ShapeError, match="expected .batches, boxes, 4."):
        ops.non_max_suppression(x, x, 3)
    boxes, scores = make_input("b", np.float32, (1, 5, 4)), make_input("s", np.float32, (1, 2, 5))
    with pytest.raises(ShapeError, match="boxes and their scores 5 and 6 differ"):
        ops.non_max_suppression(boxes, make_input("t", np.float32, (1, 2, 6)), 3)
    with pytest.raises(DTypeError, match="float32 boxes"):
        ops.non_max_suppression(ops.cast(boxes, np.float64), scores, 3)


def test_the_first_of_several_dimensions(tmp_path):
    """Reading some entries of a shape: that the coordinate is below their number is known, not asked."""
    x = make_input("x", np.float32, (symbol("n"), symbol("m"), symbol("k")))
    first = ops.slice(ops.shape_of(x), (0,), (2,))
    case = Case("first dimensions", [(x, np.zeros((3, 5, 7), np.float32))], [ops.mul(first, ops.dim_scalar(symbol("k")))], 0)
    check([case], RUNNABLE[0], tmp_path)

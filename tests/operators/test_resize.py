"""Resizing against ONNX Runtime and ONNX's reference evaluator: every mode, up, down and to odd sizes, static and symbolic."""
import itertools

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.graph import Graph, floordiv, make_input, symbol
from dlcompile.operators.interpreter import evaluate
from tests.operators.helpers import check, normal, onnx_reference, onnx_runtime, run

SIZES = [(5, 7), (10, 14), (3, 4), (1, 1), (5, 3), (20, 21), (6, 13)]
COORDINATES = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
CLOSE = dict(rtol=1e-5, atol=1e-5)
X = normal(1, 2, 5, 7)


def by_sizes(sizes, **options):
    return [X, None, None, np.array([1, 2, *sizes])]


@pytest.mark.parametrize("coordinates, rounding", list(itertools.product(COORDINATES, ROUNDINGS)))
def test_nearest(coordinates, rounding):
    for sizes in SIZES:
        if coordinates == "align_corners" and 1 in sizes and rounding == "ceil":
            continue
        exact = rounding in ("floor", "ceil") and coordinates.startswith("half_pixel")  # where ONNX Runtime has 1.9999998 for 2
        reference = onnx_reference if exact else onnx_runtime
        (expected,) = reference("Resize", by_sizes(sizes), mode="nearest", coordinate_transformation_mode=coordinates, nearest_mode=rounding)
        check(lambda t: ops.resize(t, (*t.shape[:2], *sizes), coordinate_mode=coordinates, nearest_mode=rounding), [X], expected)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_interpolated(mode, coordinates):
    for sizes in SIZES:
        (expected,) = onnx_runtime("Resize", by_sizes(sizes), mode=mode, coordinate_transformation_mode=coordinates)
        check(lambda t: ops.resize(t, (*t.shape[:2], *sizes), mode=mode, coordinate_mode=coordinates), [X], expected, **CLOSE)


@pytest.mark.parametrize("a, exclude", [(-0.5, False), (-0.75, True), (-0.5, True)])
def test_cubic_coefficient_and_outside(a, exclude):
    for sizes in SIZES:
        (expected,) = onnx_runtime("Resize", by_sizes(sizes), mode="cubic", cubic_coeff_a=a, exclude_outside=int(exclude))
        check(lambda t: ops.resize(t, (*t.shape[:2], *sizes), mode="cubic", cubic_coefficient=a, exclude_outside=exclude), [X], expected, **CLOSE)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
@pytest.mark.parametrize("scales", [(2.0, 3.0), (0.6, 0.5), (1.3, 2.6), (0.4, 1.0), (1.19, 2.0)])
def test_scales(mode, coordinates, scales):
    """A scale that was given is what coordinates are divided by, also where the size it leads to is rounded down."""
    sizes = [int(np.floor(n * np.float32(s))) for n, s in zip(X.shape[2:], scales)]
    arrays = [X, None, np.array([1, 1, *scales], np.float32)]
    (expected,) = onnx_runtime("Resize", arrays, mode=mode, coordinate_transformation_mode=coordinates)
    check(lambda t: ops.resize(t, (*t.shape[:2], *sizes), scales=(1.0, 1.0, *scales), mode=mode, coordinate_mode=coordinates), [X], expected,
          **(CLOSE if mode != "nearest" else {}))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_crop_and_resize(mode):
    roi = [(0.0, 1.0), (0.0, 1.0), (0.2, 0.7), (-0.1, 1.3)]
    arrays = [X, np.array([a for a, _ in roi] + [b for _, b in roi], np.float32), None, np.array([1, 2, 6, 5])]
    reference = onnx_runtime if mode != "cubic" else onnx_reference
    (expected,) = reference("Resize", arrays, mode=mode, coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=9.0)
    check(lambda t: ops.resize(t, (*t.shape[:2], 6, 5), mode=mode, coordinate_mode="tf_crop_and_resize", roi=roi, extrapolation_value=9.0), [X],
          expected, **CLOSE)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("sizes", [(3, 4), (2, 7), (9, 3), (1, 1)])
@pytest.mark.parametrize("exclude", [False, True])
def test_antialias(mode, sizes, exclude):
    (expected,) = onnx_reference("Resize", by_sizes(sizes), mode=mode, antialias=1, exclude_outside=int(exclude))
    check(lambda t: ops.resize(t, (*t.shape[:2], *sizes), mode=mode, antialias=True, exclude_outside=exclude), [X], expected.astype(np.float32),
          fixed=(1, 2, 3), **CLOSE)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("exclude", [False, True])
def test_antialias_of_symbols(mode, exclude):
    """Rows summed up one by one where a matrix of weights cannot be computed beforehand."""
    h, w = symbol("h"), symbol("w")
    x, area = make_input("x", np.float32, (1, 2, h, w)), (2 * h + 1, floordiv(w, 3) + 1)
    y = ops.resize(x, (1, 2, *area), mode=mode, antialias=True, exclude_outside=exclude)
    graph = Graph("g", [x], [y], output_names=["y"])
    for shape in ((2, 7), (5, 12), (1, 1)):
        data = np.random.default_rng(0).standard_normal((1, 2, *shape)).astype(np.float32)
        sizes = (2 * shape[0] + 1, shape[1] // 3 + 1)
        expected = ops.resize(data, (1, 2, *sizes), mode=mode, antialias=True, exclude_outside=exclude)
        (expected,) = evaluate(Graph("g", [], [expected], output_names=["y"]), {})
        (actual,) = evaluate(graph, {"x": data})
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode, expected", [("nearest", [1, 1, 2, 2, 3, 3]), ("linear", [1, 1, 1, 2, 2, 3])])
def test_integers(mode, expected):
    """Interpolated in float32 and truncated."""
    check(lambda t: ops.resize(t, (6,), mode=mode), [np.array([1, 2, 3], np.uint8)], np.array(expected, np.uint8))


def test_sizes_of_symbols():
    n, h = symbol("n"), symbol("h")
    x = make_input("x", np.float32, (n, 3, h, 8))
    y = ops.resize(x, (n, 3, 2 * h, 16))
    assert y.shape == (n, 3, 2 * h, 16)
    z = normal(2, 3, 5, 8)
    (expected,) = onnx_runtime("Resize", [z, None, np.array([1, 1, 2, 2], np.float32)], mode="nearest")
    check(lambda t: ops.resize(t, (*t.shape[:2], 2 * t.shape[2], 2 * t.shape[3])), [z], expected)
    (bigger,) = onnx_runtime("Resize", [z, None, None, np.array([2, 3, 12, 8])], mode="linear")
    check(lambda t: ops.resize(t, (*t.shape[:2], 2 * t.shape[2] + 2, t.shape[3]), mode="linear"), [z], bigger, **CLOSE)


def test_whole_enlargements_are_views():
    """A nearest one by whole factors needs no indices."""
    from dlcompile.graph import OPERATORS
    from dlcompile.graph.graph import topological_order

    x = make_input("x", np.float32, (symbol("n"), 4, symbol("h"), 6))
    y = ops.resize(x, (symbol("n"), 4, 2 * symbol("h"), 18), coordinate_mode="asymmetric", nearest_mode="floor")
    made = OPERATORS["resize"].decompose(y.producer.attributes, x)
    assert {n.op for n in topological_order([made])} == {"reshape", "broadcast_to"}


def test_one_axis_and_none():
    check(lambda t: ops.resize(t, t.shape, mode="cubic"), [X], X)
    y = normal(4)
    assert run(lambda t: ops.resize(t, (9,), mode="linear"), y)[0].shape == (9,)


@pytest.mark.parametrize("options, error, message", [
    ({"mode": "lanczos"}, InvalidModelError, "mode 'lanczos' is not one of nearest"), ({"coordinate_mode": "middle"}, InvalidModelError, "half_pixel"),
    ({"nearest_mode": "up"}, InvalidModelError, "round_prefer_floor"), ({"scales": (1.0,)}, ShapeError, "4 entries")])
def test_refusals(options, error, message):
    with pytest.raises(error, match=message):
        ops.resize(X, (1, 2, 3, 4), **options)

"""Operators whose axes, shapes, positions and scales are inputs of the model, on random ones, against ONNX's reference evaluator."""
import math

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from dlcompile.errors import ExecutionError, UnsupportedOperatorError
from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.graph import Dim, verify
from dlcompile.operators.interpreter import evaluate
from tests.frontends.onnx.helpers import assert_close, model, single

OPSET = 23
BIG = [2**63 - 1, -(2**63), 2**31 - 1, -(2**31)]
REDUCTIONS = ["ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum",
              "ReduceLogSumExp"]


def reference(made, feeds):
    with np.errstate(all="ignore"):
        return [np.asarray(y) for y in ReferenceEvaluator(made).run(None, feeds)]


def agrees(made, feeds, expected, tolerance=1e-4):
    """Imported without the values of its arguments, and exported again, the model does what is expected of it."""
    graph = verify(import_onnx(made))
    assert set(graph.input_names) == set(feeds)
    assert_close(evaluate(graph, feeds), expected, tolerance, 1e-5)
    written = export_onnx(graph)
    onnx.checker.check_model(written, full_check=True)
    assert_close(reference(written, feeds), expected, tolerance, 1e-5)
    return graph


def int64(*values):
    return np.array(values, np.int64)


def data(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def extents(rng, low=1, high=4, choices=(1, 2, 3, 5, 7)):
    return tuple(int(n) for n in rng.choice(choices, rng.integers(low, high + 1)))


def some_axes(rng, rank, least=1):
    """Some of the axes, in any order and from either end."""
    axes = rng.permutation(rank)[:rng.integers(least, rank + 1)]
    return np.where(rng.random(len(axes)) < 0.5, axes, axes - rank).astype(np.int64)


# -- cases: rng → (operator, arrays, attributes, where the expected result comes from) ---------------------------------
def reduction(rng):
    x = np.abs(data(rng, *extents(rng))) + 0.1
    return rng.choice(REDUCTIONS), [x, some_axes(rng, x.ndim)], {"keepdims": int(rng.integers(2))}, reference


def running(rng):
    x = data(rng, *extents(rng, choices=(0, 1, 2, 3, 5)))
    flags = {name: int(rng.integers(2)) for name in ("exclusive", "reverse")}
    return "CumSum", [x, np.array(rng.integers(-x.ndim, x.ndim))], flags, reference


def reshape(rng):
    shape = extents(rng)
    x, total = data(rng, *shape), math.prod(shape)
    target = list(rng.permutation(shape)) if rng.random() < 0.5 else [total // n for n in (2, 3, 5) if total % n == 0][:1] + [-1]
    target = [int(n) for n in target]
    if rng.random() < 0.5:
        target[rng.integers(len(target))] = -1
    if target.count(-1) > 1:
        target = [-1]
    for axis, n in enumerate(target):
        if axis < x.ndim and n == x.shape[axis] and rng.random() < 0.5:
            target[axis] = 0
    return "Reshape", [x, int64(*target)], {}, reference


def reshape_to_nothing(rng):
    return "Reshape", [data(rng, 0, 3, 2), int64(*rng.permutation([0, 3, 4]))], {"allowzero": 1}, reference


def squeeze(rng):
    x = data(rng, *extents(rng, choices=(1, 1, 2, 3)))
    ones = [a for a, n in enumerate(x.shape) if n == 1] or [x.ndim]
    axes = rng.permutation(ones)[:rng.integers(1, len(ones) + 1)]
    x = x[..., None] if x.ndim in ones else x
    return "Squeeze", [x, np.where(rng.random(len(axes)) < 0.5, axes, axes - x.ndim).astype(np.int64)], {}, reference


def unsqueeze(rng):
    x, count = data(rng, *extents(rng, 0, 3)), rng.integers(1, 4)
    axes = rng.permutation(x.ndim + count)[:count]
    return "Unsqueeze", [x, np.where(rng.random(count) < 0.5, axes, axes - x.ndim - count).astype(np.int64)], {}, reference


def expand(rng):
    shape = extents(rng, 0, 4, (0, 1, 1, 2, 3))
    own = tuple(1 if rng.random() < 0.5 else n for n in shape)[rng.integers(0, len(shape) + 1):]
    asked = tuple(1 if n == m and rng.random() < 0.5 else n for n, m in zip(shape, (0,) * (len(shape) - len(own)) + own))
    return "Expand", [data(rng, *own), int64(*asked)], {}, lambda made, feeds: [feeds["x0"] + np.zeros(feeds["x1"], np.float32)]


def tile(rng):
    x = data(rng, *extents(rng, choices=(0, 1, 2, 3)))
    return "Tile", [x, rng.integers(0, 4, x.ndim)], {}, reference


def slices(rng, given=(True, True)):
    x = data(rng, *extents(rng, choices=(0, 1, 2, 5, 7)))
    axes = some_axes(rng, x.ndim)
    if not given[0]:
        axes = np.arange(len(axes))
    starts, ends = (np.where(rng.random(len(axes)) < 0.2, rng.choice(BIG, len(axes)), rng.integers(-9, 10, len(axes))) for _ in range(2))
    steps = np.where(rng.random(len(axes)) < 0.1, rng.choice(BIG, len(axes)), rng.choice([-3, -2, -1, 1, 2, 3], len(axes)))

    def expected(made, feeds):
        cuts = [slice(None)] * x.ndim
        for axis, *cut in zip(axes, starts, ends, steps if given[1] else [1] * len(axes)):
            cuts[axis] = slice(*(int(c) for c in cut))
        return [x[tuple(cuts)]]

    arrays = [x, starts, ends, axes if given[0] else None, steps if given[1] else None]
    return "Slice", arrays[:5 if given[1] else 4 if given[0] else 3], {}, expected


def slices_in_order(rng):
    return slices(rng, (False, False))


def slices_without_steps(rng):
    return slices(rng, (True, False))


def pad(rng):
    """Constant padding, which may cut off too."""
    x = data(rng, *extents(rng, choices=(3, 4, 6)))
    axes = some_axes(rng, x.ndim)
    pads = rng.integers(-1, 4, 2 * len(axes))

    def expected(made, feeds):
        both = np.zeros((x.ndim, 2), int)
        both[axes] = pads.reshape(2, -1).T
        y = np.pad(x, np.maximum(both, 0), constant_values=1.5)
        return [y[tuple(slice(max(-a, 0), y.shape[i] - max(-b, 0)) for i, (a, b) in enumerate(both))]]

    return "Pad", [x, pads, np.array(1.5, np.float32), axes], {}, expected


def pad_with_itself(rng):
    x = data(rng, *extents(rng, choices=(3, 4, 6)))
    return "Pad", [x, rng.integers(0, 3, 2 * x.ndim)], {"mode": rng.choice(["reflect", "edge", "wrap"])}, reference


def split(rng):
    x = data(rng, *extents(rng, choices=(4, 6, 7)))
    axis = int(rng.integers(-x.ndim, x.ndim))
    places = np.sort(rng.integers(0, x.shape[axis] + 1, 2))
    sizes = np.diff([0, *places, x.shape[axis]])
    return "Split", [x, sizes], {"axis": axis, "outputs": 3}, reference


def center_crop_pad(rng):
    x = data(rng, *extents(rng))
    axes = some_axes(rng, x.ndim)
    return "CenterCropPad", [x, rng.integers(1, 9, len(axes))], {"axes": axes.tolist()}, reference


def constant_of_shape(rng):
    return "ConstantOfShape", [rng.integers(0, 4, rng.integers(1, 4))], {}, reference


def one_hot(rng):
    depth = int(rng.integers(1, 6))
    values = np.array([-1, 5], np.float32)
    return "OneHot", [rng.integers(-depth, depth, extents(rng, 0, 3)), np.array(depth), values], {"axis": int(rng.integers(-1, 1))}, reference


def range_of_integers(rng):
    dtype = rng.choice([np.int16, np.int32, np.int64])
    step = int(rng.choice([-3, -2, -1, 1, 2, 3]))
    return "Range", [np.array(n, dtype) for n in (*rng.integers(-9, 9, 2), step)], {}, reference


def range_of_floats(rng):
    dtype = rng.choice([np.float32, np.float64])
    step = rng.choice([-1.5, -0.5, 0.25, 2])
    return "Range", [np.array(n, dtype) for n in (*rng.integers(-9, 9, 2), step)], {}, reference


def window(rng):
    name = rng.choice(["HannWindow", "HammingWindow", "BlackmanWindow"])
    return name, [np.array(rng.integers(2, 12))], {"periodic": int(rng.integers(2))}, reference


def trilu(rng):
    return "Trilu", [data(rng, *extents(rng, 2, 3)), np.array(rng.integers(-4, 5))], {"upper": int(rng.integers(2))}, reference


def resize(rng):
    x = data(rng, 1, 2, *rng.choice([2, 3, 5, 8], 2))
    mode = str(rng.choice(["nearest", "linear", "cubic"]))
    attributes = {"mode": mode, "coordinate_transformation_mode": str(rng.choice(["half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric"])),
                  "antialias": int(mode != "nearest" and rng.random() < 0.4), "exclude_outside": int(mode == "cubic" and rng.random() < 0.4)}
    if rng.random() < 0.5:
        return "Resize", [x, None, rng.choice([0.5, 0.75, 1.25, 2, 2.5], 2).astype(np.float32)], attributes | {"axes": [2, 3]}, reference
    policy = str(rng.choice(["stretch", "not_larger", "not_smaller"]))
    return "Resize", [x, None, None, rng.integers(2, 9, 2)], attributes | {"axes": [3, 2], "keep_aspect_ratio_policy": policy}, reference


def crop_and_resize(rng):
    x = data(rng, 1, 2, *rng.choice([2, 3, 5, 8], 2))
    roi = np.sort(rng.uniform(-0.2, 1.2, (2, 2)), 0).ravel().astype(np.float32)
    attributes = {"mode": str(rng.choice(["nearest", "linear"])), "coordinate_transformation_mode": "tf_crop_and_resize", "axes": [2, 3],
                  "extrapolation_value": 9.0}
    return "Resize", [x, roi, None, rng.integers(2, 9, 2)], attributes, reference


CASES = [reduction, running, reshape, reshape_to_nothing, squeeze, unsqueeze, expand, tile, slices, slices_in_order, slices_without_steps, pad,
         pad_with_itself, split, center_crop_pad, constant_of_shape, one_hot, range_of_integers, range_of_floats, window, trilu, resize,
         crop_and_resize]


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_random_arguments(case, symbolic):
    """With the operand's extents fixed, and given by name."""
    for seed in range(6):
        op_type, arrays, attributes, oracle = case(np.random.default_rng(seed))
        made, feeds = single(str(op_type), arrays, opset=OPSET, **attributes)
        if symbolic:
            _name_extents(made, arrays)
        expected = [np.asarray(y) for y in oracle(made, feeds)]
        try:
            agrees(made, feeds, expected, 1e-3 if case is resize else 1e-4)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {op_type} {attributes} {[a if a is None or a.size < 9 else a.shape for a in arrays]}") from error


def _name_extents(made, arrays):
    """The first operand's dimensions by name."""
    for axis, dim in enumerate(made.graph.input[0].type.tensor_type.shape.dim):
        if arrays[0].ndim > 1 or made.graph.node[0].op_type not in ("ConstantOfShape", "OneHot"):
            dim.dim_param = f"n{axis}"


WRONG = [
    ("ReduceSum", [np.ones((2, 3), np.float32), int64(2)]), ("ReduceSum", [np.ones((2, 3, 4), np.float32), int64(1, -2)]),
    ("CumSum", [np.ones((2, 3), np.float32), np.array(2)]), ("Reshape", [np.ones((2, 3), np.float32), int64(4, 2)]),
    ("Reshape", [np.ones((2, 3), np.float32), int64(4, -1)]), ("Squeeze", [np.ones((2, 3), np.float32), int64(1)]),
    ("Unsqueeze", [np.ones((2, 3), np.float32), int64(1, 1)]), ("Expand", [np.ones((2, 3), np.float32), int64(4, 3)]),
    ("Tile", [np.ones(3, np.float32), int64(-1)]),
    ("Slice", [np.ones(3, np.float32), int64(0), int64(3), int64(0), int64(0)]), ("Slice", [np.ones(3, np.float32), int64(0), int64(3), int64(1)]),
    ("Pad", [np.ones(3, np.float32), int64(-2, -2)]), ("Split", [np.ones(3, np.float32), int64(1, 1)]),
    ("Range", [np.array(n, np.float32) for n in (0, 3, 0)]), ("Range", [np.array(n) for n in (0, 3, 0)]), ("ConstantOfShape", [int64(2, -1)]),
    ("OneHot", [int64(0), np.array(-1), np.array([0, 1], np.float32)]),
]


@pytest.mark.parametrize("op_type, arrays", WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_arguments_that_make_no_sense(op_type, arrays):
    made, feeds = single(op_type, arrays, opset=OPSET, outputs=2 if op_type == "Split" else 1)
    with pytest.raises(ExecutionError, match="the_node"):
        evaluate(import_onnx(made), feeds)


def test_a_number_of_axes_that_only_a_run_knows():
    """The rank of the result would not be known; where the axes are kept it is."""
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for keepdims in (0, 1):
        made, feeds = single("ReduceMax", [x, int64(0, -1)], keepdims=keepdims)
        made.graph.input[1].type.tensor_type.shape.dim[0].dim_param = "count"
        if not keepdims:
            with pytest.raises(UnsupportedOperatorError, match="number of axes, count, that only a run knows"):
                import_onnx(made)
            continue
        for axes in ([0, -1], [], [1]):
            graph, feeds = import_onnx(made), {"x0": x, "x1": int64(*axes)}
            assert_close(evaluate(graph, feeds), [x.max(tuple(axes) or None, keepdims=True)])


def node(op_type, inputs, output, **attributes):
    return onnx.helper.make_node(op_type, inputs, [output], name=op_type.lower(), **attributes)


def test_what_is_known_of_a_shape_stays_known():
    """Of a shape put together of a batch, a number from data and what is left over, only that number is unknown."""
    made = model([node("Shape", ["x"], "shape"), node("Gather", ["shape", "zero"], "batch", axis=0),
                  node("Concat", ["batch", "heads", "minus"], "wanted", axis=0), node("Reshape", ["x", "wanted"], "y")],
                 {"x": (np.float32, ["n", 12]), "heads": (np.int64, [1])}, ["y"], constants={"zero": int64(0), "minus": int64(-1)})
    graph = verify(import_onnx(made))
    batch, heads, rest = graph.outputs[0].shape
    assert str(batch) == "n" and isinstance(heads, Dim) and isinstance(rest, Dim) and len(graph.definitions) == 2
    x = np.arange(24, dtype=np.float32).reshape(2, 12)
    for n in (1, 3, 4):
        assert_close(evaluate(graph, {"x": x, "heads": int64(n)}), [x.reshape(2, n, -1)])


def test_the_only_choice_of_axes_is_static():
    """Two extents of 1 and two axes to be squeezed."""
    made, feeds = single("Squeeze", [np.ones((1, 3, 1, 5), np.float32), int64(2, 0)])
    assert agrees(made, feeds, [np.ones((3, 5), np.float32)]).outputs[0].shape == (3, 5)


def test_a_slice_with_known_steps_is_a_view():
    """Forwards and backwards: no element is looked up by an index."""
    x = np.arange(20, dtype=np.float32).reshape(4, 5)
    for step in (1, -1):
        made, feeds = single("Slice", [x, int64(3), int64(1), int64(0), int64(step)], constants=(3, 4))
        graph = agrees(made, feeds, [x[3:1:step]])
        assert "gather" not in {n.op for n in graph.nodes} and len(graph.definitions) == 2


def test_broadcasting_an_extent_that_may_be_1():
    """What is cut from data may have one element, and then it is as good as any number of them."""
    made = model([node("Slice", ["x", "zero", "count"], "part"), node("Expand", ["part", "shape"], "y")],
                 {"x": (np.float32, [4]), "count": (np.int64, [1]), "shape": (np.int64, [2])}, ["y"], constants={"zero": int64(0)})
    graph = verify(import_onnx(made))
    x = np.arange(4, dtype=np.float32)
    for count, shape in ((1, (2, 3)), (3, (2, 3)), (3, (2, 1)), (1, (2, 0)), (4, (1, 1))):
        feeds = {"x": x, "count": int64(count), "shape": int64(*shape)}
        assert_close(evaluate(graph, feeds), [x[:count] + np.zeros(shape, np.float32)])
    with pytest.raises(ExecutionError, match="expand"):
        evaluate(graph, {"x": x, "count": int64(2), "shape": int64(2, 3)})


def cut_and_added(other):
    """A model that adds a [4] cut to `count` elements, and `other`."""
    nodes = [node("Slice", ["x", "zero", "count"], "part"), node("Add", ["part", "z"], "y")]
    return import_onnx(model(nodes, {"x": (np.float32, [4]), "count": (np.int64, [1]), "z": (np.float32, other)}, ["y"],
                             constants={"zero": int64(0)}))


@pytest.mark.parametrize("other, lengths", [([3], [3]), ([2, 3], [3]), ([2, 1], [1]), ([], [None]), (["n"], [1, 2, 3]), (["n", 1], [2])])
def test_operands_of_which_one_may_have_one_element(other, lengths):
    graph = verify(cut_and_added(other))
    x = np.arange(1, 5, dtype=np.float32)
    for length in lengths:
        z = np.random.default_rng(0).standard_normal([length if isinstance(d, str) else d for d in other]).astype(np.float32)
        for count in range(5):
            feeds = {"x": x, "count": int64(count), "z": z}
            try:
                expected = x[:count] + z
            except ValueError:
                with pytest.raises(ExecutionError, match="node add"):
                    evaluate(graph, feeds)
            else:
                assert_close(evaluate(graph, feeds), [expected])


def test_a_step_and_an_axis_of_symbolic_extents():
    """x[::n] and an axis n - 1 of a model whose inputs say what n is."""
    nodes = [node("Shape", ["z"], "n"), node("Slice", ["x", "zero", "end", "zero", "n"], "y"), node("Sub", ["n", "one"], "axis"),
             node("Unsqueeze", ["x", "axis"], "w")]
    graph = verify(import_onnx(model(nodes, {"x": (np.float32, [7]), "z": (np.float32, ["n"])}, ["y", "w"],
                                     constants={"zero": int64(0), "end": int64(7), "one": int64(1)})))
    x = np.arange(7, dtype=np.float32)
    for n in (1, 2):
        assert_close(evaluate(graph, {"x": x, "z": np.zeros(n, np.float32)}), [x[::n], np.expand_dims(x, n - 1)])

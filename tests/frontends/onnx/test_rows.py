"""Forms of operators that ONNX's own suite, which is of the newest opset, does not have; each against ONNX Runtime."""
import numpy as np
import onnx
import pytest

import dlcompile as dlc
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx import import_onnx
from dlcompile.frontends.onnx.node import IMPORTERS, find_schema
from tests.frontends.onnx.helpers import assert_close, check, model, runtime, single

pytest.importorskip("onnxruntime")
F = np.float32


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


X = normal(2, 3, 4, 5)
VECTOR = np.array([0.5, 1.5, -1], F)

OLD = [  # operator, opset, operands, attributes
    ("Squeeze", 11, [normal(1, 3, 1, 4)], {"axes": [0, -2]}),
    ("Squeeze", 9, [normal(1, 3, 1, 4)], {}),
    ("Unsqueeze", 11, [X], {"axes": [0, 3]}),
    ("Clip", 7, [X], {"min": -0.5, "max": 0.75}),
    ("Clip", 10, [X], {"max": 0.25}),
    ("Clip", 7, [X], {}),
    ("Slice", 9, [X], {"starts": [1, -3], "ends": [9, -1], "axes": [1, 3]}),
    ("Slice", 7, [X], {"starts": [0, 1], "ends": [1, 3]}),
    ("Pad", 7, [X], {"pads": [0, 1, 0, 2, 0, 0, 3, 1], "value": 1.5}),
    ("Pad", 10, [X], {"pads": [0, 0, 2, 3, 0, 0, 1, 2], "mode": "reflect"}),
    ("Pad", 7, [X], {"pads": [0, 0, 2, 3, 0, 0, 1, 2], "mode": "edge"}),
    ("Split", 11, [X], {"axis": 3, "split": [2, 3], "outputs": 2}),
    ("Split", 7, [X], {"axis": 2, "outputs": 2}),
    ("Upsample", 7, [X], {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}),
    ("Upsample", 8, [X], {"scales": [1.0, 1.0, 2.0, 2.0], "mode": "linear"}),
    ("Softmax", 7, [X], {}),
    ("Softmax", 11, [X], {"axis": 2}),
    ("LogSoftmax", 11, [X], {"axis": 3}),
    ("Hardmax", 11, [X], {"axis": 1}),
    ("Flatten", 9, [X], {"axis": 0}),
    ("Flatten", 13, [X], {"axis": -2}),
    ("Flatten", 13, [X], {"axis": 4}),
    ("BatchNormalization", 7, [X, VECTOR, -VECTOR, VECTOR, VECTOR**2], {"epsilon": 1e-3}),
    ("BatchNormalization", 9, [X, VECTOR, -VECTOR, VECTOR, VECTOR**2], {"momentum": 0.5}),
    ("Dropout", 7, [X], {"ratio": 0.25}),
    ("Dropout", 10, [X], {"ratio": 0.25}),
    ("TopK", 7, [X], {"k": 2, "axis": 2, "outputs": 2}),
    ("PRelu", 7, [X, normal(3, 1, 1)], {}),
    ("AveragePool", 7, [X], {"kernel_shape": [3, 2], "pads": [1, 1, 1, 0], "count_include_pad": 1, "strides": [2, 1]}),
    ("AveragePool", 10, [X], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1, "strides": [2, 2]}),
    ("MaxPool", 8, [X], {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("MaxPool", 10, [X], {"kernel_shape": [2, 2], "dilations": [2, 1], "ceil_mode": 1, "strides": [2, 2]}),
    ("Scatter", 9, [X, np.array([[[[1, 0]]]]), normal(1, 1, 1, 2)], {"axis": 3}),
    ("ArgMax", 11, [X], {"axis": 2, "keepdims": 0}),
    ("Gemm", 7, [normal(3, 4), normal(5, 3), normal(5)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Max", 8, [X, normal(5), normal(4, 1)], {}),
    ("Mean", 8, [X, normal(5), normal(4, 1)], {}),
    ("GRU", 7, [normal(5, 2, 3), normal(1, 12, 3), normal(1, 12, 4), normal(1, 24)],
     {"hidden_size": 4, "linear_before_reset": 1, "outputs": 2}),
    ("LSTM", 7, [normal(5, 2, 3), normal(2, 16, 3), normal(2, 16, 4), normal(2, 32), None, normal(2, 2, 4), normal(2,
     2, 4), normal(2, 12)],
     {"hidden_size": 4, "direction": "bidirectional", "outputs": 3}),
    ("LSTM", 7, [normal(5, 2, 3), normal(1, 16, 3), normal(1, 16, 4), None, np.array([3, 5], np.int32)],
     {"hidden_size": 4, "direction": "reverse", "outputs": 3}),
    ("RNN", 7, [normal(5, 2, 3), normal(1, 4, 3), normal(1, 4, 4)],
     {"hidden_size": 4, "activations": ["Relu"], "outputs": 2}),
] + [(f"Reduce{name}", 11, [np.abs(X) + 1], {"axes": [1, -1], "keepdims": keep})
     for keep, name in enumerate(("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum",
         "LogSumExp"), 0) for keep in (keep % 2,)]


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("op, opset, operands, attributes", OLD, ids=[f"{row[0]}-{row[1]}-{i}" for i,
    row in enumerate(OLD)])
def test_old_forms(op, opset, operands, attributes, symbolic):
    if symbolic and op in ("LSTM", "GRU", "RNN", "Squeeze", "Scatter", "TopK", "Split"):
        pytest.skip("needs extents")
    attributes = dict(attributes)
    weights = range(1, len(operands)) if symbolic else ()
    made, feeds = single(
        op,
        operands,
        opset=opset,
        outputs=attributes.pop("outputs", 1),
        symbolic=symbolic,
        constants=weights,
        **attributes,
    )
    check(made, feeds, rtol=1e-3)


@pytest.mark.parametrize("op, gates", [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_weights_for_a_number_of_directions_that_is_a_dimension(op, gates):
    """Two directions, and weights for 2*n of them, n being the batch."""
    given = {"x": normal(5, 1, 3), "w": normal(2, gates * 4, 3), "r": normal(2, gates * 4, 4), "b": normal(2, gates * 8)}
    node = onnx.helper.make_node(op, list(given), ["y", "h"], hidden_size=4, direction="bidirectional")
    made = model([node], {name: (F, [5, "n", 3] if name == "x" else ["2*n", *a.shape[1:]]) for name, a in given.items()}, ["y", "h"], opset=14)
    compiled = dlc.compile(made, cache=False)
    assert_close(list(compiled.run(given).values()), runtime(made, given))
    with pytest.raises(dlc.Error, match="2\\*n and 2 to be equal"):
        compiled.run({name: np.concatenate([a, a], axis=int(name == "x")) for name, a in given.items()})


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("op, opset", [("Upsample", 9), ("Resize", 10)])
@pytest.mark.parametrize("scales", [[1, 1, 2, 2], [1, 1, 0.5, 0.4], [1, 1, 1.5, 3]])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_of_old(op, opset, scales, mode, symbolic):
    if op == "Upsample" and min(scales) < 1:
        pytest.skip("Upsample does not shrink")
    made, feeds = single(
        op, [normal(1, 2, 6, 5), np.array(scales, F)], opset=opset, constants=[1], symbolic=symbolic, mode=mode
    )
    check(made, feeds)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("sizes", [False, True])
@pytest.mark.parametrize("mode, coordinates, nearest", [
    ("nearest", "half_pixel", "round_prefer_floor"), ("nearest", "asymmetric", "floor"),
     ("nearest", "asymmetric", "ceil"),
    ("nearest", "half_pixel", "round_prefer_ceil"), ("linear", "half_pixel", "floor"),
     ("linear", "align_corners", "floor"),
    ("linear", "pytorch_half_pixel", "floor"), ("linear", "asymmetric", "floor"), ("cubic", "half_pixel", "floor"),
    ("cubic", "align_corners", "floor"), ("nearest", "tf_half_pixel_for_nn", "floor")])
def test_resize(mode, coordinates, nearest, sizes, symbolic):
    x = normal(1, 2, 5, 7)
    if sizes:
        operands = [x, None, None, np.array([1, 2, 10, 9])]
    else:
        operands = [x, None, np.array([1, 1, 2, 3], F)]
    made, feeds = single(
        "Resize",
        operands,
        opset=13,
        constants=[2, 3],
        symbolic=symbolic,
        mode=mode,
        nearest_mode=nearest,
        coordinate_transformation_mode=coordinates,
    )
    check(made, feeds)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("attributes", [
    {}, {"strides": [2, 3]}, {"strides": [2, 2], "pads": [1, 0, 1, 2]}, {"strides": [2, 2], "output_padding": [1, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, {"dilations": [2, 1]},
    {"group": 2}, {"strides": [3, 3], "output_shape": [14, 11]}])
def test_conv_transpose(attributes, symbolic):
    groups = attributes.get("group", 1)
    made, feeds = single(
        "ConvTranspose",
        [normal(2, 4, 4, 3), normal(4, 6 // groups, 3, 3), normal(6)],
        opset=11,
        constants=[1, 2],
        **attributes,
    )
    if symbolic:
        if "output_shape" in attributes:
            pytest.skip("a shape of its own")
        for axis in (0, 2, 3):
            made.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    check(made, feeds)


@pytest.mark.parametrize("attributes", [
    {"pads": [1, 2, 0, 1], "strides": [2, 1]}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
    {"auto_pad": "VALID"}, {"dilations": [2, 2]}, {"group": 2}, {"group": 4}])
@pytest.mark.parametrize("symbolic", [False, True])
def test_conv(attributes, symbolic):
    groups = attributes.get("group", 1)
    made, feeds = single(
        "Conv", [normal(2, 4, 8, 9), normal(8, 4 // groups, 3, 2), normal(8)], opset=11, constants=[1, 2], **attributes
    )
    if symbolic:
        for axis in (0, 2, 3):
            made.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    check(made, feeds)


@pytest.mark.parametrize("start, end, step", [(0, 5, 1), (-3, 2**31 - 1, 1), (-1, -2**63, -1), (4, 0, -2),
    (1, 100, 3), (5, 2, 1), (-100, 100, 1), (10, -3, -1)])
@pytest.mark.parametrize("symbolic", [False, True])
def test_slices(start, end, step, symbolic):
    operands = [normal(7, 2), *(np.array([v]) for v in (start, end, 0, step))]
    made, feeds = single("Slice", operands, opset=13, constants=[1, 2, 3, 4], symbolic=symbolic)
    check(made, feeds)


@pytest.mark.parametrize("op, operands, attributes", [
    ("Gelu", [X], {}), ("FastGelu", [X, normal(5)], {}), ("BiasGelu", [X, normal(5)], {}), ("QuickGelu", [X],
     {"alpha": 1.5}),
    ("FusedMatMul", [normal(2, 3, 4), normal(2, 5, 4)], {"transB": 1, "alpha": 0.25}),
    ("SkipLayerNormalization", [normal(2, 3, 8), normal(2, 3, 8, seed=1), normal(8), normal(8)], {"epsilon": 1e-5})])
def test_operators_of_onnx_runtime(op, operands, attributes):
    made, feeds = single(op, operands, domain="com.microsoft", **attributes)
    check(made, feeds, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("zero", [None, np.uint8(7), np.int8(-3)])
@pytest.mark.parametrize("scale", [F(0.05), np.array([0.1, 0.02, 0.3], F)])
def test_quantisation(zero, scale):
    zero = None if zero is None else np.full(scale.shape, zero)
    made, feeds = single("QuantizeLinear", [normal(2, 3, 4) * 20, scale, zero], opset=13, constants=[1, 2])
    check(made, feeds)
    codes = np.arange(24).reshape(2, 3, 4).astype(np.uint8 if zero is None else zero.dtype)
    made, feeds = single("DequantizeLinear", [codes, scale, zero], opset=13, constants=[1, 2])
    check(made, feeds)


@pytest.mark.parametrize("op, operands, attributes, opset, error, message", [
    ("Reshape", [X, np.array([7, -1])], {}, 13, ShapeError, "120 elements are not a multiple of 7"),
    ("Reshape", [X, np.array([-1, -1])], {}, 13, ShapeError, "at most one dimension can be -1"),
    ("Reshape", [X, np.array([2, 3, 4, 5, 0])], {}, 13, ShapeError, "copies dimension 4"),
    ("Squeeze", [X, np.array([1])], {}, 13, ShapeError, "cannot be squeezed"),
    ("Gather", [X, np.array([9])], {"axis": 1}, 13, ShapeError, "index 9 is outside of an axis of 3"),
    ("Split", [X, np.array([1, 1])], {"axis": 1, "outputs": 2}, 13, ShapeError, "does not split"),
    ("Slice", [X, np.array([0]), np.array([1]), np.array([0]), np.array([0])], {}, 13, InvalidModelError, "step 0"),
    ("Tile", [X, np.array([1, 2])], {}, 13, ShapeError, "2 repeats for the 4 axes"),
    ("Pad", [X, np.array([1, 2])], {}, 13, ShapeError, "2 pads for 4 axes"),
    ("AveragePool", [X], {"kernel_shape": [2, 2], "pads": [0, -1, 0, 0]}, 13, InvalidModelError, "none below 0"),
    ("ScatterND", [X, np.array([[0]]), normal(1, 3, 4, 5)],
     {"reduction": "what"}, 18, InvalidModelError, "reduction 'what'"),
    ("Conv", [X, normal(4, 2, 3, 3)], {}, 13, ShapeError, "channels"),
    ("ConvTranspose", [X, normal(3, 2, 3, 3)], {"strides": [1, -2], "output_shape": [10, 8]}, 13, InvalidModelError, "must be positive"),
    ("QuantizeLinear", [normal(3, 4), normal(3, 3)], {"axis": 1, "block_size": 2}, 21, ShapeError, "scales or zero points along axis 1.*3 and 2"),
    ("DequantizeLinear", [np.ones((3, 4), np.int8), normal(5, 2)], {"axis": 1, "block_size": 2}, 21, ShapeError, "along axis 0.*5 and 3"),
    ("DepthToSpace", [X], {"blocksize": 2}, 13, ShapeError, "not a multiple of the block"),
    ("TopK", [X, np.array([9])], {"outputs": 2}, 11, InvalidModelError, "k is 9"),
    ("Resize", [X, None, np.array([1, 1, -2, 2], F)], {}, 13, ShapeError, "positive numbers"),
    ("Concat", [X, None, X], {"axis": 0}, 13, InvalidModelError, r"input 1 \(inputs\) is left out"),
    ("SequenceConstruct", [X, None, X], {}, 13, InvalidModelError, r"input 1 \(inputs\) is left out"),
    ("LSTM", [normal(5, 2, 3), normal(1, 16, 3), normal(1, 16, 4)],
     {"direction": "bidirectional", "hidden_size": 4}, 13, ShapeError, "bidirectional: 1 and 2 differ"),
])
def test_errors_name_node_and_operator(op, operands, attributes, opset, error, message):
    attributes = dict(attributes)
    made, _ = single(
        op, operands, opset=opset, outputs=attributes.pop("outputs", 1), constants=range(1, len(operands)), **attributes
    )
    with pytest.raises(error, match=message) as caught:
        import_onnx(made)
    assert f"node 'the_node' ({op})" in str(caught.value)


def test_every_row_is_of_an_operator_that_exists():
    for domain, name in IMPORTERS:
        if domain == "" and name not in ("SimplifiedLayerNormalization",):
            assert find_schema(domain, name, onnx.defs.onnx_opset_version()), name

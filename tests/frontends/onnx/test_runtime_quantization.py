"""The operators of ONNX Runtime's quantiser, against ONNX Runtime: integers that differ by one at most, where a quotient lies between two."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import QuantType, quantize_dynamic

import dlcompile
from dlcompile.errors import ShapeError
from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.operators import evaluate
from tests.frontends.onnx.helpers import runtime, single

F = np.float32
CODES = [np.uint8, np.int8]


def codes(dtype, *shape, seed=0):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, endpoint=True).astype(dtype)


def zero(dtype, value):
    return np.array(value + (np.iinfo(dtype).min + 128 if dtype is np.int8 else 128), dtype)


def check(op, operands, attributes, outputs_of=np.integer, **options):
    """The compiled model, the interpreter, and the model exported with operators of ONNX alone."""
    made, feeds = single(op, operands, domain="com.microsoft", opset=17, **options)
    made.graph.node[0].attribute.extend(helper.make_attribute(*item) for item in attributes.items())
    (expected,) = runtime(made, feeds, exact_products=True)
    assert np.issubdtype(expected.dtype, outputs_of)
    graph = import_onnx(made)
    exported = export_onnx(graph)
    onnx.checker.check_model(exported)
    assert not any(node.domain == "com.microsoft" for node in exported.graph.node)
    compiled = dlcompile.compile(made, cache=False, name="m").run(feeds)
    for (result,) in (list(compiled.values()), evaluate(graph, feeds), ReferenceEvaluator(exported).run(None, feeds)):
        assert result.dtype == expected.dtype and result.shape == expected.shape
        if outputs_of is np.integer:
            far = np.abs(result.astype(int) - expected)
            assert far.max(initial=0) <= 1 and np.mean(far > 0) < 0.05
        else:
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_of_two(op, dtype, symbolic):
    a, b = codes(dtype, 2, 3, 5), codes(dtype, 3, 1, seed=1) if not symbolic else codes(dtype, 2, 3, 5, seed=1)
    operands = [a, F(0.02), zero(dtype, 3), b, F(0.03), zero(dtype, 0), F(0.05 if op == "QLinearAdd" else 0.01), zero(dtype, -7)]
    check(op, operands, {}, constants=[1, 2, 4, 5, 6, 7], symbolic=symbolic)


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("op, attributes", [("QLinearSigmoid", {}), ("QLinearLeakyRelu", {"alpha": 0.2}), ("QLinearLeakyRelu", {}),
                                            ("QLinearSoftmax", {"axis": -1, "opset": 13}), ("QLinearSoftmax", {"axis": 1, "opset": 11})])
def test_of_one(op, attributes, dtype):
    scale = 1 / 256 if op != "QLinearLeakyRelu" else 0.04
    lowest = np.array(np.iinfo(dtype).min if op != "QLinearLeakyRelu" else 3, dtype)
    check(op, [codes(dtype, 2, 3, 5), F(0.05), zero(dtype, 4), F(scale), lowest], attributes, constants=[1, 2, 3, 4])


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("op, attributes", [("QLinearGlobalAveragePool", {}),
                                            ("QLinearAveragePool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]})])
def test_pooling(op, attributes, last):
    shape = (2, 7, 6, 3) if last else (2, 3, 7, 6)
    check(op, [codes(np.uint8, *shape), F(0.05), zero(np.uint8, 4), F(0.04), zero(np.uint8, 1)], attributes | {"channels_last": last},
          constants=[1, 2, 3, 4])


@pytest.mark.parametrize("dtype", CODES)
def test_concat(dtype):
    operands = [F(0.04), zero(dtype, 1), codes(dtype, 2, 3), F(0.02), zero(dtype, 5), codes(dtype, 2, 4, seed=1), F(0.06), zero(dtype, -9)]
    check("QLinearConcat", operands, {"axis": 1}, constants=[0, 1, 3, 4, 6, 7])


@pytest.mark.parametrize("dtype", CODES)
def test_where(dtype):
    condition = np.random.default_rng(3).random((4, 5)) < 0.5
    operands = [condition, codes(dtype, 4, 5), F(0.02), zero(dtype, 5), codes(dtype, 4, 5, seed=1), F(0.06), zero(dtype, -9), F(0.05), zero(dtype, 2)]
    check("QLinearWhere", operands, {}, constants=[2, 3, 5, 6, 7, 8])


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("trans_a, trans_b", [(0, 0), (0, 1), (1, 0)])
@pytest.mark.parametrize("bias", [False, True])
def test_gemm(trans_a, trans_b, bias, per_column):
    a, b = codes(np.uint8, 4, 9), codes(np.int8, 9, 5, seed=1)
    b_scale, b_zero = (np.linspace(0.01, 0.02, 5, dtype=F), np.zeros(5, np.int8)) if per_column else (F(0.015), np.int8(0))
    c = np.arange(-200, 300, 100, dtype=np.int32) if bias else None
    left = [a.T.copy() if trans_a else a, F(0.02), np.uint8(130), b.T.copy() if trans_b else b, b_scale, b_zero, c]
    attributes = {"transA": trans_a, "transB": trans_b, "alpha": 1.0}
    check("QGemm", [*left, F(0.2), np.uint8(100)], attributes, constants=[1, 2, 3, 4, 5, 7, 8])
    check("QGemm", left, attributes, outputs_of=np.floating, constants=[1, 2, 3, 4, 5])


def test_products_to_real_numbers():
    a, b, bias = codes(np.uint8, 2, 4, 9), codes(np.int8, 9, 5, seed=1), np.linspace(-1, 1, 5, dtype=F)
    check("MatMulIntegerToFloat", [a, b, F(0.02), F(0.03), np.uint8(7), np.int8(-3), bias], {}, outputs_of=np.floating, constants=[1, 2, 3, 4, 5, 6])
    x = np.random.default_rng(0).standard_normal((2, 4, 9)).astype(F)
    check("DynamicQuantizeMatMul", [x, b, F(0.03), np.int8(-3), bias], {}, outputs_of=np.floating, constants=[1, 2, 3, 4])


@pytest.mark.parametrize("code", [TensorProto.UINT16, TensorProto.INT16, TensorProto.INT4])
def test_types_of_later_opsets(code):
    """QuantizeLinear and DequantizeLinear of ONNX Runtime's own domain, of types that ONNX's has only later."""
    zero_point = helper.make_tensor("zero", code, [], [1])
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], domain="com.microsoft"),
             helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], domain="com.microsoft")]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 4]) for n in "xy"]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [helper.make_tensor("scale", TensorProto.FLOAT, [], [0.25]), zero_point])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8)
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(F) * 3
    np.testing.assert_array_equal(dlcompile.compile(made, cache=False, name="m")(x), runtime(made, {"x": x})[0])


def test_scales_of_other_sizes_are_refused():
    made, _ = single("QLinearSigmoid", [codes(np.uint8, 2, 3), np.ones(3, F), None, F(1)], domain="com.microsoft", constants=[1, 3])
    with pytest.raises(ShapeError, match="the_node.*expected one number"):
        import_onnx(made)


# -- weights of few bits ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bits, size, inner", [(4, 32, 64), (4, 16, 40), (8, 32, 64), (4, 128, 100)])
@pytest.mark.parametrize("zeros", ["none", "packed", "real"])
@pytest.mark.parametrize("bias", [False, True])
def test_products_with_packed_weights(bits, size, inner, zeros, bias):
    if (bits, zeros) == (8, "real"):
        pytest.skip("ONNX Runtime has none of these")
    rows, blocks, rng = 24, -(-inner // size), np.random.default_rng(1)
    operands = [rng.standard_normal((2, 3, inner)).astype(F), codes(np.uint8, rows, blocks, size * bits // 8),
                rng.uniform(0.01, 0.1, (rows, blocks)).astype(F),
                {"none": None, "packed": codes(np.uint8, rows, -(-blocks * bits // 8), seed=2),
                 "real": rng.uniform(0, 1 << bits, (rows, blocks)).astype(F)}[zeros], None, rng.standard_normal(rows).astype(F) if bias else None]
    inputs = ["a", "b", "scales", "zeros" if zeros != "none" else "", "", "bias" if bias else ""]
    node = helper.make_node("MatMulNBits", inputs, ["y"], domain="com.microsoft", K=inner, N=rows, bits=bits, block_size=size)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", "m", inner])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                              [onnx.numpy_helper.from_array(value, name) for name, value in zip(inputs[1:], operands[1:]) if value is not None])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8)
    (expected,) = runtime(made, {"a": operands[0]})
    exported = export_onnx(import_onnx(made))
    for result in (dlcompile.compile(made, cache=False)(operands[0]), ReferenceEvaluator(exported).run(None, {"a": operands[0]})[0]):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


# -- recurrent weights of 8 bits -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("weight", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("per_channel, batch", [(False, 1), (False, 3), (True, 1), (True, 3)])
def test_a_dynamically_quantised_lstm(direction, weight, per_channel, batch, tmp_path):
    directions, hidden, features, rng = 2 if direction == "bidirectional" else 1, 8, 6, np.random.default_rng(0)
    constants = {"w": rng.standard_normal((directions, 4 * hidden, features)), "r": rng.standard_normal((directions, 4 * hidden, hidden)) / 2,
                 "b": rng.standard_normal((directions, 8 * hidden)), "p": rng.standard_normal((directions, 3 * hidden))}
    states = {"h0": rng.standard_normal((directions, batch, hidden)).astype(F), "c0": rng.standard_normal((directions, batch, hidden)).astype(F)}
    node = helper.make_node("LSTM", ["x", "w", "r", "b", "", "h0", "c0", "p"], ["y", "h", "c"], hidden_size=hidden, direction=direction)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["t", "n", features]),
                                            *(helper.make_tensor_value_info(k, TensorProto.FLOAT, [directions, "n", hidden]) for k in states)],
                              [helper.make_tensor_value_info(k, TensorProto.FLOAT, None) for k in "yhc"],
                              [onnx.numpy_helper.from_array(v.astype(F), k) for k, v in constants.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "narrow.onnx", weight_type=weight, per_channel=per_channel)
    made = onnx.load(tmp_path / "narrow.onnx")
    assert [n.op_type for n in made.graph.node] == ["DynamicQuantizeLSTM"]
    feeds = {"x": rng.standard_normal((7, batch, features)).astype(F), **states}
    expected, graph = runtime(made, feeds, exact_products=True), import_onnx(made)
    exported = runtime(export_onnx(graph), feeds)  # the reference evaluator has no scans from the end
    for results in (dlcompile.compile(made, cache=False).run(feeds).values(), evaluate(graph, feeds), exported):
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=0, atol=2e-6)

"""Operators that stay whole in the graph, so that an export writes them back."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import dlcompile
from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.frontends.onnx.whole import WHOLE
from dlcompile.graph import OPERATORS
from dlcompile.operators import evaluate

RANDOM = np.random.default_rng(3)
F = RANDOM.standard_normal


def f32(*shape):
    return F(shape).astype(np.float32)


def u8(*shape):
    return RANDOM.integers(0, 256, shape, np.uint8)


SCALES = [np.float32(0.02), np.uint8(120)]
CASES = [  # operator, opset, operands, attributes
    ("Gemm", 13, [f32(3, 4), f32(5, 4), f32(5)], {"transB": 1, "alpha": 0.5}),
    ("Gemm", 9, [f32(3, 4), f32(4, 5), f32(3, 1)], {}),
    ("ReduceMean", 13, [f32(2, 3, 4)], {"axes": [-1, 0], "keepdims": 0}),
    ("ReduceL2", 11, [f32(2, 3, 4)], {}),
    ("ReduceSumSquare", 18, [f32(2, 3, 4), np.array([1])], {"keepdims": 0}),
    ("ReduceL1", 18, [f32(2, 3, 4)], {}),
    ("GlobalAveragePool", 13, [f32(2, 3, 4, 5)], {}),
    ("QLinearConv", 13, [u8(1, 2, 5, 5), *SCALES, u8(3, 2, 3, 3), np.float32(0.01), np.uint8(110), np.float32(0.3), np.uint8(128)], {"pads": [1, 1, 1, 1]}),
    ("QLinearMatMul", 13, [u8(3, 4), *SCALES, u8(4, 2), *SCALES, np.float32(0.1), np.uint8(7)], {}),
    ("ConvInteger", 13, [u8(1, 2, 5, 5), u8(3, 2, 3, 3), np.uint8(3)], {"strides": [2, 1]}),
    ("MatMulInteger", 13, [u8(3, 4), u8(4, 2), np.uint8(7)], {}),
    ("DynamicQuantizeLinear", 13, [f32(3, 4)], {}),
    ("Reciprocal", 13, [f32(3)], {}),
    ("Mean", 13, [f32(2, 3), f32(3), f32(1)], {}),
    ("Einsum", 13, [f32(2, 3), f32(3, 4)], {"equation": "ij,jk->ki"}),
    ("Attention", 23, [f32(1, 2, 4, 8), f32(1, 2, 6, 8), f32(1, 2, 6, 8)], {"is_causal": 1, "softcap": 2.0}),
    ("RotaryEmbedding", 23, [f32(1, 2, 3, 4), f32(5, 2), f32(5, 2), np.array([[0, 2, 4]])], {"interleaved": 1}),
    ("SoftmaxCrossEntropyLoss", 13, [f32(3, 5), np.array([1, 0, 4])], {"reduction": "sum"}),
]


def outputs_of(op, opset):
    return len([o for o in onnx.defs.get_schema(op, opset, "").outputs if o.option == onnx.defs.OpSchema.FormalParameterOption.Single])


def model(op, opset, operands, attributes, dims=None):
    inputs = [helper.make_tensor_value_info(f"x{i}", helper.np_dtype_to_tensor_dtype(np.asarray(a).dtype), np.shape(a)) for i, a in enumerate(operands)]
    fixed = [i for i, a in enumerate(operands) if op.startswith("Reduce") and i == 1]
    names = [f"y{i}" for i in range(outputs_of(op, opset))]
    graph = helper.make_graph([helper.make_node(op, [i.name for i in inputs], names, name="the_node", **attributes)], "g",
                              [v for i, v in enumerate(inputs) if i not in fixed], [onnx.ValueInfoProto(name=n) for n in names],
                              [onnx.numpy_helper.from_array(operands[i], f"x{i}") for i in fixed])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return proto, {f"x{i}": np.asarray(a) for i, a in enumerate(operands) if i not in fixed}


@pytest.mark.parametrize("op, opset, operands, attributes", CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_they_come_back(op, opset, operands, attributes):
    proto, feeds = model(op, opset, operands, attributes)
    expected = ReferenceEvaluator(proto).run(None, feeds)
    graph = import_onnx(proto)
    written = export_onnx(graph)
    onnx.checker.check_model(written, full_check=True)
    node = next(n for n in written.graph.node if n.op_type == op)
    kept = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name != "axes"}
    assert kept == {k: v.encode() if isinstance(v, str) else v for k, v in attributes.items() if k != "axes"}
    for result in (evaluate(graph, feeds), list(dlcompile.compile(proto, cache=False, name="m").run(feeds).values()),
                   ReferenceEvaluator(written).run(None, feeds)):
        for a, b in zip(result, expected, strict=True):
            assert a.dtype == b.dtype and np.shape(a) == np.shape(b)
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 if np.asarray(b).dtype.kind == "f" else 1)


def test_opsets_that_do_not_have_them_get_what_they_mean():
    operands = CASES[-2][2]
    proto, feeds = model("RotaryEmbedding", 23, operands, {"interleaved": 1})
    written = export_onnx(import_onnx(proto), opset=18)
    assert "RotaryEmbedding" not in {n.op_type for n in written.graph.node}
    np.testing.assert_allclose(ReferenceEvaluator(written).run(None, feeds)[0], ReferenceEvaluator(proto).run(None, feeds)[0], rtol=1e-5, atol=1e-6)


def test_newer_operators_raise_the_opset():
    since = onnx.defs.get_schema("TensorScatter").since_version
    proto, _ = model("TensorScatter", since, [f32(1, 2, 5, 3), f32(1, 2, 2, 3)], {})
    written = export_onnx(import_onnx(proto))
    assert written.opset_import[0].version == since and "TensorScatter" in {n.op_type for n in written.graph.node}


def test_axes_from_data_are_no_operator_of_their_own():
    graph = helper.make_graph([helper.make_node("ReduceMean", ["x", "axes"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3]), helper.make_tensor_value_info("axes", TensorProto.INT64, [1])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    assert not any("." in node.op for node in import_onnx(proto).nodes)


def test_every_name_is_an_operator_of_onnx_and_a_composite():
    for domain, names in WHOLE.items():
        for name in names:
            assert onnx.defs.has(name, domain) and OPERATORS[f"{domain or 'onnx'}.{name}"].is_composite

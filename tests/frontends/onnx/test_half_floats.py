"""16-bit floats: each operator of a model computes in float32 and rounds its result once."""
import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import dlcompile

TYPES = {"float16": (TensorProto.FLOAT16, np.dtype(np.float16)), "bfloat16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16))}


def model(nodes, element: int, shapes):
    inputs = [helper.make_tensor_value_info(f"x{i}", element, shape) for i, shape in enumerate(shapes)]
    graph = helper.make_graph(nodes, "half", inputs, [helper.make_tensor_value_info("y", element, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def steps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many numbers of the type lie between two, element by element."""
    x, y = (v.view(np.uint16).astype(np.int32) for v in (a, b))
    return np.abs(np.where(x & 0x8000, -(x & 0x7FFF), x) - np.where(y & 0x8000, -(y & 0x7FFF), y))


OPERATORS = [
    ("Gemm", [(7, 65), (65, 9), (9,)], {"alpha": 0.5, "beta": 1.5}),
    ("Conv", [(1, 4, 9, 9), (5, 4, 3, 3), (5,)], {}),
    ("Softmax", [(4, 33)], {}),
    ("HardSigmoid", [(300,)], {"alpha": 0.3}),
    ("ReduceL2", [(4, 65)], {}),
    ("InstanceNormalization", [(2, 3, 5, 5), (3,), (3,)], {}),
    ("Gelu", [(300,)], {}),
]


def all_operators(element: int):
    """A model with each of OPERATORS, its output called as the operator, and its inputs x0, x1, …"""
    nodes, shapes = [], []
    for op, operands, attributes in OPERATORS:
        nodes.append(helper.make_node(op, [f"x{len(shapes) + i}" for i in range(len(operands))], [op], **attributes))
        shapes += operands
    proto = model(nodes, element, shapes)
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_tensor_value_info(op, element, None) for op, _, _ in OPERATORS)
    return proto, shapes


@pytest.mark.parametrize("name", TYPES)
def test_one_operator_rounds_once(name):
    """Also where it is made of many: what it is in float32, rounded. (A sum in another order may fall on the other side.)"""
    element, dtype = TYPES[name]
    rng = np.random.default_rng(1)
    proto, shapes = all_operators(element)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    exact = ReferenceEvaluator(all_operators(TensorProto.FLOAT)[0]).run(None, {f"x{i}": a.astype(np.float32) for i, a in enumerate(arrays)})
    for (op, _, _), got, wanted in zip(OPERATORS, dlcompile.compile(proto, cache=False, name="m")(*arrays), exact, strict=True):
        far = steps(got, wanted.astype(np.float32).astype(dtype))
        assert far.max() <= 1 and (far > 0).mean() < 0.02, op


@pytest.mark.parametrize("name", TYPES)
def test_every_operator_rounds(name):
    element, dtype = TYPES[name]
    nodes = [helper.make_node("Add", ["x0", "x1"], ["s"]), helper.make_node("Transpose", ["s"], ["t"]), helper.make_node("Mul", ["t", "x2"], ["p"]),
             helper.make_node("Sub", ["p", "x2"], ["d"]), helper.make_node("Sqrt", ["a"], ["y"]), helper.make_node("Abs", ["d"], ["a"])]
    nodes[4:] = nodes[:3:-1]
    shapes = [(40, 30), (40, 30), (30, 40)]
    rng = np.random.default_rng(2)
    a, b, c = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    expected = np.sqrt(np.abs((a + b).T * c - c))  # NumPy rounds after each
    unrounded = np.sqrt(np.abs((a.astype(np.float32) + b.astype(np.float32)).T * c.astype(np.float32) - c.astype(np.float32))).astype(dtype)
    assert (steps(expected, unrounded) > 0).any()
    assert steps(dlcompile.compile(model(nodes, element, shapes), cache=False, name="m")(a, b, c), expected).max() == 0


@pytest.mark.parametrize("name", TYPES)
def test_values_are_divided_by_their_scale_in_their_own_type(name):
    """And counted from zero points that the type does not have."""
    element, dtype = TYPES[name]
    node = helper.make_node("QuantizeLinear", ["x0", "x1", "zero"], ["y"])
    proto = model([node], element, [(600,), ()])
    proto.graph.initializer.append(helper.make_tensor("zero", TensorProto.UINT16, [], [33001]))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT16
    x, scale = (np.random.default_rng(3).standard_normal(600) * 9).astype(dtype), np.asarray(0.013, dtype)
    expected = np.clip(np.rint((x / scale).astype(np.float64)).astype(np.int64) + 33001, 0, 65535)
    plain = np.rint(x.astype(np.float32) / scale.astype(np.float32)).astype(np.int64) + 33001
    assert (expected != plain).any()
    np.testing.assert_array_equal(dlcompile.compile(proto, cache=False, name="m")(x, scale), expected)

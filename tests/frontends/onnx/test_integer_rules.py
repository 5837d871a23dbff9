"""Integer arithmetic where C has no answer (overflow, division by zero, the lowest number by -1, long shifts), compiled, against the reference
evaluator; and the order operators on constants and on sizes that are data."""
import warnings

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import dlcompile

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


class Nodes:
    """Nodes side by side in one model; the operands at the positions `constant` are initializers."""

    def __init__(self):
        self.nodes, self.inputs, self.constants, self.outputs, self.expected = [], {}, {}, [], []

    def add(self, op_type: str, *operands: np.ndarray, constant=(), **attributes) -> None:
        names = [f"x{len(self.nodes)}_{i}" for i in range(len(operands))]
        for i, (name, array) in enumerate(zip(names, operands)):
            (self.constants if i in constant else self.inputs)[name] = array
        node = helper.make_node(op_type, names, [f"y{len(self.nodes)}"], **attributes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.expected += ReferenceEvaluator(node).run(None, dict(zip(names, operands)))
        self.nodes.append(node)

    def check(self) -> None:
        def info(name, array):
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

        outputs = [info(f"y{i}", array) for i, array in enumerate(self.expected)]
        graph = helper.make_graph(self.nodes, "integers", [info(*item) for item in self.inputs.items()], outputs,
                                  [numpy_helper.from_array(array, name) for name, array in self.constants.items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
        for node, got, expected in zip(self.nodes, dlcompile.compile(model)(*self.inputs.values()), self.expected, strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected, err_msg=str(node))


def edges(dtype: str) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.array([0, 1, 2, 3, 7, 8, info.max, info.max - 1, info.min, info.min + 1, *([-1, -2, -7] if info.min else [])], dtype)


def test_operands_from_data():
    nodes = Nodes()
    for dtype in INTEGERS:
        a, b = (x.ravel() for x in np.meshgrid(edges(dtype), edges(dtype)))
        for op in ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            nodes.add(op, a, b)
        nodes.add("Mod", a, b, fmod=1)
        for op in ("Abs", "Sign", "BitwiseNot", *(["Neg"] if dtype[0] == "i" else [])):
            nodes.add(op, a)
        for direction in ("LEFT", "RIGHT") if dtype[0] == "u" else ():
            nodes.add("BitShift", a, b, direction=direction)
        if dtype in ("int32", "int64"):
            nodes.add("Pow", a, np.maximum(b, 0))
            nodes.add("Pow", a % 9, (b % 5).astype(np.float32))
    nodes.check()


def test_constant_operands():
    """What transforms make of them is the same."""
    nodes = Nodes()
    for dtype in ("int32", "uint16"):
        x = edges(dtype)
        for number in x:
            for op, attributes in (("Div", {}), ("Mod", {}), ("Mod", {"fmod": 1}), ("Mul", {})):
                nodes.add(op, x, np.asarray(number), constant=[1], **attributes)
                nodes.add(op, x, np.asarray(number), constant=[0, 1], **attributes)
            if dtype[0] == "u":
                nodes.add("BitShift", x, np.asarray(number), constant=[1], direction="LEFT" if number % 2 else "RIGHT")
            elif dtype in ("int32", "int64") and number >= 0:
                nodes.add("Pow", x, np.asarray(number), constant=[1])
    nodes.check()


@pytest.mark.parametrize("constant", [(), (1,)])
def test_exponents_of_other_types(constant):
    """Odd ones keep the sign, however large they are; those of integers count modulo 2**64 and not modulo what the base holds."""
    nodes = Nodes()
    bases = np.array([1, -1, 0, -0.0, np.inf, -np.inf, np.nan, 0.5, -0.5])
    for dtype in INTEGERS:
        for base in ("float16", "float32", "float64"):
            x, exponent = (v.ravel() for v in np.meshgrid(bases.astype(base), edges(dtype)))
            nodes.add("Pow", x, exponent, constant=constant)
    for base, dtype in (("int32", "int64"), ("int64", "int32"), ("int32", "uint8"), ("int32", "uint32"), ("int64", "int8")):
        x, exponent = (v.ravel() for v in np.meshgrid(edges(base), np.maximum(edges(dtype), 0)))
        nodes.add("Pow", x, exponent, constant=constant)
    nodes.check()


@pytest.mark.parametrize("k", [0, 2])
def test_constants_cut_to_a_size_from_data(k):
    """Without elements, whatever k is, and yet not known: its shape is not."""
    graph = helper.make_graph(
        [helper.make_node("TopK", ["c", "k"], ["v", "i"], axis=1), helper.make_node("NonZero", ["i"], ["n"]), helper.make_node("Shape", ["v"], ["s"])],
        "cut", [helper.make_tensor_value_info("k", onnx.TensorProto.INT64, [1])],
        [helper.make_tensor_value_info(n, onnx.TensorProto.INT64, s) for n, s in (("n", [3, None]), ("s", [3]))],
        [numpy_helper.from_array(np.zeros((2, 3, 0), np.float32), "c")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    indices, shape = dlcompile.compile(model)(np.array([k]))
    assert indices.shape == (3, 0) and shape.tolist() == [2, k, 0]

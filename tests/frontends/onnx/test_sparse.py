"""Sparse tensors in a file: initializers and constants, dense in the graph."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import dlcompile
from dlcompile.errors import Error, InvalidModelError
from dlcompile.frontends.onnx import import_onnx


def sparse(values: np.ndarray, indices, shape, name: str = "w") -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(numpy_helper.from_array(values, name), numpy_helper.from_array(np.asarray(indices, np.int64), "at"), list(shape))


def initialized(tensor: onnx.SparseTensorProto, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    rank = len(tensor.dims)
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [helper.make_tensor_value_info("x", dtype, [1] * rank)],
                              [helper.make_tensor_value_info("y", dtype, [None] * rank)])
    graph.sparse_initializer.append(tensor)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


FLAT = sparse(np.array([1.5, -2, 3], np.float32), [0, 4, 11], (3, 4))
PLACES = sparse(np.array([1.5, -2, 3], np.float32), [[0, 1], [1, 0], [2, 3]], (3, 4))


@pytest.mark.parametrize("tensor", [FLAT, PLACES, sparse(np.zeros(0, np.float32), np.zeros(0), (2, 2)), sparse(np.ones(1, np.float32), [[1]], (5,))])
def test_initializers_as_onnx_runtime_has_them(tensor):
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = initialized(tensor)
    onnx.checker.check_model(proto)
    x = np.full((1,) * len(tensor.dims), 0.25, np.float32)
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_array_equal(dlcompile.compile(proto, cache=False, name="m")(x), expected)


def test_a_constant_in_a_branch():
    def branch(tensor, name):
        node = helper.make_node("Constant", [], ["c"], sparse_value=tensor) if name == "node" else helper.make_node("Identity", ["w"], ["c"])
        graph = helper.make_graph([node], name, [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [3, 4])])
        graph.sparse_initializer.extend([tensor] if name != "node" else [])
        return graph

    chosen = helper.make_node("If", ["p"], ["y"], then_branch=branch(FLAT, "node"), else_branch=branch(PLACES, "initializer"))
    proto = helper.make_model(helper.make_graph([chosen], "g", [helper.make_tensor_value_info("p", TensorProto.BOOL, [])],
                                                [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 4])]),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    model = dlcompile.compile(proto, cache=False, name="m")
    for p, places in ((True, [(0, 0), (1, 0), (2, 3)]), (False, [(0, 1), (1, 0), (2, 3)])):
        expected = np.zeros((3, 4), np.float32)
        expected[tuple(zip(*places))] = 1.5, -2, 3
        np.testing.assert_array_equal(model(np.array(p)), expected)


@pytest.mark.parametrize("tensor, what", [
    (sparse(np.ones(2, np.float32), [0, 12], (3, 4)), "outside"),
    (sparse(np.ones(2, np.float32), [-1, 2], (3, 4)), "outside"),
    (sparse(np.ones(2, np.float32), [[0, 4], [1, 1]], (3, 4)), "outside"),
    (sparse(np.ones(2, np.float32), [3, 3], (3, 4)), "do not rise"),
    (sparse(np.ones(2, np.float32), [[1, 0], [0, 1]], (3, 4)), "do not rise"),
    (sparse(np.ones(2, np.float32), [1], (3, 4)), "values at"),
    (sparse(np.ones(2, np.float32), [[1, 2, 3]] * 2, (3, 4)), "values at"),
    (sparse(np.ones(1, np.float32), [1], (2**20, 2**20)), "expected at most"),
    (sparse(np.ones(1, np.float32), [1], (-1, 4)), "expected at most"),
    (sparse(np.ones(1, np.float32), [0], (0, 4)), "outside"),
])
def test_malformed(tensor, what):
    with pytest.raises(InvalidModelError, match=what):
        import_onnx(initialized(tensor))


def test_many_large_ones_are_too_much():
    proto = initialized(FLAT)
    for i in range(9):
        proto.graph.sparse_initializer.append(sparse(np.ones(1, np.float32), [1], (2**23,), f"w{i}"))
    with pytest.raises(InvalidModelError, match="w7.*expected at most"):
        import_onnx(proto)


def test_twice_the_same_name():
    proto = initialized(FLAT)
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "w"))
    with pytest.raises(Error, match="more than once"):
        import_onnx(proto)


@pytest.mark.parametrize("given", [{"value_string": "two words"}, {"value_strings": ["one", "", "zwölf"]}, {"value_ints": [1, 2]}, {"value_float": 0.5}])
def test_constants_of_other_kinds(given):
    dtype = {"value_string": TensorProto.STRING, "value_ints": TensorProto.INT64, "value_strings": TensorProto.STRING}.get(*given, TensorProto.FLOAT)
    proto = helper.make_model(helper.make_graph([helper.make_node("Constant", [], ["y"], **given)], "g", [],
                                                [helper.make_tensor_value_info("y", dtype, None)]),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (expected,) = ReferenceEvaluator(proto).run(None, {})
    result = dlcompile.compile(proto, cache=False, name="m")()
    assert np.asarray(result).shape == np.shape(expected) and np.asarray(result).tolist() == np.asarray(expected).tolist()

"""The backend in the onnx package's own form: its functions, and that package's tests run through it."""
from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlcompile import onnx_backend as backend
from dlcompile.errors import ArgumentError, InvalidModelError, UnsupportedOperatorError
from dlcompile.kernels.target import TARGETS, runs_here
from dlcompile.onnx_backend import node_model


def model_of(nodes, inputs, outputs, initializers=(), opset=21):
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def tensor(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


@pytest.fixture(scope="module")
def two_outputs():
    return backend.prepare(model_of([helper.make_node("Sub", ["a", "b"], ["0"]), helper.make_node("Neg", ["a"], ["minus"])],
                                    [tensor("a", TensorProto.FLOAT, ["n"]), tensor("b", TensorProto.FLOAT, ["n"])],
                                    [tensor("0", TensorProto.FLOAT, ["n"]), tensor("minus", TensorProto.FLOAT, ["n"])]))


A, B = np.float32([1, 2, 3]), np.float32([5, 5, 5])


@pytest.mark.parametrize("inputs", [[A, B], (A, B), {"b": B, "a": A}], ids=["list", "tuple", "mapping"])
def test_run_takes_inputs_in_order_or_by_name(two_outputs, inputs):
    results = two_outputs.run(inputs)
    assert isinstance(results, tuple)
    np.testing.assert_array_equal(results[0], A - B)
    np.testing.assert_array_equal(results["0"], A - B)
    np.testing.assert_array_equal(results["minus"], -A)


def test_a_prepared_model_runs_again_with_other_sizes(two_outputs):
    for n in (0, 1, 17):
        x = np.arange(n, dtype=np.float32)
        np.testing.assert_array_equal(two_outputs.run([x, x])[0], np.zeros(n, np.float32))


def test_one_input_need_not_be_in_a_list():
    model = model_of([helper.make_node("Abs", ["x"], ["y"])], [tensor("x", TensorProto.FLOAT, [3])], [tensor("y", TensorProto.FLOAT, [3])])
    (result,) = backend.run_model(model, -A)
    np.testing.assert_array_equal(result, A)


def test_inputs_that_do_not_fit_are_refused(two_outputs):
    for inputs in ([A], [A, B, B], {"a": A}, {"a": A, "b": B, "c": B}, [A, B[:2]], [A, B.astype(np.float64)]):
        with pytest.raises(ArgumentError):
            two_outputs.run(inputs)
    with pytest.raises(ArgumentError, match="'threads'"):
        two_outputs.run([A, B], threads=2)


def test_devices():
    assert backend.supports_device("CPU") and backend.supports_device("CPU:0")
    assert not backend.supports_device("CUDA") and not backend.supports_device("CUDA:1")
    with pytest.raises(ArgumentError, match="CUDA"):
        backend.run_node(helper.make_node("Neg", ["x"], ["y"]), [A], device="CUDA")


def test_options_go_to_the_compiler(monkeypatch):
    model = model_of([helper.make_node("Abs", ["x"], ["y"])], [tensor("x", TensorProto.FLOAT, ["n"])], [tensor("y", TensorProto.FLOAT, ["n"])])
    smallest = next(target.name for target in TARGETS.values() if runs_here(target))
    monkeypatch.setenv("DLCOMPILE_BACKEND_TARGET", smallest)
    assert backend.prepare(model).model.info.target == smallest
    assert backend.prepare(model, target="native", dims={"n": 4}).model.inputs[0].shape == (4,)


def test_compatible_models_are_those_that_can_be_imported():
    inputs, outputs = [tensor("x", TensorProto.FLOAT, [3])], [tensor("y", TensorProto.FLOAT, [3])]
    known = model_of([helper.make_node("Abs", ["x"], ["y"])], inputs, outputs)
    unknown = model_of([helper.make_node("NoSuchThing", ["x"], ["y"], domain="nowhere")], inputs, outputs)
    assert backend.is_compatible(known)
    assert not backend.is_compatible(known, "CUDA")
    assert not backend.is_compatible(unknown)
    with pytest.raises(UnsupportedOperatorError, match="NoSuchThing"):
        backend.prepare(unknown)
    with pytest.raises(InvalidModelError):
        backend.is_compatible(onnx.ModelProto())


# -- single nodes
# ---------------------------------------------------------------------------------------------------------------
def test_run_node():
    (y,) = backend.run_node(helper.make_node("Add", ["a", "b"], ["c"]), [A, B])
    np.testing.assert_array_equal(y, A + B)
    (y,) = backend.run_node(helper.make_node("Sub", ["a", "b"], ["c"]), {"b": B, "a": A}, outputs_info=[(np.dtype("float32"), (3,))])
    np.testing.assert_array_equal(y, A - B)


@pytest.mark.parametrize("inputs", [[-A, None, np.float32(-2)], [-A, np.float32(-2)], {"x": -A, "high": np.float32(-2)}])
def test_run_node_with_an_input_left_out(inputs):
    names = ["x", "" if isinstance(inputs, list) and len(inputs) == 2 else "low", "high"]
    (y,) = backend.run_node(helper.make_node("Clip", names, ["y"]), inputs)
    np.testing.assert_array_equal(y, np.minimum(-A, -2))


def test_run_node_with_several_outputs_of_an_older_opset():
    values, indices = backend.run_node(helper.make_node("TopK", ["x", "k"], ["v", "i"]), [A, np.int64([2])], opset_version=10)
    np.testing.assert_array_equal(values, [3, 2])
    np.testing.assert_array_equal(indices, [2, 1])


def test_run_node_of_another_domain():
    (y,) = backend.run_node(helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0], scale=[2.0]), [A[None]])
    np.testing.assert_array_equal(y, [[0, 2, 4]])


def test_types_of_a_nodes_inputs():
    texts = np.array(["a", "b"], object)
    model, feeds = node_model(helper.make_node("SequenceAt", ["s", "i"], ["y"]), [[A, B[:2]], 0])
    kinds = [i.type.WhichOneof("value") for i in model.graph.input]
    assert kinds == ["sequence_type", "tensor_type"]
    assert not model.graph.input[0].type.sequence_type.elem_type.tensor_type.HasField("shape")
    assert model.graph.input[1].type.tensor_type.elem_type == TensorProto.INT64
    model, feeds = node_model(helper.make_node("StringConcat", ["a", "b"], ["y"]), [texts, texts])
    assert all(i.type.tensor_type.elem_type == TensorProto.STRING for i in model.graph.input)
    onnx.checker.check_model(node_model(helper.make_node("Add", ["a", "b"], ["c"]), [A, B], [(np.float32, (3,))])[0])


def test_run_node_refuses_inputs_that_the_node_has_not():
    node = helper.make_node("Neg", ["x"], ["y"])
    with pytest.raises(ArgumentError, match="number 1"):
        backend.run_node(node, [A, B])
    with pytest.raises(ArgumentError, match="z"):
        backend.run_node(node, {"x": A, "z": B})
    with pytest.raises(ArgumentError, match="empty sequence"):
        backend.run_node(helper.make_node("SequenceLength", ["s"], ["n"]), [[]])


def test_a_models_constants_are_no_inputs():
    weights = numpy_helper.from_array(B, "b")
    model = model_of([helper.make_node("Add", ["a", "b"], ["c"])], [tensor("a", TensorProto.FLOAT, [3]), tensor("b", TensorProto.FLOAT, [3])],
                     [tensor("c", TensorProto.FLOAT, [3])], [weights])
    model.ir_version = 3
    np.testing.assert_array_equal(backend.run_model(model, [A])[0], A + B)

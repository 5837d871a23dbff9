"""Maps as inputs: dicts go to DictVectorizer and CastMap."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference.ops.aionnxml.op_dict_vectorizer import DictVectorizer

import dlcompile
from dlcompile.errors import ArgumentError, InvalidModelError
from dlcompile.frontends.onnx import export_onnx, import_onnx

ML = "ai.onnx.ml"
FLOAT, DOUBLE, INT64, STRING = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING


def model(op: str, key: int, value: int, result: int, **attributes) -> onnx.ModelProto:
    """x → the operator → y"""
    map_type = helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, []))
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], domain=ML, **attributes)], "g",
                              [helper.make_value_info("x", map_type)], [helper.make_tensor_value_info("y", result, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(ML, 1)], ir_version=8)


def both(proto: onnx.ModelProto) -> list:
    """The model compiled, and what is written of it compiled."""
    written = export_onnx(import_onnx(proto))
    onnx.checker.check_model(written)
    assert written.graph.node[0].op_type == proto.graph.node[0].op_type
    return [dlcompile.compile(p, cache=False, name="m") for p in (proto, written)]


WORDS = [({"string_vocabulary": ["a", "c", "b", "zäh"]}, STRING, [{"a": 4, "c": 8}, {}, {"zäh": 1, "b": 2, "a": 3, "c": -4}]),
         ({"int64_vocabulary": [3, -1, 7]}, INT64, [{7: 4, 3: 8}, {}, {-1: 5}])]


@pytest.mark.parametrize("vocabulary, key, maps", WORDS)
@pytest.mark.parametrize("value", [FLOAT, DOUBLE, INT64, STRING])
def test_dict_vectorizer(vocabulary, key, maps, value):
    for compiled in both(model("DictVectorizer", key, value, value, **vocabulary)):
        for given in maps:
            if value == STRING:  # the evaluator has 0 for what is not there
                given = {k: str(v) for k, v in given.items()}
                words = next(iter(vocabulary.values()))
                expected = np.array([given.get(word, "") for word in words], object)
            else:
                dtype = helper.tensor_dtype_to_np_dtype(value)
                given = {k: dtype.type(v) for k, v in given.items()}
                (expected,) = DictVectorizer._run(None, given, **vocabulary)
                expected = expected.astype(dtype)
            result = compiled(given)
            assert result.dtype == expected.dtype
            np.testing.assert_array_equal(result, expected[None])


def test_dict_vectorizer_as_onnx_runtime_has_it():
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = model("DictVectorizer", STRING, FLOAT, FLOAT, string_vocabulary=["a", "c", "b"])
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    for given in ({"b": 1.5, "a": 2.0}, {"b": 1.5, "other": 2.0}):
        for compiled in both(proto):
            np.testing.assert_array_equal(compiled(given), session.run(None, {"x": given})[0])


@pytest.mark.parametrize("form", [{"map_form": "DENSE"}, {"map_form": "SPARSE", "max_map": 5}])
@pytest.mark.parametrize("cast_to, result", [("TO_FLOAT", FLOAT), ("TO_INT64", INT64)])
def test_cast_map_as_onnx_runtime_has_it(form, cast_to, result):
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = model("CastMap", INT64, FLOAT, result, cast_to=cast_to, **form)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    for given in ({4: 4.5, 3: -8.5}, {0: 1.0}, {4: 1.0, 3: 2.0, 2: 3.0, 1: 4.0, 0: 5.0}, {9: 1.0, 1: 2.0}):
        for compiled in both(proto):
            np.testing.assert_array_equal(compiled(given), session.run(None, {"x": given})[0])


def test_cast_map_of_strings():
    for compiled in both(model("CastMap", INT64, STRING, STRING, cast_to="TO_STRING", map_form="SPARSE", max_map=4)):
        assert compiled({2: "two", 0: "zero"}).tolist() == [["zero", "", "two", ""]]
        assert compiled({}).tolist() == [[""] * 4]
    for compiled in both(model("CastMap", INT64, STRING, FLOAT, cast_to="TO_FLOAT", map_form="SPARSE", max_map=4)):
        assert compiled({2: "2.5", -1: "9"}).tolist() == [[0, 0, 2.5, 0]]
    for compiled in both(model("CastMap", INT64, STRING, INT64, cast_to="TO_INT64")):
        assert compiled({2: "20", -1: "9"}).tolist() == [[9, 20]]
        assert compiled({}).shape == (1, 0)


def test_what_is_no_map():
    compiled = dlcompile.compile(model("CastMap", INT64, FLOAT, FLOAT), cache=False, name="m")
    for given, what in (([1.0], "must be a dict"), ({"a": 1.0}, "keys.*int64, not 'a'"), ({1: "a"}, "values.*float32, not 'a'"),
                        ({2**70: 1.0}, "do not all fit int64"), ({True: 1.0}, "not True")):
        with pytest.raises(ArgumentError, match=what):
            compiled(given)


@pytest.mark.parametrize("proto, what", [
    (model("DictVectorizer", STRING, FLOAT, FLOAT, int64_vocabulary=[1]), "no string_vocabulary"),
    (model("DictVectorizer", INT64, FLOAT, FLOAT, int64_vocabulary=[1, 2, 1]), "more than once"),
    (model("CastMap", STRING, FLOAT, FLOAT), "keys of the map are string"),
    (model("CastMap", INT64, FLOAT, FLOAT, map_form="SPARSE", max_map=2**40), "max_map is"),
    (model("CastMap", INT64, FLOAT, FLOAT, cast_to="TO_BE"), "expected DENSE or SPARSE"),
])
def test_models_that_make_no_sense(proto, what):
    with pytest.raises(InvalidModelError, match=what):
        import_onnx(proto)


def test_a_tensor_is_no_map():
    proto = model("CastMap", INT64, FLOAT, FLOAT)
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, [3]))
    with pytest.raises(InvalidModelError, match="float32; expected no tensor"):
        import_onnx(proto)

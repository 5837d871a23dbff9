"""Maps as results: what scikit-learn's classifiers convert to by default."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlcompile
from dlcompile.errors import ShapeError
from dlcompile.frontends.onnx import export_onnx, import_onnx

ML = "ai.onnx.ml"


def zipped(labels: dict, features: int = 3, rank: int = 2) -> onnx.ModelProto:
    key = TensorProto.STRING if "classlabels_strings" in labels else TensorProto.INT64
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, [])))
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["t"]), helper.make_node("ZipMap", ["t"], ["z"], domain=ML, **labels)], "zip",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features][-rank:])], [helper.make_value_info("z", maps)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(ML, 1)], ir_version=8)


@pytest.mark.parametrize("labels", [{"classlabels_strings": ["ant", "bee", "cat"]}, {"classlabels_int64s": [7, 0, -3]}])
def test_maps_are_dicts(labels):
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = zipped(labels)
    model = dlcompile.compile(proto, cache=False, name="m")
    for written in (proto, export_onnx(import_onnx(proto))):
        session = onnxruntime.InferenceSession(written.SerializeToString())
        for n in (1, 4):
            x = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32)
            (expected,) = session.run(None, {"x": x})
            assert model(x) == expected and model.run({"x": x})["z"] == expected
    assert model(np.zeros((0, 3), np.float32)) == []


def test_labels_that_do_not_fit():
    with pytest.raises(ShapeError, match="ZipMap.*2 labels"):
        import_onnx(zipped({"classlabels_int64s": [1, 2]}))


def test_a_classifier_as_it_is_converted_by_default():
    convert = pytest.importorskip("skl2onnx")
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    classifier = LogisticRegression(max_iter=500).fit(x, y)
    model = dlcompile.compile(convert.to_onnx(classifier, x[:1].astype(np.float32)), cache=False, name="iris")
    labels, maps = model(x.astype(np.float32))
    np.testing.assert_array_equal(labels, classifier.predict(x))
    assert list(maps[0]) == [0, 1, 2]
    np.testing.assert_allclose([[m[k] for k in range(3)] for m in maps], classifier.predict_proba(x), atol=1e-5)

"""Support vector machines of scikit-learn's data, compiled, against ONNX Runtime."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlcompile

onnxruntime = pytest.importorskip("onnxruntime")
ML = "ai.onnx.ml"


def model(op: str, features: int, outputs, **attributes) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, kind, None) for n, kind in outputs]
    node = helper.make_node(op, ["x"], [n for n, _ in outputs], domain=ML, **{k: v for k, v in attributes.items() if v is not None})
    graph = helper.make_graph([node], "svm", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features])], infos)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(ML, 3)], ir_version=9)


def check(proto: onnx.ModelProto, x: np.ndarray) -> None:
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": x})
    got = dlcompile.compile(proto, cache=False, name="m")(x)
    for a, b in zip(got if isinstance(got, tuple) else (got,), expected, strict=True):
        assert a.shape == np.asarray(b).shape
        if np.asarray(b).dtype.kind in "iOU":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


KERNELS = [("LINEAR", [0.0, 0.0, 0.0]), ("POLY", [0.3, 0.5, 3.0]), ("RBF", [0.2, 0.0, 0.0]), ("SIGMOID", [0.1, 0.2, 0.0])]


@pytest.mark.parametrize("kind, parameters", KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
def test_regressor(kind, parameters, one_class):
    check(model("SVMRegressor", 5, [("y", TensorProto.FLOAT)], kernel_type=kind, kernel_params=parameters, n_supports=7, one_class=one_class,
                support_vectors=numbers(0, 35).tolist(), coefficients=numbers(1, 7).tolist(), rho=[0.3]), numbers(2, 9, 5))


def test_linear_regressor():
    check(model("SVMRegressor", 4, [("y", TensorProto.FLOAT)], kernel_params=[0.0, 0.0, 0.0], coefficients=numbers(1, 4).tolist(), rho=[0.3]), numbers(2, 3, 4))


@pytest.mark.parametrize("kind, parameters", KERNELS)
@pytest.mark.parametrize("sizes", [[3, 4], [2, 3, 4], [1, 2, 3, 4]])
@pytest.mark.parametrize("probabilities", [False, True])
def test_classifier(kind, parameters, sizes, probabilities):
    classes, total = len(sizes), sum(sizes)
    pairs = classes * (classes - 1) // 2
    sure = {"prob_a": (-np.abs(numbers(5, pairs)) - 0.5).tolist(), "prob_b": (numbers(6, pairs) * 0.1).tolist()} if probabilities else {}
    check(model("SVMClassifier", 3, [("label", TensorProto.INT64), ("scores", TensorProto.FLOAT)], kernel_type=kind, kernel_params=parameters,
                classlabels_ints=[10 * (i + 1) for i in range(classes)], vectors_per_class=sizes, support_vectors=numbers(0, total * 3).tolist(),
                coefficients=numbers(1, (classes - 1) * total).tolist(), rho=numbers(3, pairs).tolist(), **sure), numbers(2, 11, 3))


def test_labels_that_are_strings():
    check(model("SVMClassifier", 3, [("label", TensorProto.STRING), ("scores", TensorProto.FLOAT)], kernel_type="RBF", kernel_params=[0.2, 0, 0],
                classlabels_strings=["ant", "bee", "cat"], vectors_per_class=[2, 3, 2], support_vectors=numbers(0, 21).tolist(),
                coefficients=numbers(1, 14).tolist(), rho=numbers(3, 3).tolist()), numbers(2, 6, 3))

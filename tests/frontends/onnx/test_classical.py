"""What scikit-learn's models convert to, against ONNX Runtime."""
import warnings

import numpy as np
import pytest

from dlcompile.operators.interpreter import evaluate
from tests.frontends.onnx.helpers import check, check_export, single

pytest.importorskip("onnxruntime")
F = np.float32
X = np.random.default_rng(0).standard_normal((5, 4)).astype(F)
NAN = float("nan")

CASES = [
    ("Scaler", [X], {"offset": [1.0, 2.0, 3.0, 4.0], "scale": [0.5, 1.0, 2.0, -1.0]}),
    ("Scaler", [X], {"offset": [1.0], "scale": [0.5]}),
    ("Normalizer", [X], {"norm": "L1"}),
    ("Normalizer", [np.abs(X)], {"norm": "MAX"}),
    ("Normalizer", [np.concatenate([X, np.zeros((1, 4), F)])], {"norm": "L2"}),
    ("Binarizer", [X], {"threshold": 0.25}),
    (
        "Imputer",
        [np.where(X > 1, NAN, X).astype(F)],
        {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0], "replaced_value_float": NAN},
    ),
    ("ArrayFeatureExtractor", [X, np.array([2, 0, 2])], {}),
    ("LinearRegressor", [X], {"coefficients": np.arange(8, dtype=F).tolist(), "intercepts": [1.0, -1.0], "targets": 2}),
    *(
        (
            "LinearClassifier",
            [X],
            {
                "coefficients": (np.arange(12) % 5 - 2.0).tolist(),
                "intercepts": [0.1, 0.2, 0.3],
                "classlabels_ints": [3, 5, 9],
                "post_transform": post,
                "outputs": 2,
            },
        )
        for post in ("NONE", "SOFTMAX", "LOGISTIC")
    ),
    (
        "LinearClassifier",
        [X],
        {
            "coefficients": [1.0, -1.0, 0.5, 2.0],
            "intercepts": [0.1],
            "classlabels_ints": [3, 5],
            "post_transform": "LOGISTIC",
            "outputs": 2,
        },
    ),
    (
        "LabelEncoder",
        [np.array([3, 7, 1, 3])],
        {"keys_int64s": [1, 3], "values_floats": [0.5, 2.5], "default_float": -1.0},
    ),
    (
        "LabelEncoder",
        [np.array([3, 7, 1, NAN], F)],
        {"keys_floats": [1.0, NAN], "values_int64s": [4, 6], "default_int64": 9},
    ),
]


@pytest.mark.parametrize("op, operands, attributes", CASES, ids=[f"{row[0]}-{i}" for i, row in enumerate(CASES)])
def test_operator(op, operands, attributes):
    attributes = dict(attributes)
    made, feeds = single(op, operands, domain="ai.onnx.ml", domain_version=4, outputs=attributes.pop("outputs", 1),
                         constants=range(1, len(operands)), **attributes)
    check_export(check(made, feeds), feeds)


def test_converted_pipelines():
    convert = pytest.importorskip("skl2onnx")
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    features, labels = load_iris(return_X_y=True)
    features = features.astype(F)
    for estimator in (
        MLPClassifier(hidden_layer_sizes=(8,), max_iter=30),
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=30),
        LogisticRegression(),
        LinearRegression(),
    ):
        model = make_pipeline(StandardScaler(), MinMaxScaler(), estimator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged
            model.fit(features, labels)
        options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {}
        made = convert.to_onnx(model, features[:1], options={id(model): options} if options else None)
        graph = check(made, {made.graph.input[0].name: features[:7]}, rtol=1e-3)
        answers = model.predict(features[:7])
        np.testing.assert_allclose(evaluate(graph, [features[:7]])[0].ravel(), answers, rtol=1e-3, atol=1e-4)

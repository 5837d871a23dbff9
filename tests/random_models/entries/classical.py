"""Classical models: scalers, encoders, linear ones, support vectors, trees."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable, Value
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, EXTREMUM, SUM, Tolerance

ML = "ai.onnx.ml"
SCORES = Tolerance(16, 16, 16)
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC")


def features(b: Builder) -> Value:
    """Rows of features; their number is known."""
    x = b.fresh(v.FLOAT32, (b.choice((1, 2, 5)), b.choice((1, 2, 4))), finite=True)
    b.pin(x, 1)
    return x


def halves(b: Builder, count: int) -> list[float]:
    return (b.numbers.integers(-4, 5, count) / 2).tolist()


@entry("Scaler")
def scaler(b: Builder, op: str) -> None:
    x = features(b)
    many = x.shape[1] if b.chance(0.6) else 1
    b.add(op, [x], domain=ML, offset=halves(b, many), scale=halves(b, many))


@entry("Normalizer")
def normalizer(b: Builder, op: str) -> None:
    b.add(op, [features(b)], tolerance=SUM, domain=ML, norm=b.choice(("MAX", "L1", "L2")))


@entry("Binarizer")
def binarizer(b: Builder, op: str) -> None:
    b.add(op, [b.pick((v.FLOAT32,), exact=True)], tolerance=EXTREMUM, domain=ML, threshold=b.choice((0.0, 0.5, -1.0)))


@entry("Imputer")
def imputer(b: Builder, op: str) -> None:
    x = features(b)
    x = b.given(np.where(b.numbers.random(x.shape) < 0.4, np.float32(b.choice((0.5, np.nan))), x.array), 0.2)
    b.pin(x, 1)
    replaced = float(x.array.flat[0])
    many = x.shape[1] if b.chance(0.5) else 1
    b.add(op, [x], tolerance=EXACT, domain=ML, imputed_value_floats=halves(b, many), replaced_value_float=replaced)


@entry("ArrayFeatureExtractor")
def array_feature_extractor(b: Builder, op: str) -> None:
    x = b.pick((v.FLOAT32, v.FLOAT64, v.INT64, v.INT32), low=2, accept=lambda value: value.shape[-1] > 0)
    b.add(op, [x, b.given(b.numbers.integers(0, x.shape[-1], b.choice((1, 3))), 0.5, False)], tolerance=EXACT, domain=ML)


@entry("FeatureVectorizer")
def feature_vectorizer(b: Builder, op: str) -> None:
    first = features(b)
    second = b.fresh(v.FLOAT32, (first.shape[0], b.choice((1, 3))), finite=True)
    b.pin(second, 1)
    b.add(op, [first, second], tolerance=EXACT, domain=ML, inputdimensions=[first.shape[1], second.shape[1]])


@entry("OneHotEncoder")
def one_hot_encoder(b: Builder, op: str) -> None:
    x = b.given(b.numbers.integers(0, 4, b.shape(1, 2)), 0.3)
    b.add(op, [x], tolerance=EXACT, domain=ML, cats_int64s=[0, 1, 2, 3], zeros=1)


@entry("LabelEncoder")
def label_encoder(b: Builder, op: str) -> None:
    keys = b.random.sample(range(-5, 6), 5)
    if b.chance(0.5):
        x = b.pick((v.INT64,))
        b.add(op, [x], tolerance=EXACT, domain=ML, keys_int64s=keys, values_floats=halves(b, 5), default_float=b.choice((0.0, -1.0)))
    else:
        x = b.given(b.numbers.integers(-6, 7, b.shape(0, 2)).astype(np.float32), 0.3)
        b.add(op, [x], tolerance=EXACT, domain=ML, keys_floats=[float(k) for k in keys], values_int64s=b.random.sample(range(100), 5), default_int64=-3)


@entry("LinearRegressor")
def linear_regressor(b: Builder, op: str) -> None:
    x, targets = features(b), b.choice((1, 2))
    b.add(op, [x], tolerance=SCORES, domain=ML, coefficients=halves(b, targets * x.shape[1]), targets=targets,
          intercepts=halves(b, targets))  # without them the evaluator has NaN


@entry("LinearClassifier")
def linear_classifier(b: Builder, op: str) -> None:
    x, classes = features(b), b.choice((3, 4))
    b.add(op, [x], 2, tolerance=SCORES, domain=ML, coefficients=b.numbers.standard_normal(classes * x.shape[1]).tolist(),
          intercepts=b.numbers.standard_normal(classes).tolist(), classlabels_ints=b.random.sample(range(9), classes), multi_class=0,
          post_transform=b.choice(TRANSFORMS))


@entry("SVMRegressor")
def svm_regressor(b: Builder, op: str) -> None:
    x, vectors = features(b), b.choice((1, 3))
    b.add(op, [x], tolerance=SCORES, domain=ML, kernel_type=b.choice(("LINEAR", "RBF", "POLY", "SIGMOID")), kernel_params=[0.5, 0.25, 2.0],
          n_supports=vectors, support_vectors=halves(b, vectors * x.shape[1]), coefficients=halves(b, vectors), rho=[b.choice((0.5, -1.0))])


def tree(b: Builder, features: int, depth: int, number: int) -> list[dict]:
    """The nodes of a random tree, in order of their ids."""
    nodes: list[dict] = []

    def grow(depth: int) -> int:
        node = {"treeids": number, "nodeids": len(nodes), "featureids": 0, "modes": "LEAF", "values": 0.0, "truenodeids": 0, "falsenodeids": 0}
        nodes.append(node)
        if depth and b.chance(0.8):
            node |= {"featureids": b.integer(0, features - 1), "values": b.integer(-4, 4) / 4 + 0.03125,
                     "modes": b.choice(("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"))}
            node["truenodeids"] = grow(depth - 1)
            node["falsenodeids"] = grow(depth - 1)
        return node["nodeids"]

    grow(depth)
    return nodes


@entry("TreeEnsembleRegressor", "TreeEnsembleClassifier")
def trees(b: Builder, op: str) -> None:
    x, aggregate = features(b), b.choice(("SUM", "AVERAGE", "MIN", "MAX"))
    targets = 1 if aggregate in ("MIN", "MAX") and op.endswith("Regressor") else 3  # the least of no weights is not said
    nodes = [node for number in range(b.choice((1, 3, 6))) for node in tree(b, x.shape[1], b.choice((0, 1, 3)), number)]
    leaves = [node for node in nodes if node["modes"] == "LEAF"]
    given: dict = {f"nodes_{key}": [node[key] for node in nodes] for key in nodes[0]}
    if len(leaves) < targets:
        raise Unsuitable("a class without a leaf")
    kind = "target" if op.endswith("Regressor") else "class"
    given |= {f"{kind}_treeids": [n["treeids"] for n in leaves], f"{kind}_nodeids": [n["nodeids"] for n in leaves],
              f"{kind}_ids": [i % targets for i in range(len(leaves))], f"{kind}_weights": b.numbers.standard_normal(len(leaves)).tolist()}
    if kind == "target":
        b.add(op, [x], tolerance=SCORES, domain=ML, n_targets=targets, aggregate_function=aggregate, **given)
    else:
        b.add(op, [x], 2, tolerance=SCORES, domain=ML, classlabels_int64s=b.random.sample(range(9), 3), post_transform=b.choice(TRANSFORMS), **given)

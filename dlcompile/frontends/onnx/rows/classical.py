"""Operators of the domain ai.onnx.ml that are arithmetic on tensors: what scikit-learn's scalers, linear and neural
models convert to."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.graph import Tensor, make_constant

ML = "ai.onnx.ml"


@importer("Scaler", domain=ML)
def scaler(node: OnnxNode, x: Tensor) -> Tensor:
    """(x - offset) * scale, one of each for a feature or one for all."""
    x = ops.cast(x, np.float32)
    offset, scale = (
        np.asarray(node.get(name, default), np.float32) for name, default in (("offset", (0.0,)), ("scale", (1.0,)))
    )
    return ops.mul(ops.sub(x, make_constant(offset)), make_constant(scale))


@importer("Normalizer", domain=ML)
def normalizer(node: OnnxNode, x: Tensor) -> Tensor:
    """Each row divided by its largest magnitude, its sum of magnitudes, or its length; left as it is where that is
    0."""
    x = ops.cast(x, np.float32)
    axis = x.rank - 1
    norm = {"MAX": lambda: ops.reduce_max(ops.abs(x), axis, True), "L1": lambda: ops.reduce_sum(ops.abs(x), axis, True),
            "L2": lambda: ops.sqrt(ops.reduce_sum(ops.square(x), axis, True))}[node["norm"]]()
    return ops.div(x, ops.select(ops.eq(norm, 0.0), np.float32(1), norm))


@importer("Binarizer", domain=ML)
def binarizer(node: OnnxNode, x: Tensor) -> Tensor:
    """1 above the threshold, 0 elsewhere."""
    return ops.cast(ops.gt(x, ops.as_tensor(node["threshold"], x.dtype)), x.dtype)


@importer("Imputer", domain=ML)
def imputer(node: OnnxNode, x: Tensor) -> Tensor:
    """The imputed value of a feature wherever it has the value that stands for a missing one."""
    floats = x.dtype.kind == "f"
    values = np.asarray(node.get("imputed_value_floats" if floats else "imputed_value_int64s", ()), x.dtype)
    if not values.size:
        raise InvalidModelError(f"no imputed values of type {x.dtype} are given")
    replaced = node["replaced_value_float" if floats else "replaced_value_int64"]
    missing = ops.is_nan(x) if floats and np.isnan(replaced) else ops.eq(x, ops.as_tensor(replaced, x.dtype))
    return ops.select(missing, make_constant(values), x)


@importer("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(node: OnnxNode, x: Tensor, indices: Tensor) -> Tensor:
    """The chosen elements of the last axis; of a vector as a matrix of one row."""
    picked = ops.gather(x, ops.reshape(indices, (indices.type.size,)), x.rank - 1, normalize=True)
    return ops.reshape(picked, (1, indices.type.size)) if x.rank == 1 else picked


@importer("FeatureVectorizer", domain=ML)
def feature_vectorizer(node: OnnxNode, *parts: Tensor) -> Tensor:
    """Features of several inputs side by side, as float32."""
    flat = [ops.reshape(p, (p.shape[0], p.type.size // p.shape[0])) if p.rank != 2 else p for p in parts]
    return ops.concatenate([ops.cast(p, np.float32) for p in flat], 1)


POST = {
    "NONE": lambda x: x,
    "SOFTMAX": lambda x: ops.softmax(x, -1),
    "LOGISTIC": ops.logistic,
}


def _post(node: OnnxNode, scores: Tensor) -> Tensor:
    if node["post_transform"] not in POST:
        raise UnsupportedOperatorError(f"post_transform {node['post_transform']!r} is not one of {', '.join(POST)}")
    return POST[node["post_transform"]](scores)


def _linear(node: OnnxNode, x: Tensor, rows: int) -> Tensor:
    """x times the transposed coefficients, plus intercepts."""
    x = ops.cast(ops.reshape(x, (1, *x.shape)) if x.rank == 1 else x, np.float32)
    coefficients = np.asarray(node["coefficients"], np.float32)
    if rows < 1 or coefficients.size % rows or coefficients.size // rows != x.shape[1]:
        raise ShapeError(f"{coefficients.size} coefficients do not make {rows} rows for {x.type}")
    y = ops.matmul(x, make_constant(np.ascontiguousarray(coefficients.reshape(rows, -1).T)))
    intercepts = np.asarray(node.get("intercepts", ()), np.float32)
    return ops.add(y, make_constant(intercepts)) if intercepts.size else y


@importer("LinearRegressor", domain=ML)
def linear_regressor(node: OnnxNode, x: Tensor) -> Tensor:
    return _post(node, _linear(node, x, node.get("targets", 1)))


@importer("LinearClassifier", domain=ML)
def linear_classifier(node: OnnxNode, x: Tensor) -> tuple[Tensor, Tensor]:
    """(label, scores): the label whose score is highest; of two classes with one row of coefficients by the sign of its
    score."""
    labels = node["classlabels_ints"]
    if not labels:
        raise UnsupportedOperatorError(
            "labels that are strings are not supported; convert the model with integer labels"
        )
    count = len(node["coefficients"]) // (x.shape[-1] if isinstance(x.shape[-1], int) and x.shape[-1] else 1)
    scores = _linear(node, x, count)
    table = make_constant(np.asarray(labels, np.int64))
    if count > 1:
        return ops.gather(table, ops.argmax(scores, 1), 0), _post(node, scores)
    if len(labels) != 2:
        raise InvalidModelError(f"{len(labels)} labels for {count} row of coefficients")
    if node["post_transform"] == "LOGISTIC":
        positive = ops.logistic(scores)
        both = ops.concatenate([ops.sub(np.float32(1), positive), positive], 1)
    else:
        both = _post(node, ops.concatenate([ops.neg(scores), scores], 1))
    chosen = ops.reshape(ops.cast(ops.gt(scores, 0.0), np.int64), (scores.shape[0],))
    return ops.gather(table, chosen, 0), both


@importer("LabelEncoder", domain=ML, since=2)
def label_encoder(node: OnnxNode, x: Tensor) -> Tensor:
    """The value of the key that each element equals, or the default; keys and values are numbers."""
    keys, values = (
        next((np.asarray(node[f"{what}_{kind}"]) for kind in ("int64s", "floats") if node[f"{what}_{kind}"]), None)
        for what in ("keys", "values")
    )
    if keys is None or values is None or len(keys) != len(values):
        raise UnsupportedOperatorError("keys and values must be numbers, as many of each; text is not supported")
    dtype = np.dtype(np.int64 if values.dtype.kind == "i" else np.float32)
    default = node["default_int64" if dtype.kind == "i" else "default_float"]
    y = ops.broadcast_to(make_constant(np.asarray(default, dtype)), x.shape)
    for key, value in zip(reversed(keys.tolist()), reversed(values.tolist())):  # the first of equal keys counts
        same = ops.is_nan(x) if key != key else ops.eq(x, ops.as_tensor(key, x.dtype))
        y = ops.select(same, np.asarray(value, dtype), y)
    return y


@importer("ZipMap", domain=ML)
def zip_map(node: OnnxNode, x: Tensor) -> Tensor:
    raise UnsupportedOperatorError(
        "its output is a sequence of maps; convert the model with the option zipmap=False to get a tensor"
    )

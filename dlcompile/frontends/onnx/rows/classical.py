"""Operators of the domain ai.onnx.ml that are arithmetic on tensors, or lookups: what scikit-learn's scalers, linear and neural
models convert to."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.rows.trees import label_table
from dlcompile.frontends.onnx.shapes import assume_equal
from dlcompile.frontends.onnx.values import MapsValue, MapValue
from dlcompile.graph import Tensor, apply, dtype_name, is_string, make_constant

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


def _post(node: OnnxNode, scores: Tensor) -> Tensor:
    return ops.post_transform(scores, node["post_transform"])


def _linear(node: OnnxNode, x: Tensor, rows: int) -> Tensor:
    """x times the transposed coefficients, plus intercepts."""
    x = ops.cast(ops.reshape(x, (1, *x.shape)) if x.rank == 1 else x, np.float32)
    coefficients = np.asarray(node["coefficients"], np.float32)
    if rows < 1 or coefficients.size % rows:
        raise ShapeError(f"{coefficients.size} coefficients do not make {rows} rows for {x.type}")
    assume_equal(x.shape[1], coefficients.size // rows, f"the features of {x.type} and the coefficients of {rows} rows:")
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
    table = label_table(node, "classlabels_ints")
    features = x.shape[-1]
    if isinstance(features, int):
        count = len(node["coefficients"]) // max(features, 1)
    else:  # one row for each class, or for two of them, which the intercepts tell
        count = len(node.get("intercepts", ()) or ()) or table.shape[0]
    scores = _linear(node, x, count)
    if count > 1:
        return ops.gather(table, ops.argmax(scores, 1), 0), _post(node, scores)
    if table.shape != (2,):
        raise InvalidModelError(f"{table.shape[0]} labels for {count} row of coefficients")
    if node["post_transform"] == "LOGISTIC":
        positive = ops.logistic(scores)
        both = ops.concatenate([ops.sub(np.float32(1), positive), positive], 1)
    else:
        both = _post(node, ops.concatenate([ops.neg(scores), scores], 1))
    chosen = ops.reshape(ops.cast(ops.gt(scores, 0.0), np.int64), (scores.shape[0],))
    return ops.gather(table, chosen, 0), both


def _column(node: OnnxNode, what: str) -> np.ndarray | None:
    """The keys or values of a LabelEncoder, of whatever type they are given in."""
    if node[f"{what}_tensor"] is not None:
        return node[f"{what}_tensor"].reshape(-1)
    for kind, dtype in (("int64s", np.int64), ("floats", np.float32), ("strings", object)):
        if node[f"{what}_{kind}"]:
            return np.asarray(node[f"{what}_{kind}"], dtype)
    return None


@importer("LabelEncoder", domain=ML, since=2)
def label_encoder(node: OnnxNode, x: Tensor) -> Tensor:
    """The value of the key that each element equals, the first of equal ones, or the default; NaN equals NaN."""
    keys, values = _column(node, "keys"), _column(node, "values")
    if keys is None or values is None or len(keys) != len(values):
        raise InvalidModelError("keys and values are not as many of each")
    if keys.dtype != x.dtype:
        raise InvalidModelError(f"the keys are {dtype_name(keys.dtype)}, the input is {x.type}")
    default = node["default_tensor"]
    if default is None:
        default = node[{"i": "default_int64", "O": "default_string"}.get(values.dtype.kind, "default_float")]
    return _looked_up(x, keys, values, default)


@importer("LabelEncoder", domain=ML)
def label_encoder_1(node: OnnxNode, x: Tensor) -> Tensor:
    """Strings as their positions among the classes, and positions as the strings."""
    classes = np.asarray(node["classes_strings"], object)
    positions = np.arange(len(classes), dtype=np.int64)
    if is_string(x.dtype):
        return _looked_up(x, classes, positions, node["default_int64"])
    return _looked_up(x, positions, classes, node["default_string"])


@importer("CategoryMapper", domain=ML)
def category_mapper(node: OnnxNode, x: Tensor) -> Tensor:
    """Strings as integers, and integers as strings."""
    strings, integers = np.asarray(node["cats_strings"] or (), object), np.asarray(node["cats_int64s"] or (), np.int64)
    if len(strings) != len(integers):
        raise InvalidModelError(f"there are {len(strings)} cats_strings and {len(integers)} cats_int64s")
    if is_string(x.dtype):
        return _looked_up(x, strings, integers, node["default_int64"])
    return _looked_up(x, integers, strings, node["default_string"])


def _looked_up(x: Tensor, keys: np.ndarray, values: np.ndarray, default) -> Tensor:
    """The value for each element; the default lies behind the values."""
    table = np.append(values, np.asarray(default, values.dtype).reshape(-1)[:1]).astype(values.dtype)
    found = ops.lookup(x, keys)
    last = ops.as_tensor(len(values), np.int64)
    return ops.gather(make_constant(table), ops.select(ops.lt(found, ops.as_tensor(0, np.int64)), last, found), 0)


@importer("OneHotEncoder", domain=ML)
def one_hot_encoder(node: OnnxNode, x: Tensor) -> Tensor:
    """1 where an element is the category, in a new last axis: [*x.shape, categories] (float32). What is none of them has zeros only. (Whether a
    model with `zeros` = 0 may stop there is not asked.)"""
    strings = is_string(x.dtype)
    categories = node["cats_strings"] if strings else node["cats_int64s"]
    if not categories:
        raise InvalidModelError(f"there are no categories for {x.type}")
    keys = np.asarray(categories, object if strings else np.int64)
    index = ops.lookup(x if strings else ops.cast(x, np.int64), keys)
    return ops.cast(ops.eq(ops.expand_dims(index, x.rank), np.arange(len(keys))), np.float32)


@importer("ZipMap", domain=ML)
def zip_map(node: OnnxNode, x: Tensor) -> MapsValue:
    """A map for each row of x [n, k] (or for a vector): the labels and their numbers."""
    keys = node.get("classlabels_strings", ()) or node.get("classlabels_int64s", ()) or ()
    values = ops.reshape(x, (1, *x.shape)) if x.rank == 1 else x
    if values.rank != 2 or isinstance(values.shape[1], int) and values.shape[1] != len(keys):
        raise ShapeError(f"{len(keys)} labels for the numbers of {x.type}")
    return MapsValue(tuple(keys), values)


@importer("DictVectorizer", domain=ML)
def dict_vectorizer(node: OnnxNode, x: MapValue) -> Tensor:
    """The values of the vocabulary's keys, 0 where the map has none: [1, words], as the converters of scikit-learn's models and ONNX Runtime have
    it. (The standard's text says "1-D".)"""
    keys, values = _map_of(x)
    kind = "string" if is_string(keys.dtype) else "int64"
    vocabulary = node[f"{kind}_vocabulary"]
    if not vocabulary:
        raise InvalidModelError(f"there is no {kind}_vocabulary for a map whose keys are {dtype_name(keys.dtype)}")
    if len(set(vocabulary)) < len(vocabulary):
        raise InvalidModelError(f"the {kind}_vocabulary has words more than once")
    return apply("dict_vectorizer", keys, values, vocabulary=tuple(vocabulary))


MAP_TYPES = {"TO_FLOAT": np.float32, "TO_INT64": np.int64, "TO_STRING": object}
MOST_POSITIONS = 2**26  # what a sparse map is made into is as long as a model of a few bytes says


@importer("CastMap", domain=ML)
def cast_map(node: OnnxNode, x: MapValue) -> Tensor:
    """The values in the order of their keys ("DENSE"), or each at the position that its key is ("SPARSE"), [1, size], cast."""
    keys, values = _map_of(x)
    if keys.dtype != np.int64:
        raise InvalidModelError(f"the keys of the map are {dtype_name(keys.dtype)}; expected int64")
    if node["map_form"] not in ("DENSE", "SPARSE") or node["cast_to"] not in MAP_TYPES:
        raise InvalidModelError(f"map_form is {node['map_form']!r} and cast_to is {node['cast_to']!r}; expected DENSE or SPARSE, and one of "
                                f"{', '.join(MAP_TYPES)}")
    size = node["max_map"] if node["map_form"] == "SPARSE" else None
    if size is not None and not 1 <= size <= MOST_POSITIONS:
        raise InvalidModelError(f"max_map is {size}; expected 1 to {MOST_POSITIONS}")
    return apply("cast_map", keys, values, dtype=np.dtype(MAP_TYPES[node["cast_to"]]), size=size)


def _map_of(x: MapValue) -> tuple[Tensor, Tensor]:
    if not isinstance(x, MapValue):
        raise InvalidModelError("its input is not a map")
    return x.keys, x.values

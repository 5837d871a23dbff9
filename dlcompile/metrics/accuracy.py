"""How often a prediction is right: functions that give 1.0 or 0.0 for each, and their means."""
from __future__ import annotations

from typing import Any

import numpy as np

from dlcompile import config, ops
from dlcompile.eager import eager
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, definitely_different
from dlcompile.losses.operands import floats, pair
from dlcompile.metrics.base import MeanMetricWrapper


def _hits(condition: Tensor) -> Tensor:
    return ops.cast(condition, config.floatx())


def labels_for(what: str, y_true: Any, y_pred: Tensor) -> Tensor:
    """Labels int64 of the shape of y_pred without its last axis; an axis of one at the end is dropped. ShapeError where they have another."""
    y_true = ops.cast(ops.as_tensor(y_true), np.int64)
    if y_true.rank == y_pred.rank and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    expected = y_pred.shape[:-1]
    if y_true.rank != len(expected) or any(a != b and definitely_different(a, b) for a, b in zip(y_true.shape, expected)):
        raise ShapeError(f"{what}: labels {y_true.type} do not go with y_pred {y_pred.type}: they are [{', '.join(map(str, expected))}]")
    return y_true


@eager
def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Whether both are the same."""
    return _hits(ops.eq(*pair("accuracy", y_true, y_pred)))


@eager
def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
    """Whether y_pred is above the threshold where y_true is 1, and not where it is 0."""
    y_true, y_pred = pair("binary_accuracy", y_true, y_pred)
    return _hits(ops.eq(y_true, ops.cast(ops.gt(y_pred, threshold), y_true.dtype)))


@eager
def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Whether the largest of y_pred along the last axis is where the largest of y_true is (of equals the first)."""
    y_true, y_pred = pair("categorical_accuracy", y_true, y_pred)
    return _hits(ops.eq(ops.argmax(y_true, -1), ops.argmax(y_pred, -1)))


@eager
def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Whether the largest of y_pred along the last axis is at the label."""
    y_pred = floats(y_pred)
    return _hits(ops.eq(labels_for("sparse_categorical_accuracy", y_true, y_pred), ops.argmax(y_pred, -1)))


def _in_top(labels: Tensor, y_pred: Tensor, k: int) -> Tensor:
    """Whether fewer than k scores are above the label's. A label that is NaN, or that there is not, is in none."""
    place = ops.iota(np.int64, (1,) * (y_pred.rank - 1) + (y_pred.shape[-1],), y_pred.rank - 1)
    here = ops.eq(ops.expand_dims(labels, -1), place)
    own = ops.reduce_sum(ops.select(here, y_pred, ops.as_tensor(0, y_pred.dtype)), -1, keepdims=True)
    above = ops.reduce_sum(ops.cast(ops.gt(y_pred, own), np.float32), -1)
    there = ops.reduce_or(ops.logical_and(here, ops.logical_not(ops.is_nan(y_pred))), -1)
    return ops.logical_and(ops.lt(above, np.float32(k)), there)


@eager
def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """Whether the largest of y_true is at one of the k largest of y_pred; equals of the k-th count."""
    y_true, y_pred = pair("top_k_categorical_accuracy", y_true, y_pred)
    return _hits(_in_top(ops.argmax(y_true, -1), y_pred, k))


@eager
def sparse_top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5, from_sorted_ids: bool = False) -> Tensor:
    """Whether one of the k largest of y_pred is at the label; equals of the k-th count. `from_sorted_ids`: y_pred are labels, the best ones first."""
    y_pred = ops.as_tensor(y_pred) if from_sorted_ids else floats(y_pred)
    labels = labels_for("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if not from_sorted_ids:
        return _hits(_in_top(labels, y_pred, k))
    if isinstance(y_pred.shape[-1], int) and y_pred.shape[-1] < k:
        raise ShapeError(f"sparse_top_k_categorical_accuracy: y_pred {y_pred.type} has fewer than k = {k} labels")
    best = ops.slice(y_pred, (0,) * y_pred.rank, (*y_pred.shape[:-1], k))
    return _hits(ops.reduce_or(ops.eq(ops.cast(best, np.int64), ops.expand_dims(labels, -1)), -1))


def _checked_k(k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ArgumentError(f"k is a whole number from 1 on, not {k!r}")
    return int(k)


class Accuracy(MeanMetricWrapper):
    """How many predictions are the labels themselves."""

    _direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: Any = None):
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How many predictions are on the right side of a threshold."""

    _direction = "up"

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5):
        if not 0 < threshold < 1:
            raise ArgumentError(f"the threshold of a binary accuracy is between 0 and 1, not {threshold}")
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """How many largest scores are at the right class, for labels that are vectors."""

    _direction = "up"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None):
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How many largest scores are at the right class, for labels that are integers."""

    _direction = "up"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the k best, for labels that are vectors."""

    _direction = "up"

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None):
        super().__init__(top_k_categorical_accuracy, name, dtype, k=_checked_k(k))


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the k best, for labels that are integers."""

    _direction = "up"

    def __init__(self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None, from_sorted_ids: bool = False):
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=_checked_k(k), from_sorted_ids=from_sorted_ids)


__all__ = ["Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy",
           "TopKCategoricalAccuracy", "accuracy", "binary_accuracy", "categorical_accuracy", "labels_for", "sparse_categorical_accuracy",
           "sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy"]

"""Metrics with several counts: F-scores, intersections over unions, and the share of variance that is explained."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import config, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Dim, Tensor
from dlcompile.losses.operands import floats, pair, safe_div
from dlcompile.metrics.base import Metric


class FBetaScore(Metric):
    """(1 + beta²) P R / (beta² P + R) of precision P and recall R, for y [batch, classes].

    average:   None: a score for each class; "micro": of all classes as one; "macro": the mean; "weighted": the mean weighted by how many there are.
    threshold: scores above it are positive; None: the largest of each sample is.
    """

    _direction = "up"
    averages = (None, "micro", "macro", "weighted")

    def __init__(self, average: str | None = None, beta: float = 1.0, threshold: float | None = None, name: str | None = "fbeta_score",
                 dtype: Any = None):
        super().__init__(dtype, name)
        if average not in self.averages:
            raise ArgumentError(f"average is one of {', '.join(map(str, self.averages))}, not {average!r}")
        if not beta > 0:
            raise ArgumentError(f"beta is a number greater than 0, not {beta}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ArgumentError(f"threshold is a number greater than 0, 1 at most, not {threshold}")
        self.average, self.beta, self.threshold = average, float(beta), threshold

    def _build(self, classes: int) -> None:
        for cell in ("true_positives", "false_positives", "false_negatives", "intermediate_weights"):
            setattr(self, cell, self.add_weight(() if self.average == "micro" else (classes,), name=cell))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = pair(self.name, y_true, floats(y_pred, self.dtype))
        if y_pred.rank != 2 or isinstance(y_pred.shape[1], Dim):
            raise ShapeError(f"{self.name}: y_pred is [batch, classes], not {y_pred.type}")
        if not self._variables:
            self._build(y_pred.shape[1])
        if self.threshold is None:
            largest = ops.ge(y_pred, ops.reduce_max(y_pred, -1, keepdims=True))
            positive = ops.logical_and(largest, ops.gt(ops.abs(y_pred), 1e-9))
        else:
            positive = ops.gt(y_pred, self.threshold)
        p = ops.cast(positive, y_true.dtype)
        weight = None if sample_weight is None else ops.reshape(floats(sample_weight, self.dtype), (-1, 1))
        axes = None if self.average == "micro" else 0
        for variable, values in ((self.true_positives, p * y_true), (self.false_positives, p * (1.0 - y_true)),
                                 (self.false_negatives, (1.0 - p) * y_true), (self.intermediate_weights, y_true)):
            variable.assign_add(ops.reduce_sum(values if weight is None else values * weight, axes))

    def result(self) -> Tensor:
        if not self._variables:
            return ops.as_tensor(0, self.dtype)
        hits, wrong, missed, there = (ops.as_tensor(v.value) for v in (self.true_positives, self.false_positives, self.false_negatives,
                                                                       self.intermediate_weights))
        epsilon, beta2 = config.epsilon(), self.beta**2
        precision, recall = hits / (hits + wrong + epsilon), hits / (hits + missed + epsilon)
        score = (1 + beta2) * (precision * recall / (beta2 * precision + recall + epsilon))
        if self.average == "weighted":
            return ops.reduce_sum(score * (there / (ops.reduce_sum(there) + epsilon)))
        return score if self.average is None else ops.reduce_mean(score)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "average": self.average, "beta": self.beta, "threshold": self.threshold}


class F1Score(FBetaScore):
    """2 P R / (P + R): the harmonic mean of precision and recall; arguments as for `FBetaScore`."""

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str | None = "f1_score", dtype: Any = None):
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config


class IoU(Metric):
    """The mean of |A ∩ B| / |A ∪ B| over some classes, A being where the label is the class and B where the prediction is. A class that is in
    neither does not count.

    num_classes:   labels and predictions are from 0 on and smaller than this; others do not count.
    ignore_class:  a label whose places do not count.
    sparse_y_true, sparse_y_pred: whether they are labels, or scores along `axis`, of which the largest is meant.
    """

    _direction = "up"

    def __init__(self, num_classes: int, target_class_ids: Sequence[int], name: str | None = None, dtype: Any = None,
                 ignore_class: int | None = None, sparse_y_true: bool = True, sparse_y_pred: bool = True, axis: int = -1):
        super().__init__(dtype or "int64", name)
        wrong = [c for c in target_class_ids if not 0 <= c < num_classes]
        if wrong or not target_class_ids:
            raise ArgumentError(f"target classes are from 0 to {num_classes - 1}, not {list(target_class_ids)}")
        self.num_classes, self.target_class_ids, self.ignore_class = num_classes, list(target_class_ids), ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        self.total_cm = self.add_weight((num_classes, num_classes), name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = (ops.as_tensor(y) if sparse else ops.argmax(y, self.axis)
                          for y, sparse in ((y_true, self.sparse_y_true), (y_pred, self.sparse_y_pred)))
        y_true, y_pred = (ops.reshape(ops.cast(y, np.int64), (-1,)) for y in (y_true, y_pred))
        inside = ops.logical_and(*(ops.logical_and(ops.ge(y, 0), ops.lt(y, self.num_classes)) for y in (y_true, y_pred)))
        if self.ignore_class is not None:
            inside = ops.logical_and(inside, ops.ne(y_true, self.ignore_class))
        weight = ops.as_tensor(1) if sample_weight is None else ops.as_tensor(sample_weight)
        weight = ops.cast(weight, self.dtype) if weight.rank == 0 else ops.reshape(ops.cast(weight, self.dtype), (-1,))
        zero = np.int64(0)
        place = ops.select(inside, y_true * self.num_classes + y_pred, zero)
        kept = ops.select(inside, ops.broadcast_to(weight, place.shape), ops.as_tensor(0, self.dtype))
        flat = ops.full((self.num_classes**2,), 0, self.dtype)
        counted = ops.scatter_nd(flat, ops.expand_dims(place, 1), kept, "add")
        self.total_cm.assign_add(ops.reshape(counted, (self.num_classes, self.num_classes)))

    def result(self) -> Tensor:
        matrix = ops.cast(ops.as_tensor(self.total_cm.value), np.float32)
        both = ops.reduce_sum(matrix * np.eye(self.num_classes, dtype=np.float32), 0)
        either = ops.reduce_sum(matrix, 0) + ops.reduce_sum(matrix, 1) - both
        wanted = np.zeros(self.num_classes, np.float32)
        np.add.at(wanted, self.target_class_ids, 1)
        there = ops.cast(ops.gt(either, 0), np.float32) * wanted
        return safe_div(ops.reduce_sum(safe_div(both, either) * wanted), ops.reduce_sum(there))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes, "target_class_ids": self.target_class_ids,
                "ignore_class": self.ignore_class, "sparse_y_true": self.sparse_y_true, "sparse_y_pred": self.sparse_y_pred, "axis": self.axis}


class BinaryIoU(IoU):
    """`IoU` of the classes 0 and 1, where a prediction is 1 from a threshold on."""

    def __init__(self, target_class_ids: Sequence[int] = (0, 1), threshold: float = 0.5, name: str | None = None, dtype: Any = None):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true, ops.cast(ops.ge(floats(y_pred), self.threshold), np.int64), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "target_class_ids": self.target_class_ids, "threshold": self.threshold}


class MeanIoU(IoU):
    """`IoU` of all classes."""

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None, sparse_y_true: bool = True,
                 sparse_y_pred: bool = True, axis: int = -1):
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "target_class_ids"}


class OneHotIoU(IoU):
    """`IoU` for labels that are vectors."""

    def __init__(self, num_classes: int, target_class_ids: Sequence[int], name: str | None = None, dtype: Any = None,
                 ignore_class: int | None = None, sparse_y_pred: bool = False, axis: int = -1):
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "sparse_y_true"}


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` for labels that are vectors."""

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None, sparse_y_pred: bool = False,
                 axis: int = -1):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "sparse_y_true"}


class R2Score(Metric):
    """1 - Σ (y_true - y_pred)² / Σ (y_true - mean)², for y [batch, n]; where all labels are equal 1 for no error and 0 for any.

    class_aggregation: "uniform_average": the mean over n; "variance_weighted_average": weighted by the labels' variances; None: one for each.
    num_regressors:    p, for the score adjusted to it: 1 - (1 - R²) (samples - 1) / (samples - p - 1), where that is more than 0.
    """

    _direction = "up"
    aggregations = (None, "uniform_average", "variance_weighted_average")

    def __init__(self, class_aggregation: str | None = "uniform_average", num_regressors: int = 0, name: str | None = "r2_score", dtype: Any = None):
        super().__init__(dtype, name)
        if class_aggregation not in self.aggregations:
            raise ArgumentError(f"class_aggregation is one of {', '.join(map(str, self.aggregations))}, not {class_aggregation!r}")
        if num_regressors < 0:
            raise ArgumentError(f"num_regressors is a whole number from 0 on, not {num_regressors}")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors

    def _build(self, n: int) -> None:
        self.num_samples = self.add_weight(name="num_samples")
        self.squared_sum, self.sum, self.total_mse, self.count = (
            self.add_weight((n,), name=name) for name in ("squared_sum", "sum", "residual", "count"))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = pair(self.name, y_true, floats(y_pred, self.dtype))
        if y_pred.rank == 1:
            y_true, y_pred = (ops.expand_dims(y, 1) for y in (y_true, y_pred))
        if y_pred.rank != 2 or isinstance(y_pred.shape[1], Dim):
            raise ShapeError(f"{self.name}: y_pred is [batch, n], not {y_pred.type}")
        if not self._variables:
            self._build(y_pred.shape[1])
        weight = floats(1.0 if sample_weight is None else sample_weight, self.dtype)
        weight = ops.broadcast_to(ops.expand_dims(weight, 1) if weight.rank == 1 else weight, y_true.shape)
        for variable, values in ((self.sum, y_true * weight), (self.squared_sum, y_true * y_true * weight),
                                 (self.total_mse, ops.square(y_true - y_pred) * weight), (self.count, weight)):
            variable.assign_add(ops.reduce_sum(values, 0))
        self.num_samples.assign_add(ops.cast(ops.reduce_prod(ops.shape_of(y_true)), self.dtype))

    def result(self) -> Tensor:
        if not self._variables:
            return ops.as_tensor(0, self.dtype)
        total, squared, error, counted = (ops.as_tensor(v.value) for v in (self.sum, self.squared_sum, self.total_mse, self.count))
        spread = squared - total * safe_div(total, counted)
        flat, perfect = ops.eq(spread, 0), ops.cast(ops.eq(error, 0), error.dtype)
        score = ops.select(flat, perfect, 1.0 - safe_div(error, spread))
        if self.class_aggregation == "uniform_average":
            score = ops.reduce_mean(score)
        elif self.class_aggregation == "variance_weighted_average":
            score = safe_div(ops.reduce_sum(spread * score), ops.reduce_sum(spread))
        if self.num_regressors:
            n = ops.as_tensor(self.num_samples.value)
            left = n - (self.num_regressors + 1.0)
            score = ops.select(ops.gt(left, 0), 1.0 - safe_div((1.0 - score) * (n - 1.0), left), score)
        return score

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}


__all__ = ["BinaryIoU", "F1Score", "FBetaScore", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "R2Score"]

"""Metrics of yes and no: true and false positives and negatives at thresholds, and what is computed from them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor
from dlcompile.losses.operands import floats, safe_div, same_rank
from dlcompile.masks import mask_of
from dlcompile.metrics.base import Metric, weight_of
from dlcompile.variables import Variable

CELLS = {"true_positives": (True, True), "false_positives": (False, True), "true_negatives": (False, False), "false_negatives": (True, False)}
"""cell of the confusion matrix → (whether the label is positive, whether the prediction is)"""

ALL = -1e10
"""a threshold that every score is above"""


def parsed_thresholds(thresholds: float | Sequence[float] | None, default: float = 0.5) -> list[float]:
    """The thresholds as a list. ArgumentError for one outside of [0, 1]."""
    if thresholds is None:
        return [default]
    found = [thresholds] if isinstance(thresholds, (int, float)) else list(thresholds)
    if not found or any(not isinstance(t, (int, float, np.number)) or not 0 <= t <= 1 for t in found):
        raise ArgumentError(f"thresholds are numbers from 0 to 1, not {thresholds!r}")
    return [float(t) for t in found]


def only_top_k(y_pred: Tensor, k: int) -> Tensor:
    """Scores along the last axis, those that are not among the k largest below every threshold; of equals the first count."""
    _, places = ops.top_k(y_pred, k)
    kept = ops.reduce_sum(ops.one_hot(places, y_pred.shape[-1], dtype=y_pred.dtype), -2)
    return ops.select(ops.gt(kept, 0), y_pred, ops.as_tensor(ALL, y_pred.dtype))


def operands(what: str, y_true: Any, y_pred: Any, sample_weight: Any, dtype: str, top_k: int | None = None,
             class_id: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(labels as bool, scores, weights), all of the shape of the scores. ShapeError for others that do not go together."""
    mask = mask_of(y_pred)
    y_pred, y_true = same_rank(floats(y_pred, dtype), floats(y_true, dtype))
    if y_true.rank != y_pred.rank:
        raise ShapeError(f"{what}: y_true {y_true.type} and y_pred {y_pred.type} have different ranks")
    if top_k is not None:
        y_pred = only_top_k(y_pred, top_k)
    if class_id is not None:
        if y_pred.rank < 2:
            raise ShapeError(f"{what}: class_id picks a class of y_pred [batch, classes], not of {y_pred.type}")
        y_true, y_pred = (t[..., class_id:class_id + 1] for t in (y_true, y_pred))
    weight = weight_of(sample_weight, mask, dtype)
    if weight is None:
        weight = ops.as_tensor(1, y_pred.dtype)
    elif weight.rank < y_pred.rank:
        weight = ops.expand_dims(weight, tuple(range(weight.rank, y_pred.rank)))
    elif weight.rank > y_pred.rank:
        weight = ops.reshape(weight, weight.shape[:y_pred.rank])
    return ops.ne(ops.broadcast_to(y_true, y_pred.shape), 0), y_pred, ops.broadcast_to(weight, y_pred.shape)


def count(cells: dict[str, Variable], thresholds: Sequence[float], labels: Tensor, scores: Tensor, weights: Tensor, each_label: bool = False) -> None:
    """Add to the cells [thresholds], or [thresholds, labels] where `each_label`, the weights of what belongs into them: a score is positive where it
    is above the threshold."""
    if not each_label:
        labels, scores, weights = (ops.reshape(t, (-1,)) for t in (labels, scores, weights))
    edges = np.asarray(thresholds, scores.dtype).reshape(-1, *(1,) * scores.rank)
    above, labels = ops.gt(ops.expand_dims(scores, 0), edges), ops.expand_dims(labels, 0)
    for name, variable in cells.items():
        label, prediction = CELLS[name]
        there = ops.logical_and(labels if label else ops.logical_not(labels), above if prediction else ops.logical_not(above))
        variable.assign_add(ops.reduce_sum(ops.select(there, ops.expand_dims(weights, 0), ops.as_tensor(0, weights.dtype)), 1))


class _Confusion(Metric):
    """A metric of some cells of the confusion matrix, at one or several thresholds."""

    cells: tuple[str, ...] = ()
    top_k: int | None = None
    class_id: int | None = None
    default_threshold = 0.5

    def __init__(self, thresholds: float | Sequence[float] | None = None, name: str | None = None, dtype: Any = None):
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = parsed_thresholds(thresholds, self.default_threshold)
        for cell in self.cells:
            setattr(self, cell, self.add_weight((len(self.thresholds),), name=cell))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = operands(self.name, y_true, y_pred, sample_weight, self.dtype, self.top_k, self.class_id)
        count({cell: getattr(self, cell) for cell in self.cells}, self.thresholds, *found)

    def each(self, values: Tensor) -> Tensor:
        """A scalar where there is one threshold."""
        return values[0] if len(self.thresholds) == 1 else values

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class _Cell(_Confusion):
    """How many there are of one cell."""

    def result(self) -> Tensor:
        return self.each(getattr(self, self.cells[0]).value)


class TruePositives(_Cell):
    """How many positive labels have a score above the threshold (0.5, or `thresholds`, for which a number each is given)."""

    cells = ("true_positives",)


class TrueNegatives(_Cell):
    """How many negative labels have no score above the threshold."""

    cells = ("true_negatives",)


class FalsePositives(_Cell):
    """How many negative labels have a score above the threshold."""

    cells = ("false_positives",)


class FalseNegatives(_Cell):
    """How many positive labels have no score above the threshold."""

    cells = ("false_negatives",)


class _Ratio(_Confusion):
    """The share of true positives in them and another cell."""

    _direction = "up"

    def __init__(self, thresholds: float | Sequence[float] | None = None, top_k: int | None = None, class_id: int | None = None,
                 name: str | None = None, dtype: Any = None):
        self.top_k, self.class_id = top_k, class_id
        self.default_threshold = 0.5 if top_k is None else ALL
        super().__init__(thresholds, name, dtype)

    def result(self) -> Tensor:
        hits, others = (getattr(self, cell).value for cell in self.cells)
        return self.each(safe_div(hits, hits + others))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Ratio):
    """How many of what is predicted as positive is: TP / (TP + FP), 0 where nothing is predicted.

    top_k: only the k largest scores along the last axis are positive. class_id: only this class is looked at.
    """

    cells = ("true_positives", "false_positives")


class Recall(_Ratio):
    """How many of what is positive is predicted as such: TP / (TP + FN); arguments as for `Precision`."""

    cells = ("true_positives", "false_negatives")


# -- one value under a condition on another ------------------------------------------------------------------------------------
def _sensitivity(cells: dict[str, Tensor]) -> Tensor:
    return safe_div(cells["true_positives"], cells["true_positives"] + cells["false_negatives"])


def _specificity(cells: dict[str, Tensor]) -> Tensor:
    return safe_div(cells["true_negatives"], cells["true_negatives"] + cells["false_positives"])


def _precision(cells: dict[str, Tensor]) -> Tensor:
    return safe_div(cells["true_positives"], cells["true_positives"] + cells["false_positives"])


class _BestAt(Metric):
    """The best value of one measure among the thresholds where another is at least what is given."""

    _direction = "up"
    given: str
    constrained: Any
    wanted: Any

    def __init__(self, value: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None):
        super().__init__(dtype, name)
        if not 0 <= value <= 1:
            raise ArgumentError(f"{self.given} is from 0 to 1, not {value}")
        if num_thresholds <= 0:
            raise ArgumentError(f"num_thresholds is a whole number from 1 on, not {num_thresholds}")
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        self.thresholds = [0.5] if num_thresholds == 1 else np.linspace(0, 1, num_thresholds).tolist()
        for cell in CELLS:
            setattr(self, cell, self.add_weight((len(self.thresholds),), name=cell))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = operands(self.name, y_true, y_pred, sample_weight, self.dtype, class_id=self.class_id)
        count({cell: getattr(self, cell) for cell in CELLS}, self.thresholds, *found)

    def result(self) -> Tensor:
        cells = {cell: getattr(self, cell).value for cell in CELLS}
        cells = {cell: ops.as_tensor(value) for cell, value in cells.items()}
        there, wanted = ops.ge(type(self).constrained(cells), self.value), type(self).wanted(cells)
        return ops.reduce_max(ops.select(there, wanted, ops.as_tensor(0, wanted.dtype)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_thresholds": self.num_thresholds, "class_id": self.class_id, self.given: self.value}


class SensitivityAtSpecificity(_BestAt):
    """The best TP / (TP + FN) where TN / (TN + FP) is at least `specificity`."""

    given, constrained, wanted = "specificity", staticmethod(_specificity), staticmethod(_sensitivity)

    def __init__(self, specificity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None):
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_BestAt):
    """The best TN / (TN + FP) where TP / (TP + FN) is at least `sensitivity`."""

    given, constrained, wanted = "sensitivity", staticmethod(_sensitivity), staticmethod(_specificity)

    def __init__(self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None):
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_BestAt):
    """The best TP / (TP + FP) where TP / (TP + FN) is at least `recall`."""

    given, constrained, wanted = "recall", staticmethod(_sensitivity), staticmethod(_precision)

    def __init__(self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None):
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_BestAt):
    """The best TP / (TP + FN) where TP / (TP + FP) is at least `precision`."""

    given, constrained, wanted = "precision", staticmethod(_precision), staticmethod(_sensitivity)

    def __init__(self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None):
        super().__init__(precision, num_thresholds, class_id, name, dtype)


__all__ = ["CELLS", "FalseNegatives", "FalsePositives", "Precision", "PrecisionAtRecall", "Recall", "RecallAtPrecision", "SensitivityAtSpecificity",
           "SpecificityAtSensitivity", "TrueNegatives", "TruePositives", "count", "operands", "parsed_thresholds"]

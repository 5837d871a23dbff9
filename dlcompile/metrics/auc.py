"""The area under a curve of what a threshold makes of scores."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import config, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Dim, Tensor
from dlcompile.losses.operands import floats, safe_div
from dlcompile.masks import mask_of, set_mask
from dlcompile.metrics.base import Metric
from dlcompile.metrics.confusion import CELLS, count, operands, parsed_thresholds

CURVES = ("ROC", "PR", "PRGAIN")
METHODS = ("interpolation", "majoring", "minoring")


class AUC(Metric):
    """The area under the curve of true against false positive rate (ROC), or of precision against recall (PR), at thresholds from 0 to 1.

    num_thresholds:   that many, at equal distances, two of which lie just outside of [0, 1].
    curve:            "ROC", "PR", or "PRGAIN", gains in precision against those in recall (Flach & Kull 2015).
    summation_method: "interpolation": trapezia, and for PR the curve on which the numbers of true positives and of all that is predicted as positive
                      change in proportion (Davis & Goadrich 2006); "majoring" and "minoring": rectangles above and below.
    thresholds:       others than those at equal distances.
    multi_label:      y is [batch, labels], the area is the mean of those of the labels, weighted by `label_weights`; `num_labels` makes the variables
                      at once. Otherwise all labels are looked at as one, `label_weights` being the weights of the columns.
    from_logits:      scores are logits, of which a sigmoid makes probabilities.
    """

    _direction = "up"

    def __init__(self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation", name: str | None = None,
                 dtype: Any = None, thresholds: Sequence[float] | None = None, multi_label: bool = False, num_labels: int | None = None,
                 label_weights: Sequence[float] | None = None, from_logits: bool = False):
        super().__init__(dtype, name)
        curve, summation_method = str(curve).upper(), str(summation_method).lower()
        for what, value, allowed in (("curve", curve, CURVES), ("summation_method", summation_method, METHODS)):
            if value not in allowed:
                raise ArgumentError(f"{what} is one of {', '.join(allowed)}, not {value!r}")
        if thresholds is None and num_thresholds < 2:
            raise ArgumentError(f"num_thresholds is a whole number from 2 on, not {num_thresholds}")
        if num_labels and not multi_label:
            raise ArgumentError("num_labels goes with multi_label=True")
        self.init_thresholds = None if thresholds is None else list(thresholds)
        inner = np.linspace(0, 1, num_thresholds)[1:-1].tolist() if thresholds is None else sorted(parsed_thresholds(thresholds))
        self.thresholds = [0.0 - config.epsilon(), *inner, 1.0 + config.epsilon()]
        self.num_thresholds = len(self.thresholds)
        self.curve, self.summation_method = curve, summation_method
        self.multi_label, self.num_labels, self.from_logits = bool(multi_label), num_labels, bool(from_logits)
        self.label_weights = None if label_weights is None else np.asarray(label_weights, self.dtype)
        if not multi_label or num_labels:
            self._build(num_labels)

    def _build(self, labels: int | None) -> None:
        shape = (self.num_thresholds, labels) if self.multi_label else (self.num_thresholds,)
        for cell in CELLS:
            setattr(self, cell, self.add_weight(shape, name=cell))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = mask_of(y_pred)
        y_pred = floats(y_pred, self.dtype)
        if self.from_logits:
            y_pred = ops.logistic(y_pred)
        if mask is not None:
            set_mask(y_pred, mask)
        if self.multi_label:
            if y_pred.rank != 2 or isinstance(y_pred.shape[1], Dim):
                raise ShapeError(f"{self.name}: with multi_label=True scores are [batch, labels], not {y_pred.type}")
            if not self._variables:
                self._build(y_pred.shape[1])
        labels, scores, weights = operands(self.name, y_true, y_pred, sample_weight, self.dtype)
        if self.label_weights is not None and not self.multi_label:
            weights = weights * self.label_weights
        count({cell: getattr(self, cell) for cell in CELLS}, self.thresholds, labels, scores, weights, self.multi_label)

    def result(self) -> Tensor:
        if not self._variables:
            return ops.as_tensor(0, self.dtype)
        cells = {cell: ops.as_tensor(getattr(self, cell).value) for cell in CELLS}
        if (self.curve, self.summation_method) == ("PR", "interpolation"):
            areas = _interpolated(**cells)
        else:
            x, y = _CURVES[self.curve](**cells)
            heights = {"interpolation": lambda a, b: (a + b) / 2.0, "majoring": ops.maximum, "minoring": ops.minimum}[self.summation_method]
            areas = (x[:-1] - x[1:]) * heights(y[:-1], y[1:])
        area = ops.reduce_sum(areas, 0)
        if not self.multi_label:
            return area
        if self.label_weights is None:
            return ops.reduce_mean(area)
        return safe_div(ops.reduce_sum(area * self.label_weights), ops.as_tensor(self.label_weights.sum()))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_thresholds": self.num_thresholds, "curve": self.curve, "summation_method": self.summation_method,
                "thresholds": self.init_thresholds, "multi_label": self.multi_label, "num_labels": self.num_labels,
                "label_weights": None if self.label_weights is None else self.label_weights.tolist(), "from_logits": self.from_logits}


def _roc(true_positives: Tensor, false_positives: Tensor, true_negatives: Tensor, false_negatives: Tensor) -> tuple[Tensor, Tensor]:
    return safe_div(false_positives, false_positives + true_negatives), safe_div(true_positives, true_positives + false_negatives)


def _pr(true_positives: Tensor, false_positives: Tensor, true_negatives: Tensor, false_negatives: Tensor) -> tuple[Tensor, Tensor]:
    return safe_div(true_positives, true_positives + false_negatives), safe_div(true_positives, true_positives + false_positives)


def _gains(true_positives: Tensor, false_positives: Tensor, true_negatives: Tensor, false_negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Gains of 1 - (P / N) FN / TP in recall, 0 where that is negative or nothing is found, and 1 - (P / N) FP / TP in precision, 1 there."""
    odds = safe_div(true_positives + false_negatives, true_negatives + false_positives)
    nothing, zero, one = ops.eq(true_positives, 0), *(ops.as_tensor(v, true_positives.dtype) for v in (0, 1))
    recall = ops.select(nothing, zero, one - odds * safe_div(false_negatives, true_positives))
    precision = ops.select(nothing, one, one - odds * safe_div(false_positives, true_positives))
    return ops.maximum(recall, 0), precision


_CURVES = {"ROC": _roc, "PR": _pr, "PRGAIN": _gains}


def _interpolated(true_positives: Tensor, false_positives: Tensor, true_negatives: Tensor, false_negatives: Tensor) -> Tensor:
    """The areas between neighbouring thresholds. There TP = a + s p, p = TP + FP being all that is predicted as positive, and precision is TP / p; its
    integral over recall is s (ΔTP + a ln(p₁ / p₂)) / (TP + FN) (Davis & Goadrich 2006, section 4)."""
    predicted = true_positives + false_positives
    more, fewer = predicted[:-1], predicted[1:]
    gained = true_positives[:-1] - true_positives[1:]
    slope = safe_div(gained, ops.maximum(more - fewer, 0))
    intercept = true_positives[1:] - slope * fewer
    one = ops.as_tensor(1, predicted.dtype)
    both = ops.logical_and(ops.gt(more, 0), ops.gt(fewer, 0))
    ratio = ops.select(both, more, one) / ops.select(both, fewer, one)
    return safe_div(slope * (gained + intercept * ops.log(ratio)), ops.maximum(true_positives[1:] + false_negatives[1:], 0))


__all__ = ["AUC"]

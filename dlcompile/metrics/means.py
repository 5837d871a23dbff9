"""Losses as metrics, correlations, and the root of the mean square: means over all samples of what a function gives for each."""
from __future__ import annotations

from typing import Any

from dlcompile import config, losses, ops
from dlcompile.eager import eager
from dlcompile.graph import Tensor
from dlcompile.losses.operands import pair, safe_div
from dlcompile.masks import mask_of
from dlcompile.metrics.base import Mean, MeanMetricWrapper, weight_of


def _of_loss(name: str, function: Any, default_name: str) -> type[MeanMetricWrapper]:
    """The metric of a loss that takes no arguments."""
    def __init__(self, name: str | None = default_name, dtype: Any = None):
        MeanMetricWrapper.__init__(self, function, name, dtype)

    return type(name, (MeanMetricWrapper,), {
        "__init__": __init__, "__doc__": f"The mean of `losses.{function.__name__}`.", "__module__": __name__, "_direction": "down"})


MeanSquaredError = _of_loss("MeanSquaredError", losses.mean_squared_error, "mean_squared_error")
MeanAbsoluteError = _of_loss("MeanAbsoluteError", losses.mean_absolute_error, "mean_absolute_error")
MeanAbsolutePercentageError = _of_loss("MeanAbsolutePercentageError", losses.mean_absolute_percentage_error, "mean_absolute_percentage_error")
MeanSquaredLogarithmicError = _of_loss("MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error, "mean_squared_logarithmic_error")
LogCoshError = _of_loss("LogCoshError", losses.log_cosh, "logcosh")
KLDivergence = _of_loss("KLDivergence", losses.kl_divergence, "kl_divergence")
Poisson = _of_loss("Poisson", losses.poisson, "poisson")
Hinge = _of_loss("Hinge", losses.hinge, "hinge")
SquaredHinge = _of_loss("SquaredHinge", losses.squared_hinge, "squared_hinge")
CategoricalHinge = _of_loss("CategoricalHinge", losses.categorical_hinge, "categorical_hinge")


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean of `losses.binary_crossentropy`."""

    def __init__(self, name: str | None = "binary_crossentropy", dtype: Any = None, from_logits: bool = False, label_smoothing: float = 0):
        super().__init__(losses.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean of `losses.categorical_crossentropy`."""

    def __init__(self, name: str | None = "categorical_crossentropy", dtype: Any = None, from_logits: bool = False, label_smoothing: float = 0,
                 axis: int = -1):
        super().__init__(losses.categorical_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean of `losses.sparse_categorical_crossentropy`."""

    def __init__(self, name: str | None = "sparse_categorical_crossentropy", dtype: Any = None, from_logits: bool = False, axis: int = -1):
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, from_logits=from_logits, axis=axis)


class RootMeanSquaredError(Mean):
    """√ of the mean of (y_true - y_pred)²."""

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None):
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        weight = weight_of(sample_weight, mask_of(y_pred), self.dtype)
        y_true, y_pred = pair(self.name, y_true, y_pred)
        super().update_state(ops.square(y_true - y_pred), weight)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


@eager
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """cos of the angle between the vectors along `axis`: 1 for the same direction (the loss of that name is its negative)"""
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(MeanMetricWrapper):
    """The mean cos of the angle between the vectors along `axis`."""

    _direction = "up"

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1):
        super().__init__(cosine_similarity, name, dtype, axis=axis)


def _centred(x: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """(x less its mean, its mean, its variance) along `axis`."""
    mean = ops.reduce_mean(x, axis, keepdims=True)
    return x - mean, mean, ops.reduce_mean(ops.square(x - mean), axis, keepdims=True)


@eager
def pearson_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """cov(y_true, y_pred) / (σ σ') along `axis` (Pearson 1895); 0 where one does not vary"""
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred)
    (a, _, var_a), (b, _, var_b) = _centred(y_true, axis), _centred(y_pred, axis)
    return ops.reduce_mean(safe_div(a * b, ops.sqrt(var_a * var_b)), axis)


@eager
def concordance_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """2 cov(y_true, y_pred) / (σ² + σ'² + (μ - μ')² + epsilon) along `axis` (Lin 1989)"""
    y_true, y_pred = pair("concordance_correlation", y_true, y_pred)
    (a, mean_a, var_a), (b, mean_b, var_b) = _centred(y_true, axis), _centred(y_pred, axis)
    return ops.reduce_mean(2.0 * a * b / (var_a + var_b + ops.square(mean_a - mean_b) + config.epsilon()), axis)


class PearsonCorrelation(MeanMetricWrapper):
    """The mean of `pearson_correlation`."""

    _direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1):
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean of `concordance_correlation`."""

    _direction = "up"

    def __init__(self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1):
        super().__init__(concordance_correlation, name, dtype, axis=axis)


__all__ = ["BinaryCrossentropy", "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity", "Hinge", "KLDivergence",
           "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError",
           "PearsonCorrelation", "Poisson", "RootMeanSquaredError", "SparseCategoricalCrossentropy", "SquaredHinge", "concordance_correlation",
           "cosine_similarity", "pearson_correlation"]

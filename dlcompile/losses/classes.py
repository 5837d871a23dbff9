"""The functions as classes: each gives, for a batch, the mean (or what `reduction` says) of what the function of its name gives for a sample."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcompile.losses.base import LossFunctionWrapper
from dlcompile.losses.crossentropy import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    sparse_categorical_crossentropy,
)
from dlcompile.losses.margins import (
    categorical_hinge,
    dice,
    hinge,
    squared_hinge,
    tversky,
)
from dlcompile.losses.regression import (
    cosine_similarity,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
)


class BinaryCrossentropy(LossFunctionWrapper):
    """`binary_crossentropy`."""

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
                 reduction: str | None = "sum_over_batch_size", name: str | None = "binary_crossentropy", dtype: Any = None):
        super().__init__(binary_crossentropy, reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """`binary_focal_crossentropy`."""

    def __init__(self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False,
                 label_smoothing: float = 0.0, axis: int = -1, reduction: str | None = "sum_over_batch_size",
                 name: str | None = "binary_focal_crossentropy", dtype: Any = None):
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, apply_class_balancing=apply_class_balancing, alpha=alpha,
                         gamma=gamma, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class CategoricalCrossentropy(LossFunctionWrapper):
    """`categorical_crossentropy`."""

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
                 reduction: str | None = "sum_over_batch_size", name: str | None = "categorical_crossentropy", dtype: Any = None):
        super().__init__(categorical_crossentropy, reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing,
                         axis=axis)


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """`categorical_focal_crossentropy`."""

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0,
                 axis: int = -1, reduction: str | None = "sum_over_batch_size", name: str | None = "categorical_focal_crossentropy",
                 dtype: Any = None):
        super().__init__(categorical_focal_crossentropy, reduction, name, dtype, alpha=alpha, gamma=gamma, from_logits=from_logits,
                         label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """`sparse_categorical_crossentropy`."""

    def __init__(self, from_logits: bool = False, ignore_class: int | None = None, reduction: str | None = "sum_over_batch_size",
                 axis: int = -1, name: str | None = "sparse_categorical_crossentropy", dtype: Any = None):
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, from_logits=from_logits, ignore_class=ignore_class,
                         axis=axis)


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """`categorical_generalized_cross_entropy`."""

    def __init__(self, q: float = 0.5, reduction: str | None = "sum_over_batch_size",
                 name: str | None = "categorical_generalized_cross_entropy", dtype: Any = None):
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)


class MeanSquaredError(LossFunctionWrapper):
    """`mean_squared_error`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_squared_error", dtype: Any = None):
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """`mean_absolute_error`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_absolute_error", dtype: Any = None):
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """`mean_absolute_percentage_error`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_absolute_percentage_error",
                 dtype: Any = None):
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """`mean_squared_logarithmic_error`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_squared_logarithmic_error",
                 dtype: Any = None):
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    """`huber`."""

    def __init__(self, delta: float = 1.0, reduction: str | None = "sum_over_batch_size", name: str | None = "huber_loss",
                 dtype: Any = None):
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    """`log_cosh`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "log_cosh", dtype: Any = None):
        super().__init__(log_cosh, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
    """`poisson`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "poisson", dtype: Any = None):
        super().__init__(poisson, reduction, name, dtype)


class KLDivergence(LossFunctionWrapper):
    """`kl_divergence`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "kl_divergence", dtype: Any = None):
        super().__init__(kl_divergence, reduction, name, dtype)


class CosineSimilarity(LossFunctionWrapper):
    """`cosine_similarity`."""

    def __init__(self, axis: int = -1, reduction: str | None = "sum_over_batch_size", name: str | None = "cosine_similarity",
                 dtype: Any = None):
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


class Hinge(LossFunctionWrapper):
    """`hinge`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "hinge", dtype: Any = None):
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
    """`squared_hinge`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "squared_hinge", dtype: Any = None):
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
    """`categorical_hinge`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "categorical_hinge", dtype: Any = None):
        super().__init__(categorical_hinge, reduction, name, dtype)


class Dice(LossFunctionWrapper):
    """`dice`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "dice",
                 axis: int | Sequence[int] | None = None, dtype: Any = None):
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    """`tversky`."""

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, reduction: str | None = "sum_over_batch_size",
                 name: str | None = "tversky", axis: int | Sequence[int] | None = None, dtype: Any = None):
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


__all__ = ["BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
           "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "CosineSimilarity", "Dice", "Hinge", "Huber", "KLDivergence",
           "LogCosh", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
           "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky"]

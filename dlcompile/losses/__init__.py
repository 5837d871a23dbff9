"""Losses, by the names, with the arguments and the values of Keras: classes that give one number for a batch, and functions that give one for
each sample.

    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    loss(labels, scores)                                    # a tensor in a trace, a number for arrays
    losses.mean_squared_error(y_true, y_pred)               # [batch]
    model.compile(loss="mse")
"""
from __future__ import annotations

from typing import Any

from dlcompile.losses.base import REDUCTIONS, Loss, LossFunctionWrapper, reduce_weighted_values
from dlcompile.losses.classes import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)
from dlcompile.losses.crossentropy import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    sparse_categorical_crossentropy,
)
from dlcompile.losses.margins import categorical_hinge, dice, hinge, squared_hinge, tversky
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
from dlcompile.registry import Family

ALIASES = {"bce": binary_crossentropy, "kld": kl_divergence, "mae": mean_absolute_error, "mape": mean_absolute_percentage_error,
           "mse": mean_squared_error, "msle": mean_squared_logarithmic_error, "logcosh": log_cosh}

FAMILY = Family("losses")
FAMILY.add(BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy, CategoricalGeneralizedCrossEntropy,
           CategoricalHinge, CosineSimilarity, Dice, Hinge, Huber, KLDivergence, LogCosh, LossFunctionWrapper, MeanAbsoluteError,
           MeanAbsolutePercentageError, MeanSquaredError, MeanSquaredLogarithmicError, Poisson, SparseCategoricalCrossentropy, SquaredHinge, Tversky,
           binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy,
           categorical_generalized_cross_entropy, categorical_hinge, cosine_similarity, dice, hinge, huber, kl_divergence, log_cosh,
           mean_absolute_error, mean_absolute_percentage_error, mean_squared_error, mean_squared_logarithmic_error, poisson,
           sparse_categorical_crossentropy, squared_hinge, tversky, **ALIASES, **{name.upper(): f for name, f in ALIASES.items() if name != "logcosh"})

serialize, deserialize = FAMILY.serialize, FAMILY.deserialize


def get(identifier: Any) -> Any:
    """The loss that is meant by a name, a configuration, a class, a function (y_true, y_pred) → losses, or itself; None for None.

    >>> get("mse").__name__, get("MeanSquaredError").name
    ('mean_squared_error', 'mean_squared_error')
    """
    return FAMILY.get(identifier)


def as_loss(identifier: Any) -> Loss | None:
    """The same as a `Loss`: a function is one that gives the mean over a batch, named as the function."""
    found = get(identifier)
    return found if found is None or isinstance(found, Loss) else LossFunctionWrapper(found, name=getattr(found, "__name__", None))


__all__ = ["REDUCTIONS", "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
           "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "CosineSimilarity", "Dice", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss",
           "LossFunctionWrapper", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
           "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky", "as_loss", "binary_crossentropy", "binary_focal_crossentropy",
           "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_generalized_cross_entropy", "categorical_hinge",
           "cosine_similarity", "deserialize", "dice", "get", "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error",
           "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error", "poisson", "reduce_weighted_values", "serialize",
           "sparse_categorical_crossentropy", "squared_hinge", "tversky"]

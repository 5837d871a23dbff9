"""Metrics, by the names, with the arguments and the values of Keras: what is counted from batch to batch, in variables.

    accuracy = metrics.SparseCategoricalAccuracy()
    accuracy.update_state(labels, scores)                   # part of a compiled step, or evaluated at once for arrays
    accuracy.result()
    model.compile(loss="mse", metrics=["mae", metrics.R2Score()])
"""
from __future__ import annotations

from typing import Any

from dlcompile import losses
from dlcompile.metrics import accuracy as _accuracy
from dlcompile.metrics import confusion, means, scores
from dlcompile.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from dlcompile.metrics.auc import AUC
from dlcompile.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from dlcompile.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from dlcompile.metrics.means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    concordance_correlation,
    pearson_correlation,
)
from dlcompile.metrics.scores import BinaryIoU, F1Score, FBetaScore, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU, R2Score
from dlcompile.registry import Family

FAMILY = Family("metrics")
FAMILY.add(Mean, Sum, MeanMetricWrapper, AUC, *(getattr(module, name) for module in (_accuracy, confusion, means, scores) for name in module.__all__
                                                if name[0].isupper() and isinstance(getattr(module, name), type)), snake=True)
FAMILY.objects.update({name: item for name, item in losses.FAMILY.objects.items() if name[0].islower() and name not in FAMILY.objects})
for _alias, _class in (("bce", BinaryCrossentropy), ("mse", MeanSquaredError), ("mae", MeanAbsoluteError), ("mape", MeanAbsolutePercentageError),
                       ("msle", MeanSquaredLogarithmicError)):
    FAMILY.add(**{_alias: _class, _alias.upper(): _class})
globals().update({name: item for name, item in losses.FAMILY.objects.items() if not isinstance(item, type) and name == item.__name__})

serialize, deserialize = FAMILY.serialize, FAMILY.deserialize


def get(identifier: Any) -> Any:
    """The metric that is meant by a name, a configuration, a class, a function (y_true, y_pred) → values, or itself; None for None.

    >>> get("mse"), type(get("AUC")).__name__
    (<MeanSquaredError mean_squared_error>, 'AUC')
    """
    return FAMILY.get(identifier)


def as_metric(identifier: Any) -> Metric | None:
    """The same as a `Metric`: a function, or a loss, is the mean of what it gives."""
    found = get(identifier)
    if found is None or isinstance(found, Metric):
        return found
    return MeanMetricWrapper(found, getattr(found, "name", None) or getattr(found, "__name__", None))


__all__ = ["AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy", "CategoricalCrossentropy",
           "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity", "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU",
           "KLDivergence", "LogCoshError", "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU", "MeanMetricWrapper",
           "MeanSquaredError", "MeanSquaredLogarithmicError", "Metric", "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson", "Precision",
           "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "RootMeanSquaredError", "SensitivityAtSpecificity",
           "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge",
           "Sum", "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives", "as_metric", "binary_accuracy", "categorical_accuracy",
           "concordance_correlation", "deserialize", "get", "pearson_correlation", "serialize", "sparse_categorical_accuracy",
           "sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy"]

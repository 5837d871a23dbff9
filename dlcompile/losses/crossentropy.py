"""Losses of probabilities: y_pred [batch, ..., classes] → [batch, ...].

Probabilities are kept from epsilon to 1 - epsilon before a logarithm is taken. Where they are the result of a softmax or a sigmoid, the logarithm
is computed from what goes into that instead (as Keras does with TensorFlow), so that nothing is cut off and derivatives stay right for a model
that is very sure of a wrong answer.
"""
from __future__ import annotations

import warnings

import numpy as np

from dlcompile import config, ops
from dlcompile.eager import eager
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, definitely_different
from dlcompile.losses.labels import note_labels
from dlcompile.losses.operands import floats, pair
from dlcompile.masks import set_mask


def _logits(y_pred: Tensor, from_logits: bool, op: str, axis: int | None = None) -> Tensor | None:
    """What goes into a softmax or sigmoid that yields `y_pred`; None where it comes from something else."""
    if from_logits:
        return y_pred
    node = y_pred.producer
    if node is None or node.op != op or axis is not None and node.attributes["axis"] != axis:
        return None
    return node.inputs[0]


def _inside(p: Tensor) -> Tensor:
    """Probabilities from epsilon to 1 - epsilon."""
    return ops.clip(p, config.epsilon(), 1.0 - config.epsilon())


def _log_probabilities(y_pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    logits = _logits(y_pred, from_logits, "softmax", axis)
    if logits is not None:
        return ops.log_softmax(logits, axis)
    return ops.log(_inside(y_pred / ops.reduce_sum(y_pred, axis, keepdims=True)))


def _smoothed(y_true: Tensor, label_smoothing: float, classes) -> Tensor:
    """(1 - s) y + s / classes (Szegedy et al. 2016)."""
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"label_smoothing is from 0 to 1, not {label_smoothing}")
    if not label_smoothing:
        return y_true
    share = label_smoothing / classes if isinstance(classes, int) else label_smoothing / ops.cast(ops.dim_scalar(classes), y_true.dtype)
    return y_true * (1.0 - label_smoothing) + share


def _class_axis(what: str, y_pred: Tensor, axis: int) -> int:
    if y_pred.rank == 0:
        raise ShapeError(f"{what}: y_pred {y_pred.type} has no axis of classes")
    axis = ops.axis_index(axis, y_pred.rank)
    if y_pred.shape[axis] == 1:
        warnings.warn(f"{what}: y_pred {y_pred.type} has one class, of which it is always sure; for two classes there is binary_crossentropy",
                      stacklevel=4)
    return axis


# -- one of several classes ---------------------------------------------------------------------------------------------------
@eager
def categorical_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1) -> Tensor:
    """-Σ y_true ln p, where p are y_pred / Σ y_pred, or softmax(y_pred) where `from_logits`; classes are along `axis`, y_true has the shape of
    y_pred."""
    y_true, y_pred = pair("categorical_crossentropy", y_true, y_pred)
    axis = _class_axis("categorical_crossentropy", y_pred, axis)
    y_true = _smoothed(y_true, label_smoothing, y_pred.shape[axis])
    return -ops.reduce_sum(y_true * _log_probabilities(y_pred, from_logits, axis), axis)


@eager
def categorical_focal_crossentropy(y_true: Tensor, y_pred: Tensor, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False,
                                   label_smoothing: float = 0.0, axis: int = -1) -> Tensor:
    """-Σ alpha (1 - p)**gamma y_true ln p (Lin et al. 2017), as `categorical_crossentropy`; alpha is a number, or one for each class."""
    y_true, y_pred = pair("categorical_focal_crossentropy", y_true, y_pred)
    axis = _class_axis("categorical_focal_crossentropy", y_pred, axis)
    y_true = _smoothed(y_true, label_smoothing, y_pred.shape[axis])
    p = _inside(ops.softmax(y_pred, axis) if from_logits else y_pred / ops.reduce_sum(y_pred, axis, keepdims=True))
    factor = ops.pow(1.0 - p, gamma) * floats(alpha, p.dtype)
    return -ops.reduce_sum(factor * y_true * _log_probabilities(y_pred, from_logits, axis), axis)


def _picked(y_true: Tensor, values: Tensor, axis: int) -> Tensor:
    """Σ of the values where the index along `axis` is y_true: the value there, or 0 where there is none."""
    place = ops.iota(np.int64, tuple(d if i == axis else 1 for i, d in enumerate(values.shape)), axis)
    return ops.reduce_sum(ops.select(ops.eq(ops.expand_dims(y_true, axis), place), values, ops.as_tensor(0, values.dtype)), axis)


def _labels(what: str, y_true: Tensor, y_pred: Tensor, axis: int, ignored: int | None = None) -> Tensor:
    """Labels int64, of the shape of `y_pred` without the axis of classes."""
    y_true = ops.as_tensor(y_true)
    note_labels(y_true, y_pred.shape[axis], ignored, what)
    y_true = ops.cast(y_true, np.int64)
    if y_true.rank == y_pred.rank and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis)
    expected = (*y_pred.shape[:axis], *y_pred.shape[axis + 1:])
    if y_true.rank != len(expected) or any(a != b and definitely_different(a, b) for a, b in zip(y_true.shape, expected)):
        raise ShapeError(f"{what}: labels {y_true.type} do not go with y_pred {y_pred.type}: they are [{', '.join(map(str, expected))}]"
                         + ("; for labels that are vectors of probabilities there is categorical_crossentropy" if y_true.rank == y_pred.rank else ""))
    return y_true


@eager
def sparse_categorical_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False, ignore_class: int | None = None,
                                    axis: int = -1) -> Tensor:
    """-ln p[y_true]: `categorical_crossentropy` for labels that are integers, of the shape of y_pred without `axis`.

    ignore_class: a label (it may be negative) whose samples have a loss of 0 and do not count where a mean is taken.
    """
    y_pred = floats(y_pred)
    axis = _class_axis("sparse_categorical_crossentropy", y_pred, axis)
    y_true = _labels("sparse_categorical_crossentropy", y_true, y_pred, axis, ignore_class)
    losses = -_picked(y_true, _log_probabilities(y_pred, from_logits, axis), axis)
    if ignore_class is None:
        return losses
    counted = ops.ne(y_true, int(ignore_class))
    losses = ops.select(counted, losses, ops.as_tensor(0, losses.dtype))
    set_mask(losses, counted)
    return losses


sparse_categorical_crossentropy.whole_labels = True  # floats cannot tell all integers apart


@eager
def categorical_generalized_cross_entropy(y_true: Tensor, y_pred: Tensor, q: float) -> Tensor:
    """(1 - p[y_true]**q) / q for labels that are integers (Zhang & Sabuncu 2018)"""
    y_pred = floats(y_pred)
    axis = _class_axis("categorical_generalized_cross_entropy", y_pred, -1)
    y_true = _labels("categorical_generalized_cross_entropy", y_true, y_pred, axis)
    return (1.0 - ops.pow(_picked(y_true, y_pred, axis), q)) / q


categorical_generalized_cross_entropy.whole_labels = True


# -- yes or no ----------------------------------------------------------------------------------------------------------------
def _binary(y_true: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    """-y ln p - (1 - y) ln(1 - p); of logits z as ln(1 + e**z) - y z, which is the same."""
    logits = _logits(y_pred, from_logits, "logistic")
    if logits is not None:
        return ops.softplus(logits) - y_true * logits
    p = _inside(y_pred)
    return -(y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p))


@eager
def binary_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1) -> Tensor:
    """mean of -y ln p - (1 - y) ln(1 - p) along `axis`, where p is y_pred, or its sigmoid where `from_logits`."""
    y_true, y_pred = pair("binary_crossentropy", y_true, y_pred)
    return ops.reduce_mean(_binary(_smoothed(y_true, label_smoothing, 2), y_pred, from_logits), axis)


@eager
def binary_focal_crossentropy(y_true: Tensor, y_pred: Tensor, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0,
                              from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1) -> Tensor:
    """`binary_crossentropy` times (1 - q)**gamma, q being the probability given to what is true; times alpha for y = 1 and 1 - alpha for y = 0 where
    `apply_class_balancing` (Lin et al. 2017)."""
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, 2)
    p = ops.logistic(y_pred) if from_logits else y_pred
    q = y_true * p + (1.0 - y_true) * (1.0 - p)
    losses = ops.pow(1.0 - q, gamma) * _binary(y_true, y_pred, from_logits)
    if apply_class_balancing:
        losses = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * losses
    return ops.reduce_mean(losses, axis)


__all__ = ["binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
           "categorical_generalized_cross_entropy", "sparse_categorical_crossentropy"]

"""Losses of numbers: y_true and y_pred [batch, ..., n] → [batch, ...]."""
from __future__ import annotations

import math

from dlcompile import config, ops
from dlcompile.eager import eager
from dlcompile.graph import Tensor
from dlcompile.losses.operands import pair, unit_length


@eager
def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean (y_true - y_pred)²

    >>> mean_squared_error([[0.0, 1.0]], [[1.0, 1.0]])
    array([0.5], dtype=float32)
    """
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return ops.reduce_mean(ops.square(y_true - y_pred), -1)


@eager
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean |y_true - y_pred|"""
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.reduce_mean(ops.abs(y_true - y_pred), -1)


@eager
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """100 mean |(y_true - y_pred) / max(|y_true|, epsilon)|"""
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    return 100.0 * ops.reduce_mean(ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), config.epsilon())), -1)


@eager
def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean (ln(1 + y_true) - ln(1 + y_pred))², both at least epsilon"""
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    a, b = (ops.log1p(ops.maximum(y, config.epsilon())) for y in (y_true, y_pred))
    return ops.reduce_mean(ops.square(b - a), -1)


@eager
def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    """mean of e²/2 where |e| <= delta, delta |e| - delta²/2 elsewhere (Huber 1964)"""
    y_true, y_pred = pair("huber", y_true, y_pred)
    error = y_pred - y_true
    size = ops.abs(error)
    return ops.reduce_mean(ops.select(ops.le(size, delta), 0.5 * ops.square(error), delta * size - 0.5 * delta**2), -1)


@eager
def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean ln cosh(y_pred - y_true), as e + ln(1 + e**-2e) - ln 2, which does not overflow"""
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return ops.reduce_mean(error + ops.softplus(-2.0 * error) - math.log(2), -1)


@eager
def poisson(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean of y_pred - y_true ln(y_pred + epsilon): the negative logarithm of a Poisson distribution's likelihood, but for a constant"""
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return ops.reduce_mean(y_pred - y_true * ops.log(y_pred + config.epsilon()), -1)


@eager
def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Σ y_true ln(y_true / y_pred), both from epsilon to 1 (Kullback & Leibler 1951)"""
    y_true, y_pred = (ops.clip(y, config.epsilon(), 1.0) for y in pair("kl_divergence", y_true, y_pred))
    return ops.reduce_sum(y_true * ops.log(y_true / y_pred), -1)


@eager
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """-cos of the angle between the vectors along `axis`: -1 for the same direction"""
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return -ops.reduce_sum(unit_length(y_true, axis) * unit_length(y_pred, axis), axis)


__all__ = ["cosine_similarity", "huber", "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
           "mean_squared_logarithmic_error", "poisson"]

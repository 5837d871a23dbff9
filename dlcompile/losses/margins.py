"""Losses of scores by their margin, and of regions by their overlap."""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile import config, ops
from dlcompile.eager import eager
from dlcompile.graph import Tensor
from dlcompile.losses.operands import pair


def _signs(y_true: Tensor) -> Tensor:
    """Labels -1 and 1: those given, or where all are 0 or 1 what these stand for."""
    binary = ops.reduce_and(ops.logical_or(ops.eq(y_true, 0), ops.eq(y_true, 1)))
    return ops.select(binary, 2.0 * y_true - 1.0, y_true)


@eager
def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean of max(1 - y_true y_pred, 0) along the last axis; labels are -1 and 1, or 0 and 1"""
    y_true, y_pred = pair("hinge", y_true, y_pred)
    return ops.reduce_mean(ops.maximum(1.0 - _signs(y_true) * y_pred, 0.0), -1)


@eager
def squared_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """mean of max(1 - y_true y_pred, 0)² along the last axis; labels are -1 and 1, or 0 and 1"""
    y_true, y_pred = pair("squared_hinge", y_true, y_pred)
    return ops.reduce_mean(ops.square(ops.maximum(1.0 - _signs(y_true) * y_pred, 0.0)), -1)


@eager
def categorical_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """max(1 + the largest wrong score - the right score, 0) along the last axis; y_true is 1 for the right class, 0 for the others"""
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    right = ops.reduce_sum(y_true * y_pred, -1)
    wrong = ops.reduce_max((1.0 - y_true) * y_pred, -1)
    return ops.maximum(wrong - right + 1.0, 0.0)


@eager
def dice(y_true: Tensor, y_pred: Tensor, axis: int | Sequence[int] | None = None) -> Tensor:
    """1 - 2 Σ y_true y_pred / (Σ y_true + Σ y_pred + epsilon) over `axis`, all by default (Dice 1945)"""
    y_true, y_pred = pair("dice", y_true, y_pred)
    both = ops.reduce_sum(y_true * y_pred, axis)
    return 1.0 - 2.0 * both / (ops.reduce_sum(y_true, axis) + ops.reduce_sum(y_pred, axis) + config.epsilon())


@eager
def tversky(y_true: Tensor, y_pred: Tensor, alpha: float = 0.5, beta: float = 0.5, axis: int | Sequence[int] | None = None) -> Tensor:
    """1 - t / (t + alpha Σ y_true (1 - y_pred) + beta Σ y_pred (1 - y_true) + epsilon) with t = Σ y_true y_pred (Salehi et al. 2017)"""
    y_true, y_pred = pair("tversky", y_true, y_pred)
    both = ops.reduce_sum(y_true * y_pred, axis)
    only_true, only_pred = ops.reduce_sum((1.0 - y_pred) * y_true, axis), ops.reduce_sum(y_pred * (1.0 - y_true), axis)
    return 1.0 - both / (both + only_true * alpha + only_pred * beta + config.epsilon())


__all__ = ["categorical_hinge", "dice", "hinge", "squared_hinge", "tversky"]

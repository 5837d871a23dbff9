"""Penalties on weights (or on what a layer computes), which are added to the loss: functions of a tensor that give a scalar.

    Dense(64, kernel_regularizer="l2")
    Dense(64, kernel_regularizer=regularizers.L1L2(l1=1e-5, l2=1e-4))
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.eager import eager
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor
from dlcompile.registry import Configurable, Family


class Regularizer(Configurable):
    """A function of a tensor that gives a scalar of its type. A class of one's own defines `__call__(self, x)`, and `get_config` where it has
    arguments."""

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(self, x)")


def _factor(name: str, value: float | None, default: float = 0.0) -> float:
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < math.inf:
        raise ArgumentError(f"{name} is a finite number that is not negative, not {value!r}")
    return float(value)


class L1L2(Regularizer):
    """l1 Σ|x| + l2 Σx².

    >>> float(L1L2(l1=0.5, l2=2.0)(np.array([1.0, -3.0])))
    22.0
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        self.l1, self.l2 = _factor("l1", l1), _factor("l2", l2)

    @eager
    def __call__(self, x: Tensor) -> Tensor:
        x = ops.as_tensor(x)
        total = ops.as_tensor(0, x.dtype)
        if self.l1:
            total = total + self.l1 * ops.reduce_sum(ops.abs(x))
        if self.l2:
            total = total + self.l2 * ops.reduce_sum(ops.square(x))
        return total

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 Σ|x|."""

    def __init__(self, l1: float | None = 0.01):
        super().__init__(l1=_factor("l1", l1, 0.01))

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2 Σx²."""

    def __init__(self, l2: float | None = 0.01):
        super().__init__(l2=_factor("l2", l2, 0.01))

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cos| of the angles between the rows (mode "rows") or columns (mode "columns") of a matrix, each with each other."""

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        if mode not in ("rows", "columns"):
            raise ArgumentError(f"mode is 'rows' or 'columns', not {mode!r}")
        self.factor, self.mode = _factor("factor", factor), mode

    @eager
    def __call__(self, x: Tensor) -> Tensor:
        x = ops.as_tensor(x)
        if x.rank != 2:
            raise ShapeError(f"an orthogonal regularizer takes a matrix, not {x.type}")
        x = x if self.mode == "rows" else x.T
        lengths = ops.reduce_sum(ops.square(x), 1, keepdims=True)
        x = x * ops.rsqrt(ops.select(ops.gt(lengths, 0), lengths, ops.as_tensor(1, x.dtype)))  # a row of zeros has a derivative too
        count = x.shape[0]
        others = (1 - np.eye(count)).astype(x.dtype)
        return self.factor / (count * (count - 1)) * ops.reduce_sum(ops.abs(x @ x.T) * others)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


FAMILY = Family("regularizers")
FAMILY.add(L1, L2, L1L2, OrthogonalRegularizer, snake=True, l1_l2=L1L2)
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
get, serialize, deserialize = FAMILY.get, FAMILY.serialize, FAMILY.deserialize

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2", "orthogonal_regularizer",
           "serialize"]

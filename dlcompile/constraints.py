"""What weights are made to fulfil after each step of an optimizer: functions of a tensor that give the tensor to take in its place.

    Dense(64, kernel_constraint="non_neg")
    Conv2D(64, 3, kernel_constraint=constraints.MaxNorm(2.0, axis=(0, 1, 2)))

`axis` is that (or those) along which a vector of weights lies: 0 for the kernel [in, out] of a dense layer, (0, 1, 2) for the kernel
[height, width, in, out] of a convolution.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcompile import config, ops
from dlcompile.eager import eager
from dlcompile.graph import Tensor
from dlcompile.registry import Configurable, Family


class Constraint(Configurable):
    """A function of a tensor that gives one of its type. A class of one's own defines `__call__(self, w)`, and `get_config` where it has
    arguments."""

    def __call__(self, w: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(self, w)")


class NonNeg(Constraint):
    """max(w, 0)."""

    @eager
    def __call__(self, w: Tensor) -> Tensor:
        return ops.maximum(w, 0)


class MinMaxNorm(Constraint):
    """Vectors scaled towards a length n from `min_value` to `max_value`: to (1 - rate) n + rate clip(n, min_value, max_value)."""

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0):
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    @eager
    def __call__(self, w: Tensor) -> Tensor:
        w = ops.as_tensor(w)
        norm = ops.sqrt(ops.reduce_sum(ops.square(w), self.axis, keepdims=True))
        wanted = ops.clip(norm, self.min_value, self.max_value)
        if self.rate != 1:
            wanted = self.rate * wanted + (1 - self.rate) * norm
        return w * (wanted / (norm + config.epsilon()))

    def get_config(self) -> dict[str, Any]:
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


class MaxNorm(MinMaxNorm):
    """Vectors of at most a length of `max_value` (Srivastava et al. 2014)."""

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0):
        super().__init__(0.0, max_value, axis=axis)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(Constraint):
    """Vectors of length 1."""

    def __init__(self, axis: int | Sequence[int] = 0):
        self.axis = axis

    @eager
    def __call__(self, w: Tensor) -> Tensor:
        w = ops.as_tensor(w)
        return w / (ops.sqrt(ops.reduce_sum(ops.square(w), self.axis, keepdims=True)) + config.epsilon())

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


FAMILY = Family("constraints")
FAMILY.add(MaxNorm, MinMaxNorm, NonNeg, UnitNorm, snake=True)
max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
get, serialize, deserialize = FAMILY.get, FAMILY.serialize, FAMILY.deserialize

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm", "non_neg", "serialize",
           "unit_norm"]

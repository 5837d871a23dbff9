"""Initializers that draw nothing."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.initializers.base import Initializer, value_type
from dlcompile.registry import deserialize


class Zeros(Initializer):
    """0 everywhere."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.zeros(shape, value_type(dtype))


class Ones(Initializer):
    """1 everywhere."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.ones(shape, value_type(dtype))


class Constant(Initializer):
    """A number everywhere, or an array of the very shape that is asked for.

    >>> Constant(3.0)((2,))
    array([3., 3.], dtype=float32)
    """

    def __init__(self, value: Any = 0.0):
        self.value = value
        if np.asarray(value).dtype.kind not in "biufcV":  # V: bfloat16 and its like
            raise ArgumentError(f"a constant initializer is a number or an array of numbers, not {value!r}")

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if np.ndim(self.value) and np.shape(self.value) != tuple(shape):
            raise ShapeError(f"an array of shape {np.shape(self.value)} cannot be the first value of a variable of shape {tuple(shape)}")
        return np.full(shape, self.value, value_type(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        return cls(deserialize(config["value"]))


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere."""

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if len(shape) != 2:
            raise ShapeError(f"an identity has 2 axes, not the {len(shape)} of {tuple(shape)}")
        return np.asarray(self.gain * np.eye(*shape), value_type(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


__all__ = ["Constant", "Identity", "Ones", "Zeros"]

"""Initializers that draw random numbers.

An initializer with an integer as seed, or with none, gives the same array each time it is called with the same shape; with a
`SeedGenerator` another one each time. What is drawn comes from NumPy's generator PCG64.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, DTypeError, ShapeError
from dlcompile.graph import is_float
from dlcompile.initializers.base import Initializer, value_type
from dlcompile.random import SeedGenerator, draw_key, make_default_seed
from dlcompile.registry import deserialize
from dlcompile.variables import untraced


class RandomInitializer(Initializer):
    """An initializer with a seed: an integer, a `SeedGenerator`, or None for an integer that `set_random_seed` decides."""

    def __init__(self, seed: int | SeedGenerator | dict | None = None):
        if isinstance(seed, dict):
            seed = deserialize(seed)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer, SeedGenerator))):
            raise ArgumentError(f"a seed is an integer or a SeedGenerator, not {seed!r}")
        self._given = seed
        self.seed = make_default_seed() if seed is None else seed

    def generator(self) -> np.random.Generator:
        """What the numbers of one call are drawn from."""
        with untraced():  # a variable is made when a function is traced, not each time that it runs
            return np.random.Generator(np.random.PCG64(draw_key(self.seed).tolist()))

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._given}


def drawn_type(dtype: Any) -> tuple[np.dtype, type]:
    """The type asked for, and the one that NumPy draws: float64 for itself, float32 for any other float."""
    dtype = value_type(dtype)
    if not is_float(dtype):
        raise DTypeError(f"random first values are of a float type, not {dtype}")
    return dtype, np.float64 if dtype == np.float64 else np.float32


def truncated(rng: np.random.Generator, shape: Sequence[int], dtype: type) -> np.ndarray:
    """Standard normal numbers, those beyond two standard deviations drawn again."""
    drawn = rng.standard_normal(shape, dtype)
    while (beyond := np.abs(drawn) > 2).any():
        drawn[beyond] = rng.standard_normal(np.count_nonzero(beyond), dtype)
    return drawn


class RandomNormal(RandomInitializer):
    """Normally distributed."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | SeedGenerator | None = None):
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        dtype, wide = drawn_type(dtype)
        return np.asarray(self.generator().standard_normal(shape, wide) * wide(self.stddev) + wide(self.mean), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomNormal):
    """Normally distributed, within two standard deviations of the mean."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        dtype, wide = drawn_type(dtype)
        return np.asarray(truncated(self.generator(), tuple(shape), wide) * wide(self.stddev) + wide(self.mean), dtype)


class RandomUniform(RandomInitializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | SeedGenerator | None = None):
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        dtype, wide = drawn_type(dtype)
        return np.asarray(self.generator().random(shape, wide) * wide(self.maxval - self.minval) + wide(self.minval), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal columns, or rows where it is wider than high; axes before the last count as one (Saxe et al. 2014).

    It is uniform among these: Q of a matrix of normal numbers = QR, with the signs of R's diagonal (Mezzadri 2007).
    """

    def __init__(self, gain: float = 1.0, seed: int | SeedGenerator | None = None):
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if len(shape) < 2:
            raise ShapeError(f"an orthogonal matrix has at least 2 axes, not the {len(shape)} of {tuple(shape)}")
        dtype, _ = drawn_type(dtype)
        rows, columns = int(np.prod(shape[:-1], dtype=np.int64)), shape[-1]
        q, r = np.linalg.qr(self.generator().standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return np.asarray(self.gain * (q.T if rows < columns else q).reshape(shape), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, **super().get_config()}


__all__ = ["Orthogonal", "RandomInitializer", "RandomNormal", "RandomUniform", "TruncatedNormal", "drawn_type", "truncated"]

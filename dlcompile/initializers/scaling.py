"""Random first values whose variance goes with the number of units on either side, so that signals neither grow nor fade from layer to layer."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError
from dlcompile.initializers.random import RandomInitializer, drawn_type, truncated
from dlcompile.random import SeedGenerator

MODES = {"fan_in": lambda fan_in, fan_out: fan_in, "fan_out": lambda fan_in, fan_out: fan_out,
         "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2}
"""mode → what the scale is divided by"""

DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")

# the standard deviation of a standard normal number that lies within two of them of 0: √(1 - 4φ(2) / (Φ(2) - Φ(-2)))
_TRUNCATED_STDDEV = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def compute_fans(shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None) -> tuple[int, int]:
    """(inputs of each output unit, outputs of each input unit) of a kernel [*window, in, out], or of one with the given axes.

    >>> compute_fans((3, 3, 8, 16))
    (72, 144)
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return (shape[0],) * 2 if shape else (1, 1)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


class VarianceScaling(RandomInitializer):
    """Random numbers of variance scale / n, n being the fan that `mode` names (see `compute_fans`).

    mode:         "fan_in", "fan_out", or "fan_avg", their mean.
    distribution: "truncated_normal" (within two standard deviations of what is cut off), "untruncated_normal", or "uniform" in
                  ±√(3 scale / n).
    """

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal",
                 seed: int | SeedGenerator | None = None, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None):
        super().__init__(seed)
        if not scale > 0:
            raise ArgumentError(f"scale is greater than 0, not {scale}")
        distribution = "truncated_normal" if str(distribution).lower() == "normal" else str(distribution).lower()
        for what, value, allowed in (("mode", mode, MODES), ("distribution", distribution, DISTRIBUTIONS)):
            if value not in allowed:
                raise ArgumentError(f"{what} is one of {', '.join(allowed)}, not {value!r}")
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        dtype, wide = drawn_type(dtype)
        variance = self.scale / max(1.0, MODES[self.mode](*compute_fans(shape, self.input_axes, self.output_axes)))
        rng, shape = self.generator(), tuple(shape)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return np.asarray(rng.random(shape, wide) * wide(2 * limit) - wide(limit), dtype)
        if self.distribution == "truncated_normal":
            return np.asarray(truncated(rng, shape, wide) * wide(math.sqrt(variance) / _TRUNCATED_STDDEV), dtype)
        return np.asarray(rng.standard_normal(shape, wide) * wide(math.sqrt(variance)), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale, "mode": self.mode, "distribution": self.distribution, **super().get_config(),
                "input_axes": self.input_axes, "output_axes": self.output_axes}


class _Named(VarianceScaling):
    """A combination of scale, mode and distribution with a name of its own."""

    combination: tuple[float, str, str]

    def __init__(self, seed: int | SeedGenerator | None = None, input_axes: Sequence[int] | None = None,
                 output_axes: Sequence[int] | None = None):
        super().__init__(*self.combination, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key in ("seed", "input_axes", "output_axes")}


class GlorotUniform(_Named):
    """Uniform of variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""

    combination = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal of variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""

    combination = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform of variance 2 / fan_in (He et al. 2015)."""

    combination = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal of variance 2 / fan_in (He et al. 2015)."""

    combination = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform of variance 1 / fan_in (LeCun et al. 1998)."""

    combination = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal of variance 1 / fan_in (LeCun et al. 1998)."""

    combination = (1.0, "fan_in", "truncated_normal")


__all__ = ["GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "VarianceScaling", "compute_fans"]

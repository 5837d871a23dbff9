"""Layers that do something in training only: noise, and penalties on what is computed."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import ops, random, regularizers
from dlcompile.config import standardize_data_format
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.input_spec import InputSpec
from dlcompile.random import SeedGenerator


class _Noise(Layer):
    """A layer that draws random numbers in training: the arguments rate and seed, and a generator whose state is a variable."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 <= rate <= 1:
            raise ArgumentError(f"layer {self.name!r}: rate is from 0 to 1, not {rate!r}")
        self.rate, self.seed = rate, seed
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        return self.disturbed(inputs) if training and self.rate > 0 else inputs

    def disturbed(self, inputs: Tensor) -> Tensor:
        """What the layer makes of its inputs in training."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class Dropout(_Noise):
    """In training, a share `rate` of the elements made 0 and the others divided by 1 - rate (Srivastava et al. 2014).

    noise_shape: of the decisions, which are then broadcast: 1 for an axis along which all share one, None for the extent of the inputs.
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs):
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def disturbed(self, inputs: Tensor) -> Tensor:
        return random.dropout(inputs, self.rate, self.noise_shape_of(inputs), self.seed_generator)

    def noise_shape_of(self, inputs: Tensor) -> Sequence[int | None] | None:
        return self.noise_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "noise_shape": None if self.noise_shape is None else list(self.noise_shape)}


class _SpatialDropout(Dropout):
    """Dropout of whole channels: all of a channel is kept or made 0 (Tompson et al. 2014)."""

    spatial = 0

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, name: str | None = None, dtype: Any = None,
                 **kwargs):
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.spatial + 2)

    def noise_shape_of(self, inputs: Tensor) -> Sequence[int | None]:
        ones = (1,) * self.spatial
        return (None, *ones, None) if self.data_format == "channels_last" else (None, None, *ones)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "data_format": self.data_format}
        del config["noise_shape"]
        return config


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of [batch, steps, channels]."""

    spatial = 1

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None, **kwargs):
        super().__init__(rate, "channels_last", seed, name, dtype, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of images [batch, height, width, channels], or with channels first."""

    spatial = 2


class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of volumes [batch, depth, height, width, channels], or with channels first."""

    spatial = 3


class GaussianDropout(_Noise):
    """In training, each element times a number with mean 1 and variance rate / (1 - rate) (Srivastava et al. 2014)."""

    def disturbed(self, inputs: Tensor) -> Tensor:
        if self.rate == 1:
            raise ArgumentError(f"layer {self.name!r}: noise of rate 1 has no finite variance")
        deviation = math.sqrt(self.rate / (1 - self.rate))
        return ops.mul(inputs, random.normal(inputs.shape, 1.0, deviation, self.compute_dtype, self.seed_generator))


class GaussianNoise(Layer):
    """In training, normally distributed noise with standard deviation `stddev` added."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= stddev < math.inf:
            raise ArgumentError(f"layer {self.name!r}: stddev is a finite number that is not negative, not {stddev!r}")
        self.stddev, self.seed = stddev, seed
        if stddev > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        return ops.add(inputs, random.normal(inputs.shape, 0.0, self.stddev, self.compute_dtype, self.seed_generator))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance of what `selu` returns: what is dropped becomes the value that selu has at -∞, and all are
    scaled and shifted (Klambauer et al. 2017)."""

    def disturbed(self, inputs: Tensor) -> Tensor:
        lowest = -1.6732632423543772 * 1.0507009873554805
        shape = inputs.shape if self.noise_shape is None else tuple(n if d is None else d for d, n in zip(self.noise_shape, inputs.shape))
        kept = ops.ge(random.uniform(shape, dtype=np.float32, seed=self.seed_generator), np.float32(self.rate))
        scale = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5 if self.rate < 1 else 0.0
        shift = -scale * lowest * self.rate
        y = ops.select(kept, inputs, scalar(inputs, lowest))
        return ops.add(ops.mul(y, scalar(inputs, scale)), scalar(inputs, shift))


class ActivityRegularization(Layer):
    """Its inputs, with the penalty l1 Σ|x| + l2 Σx² (for one sample) on them."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs):
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]
        return {**config, "l1": self.l1, "l2": self.l2}


__all__ = ["ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
           "SpatialDropout3D"]

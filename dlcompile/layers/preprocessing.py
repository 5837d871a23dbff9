"""Layers that bring data into the form that others like: scaled, centered."""
from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile import config, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, as_dtype
from dlcompile.layers.base import Layer, scalar
from dlcompile.registry import deserialize, serialize


class Rescaling(Layer):
    """x * scale + offset; both are numbers, or one for each channel."""

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        scale, offset = (np.asarray(value, as_dtype(self.compute_dtype)) for value in (self.scale, self.offset))
        if config.image_data_format() == "channels_first":
            scale, offset = (value.reshape(*value.shape, *(1,) * (3 - value.ndim)) if value.ndim else value for value in (scale, offset))
        return ops.add(ops.mul(ops.cast(inputs, self.compute_dtype), scale), offset)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": serialize(self.scale), "offset": serialize(self.offset)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        return super().from_config({**config, **{name: deserialize(config[name]) for name in ("scale", "offset") if name in config}})


class Normalization(Layer):
    """(x - mean) / √variance, or with `invert` x * √variance + mean: data to mean 0 and variance 1, or back.

    axis: the axes that have a mean and a variance for each element; None: one for all. mean, variance: what they are; otherwise
    `adapt(data)` finds them, as weights that are not trained: mean, variance, count.
    """

    def __init__(self, axis: int | Sequence[int] | None = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None) or np.shape(mean) != np.shape(variance):
            raise ArgumentError(f"layer {self.name!r}: mean and variance are given together, in the same shape, or not at all")
        if np.ndim(mean) > len(self.axis):
            raise ArgumentError(f"layer {self.name!r}: a mean of {np.ndim(mean)} axes for {len(self.axis)} axes of the input")
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        self._kept = ops.axis_indices(self.axis, len(input_shape))
        shape = [input_shape[a] for a in self._kept]
        if None in shape:
            raise ArgumentError(f"layer {self.name!r}: axis {self._kept[shape.index(None)]} of its input {tuple(input_shape)} must be known")
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape=shape, initializer="ones", trainable=False, name="variance")
            self.count = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="count")

    def adapt(self, data: Any) -> None:
        """Find mean and variance of an array, or of an iterable of batches of samples. ArgumentError for no data, ShapeError for batches of
        other shapes."""
        if self.input_mean is not None:
            raise ArgumentError(f"layer {self.name!r} has been given its mean and variance")
        batches = iter([data] if hasattr(data, "shape") else data if isinstance(data, Iterable) else [])
        first = next(batches, None)
        if first is None:
            raise ArgumentError(f"layer {self.name!r} adapts to an array, or to batches of samples, not to {type(data).__name__} without any")
        count, mean, variance = 0, 0.0, 0.0
        for batch in itertools.chain([first], batches):
            x = np.asarray(batch[0] if isinstance(batch, (tuple, list)) else batch, np.float64)
            if not self.built:
                self.build(x.shape)
            others = tuple(a for a in range(x.ndim) if a not in self._kept)
            if tuple(x.shape[a] for a in self._kept if a < x.ndim) != self.adapt_mean.shape:
                raise ShapeError(f"layer {self.name!r}: a batch of shape {x.shape} has other extents than {self.adapt_mean.shape} along axes {self._kept}")
            own = math.prod(x.shape[a] for a in others)
            total, own_mean, own_variance = count + own, x.mean(others), x.var(others)
            # of two groups together (Chan et al. 1979)
            variance = (count * variance + own * own_variance + count * own / total * (own_mean - mean) ** 2) / total
            mean, count = (count * mean + own * own_mean) / total, total
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def _statistics(self, rank: int) -> list[Tensor]:
        """Mean and variance, with axes of extent 1 for those that are not kept."""
        given = (self.adapt_mean, self.adapt_variance) if self.input_mean is None else tuple(
            np.asarray(value, as_dtype(self.compute_dtype)) for value in (self.input_mean, self.input_variance))
        missing = len(self._kept) - len(given[0].shape)
        extents = dict(zip(self._kept[missing:], given[0].shape))
        return [ops.reshape(ops.cast(value, self.compute_dtype), tuple(extents.get(a, 1) for a in range(rank))) for value in given]

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        mean, variance = self._statistics(x.rank)
        deviation = ops.maximum(ops.sqrt(variance), scalar(x, config.epsilon()))
        return ops.add(ops.mul(x, deviation), mean) if self.invert else ops.div(ops.sub(x, mean), deviation)

    def get_config(self) -> dict[str, Any]:
        told = {name: None if value is None else np.asarray(value).tolist() for name, value in (("mean", self.input_mean),
                                                                                                ("variance", self.input_variance))}
        return {**super().get_config(), "axis": list(self.axis), "invert": self.invert, **told}


__all__ = ["Normalization", "Rescaling"]

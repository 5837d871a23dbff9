"""Other shapes for the same elements."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcompile import ops
from dlcompile.config import standardize_data_format
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, product
from dlcompile.layers.base import Layer
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import positive


class Flatten(Layer):
    """All axes but the first as one: [batch, …] → [batch, n]; [batch] → [batch, 1].

    data_format: "channels_first" brings the channels to the end before, so that the result is the same as for "channels_last".
    """

    def __init__(self, data_format: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Tensor) -> Tensor:
        if self.data_format == "channels_first" and inputs.rank > 2:
            inputs = ops.transpose(inputs, (0, *range(2, inputs.rank), 1))
        return ops.reshape(inputs, (inputs.shape[0], product(inputs.shape[1:])))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(Layer):
    """[batch, …] → [batch, *target_shape]; one entry of target_shape may be -1 (or None), for what is left."""

    def __init__(self, target_shape: Sequence[int | None], **kwargs):
        super().__init__(**kwargs)
        self.target_shape = tuple(-1 if d is None else int(d) for d in target_shape)
        if any(d < -1 for d in self.target_shape) or self.target_shape.count(-1) > 1:
            raise ArgumentError(f"layer {self.name!r}: target_shape has extents, one of which may be -1, not {tuple(target_shape)}")

    def call(self, inputs: Tensor) -> Tensor:
        rest = product(inputs.shape[1:])
        known = product(d for d in self.target_shape if d != -1)
        if isinstance(rest, int) and (rest % known if -1 in self.target_shape and known else rest != known):
            raise ShapeError(f"layer {self.name!r}: samples of shape {tuple(inputs.shape[1:])} cannot be reshaped to {self.target_shape}")
        left = rest // known if -1 in self.target_shape else None
        return ops.reshape(inputs, (inputs.shape[0], *(left if d == -1 else d for d in self.target_shape)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": list(self.target_shape)}


class Permute(Layer):
    """The axes of each sample in another order: axis `dims[i]` becomes axis i + 1. Axes count from 1, the batch is 0."""

    def __init__(self, dims: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(int(d) for d in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(f"layer {self.name!r}: dims has the numbers 1 to n in some order, not {tuple(dims)}")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.transpose(inputs, (0, *self.dims))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": list(self.dims)}


class RepeatVector(Layer):
    """Each vector n times: [batch, features] → [batch, n, features]."""

    def __init__(self, n: int, **kwargs):
        super().__init__(**kwargs)
        positive(self.name, n=n)
        self.n = int(n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (inputs.shape[0], self.n, inputs.shape[1]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


__all__ = ["Flatten", "Permute", "RepeatVector", "Reshape"]

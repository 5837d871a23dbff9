"""Activations that are layers, with parameters of their own."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcompile import activations, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, is_half
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import options_of, take, told, weight


def _number(layer: Layer, name: str, value: Any, negative: bool = False) -> Any:
    """The value. ArgumentError where it is no number, or less than 0 where it must not be."""
    if value is None or isinstance(value, bool) or not negative and value < 0:
        raise ArgumentError(f"layer {layer.name!r}: {name} is a number{'' if negative else ' that is not negative'}, not {value!r}")
    return value


class ReLU(Layer):
    """x from `threshold` on, but no more than `max_value`; negative_slope * (x - threshold) below."""

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _number(self, "max_value", max_value)
        self.negative_slope = _number(self, "negative_slope", negative_slope)
        self.threshold = _number(self, "threshold", threshold)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, negative_slope=self.negative_slope, max_value=self.max_value, threshold=self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "max_value", "negative_slope", "threshold")}


class LeakyReLU(Layer):
    """x where x >= 0, else negative_slope * x."""

    def __init__(self, negative_slope: float = 0.3, **kwargs):
        negative_slope = kwargs.pop("alpha", negative_slope)  # its name in Keras 2
        super().__init__(**kwargs)
        self.negative_slope = _number(self, "negative_slope", negative_slope, negative=True)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "negative_slope")}


class PReLU(Layer):
    """x where x >= 0, else alpha * x, with an alpha learned for each element of a sample (He et al. 2015).

    shared_axes: axes along which there is one for all.
    Weight: alpha, of the shape of a sample, 1 along shared axes.
    """

    def __init__(self, alpha_initializer: Any = "zeros", alpha_regularizer: Any = None, alpha_constraint: Any = None,
                 shared_axes: int | Sequence[int] | None = None, **kwargs):
        super().__init__(**kwargs)
        take(self, alpha_initializer=alpha_initializer, alpha_regularizer=alpha_regularizer, alpha_constraint=alpha_constraint)
        self.shared_axes = None if shared_axes is None else [shared_axes] if isinstance(shared_axes, int) else list(shared_axes)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        shape = [1 if axis in (self.shared_axes or ()) else d for axis, d in enumerate(input_shape)][1:]
        if None in shape:
            raise ShapeError(f"layer {self.name!r}: an axis of its input {tuple(input_shape)} is not known; there must be one alpha for all of it "
                             f"(shared_axes=[{shape.index(None) + 1}])")
        self.alpha = weight(self, "alpha", shape)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={a + 1: d for a, d in enumerate(shape) if a + 1 not in (self.shared_axes or ())})

    def call(self, inputs: Tensor) -> Tensor:
        return ops.prelu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, *options_of("alpha"), "shared_axes")}


class ELU(Layer):
    """x where x >= 0, else alpha * (e**x - 1)."""

    def __init__(self, alpha: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = _number(self, "alpha", alpha, negative=True)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "alpha")}


def least(x: Tensor) -> Tensor:
    """What stands for, or is added to, a score that does not count: little enough, and finite, so that a row of such scores is still one of
    numbers."""
    return scalar(x, -3e4 if is_half(x.dtype) else -1e9)


class Softmax(Layer):
    """e**x / Σ e**x along an axis, or over several; where there is a mask, over what it lets through, 0 elsewhere."""

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Any = None) -> Tensor:
        if mask is None:
            return activations.softmax(inputs, self.axis)
        mask = ops.cast(mask, bool)
        return ops.select(mask, activations.softmax(ops.select(mask, inputs, least(inputs)), self.axis), scalar(inputs, 0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "axis")}


__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "least"]

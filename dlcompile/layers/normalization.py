"""Normalisations: over a batch, over the elements of a sample, over groups of channels."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import config, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, as_dtype
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import last_extent, options_of, take, told, weight


def _wide(x: Tensor) -> Tensor:
    """16-bit floats, and integers, as float32: statistics are taken of that."""
    return x if x.dtype in (np.float32, np.float64) else ops.cast(x, np.float32)


def _axes(layer: Layer, axis: Any) -> int | list[int]:
    """An axis, or a list of them. ArgumentError for anything else."""
    if isinstance(axis, (list, tuple)) and axis and all(isinstance(a, (int, np.integer)) for a in axis):
        return [int(a) for a in axis]
    if isinstance(axis, (int, np.integer)) and not isinstance(axis, bool):
        return int(axis)
    raise ArgumentError(f"layer {layer.name!r}: axis is an axis, or a list of axes, not {axis!r}")


class _Scaled(Layer):
    """A normalisation with a factor gamma and an offset beta, where `scale` and `center` say so."""

    def __init__(self, epsilon: float, center: bool, scale: bool, beta_initializer: Any, gamma_initializer: Any, beta_regularizer: Any,
                 gamma_regularizer: Any, beta_constraint: Any, gamma_constraint: Any, **kwargs):
        super().__init__(**kwargs)
        take(self, epsilon=float(epsilon), center=center, scale=scale, beta_initializer=beta_initializer,
             gamma_initializer=gamma_initializer, beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer,
             beta_constraint=beta_constraint, gamma_constraint=gamma_constraint)
        self.supports_masking = True

    def add_scale_and_center(self, shape: Sequence[int]) -> None:
        self.gamma = weight(self, "gamma", shape) if self.scale else None
        self.beta = weight(self, "beta", shape) if self.center else None

    def factor_and_offset(self, shape: Sequence[int]) -> tuple[Any, Any]:
        """gamma and beta, or ones and zeros in place of one that there is not."""
        return (np.ones(shape, as_dtype(self.variable_dtype)) if self.gamma is None else self.gamma,
                np.zeros(shape, as_dtype(self.variable_dtype)) if self.beta is None else self.beta)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "epsilon", "center", "scale", *options_of("beta", "gamma"))}


class BatchNormalization(_Scaled):
    """(x - mean) / √(variance + epsilon) * gamma + beta along an axis, that of the channels as a rule (Ioffe & Szegedy 2015).

    In training, mean and variance are those of the batch, and the moving ones become momentum * moving + (1 - momentum) * batch; otherwise,
    and where the layer is not `trainable`, they are the moving ones. A mask says which steps are counted.
    Weights, one for each channel: gamma, beta, moving_mean, moving_variance; the last two are not changed by optimizers.
    """

    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", moving_mean_initializer: Any = "zeros",
                 moving_variance_initializer: Any = "ones", beta_regularizer: Any = None, gamma_regularizer: Any = None,
                 beta_constraint: Any = None, gamma_constraint: Any = None, renorm: bool = False, renorm_clipping: Any = None,
                 renorm_momentum: float = 0.99, synchronized: bool = False, **kwargs):
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
                         gamma_constraint, **kwargs)
        if renorm:
            raise ArgumentError(f"layer {self.name!r}: batch renormalisation (renorm=True) is not supported")
        take(self, axis=_axes(self, axis), momentum=float(momentum), moving_mean_initializer=moving_mean_initializer,
             moving_variance_initializer=moving_variance_initializer, synchronized=synchronized, renorm=renorm,
             renorm_clipping=renorm_clipping, renorm_momentum=renorm_momentum)
        if not isinstance(self.axis, int):
            raise ArgumentError(f"layer {self.name!r}: axis is one axis, not {axis!r}")

    def build(self, input_shape: Sequence[int | None]) -> None:
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise ShapeError(f"layer {self.name!r}: an input of shape {tuple(input_shape)} has no axis {self.axis}")
        channels = last_extent(self, input_shape, self.axis)
        self.add_scale_and_center((channels,))
        self.moving_mean = weight(self, "moving_mean", (channels,), trainable=False)
        self.moving_variance = weight(self, "moving_variance", (channels,), trainable=False)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        axis = ops.axis_index(self.axis, x.rank)
        gamma, beta = self.factor_and_offset(self.moving_mean.shape)
        if not (training and self.trainable):
            return ops.batch_normalization(x, gamma, beta, self.moving_mean, self.moving_variance, axis=axis, epsilon=self.epsilon)
        mean, variance = (ops.cast(t, self.variable_dtype) for t in _moments(_wide(x), axis, mask))
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving.value * self.momentum + value * (1 - self.momentum))
        return ops.batch_normalization(x, gamma, beta, mean, variance, axis=axis, epsilon=self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "axis", "momentum", "moving_mean_initializer", "moving_variance_initializer",
                                               "synchronized", "renorm", "renorm_clipping", "renorm_momentum")}


def _moments(x: Tensor, axis: int, mask: Any) -> tuple[Tensor, Tensor]:
    """Mean and variance over all other axes, of the steps that a mask counts: [channels] each."""
    others = [a for a in range(x.rank) if a != axis]
    if mask is None:
        mean = ops.reduce_mean(x, others, keepdims=True)
        centered = ops.sub(x, mean)
        variance = ops.reduce_mean(ops.mul(centered, centered), others)
        return ops.reshape(mean, variance.shape), variance
    if mask.rank >= x.rank:
        raise ShapeError(f"a mask of batch normalisation has fewer axes than its input, which has {x.rank}, not {mask.rank}")
    counted = ops.broadcast_to(ops.reshape(mask, (*mask.shape, *(1,) * (x.rank - mask.rank))), x.shape)
    count = ops.add(ops.reduce_sum(ops.cast(counted, x.dtype), others, keepdims=True), scalar(x, config.epsilon()))
    mean = ops.div(ops.reduce_sum(ops.select(counted, x, scalar(x, 0)), others, keepdims=True), count)
    centered = ops.select(counted, ops.sub(x, mean), scalar(x, 0))
    variance = ops.div(ops.reduce_sum(ops.mul(centered, centered), others, keepdims=True), count)
    return ops.reshape(mean, (x.shape[axis],)), ops.reshape(variance, (x.shape[axis],))


def _along(values: Any, axes: Sequence[int], rank: int) -> Tensor:
    """A weight with an axis for each of some axes (in rising order) of a tensor, so that it broadcasts to that."""
    extents = dict(zip(axes, values.shape))
    return ops.reshape(values, tuple(extents.get(a, 1) for a in range(rank)))


class LayerNormalization(_Scaled):
    """(x - mean) / √(variance + epsilon) * gamma + beta, mean and variance being those of each sample along an axis or several (Ba et al.
    2016).

    With rms_scaling=True x / √(variance + epsilon) * gamma.
    Weights, of the shape of these axes: gamma, beta.
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", beta_regularizer: Any = None,
                 gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None, **kwargs):
        self.rms_scaling = bool(kwargs.pop("rms_scaling", False))
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
                         gamma_constraint, **kwargs)
        self.axis = _axes(self, axis)

    def build(self, input_shape: Sequence[int | None]) -> None:
        axes = ops.axis_indices(self.axis, len(input_shape))
        shape = [last_extent(self, input_shape, a) for a in axes]
        if self.rms_scaling:
            self.gamma, self.beta = weight(self, "gamma", shape), None
        else:
            self.add_scale_and_center(shape)
        self.input_spec = InputSpec(ndim=len(input_shape), axes=dict(zip(axes, shape)))

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        axes = ops.axis_indices(self.axis, x.rank)
        shape = tuple(x.shape[a] for a in axes)
        gamma, beta = self.factor_and_offset(shape)
        if not self.rms_scaling and axes == tuple(range(axes[0], x.rank)):
            return ops.layer_normalization(x, gamma, None if self.beta is None else beta, axis=axes[0], epsilon=self.epsilon)
        wide = _wide(x)
        mean = ops.reduce_mean(wide, axes, keepdims=True)
        centered = ops.sub(wide, mean)
        factor = ops.rsqrt(ops.add(ops.reduce_mean(ops.mul(centered, centered), axes, keepdims=True), scalar(wide, self.epsilon)))
        y = ops.cast(ops.mul(wide if self.rms_scaling else centered, factor), x.dtype)
        return ops.add(ops.mul(y, _along(ops.as_tensor(gamma), axes, x.rank)), _along(ops.as_tensor(beta), axes, x.rank))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "axis", "rms_scaling")}


class RMSNormalization(Layer):
    """x / √(mean of x² + epsilon) * scale, the mean being that of each sample along an axis or several (Zhang & Sennrich 2019).

    Weight, of the shape of these axes: scale.
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        self.axis, self.epsilon = _axes(self, axis), float(epsilon)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        axes = ops.axis_indices(self.axis, len(input_shape))
        self.scale = self.add_weight(shape=[last_extent(self, input_shape, a) for a in axes], initializer="ones", name="scale")
        self.input_spec = InputSpec(ndim=len(input_shape), axes=dict(zip(axes, self.scale.shape)))

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        axes = ops.axis_indices(self.axis, x.rank)
        if axes == tuple(range(axes[0], x.rank)):
            return ops.rms_normalization(x, self.scale, axis=axes[0], epsilon=self.epsilon)
        wide = _wide(x)
        factor = ops.rsqrt(ops.add(ops.reduce_mean(ops.mul(wide, wide), axes, keepdims=True), scalar(wide, self.epsilon)))
        return ops.mul(ops.cast(ops.mul(wide, factor), x.dtype), _along(ops.as_tensor(self.scale), axes, x.rank))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "axis", "epsilon")}


class GroupNormalization(_Scaled):
    """(x - mean) / √(variance + epsilon) * gamma + beta, mean and variance being those of each sample and group of channels (Wu & He 2018).

    groups: how many, -1 for one for each channel (which is instance normalisation). axis: that of the channels.
    Weights, one for each channel: gamma, beta.
    """

    def __init__(self, groups: int = 32, axis: int = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", beta_regularizer: Any = None,
                 gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None, **kwargs):
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
                         gamma_constraint, **kwargs)
        if groups != -1 and (isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1):
            raise ArgumentError(f"layer {self.name!r}: groups is a positive integer, or -1, not {groups!r}")
        self.groups, self.axis = int(groups), _axes(self, axis)
        if not isinstance(self.axis, int):
            raise ArgumentError(f"layer {self.name!r}: axis is one axis, not {axis!r}")

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = last_extent(self, input_shape, self.axis)
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ArgumentError(f"layer {self.name!r}: {channels} channels of its input cannot be divided into {self.groups} groups")
        self.add_scale_and_center((channels,))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        axis, channels = ops.axis_index(self.axis, x.rank), x.shape[self.axis]
        gamma, beta = self.factor_and_offset((channels,))
        if axis == 1 and x.rank > 2:
            return ops.group_normalization(x, gamma, beta, num_groups=self.groups, epsilon=self.epsilon)
        apart = (*x.shape[:axis], self.groups, channels // self.groups, *x.shape[axis + 1:])
        wide = ops.reshape(_wide(x), apart)
        axes = [a for a in range(1, len(apart)) if a != axis]
        centered = ops.sub(wide, ops.reduce_mean(wide, axes, keepdims=True))
        variance = ops.reduce_mean(ops.mul(centered, centered), axes, keepdims=True)
        y = ops.cast(ops.reshape(ops.mul(centered, ops.rsqrt(ops.add(variance, scalar(wide, self.epsilon)))), x.shape), x.dtype)
        return ops.add(ops.mul(y, _along(ops.as_tensor(gamma), [axis], x.rank)), _along(ops.as_tensor(beta), [axis], x.rank))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "groups", "axis")}


class UnitNormalization(Layer):
    """x divided by its length √(Σx²) along an axis or several; 0 where that is 0."""

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs):
        super().__init__(**kwargs)
        self.axis = _axes(self, axis)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        wide = _wide(x)
        square = ops.reduce_sum(ops.mul(wide, wide), ops.axis_indices(self.axis, x.rank), keepdims=True)
        return ops.cast(ops.mul(wide, ops.rsqrt(ops.maximum(square, scalar(wide, 1e-24)))), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "axis")}


__all__ = ["BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"]

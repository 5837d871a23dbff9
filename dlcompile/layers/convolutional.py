"""Convolutions over one, two and three axes: plain, transposed, of each channel by itself, and separable.

Images are [batch, *spatial, channels], or with data_format="channels_first" [batch, channels, *spatial]. Kernels are the same for both:
[*kernel_size, channels / groups, filters].
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcompile import ops
from dlcompile.config import standardize_data_format
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor
from dlcompile.layers.base import Layer
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import last_extent, options_of, positive, take, told, weight
from dlcompile.layers.windows import CHANNELS_LAST, amounts, channel_axis, padding_name, per_axis, placed, spatial
from dlcompile.variables import Variable


class _Convolution(Layer):
    """What all convolutions have: windows, a bias for each channel of the result, an activation.

    rank: the number of spatial axes. causal: whether padding may be "causal".
    """

    rank = 0
    causal = False

    def __init__(self, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
                 data_format: str | None = None, dilation_rate: int | Sequence[int] = 1, activation: Any = None, use_bias: bool = True,
                 bias_initializer: Any = "zeros", bias_regularizer: Any = None, bias_constraint: Any = None,
                 activity_regularizer: Any = None, **kwargs):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.kernel_size = per_axis(self, "kernel_size", kernel_size, self.rank)
        self.strides = per_axis(self, "strides", strides, self.rank)
        self.dilation_rate = per_axis(self, "dilation_rate", dilation_rate, self.rank)
        self.padding = padding_name(self, padding, self.causal)
        self.data_format = standardize_data_format(data_format)
        take(self, activation=activation, use_bias=use_bias, bias_initializer=bias_initializer, bias_regularizer=bias_regularizer,
             bias_constraint=bias_constraint)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def channels_of(self, input_shape: Sequence[int | None]) -> int:
        """The number of channels of the input, which is the same from now on."""
        channels = last_extent(self, input_shape, channel_axis(self.data_format))
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={channel_axis(self.data_format): channels})
        return channels

    def convolved(self, x: Tensor, kernel: Variable | Tensor, groups: int = 1, strides: Sequence[int] | None = None) -> Tensor:
        """The convolution of x with a kernel [*kernel_size, channels / groups, filters]; `strides` are the layer's by default."""
        size, strides = tuple(kernel.shape[:-2]), strides or self.strides
        if self.data_format != CHANNELS_LAST:
            kernel = ops.transpose(kernel, (self.rank + 1, self.rank, *range(self.rank)))
        padding = amounts(self.padding, spatial(x.shape, self.data_format), size, strides, self.dilation_rate)
        return ops.conv_general(x, kernel, strides=strides, padding=padding, rhs_dilation=self.dilation_rate, groups=groups,
                                layout=self.data_format)

    def finished(self, y: Tensor) -> Tensor:
        """With the bias added, and the activation applied."""
        if self.use_bias:
            y = ops.add(y, ops.reshape(self.bias, placed(1, (1,) * self.rank, self.bias.shape[0], self.data_format)))
        return self.activation(y)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation",
                                               "use_bias", *options_of("bias"))}


class _Conv(_Convolution):
    """Convolution: each filter sees all channels of its group. (Cross-correlation, strictly speaking.)"""

    def __init__(self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
                 data_format: str | None = None, dilation_rate: int | Sequence[int] = 1, groups: int = 1, activation: Any = None,
                 use_bias: bool = True, kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs):
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer,
                         bias_regularizer, bias_constraint, activity_regularizer, **kwargs)
        positive(self.name, filters=filters, groups=groups)
        if filters % groups:
            raise ArgumentError(f"layer {self.name!r}: {filters} filters cannot be divided into {groups} groups")
        take(self, filters=int(filters), groups=int(groups), kernel_initializer=kernel_initializer, kernel_regularizer=kernel_regularizer,
             kernel_constraint=kernel_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = self.channels_of(input_shape)
        if channels % self.groups:
            raise ArgumentError(f"layer {self.name!r}: {channels} channels of its input cannot be divided into {self.groups} groups")
        self.kernel = weight(self, "kernel", (*self.kernel_size, channels // self.groups, self.filters))
        self.bias = weight(self, "bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        return self.finished(self.convolved(ops.cast(inputs, self.compute_dtype), self.kernel, self.groups))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "filters", "groups", *options_of("kernel"))}


class Conv1D(_Conv):
    """Convolution of sequences [batch, steps, channels] → [batch, new steps, filters].

    padding: "valid" (none), "same" (as many steps as before, divided by the stride), "causal" (the same, and no step sees a later one).
    Weights: kernel [kernel_size, channels / groups, filters], bias [filters].
    """

    rank, causal = 1, True


class Conv2D(_Conv):
    """Convolution of images [batch, height, width, channels] → [batch, new height, new width, filters].

    padding: "valid" (none) or "same" (as large as before, divided by the strides).
    Weights: kernel [height, width, channels / groups, filters], bias [filters].
    """

    rank = 2


class Conv3D(_Conv):
    """Convolution of volumes [batch, depth, height, width, channels], as `Conv2D`."""

    rank = 3


class _ConvTranspose(_Convolution):
    """Transposed convolution: each element of the input adds a copy of the kernel, times its value, to the result.

    output_padding: how much longer the result is than the shortest one that is possible, less than the strides; by default it is strides
    times as long as the input for "same", and (extent - 1) * stride + max(kernel, stride) for "valid".
    """

    def __init__(self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
                 output_padding: int | Sequence[int] | None = None, data_format: str | None = None, dilation_rate: int | Sequence[int] = 1,
                 activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs):
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer,
                         bias_regularizer, bias_constraint, activity_regularizer, **kwargs)
        positive(self.name, filters=filters)
        take(self, filters=int(filters), kernel_initializer=kernel_initializer, kernel_regularizer=kernel_regularizer,
             kernel_constraint=kernel_constraint)
        self.output_padding = None if output_padding is None else per_axis(self, "output_padding", output_padding, self.rank, 0)
        if self.output_padding is not None and any(extra >= stride for extra, stride in zip(self.output_padding, self.strides)):
            raise ArgumentError(f"layer {self.name!r}: output_padding {self.output_padding} must be less than the strides {self.strides}")

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.kernel = weight(self, "kernel", (*self.kernel_size, self.filters, self.channels_of(input_shape)))
        self.bias = weight(self, "bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        kernel = self.kernel if self.data_format == CHANNELS_LAST else ops.transpose(self.kernel,
                                                                                     (self.rank + 1, self.rank, *range(self.rank)))
        cuts = [self._cuts(axis) for axis in range(self.rank)]
        y = ops.conv_transpose(ops.cast(inputs, self.compute_dtype), kernel, strides=self.strides, dilations=self.dilation_rate,
                               padding=[(before, max(after, 0)) for before, after in cuts], output_padding=[max(-after, 0) for _, after in cuts],
                               layout=self.data_format)
        return self.finished(y)

    def _cuts(self, axis: int) -> tuple[int, int]:
        """How much is cut off (before, after) the result, (extent - 1) * stride + reach; less than 0: it is so much longer."""
        reach, stride = (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1, self.strides[axis]
        extra = None if self.output_padding is None else self.output_padding[axis]
        if self.padding == "valid":
            return 0, -(max(reach, stride) - reach if extra is None else extra)
        kept = stride + reach - 2 if extra is None else reach + reach % 2 - 2 + extra
        left = min(kept // 2 + kept % 2, reach - 1)
        return reach - 1 - left, reach - 1 - (kept - left)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "filters", "output_padding", *options_of("kernel"))}


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution of sequences [batch, steps, channels] → [batch, more steps, filters].

    Weights: kernel [kernel_size, filters, channels], bias [filters].
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution of images [batch, height, width, channels] → [batch, larger, larger, filters].

    Weights: kernel [height, width, filters, channels], bias [filters].
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution of volumes, as `Conv2DTranspose`."""

    rank = 3


def _grouped(kernel: Tensor | Variable) -> Tensor:
    """A kernel [*size, channels, multiplier] for each channel by itself as one [*size, 1, channels * multiplier] in as many groups."""
    return ops.reshape(kernel, (*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1]))


class _DepthwiseConv(_Convolution):
    """Convolution of each channel by itself, with `depth_multiplier` filters: channel c makes channels c * depth_multiplier, …"""

    def __init__(self, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
                 depth_multiplier: int = 1, data_format: str | None = None, dilation_rate: int | Sequence[int] = 1, activation: Any = None,
                 use_bias: bool = True, depthwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 depthwise_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 depthwise_constraint: Any = None, bias_constraint: Any = None, **kwargs):
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer,
                         bias_regularizer, bias_constraint, activity_regularizer, **kwargs)
        positive(self.name, depth_multiplier=depth_multiplier)
        take(self, depth_multiplier=int(depth_multiplier), depthwise_initializer=depthwise_initializer,
             depthwise_regularizer=depthwise_regularizer, depthwise_constraint=depthwise_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = self.channels_of(input_shape)
        self.kernel = weight(self, "kernel", (*self.kernel_size, channels, self.depth_multiplier), options="depthwise")
        self.bias = weight(self, "bias", (channels * self.depth_multiplier,)) if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        return self.finished(self.convolved(ops.cast(inputs, self.compute_dtype), _grouped(self.kernel), self.kernel.shape[-2]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "depth_multiplier", *options_of("depthwise"))}


class DepthwiseConv1D(_DepthwiseConv):
    """Convolution of each channel of sequences [batch, steps, channels] by itself.

    Weights: kernel [kernel_size, channels, depth_multiplier], bias [channels * depth_multiplier].
    """

    rank, causal = 1, True


class DepthwiseConv2D(_DepthwiseConv):
    """Convolution of each channel of images [batch, height, width, channels] by itself.

    Weights: kernel [height, width, channels, depth_multiplier], bias [channels * depth_multiplier].
    """

    rank = 2


class _SeparableConv(_Convolution):
    """Convolution of each channel by itself, then of all channels with a kernel of one element."""

    def __init__(self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
                 data_format: str | None = None, dilation_rate: int | Sequence[int] = 1, depth_multiplier: int = 1, activation: Any = None,
                 use_bias: bool = True, depthwise_initializer: Any = "glorot_uniform", pointwise_initializer: Any = "glorot_uniform",
                 bias_initializer: Any = "zeros", depthwise_regularizer: Any = None, pointwise_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, depthwise_constraint: Any = None,
                 pointwise_constraint: Any = None, bias_constraint: Any = None, **kwargs):
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer,
                         bias_regularizer, bias_constraint, activity_regularizer, **kwargs)
        positive(self.name, filters=filters, depth_multiplier=depth_multiplier)
        take(self, filters=int(filters), depth_multiplier=int(depth_multiplier), depthwise_initializer=depthwise_initializer,
             pointwise_initializer=pointwise_initializer, depthwise_regularizer=depthwise_regularizer,
             pointwise_regularizer=pointwise_regularizer, depthwise_constraint=depthwise_constraint,
             pointwise_constraint=pointwise_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = self.channels_of(input_shape)
        self.depthwise_kernel = weight(self, "depthwise_kernel", (*self.kernel_size, channels, self.depth_multiplier), options="depthwise")
        self.pointwise_kernel = weight(self, "pointwise_kernel", (*(1,) * self.rank, channels * self.depth_multiplier, self.filters),
                                       options="pointwise")
        self.bias = weight(self, "bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        y = self.convolved(ops.cast(inputs, self.compute_dtype), _grouped(self.depthwise_kernel), self.depthwise_kernel.shape[-2])
        return self.finished(self.convolved(y, self.pointwise_kernel, strides=(1,) * self.rank))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "filters", "depth_multiplier", *options_of("depthwise", "pointwise"))}


class SeparableConv1D(_SeparableConv):
    """Separable convolution of sequences [batch, steps, channels] → [batch, new steps, filters].

    Weights: depthwise_kernel [kernel_size, channels, depth_multiplier], pointwise_kernel [1, channels * depth_multiplier, filters], bias
    [filters].
    """

    rank, causal = 1, True


class SeparableConv2D(_SeparableConv):
    """Separable convolution of images [batch, height, width, channels] → [batch, new height, new width, filters].

    Weights: depthwise_kernel [height, width, channels, depth_multiplier], pointwise_kernel [1, 1, channels * depth_multiplier, filters],
    bias [filters].
    """

    rank = 2


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D

__all__ = ["Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Convolution1D", "Convolution1DTranspose",
           "Convolution2D", "Convolution2DTranspose", "Convolution3D", "Convolution3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D",
           "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D"]

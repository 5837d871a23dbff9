"""Pooling: the largest element or the mean of each window, or of all there is.

Images are [batch, *spatial, channels], or with data_format="channels_first" [batch, channels, *spatial].
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcompile import ops
from dlcompile.config import standardize_data_format
from dlcompile.graph import Tensor, product
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import told
from dlcompile.layers.windows import CHANNELS_LAST, amounts, padding_name, per_axis, placed, spatial


class _Pooling(Layer):
    """Windows of `pool_size` elements, `strides` apart (by default side by side), with padding "valid" (none) or "same".

    What padding adds is not counted.
    """

    rank = 0

    def __init__(self, pool_size: int | Sequence[int], strides: int | Sequence[int] | None = None, padding: str = "valid",
                 data_format: str | None = None, name: str | None = None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.pool_size = per_axis(self, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else per_axis(self, "strides", strides, self.rank)
        self.padding = padding_name(self, padding)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def reduced(self, x: Tensor, kind: str) -> Tensor:
        """The maximum or sum of each window."""
        extents = spatial(x.shape, self.data_format)
        padding = amounts(self.padding, extents, self.pool_size, self.strides, (1,) * self.rank)
        return ops.reduce_window(x, kind, placed(1, self.pool_size, 1, self.data_format), placed(1, self.strides, 1, self.data_format),
                                 placed((0, 0), padding, (0, 0), self.data_format))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "pool_size", "strides", "padding", "data_format")}


class _MaxPooling(_Pooling):
    """The largest element of each window."""

    def __init__(self, pool_size: int | Sequence[int] = 2, strides: int | Sequence[int] | None = None, padding: str = "valid",
                 data_format: str | None = None, name: str | None = None, **kwargs):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        return self.reduced(inputs, "max")


class _AveragePooling(_Pooling):
    """The mean of each window."""

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        total = self.reduced(x, "sum")
        if self.padding == "valid":
            return ops.div(total, scalar(x, product(self.pool_size)))
        ones = ops.full(placed(1, spatial(x.shape, self.data_format), 1, self.data_format), 1, x.dtype)
        return ops.div(total, self.reduced(ones, "sum"))


class MaxPooling1D(_MaxPooling):
    """The largest element of each window of sequences [batch, steps, channels]."""

    rank = 1


class MaxPooling2D(_MaxPooling):
    """The largest element of each window of images [batch, height, width, channels]."""

    rank = 2


class MaxPooling3D(_MaxPooling):
    """The largest element of each window of volumes [batch, depth, height, width, channels]."""

    rank = 3


class AveragePooling1D(_AveragePooling):
    """The mean of each window of sequences [batch, steps, channels]."""

    rank = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window of images [batch, height, width, channels]."""

    rank = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window of volumes [batch, depth, height, width, channels]."""

    rank = 3


class _GlobalPooling(Layer):
    """Of each channel one element: [batch, *spatial, channels] → [batch, channels]; with `keepdims` the other axes stay, with extent 1."""

    rank = 0

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.data_format, self.keepdims = standardize_data_format(data_format), keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def axes(self) -> tuple[int, ...]:
        """The spatial axes."""
        return tuple(range(1, self.rank + 1)) if self.data_format == CHANNELS_LAST else tuple(range(2, self.rank + 2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "data_format", "keepdims")}


class _GlobalMax(_GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        return ops.reduce_max(inputs, self.axes, self.keepdims)


class _GlobalAverage(_GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        return ops.reduce_mean(ops.cast(inputs, self.compute_dtype), self.axes, self.keepdims)


class GlobalMaxPooling1D(_GlobalMax):
    """The largest element of each channel of sequences: [batch, steps, channels] → [batch, channels]."""

    rank = 1


class GlobalMaxPooling2D(_GlobalMax):
    """The largest element of each channel of images: [batch, height, width, channels] → [batch, channels]."""

    rank = 2


class GlobalMaxPooling3D(_GlobalMax):
    """The largest element of each channel of volumes: [batch, depth, height, width, channels] → [batch, channels]."""

    rank = 3


class GlobalAveragePooling1D(_GlobalAverage):
    """The mean of each channel of sequences, of the steps that count where there is a mask: [batch, steps, channels] → [batch,
    channels]."""

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs):
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Any = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        x = ops.cast(inputs, self.compute_dtype)
        counted = ops.cast(ops.expand_dims(mask, 2 if self.data_format == CHANNELS_LAST else 1), x.dtype)
        return ops.div(ops.reduce_sum(ops.mul(x, counted), self.axes, self.keepdims), ops.reduce_sum(counted, self.axes, self.keepdims))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None


class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel of images: [batch, height, width, channels] → [batch, channels]."""

    rank = 2


class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel of volumes: [batch, depth, height, width, channels] → [batch, channels]."""

    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D

__all__ = ["AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D", "GlobalAveragePooling1D",
           "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D", "GlobalMaxPool1D",
           "GlobalMaxPool2D", "GlobalMaxPool3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "MaxPool1D", "MaxPool2D",
           "MaxPool3D", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D"]

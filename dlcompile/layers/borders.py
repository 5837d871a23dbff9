"""Images with more around them, less around them, or larger: padding with zeros, cropping, repeating.

Images are [batch, *spatial, channels], or with data_format="channels_first" [batch, channels, *spatial].
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.config import standardize_data_format
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, at_least
from dlcompile.layers.base import Layer
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import one_of, told
from dlcompile.layers.symbolic import shape_of
from dlcompile.layers.windows import CHANNELS_LAST, per_axis, placed


class _Border(Layer):
    """An amount (before, after) for each spatial axis: one number for all, one for each axis, or both of each."""

    rank = 0
    argument = ""

    def __init__(self, border: Any, data_format: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.border = self._pairs(border)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _pairs(self, border: Any) -> tuple[tuple[int, int], ...]:
        entries = border if isinstance(border, (list, tuple)) else (border,) * self.rank
        if self.rank == 1 and isinstance(border, (list, tuple)) and len(border) == 2:
            entries = (border,)
        pairs = [tuple(e) if isinstance(e, (list, tuple)) else (e, e) for e in entries]
        if len(pairs) != self.rank or not all(len(pair) == 2 and all(map(_is_amount, pair)) for pair in pairs):
            raise ArgumentError(f"layer {self.name!r}: {self.argument} is an integer that is not negative, or for each of {self.rank} axes one or a "
                                f"pair of such, not {border!r}")
        return tuple((int(before), int(after)) for before, after in pairs)

    @property
    def amounts(self) -> tuple[tuple[int, int], ...]:
        """(before, after) for each axis."""
        return placed((0, 0), self.border, (0, 0), self.data_format)

    def get_config(self) -> dict[str, Any]:
        pairs = [list(pair) for pair in self.border]
        return {**super().get_config(), self.argument: pairs[0] if self.rank == 1 else pairs, "data_format": self.data_format}


def _is_amount(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0


class _ZeroPadding(_Border):
    """Zeros before and after the elements along the spatial axes."""

    argument = "padding"

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs):
        super().__init__(padding, data_format, **kwargs)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        return self.border

    def call(self, inputs: Tensor) -> Tensor:
        return ops.pad(inputs, 0, *zip(*self.amounts))


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps of sequences [batch, steps, channels]. padding: a number, or (before, after)."""

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images [batch, height, width, channels]. padding: a number, (height, width), or ((top, bottom), (left, right))."""

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes [batch, depth, height, width, channels]. padding: a number, one for each axis, or a pair for each."""

    rank = 3


class _Cropping(_Border):
    """Without the first and last elements along the spatial axes."""

    argument = "cropping"

    @property
    def cropping(self) -> tuple[tuple[int, int], ...]:
        return self.border

    def call(self, inputs: Tensor) -> Tensor:
        for extent, (before, after) in zip(inputs.shape, self.amounts):
            if at_least(before + after, extent) and before + after:
                raise ShapeError(f"layer {self.name!r}: of an input of shape {shape_of(inputs)} nothing is left after {self.border} is cut off")
        start, end = zip(*self.amounts)
        return ops.slice(inputs, start, tuple(extent - n for extent, n in zip(inputs.shape, end)))


class Cropping1D(_Cropping):
    """Sequences [batch, steps, channels] without the first and last steps. cropping: a number, or (before, after)."""

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs):
        super().__init__(cropping, CHANNELS_LAST, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class Cropping2D(_Cropping):
    """Images [batch, height, width, channels] without their borders. cropping: a number, (height, width), or ((top, bottom), (left,
    right))."""

    rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """Volumes [batch, depth, height, width, channels] without their borders. cropping: a number, one for each axis, or a pair for each."""

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)


RESAMPLING = {"nearest": {}, "bilinear": {"mode": "linear"},
              "bicubic": {"mode": "cubic", "cubic_coefficient": -0.5, "exclude_outside": True}}
"""interpolation → how `ops.resize` is told about it; coordinates are those of the middles of pixels"""


class _UpSampling(Layer):
    """`size` elements in place of each, along each spatial axis."""

    rank = 0

    def __init__(self, size: int | Sequence[int] = 2, data_format: str | None = None, interpolation: str = "nearest", **kwargs):
        super().__init__(**kwargs)
        self.size = per_axis(self, "size", size, self.rank)
        self.data_format = standardize_data_format(data_format)
        self.interpolation = one_of(f"layer {self.name!r}", "interpolation", str(interpolation).lower(), tuple(RESAMPLING))
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Tensor) -> Tensor:
        times = placed(1, self.size, 1, self.data_format)
        sizes = tuple(extent * n for extent, n in zip(inputs.shape, times))
        if self.interpolation != "nearest":
            return ops.resize(ops.cast(inputs, self.compute_dtype), sizes, scales=tuple(map(float, times)), **RESAMPLING[self.interpolation])
        apart = [d for extent in inputs.shape for d in (extent, 1)]
        wide = [d for extent, n in zip(inputs.shape, times) for d in (extent, n)]
        return ops.reshape(ops.broadcast_to(ops.reshape(inputs, apart), wide), sizes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "size", "data_format")}


class UpSampling1D(_UpSampling):
    """Each step of sequences [batch, steps, channels] `size` times."""

    rank = 1

    def __init__(self, size: int = 2, **kwargs):
        super().__init__(size, CHANNELS_LAST, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {**Layer.get_config(self), "size": self.size[0]}


class UpSampling2D(_UpSampling):
    """Images [batch, height, width, channels], `size` times as large. interpolation: "nearest", "bilinear" or "bicubic"."""

    rank = 2

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation}


class UpSampling3D(_UpSampling):
    """Each element of volumes [batch, depth, height, width, channels] `size` times along each axis."""

    rank = 3

    def __init__(self, size: int | Sequence[int] = 2, data_format: str | None = None, **kwargs):
        super().__init__(size, data_format, **kwargs)


__all__ = ["Cropping1D", "Cropping2D", "Cropping3D", "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D",
           "ZeroPadding3D"]

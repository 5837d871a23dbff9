"""Windows over the spatial axes of images, for convolutions and pooling: sizes and steps for each axis, and padding by its names in
Keras."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError
from dlcompile.graph import DimLike, ceildiv, dim_max, floordiv
from dlcompile.layers.base import Layer

CHANNELS_LAST, CHANNELS_FIRST = "channels_last", "channels_first"


def per_axis(layer: Layer, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """An integer for each spatial axis: one for all, or a sequence. ArgumentError for anything else, and for one less than `least`."""
    given = value if isinstance(value, (list, tuple)) else (value,) * rank
    if len(given) != rank or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < least for v in given):
        raise ArgumentError(f"layer {layer.name!r}: {name} is an integer >= {least}, or {rank} of them, not {value!r}")
    return tuple(int(v) for v in given)


def padding_name(layer: Layer, padding: Any, causal: bool = False) -> str:
    """The name of a padding in small letters. ArgumentError for what is none."""
    allowed = ("valid", "same", *(("causal",) if causal else ()))
    if not isinstance(padding, str) or padding.lower() not in allowed:
        raise ArgumentError(f"layer {layer.name!r}: padding is {' or '.join(map(repr, allowed))}, not {padding!r}")
    return padding.lower()


def amounts(padding: str, sizes: Sequence[DimLike], kernel: Sequence[int], strides: Sequence[int],
            dilation: Sequence[int]) -> tuple[tuple[DimLike, DimLike], ...]:
    """How much a padding adds (before, after) each axis: "valid" nothing, "causal" all of it before, so that no window reads what comes
    later, "same" as much as makes ceil(size / stride) windows, the odd one after."""
    found: list[tuple[DimLike, DimLike]] = []
    for size, k, stride, d in zip(sizes, kernel, strides, dilation):
        reach = (k - 1) * d + 1
        if padding == "valid" or reach == 1:
            found.append((0, 0))
        elif padding == "causal":
            found.append((reach - 1, 0))
        else:
            total = reach - 1 if stride == 1 else (ceildiv(size, stride) - 1) * stride + reach - size
            total = total if reach >= stride else dim_max(total, 0)  # otherwise it is not negative
            found.append((floordiv(total, 2), total - floordiv(total, 2)))
    return tuple(found)


def spatial(shape: Sequence[Any], data_format: str) -> tuple:
    """The extents of the spatial axes."""
    return tuple(shape[1:-1] if data_format == CHANNELS_LAST else shape[2:])


def channel_axis(data_format: str) -> int:
    """The axis of the channels."""
    return -1 if data_format == CHANNELS_LAST else 1


def placed(batch: Any, spatial_entries: Sequence[Any], channels: Any, data_format: str) -> tuple:
    """Entries for the batch, the spatial axes and the channels in the order of the axes."""
    return (batch, *spatial_entries, channels) if data_format == CHANNELS_LAST else (batch, channels, *spatial_entries)


__all__ = ["CHANNELS_FIRST", "CHANNELS_LAST", "amounts", "channel_axis", "padding_name", "per_axis", "placed", "spatial"]

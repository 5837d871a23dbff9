"""Slices and padding at positions that only a run knows.

`Position` is a dimension or an int64 scalar. Arithmetic on scalars that are known is done while the model is read,
so an axis takes as many new dimensions as are really data.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import numpy as np

from dlcompile import ops
from dlcompile.frontends.onnx.dynamic import ONE, ZERO, counted_from_the_front, entry, mask_of_axes, scalar
from dlcompile.graph import DimLike, Tensor, dim_max, dim_min, floordiv, make_constant

Position = Union[DimLike, Tensor]

END = 2**63 - 1


def positions(vector: Tensor, known: Sequence[DimLike | None]) -> list[Position]:
    """The entries of a vector: dimensions where they are known."""
    return [entry(vector, i) if dim is None else dim for i, dim in enumerate(known)]


def as_scalar(position: Position) -> Tensor:
    return position if isinstance(position, Tensor) else scalar(position)


def for_all_axes(vector: Tensor, axes: Tensor, rank: int, otherwise: int) -> list[Position]:
    """The entry for each of `rank` axes from those for `axes`, which are data; `otherwise` for one that is not among
    them."""
    count = axes.type.size
    places = ops.reshape(counted_from_the_front(axes, rank), (count, 1))
    there = ops.eq(places, make_constant(np.arange(rank).reshape(1, rank)))
    chosen = ops.select(there, ops.reshape(vector, (count, 1)), ZERO)
    every = ops.select(mask_of_axes(axes, rank), ops.reduce_sum(chosen, (0,)), make_constant(np.int64(otherwise)))
    return [entry(every, axis) for axis in range(rank)]


def along_axis(rank: int, axis: int, value, others: Sequence) -> tuple:
    """`others` with `value` at `axis`."""
    return tuple(value if a == axis else others[a] for a in range(rank))


# -- slices ------------------------------------------------------------------------------------------------------------
def slice_axis(x: Tensor, axis: int, start: Position, end: Position, step: Position) -> Tensor:
    """x[start:end:step] along one axis as NumPy takes it: positions below 0 count from the end, what lies outside is
    cut off. A step of 0 is an error of the run."""
    extent = scalar(x.shape[axis])
    start, end, stride = as_scalar(start), as_scalar(end), as_scalar(step)
    forward = ops.gt(stride, ZERO)
    lowest = ops.select(forward, ZERO, make_constant(np.int64(-1)))
    highest = ops.add(extent, lowest)

    def bound(position: Tensor) -> Tensor:
        position = ops.select(ops.lt(position, ZERO), ops.add(position, extent), position)
        return ops.minimum(ops.maximum(position, lowest), highest)

    first, last = bound(start), bound(end)
    span = ops.select(forward, ops.sub(last, first), ops.sub(first, last))
    limit = make_constant(np.int64(2**62))  # no axis is as long, and its negative is a number
    stride = ops.minimum(ops.maximum(stride, ops.neg(limit)), limit)
    count = ops.select(ops.gt(span, ZERO), ops.add(ops.div(ops.sub(span, ONE), ops.abs(stride)), ONE), ZERO)
    count = ops.select(ops.eq(stride, ZERO), make_constant(np.int64(-1)), count)
    if isinstance(step, int) and step in (1, -1):
        length = ops.dim_of(count)
        low = ops.dim_of(first if step == 1 else ops.add(ops.sub(first, count), ONE))
        y = cut(x, axis, low, length)
        return y if step == 1 else ops.reverse(y, (axis,))
    places = ops.add(first, ops.mul(ops.iota(np.int64, (ops.dim_of(count),), 0), stride))
    return ops.gather(x, places, axis)


def cut(x: Tensor, axis: int, start: DimLike, length: DimLike) -> Tensor:
    """`length` elements along an axis from `start` on."""
    if start == 0 and length == x.shape[axis]:
        return x
    first, last = along_axis(x.rank, axis, start, (0,) * x.rank), along_axis(x.rank, axis, start + length, x.shape)
    return ops.slice(x, first, last)


# -- padding -----------------------------------------------------------------------------------------------------------
def pad_axis(x: Tensor, axis: int, low: Position, high: Position, value: Tensor) -> Tensor:
    """`value` before and after `x` along one axis; negative amounts cut off."""
    low, high = as_scalar(low), as_scalar(high)
    extent = scalar(x.shape[axis])
    kept = ops.add(extent, ops.add(ops.minimum(low, ZERO), ops.minimum(high, ZERO)))
    total = ops.add(extent, ops.add(low, high))
    before = ops.minimum(ops.maximum(low, ZERO), ops.sub(total, kept))  # inside, where sums overflow too
    start = ops.dim_of(ops.maximum(ops.neg(low), ZERO))
    inside = cut(x, axis, start, ops.dim_of(kept))
    return surrounded(inside, axis, ops.dim_of(before), ops.dim_of(total), value)


def surrounded(x: Tensor, axis: int, before: DimLike, total: DimLike, value: Tensor) -> Tensor:
    """`x` along an axis of `total` elements, of which `before` come before it."""
    none = (0,) * x.rank
    after = total - before - x.shape[axis]
    return ops.pad(x, value, along_axis(x.rank, axis, before, none), along_axis(x.rank, axis, after, none))


def extend_axis(x: Tensor, axis: int, low: Position, high: Position, mode: str) -> Tensor:
    """Padding by elements of `x` itself along one axis: those at the edge, mirrored there, or from the other end.
    Negative amounts cut off."""
    size = scalar(x.shape[axis])
    low, high = as_scalar(low), as_scalar(high)
    place = ops.sub(ops.iota(np.int64, (ops.dim_of(ops.add(size, ops.add(low, high))),), 0), low)
    last = ops.sub(size, ONE)
    if mode == "edge":
        place = ops.minimum(ops.maximum(place, ZERO), last)
    elif mode == "wrap":
        place = ops.floor_mod(place, size)
    else:  # a triangle wave of period 2*(size - 1)
        place = ops.floor_mod(place, ops.maximum(ops.mul(last, make_constant(np.int64(2))), ONE))
        place = ops.sub(last, ops.abs(ops.sub(place, last)))
    return ops.gather(x, place, axis)


def fit_axis(x: Tensor, axis: int, target: DimLike, value: Tensor) -> Tensor:
    """The middle of `x` along an axis, cut or with `value` around it, so that there are `target` elements."""
    extent = x.shape[axis]
    x = cut(x, axis, floordiv(dim_max(extent - target, 0), 2), dim_min(extent, target))
    return surrounded(x, axis, floordiv(dim_max(target - extent, 0), 2), target, value)

"""Derivatives of reading and writing at indices: what was read gets it added up, what was written is read.

Indices out of range are clamped when read and ignored when written, and negative ones count from the end when written, which is taken over
here, so that each of both finds the elements that the other one did.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dlcompile import ops
from dlcompile.autodiff.rules import chosen, number, rule, zeros
from dlcompile.graph import DimLike, Node, Tensor, product


# -- reading ----------------------------------------------------------------------------------------------------------------
def _inside(indices: Tensor, extent: DimLike) -> bool:
    """Whether it is known that indices are in [0, extent)."""
    if not indices.is_constant or not isinstance(extent, int):
        return False
    return indices.value.size == 0 or 0 <= indices.value.min() and indices.value.max() < extent


def _clamped(indices: Tensor, extent: DimLike) -> Tensor:
    """The indices that are read."""
    indices = ops.cast(indices, np.int64)
    if _inside(indices, extent):
        return indices
    return ops.maximum(ops.minimum(indices, ops.dim_scalar(extent - 1)), np.int64(0))


@rule("gather")
def _gather(node: Node, c: Tensor) -> list[Tensor | None]:
    x, indices = node.inputs
    axis = node.attributes["axis"]
    places = range(axis, axis + indices.rank)
    rows = ops.transpose(c, [*places, *(i for i in range(c.rank) if i not in places)])
    first = [x.shape[axis], *(d for i, d in enumerate(x.shape) if i != axis)]
    start = ops.broadcast_to(number(0, x), first)
    made = ops.scatter_nd(start, ops.expand_dims(_clamped(indices, x.shape[axis]), indices.rank), rows, "add")
    return [ops.transpose(made, [*range(1, axis + 1), 0, *range(axis + 1, x.rank)]), None]


@rule("gather_nd")
def _gather_nd(node: Node, c: Tensor) -> list[Tensor | None]:
    x, indices = node.inputs
    batch, depth = node.attributes["batch_dims"], indices.shape[-1]
    lead = (*indices.shape[:-1], 1)
    places = [ops.iota(np.int64, lead, axis) for axis in range(batch)]
    for k in range(depth):
        one = ops.slice(indices, [0] * (indices.rank - 1) + [k], [*indices.shape[:-1], k + 1])
        places.append(_clamped(one, x.shape[batch + k]))
    tuples = ops.concatenate(places, indices.rank - 1) if places else ops.cast(indices, np.int64)
    return [ops.scatter_nd(zeros(x), tuples, c, "add"), None]


@rule("take_along_axis")
def _take_along_axis(node: Node, c: Tensor) -> list[Tensor | None]:
    x, indices = node.inputs
    axis = node.attributes["axis"]
    return [ops.scatter_elements(zeros(x), _clamped(indices, x.shape[axis]), c, axis, "add"), None]


# -- writing ----------------------------------------------------------------------------------------------------------------
Read = Callable[[Tensor], Tensor]
Write = Callable[[Tensor, Tensor, str], Tensor]


def _written(x: Tensor, c: Tensor, updates: Tensor, y: Tensor, reduction: str, read: Read, write: Write, last: Tensor, hit: Tensor | None
             ) -> list[Tensor | None]:
    """The cotangents of what was written to, of the indices, and of the updates.

    read(t):           the elements of t, which is like x, that the updates go to
    write(t, u, how):  u, which is like the updates, written to t
    last:              of the updates, which are the last that go to their place
    hit:               which are inside; None where all are known to be
    """
    def inside(t: Tensor) -> Tensor:
        return t if hit is None else chosen(t, hit)

    if reduction == "none":
        return [write(c, zeros(updates), "none"), None, chosen(read(c), last)]
    if reduction == "add":
        return [c, None, inside(read(c))]
    if reduction == "mul":
        return _multiplied(x, c, updates, read, write, inside)
    # of equals each gets as much
    kept, taken = ops.eq(x, y), ops.eq(updates, read(y))
    taken = taken if hit is None else ops.logical_and(taken, hit)
    count = write(ops.cast(kept, x.dtype), ops.cast(taken, x.dtype), "add")
    share = c / count
    return [chosen(share, kept), None, chosen(read(share), taken)]


def _multiplied(x: Tensor, c: Tensor, updates: Tensor, read: Read, write: Write, inside: Callable[[Tensor], Tensor]) -> list[Tensor | None]:
    """The product of all other factors is the product over this one; over a factor that is the only 0 it is the product of those that are
    not, and beside another 0 it is 0."""
    one, zero = number(1, x), number(0, x)
    ones = ops.broadcast_to(one, x.shape)
    absent = ops.eq(updates, zero)
    rest = write(ones, ops.select(absent, one, updates), "mul")  # of the updates at each place that are not 0
    count = write(zeros(x), ops.cast(absent, x.dtype), "add")  # of those that are
    dx = c * chosen(rest, ops.eq(count, zero))
    others = read(c * x * rest) / ops.select(absent, one, updates)
    alone = ops.eq(read(count), ops.select(absent, one, zero))
    return [dx, None, inside(chosen(others, alone))]


@rule("scatter_nd")
def _scatter_nd(node: Node, c: Tensor) -> list[Tensor | None]:
    x, indices, updates = node.inputs
    depth = indices.shape[-1]
    extents = x.shape[:depth]
    places, hit = _from_the_end(ops.cast(indices, np.int64), extents, -1)
    rows = indices.shape[:-1]

    def read(t: Tensor) -> Tensor:
        return ops.gather_nd(t, places)

    def write(t: Tensor, u: Tensor, how: str) -> Tensor:
        return ops.scatter_nd(t, indices, u, how)

    def wide(mask: Tensor) -> Tensor:
        """For each row of updates as for each element."""
        return ops.reshape(mask, (*rows, *(1 for _ in x.shape[depth:])))

    numbers = _numbers(rows)
    last = ops.eq(read(write(ops.full(extents, -1, np.int64), numbers, "none")), numbers)
    return _written(x, c, updates, node.output, node.attributes["reduction"], read, write, wide(last), None if hit is None else wide(hit))


@rule("scatter_elements")
def _scatter_elements(node: Node, c: Tensor) -> list[Tensor | None]:
    x, indices, updates = node.inputs
    axis = node.attributes["axis"]
    places, hit = _from_the_end(ops.cast(indices, np.int64), x.shape[axis:axis + 1])

    def read(t: Tensor) -> Tensor:
        return ops.take_along_axis(t, places, axis)

    def write(t: Tensor, u: Tensor, how: str) -> Tensor:
        return ops.scatter_elements(t, indices, u, axis, how)

    numbers = _numbers(updates.shape)
    last = ops.eq(read(write(ops.full(x.shape, -1, np.int64), numbers, "none")), numbers)
    return _written(x, c, updates, node.output, node.attributes["reduction"], read, write, last, hit)


def _from_the_end(indices: Tensor, extents: Sequence[DimLike], axis: int | None = None) -> tuple[Tensor, Tensor | None]:
    """The places to read that indices to write mean, and where all of a tuple (along `axis`) are inside; None where all are known to be."""
    if not extents or all(_inside(indices, extent) for extent in extents):
        return indices, None
    size = ops.shape_vector(tuple(extents)) if axis is not None else ops.dim_scalar(extents[0])
    zero = np.int64(0)
    places = ops.select(ops.lt(indices, zero), indices + size, indices)
    hit = ops.logical_and(ops.ge(places, zero), ops.lt(places, size))
    return places, hit if axis is None else ops.reduce_and(hit, axis)


def _numbers(shape: Sequence[DimLike]) -> Tensor:
    """0, 1, … in row-major order."""
    return ops.reshape(ops.arange(product(shape)), shape)

"""What can be done to sequences, with arithmetic on the shapes of their items (see `values`)."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx.node import constant_value
from dlcompile.frontends.onnx.shapes import as_axis, assume_equal
from dlcompile.frontends.onnx.values import Items, Packed, SequenceValue, of_rank
from dlcompile.graph import DimLike, Tensor, dim_max, product

ZERO, ONE = np.int64(0), np.int64(1)


def _scalar(dim: DimLike) -> Tensor:
    return ops.reshape(ops.shape_vector((dim,)), ())


def sizes_of(sequence: SequenceValue) -> Tensor:
    """The number of elements of each item."""
    return ops.reduce_prod(sequence.shapes, 1)


def starts_of(sequence: SequenceValue) -> Tensor:
    """Where each item begins in the data, and where the last one ends: int64 [items + 1]."""
    return ops.concatenate([np.zeros(1, np.int64), ops.cumsum(sizes_of(sequence), 0)])


def position_in(sequence: SequenceValue, position: Tensor, end: int) -> Tensor:
    """A position counted from the front, `end` being 1 where the end of the sequence is one too; -1 for one that there is not."""
    position = ops.reshape(ops.cast(position, np.int64), ())
    count = _scalar(sequence.length)
    position = ops.select(ops.lt(position, ZERO), position + count, position)
    inside = ops.logical_and(ops.ge(position, ZERO), ops.lt(position, count + np.int64(end)))
    return ops.select(inside, position, np.int64(-1))


def at(sequence: SequenceValue, position: Tensor) -> Tensor:
    """The item at a position, from the end where that is negative."""
    known = constant_value(position)
    if isinstance(sequence, Items) and known is not None:
        return sequence.items[_checked(int(known.reshape(())), len(sequence.items))]
    if not isinstance(sequence.rank, int):
        raise UnsupportedOperatorError("the rank of the items of the sequence is not known when the model is compiled")
    place = ops.dim_of(position_in(sequence, position, 0))
    shape = ops.dims_of(ops.reshape(ops.slice(sequence.shapes, (place, 0), (place + 1, sequence.rank)), (sequence.rank,)))
    start = ops.dim_of(ops.slice(starts_of(sequence), (place,), (place + 1,)))
    return ops.reshape(ops.slice(sequence.data, (start,), (start + product(shape),)), shape)


def _checked(position: int, count: int) -> int:
    if not -count <= position < count:
        raise InvalidModelError(f"item {position} of a sequence of {count}")
    return position % count


def insert(sequence: SequenceValue, item: Tensor, position: Tensor | None) -> SequenceValue:
    """The sequence with an item put in before the one at `position`, or at the end."""
    known = None if position is None else constant_value(position)
    if isinstance(sequence, Items) and (position is None or known is not None):
        count = len(sequence.items)
        place = count if known is None else int(known.reshape(()))
        place = count if place == count else _checked(place, count)
        return Items((*sequence.items[:place], item, *sequence.items[place:]), sequence.element)
    sequence = of_rank(sequence, item.rank)
    row, flat = ops.reshape(ops.shape_of(item), (1, item.rank)), ops.reshape(item, (item.type.size,))
    if position is None:
        return Packed(ops.concatenate([sequence.data, flat]), ops.concatenate([sequence.shapes, row]))
    place = ops.dim_of(position_in(sequence, position, 1))
    start = ops.dim_of(ops.slice(starts_of(sequence), (place,), (place + 1,)))
    return Packed(_put_in(sequence.data, start, flat), _put_in(sequence.shapes, place, row))


def _put_in(x: Tensor, place: DimLike, piece: Tensor) -> Tensor:
    origin, rest = (0,) * x.rank, x.shape[1:]
    return ops.concatenate([ops.slice(x, origin, (place, *rest)), piece, ops.slice(x, (place, *origin[1:]), x.shape)])


def erase(sequence: SequenceValue, position: Tensor | None) -> SequenceValue:
    """The sequence without the item at `position`, or without the last one."""
    position = ops.as_tensor(np.int64(-1)) if position is None else position
    known = constant_value(position)
    if isinstance(sequence, Items) and known is not None:
        place = _checked(int(known.reshape(())), len(sequence.items))
        return Items((*sequence.items[:place], *sequence.items[place + 1:]), sequence.element)
    place = ops.dim_of(position_in(sequence, position, 0))
    starts = starts_of(sequence)
    first, last = (ops.dim_of(ops.slice(starts, (place + i,), (place + i + 1,))) for i in (0, 1))
    return Packed(_taken_out(sequence.data, first, last), _taken_out(sequence.shapes, place, place + 1))


def _taken_out(x: Tensor, first: DimLike, last: DimLike) -> Tensor:
    origin, rest = (0,) * x.rank, x.shape[1:]
    return ops.concatenate([ops.slice(x, origin, (first, *rest)), ops.slice(x, (last, *origin[1:]), x.shape)])


def concatenated(sequence: SequenceValue, axis: int, new_axis: bool) -> Tensor:
    """The items one after the other along an axis, or along a new one."""
    if isinstance(sequence, Items):
        if not sequence.items:
            raise InvalidModelError("an empty sequence has nothing to concatenate")
        return ops.stack(sequence.items, as_axis(axis, sequence.rank + 1)) if new_axis else ops.concatenate(sequence.items, axis)
    if not isinstance(sequence.rank, int):
        raise UnsupportedOperatorError("the rank of the items of the sequence is not known when the model is compiled")
    shapes, rank = sequence.shapes, sequence.rank
    if new_axis:
        axis = as_axis(axis, rank + 1)
        shapes = ops.concatenate([ops.slice(shapes, (0, 0), (sequence.length, axis)), ops.broadcast_to(np.int64(1), (sequence.length, 1)),
                                  ops.slice(shapes, (0, axis), (sequence.length, rank))], 1)
        rank += 1
    axis = as_axis(axis, rank)
    extents = ops.reshape(ops.slice(shapes, (0, axis), (sequence.length, axis + 1)), (sequence.length,))
    total = ops.dim_of(ops.reduce_sum(extents))
    sizes = _common(shapes, axis)
    sizes[axis] = total
    before, after = product(sizes[:axis]), product(sizes[axis + 1:])
    # element (i, c, j) of the result is element (i, c - begin, j) of the item that position c of the axis belongs to
    along = ops.iota(np.int64, (total,))
    owner = item_of(along, extents)
    begin = ops.cumsum(extents, 0, exclusive=True)
    wide = ops.gather(extents, owner)
    local = along - ops.gather(begin, owner)
    start = ops.gather(ops.slice(starts_of(Packed(sequence.data, shapes)), (0,), (sequence.length,)), owner)
    i, c, j = (ops.iota(np.int64, (before, total, after), a) for a in range(3))

    def spread(x: Tensor) -> Tensor:
        return ops.reshape(x, (1, total, 1))

    index = spread(start) + (i * spread(wide) + spread(local)) * _scalar(after) + j + c * ZERO
    return ops.reshape(ops.gather(sequence.data, index), sizes)


def _common(shapes: Tensor, axis: int) -> list[DimLike]:
    """The extents that the items of a sequence, which is not empty, have in common: all but the one along `axis`, which is 0 here."""
    count, rank = shapes.shape
    assume_equal(dim_max(count, 1), count, "items to concatenate:")
    sizes: list[DimLike] = [0] * rank
    for a in range(rank):
        if a != axis:
            column = ops.slice(shapes, (0, a), (count, a + 1))
            least, most = ops.dim_of(ops.reduce_min(column)), ops.dim_of(ops.reduce_max(column))
            sizes[a] = assume_equal(least, most, f"axis {a} of the items:")
    return sizes


def item_of(position: Tensor, extents: Tensor) -> Tensor:
    """For each position along the items' extents, one after the other, the item that it belongs to."""
    ends = ops.cumsum(extents, 0)
    passed = ops.ge(ops.reshape(position, (position.shape[0], 1)), ops.reshape(ends, (1, ends.shape[0])))
    return ops.reduce_sum(ops.cast(passed, np.int64), 1)


MOST_ITEMS = 100_000


def split(x: Tensor, parts: Tensor | None, axis: int, keepdims: bool) -> SequenceValue:
    """`x` cut along an axis: into slices of one (without that axis where not `keepdims`), into pieces of a given size, or of given sizes."""
    axis = as_axis(axis, x.rank)
    extent = x.shape[axis]
    if parts is not None and parts.rank > 1:
        raise ShapeError(f"split must be a scalar or a vector, not {parts.type}")
    known = None if parts is None else constant_value(parts)
    if isinstance(extent, int) and (parts is None or known is not None):
        items = extent if parts is None else known.size if known.ndim else -(-extent // max(int(known), 1))
        if items > MOST_ITEMS:
            raise InvalidModelError(f"an axis of {extent} is split into {items} pieces; at most {MOST_ITEMS} can be told apart")
        sizes = [1] * extent if parts is None else known.tolist() if known.ndim else _equal(extent, int(known))
        if any(s < 0 for s in sizes) or sum(sizes) != extent:
            raise InvalidModelError(f"an axis of {extent} is split into {sizes}")
        return Items(tuple(_slices(x, axis, sizes, keepdims or parts is not None)), x.dtype)
    extents = _extents(extent, parts)
    count = extents.shape[0]
    lead, rest = x.shape[:axis], x.shape[axis + 1:]
    columns = [extents if a == axis else ops.broadcast_to(_scalar(d), (count,)) for a, d in enumerate(x.shape)]
    kept = [c for a, c in enumerate(columns) if a != axis or keepdims or parts is not None]
    shapes = ops.stack(kept, 1) if kept else ops.broadcast_to(np.int64(0), (count, 0))
    if axis == 0:
        return Packed(ops.reshape(x, (x.type.size,)), shapes)
    # the data are item by item: position p belongs to item k, and there to (i, c, j)
    before, after = product(lead), product(rest)
    p = ops.iota(np.int64, (x.type.size,))
    sizes = extents * _scalar(before * after)
    owner = item_of(p, sizes)
    inside = p - ops.gather(ops.cumsum(sizes, 0, exclusive=True), owner)
    width = ops.gather(extents, owner) * _scalar(after)
    i, within = ops.div(inside, ops.maximum(width, ONE)), ops.floor_mod(inside, ops.maximum(width, ONE))
    begin = ops.gather(ops.cumsum(extents, 0, exclusive=True), owner) * _scalar(after)
    index = i * _scalar(extent * after) + begin + within
    return Packed(ops.gather(ops.reshape(x, (x.type.size,)), index), shapes)


def _equal(extent: int, size: int) -> list[int]:
    if size < 1:
        raise InvalidModelError(f"pieces of size {size}")
    return [min(size, extent - start) for start in range(0, extent, size)]


def _slices(x: Tensor, axis: int, sizes: list[int], keepdims: bool):
    start = 0
    for size in sizes:
        low = tuple(start if a == axis else 0 for a in range(x.rank))
        high = tuple(start + size if a == axis else d for a, d in enumerate(x.shape))
        piece = ops.slice(x, low, high)
        yield piece if keepdims else ops.squeeze(piece, axis)
        start += size


def _extents(extent: DimLike, parts: Tensor | None) -> Tensor:
    """The extents of the pieces."""
    if parts is None:
        return ops.broadcast_to(np.int64(1), (extent,))
    parts = ops.cast(parts, np.int64)
    if parts.rank == 1:
        inside = ops.logical_and(ops.ge(parts, ZERO), ops.le(parts, _scalar(extent)))
        assume_equal(ops.dim_of(ops.reduce_sum(ops.cast(inside, np.int64))), parts.shape[0], "pieces that can be cut:")
        assume_equal(ops.dim_of(ops.reduce_sum(parts)), extent, "the sizes of the pieces and the axis:")
        return parts
    wanted, whole = ops.dim_of(parts), _scalar(extent)
    size = ops.minimum(_scalar(assume_equal(dim_max(wanted, 1), wanted, "the size of a piece:")), ops.maximum(whole, ONE))
    count = ops.dim_of(ops.div(whole + size - ONE, size))
    return ops.minimum(ops.broadcast_to(size, (count,)), whole - ops.iota(np.int64, (count,)) * size)

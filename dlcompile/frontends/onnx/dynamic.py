"""Arguments of operators that only a run knows: axes, shapes, positions computed from data.

The rank of everything is static, so such an argument is a vector of static length, and what follows from it is
arithmetic on small int64 tensors that is compiled like any other. Its results become dimensions (`ops.dim_of`), and
the operator is then built of ordinary ones. What an argument holds where that can be seen (`partly_known`) stays
what it is.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dlcompile import ops
from dlcompile.errors import ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx.shapes import assume_equal
from dlcompile.graph import Dim, DimLike, Tensor, is_integer, make_constant, symbols_of

_DEEP = 64  # operators that `partly_known` looks through
MOST_ENTRIES = 2**16  # entries of an argument, which are dimensions, positions or amounts for each axis

ZERO, ONE = make_constant(np.int64(0)), make_constant(np.int64(1))


# -- what a vector holds -----------------------------------------------------------------------------------------------
def partly_known(vector: Tensor, depth: int = _DEEP) -> list[DimLike | float | None]:
    """The entries of a vector (or scalar) of static length: dimensions or numbers, and None for those that are data.

    Shapes are put together of pieces (`Concat` of sizes, a `Gather` here and there): where one of them is data the
    others are not.
    """
    if vector.known is not None:
        return vector.known.ravel().tolist()
    if vector.value is not None:
        return vector.value.ravel().tolist()
    count, node = vector.type.size, vector.producer
    inputs = () if node is None or depth == 0 else node.inputs
    numbers = [t.known is not None and all(isinstance(i, int) for i in t.known.ravel().tolist()) for t in inputs]
    if inputs and vector.rank <= 1 and all(t.rank <= 1 and isinstance(t.type.size, int) and t.type.size <= MOST_ENTRIES for t in inputs):
        match node.op:
            case "reshape":
                return partly_known(inputs[0], depth - 1)
            case "cast" if is_integer(inputs[0].dtype) and is_integer(vector.dtype):
                return partly_known(inputs[0], depth - 1)
            case "concatenate":
                return [entry for part in inputs for entry in partly_known(part, depth - 1)]
            case "slice" if node.attributes["strides"] == (1,) and isinstance(node.attributes["start"][0], int):
                start = node.attributes["start"][0]
                return partly_known(inputs[0], depth - 1)[start:start + count]
            case "gather" if numbers[1]:
                whole = partly_known(inputs[0], depth - 1)
                return [whole[i] if -len(whole) <= i < len(whole) else None for i in inputs[1].known.ravel().tolist()]
    return [None] * count


def entries_of(vector: Tensor, what: str) -> tuple[Tensor, list[DimLike | None]]:
    """An argument as an int64 vector, and its entries as far as they are known. `UnsupportedOperatorError` where the
    number of its entries is not: the rank of the result would depend on data."""
    if not isinstance(vector.type.size, int):
        count = f"{vector.type.size} entries, a number that only a run knows"
        raise UnsupportedOperatorError(f"the {what} has {count}; expected a fixed one")
    if vector.type.size > MOST_ENTRIES:
        raise ShapeError(f"the {what} has {vector.type.size} entries; expected at most {MOST_ENTRIES}")
    known = partly_known(vector)
    return ops.cast(ops.reshape(vector, (len(known),)), np.int64), known


def is_known(vector: Tensor | None) -> bool:
    """Whether an optional argument is left out or all of its entries are dimensions."""
    return vector is None or vector.known is not None


def known_axes(axes: Tensor | None) -> bool:
    """Whether axes are left out or known as numbers."""
    return axes is None or axes.known is not None and all(isinstance(axis, int) for axis in axes.known.ravel().tolist())


def entry(vector: Tensor, index: int) -> Tensor:
    """An entry of a vector, as a scalar."""
    return ops.reshape(ops.slice(vector, (index,), (index + 1,)), ())


def scalar(dim: DimLike) -> Tensor:
    """A dimension as an int64 scalar."""
    return ops.dim_scalar(dim)


def where_known(vector: Tensor, known: Sequence[DimLike | None]) -> tuple[DimLike, ...]:
    """The entries of a vector as dimensions, those that are known as such."""
    return tuple(ops.dim_of(entry(vector, i)) if dim is None else dim for i, dim in enumerate(known))


def from_data(dim: DimLike) -> bool:
    """Whether only a run knows the dimension."""
    return any(s.source is not None for s in symbols_of(dim))


# -- axes --------------------------------------------------------------------------------------------------------------
def counted_from_the_front(axes: Tensor, rank: int) -> Tensor:
    """Axes where those below 0 count from the end."""
    axes = ops.cast(axes, np.int64)
    return ops.select(ops.lt(axes, ZERO), ops.add(axes, make_constant(np.int64(rank))), axes)


def mask_of_axes(axes: Tensor, rank: int) -> Tensor:
    """Which of the `rank` axes are among `axes`: bool [rank]. A run checks that each of them is one, and another."""
    count = axes.type.size
    places = ops.reshape(counted_from_the_front(axes, rank), (count, 1))
    mask = ops.reduce_or(ops.eq(places, make_constant(np.arange(rank).reshape(1, rank))), (0,))
    found = ops.dim_of(ops.reduce_sum(ops.cast(mask, np.int64)))
    assume_equal(found, count, "axes are outside of the tensor, or given twice:")
    return mask


def without(values: Tensor, mask: Tensor, count: int) -> Tensor:
    """The `count` entries of a vector where `mask` is false, in order."""
    kept = ops.logical_not(mask)
    place = ops.sub(ops.cumsum(ops.cast(kept, np.int64), 0), ONE)
    chosen = ops.logical_and(ops.eq(make_constant(np.arange(count).reshape(count, 1)), place), kept)
    return ops.reduce_sum(ops.select(chosen, values, ZERO), (1,))


def reduced(reduction: Callable[[Tensor, tuple[int, ...], bool], Tensor], x: Tensor, axes: Tensor, keepdims: bool,
            keep_if_none: bool) -> Tensor:
    """`reduction(x, axes, keepdims)` over axes that are data. Each axis is taken as two, of which one is reduced and
    the other is not; one of them has the extent 1. No axes are all axes, or none where `keep_if_none`."""
    count, rank = axes.type.size, x.rank
    if not isinstance(count, int) and not keepdims:
        raise UnsupportedOperatorError(
            f"the rank of the result depends on the number of axes, {count}, that only a run knows"
        )
    mask = mask_of_axes(axes, rank)
    if isinstance(count, Dim) and not keep_if_none:
        mask = ops.logical_or(mask, ops.eq(scalar(count), ZERO))
    if count == rank:
        return reduction(x, tuple(range(rank)), keepdims)
    shape = ops.shape_vector(x.shape)
    kept = ops.dims_of(ops.select(mask, ONE, shape))
    if count == 1:
        y = reduction(ops.reshape(x, around(x, axes)), (1,), False)
    else:
        gone = ops.dims_of(ops.select(mask, shape, ONE))
        apart = tuple(d for pair in zip(kept, gone) for d in pair)
        y = reduction(ops.reshape(x, apart), tuple(range(1, 2 * rank, 2)), False)
    return ops.reshape(y, kept if keepdims else ops.dims_of(without(shape, mask, rank - count)))


def around(x: Tensor, axis: Tensor) -> tuple[DimLike, DimLike, DimLike]:
    """(elements before, extent, elements after) an axis, the only element of `axis`. A run checks that there is such
    an axis."""
    shape, place = ops.shape_vector(x.shape), make_constant(np.arange(x.rank))
    axis = counted_from_the_front(ops.reshape(axis, ()), x.rank)
    before = ops.dim_of(ops.reduce_prod(ops.select(ops.lt(place, axis), shape, ONE)))
    extent = ops.dim_of(ops.reduce_sum(ops.select(ops.eq(place, axis), shape, ZERO)))
    after = ops.dim_of(ops.reduce_prod(ops.select(ops.gt(place, axis), shape, ONE)))
    return before, extent, after


def along(x: Tensor, axis: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """What `function`, which works along axis 1 of three, makes of `x` along an axis that is data. It may yield
    another extent there."""
    if x.rank <= 1:  # no choice
        mask_of_axes(axis, x.rank)
        y = function(ops.reshape(x, (1, x.type.size, 1)))
        return ops.reshape(y, (y.shape[1],) * x.rank)
    apart = around(x, axis)
    y = function(ops.reshape(x, apart))
    if y.shape[1] == apart[1]:
        return ops.reshape(y, x.shape)
    there = ops.eq(make_constant(np.arange(x.rank)), counted_from_the_front(ops.reshape(axis, ()), x.rank))
    return ops.reshape(y, ops.dims_of(ops.select(there, scalar(y.shape[1]), ops.shape_vector(x.shape))))


# -- broadcasting ------------------------------------------------------------------------------------------------------
def broadcast_to(x: Tensor, shape: Sequence[DimLike]) -> Tensor:
    """`x` broadcast to `shape`, where extents of `x` that only a run knows may be 1 or that of the result."""
    for axis, (extent, wanted) in enumerate(zip(x.shape, shape[len(shape) - x.rank:])):
        if extent in (1, wanted) or isinstance(extent, int) or not (from_data(extent) or from_data(wanted)):
            continue
        own = scalar(extent)
        covered = ops.dim_of(ops.select(ops.eq(own, ONE), scalar(wanted), own))  # checked below: it is `wanted`
        x = ops.gather(x, ops.minimum(ops.iota(np.int64, (covered,), 0), ops.sub(own, ONE)), axis)
    return ops.broadcast_to(x, shape)


def together(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, ready to broadcast to one shape: where they meet with different extents of which only a run knows
    whether they are 1, each is broadcast to what comes of it."""
    if not any(from_data(d) for t in tensors for d in t.shape):
        return tensors
    rank = max(t.rank for t in tensors)
    shapes = [[1] * (rank - t.rank) + list(t.shape) for t in tensors]
    for axis in range(rank):
        extents = list(dict.fromkeys(shape[axis] for shape in shapes if shape[axis] != 1))
        if len(extents) < 2 or not any(from_data(d) for d in extents):
            continue
        result = next((d for d in extents if isinstance(d, int)), None)
        if result is None:
            value = scalar(extents[0])
            for extent in extents[1:]:
                value = ops.select(ops.eq(value, ONE), scalar(extent), value)
            result = ops.dim_of(value)
        for shape in shapes:
            shape[axis] = 1 if shape[axis] == 1 else result
    return tuple(broadcast_to(t, shape[rank - t.rank:]) for t, shape in zip(tensors, shapes))


# -- shapes ------------------------------------------------------------------------------------------------------------
def reshaped(x: Tensor, shape: Tensor, allowzero: bool) -> tuple[DimLike, ...]:
    """The dimensions of a Reshape: 0 copies one of `x` (unless `allowzero`), -1 is what is left over."""
    vector, known = entries_of(shape, "target shape")
    copied = () if allowzero else x.shape[:len(known)]
    if copied:
        own = ops.shape_vector((*copied, *(0,) * (len(known) - len(copied))))
        vector = ops.select(ops.eq(vector, ZERO), own, vector)
    open_ = ops.eq(vector, make_constant(np.int64(-1)))
    rest = ops.reduce_prod(ops.select(open_, ONE, vector), (0,))
    vector = ops.select(open_, ops.div(scalar(x.type.size), ops.maximum(rest, ONE)), vector)
    for axis, dim in enumerate(known):
        if isinstance(dim, int) and dim < 0:
            known[axis] = None
        elif isinstance(dim, int) and dim == 0 and axis < len(copied):
            known[axis] = copied[axis]
    return where_known(vector, known)


def squeezed(x: Tensor, axes: Tensor) -> tuple[DimLike, ...]:
    """The dimensions of `x` without `axes`, each of which is 1."""
    vector, known = entries_of(axes, "list of axes")
    mask, shape, count = mask_of_axes(vector, x.rank), ops.shape_vector(x.shape), len(known)
    rest = [d for d in x.shape if d != 1]
    if len(rest) + count == x.rank and all(isinstance(d, int) for d in rest):  # there is one choice only
        ones = ops.reduce_sum(ops.select(mask, shape, ZERO), (0,))
        assume_equal(ops.dim_of(ones), count, "an axis to be squeezed is not 1:")
        return tuple(rest)
    return ops.dims_of(without(shape, mask, x.rank - count))


def unsqueezed(x: Tensor, axes: Tensor) -> tuple[DimLike, ...]:
    """The dimensions of `x` with a 1 at each of `axes` of the result."""
    vector, known = entries_of(axes, "list of axes")
    rank = x.rank + len(known)
    mask = mask_of_axes(vector, rank)
    if x.rank == 0:
        return (1,) * rank
    place = ops.sub(ops.cumsum(ops.cast(ops.logical_not(mask), np.int64), 0), ONE)
    place = ops.minimum(ops.maximum(place, ZERO), make_constant(np.int64(x.rank - 1)))
    return ops.dims_of(ops.select(mask, ONE, ops.gather(ops.shape_vector(x.shape), place)))


def expanded(x: Tensor, shape: Tensor) -> tuple[DimLike, ...]:
    """The dimensions of an Expand: broadcasting in both directions."""
    vector, known = entries_of(shape, "target shape")
    rank = max(x.rank, len(known))
    own = (1,) * (rank - x.rank) + x.shape
    result: list[DimLike] = list(own[:rank - len(known)])
    for index, (dim, extent) in enumerate(zip(known, own[rank - len(known):])):
        if dim is not None:
            result.append(extent if dim == 1 else dim)
            continue
        asked = entry(vector, index)
        wanted = ops.dim_of(ops.select(ops.eq(asked, ONE), scalar(extent), asked))
        if isinstance(extent, int) and extent != 1:
            wanted = assume_equal(wanted, extent, "broadcasting, an extent is neither 1 nor that of the operand:")
        result.append(wanted)
    return tuple(result)

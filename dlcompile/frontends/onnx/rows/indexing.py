"""Gathering and scattering."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.shapes import as_axis
from dlcompile.graph import DimLike, Tensor, make_constant

_REDUCTIONS = ("none", "add", "mul", "max", "min")


def from_the_front(indices: Tensor, size: DimLike) -> Tensor:
    """Indices where those below 0 count from the end of an axis of that size."""
    if indices.known is not None and all(isinstance(i, int) for i in indices.known.ravel().tolist()):
        if isinstance(size, int):
            outside = [i for i in indices.known.ravel().tolist() if not -size <= i < size]
            if outside:
                raise ShapeError(f"the index {outside[0]} is outside of an axis of {size}")
        if all(i >= 0 for i in indices.known.ravel().tolist()):
            return indices
    elif indices.value is not None and (indices.value >= 0).all():
        return indices
    if indices.dtype.kind == "u":
        return indices
    zero = make_constant(np.zeros((), indices.dtype))
    end = ops.reshape(ops.shape_vector((size,)), ())
    end = end if indices.dtype == np.int64 else ops.cast(end, indices.dtype)
    return ops.select(ops.lt(indices, zero), ops.add(indices, end), indices)


def _tuples_from_the_front(indices: Tensor, sizes: tuple[DimLike, ...]) -> Tensor:
    """The same for index tuples along the last axis, one size for each of their elements."""
    if indices.value is not None and (indices.value >= 0).all():
        return indices
    zero = make_constant(np.zeros((), indices.dtype))
    return ops.select(
        ops.lt(indices, zero), ops.add(indices, ops.cast(ops.shape_vector(sizes), indices.dtype)), indices
    )


@importer("Gather")
def gather(node: OnnxNode, x: Tensor, indices: Tensor) -> Tensor:
    axis = as_axis(node["axis"], x.rank)
    return ops.gather(x, from_the_front(indices, x.shape[axis]), axis)


@importer("GatherElements", since=11)
def gather_elements(node: OnnxNode, x: Tensor, indices: Tensor) -> Tensor:
    axis = as_axis(node["axis"], x.rank)
    return ops.take_along_axis(x, from_the_front(indices, x.shape[axis]), axis)


@importer("GatherND", since=11)
def gather_nd(node: OnnxNode, x: Tensor, indices: Tensor) -> Tensor:
    batch, depth = node.get("batch_dims", 0), _depth(indices)
    if not 0 <= batch <= min(x.rank, indices.rank) - 1 or batch + depth > x.rank:
        raise ShapeError(f"index tuples of {depth} after {batch} batch axes do not fit {x.type}")
    return ops.gather_nd(x, _tuples_from_the_front(indices, x.shape[batch:batch + depth]), batch)


def _depth(indices: Tensor) -> int:
    """The length of the index tuples, which lie along the last axis."""
    if not indices.rank or not isinstance(indices.shape[-1], int):
        raise InvalidModelError(
            f"the indices are {indices.type}; expected index tuples of a constant length along the last axis"
        )
    return indices.shape[-1]


@importer("ScatterElements", "Scatter", since=9)
def scatter_elements(node: OnnxNode, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis = as_axis(node["axis"], x.rank)
    return ops.scatter_elements(x, from_the_front(indices, x.shape[axis]), updates, axis, _reduction(node))


@importer("ScatterND", since=11)
def scatter_nd(node: OnnxNode, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    depth = _depth(indices)
    if depth > x.rank:
        raise ShapeError(f"index tuples of {depth} do not fit {x.type}")
    return ops.scatter_nd(x, _tuples_from_the_front(indices, x.shape[:depth]), updates, _reduction(node))


def _reduction(node: OnnxNode) -> str:
    name = node.get("reduction", "none")
    if name not in _REDUCTIONS:
        raise InvalidModelError(f"the reduction {name!r} is not one of {', '.join(_REDUCTIONS)}")
    return name


@importer("TensorScatter", since=24)
def tensor_scatter(node: OnnxNode, cache: Tensor, update: Tensor, starts: Tensor | None = None) -> Tensor:
    """The rows of `update` written into `cache` along `axis` from `starts[batch]` on (around the end in the mode
    "circular")."""
    axis = as_axis(node["axis"], cache.rank)
    length, batch = update.shape[axis], cache.shape[0]
    position = ops.iota(np.int64, (batch, length), 1)
    if starts is not None:
        position = ops.add(position, ops.reshape(starts, (batch, 1)))
    if node["mode"] == "circular":
        position = ops.rem(position, ops.shape_vector((cache.shape[axis],)))
    order = (0, axis, *(a for a in range(1, cache.rank) if a != axis))
    rows = ops.iota(np.int64, (batch, length), 0)
    indices = ops.concatenate([ops.reshape(t, (batch, length, 1)) for t in (rows, position)], 2)
    written = ops.scatter_nd(ops.transpose(cache, order), indices, ops.transpose(update, order))
    return ops.transpose(written, tuple(order.index(a) for a in range(cache.rank)))


@importer("ReverseSequence", since=10)
def reverse_sequence(node: OnnxNode, x: Tensor, lengths: Tensor) -> Tensor:
    """The first `lengths[batch]` steps of each sequence in reverse, the rest as they are."""
    time, batch = as_axis(node["time_axis"], x.rank), as_axis(node["batch_axis"], x.rank)
    shape = tuple(d if a in (time, batch) else 1 for a, d in enumerate(x.shape))
    step = ops.iota(np.int64, shape, time)
    length = ops.reshape(lengths, tuple(d if a == batch else 1 for a, d in enumerate(x.shape)))
    mirrored = ops.sub(ops.sub(length, make_constant(np.int64(1))), step)
    source = ops.select(ops.lt(step, length), mirrored, step)
    return ops.take_along_axis(x, ops.broadcast_to(source, x.shape), time)

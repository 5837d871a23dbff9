"""Primitives that read and write at indices which are themselves data. Indices out of range are clamped when read, and ignored when written."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import DTypeError, InvalidModelError, ShapeError
from dlcompile.graph import Operator, TensorType, Undecided, dim_min, is_integer, is_ordered, is_string, nothing_of, register, unify

UPDATE = {"none": None, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
"""scatter's `reduction` → how an update combines with what is there"""


def _row(name: str, infer, evaluate, shape_arithmetic: bool = False) -> None:
    register(Operator(name, "indexing", infer=infer, evaluate=evaluate, flops=lambda i, o, a: 0, shape_arithmetic=shape_arithmetic))


def _check_indices(indices: TensorType) -> None:
    if not is_integer(indices.dtype):
        raise DTypeError(f"indices must be integers, not {indices}")


def _check_reduction(x: TensorType, attributes) -> None:
    reduction = attributes["reduction"]
    if reduction not in UPDATE:
        raise InvalidModelError(f"reduction {reduction!r} of a scatter is not one of {', '.join(UPDATE)}")
    if reduction != "none" and (is_string(x.dtype) or reduction in ("max", "min") and not is_ordered(x.dtype)):
        raise DTypeError(f"a scatter into {x}: there is no {reduction} of these elements")


def _integers(indices: np.ndarray) -> np.ndarray:
    """Indices as int64; those of shape arithmetic must be numbers."""
    if indices.dtype != object:
        return indices.astype(np.int64)
    if any(not isinstance(i, (int, np.integer)) for i in indices.flat):
        raise Undecided
    return indices.astype(np.int64)


def _unless_empty(x: np.ndarray, indices: np.ndarray, extents, shape, read) -> np.ndarray:
    """What `read` reads; where one of the axes that indices choose from has no elements, 0 or no text."""
    if 0 not in extents or 0 in shape:
        return read()
    if indices.dtype == object:  # shape arithmetic
        raise Undecided
    return np.full(shape, nothing_of(x.dtype), x.dtype)


def _infer_gather(types, attributes):
    x, indices = types
    axis = attributes["axis"]
    _check_indices(indices)
    if not 0 <= axis < x.rank:
        raise ShapeError(f"gather along axis {axis} of {x}")
    return TensorType(x.dtype, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1:]))


def _gather(attributes, x, indices):
    axis = attributes["axis"]
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1:])
    return _unless_empty(x, indices, x.shape[axis:axis + 1], shape, lambda: np.take(x, _integers(indices), axis=axis, mode="clip"))


_row("gather", _infer_gather, _gather, shape_arithmetic=True)


def _infer_gather_nd(types, attributes):
    x, indices = types
    batch = attributes["batch_dims"]
    _check_indices(indices)
    depth = indices.shape[-1] if indices.rank else None
    if not isinstance(depth, int) or batch + depth > x.rank or batch >= indices.rank:
        raise ShapeError(f"gather_nd of {x} at index tuples {indices} with {batch} batch axes")
    lead = tuple(unify(a, b, "gather_nd batch axes") for a, b in zip(x.shape[:batch], indices.shape[:batch]))
    return TensorType(x.dtype, (*lead, *indices.shape[batch:-1], *x.shape[batch + depth:]))


def _gather_nd(attributes, x, indices):
    batch, depth = attributes["batch_dims"], indices.shape[-1]
    shape = (*indices.shape[:-1], *x.shape[batch + depth:])

    def read() -> np.ndarray:
        lead = np.indices(indices.shape[:batch] + (1,) * (indices.ndim - 1 - batch))[:batch]
        picked = [np.clip(indices[..., k].astype(np.int64), 0, max(x.shape[batch + k] - 1, 0)) for k in range(depth)]
        return x[tuple([*lead, *picked])] if batch + depth else np.broadcast_to(x, shape).copy()

    return _unless_empty(x, indices, x.shape[batch:batch + depth], shape, read)


_row("gather_nd", _infer_gather_nd, _gather_nd)


def _check_beside(x: TensorType, indices: TensorType, axis: int, what: str) -> None:
    """Indices along one axis lie inside the other axes."""
    for a, (extent, reached) in enumerate(zip(x.shape, indices.shape)):
        if a != axis:
            unify(dim_min(reached, extent), reached, f"{what} {indices} in {x}: what there is of axis {a} and what is asked for:")


def _infer_take_along_axis(types, attributes):
    x, indices = types
    _check_indices(indices)
    if x.rank != indices.rank:
        raise ShapeError(f"take_along_axis of {x} at {indices}: ranks differ")
    _check_beside(x, indices, attributes["axis"], "take_along_axis at")
    return TensorType(x.dtype, indices.shape)


def _take_along_axis(attributes, x, indices):
    axis = attributes["axis"]
    place = list(np.indices(indices.shape))
    place[axis] = np.clip(indices.astype(np.int64), 0, max(x.shape[axis] - 1, 0))
    return _unless_empty(x, indices, x.shape[axis:axis + 1], indices.shape, lambda: x[tuple(place)])


_row("take_along_axis", _infer_take_along_axis, _take_along_axis)


def _infer_scatter_nd(types, attributes):
    x, indices, updates = types
    _check_indices(indices)
    _check_reduction(x, attributes)
    depth = indices.shape[-1] if indices.rank else None
    if not isinstance(depth, int) or depth > x.rank:
        raise ShapeError(f"scatter_nd into {x} at index tuples {indices}")
    wanted = (*indices.shape[:-1], *x.shape[depth:])
    if len(wanted) != updates.rank or updates.dtype != x.dtype:
        raise ShapeError(f"scatter_nd into {x} at {indices} needs updates of shape {wanted}, not {updates}")
    for a, b in zip(wanted, updates.shape):
        unify(a, b, "scatter_nd updates")
    return x


def _scatter_nd(attributes, x, indices, updates):
    result, depth = x.copy(), indices.shape[-1]
    combine = UPDATE[attributes["reduction"]]
    for where in np.ndindex(*indices.shape[:-1]):
        place = tuple(int(i) for i in indices[where])
        place = tuple(i + n if i < 0 else i for i, n in zip(place, x.shape))
        if all(0 <= i < n for i, n in zip(place, x.shape[:depth])):
            result[place] = updates[where] if combine is None else combine(result[place], updates[where])
    return result


_row("scatter_nd", _infer_scatter_nd, _scatter_nd)


def _infer_scatter_elements(types, attributes):
    x, indices, updates = types
    _check_indices(indices)
    _check_reduction(x, attributes)
    if not x.rank == indices.rank == updates.rank or updates.dtype != x.dtype:
        raise ShapeError(f"scatter_elements into {x} at {indices} of {updates}: ranks or element types differ")
    for a, b in zip(indices.shape, updates.shape):
        unify(a, b, "scatter_elements updates")
    _check_beside(x, indices, attributes["axis"], "scatter_elements at")
    return x


def _scatter_elements(attributes, x, indices, updates):
    result, axis = x.copy(), attributes["axis"]
    combine = UPDATE[attributes["reduction"]]
    for where in np.ndindex(*indices.shape):
        target = int(indices[where])
        target += x.shape[axis] if target < 0 else 0
        if 0 <= target < x.shape[axis]:
            place = (*where[:axis], target, *where[axis + 1:])
            result[place] = updates[where] if combine is None else combine(result[place], updates[where])
    return result


_row("scatter_elements", _infer_scatter_elements, _scatter_elements)

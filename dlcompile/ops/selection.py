"""Selections: results have a dimension known only when the model runs (`dim_of`); of constants they are constants."""
from __future__ import annotations

import numpy as np

from dlcompile.graph import Tensor, apply, dim_min, make_constant, product
from dlcompile.ops.arithmetic import dim_scalar
from dlcompile.ops.core import (
    TensorLike,
    as_tensor,
    axis_index,
    cast,
    dim_of,
    gather,
    iota,
    reshape,
    slice,
    stack,
    transpose,
)
from dlcompile.ops.elementwise import div, ne, rem


def flatnonzero(x: TensorLike) -> Tensor:
    """The positions [k] (int64) of the elements of `x` that are not 0 (of strings: not empty), in row-major order."""
    x = as_tensor(x)
    if x.is_constant:
        return make_constant(np.flatnonzero(x.value).astype(np.int64))
    zero = np.array("" if x.dtype == object else 0).astype(x.dtype)
    mask = x if x.dtype == np.bool_ else ne(x, make_constant(zero))
    positions, count = apply("flatnonzero", mask if x.rank == 1 else reshape(mask, (x.type.size,)))
    return slice(positions, (0,), (dim_of(count),))


def nonzero(x: TensorLike) -> Tensor:
    """The indices [rank, k] (int64) of the elements of `x` that are not 0, in row-major order; of a scalar [0, k]."""
    x = as_tensor(x)
    positions = flatnonzero(x)
    if x.rank == 0:
        return iota(np.int64, (0, *positions.shape), 0)
    indices = []
    for axis in range(x.rank):
        step, index = product(x.shape[axis + 1:]), positions
        if step != 1:
            index = div(index, dim_scalar(step))
        indices.append(rem(index, dim_scalar(x.shape[axis])) if axis else index)
    return stack(indices, 0)


def compress(condition: TensorLike, x: TensorLike, axis: int | None = None) -> Tensor:
    """The slices of `x` along `axis` (None: the elements of `x`, row-major) where the vector `condition` is true, which may
    be shorter than the axis."""
    x = as_tensor(x)
    positions = flatnonzero(condition)
    return gather(reshape(x, (x.type.size,)), positions, 0) if axis is None else gather(x, positions, axis)


def unique(
    x: TensorLike, axis: int | None = None, sorted: bool = True  # noqa: A002
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The k different slices of `x` along `axis` (None: the different elements), in rising order (element by element) or
    in that of their first appearance; with the indices [k] of their first appearances, the number [n] of each slice of
    `x` among them, and how often each is there [k], all int64. NaN equals NaN, and is larger than everything."""
    x = as_tensor(x)
    if axis is None:
        x, axis = reshape(x, (x.type.size,)), 0
    axis = axis_index(axis, x.rank)
    rows = transpose(x, (axis, *(a for a in range(x.rank) if a != axis)))
    rows = reshape(rows, (rows.shape[0], product(rows.shape[1:])))
    first, inverse, counts, count = apply("unique", rows, sorted=bool(sorted))
    k = dim_of(count)
    first, counts = (slice(t, (0,), (k,)) for t in (first, counts))
    return gather(x, first, axis), first, inverse, counts


def non_max_suppression(boxes: TensorLike, scores: TensorLike, max_output_boxes_per_class: TensorLike,
                        iou_threshold: TensorLike = 0.0, score_threshold: TensorLike | None = None,
                        center_point_box: bool = False) -> Tensor:
    """ONNX NonMaxSuppression of boxes [batches, n, 4] and scores [batches, classes, n], all float32: [k, 3] int64, the
    batch, class and box of those selected.

    Of each batch and class, boxes are taken by falling score (of equal ones the first), of scores above
    `score_threshold`, unless the intersection with one that was taken is more than `iou_threshold` of the union, until
    there are as many as `max_output_boxes_per_class` says. A box is (y, x) of two opposite corners, or with
    `center_point_box` (x, y) of its centre, width and height. The number and the thresholds are scalars (or vectors of
    one element), which may be computed when the model runs.
    """
    boxes, scores = as_tensor(boxes), as_tensor(scores)
    most = reshape(cast(as_tensor(max_output_boxes_per_class), np.int64), ())
    limit = None
    if most.known is not None and boxes.rank == 3:
        limit = dim_min(max(int(most.known.item()), 0), boxes.shape[1]) if isinstance(most.known.item(), int) else None
    thresholds = [reshape(as_tensor(t, np.float32), ()) for t in (iou_threshold, score_threshold) if t is not None]
    selected, count = apply("non_max_suppression", boxes, scores, most, *thresholds,
                            center_point_box=bool(center_point_box), limit=limit)
    return slice(selected, (0, 0), (dim_of(count), 3))


__all__ = ["flatnonzero", "nonzero", "compress", "unique", "non_max_suppression"]

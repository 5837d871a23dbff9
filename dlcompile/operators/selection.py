"""Selections whose size depends on the data.

Results have their full capacity, and a `count` (int64 scalar) says how many entries there are; what stands behind them
is unspecified. `ops` cuts them to what there is, by a dimension that the count defines.
"""
from __future__ import annotations

import numpy as np

from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import DimLike, Operator, TensorType, register, unify
from dlcompile.operators.ordering import check_ordered

INT64 = np.dtype(np.int64)
COUNT = TensorType(INT64, ())


def _row(name: str, infer, evaluate, flops) -> None:
    register(Operator(name, "selection", infer=infer, evaluate=evaluate, flops=flops, multiple_outputs=True))


# -- where a mask is true ----------------------------------------------------------------------------------------------
def _infer_flatnonzero(types, attributes):
    (mask,) = types
    if mask.rank != 1 or mask.dtype != np.bool_:
        raise ShapeError(f"flatnonzero of {mask}: expected a vector of bool")
    return TensorType(INT64, mask.shape), COUNT


def _flatnonzero(attributes, mask):
    found = np.flatnonzero(mask)
    return _with_capacity(found, len(mask)), np.asarray(len(found), INT64)


def _with_capacity(rows: np.ndarray, capacity: int) -> np.ndarray:
    """Rows followed by zeros."""
    result = np.zeros((capacity, *rows.shape[1:]), INT64)
    result[:len(rows)] = rows
    return result


_row("flatnonzero", _infer_flatnonzero, _flatnonzero, lambda i, o, a: i[0].size)


# -- different rows ----------------------------------------------------------------------------------------------------
def _infer_unique(types, attributes):
    (x,) = types
    if x.rank != 2:
        raise ShapeError(f"unique of {x}: expected a matrix")
    if x.dtype.kind not in "Oc":  # strings are, by their code points, and complex numbers, by their real parts first
        check_ordered(x)
    index = TensorType(INT64, x.shape[:1])
    return index, index, index, COUNT


def _unique(attributes, x):
    """Rows are compared element by element; NaN equals NaN and is larger than everything, -0 equals 0."""
    rows = len(x)
    # the rank of each value among the different ones of its column stands for it
    ranks = [np.unique(column, return_inverse=True)[1].reshape(rows) for column in x.T]
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, key in enumerate(zip(*ranks) if ranks else [()] * rows):
        groups.setdefault(key, []).append(i)
    members = [groups[key] for key in sorted(groups)] if attributes["sorted"] else list(groups.values())
    inverse = np.zeros(rows, INT64)
    for number, group in enumerate(members):
        inverse[group] = number
    first, counts = (np.array([f(group) for group in members], INT64) for f in (lambda g: g[0], len))
    return _with_capacity(first, rows), inverse, _with_capacity(counts, rows), np.asarray(len(members), INT64)


_row("unique", _infer_unique, _unique, lambda i, o, a: i[0].size * 16)


# -- the best of boxes that overlap ------------------------------------------------------------------------------------
def capacity_per_class(attributes, boxes: TensorType) -> DimLike:
    """How many boxes of a class can be selected."""
    return boxes.shape[1] if attributes["limit"] is None else attributes["limit"]


def _infer_non_max_suppression(types, attributes):
    boxes, scores, most, iou, *score = types
    if boxes.rank != 3 or scores.rank != 3:
        raise ShapeError(f"non_max_suppression of boxes {boxes} and scores {scores}: expected [batches, boxes, 4] and "
                         "[batches, classes, boxes]")
    thresholds = (iou, *score)
    if any(t.dtype != np.float32 for t in (boxes, scores, *thresholds)) or any(t.rank for t in thresholds) or most != COUNT:
        raise DTypeError("non_max_suppression takes float32 boxes, scores and scalar thresholds, and an int64 scalar for "
                         f"the number of boxes; not {', '.join(map(str, types))}")
    unify(boxes.shape[2], 4, "non_max_suppression: the numbers of a box")
    unify(boxes.shape[0], scores.shape[0], "non_max_suppression: batches of boxes and of scores")
    unify(boxes.shape[1], scores.shape[2], "non_max_suppression: boxes and their scores")
    capacity = scores.shape[0] * scores.shape[1] * capacity_per_class(attributes, boxes)
    return TensorType(INT64, (capacity, 3)), COUNT


def _non_max_suppression(attributes, boxes, scores, most, iou_threshold, score_threshold=None):
    selected = []
    corners = _corners(boxes.astype(np.float32), attributes["center_point_box"])
    for batch, clas in np.ndindex(scores.shape[:2]):
        score = scores[batch, clas]
        kept: list[int] = []
        for i in np.argsort(-score, kind="stable"):
            if len(kept) >= int(most):
                break
            if score_threshold is not None and not score[i] > score_threshold:
                continue
            if not any(_overlap(corners[batch, i], corners[batch, k]) > iou_threshold for k in kept):
                kept.append(int(i))
        selected += [(batch, clas, i) for i in kept]
    limit = boxes.shape[1] if attributes["limit"] is None else attributes["limit"]
    rows = np.array(selected, INT64).reshape(-1, 3)
    return _with_capacity(rows, scores.shape[0] * scores.shape[1] * limit), np.asarray(len(rows), INT64)


def _corners(boxes: np.ndarray, center: bool) -> np.ndarray:
    """Boxes as the lower and the upper corner."""
    if center:
        boxes = boxes[..., [1, 0, 3, 2]]
        half = boxes[..., 2:] / 2
        return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], -1)
    return np.concatenate([np.minimum(boxes[..., :2], boxes[..., 2:]), np.maximum(boxes[..., :2], boxes[..., 2:])], -1)


def _overlap(a: np.ndarray, b: np.ndarray) -> np.float32:
    """The area of the intersection over that of the union; 0 where one of them is empty."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = sides[0] * sides[1]
    area_a, area_b = np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])
    if not (sides > 0).all() or common <= 0 or area_a <= 0 or area_b <= 0:
        return np.float32(0)
    return common / (area_a + area_b - common)


_row("non_max_suppression", _infer_non_max_suppression, _non_max_suppression,
     lambda i, o, a: i[1].size * 32)

"""Resizing along any axes, as ONNX's Resize defines it: an axis at a time, by gathering rows and weighing them.

For every output position there is a coordinate in the input (float32, as in ONNX Runtime), and from it the rows to read and their
weights. They are written with tensor operators, so that symbolic extents are the general case; where extents are static they are computed here
and become constants.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from dlcompile import ops
from dlcompile.graph import DimLike, Tensor, ceildiv, dim_max, floordiv, is_float, make_constant
from dlcompile.graph.graph import topological_order
from dlcompile.operators.composite import composite
from dlcompile.operators.interpreter import evaluate_node

FLOAT = np.dtype(np.float32)


Number = Union[DimLike, float, Tensor]


def _number(value: Number) -> Tensor:
    """A float32 scalar; of a dimension, its value at run time."""
    if isinstance(value, Tensor):
        return value
    return make_constant(np.float32(value)) if isinstance(value, (int, float)) else ops.cast(ops.reshape(ops.shape_vector((value,)), ()), FLOAT)


MOST_COMPUTED = 1 << 24  # elements of a table that is computed now rather than when the model runs


def _computed(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors as constants where nothing symbolic is in them."""
    order = topological_order(tensors)
    given = [t for t in (*tensors, *(t for n in order for t in n.inputs)) if t.producer is None and not t.is_constant]
    static = all(t.type.is_static for t in (*tensors, *(t for n in order for t in n.outputs)))
    if given or not static or any(n.op == "dims" for n in order):
        return tensors
    if any(t.type.size > MOST_COMPUTED for n in order for t in n.outputs):
        return tensors
    values: dict[Tensor, np.ndarray] = {}
    for node in order:
        results = evaluate_node(node, *(t.value if t.is_constant else values[t] for t in node.inputs))
        values.update(zip(node.outputs, results))
    return tuple(t if t.is_constant else make_constant(values[t]) for t in tensors)


# -- coordinates ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Axis:
    """What a coordinate depends on, float32 scalars all: extents `before` and `after`, the `scale` that was given (None: after / before), and
    the region of interest from `start` to `end`."""

    before: Tensor
    after: Tensor
    scale: Tensor | None
    start: Tensor
    end: Tensor

    def shrunk(self, distance: Tensor) -> Tensor:
        """A distance in the output as one in the input. (Multiplied first: so 2 of 4 is exactly 3.5 of 7.)"""
        return distance * self.before / self.after if self.scale is None else distance / self.scale

    @property
    def width(self) -> Tensor:
        """The extent after, before it is rounded."""
        return self.after if self.scale is None else self.scale * self.before

    def spread(self, i: Tensor, span: Tensor) -> Tensor:
        """Positions in the output, of which the first and the last are `span` apart in the input."""
        return i * span / ops.select(ops.eq(self.width, 1.0), 1.0, self.width - 1.0)


def _half_pixel(i: Tensor, axis: Axis) -> Tensor:
    return axis.shrunk(i + 0.5) - 0.5


def _pytorch_half_pixel(i: Tensor, axis: Axis) -> Tensor:
    return ops.select(ops.gt(axis.after, 1.0), _half_pixel(i, axis), 0.0)


def _half_pixel_symmetric(i: Tensor, axis: Axis) -> Tensor:
    """Half pixel, with what rounding the size took off taken from both ends."""
    if axis.scale is None:
        return _half_pixel(i, axis)
    return axis.before / 2.0 * (1.0 - axis.after / (axis.scale * axis.before)) + _half_pixel(i, axis)


def _crop_and_resize(i: Tensor, axis: Axis) -> Tensor:
    last = axis.before - 1.0
    inside = axis.start * last + axis.spread(i, (axis.end - axis.start) * last)
    return ops.select(ops.eq(axis.width, 1.0), (axis.start + axis.end) * last * 0.5, inside)


COORDINATES: Mapping[str, Callable[[Tensor, Axis], Tensor]] = {
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "asymmetric": lambda i, axis: axis.shrunk(i),
    "align_corners": lambda i, axis: axis.spread(i, axis.before - 1.0),
    "tf_half_pixel_for_nn": lambda i, axis: axis.shrunk(i + 0.5),
    "tf_crop_and_resize": _crop_and_resize,
}
"""mode → the coordinate in the input of output positions `i` (a vector)"""

# nearest mode → (largest integer <= c, c minus that) → nearest integer
ROUNDING: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "floor": lambda low, part: low,
    "ceil": lambda low, part: ops.select(ops.gt(part, 0.0), low + 1.0, low),
    "round_prefer_floor": lambda low, part: ops.select(ops.gt(part, 0.5), low + 1.0, low),
    "round_prefer_ceil": lambda low, part: ops.select(ops.ge(part, 0.5), low + 1.0, low),
}

REPEATS = {("asymmetric", "floor"), *((c, r) for c in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
                                      for r in ("round_prefer_floor", "round_prefer_ceil"))}
"""coordinates and nearest modes with which output i of an enlargement by a whole k is input i // k"""


# -- taps -------------------------------------------------------------------------------------------------------------------
# mode → (coordinate, attributes) → rows [(position, weight)]; positions are float32 and may lie outside; a lone row has weight None
def _nearest(c: Tensor, attributes) -> list[tuple[Tensor, Tensor | None]]:
    low = ops.floor(c)
    return [(ROUNDING[attributes["nearest_mode"]](low, c - low), None)]


def _linear(c: Tensor, attributes):
    low = ops.floor(c)
    part = c - low
    return [(low, 1.0 - part), (low + 1.0, part)]


def _cubic(c: Tensor, attributes):
    """Keys 1981, "Cubic convolution interpolation for digital image processing", with a = `cubic_coefficient`."""
    a, low = attributes["cubic_coefficient"], ops.floor(c)
    part = c - low

    def near(t):  # |t| <= 1
        return ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0

    def far(t):  # 1 < |t| < 2
        return ((t - 5.0) * t + 8.0) * t * a - 4.0 * a

    return [(low - 1.0, far(part + 1.0)), (low, near(part)), (low + 1.0, near(1.0 - part)), (low + 2.0, far(2.0 - part))]


TAPS = {"nearest": _nearest, "linear": _linear, "cubic": _cubic}


def _antialias_matrix(attributes, c: np.ndarray, scale: float, extent: int) -> np.ndarray:
    """[output, input] weights: the kernel stretched by 1/scale where the axis shrinks, as the ONNX reference samples it."""
    a, cubic, scale = attributes["cubic_coefficient"], attributes["mode"] == "cubic", min(float(scale), 1.0)
    first = int(np.floor((-2 if cubic else -1) / scale)) + 1
    taps = np.arange(first, 2 - first)
    matrix = np.zeros((len(c), extent))
    for row, x in enumerate(c.astype(np.float64)):
        left = np.ceil(x) - 1  # the input on the left, at a distance in (0, 1]
        t = np.abs(scale * (taps - (x - left)))
        if cubic:
            weights = np.where(t <= 1, ((a + 2) * t - (a + 3)) * t * t + 1, np.where(t < 2, ((t - 5) * t + 8) * t * a - 4 * a, 0))
        else:
            weights = np.clip(1 - t, 0, 1)
        place = (left + taps).astype(np.int64)
        if attributes["exclude_outside"]:
            weights = np.where((place >= 0) & (place < extent), weights, 0)
        np.add.at(matrix[row], np.clip(place, 0, extent - 1), weights / weights.sum())
    return matrix


# -- an axis ----------------------------------------------------------------------------------------------------------------
def _along(axis: int, rank: int, values: Tensor) -> Tensor:
    return ops.reshape(values, tuple(-1 if a == axis else 1 for a in range(rank)))


def _repeat(x: Tensor, axis: int, times: int) -> Tensor:
    """Each row `times` times: a view."""
    before, after = x.shape[:axis + 1], x.shape[axis + 1:]
    wide = ops.broadcast_to(ops.reshape(x, (*before, 1, *after)), (*before, times, *after))
    return ops.reshape(wide, (*x.shape[:axis], x.shape[axis] * times, *after))


def _times(size: DimLike, extent: DimLike, scale: Number | None) -> int | None:
    """The whole number that an axis is enlarged by, if it is one that the scale agrees with."""
    if extent == 0 or isinstance(scale, Tensor):
        return None
    times = floordiv(size, extent)
    whole = isinstance(times, int) and times >= 1 and extent * times == size
    return times if whole and scale in (None, float(times)) else None


def _resize_axis(attributes: Mapping[str, Any], x: Tensor, axis: int, size: DimLike, scale: float | Tensor | None,
                 roi: tuple[Number, Number], taps: DimLike | None) -> Tensor:
    extent, mode, coordinate_mode = x.shape[axis], attributes["mode"], attributes["coordinate_mode"]
    crop = coordinate_mode == "tf_crop_and_resize"
    times = _times(size, extent, scale)
    if times == 1 and not crop:
        return x
    if mode == "nearest" and times is not None and (coordinate_mode, attributes["nearest_mode"]) in REPEATS:
        return _repeat(x, axis, times)
    before, after = _number(extent), _number(size)
    geometry = Axis(before, after, None if scale is None else _number(scale), *map(_number, roi))
    c = ops.broadcast_to(COORDINATES[coordinate_mode](ops.iota(FLOAT, (size,), 0), geometry), (size,))
    last = before - 1.0
    outside = ops.logical_or(ops.lt(c, 0.0), ops.gt(c, last)) if crop else None
    if attributes["antialias"] and mode != "nearest":
        y = _antialiased(attributes, x, axis, c, after / before if scale is None else geometry.scale, taps)
    else:
        if mode == "linear":  # what lies outside is the border, so that both taps are
            c = ops.minimum(ops.maximum(c, 0.0), last)
        y = _weighed(x, axis, TAPS[mode](c, attributes), last, attributes["exclude_outside"] and mode == "cubic")
    if outside is not None:
        (outside,) = _computed(outside)
        y = ops.select(_along(axis, x.rank, outside), make_constant(np.asarray(attributes["extrapolation_value"], x.dtype)), y)
    return y


def _weighed(x: Tensor, axis: int, taps: list[tuple[Tensor, Tensor | None]], last: Tensor, exclude_outside: bool) -> Tensor:
    """The sum of the rows at the taps' positions, clamped to the axis, times their weights."""
    if exclude_outside:
        taps = [(p, ops.select(ops.logical_or(ops.lt(p, 0.0), ops.gt(p, last)), 0.0, w)) for p, w in taps]
        total = taps[0][1]
        for _, weight in taps[1:]:
            total = total + weight
        taps = [(p, w / total) for p, w in taps]
    if len(taps) == 1:
        ((position, _),) = taps
        (rows,) = _computed(ops.cast(ops.minimum(ops.maximum(position, 0.0), last), np.int64))
        return ops.gather(x, rows, axis)
    wide = x if is_float(x.dtype) and x.dtype.itemsize >= 4 else ops.cast(x, FLOAT)
    y = None
    for position, weight in taps:
        rows, weight = _computed(ops.cast(ops.minimum(ops.maximum(position, 0.0), last), np.int64), ops.cast(weight, wide.dtype))
        term = ops.gather(wide, rows, axis) * _along(axis, x.rank, weight)
        y = term if y is None else y + term
    return ops.cast(y, x.dtype)


def _antialiased(attributes, x: Tensor, axis: int, c: Tensor, factor: Tensor, taps: DimLike | None) -> Tensor:
    c, factor = _computed(c, factor)
    wide = x if is_float(x.dtype) and x.dtype.itemsize >= 4 else ops.cast(x, FLOAT)
    if not (c.is_constant and factor.is_constant and isinstance(x.shape[axis], int)):
        return ops.cast(_antialiased_by_taps(attributes, wide, axis, c, factor, taps), x.dtype)
    matrix = make_constant(_antialias_matrix(attributes, c.value, factor.value.item(), x.shape[axis]).astype(wide.dtype))
    y = ops.dot_general(wide, matrix, contracting=((axis,), (1,)))
    order = list(range(x.rank - 1))
    order.insert(axis, x.rank - 1)
    return ops.cast(ops.transpose(y, order), x.dtype)


def _antialiased_by_taps(attributes, x: Tensor, axis: int, c: Tensor, factor: Tensor, taps: DimLike) -> Tensor:
    """The same as sums over `taps` rows of the input, at least as many as the kernel reaches, for extents that only a run knows."""
    scale, last = ops.minimum(factor, 1.0), _number(x.shape[axis]) - 1.0
    left = ops.reshape(ops.ceil(c) - 1.0, (c.shape[0], 1))
    place = left + (ops.iota(FLOAT, (1, taps), 1) + (1.0 - _number(floordiv(taps, 2))))
    t = ops.abs((place - ops.reshape(c, (c.shape[0], 1))) * scale)
    if attributes["mode"] == "cubic":
        a = attributes["cubic_coefficient"]
        near, far = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0, ((t - 5.0) * t + 8.0) * t * a - 4.0 * a
        weights = ops.select(ops.le(t, 1.0), near, ops.select(ops.lt(t, 2.0), far, 0.0))
    else:
        weights = ops.maximum(1.0 - t, 0.0)
    if attributes["exclude_outside"]:
        weights = ops.select(ops.logical_or(ops.lt(place, 0.0), ops.gt(place, last)), 0.0, weights)
    weights = ops.cast(weights / ops.reduce_sum(weights, (1,), True), x.dtype)
    rows = ops.gather(x, ops.cast(ops.minimum(ops.maximum(place, 0.0), last), np.int64), axis)
    along = tuple(weights.shape) + (1,) * (x.rank - axis - 1)
    return ops.reduce_sum(rows * ops.reshape(weights, along), (axis + 1,))


def _number_of_taps(attributes, extent: DimLike, size: DimLike, scale: float | None) -> DimLike:
    """How many rows the antialiasing kernel reaches, or some more."""
    reach = 2 if attributes["mode"] == "cubic" else 1
    if scale is not None:
        return 2 * math.ceil(reach / min(scale, 1.0)) + 2
    return 2 * ceildiv(reach * dim_max(extent, size), dim_max(size, 1)) + 2


@composite("resize")
def resize(attributes, x: Tensor, *given: Tensor) -> Tensor:
    """Each axis resampled to `sizes`: coordinates by `coordinate_mode` with `scales` (or sizes / extents), rows by `mode`"""
    n, operands = x.rank, dict(zip(attributes.get("present", ()), given, strict=True))
    sizes, scales, roi = attributes["sizes"], attributes["scales"] or (None,) * n, attributes["roi"] or ((0.0, 1.0),) * n
    if "scales" in operands:
        scales = [_entry(operands["scales"], a) if scale is None else scale for a, scale in enumerate(scales)]
    if "roi" in operands:
        roi = [(_entry(operands["roi"], a), _entry(operands["roi"], n + a)) for a in range(n)]
    taps = attributes.get("taps") or (None,) * n
    for axis, (size, scale, part, count) in enumerate(zip(sizes, scales, roi, taps, strict=True)):
        if count is None and attributes["antialias"]:
            count = _number_of_taps(attributes, x.shape[axis], size, scale)
        x = _resize_axis(attributes, x, axis, size, scale, part, count)
    return x


def _entry(vector: Tensor, index: int) -> Tensor:
    """An entry of a vector, as a float32 scalar."""
    return ops.cast(ops.reshape(ops.slice(vector, (index,), (index + 1,)), ()), FLOAT)

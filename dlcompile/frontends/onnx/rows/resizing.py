"""Resize and Upsample: each axis by itself, its output positions mapped to input coordinates and interpolated there."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.shapes import as_axes
from dlcompile.graph import Dim, DimLike, Tensor, floordiv, is_float, known_dims


@dataclass(frozen=True)
class Axis:
    """One axis to resize: its extents, its scale (output / input where None), and its part of the region of interest."""

    index: int
    size: DimLike
    out: DimLike
    scale: float | None
    roi: tuple[float, float] = (0.0, 1.0)

    @property
    def ratio(self) -> float | Tensor:
        """The scale as a number, or as a float32 scalar where it depends on symbols."""
        if self.scale is not None:
            return self.scale
        if isinstance(self.size, int) and isinstance(self.out, int):
            return self.out / self.size
        return ops.div(_number(self.out), _number(self.size))


def _number(dim: DimLike) -> Tensor:
    """A dimension as a float32 scalar."""
    return ops.cast(ops.reshape(ops.shape_vector((dim,)), ()), np.float32)


# -- coordinates: (positions in the output, axis) → positions in the input --------------------------------------------------
def _half_pixel(i: Tensor, axis: Axis) -> Tensor:
    return ops.sub(ops.div(ops.add(i, 0.5), axis.ratio), 0.5)


def _symmetric(i: Tensor, axis: Axis) -> Tensor:
    """half_pixel about the centre of what the scale would give, which the output may be short of."""
    size = _number(axis.size)
    adjustment = ops.div(_number(axis.out), ops.mul(size, axis.ratio))
    offset = ops.mul(ops.mul(size, 0.5), ops.sub(np.float32(1), adjustment))
    return ops.add(offset, _half_pixel(i, axis))


def _unless_single(otherwise: float, mapping: Callable) -> Callable:
    """`mapping` for outputs of more than one element."""
    def coordinates(i: Tensor, axis: Axis) -> Tensor:
        if axis.out == 1:
            return ops.mul(i, otherwise)
        if isinstance(axis.out, int):
            return mapping(i, axis)
        return ops.select(ops.gt(_number(axis.out), 1.0), mapping(i, axis), ops.mul(i, otherwise))
    return coordinates


def _align_corners(i: Tensor, axis: Axis) -> Tensor:
    return ops.div(ops.mul(i, _number(axis.size - 1)), _number(axis.out - 1))


def _crop(i: Tensor, axis: Axis) -> Tensor:
    start, end = axis.roi
    last = _number(axis.size - 1)
    if axis.out == 1:
        return ops.add(i, ops.mul(last, 0.5 * (start + end)))
    return ops.add(ops.div(ops.mul(ops.mul(i, last), end - start), _number(axis.out - 1)), ops.mul(last, start))


COORDINATES: dict[str, Callable[[Tensor, Axis], Tensor]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": _unless_single(0.0, _half_pixel),
    "asymmetric": lambda i, axis: ops.div(i, axis.ratio),
    "align_corners": _unless_single(0.0, _align_corners),
    "tf_half_pixel_for_nn": lambda i, axis: ops.div(ops.add(i, 0.5), axis.ratio),
    "tf_crop_and_resize": _crop,
}

NEAREST: dict[str, Callable[[Tensor], Tensor]] = {
    "floor": ops.floor,
    "ceil": ops.ceil,
    "round_prefer_floor": lambda x: ops.ceil(ops.sub(x, 0.5)),
    "round_prefer_ceil": lambda x: ops.floor(ops.add(x, 0.5)),
}


# -- operators --------------------------------------------------------------------------------------------------------------
@importer("Upsample", since=7)
def upsample_by_attribute(node: OnnxNode, x: Tensor) -> Tensor:
    return _resize_of_old(node, x, np.asarray(node["scales"]))


@importer("Upsample", since=9)
@importer("Resize", since=10)
def upsample(node: OnnxNode, x: Tensor, scales: Tensor) -> Tensor:
    return _resize_of_old(node, x, node.constant(scales, "the scales"))


def _resize_of_old(node: OnnxNode, x: Tensor, scales: np.ndarray) -> Tensor:
    """Before opset 11: asymmetric coordinates, the nearest at or before them (after them when shrinking)."""
    if scales.shape != (x.rank,):
        raise ShapeError(f"{scales.size} scales for the {x.rank} axes of {x.type}")
    mode = {"bilinear": "linear"}.get(node["mode"], node["mode"])
    for axis in _scaled(x, range(x.rank), scales):
        x = _resize_axis(x, axis, mode, "asymmetric", "ceil" if axis.scale < 1 else "floor", node)
    return x


@importer("Resize", since=11)
def resize(node: OnnxNode, x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None) -> Tensor:
    axes = as_axes(range(x.rank) if node["axes"] is None else node["axes"], x.rank)
    if scales is not None and scales.type.size != 0:
        rows = _scaled(x, axes, node.constant(scales, "the scales"))
    elif sizes is not None:
        rows = _sized(node, x, axes, known_dims(sizes, "sizes"))
    else:
        raise InvalidModelError("neither scales nor sizes are given")
    coordinates, extrapolate = node["coordinate_transformation_mode"], None
    if coordinates not in COORDINATES:
        raise InvalidModelError(f"the coordinate_transformation_mode {coordinates!r} is not one of {', '.join(COORDINATES)}")
    if coordinates == "tf_crop_and_resize":
        if roi is None:
            raise InvalidModelError("tf_crop_and_resize needs a region of interest")
        region = node.constant(roi, "the region of interest")
        rows = [Axis(r.index, r.size, r.out, r.scale, (float(region[axes.index(r.index)]), float(region[axes.index(r.index) + len(axes)])))
                for r in rows]
        extrapolate = node["extrapolation_value"]
    if node["antialias"] and node["mode"] != "nearest" and any(not isinstance(r.ratio, float) or r.ratio < 1 for r in rows):
        raise UnsupportedOperatorError("antialias=1 is not supported where an axis shrinks")
    result = x
    for axis in rows:
        result = _resize_axis(result, axis, node["mode"], coordinates, node["nearest_mode"], node, extrapolate)
    return result


def _scaled(x: Tensor, axes, scales: np.ndarray) -> list[Axis]:
    """The axes that scales change; out = floor(in * scale), in float32 as ONNX Runtime computes it."""
    if len(scales) != len(axes) or not (np.isfinite(scales) & (scales > 0)).all():
        raise ShapeError(f"scales {scales.tolist()} for axes {list(axes)} of {x.type}; expected as many positive numbers")
    rows = []
    for index, scale in zip(axes, scales):
        size = x.shape[index]
        if isinstance(size, Dim):
            near = Fraction(float(scale)).limit_denominator(1000)
            exact = near if np.float32(near) == np.float32(scale) else Fraction(float(scale))
            out = floordiv(size * exact.numerator, exact.denominator)
        else:
            out = int(np.floor(np.float32(scale) * np.float32(size)))
        if scale != 1:
            rows.append(Axis(index, size, out, float(scale)))
    return rows


def _sized(node: OnnxNode, x: Tensor, axes, sizes) -> list[Axis]:
    """The axes that sizes change; with a keep_aspect_ratio_policy all by one scale, the smallest or the largest of theirs."""
    if len(sizes) != len(axes):
        raise ShapeError(f"{len(sizes)} sizes for axes {list(axes)} of {x.type}")
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        if not all(isinstance(d, int) for d in (*sizes, *(x.shape[a] for a in axes))):
            raise UnsupportedOperatorError("keep_aspect_ratio_policy needs sizes known when the model is imported")
        choose = min if node["keep_aspect_ratio_policy"] == "not_larger" else max
        scale = choose(Fraction(s, x.shape[a]) for s, a in zip(sizes, axes))
        sizes = tuple(int(scale * x.shape[a] + Fraction(1, 2)) for a in axes)
        return [Axis(a, x.shape[a], s, float(scale)) for a, s in zip(axes, sizes) if scale != 1]
    return [Axis(a, x.shape[a], s, None) for a, s in zip(axes, sizes) if s != x.shape[a]]


# -- one axis ---------------------------------------------------------------------------------------------------------------
def _resize_axis(x: Tensor, axis: Axis, mode: str, coordinates: str, nearest: str, node: OnnxNode, extrapolate: float | None = None) -> Tensor:
    if mode == "nearest" and _repeats(axis, coordinates, nearest):
        return _repeat(x, axis)
    position = COORDINATES[coordinates](ops.iota(np.float32, (axis.out,), 0), axis)
    if mode == "nearest":
        if nearest not in NEAREST:
            raise InvalidModelError(f"the nearest_mode {nearest!r} is not one of {', '.join(NEAREST)}")
        y = ops.gather(x, _index(NEAREST[nearest](position), axis), axis.index)
    elif mode in ("linear", "cubic"):
        dtype = x.dtype
        wide = x if is_float(dtype) else ops.cast(x, np.float32)
        taps = _linear(position, axis) if mode == "linear" else _cubic(position, axis, node)
        y = None
        for index, weight in taps:
            weight = ops.reshape(ops.cast(weight, wide.dtype), (axis.out, *(1,) * (x.rank - 1 - axis.index)))
            term = ops.mul(ops.gather(wide, index, axis.index), weight)
            y = term if y is None else ops.add(y, term)
        y = ops.cast(y, dtype)
    else:
        raise InvalidModelError(f"the mode {mode!r} is not one of nearest, linear, cubic")
    if extrapolate is None:
        return y
    outside = ops.logical_or(ops.lt(position, 0.0), ops.gt(position, _number(axis.size - 1)))
    outside = ops.reshape(outside, (axis.out, *(1,) * (x.rank - 1 - axis.index)))
    return ops.select(outside, ops.as_tensor(extrapolate, y.dtype), y)


def _repeats(axis: Axis, coordinates: str, nearest: str) -> bool:
    """Whether output i is input i // scale: whole scales, where rounding never leaves the pixel."""
    if axis.scale is None:
        whole = isinstance(axis.size, int) and isinstance(axis.out, int) and axis.size and axis.out % axis.size == 0
    else:
        whole = float(axis.scale).is_integer() and axis.out == axis.size * int(axis.scale)
    return bool(whole) and (coordinates == "asymmetric" and nearest == "floor"
                            or coordinates in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel") and nearest.startswith("round"))


def _repeat(x: Tensor, axis: Axis) -> Tensor:
    """Each element `out / size` times, as a broadcast."""
    times = floordiv(axis.out, axis.size)
    before, after = x.shape[:axis.index], x.shape[axis.index + 1:]
    wide = ops.broadcast_to(ops.reshape(x, (*before, axis.size, 1, *after)), (*before, axis.size, times, *after))
    return ops.reshape(wide, (*before, axis.out, *after))


def _index(position: Tensor, axis: Axis) -> Tensor:
    """A position that is an integer as an index inside the axis."""
    last = float(axis.size - 1) if isinstance(axis.size, int) else _number(axis.size - 1)
    return ops.cast(ops.minimum(ops.maximum(position, 0.0), last), np.int64)


def _linear(position: Tensor, axis: Axis) -> list[tuple[Tensor, Tensor]]:
    """The neighbours of a position inside the axis, weighted by nearness."""
    last = float(axis.size - 1) if isinstance(axis.size, int) else _number(axis.size - 1)
    position = ops.minimum(ops.maximum(position, 0.0), last)
    below = ops.floor(position)
    rest = ops.sub(position, below)
    return [(_index(below, axis), ops.sub(np.float32(1), rest)), (_index(ops.add(below, 1.0), axis), rest)]


def _cubic(position: Tensor, axis: Axis, node: OnnxNode) -> list[tuple[Tensor, Tensor]]:
    """Four neighbours, weighted by Keys' kernel (1981) with the parameter cubic_coeff_a."""
    a = node["cubic_coeff_a"]
    below = ops.floor(position)
    s = ops.sub(position, below)

    def near(t: Tensor) -> Tensor:  # |t| <= 1
        return ops.add(ops.mul(ops.sub(ops.mul(t, a + 2), a + 3), ops.mul(t, t)), 1.0)

    def far(t: Tensor) -> Tensor:  # 1 < |t| < 2
        return ops.sub(ops.mul(ops.add(ops.mul(ops.sub(ops.mul(t, a), 5 * a), t), 8 * a), t), 4 * a)

    flipped = ops.sub(np.float32(1), s)
    weights = [far(ops.add(s, 1.0)), near(s), near(flipped), far(ops.add(flipped, 1.0))]
    places = [ops.add(below, float(offset)) for offset in (-1, 0, 1, 2)]
    if node["exclude_outside"]:
        last = _number(axis.size - 1)
        weights = [ops.select(ops.logical_and(ops.ge(p, 0.0), ops.le(p, last)), w, np.float32(0)) for p, w in zip(places, weights)]
        total = ops.add(ops.add(weights[0], weights[1]), ops.add(weights[2], weights[3]))
        weights = [ops.div(w, total) for w in weights]
    return [(_index(p, axis), w) for p, w in zip(places, weights)]

"""Resize and Upsample: what their attributes, scales and sizes say, as the arguments of one operator."""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx import dynamic
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.shapes import as_axes
from dlcompile.graph import Dim, DimLike, Tensor, floordiv, make_constant


@importer("Upsample", since=7)
def upsample_by_attribute(node: OnnxNode, x: Tensor) -> Tensor:
    return _resize_of_old(node, x, node["scales"])


@importer("Upsample", since=9)
@importer("Resize", since=10)
def upsample(node: OnnxNode, x: Tensor, scales: Tensor) -> Tensor:
    return _resize_of_old(node, x, _numbers(scales, "scales"))


def _numbers(vector: Tensor, what: str) -> list[float | Tensor]:
    """The entries of a float vector: numbers, or float32 scalars where they are computed when the model runs."""
    value = constant_value(vector)
    if value is not None:
        return value.ravel().tolist()
    if not isinstance(vector.type.size, int):
        raise UnsupportedOperatorError(f"the {what} are {vector.type}; expected a fixed number of entries")
    if vector.type.size > dynamic.MOST_ENTRIES:
        raise ShapeError(f"the {what} are {vector.type}; expected one or two for each axis")
    known, floats = dynamic.partly_known(vector), ops.cast(vector, np.float32)
    return [dynamic.entry(floats, i) if number is None else number for i, number in enumerate(known)]


def _resize_of_old(node: OnnxNode, x: Tensor, scales: Sequence[float | Tensor]) -> Tensor:
    """Before opset 11: asymmetric coordinates, the nearest at or before them; at or after them along axes that
    shrink."""
    mode = {"bilinear": "linear"}.get(node["mode"], node["mode"])
    _check_scales(x, range(x.rank), scales)
    one = make_constant(np.float32(1))
    for nearest, larger in (("floor", True), ("ceil", False)):
        if node.op_type == "Upsample" and not larger:
            break  # it enlarges only
        clamp = ops.maximum if larger else ops.minimum
        factors = [clamp(s, one) if isinstance(s, Tensor) else s if larger == (s >= 1) else 1.0 for s in scales]
        if any(isinstance(factor, Tensor) or factor != 1 for factor in factors):
            x = ops.resize(
                x,
                scaled_sizes(x.shape, factors),
                scales=factors,
                mode=mode,
                coordinate_mode="asymmetric",
                nearest_mode=nearest,
            )
    return x


@importer("Resize", since=11)
def resize(
    node: OnnxNode, x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    axes = as_axes(range(x.rank) if node["axes"] is None else node["axes"], x.rank)
    if scales is not None and scales.type.size != 0:
        values = _numbers(scales, "scales")
        _check_scales(x, axes, values)
        factors = _for_all(x, axes, values, 1.0)
        target = scaled_sizes(x.shape, factors)
    elif sizes is not None:
        target, factors = _sized(node, x, axes, *dynamic.entries_of(sizes, "sizes"))
    else:
        raise InvalidModelError("neither scales nor sizes are given")
    region = None
    if node["coordinate_transformation_mode"] == "tf_crop_and_resize":
        if roi is None:
            raise InvalidModelError("tf_crop_and_resize needs a region of interest")
        flat = _numbers(roi, "bounds of the region of interest")
        region = _for_all(x, axes, list(zip(flat, flat[len(axes):])), (0.0, 1.0))
    return ops.resize(
        x,
        target,
        scales=factors,
        mode=node["mode"],
        coordinate_mode=node["coordinate_transformation_mode"],
        nearest_mode=node["nearest_mode"],
        cubic_coefficient=node["cubic_coeff_a"],
        exclude_outside=bool(node["exclude_outside"]),
        antialias=bool(node["antialias"]),
        roi=region,
        extrapolation_value=node["extrapolation_value"],
    )


def _for_all(x: Tensor, axes: Sequence[int], values: Sequence, otherwise) -> list:
    """An entry for each axis of `x` from those for some."""
    if len(values) != len(axes):
        raise ShapeError(f"{len(values)} entries for axes {list(axes)} of {x.type}")
    given = dict(zip(axes, values))
    return [given.get(axis, otherwise) for axis in range(x.rank)]


def _check_scales(x: Tensor, axes: Sequence[int], scales: Sequence[float | Tensor]) -> None:
    if len(scales) != len(axes) or any(not isinstance(s, Tensor) and not (np.isfinite(s) and s > 0) for s in scales):
        raise ShapeError(f"scales {list(scales)} for axes {list(axes)} of {x.type}; expected as many positive numbers")


def scaled_sizes(shape: Sequence[DimLike], scales: Sequence[float | Tensor]) -> tuple[DimLike, ...]:
    """floor(extent * scale), in float32 as ONNX Runtime computes it; for symbolic extents by the fraction the scale
    stands for."""
    sizes: list[DimLike] = []
    for extent, scale in zip(shape, scales):
        if isinstance(scale, Tensor):
            size = ops.floor(ops.mul(ops.dim_scalar(extent, np.float32), scale))
            sizes.append(ops.dim_of(ops.cast(size, np.int64)))
        elif isinstance(extent, Dim):
            near = Fraction(float(scale)).limit_denominator(1000)
            exact = near if np.float32(near) == np.float32(scale) else Fraction(float(scale))
            sizes.append(floordiv(extent * exact.numerator, exact.denominator))
        else:
            sizes.append(int(np.floor(np.float32(scale) * np.float32(extent))))
    return tuple(sizes)


def _sized(node: OnnxNode, x: Tensor, axes: Sequence[int], vector: Tensor,
           known: Sequence[DimLike | None]) -> tuple[list[DimLike], list[float | Tensor] | None]:
    """(sizes, scales) for all axes; with a keep_aspect_ratio_policy those of one scale, the smallest or the largest
    that is asked for."""
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    if len(known) != len(axes):
        raise ShapeError(f"{len(known)} sizes for axes {list(axes)} of {x.type}")
    if policy == "stretch":
        return _with(x, axes, dynamic.where_known(vector, known)), None
    if policy not in ("not_larger", "not_smaller"):
        raise InvalidModelError(
            f"the keep_aspect_ratio_policy {policy!r} is not one of stretch, not_larger, not_smaller"
        )
    smallest = policy == "not_larger"
    if all(isinstance(d, int) and d > 0 for d in (*known, *(x.shape[a] for a in axes))):
        scale = (min if smallest else max)(Fraction(s, x.shape[a]) for s, a in zip(known, axes))
        rounded = [int(scale * x.shape[a] + Fraction(1, 2)) for a in axes]
        return _with(x, axes, rounded), _for_all(x, axes, [float(scale)] * len(axes), 1.0)
    extents = [ops.dim_scalar(x.shape[a]) for a in axes]
    up, down = dynamic.entry(vector, 0), extents[0]
    for index, extent in enumerate(extents[1:], 1):  # the smaller fraction, or the larger, exactly
        size = dynamic.entry(vector, index)
        better = (ops.lt if smallest else ops.gt)(ops.mul(size, down), ops.mul(up, extent))
        up, down = ops.select(better, size, up), ops.select(better, extent, down)
    two = make_constant(np.int64(2))
    doubled = [ops.add(ops.mul(ops.mul(up, extent), two), down) for extent in extents]  # half a denominator more
    rounded = [ops.dim_of(ops.div(numerator, ops.mul(down, two))) for numerator in doubled]
    scale = ops.div(ops.cast(up, np.float32), ops.cast(down, np.float32))
    return _with(x, axes, rounded), _for_all(x, axes, [scale] * len(axes), 1.0)


def _with(x: Tensor, axes: Sequence[int], sizes: Sequence[DimLike]) -> list[DimLike]:
    """The shape of `x` with other sizes along some axes."""
    given = dict(zip(axes, sizes, strict=True))
    return [given.get(axis, extent) for axis, extent in enumerate(x.shape)]

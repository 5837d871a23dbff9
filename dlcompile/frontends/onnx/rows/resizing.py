"""Resize and Upsample: what their attributes, scales and sizes say, as the arguments of one operator."""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.shapes import as_axes
from dlcompile.graph import Dim, DimLike, Tensor, floordiv, known_dims


@importer("Upsample", since=7)
def upsample_by_attribute(node: OnnxNode, x: Tensor) -> Tensor:
    return _resize_of_old(node, x, np.asarray(node["scales"]))


@importer("Upsample", since=9)
@importer("Resize", since=10)
def upsample(node: OnnxNode, x: Tensor, scales: Tensor) -> Tensor:
    return _resize_of_old(node, x, node.constant(scales, "the scales"))


def _resize_of_old(node: OnnxNode, x: Tensor, scales: np.ndarray) -> Tensor:
    """Before opset 11: asymmetric coordinates, the nearest at or before them; at or after them along axes that
    shrink."""
    mode = {"bilinear": "linear"}.get(node["mode"], node["mode"])
    _check_scales(x, range(x.rank), scales)
    for nearest, chosen in (("floor", scales >= 1), ("ceil", scales < 1)):
        factors = np.where(chosen, scales, 1.0).tolist()
        if any(factor != 1 for factor in factors):
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
        values = node.constant(scales, "the scales")
        _check_scales(x, axes, values)
        factors = _for_all(x, axes, values.tolist(), 1.0)
        target = scaled_sizes(x.shape, factors)
    elif sizes is not None:
        target, factors = _sized(node, x, axes, known_dims(sizes, "sizes"))
    else:
        raise InvalidModelError("neither scales nor sizes are given")
    region = None
    if node["coordinate_transformation_mode"] == "tf_crop_and_resize":
        if roi is None:
            raise InvalidModelError("tf_crop_and_resize needs a region of interest")
        flat = node.constant(roi, "the region of interest").tolist()
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


def _check_scales(x: Tensor, axes: Sequence[int], scales: np.ndarray) -> None:
    if scales.shape != (len(axes),) or not (np.isfinite(scales) & (scales > 0)).all():
        raise ShapeError(
            f"scales {scales.tolist()} for axes {list(axes)} of {x.type}; expected as many positive numbers"
        )


def scaled_sizes(shape: Sequence[DimLike], scales: Sequence[float]) -> tuple[DimLike, ...]:
    """floor(extent * scale), in float32 as ONNX Runtime computes it; for symbolic extents by the fraction the scale
    stands for."""
    sizes: list[DimLike] = []
    for extent, scale in zip(shape, scales):
        if isinstance(extent, Dim):
            near = Fraction(float(scale)).limit_denominator(1000)
            exact = near if np.float32(near) == np.float32(scale) else Fraction(float(scale))
            sizes.append(floordiv(extent * exact.numerator, exact.denominator))
        else:
            sizes.append(int(np.floor(np.float32(scale) * np.float32(extent))))
    return tuple(sizes)


def _sized(
    node: OnnxNode, x: Tensor, axes: Sequence[int], sizes: Sequence[DimLike]
) -> tuple[list[DimLike], list[float] | None]:
    """(sizes, scales) for all axes; with a keep_aspect_ratio_policy those of one scale, the smallest or the largest
    that is asked for."""
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return _with(x, axes, sizes), None
    if policy not in ("not_larger", "not_smaller"):
        raise InvalidModelError(
            f"the keep_aspect_ratio_policy {policy!r} is not one of stretch, not_larger, not_smaller"
        )
    if not all(isinstance(d, int) and d > 0 for d in (*sizes, *(x.shape[a] for a in axes))):
        raise UnsupportedOperatorError("keep_aspect_ratio_policy needs sizes known when the model is imported")
    scale = (min if policy == "not_larger" else max)(Fraction(s, x.shape[a]) for s, a in zip(sizes, axes))
    rounded = [int(scale * x.shape[a] + Fraction(1, 2)) for a in axes]
    return _with(x, axes, rounded), _for_all(x, axes, [float(scale)] * len(axes), 1.0)


def _with(x: Tensor, axes: Sequence[int], sizes: Sequence[DimLike]) -> list[DimLike]:
    """The shape of `x` with other sizes along some axes."""
    given = dict(zip(axes, sizes, strict=True))
    return [given.get(axis, extent) for axis, extent in enumerate(x.shape)]

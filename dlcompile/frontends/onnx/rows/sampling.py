"""Reading between pixels, in regions and at offsets; windows undone."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx import dynamic
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.shapes import assume_equal
from dlcompile.frontends.onnx.windows import Window
from dlcompile.graph import DimLike, Tensor


@importer("GridSample", since=16)
def grid_sample(node: OnnxNode, x: Tensor, grid: Tensor) -> Tensor:
    if x.rank < 3 or grid.rank != x.rank:
        raise ShapeError(f"a grid for {x.type} has {x.rank} axes, the last of {x.rank - 2} coordinates; it is {grid.type}")
    assume_equal(grid.shape[-1], x.rank - 2, "the coordinates of a point of the grid:")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(node.get("mode", "linear"), node.get("mode", "linear"))
    padding = node.get("padding_mode", "zeros")
    if mode not in ("linear", "nearest", "cubic") or padding not in ("zeros", "border", "reflection"):
        raise InvalidModelError(f"mode {mode!r} with padding_mode {padding!r}")
    return ops.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=bool(node.get("align_corners", 0)))


@importer("AffineGrid", since=20)
def affine_grid(node: OnnxNode, theta: Tensor, size: Tensor) -> Tensor:
    """The points theta [n, d, d + 1] takes those of a regular grid of [-1, 1] to, [n, *size[2:], d]; of an axis with one point the middle, where
    corners are aligned, as PyTorch has it. (ONNX's own body for the operator fails for one image.)"""
    if theta.rank != 3 or size.rank != 1 or size.shape[0] not in (4, 5):
        raise ShapeError(f"theta is {theta.type} and the size {size.type}; expected [n, d, d + 1], and d + 2 sizes for two or three axes")
    d = size.shape[0] - 2
    for extent, expected in zip(theta.shape[1:], (d, d + 1)):
        assume_equal(extent, expected, "the matrices of an affine grid:")
    _, _, *spatial = dynamic.where_known(*dynamic.entries_of(size, "size"))
    columns = [ops.reshape(ops.slice(theta, (0, 0, k), (theta.shape[0], d, k + 1)), (theta.shape[0], *(1,) * d, d)) for k in range(d + 1)]
    y = ops.broadcast_to(columns[d], (theta.shape[0], *spatial, d))
    for column, axis in zip(columns, reversed(range(d))):  # x, which runs along the last axis, comes first
        along = ops.reshape(_coordinates(spatial[axis], theta.dtype, bool(node["align_corners"])), (*(-1 if a == axis else 1 for a in range(d)), 1))
        y = ops.add(y, ops.mul(column, along))
    return y


def _coordinates(count: DimLike, dtype: np.dtype, align_corners: bool) -> Tensor:
    """`count` points of [-1, 1], from end to end or each in the middle of its part."""
    position, number = (ops.cast(t, dtype) for t in (ops.iota(np.int64, (count,)), dynamic.scalar(count)))
    one, two = np.asarray(1, dtype), np.asarray(2, dtype)
    if not align_corners:
        return ops.sub(ops.div(ops.add(ops.mul(position, two), one), number), one)
    ends = ops.sub(ops.div(ops.mul(position, two), ops.maximum(ops.sub(number, one), one)), one)
    return ops.select(ops.eq(number, one), np.zeros((), dtype), ends)


@importer("RoiAlign", since=10)
def roi_align(node: OnnxNode, x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
    default = "half_pixel" if node.version >= 16 else "output_half_pixel"
    return ops.roi_align(
        x, rois, batch, mode=node.get("mode", "avg"), output_height=node.get("output_height", 1), output_width=node.get("output_width", 1),
        sampling_ratio=node.get("sampling_ratio", 0), spatial_scale=float(node.get("spatial_scale", 1.0)),
        coordinate_transformation_mode=node.get("coordinate_transformation_mode", default) or default)


@importer("MaxRoiPool")
def max_roi_pool(node: OnnxNode, x: Tensor, rois: Tensor) -> Tensor:
    return ops.max_roi_pool(x, rois, pooled_shape=node["pooled_shape"], spatial_scale=float(node.get("spatial_scale", 1.0)))


@importer("DeformConv", since=19)
def deform_conv(node: OnnxNode, x: Tensor, w: Tensor, offset: Tensor, bias: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    if x.rank != 4:
        raise InvalidModelError(f"the input is {x.type}; expected a batch of images with two axes")
    window = Window.of(node, x.shape[2:], w.shape[2:])
    for size, extent in zip(node.get("kernel_shape") or (), w.shape[2:]):
        assume_equal(extent, size, "kernel_shape and the weight:")
    return ops.deform_conv(x, w, offset, bias, mask, group=node.get("group", 1), offset_group=node.get("offset_group", 1),
                           strides=window.strides, dilations=window.dilations, pads=(*(p[0] for p in window.padding), *(p[1] for p in window.padding)))


@importer("Col2Im", since=18)
def col2im(node: OnnxNode, x: Tensor, image_shape: Tensor, block_shape: Tensor) -> Tensor:
    image, block = ops.dims_of(ops.cast(image_shape, np.int64)), ops.dims_of(ops.cast(block_shape, np.int64))
    d = len(image)
    return ops.col2im(x, image_shape=image, block_shape=block, strides=node.get("strides", (1,) * d), dilations=node.get("dilations", (1,) * d),
                      pads=node.get("pads", (0,) * 2 * d))


@importer("MaxUnpool", since=9)
def max_unpool(node: OnnxNode, x: Tensor, indices: Tensor, output_shape: Tensor | None = None) -> Tensor:
    """Indices count in the shape that pooling comes from; where the output is given a larger one, the rest of it is 0."""
    kernel = node["kernel_shape"]
    d = len(kernel)
    strides, pads = node.get("strides", (1,) * d), node.get("pads", (0,) * 2 * d)
    inferred = tuple((size - 1) * s - pads[i] - pads[d + i] + k for i, (size, k, s) in enumerate(zip(x.shape[2:], kernel, strides)))
    shape = (*x.shape[:2], *inferred)
    y = ops.max_unpool(x, indices, shape)
    if output_shape is None:
        return y
    wanted = ops.dims_of(output_shape)
    return ops.pad(y, np.zeros((), x.dtype), (0,) * len(wanted), tuple(a - b for a, b in zip(wanted, shape)))

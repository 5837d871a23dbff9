"""Reading between pixels, in regions and at offsets; windows undone."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.shapes import assume_equal
from dlcompile.frontends.onnx.windows import Window
from dlcompile.graph import Tensor


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

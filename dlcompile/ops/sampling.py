"""Reading between pixels and in regions, transforms of signals, and determinants (see `operators.sampling`, `operators.signal`)."""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile.graph import DimLike, Tensor, apply
from dlcompile.ops.core import TensorLike, as_tensor, axis_index


def grid_sample(x: TensorLike, grid: TensorLike, *, mode: str = "linear", padding_mode: str = "zeros", align_corners: bool = False) -> Tensor:
    """x [n, c, *spatial] at the points of `grid` [n, *points, d] in [-1, 1]: [n, c, *points]."""
    return apply("grid_sample", as_tensor(x), as_tensor(grid), mode=mode, padding_mode=padding_mode, align_corners=int(align_corners))


def roi_align(x: TensorLike, rois: TensorLike, batch: TensorLike, **attributes) -> Tensor:
    """Regions of x [n, c, h, w] sampled to one size; the attributes are those of ONNX's RoiAlign."""
    return apply("roi_align", as_tensor(x), as_tensor(rois), as_tensor(batch), **attributes)


def max_roi_pool(x: TensorLike, rois: TensorLike, *, pooled_shape: Sequence[int], spatial_scale: float = 1.0) -> Tensor:
    """The largest elements of bins of regions (batch, x1, y1, x2, y2) of x [n, c, h, w]."""
    return apply("max_roi_pool", as_tensor(x), as_tensor(rois), pooled_shape=tuple(pooled_shape), spatial_scale=spatial_scale)


def deform_conv(x: TensorLike, w: TensorLike, offset: TensorLike, bias: TensorLike | None = None, mask: TensorLike | None = None,
                **attributes) -> Tensor:
    """Convolution with an offset for each tap; the attributes are those of ONNX's DeformConv, none left out."""
    rest = [as_tensor(t) for t in (bias, mask) if t is not None]
    return apply("deform_conv", as_tensor(x), as_tensor(w), as_tensor(offset), *rest, has_bias=bias is not None, has_mask=mask is not None,
                 **attributes)


def col2im(x: TensorLike, *, image_shape: Sequence[DimLike], block_shape: Sequence[DimLike], strides: Sequence[int], dilations: Sequence[int],
           pads: Sequence[int]) -> Tensor:
    """Columns [n, c*kernel, blocks] added up into images [n, c, *image_shape]."""
    return apply("col2im", as_tensor(x), image_shape=tuple(image_shape), block_shape=tuple(block_shape), strides=tuple(strides),
                 dilations=tuple(dilations), pads=tuple(pads))


def max_unpool(x: TensorLike, indices: TensorLike, shape: Sequence[DimLike]) -> Tensor:
    """Zeros of the given shape with the elements of `x` at flat `indices`."""
    return apply("max_unpool", as_tensor(x), as_tensor(indices), shape=tuple(shape))


def max_pool_indices(x: TensorLike, **attributes) -> Tensor:
    """Flat indices (int64) of the largest elements of windows; window, strides, dilation, padding and storage_order are given."""
    return apply("max_pool_indices", as_tensor(x), **attributes)


def dft(x: TensorLike, axis: int, *, inverse: bool = False) -> Tensor:
    """The discrete Fourier transform of x [..., 2] (real and imaginary parts last) along an axis; the inverse is divided by its length."""
    x = as_tensor(x)
    return apply("dft", x, axis=axis_index(axis, x.rank - 1), inverse=bool(inverse))


def det(x: TensorLike) -> Tensor:
    """Determinants of matrices [..., n, n]."""
    return apply("det", as_tensor(x))

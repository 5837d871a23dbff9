"""Normalisations, as ONNX defines them. Statistics of 16-bit floats are taken in float32."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import Tensor, is_half
from dlcompile.operators.composite import composite, scalar


def _normalized(x: Tensor, axes, epsilon: float) -> Tensor:
    """(x - mean) / √(variance + epsilon) over `axes`"""
    centered = ops.sub(x, ops.reduce_mean(x, axes, keepdims=True))
    variance = ops.reduce_mean(ops.mul(centered, centered), axes, keepdims=True)
    return ops.mul(centered, ops.rsqrt(ops.add(variance, scalar(x, epsilon))))


def _in_float32(x: Tensor) -> Tensor:
    return ops.cast(x, np.float32) if is_half(x.dtype) else x


def _channelwise(values: Tensor, rank: int, axis: int = 1) -> Tensor:
    """A vector as a tensor that broadcasts along one axis."""
    return ops.reshape(values, tuple(-1 if i == axis else 1 for i in range(rank)) if rank else (-1,))


@composite("layer_normalization")
def layer_normalization(attributes, x: Tensor, scale: Tensor, *bias: Tensor) -> Tensor:
    """Over the axes from `axis` on, times scale, plus bias. (Ba et al. 2016)"""
    axes = tuple(range(attributes["axis"] % x.rank, x.rank))
    y = ops.mul(ops.cast(_normalized(_in_float32(x), axes, attributes["epsilon"]), x.dtype), scale)
    return ops.add(y, bias[0]) if bias else y


@composite("rms_normalization")
def rms_normalization(attributes, x: Tensor, scale: Tensor) -> Tensor:
    """x / √(mean(x²) + epsilon) over the axes from `axis` on, times scale. (Zhang & Sennrich 2019)"""
    axes = tuple(range(attributes["axis"] % x.rank, x.rank))
    wide = _in_float32(x)
    mean = ops.reduce_mean(ops.mul(wide, wide), axes, keepdims=True)
    return ops.mul(ops.cast(ops.mul(wide, ops.rsqrt(ops.add(mean, scalar(wide, attributes["epsilon"])))), x.dtype), scale)


@composite("batch_normalization")
def batch_normalization(attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Inference: (x - mean) * scale / √(variance + epsilon) + bias, one of each for an element of `axis` (default 1)"""
    axis = attributes.get("axis", 1) if x.rank > 1 else 0
    factor = ops.mul(scale, ops.rsqrt(ops.add(variance, scalar(variance, attributes["epsilon"]))))
    factor, mean, bias = (ops.cast(_channelwise(t, x.rank, axis), x.dtype) for t in (factor, mean, bias))
    return ops.add(ops.mul(ops.sub(x, mean), factor), bias)


@composite("instance_normalization")
def instance_normalization(attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Over the spatial axes of each image and channel of x [N, C, *S], times scale, plus bias"""
    y = ops.cast(_normalized(_in_float32(x), tuple(range(2, x.rank)), attributes["epsilon"]), x.dtype)
    return ops.add(ops.mul(y, _channelwise(scale, x.rank)), _channelwise(bias, x.rank))


@composite("group_normalization")
def group_normalization(attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Over the channels of a group and the spatial axes of x [N, C, *S]; scale and bias have a value for each channel"""
    groups, channels = attributes["num_groups"], x.shape[1]
    if groups == 1:
        y = ops.cast(_normalized(_in_float32(x), tuple(range(1, x.rank)), attributes["epsilon"]), x.dtype)
        return ops.add(ops.mul(y, _channelwise(scale, x.rank)), _channelwise(bias, x.rank))
    shape = (x.shape[0], groups, channels // groups, *x.shape[2:])
    scale, bias = (ops.reshape(t, (groups, channels // groups, *(1,) * (x.rank - 2))) for t in (scale, bias))
    y = ops.cast(_normalized(_in_float32(ops.reshape(x, shape)), tuple(range(2, x.rank + 1)), attributes["epsilon"]), x.dtype)
    return ops.reshape(ops.add(ops.mul(y, scale), bias), x.shape)


@composite("lrn")
def lrn(attributes, x: Tensor) -> Tensor:
    """x / (bias + alpha/size * Σ x²)**beta over `size` neighbouring channels of x [N, C, *S] (Krizhevsky et al. 2012)"""
    size = attributes["size"]
    ones = (1,) * x.rank
    window = tuple(size if a == 1 else 1 for a in range(x.rank))
    padding = tuple(((size - 1) // 2, size - 1 - (size - 1) // 2) if a == 1 else (0, 0) for a in range(x.rank))
    squares = ops.reduce_window(ops.mul(x, x), "sum", window, ones, padding)
    base = ops.add(ops.mul(squares, scalar(x, attributes["alpha"] / size)), scalar(x, attributes["bias"]))
    return ops.mul(x, ops.pow(base, scalar(x, -attributes["beta"])))


@composite("lp_normalization")
def lp_normalization(attributes, x: Tensor) -> Tensor:
    """x divided by its `p`-norm (1 or 2) along `axis`; 0 where that is 0"""
    axis = (attributes["axis"],)
    if attributes["p"] == 1:
        norm = ops.reduce_sum(ops.abs(x), axis, keepdims=True)
    else:
        norm = ops.sqrt(ops.reduce_sum(ops.mul(x, x), axis, keepdims=True))
    return ops.select(ops.eq(norm, scalar(x, 0)), scalar(x, 0), ops.div(x, norm))


@composite("mean_variance_normalization")
def mean_variance_normalization(attributes, x: Tensor) -> Tensor:
    """(x - mean) / (√variance + 1e-9) over `axes`"""
    axes = attributes["axes"]
    centered = ops.sub(x, ops.reduce_mean(x, axes, keepdims=True))
    deviation = ops.sqrt(ops.reduce_mean(ops.mul(centered, centered), axes, keepdims=True))
    return ops.div(centered, ops.add(deviation, scalar(x, 1e-9)))

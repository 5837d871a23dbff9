"""Normalisations and softmax."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.shapes import as_axis
from dlcompile.graph import Tensor, floordiv, product

ALONG_AXIS = {"Softmax": ops.softmax, "LogSoftmax": ops.log_softmax, "Hardmax": ops.hardmax}


def _of_two(function):
    """Before opset 13: over all axes from `axis` on, as one."""
    def row(node: OnnxNode, x: Tensor) -> Tensor:
        axis = as_axis(node["axis"], x.rank)
        if all(d == 1 for d in x.shape[axis + 1:]):
            return function(x, axis)
        flat = ops.reshape(x, (product(x.shape[:axis]), product(x.shape[axis:])))
        return ops.reshape(function(flat, 1), x.shape)
    return row


def _of_axis(function):
    return lambda node, x: function(x, as_axis(node["axis"], x.rank))


for _name, _function in ALONG_AXIS.items():
    importer(_name)(_of_two(_function))
    importer(_name, since=13)(_of_axis(_function))


@importer("BatchNormalization")
def batch_normalization(
    node: OnnxNode, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    if node["spatial"] == 0:
        raise UnsupportedOperatorError("spatial=0 (statistics for each element) is not supported")
    if node["training_mode"]:
        return _training_batch_normalization(node, x, scale, bias, mean, variance)
    return ops.batch_normalization(x, scale, bias, mean, variance, epsilon=node["epsilon"])


def _training_batch_normalization(node: OnnxNode, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> list[Tensor]:
    """With the batch's own statistics, population variance; then the running ones: momentum·old + (1 - momentum)·new."""
    axes = tuple(a for a in range(x.rank) if a != 1)
    wide = ops.cast(x, mean.dtype)
    here = ops.reduce_mean(wide, axes, True)
    centred = ops.sub(wide, here)
    spread = ops.reduce_mean(ops.mul(centred, centred), axes)
    here = ops.reshape(here, mean.shape)
    y = ops.batch_normalization(x, scale, bias, here, spread, epsilon=node["epsilon"])
    kept = np.asarray(node["momentum"], mean.dtype)
    new = np.asarray(1 - node["momentum"], mean.dtype)
    running = [ops.add(ops.mul(old, kept), ops.mul(now, new)) for old, now in ((mean, here), (variance, spread))]
    return [y, *running][:max(len(node.proto.output), 1)]


@importer("InstanceNormalization")
def instance_normalization(node: OnnxNode, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return ops.instance_normalization(x, scale, bias, epsilon=node["epsilon"])


@importer("GroupNormalization", since=18)
def group_normalization_by_group(node: OnnxNode, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Scale and bias for each group; since opset 21 for each channel."""
    groups, channels = node["num_groups"], x.shape[1]
    if groups < 1 or (isinstance(channels, int) and channels % groups):
        raise ShapeError(f"{channels} channels are not a multiple of {groups} groups")
    wide = (groups, floordiv(channels, groups))
    scale, bias = (ops.reshape(ops.broadcast_to(ops.reshape(t, (groups, 1)), wide), (channels,)) for t in (scale, bias))
    return ops.group_normalization(x, scale, bias, num_groups=groups, epsilon=node["epsilon"])


@importer("GroupNormalization", since=21)
def group_normalization(node: OnnxNode, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups, channels = node["num_groups"], x.shape[1]
    if groups < 1 or (isinstance(channels, int) and channels % groups):
        raise ShapeError(f"{channels} channels are not a multiple of {groups} groups")
    return ops.group_normalization(x, scale, bias, num_groups=groups, epsilon=node["epsilon"])


@importer("LayerNormalization", since=17)
@importer("LayerNormalization")  # which exporters wrote before ONNX had it
def layer_normalization(node: OnnxNode, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
    """The normalised tensor, and where they are asked for the mean and the inverse of the deviation."""
    axis, epsilon = as_axis(node.get("axis", -1), x.rank), node.get("epsilon", 1e-5)
    y = ops.layer_normalization(x, scale, bias, axis=axis, epsilon=epsilon)
    if len(node.proto.output) == 1:
        return (y,)
    axes, wide = tuple(range(axis, x.rank)), ops.cast(x, np.float32)
    mean = ops.reduce_mean(wide, axes, True)
    variance = ops.reduce_mean(ops.square(ops.sub(wide, mean)), axes, True)
    return y, mean, ops.rsqrt(ops.add(variance, epsilon))


@importer("SkipLayerNormalization", domain="com.microsoft")
def skip_layer_normalization(node: OnnxNode, x: Tensor, skip: Tensor, scale: Tensor, bias: Tensor | None = None,
                             inner: Tensor | None = None) -> tuple[Tensor, ...]:
    total = ops.add(x, skip) if inner is None else ops.add(ops.add(x, skip), inner)
    y = ops.layer_normalization(total, scale, bias, axis=-1, epsilon=node.get("epsilon", 1e-12))
    if any(node.proto.output[1:3]):
        raise UnsupportedOperatorError("the outputs mean and inv_std_var are not supported")
    return y, y, y, total


@importer("RMSNormalization", since=23)
def rms_normalization(node: OnnxNode, x: Tensor, scale: Tensor) -> Tensor:
    return ops.rms_normalization(x, scale, axis=as_axis(node["axis"], x.rank), epsilon=node["epsilon"])


@importer("SimplifiedLayerNormalization")
@importer("SimplifiedLayerNormalization", domain="com.microsoft")
def simplified_layer_normalization(node: OnnxNode, x: Tensor, scale: Tensor) -> Tensor:
    return ops.rms_normalization(
        x, scale, axis=as_axis(node.get("axis", -1), x.rank), epsilon=node.get("epsilon", 1e-5)
    )


@importer("LRN")
def lrn(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.lrn(x, size=node["size"], alpha=node["alpha"], beta=node["beta"], bias=node["bias"])


@importer("LpNormalization")
def lp_normalization(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.lp_normalization(x, axis=as_axis(node["axis"], x.rank), p=node["p"])


@importer("MeanVarianceNormalization", since=9)
def mean_variance_normalization(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.mean_variance_normalization(x, tuple(as_axis(a, x.rank) for a in node.get("axes", (0, 2, 3))))

"""Pooling, transposed convolution, and depth against space."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import Tensor, floordiv, make_constant, product
from dlcompile.operators.composite import composite, scalar


@composite("conv_transpose")
def conv_transpose(attributes, x: Tensor, w: Tensor) -> Tensor:
    """A convolution of the input spread by the strides with the kernel turned round and its channels exchanged"""
    n, groups = x.rank - 2, attributes["groups"]
    last = attributes["layout"] == "channels_last"
    if last:  # [*K, O/g, C] → [C, O/g, *K]
        w = ops.transpose(w, (n + 1, n, *range(n)))
    channels, out, *kernel = w.shape
    padding = []
    for k, d, (low, high), extra in zip(kernel, attributes["dilations"], attributes["padding"], attributes["output_padding"]):
        span = d * (k - 1)
        padding.append((span - low, span - high + extra))
    turned = ops.reverse(w, tuple(range(2, n + 2)))  # [C, O/g, *K] → [g, C/g, O/g, *K] → [O, C/g, *K]
    apart = ops.reshape(turned, (groups, floordiv(channels, groups), out, *kernel))
    kernel_first = ops.reshape(ops.transpose(apart, (0, 2, 1, *range(3, n + 3))), (groups * out, floordiv(channels, groups), *kernel))
    if last:
        kernel_first = ops.transpose(kernel_first, (*range(2, n + 2), 1, 0))
    return ops.conv_general(x, kernel_first, padding=padding, lhs_dilation=attributes["strides"], rhs_dilation=attributes["dilations"],
                            groups=groups, layout=attributes["layout"])


@composite("average_pool")
def average_pool(attributes, x: Tensor) -> Tensor:
    """The sum of each window over the number of its elements; of padded ones those inside unless `count_include_pad`"""
    arguments = ((1, 1, *attributes["window"]), (1, 1, *attributes["strides"]), ((0, 0), (0, 0), *attributes["padding"]),
                 (1, 1, *attributes["dilation"]))
    total = ops.reduce_window(x, "sum", *arguments)
    if attributes["count_include_pad"] or all(p == (0, 0) for p in attributes["padding"]):
        return ops.div(total, scalar(x, product(attributes["window"])))
    ones = ops.broadcast_to(make_constant(np.ones((), x.dtype)), (1, 1, *x.shape[2:]))
    return ops.div(total, ops.reduce_window(ones, "sum", *arguments))


@composite("depth_to_space", rounds=False)
def depth_to_space(attributes, x: Tensor) -> Tensor:
    """[N, C*b*b, H, W] → [N, C, H*b, W*b]; mode DCR takes the channels as [b, b, C], CRD as [C, b, b]"""
    b = attributes["blocksize"]
    n, depth, h, w = x.shape
    c = floordiv(depth, b * b)
    if attributes["mode"] == "DCR":
        y = ops.transpose(ops.reshape(x, (n, b, b, c, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        y = ops.transpose(ops.reshape(x, (n, c, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(y, (n, c, h * b, w * b))


@composite("space_to_depth", rounds=False)
def space_to_depth(attributes, x: Tensor) -> Tensor:
    """[N, C, H*b, W*b] → [N, b*b*C, H, W]"""
    b = attributes["blocksize"]
    n, c, h, w = x.shape
    y = ops.reshape(x, (n, c, floordiv(h, b), b, floordiv(w, b), b))
    return ops.reshape(ops.transpose(y, (0, 3, 5, 1, 2, 4)), (n, c * b * b, floordiv(h, b), floordiv(w, b)))

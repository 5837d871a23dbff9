"""Pooling over windows and over whole spatial axes."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.rows.elementwise import scalar
from dlcompile.frontends.onnx.windows import Window
from dlcompile.graph import Tensor, dim_min, make_constant


def _window(node: OnnxNode, x: Tensor) -> Window:
    if x.rank < 3:
        raise ShapeError(f"expected batch, channels and spatial axes, not {x.type}")
    if min(node.get("pads") or (0,)) < 0:
        raise InvalidModelError(f"the pads are {list(node['pads'])}; expected none below 0")
    return Window.of(node, x.shape[2:], node["kernel_shape"], bool(node["ceil_mode"]))


def _reduce_window(x: Tensor, kind: str, window: Window) -> Tensor:
    return ops.reduce_window(
        x,
        kind,
        (1, 1, *window.kernel),
        (1, 1, *window.strides),
        ((0, 0), (0, 0), *window.padding),
        (1, 1, *window.dilations),
    )


@importer("MaxPool")
def max_pool(node: OnnxNode, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    """The largest elements, and where they are, if anybody asks."""
    window = _window(node, x)
    largest = _reduce_window(x, "max", window)
    if len(node.proto.output) < 2 or not node.proto.output[1]:
        return largest
    return largest, ops.max_pool_indices(x, window=window.kernel, strides=window.strides, dilation=window.dilations, padding=window.padding,
                                         storage_order=node.get("storage_order", 0))


@importer("AveragePool")
def average_pool(node: OnnxNode, x: Tensor) -> Tensor:
    """The sum of each window over the number of its elements: those inside x, with `count_include_pad` those in the
    padding too."""
    window, with_padding = _window(node, x), bool(node["count_include_pad"])
    if not with_padding or window.padding == window.given:
        return ops.average_pool(
            x,
            window=window.kernel,
            strides=window.strides,
            padding=window.padding,
            dilation=window.dilations,
            count_include_pad=with_padding,
        )
    return ops.div(_reduce_window(x, "sum", window), _counts_with_padding(window, x))


def _counts_with_padding(window: Window, x: Tensor) -> Tensor:
    """Elements of each window in x and in its padding, less what ceil_mode lets the last one reach over."""
    inside = tuple((low, dim_min(high, given)) for (low, high), (_, given) in zip(window.padding, window.given))
    over = tuple((0, after - high) for (_, after), (_, high) in zip(window.padding, inside))
    one = make_constant(np.ones((), x.dtype))
    ones = ops.broadcast_to(one, (1, 1, *(low + size + high for size, (low, high) in zip(x.shape[2:], inside))))
    return _reduce_window(ones, "sum", replace(window, padding=over))


@importer("LpPool")
def lp_pool(node: OnnxNode, x: Tensor) -> Tensor:
    """(sum |x|^p)^(1/p) of each window."""
    return _root(_reduce_window(_power(x, node["p"]), "sum", _window(node, x)), node["p"])


def _power(x: Tensor, p: float) -> Tensor:
    return ops.abs(x) if p == 1 else ops.mul(x, x) if p == 2 else ops.pow(ops.abs(x), scalar(p, x))


def _root(x: Tensor, p: float) -> Tensor:
    return x if p == 1 else ops.sqrt(x) if p == 2 else ops.pow(x, scalar(1 / p, x))


def _spatial(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.rank))


@importer("GlobalAveragePool")
def global_average_pool(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.reduce_mean(x, _spatial(x), True)


@importer("GlobalMaxPool")
def global_max_pool(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.reduce_max(x, _spatial(x), True)


@importer("GlobalLpPool")
def global_lp_pool(node: OnnxNode, x: Tensor) -> Tensor:
    return _root(ops.reduce_sum(_power(x, node["p"]), _spatial(x), True), node["p"])

"""Reductions, searches along an axis, running sums."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.frontends.onnx import dynamic
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.shapes import as_axes, as_axis, axes_of
from dlcompile.graph import Tensor, is_half, is_integer


def _wider(reduction, rooted: bool = False):
    """A reduction of several steps: of 16-bit floats computed in float32 and rounded once, of integers, where there is a root or a logarithm
    among the steps, in float64 and cut off to an integer again."""
    def reduce(x: Tensor, axes, keepdims) -> Tensor:
        if is_half(x.dtype):
            wide = np.float32
        elif rooted and is_integer(x.dtype):
            wide = np.float64
        else:
            return reduction(x, axes, keepdims)
        return ops.cast(reduction(ops.cast(x, wide), axes, keepdims), x.dtype)
    return reduce


REDUCTIONS = {
    "ReduceSum": ops.reduce_sum,
    "ReduceProd": ops.reduce_prod,
    "ReduceMax": ops.reduce_max,
    "ReduceMin": ops.reduce_min,
    "ReduceMean": ops.reduce_mean,
    "ReduceL1": lambda x, axes, keepdims: ops.reduce_sum(ops.abs(x), axes, keepdims),
    "ReduceL2": _wider(lambda x, axes, keepdims: ops.sqrt(ops.reduce_sum(ops.mul(x, x), axes, keepdims)), rooted=True),
    "ReduceSumSquare": _wider(lambda x, axes, keepdims: ops.reduce_sum(ops.mul(x, x), axes, keepdims)),
    "ReduceLogSum": _wider(lambda x, axes, keepdims: ops.log(ops.reduce_sum(x, axes, keepdims)), rooted=True),
    "ReduceLogSumExp": _wider(ops.logsumexp, rooted=True),
}


def _reduce(reduction, x: Tensor, axes, keepdims, keep_if_none: bool = False) -> Tensor:
    if not axes:  # left out and empty mean the same: all axes, or none with noop_with_empty_axes
        if keep_if_none:
            return reduction(x, (), True)
        axes = range(x.rank)
    axes = tuple(sorted(as_axes(axes, x.rank)))
    return reduction(x, axes, bool(keepdims))


def _by_attribute(reduction):
    return lambda node, x: _reduce(reduction, x, node["axes"], node["keepdims"])


def _by_input(reduction):
    def row(node: OnnxNode, x: Tensor, axes: Tensor | None = None) -> Tensor:
        keep_if_none = bool(node["noop_with_empty_axes"])
        if not dynamic.known_axes(axes) and axes.type.size != 0:
            return dynamic.reduced(reduction, x, axes, bool(node["keepdims"]), keep_if_none)
        given = () if axes is None or axes.type.size == 0 else axes_of(axes)
        return _reduce(reduction, x, given, node["keepdims"], keep_if_none)

    return row


for _name, _reduction in REDUCTIONS.items():
    importer(_name)(_by_attribute(_reduction))
    importer(_name, since=13 if _name == "ReduceSum" else 18)(_by_input(_reduction))


@importer("ArgMax", "ArgMin")
def arg_max(node: OnnxNode, x: Tensor) -> Tensor:
    search = ops.argmax if node.op_type == "ArgMax" else ops.argmin
    return search(
        x,
        as_axis(node["axis"], x.rank),
        keepdims=bool(node["keepdims"]),
        select_last_index=bool(node["select_last_index"]),
    )


@importer("CumSum", since=11)
@importer("CumProd", since=26)
def cumulative(node: OnnxNode, x: Tensor, axis: Tensor) -> Tensor:
    run = ops.cumsum if node.op_type == "CumSum" else ops.cumprod
    flags = {"exclusive": bool(node["exclusive"]), "reverse": bool(node["reverse"])}
    known = constant_value(axis)
    if known is None:
        return dynamic.along(x, axis, lambda t: run(t, 1, **flags))
    return run(x, as_axis(int(known.item()), x.rank), **flags)

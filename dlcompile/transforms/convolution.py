"""Convolutions as what they come down to: products, dense convolutions per phase of a transposed one, two spatial axes.

All rules are for channels-last convolutions, x [N, *S, C] with w [*K, C/groups, O]; `layout` brings the others there.
"""
from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from dlcompile import ops
from dlcompile.graph import DimLike, Node, Tensor, ceildiv, make_constant, product
from dlcompile.transforms.rewrite import Answer, Table


def pointwise_convolution(node: Node) -> Answer:
    """conv(x, w of extent 1; stride 1, no padding) → dot(x, reshape(w, [C, O])) over the channels."""
    x, w = node.inputs
    if not _is_plain(node, w.shape[:-2]) or any(k != 1 for k in w.shape[:-2]):
        return None
    return ops.matmul(x, ops.reshape(w, w.shape[-2:]))


def convolution_of_full_extent(node: Node) -> Answer:
    """conv(x, w as large as x; no padding) → dot(reshape(x, [N, S*C]), reshape(w, [S*C, O])): a dense layer."""
    x, w = node.inputs
    if not _is_plain(node, None) or x.shape[1:-1] != w.shape[:-2]:
        return None
    rows = product(w.shape[:-1])
    y = ops.matmul(ops.reshape(x, (x.shape[0], rows)), ops.reshape(w, (rows, w.shape[-1])))
    return ops.reshape(y, node.output.shape)


def convolution_over_one_axis(node: Node) -> Answer:
    """conv(x [N, L, C], w [K, C, O]) → reshape(conv(x [N, 1, L, C], w [1, K, C, O]))."""
    x, w = node.inputs
    if x.rank != 3 or node.attributes["layout"] != "channels_last":
        return None
    attributes = dict(node.attributes)
    for name, neutral in (("strides", 1), ("padding", (0, 0)), ("lhs_dilation", 1), ("rhs_dilation", 1)):
        attributes[name] = (neutral, *attributes[name])
    y = ops.conv_general(ops.reshape(x, (x.shape[0], 1, *x.shape[1:])), ops.reshape(w, (1, *w.shape)), **attributes)
    return ops.reshape(y, node.output.shape)


# -- transposed convolutions ------------------------------------------------------------------------------------------------
def strided_transposed_convolution(node: Node) -> Answer:
    """conv(x, w; lhs_dilation, strides t) → conv(x, w; lhs_dilation, stride 1)[::t]."""
    strides = node.attributes["strides"]
    if not _is_transposed(node) or all(t == 1 for t in strides):
        return None
    y = ops.conv_general(*node.inputs, **{**node.attributes, "strides": (1,) * len(strides)})
    limit = (y.shape[0], *((n - 1) * t + 1 for n, t in zip(node.output.shape[1:-1], strides)), y.shape[-1])
    return ops.slice(y, (0,) * y.rank, limit, (1, *strides, 1))


MOST_SPREAD = 1 << 24  # elements of weights with zeros between them


def dilated_transposed_convolution(node: Node) -> Answer:
    """conv(x, w; lhs_dilation, rhs_dilation) → conv(x, w with zeros between its taps; lhs_dilation), for a constant
    w."""
    w, dilation = node.inputs[1], node.attributes["rhs_dilation"]
    if not _is_transposed(node) or all(d == 1 for d in dilation) or not w.is_constant:
        return None
    extents = [*((k - 1) * d + 1 for k, d in zip(w.shape, dilation)), *w.shape[-2:]]
    if math.prod(extents) > MOST_SPREAD:
        return None
    spread = np.zeros(extents, w.dtype)
    spread[tuple(np.s_[::d] for d in dilation)] = w.value
    attributes = {**node.attributes, "rhs_dilation": (1,) * len(dilation)}
    return ops.conv_general(node.inputs[0], make_constant(spread), **attributes)


def transposed_convolution_of_blocks(node: Node) -> Answer:
    """conv_transpose(x, w; kernel = stride, no padding) → depth_to_space(dot(x, w')): every input pixel makes a block
    of its own.

    With k taps, lhs_dilation k and padding k-1 on both sides: y[i*k + a] = x[i] · w[k-1-a].
    """
    x, w = node.inputs
    kernel = w.shape[:-2]
    if not _is_undilated_transposed(node) or node.attributes["groups"] != 1 or node.attributes["lhs_dilation"] != kernel:
        return None
    if any(pair != (k - 1, k - 1) for pair, k in zip(node.attributes["padding"], kernel)):
        return None
    n = len(kernel)
    taps = ops.transpose(ops.reverse(w, tuple(range(n))), (n, *range(n), n + 1))  # [C, *K, O]
    y = ops.matmul(x, ops.reshape(taps, (w.shape[-2], product(kernel) * w.shape[-1])))
    return _interleave(y, x.shape[1:-1], kernel, w.shape[-1])


@dataclass(frozen=True)
class _Phase:
    """Outputs r, r+s, r+2s, … along one axis: taps first, first+s, … of the kernel, on inputs that start `low` before
    the first."""

    first: int
    taps: int
    low: int
    high: DimLike


MOST_PHASES = 256  # each is a kernel


def transposed_convolution_by_phases(node: Node) -> Answer:
    """conv(x, w; lhs_dilation s) → interleave(conv(x, w[first::s]) for each of the s phases of an output axis).

    y[q*s + r] = Σ_j w[j] · x[(q*s + r + j - low) / s] over the taps j that make the index whole: j = first, first+s, …
    Each phase is a convolution without dilation; no multiplication by an inserted zero is left.
    """
    padding = node.attributes["padding"]
    if not _is_undilated_transposed(node) or not all(isinstance(p, int) for pair in padding for p in pair):
        return None
    x, w = node.inputs
    steps = node.attributes["lhs_dilation"]
    if math.prod(steps) > MOST_PHASES:
        return None
    sizes = node.output.shape[1:-1]
    counts = tuple(ceildiv(size, s) for size, s in zip(sizes, steps))
    parts = []
    for phase in itertools.product(*(range(s) for s in steps)):
        axes = [_phase(r, s, k, low, n, count) for r, s, k, (low, _), n, count in zip(
            phase, steps, w.shape, padding, x.shape[1:], counts)]
        if not all(isinstance(axis.high, int) for axis in axes):
            return None
        parts.append(_phase_convolution(node, axes, counts))
    y = _interleave(ops.concatenate(parts, x.rank - 1) if len(parts) > 1 else parts[0], counts, steps, w.shape[-1])
    return ops.slice(y, (0,) * y.rank, node.output.shape)


def _phase(r: int, s: int, k: int, low: int, extent: DimLike, count: DimLike) -> _Phase:
    first = (low - r) % s
    taps = max(0, -(-(k - first) // s))
    before = (low - r - first) // s
    return _Phase(first, taps, before, count + taps - 1 - extent - before)


def _phase_convolution(node: Node, axes: list[_Phase], counts: tuple[DimLike, ...]) -> Tensor:
    x, w = node.inputs
    if any(axis.taps == 0 for axis in axes):
        return ops.broadcast_to(make_constant(np.zeros((), x.dtype)), (x.shape[0], *counts, w.shape[-1]))
    steps = node.attributes["lhs_dilation"]
    if w.is_constant:
        every = tuple(np.s_[axis.first::s] for axis, s in zip(axes, steps))
        taps = make_constant(np.ascontiguousarray(w.value[every]))
    else:
        taps = ops.slice(w, (*(axis.first for axis in axes), 0, 0), w.shape, (*steps, 1, 1))
    start = (0, *(max(0, -axis.low) for axis in axes), 0)
    limit = (x.shape[0], *(n - max(0, -axis.high) for n, axis in zip(x.shape[1:], axes)), x.shape[-1])
    ones = (1,) * len(axes)
    padding = tuple((max(0, axis.low), max(0, axis.high)) for axis in axes)
    return ops.conv_general(ops.slice(x, start, limit), taps,
                            **{**node.attributes, "strides": ones, "lhs_dilation": ones, "padding": padding})


def _interleave(y: Tensor, counts, steps, channels: DimLike) -> Tensor:
    """[N, *Q, s1*s2*…*O] → [N, Q1*s1, Q2*s2, …, O]."""
    n = len(steps)
    y = ops.reshape(y, (y.shape[0], *counts, *steps, channels))
    y = ops.transpose(y, (0, *(axis for d in range(n) for axis in (1 + d, 1 + n + d)), 1 + 2 * n))
    return ops.reshape(y, (y.shape[0], *(q * s for q, s in zip(counts, steps)), channels))


# -- which convolutions -----------------------------------------------------------------------------------------------------
def _is_plain(node: Node, kernel) -> bool:
    """Channels-last, one group, nothing padded or dilated; stride 1 where a kernel is given."""
    a = node.attributes
    unpadded = all(p == 0 for pair in a["padding"] for p in pair)
    dense = all(d == 1 for d in (*a["lhs_dilation"], *a["rhs_dilation"]))
    return (a["layout"] == "channels_last" and a["groups"] == 1 and unpadded and dense
            and (kernel is None or all(s == 1 for s in a["strides"])))


def _is_transposed(node: Node) -> bool:
    return node.attributes["layout"] == "channels_last" and any(d != 1 for d in node.attributes["lhs_dilation"])


def _is_undilated_transposed(node: Node) -> bool:
    return _is_transposed(node) and all(d == 1 for d in (*node.attributes["strides"], *node.attributes["rhs_dilation"]))


CONVOLUTION: Table = (
    ("conv_general", pointwise_convolution),
    ("conv_general", convolution_of_full_extent),
    ("conv_general", strided_transposed_convolution),
    ("conv_general", dilated_transposed_convolution),
    ("conv_general", transposed_convolution_of_blocks),
    ("conv_general", transposed_convolution_by_phases),
    ("conv_general", convolution_over_one_axis),
)

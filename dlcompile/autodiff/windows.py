"""Derivatives of reductions over windows.

Each window hands its cotangent to its elements: of a sum to all of them, of a maximum or minimum to the first that is it, in row-major
order. Along an axis where windows do not overlap that is each element looking at its own window; along the others it is a sum over the
places that an element has in windows.
"""
from __future__ import annotations

import itertools
import math

import numpy as np

from dlcompile import ops
from dlcompile.autodiff.rules import chosen, number, part, rule, spread_apart, zeros
from dlcompile.graph import Node, Tensor

MOST_PLACES = 16
"""places in a window that are looked at at once; larger windows are reduced axis by axis"""


@rule("reduce_window")
def _reduce_window(node: Node, c: Tensor) -> list[Tensor]:
    (x,), a = node.inputs, node.attributes
    if x.type.size == 0 or c.type.size == 0:
        return [zeros(x)]
    if a["kind"] == "sum":
        return [_of_sum(node, c)]
    axes = [i for i, k in enumerate(a["window"]) if k != 1]
    if math.prod(a["window"]) <= MOST_PLACES or len(axes) < 2:
        return [_of_extreme(node, c)]
    # the first in row-major order is in the first row that has one: rows are reduced, then these as the other axes say
    rows = {name: [value if i == axes[-1] else neutral for i, value in enumerate(a[name])]
            for name, neutral in (("window", 1), ("strides", 1), ("padding", (0, 0)), ("dilation", 1))}
    rest = {name: [neutral if i == axes[-1] else value for i, value in enumerate(a[name])]
            for name, neutral in (("window", 1), ("strides", 1), ("padding", (0, 0)), ("dilation", 1))}
    inner = ops.reduce_window(x, a["kind"], **rows)
    outer = ops.reduce_window(inner, a["kind"], **rest)
    (between,) = _reduce_window(outer.producer, c)
    return _reduce_window(inner.producer, between)


def _apart(node: Node) -> list[bool]:
    """For each axis whether windows of more than one place lie side by side along it."""
    a = node.attributes
    return [1 < k <= s and d == 1 for k, s, d in zip(a["window"], a["strides"], a["dilation"])]


def _by_window(node: Node, c: Tensor) -> Tensor:
    """`c` with an axis for the places in a window, behind each axis along which windows lie apart."""
    return ops.reshape(c, [n for d, alone in zip(c.shape, _apart(node)) for n in ((d, 1) if alone else (d,))])


def _places(node: Node) -> list[int]:
    """What those axes are to be broadcast to; 1 for the others."""
    return [n for k, alone in zip(node.attributes["window"], _apart(node)) for n in ((1, k) if alone else (1,))]


def _laid_out(node: Node, c: Tensor) -> Tensor:
    """What windows hand back, at [window·stride + place] along axes where they lie apart and at [window·stride] along the others."""
    a, behind, shape, strides = node.attributes, [], [], []
    extents = iter(c.shape)
    for k, stride, alone in zip(a["window"], a["strides"], _apart(node)):
        extent = next(extents)
        if alone:
            next(extents)
        behind += [0, stride - k] if alone else [0]
        shape.append(extent * stride if alone else extent)
        strides.append(1 if alone else stride)
    if any(behind):
        c = ops.pad(c, number(0, c), [0] * c.rank, behind)
    return spread_apart(ops.reshape(c, shape), strides)


def _of_sum(node: Node, c: Tensor) -> Tensor:
    (x,), a, apart = node.inputs, node.attributes, _apart(node)
    wide = _by_window(node, c)
    handed = _laid_out(node, ops.broadcast_to(wide, [d * n for d, n in zip(wide.shape, _places(node))]))
    window = [1 if alone else k for k, alone in zip(a["window"], apart)]
    reach = [(k - 1) * d for k, d in zip(window, a["dilation"])]
    around = part(handed, [low - n for (low, _), n in zip(a["padding"], reach)], [d + n for d, n in zip(x.shape, reach)])
    return around if all(k == 1 for k in window) else ops.reduce_window(around, "sum", window, dilation=a["dilation"])


def _of_extreme(node: Node, c: Tensor) -> Tensor:
    (x,), a, apart = node.inputs, node.attributes, _apart(node)
    window = a["window"]
    if math.prod(window) == 1:
        return _of_sum(node, c)
    chosen_place = _by_window(node, _first_place(node))
    wide = _by_window(node, c)
    steps = [math.prod(window[i + 1:]) for i in range(x.rank)]
    shape, own, axis = _places(node), number(0, chosen_place), 0  # the number of a place along the axes where windows lie apart
    for step, alone in zip(steps, apart):
        axis += 1
        if alone:
            line = [n if i == axis else 1 for i, n in enumerate(shape)]
            own, axis = own + ops.iota(np.int32, line, axis) * number(step, own), axis + 1
    total = None
    for taps in itertools.product(*(range(1 if alone else k) for k, alone in zip(window, apart))):
        place = own + np.int32(sum(t * step for t, step in zip(taps, steps)))
        handed = _laid_out(node, chosen(wide, ops.eq(chosen_place, place)))
        start = [low - t * d for (low, _), t, d in zip(a["padding"], taps, a["dilation"])]
        here = part(handed, start, x.shape)
        total = here if total is None else total + here
    return total


def _first_place(node: Node) -> Tensor:
    """The number (int32) of the first place of each window at which its result is; -1 where it is nowhere, as a NaN is."""
    (x,), y, a = node.inputs, node.output, node.attributes
    low, high = zip(*a["padding"])
    padded = any(n != 0 for n in (*low, *high))
    wide = ops.pad(x, number(0, x), low, high)
    # an element may be as small as what padding counts for
    image = [1 if (b, e) == (0, 0) else d for d, b, e in zip(x.shape, low, high)]
    inside = ops.pad(ops.broadcast_to(True, image), False, low, high) if padded else None

    def at(t: Tensor, taps: tuple[int, ...]) -> Tensor:
        start, limit, strides = [], [], []
        for extent, tap, d, s, n in zip(t.shape, taps, a["dilation"], a["strides"], y.shape):
            alone = extent == 1
            start.append(0 if alone else tap * d)
            limit.append(1 if alone else tap * d + (n - 1) * s + 1)
            strides.append(1 if alone else s)
        return ops.slice(t, start, limit, strides)

    place = ops.as_tensor(np.int32(-1))
    for number_, taps in reversed(list(enumerate(np.ndindex(*a["window"])))):
        here = ops.eq(at(wide, taps), y)
        here = here if inside is None else ops.logical_and(here, at(inside, taps))
        place = ops.select(here, np.int32(number_), place)
    return place

"""Products of small integers, those of quantised models, computed in float32.

float32 holds every integer up to 2^24. A product of 8-bit numbers less their zero points whose sums stay below it, in
whatever order they are added up, has the same value in float32 as in int32, and for float32 there are tiles. How large
sums can get is seen from the weights.
"""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import Node, Tensor, apply, make_constant
from dlcompile.transforms.matmul import axes_of
from dlcompile.transforms.rewrite import Answer, Table
from dlcompile.transforms.scales import PRODUCTS

EXACT = 2**24  # integers up to it are floats
MOST_PARTS = 8
VIEWS = frozenset({"reshape", "transpose", "slice", "broadcast_to"})


def product_in_float32(node: Node) -> Answer:
    """product(x: int32, w: int32) → int32(product(float32(x), float32(w))), in parts along what is summed over where
    sums could else exceed 2^24."""
    x, w = node.inputs
    if node.output.dtype != np.int32 or x.dtype != np.int32 or w.dtype != np.int32:
        return None
    left, right = _magnitude(x), _weights(w)
    where = _summed(node)
    if left is None or right is None or where is None:
        return None
    axes, divisible = where
    outputs = _outputs_axis(node)
    for parts in range(1, MOST_PARTS + 1):
        pieces = np.array_split(np.arange(w.shape[axes[1]]), parts)
        if any(p.size == 0 for p in pieces) or (parts > 1 and not divisible):
            return None
        if all(left * _sums(right.take(p, axes[1]), outputs) <= EXACT for p in pieces):
            break
    else:
        return None
    spans = [(int(p[0]), int(p[-1]) + 1) for p in pieces]
    made = [_product(node, *(_cut(t, axis, *span) if parts > 1 else t for t, axis in zip(node.inputs, axes))) for span in spans]
    total = made[0]
    for part in made[1:]:
        total = ops.add(total, part)
    return total


def _product(node: Node, x: Tensor, w: Tensor) -> Tensor:
    return ops.cast(apply(node.op, _real(x), _real(w), **node.attributes), np.int32)


def _real(x: Tensor) -> Tensor:
    return make_constant(x.value.astype(np.float32)) if x.is_constant else ops.cast(x, np.float32)


def _cut(x: Tensor, axis: int, start: int, limit: int) -> Tensor:
    if x.is_constant:
        return make_constant(np.ascontiguousarray(x.value.take(np.arange(start, limit), axis)))
    starts = tuple(start if a == axis else 0 for a in range(x.rank))
    return ops.slice(x, starts, tuple(limit if a == axis else d for a, d in enumerate(x.shape)))


# -- how large numbers are --------------------------------------------------------------------------------------------------
def _magnitude(x: Tensor) -> int | None:
    """A bound of the absolute values of an int32 tensor made of 8-bit numbers."""
    bounds = _range(x)
    return None if bounds is None else max(-bounds[0], bounds[1])


def _range(x: Tensor) -> tuple[int, int] | None:
    if x.is_constant:
        return (int(x.value.min()), int(x.value.max())) if x.value.size else None
    if x.op in VIEWS:
        return _range(x.producer.inputs[0])
    if x.op == "cast" and x.producer.inputs[0].dtype in (np.dtype(np.int8), np.dtype(np.uint8)):
        limits = np.iinfo(x.producer.inputs[0].dtype)
        return limits.min, limits.max
    if x.op == "sub":
        a, b = (_range(t) for t in x.producer.inputs)
        return None if a is None or b is None else (a[0] - b[1], a[1] - b[0])
    return None


def _weights(w: Tensor) -> np.ndarray | None:
    """The absolute values of the right operand, or bounds of them."""
    if w.is_constant:
        return np.abs(w.value.astype(np.int64))
    bound = _magnitude(w)
    return None if bound is None or not w.type.is_static else np.broadcast_to(np.int64(bound), w.shape)


def _sums(magnitudes: np.ndarray, outputs: tuple[int, ...]) -> int:
    """The largest sum there can be of numbers that are multiplied by 1 or -1."""
    return int(magnitudes.sum(axis=tuple(a for a in range(magnitudes.ndim) if a not in outputs)).max(initial=0))


def _summed(node: Node) -> tuple[tuple[int, int], bool] | None:
    """(the axis of each operand that is summed over, whether it can be taken in parts)."""
    x, w = node.inputs
    if node.op == "dot_general":
        left, right = node.attributes["contracting"]
        return ((left[0], right[0]), True) if len(left) == 1 and isinstance(w.shape[right[0]], int) else None
    first = node.attributes["layout"] == "channels_first"
    return (1 if first else x.rank - 1, 1 if first else w.rank - 2), node.attributes["groups"] == 1


def _outputs_axis(node: Node) -> tuple[int, ...]:
    """The axes of the right operand that are not summed over."""
    if node.op == "dot_general":
        batch, free, _ = axes_of(node, 1)
        return (*batch, *free)
    return (0 if node.attributes["layout"] == "channels_first" else node.inputs[1].rank - 1,)


NARROW: Table = ((PRODUCTS, product_in_float32),)

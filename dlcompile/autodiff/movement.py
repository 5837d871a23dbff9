"""Derivatives of what moves elements: the same movements back."""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile import ops
from dlcompile.autodiff.rules import chosen, part, rule, spread_apart, summed
from dlcompile.graph import Node, Tensor


@rule("reshape")
def _reshape(node: Node, c: Tensor) -> list[Tensor]:
    return [ops.reshape(c, node.inputs[0].shape)]


@rule("transpose")
def _transpose(node: Node, c: Tensor) -> list[Tensor]:
    return [ops.transpose(c, inverse(node.attributes["permutation"]))]


def inverse(permutation: Sequence[int]) -> list[int]:
    """The permutation that undoes one."""
    return [permutation.index(i) for i in range(len(permutation))]


@rule("broadcast_to")
def _broadcast_to(node: Node, c: Tensor) -> list[Tensor]:
    return [summed(c, node.inputs[0].shape)]


@rule("reverse")
def _reverse(node: Node, c: Tensor) -> list[Tensor]:
    return [ops.reverse(c, node.attributes["axes"])]


@rule("concatenate")
def _concatenate(node: Node, c: Tensor) -> list[Tensor]:
    axis, start, parts = node.attributes["axis"], 0, []
    for t in node.inputs:
        low = [start if i == axis else 0 for i in range(c.rank)]
        high = [start + d if i == axis else d for i, d in enumerate(t.shape)]
        parts.append(ops.slice(c, low, high))
        start = start + t.shape[axis]
    return parts


@rule("slice")
def _slice(node: Node, c: Tensor) -> list[Tensor]:
    start, strides = node.attributes["start"], node.attributes["strides"]
    return [part(spread_apart(c, strides), [-s for s in start], node.inputs[0].shape)]


@rule("pad")
def _pad(node: Node, c: Tensor) -> list[Tensor | None]:
    x, value = node.inputs
    low, high = node.attributes["low"], node.attributes["high"]
    around = ops.pad(ops.broadcast_to(False, x.shape), True, low, high)
    inside = ops.slice(c, low, [a + d for a, d in zip(low, x.shape)])
    return [inside, ops.reshape(ops.reduce_sum(chosen(c, around)), value.shape)]

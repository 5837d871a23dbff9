"""Derivatives of composites that are better than what their decomposition gives: shorter, right where that has a corner of its own, or
without its overflow. All others are differentiated as what they are made of."""
from __future__ import annotations

from collections.abc import Callable

from dlcompile import ops
from dlcompile.autodiff.rules import Cotangents, chosen, in_float32, number, rule, rule_of_results, summed
from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import Node, Tensor


def _wide(function: Callable) -> Callable[[Node, Tensor], list[Tensor]]:
    """A rule for one operand whose arithmetic is float32 where tensors are 16-bit: (attributes, x, y, c) → cotangent of x."""
    def one(node: Node, c: Tensor) -> list[Tensor]:
        x = node.inputs[0]
        return [ops.cast(function(node.attributes, in_float32(x), in_float32(node.output), in_float32(c)), x.dtype)]

    return one


@rule("relu")
def _relu(node: Node, c: Tensor) -> list[Tensor]:
    """0 at 0."""
    x = node.inputs[0]
    return [chosen(c, ops.gt(x, number(0, x)))]


@rule("clip")
def _clip(node: Node, c: Tensor) -> list[Tensor]:
    """All of it to x at the limits too."""
    x, low, high = node.inputs
    inside = ops.logical_and(ops.ge(x, low), ops.le(x, high))
    above = ops.gt(ops.maximum(x, low), high)
    below = ops.logical_not(ops.logical_or(ops.ge(x, low), above))
    return [chosen(c, inside), summed(chosen(c, below), low.shape), summed(chosen(c, above), high.shape)]


@rule("softplus")
@_wide
def _softplus(attributes, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """ln(1 + eˣ)' = 1/(1 + e⁻ˣ)"""
    return c * ops.logistic(x)


@rule("mish")
@_wide
def _mish(attributes, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """(x tanh s)' = tanh s + x (1 - tanh² s) s', s being softplus(x)"""
    t = ops.tanh(ops.softplus(x))
    return c * (t + x * ((number(1, x) - t * t) * ops.logistic(x)))


@rule("softmax")
@_wide
def _softmax(attributes, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """y ⊙ (c - Σ c⊙y)"""
    return y * (c - ops.reduce_sum(c * y, attributes["axis"], keepdims=True))


@rule("log_softmax")
@_wide
def _log_softmax(attributes, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """c - eʸ Σ c"""
    return c - ops.exp(y) * ops.reduce_sum(c, attributes["axis"], keepdims=True)


@rule("logsumexp")
@_wide
def _logsumexp(attributes, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """softmax(x) c; where all are -inf each gets nothing."""
    axes = attributes["axes"]
    top = ops.reduce_max(x, axes, keepdims=True)
    e = ops.exp(x - ops.select(ops.is_inf(top), number(0, x), top))
    total = ops.reduce_sum(e, axes, keepdims=True)
    return e * (ops.reshape(c, total.shape) / ops.select(ops.eq(total, number(0, x)), number(1, x), total))


@rule("onnx.ReduceL2")
@_wide
def _norm(attributes, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """x/‖x‖, and 0 where all are 0."""
    axes = [a % x.rank for a in attributes.get("axes") or range(x.rank)]
    kept = [1 if i in axes else d for i, d in enumerate(x.shape)]
    y, c = ops.reshape(y, kept), ops.reshape(c, kept)
    none = ops.eq(y, number(0, y))
    return x * ops.select(none, number(0, y), c / ops.select(none, number(1, y), y))


@rule_of_results("tree_ensemble")
def _tree_ensemble(node: Node, cotangents: Cotangents, wanted) -> list[None]:
    """Steps of x; the weights of the leaves are taken as given."""
    if wanted[-1]:
        raise UnsupportedOperatorError(f"{node!r}: the derivative of {node.op} by the weights of its leaves is not supported")
    return [None for _ in node.inputs]

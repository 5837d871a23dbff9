"""Activations: functions of tensors, with Keras's names, that a layer's `activation` may name.

>>> relu(np.array([-1, 2], np.float32))
array([0., 2.], dtype=float32)
>>> get("hard_sigmoid")(np.array([-4, 0, 1.5], np.float32))
array([0.  , 0.5 , 0.75], dtype=float32)
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.eager import eager
from dlcompile.errors import ShapeError
from dlcompile.graph import Tensor
from dlcompile.ops import TensorLike
from dlcompile.registry import Family

ACTIVATIONS = Family("activations")


def _activation(function):
    """Take a function of tensors into the table; it may be called with arrays too."""
    made = eager(function)
    ACTIVATIONS.add(made)
    return made


def _number(x: Tensor, value: float) -> Tensor:
    """A constant of the type of x."""
    return ops.as_tensor(np.asarray(value, x.dtype))


@_activation
def linear(x: TensorLike) -> Tensor:
    """x itself."""
    return ops.as_tensor(x)


@_activation
def relu(x: TensorLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """x from `threshold` on, but no more than `max_value`; negative_slope * (x - threshold) below."""
    x = ops.as_tensor(x)
    if negative_slope == 0 and threshold == 0:
        y = ops.relu(x)
    else:
        below = ops.mul(ops.sub(x, _number(x, threshold)), _number(x, negative_slope))
        y = ops.select(ops.lt(x, _number(x, threshold)), below, x)
    return y if max_value is None else ops.minimum(y, _number(x, max_value))


@_activation
def relu6(x: TensorLike) -> Tensor:
    """min(max(x, 0), 6)"""
    x = ops.as_tensor(x)
    return ops.clip(x, _number(x, 0), _number(x, 6))


@_activation
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """x where x >= 0, else negative_slope * x."""
    return ops.leaky_relu(x, alpha=float(negative_slope))


@_activation
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x where x >= 0, else alpha * (e**x - 1). (Clevert et al. 2015)"""
    return ops.elu(x, alpha=float(alpha))


@_activation
def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(0, alpha * (e**(x / alpha) - 1)). (Barron 2017)"""
    return ops.celu(x, alpha=float(alpha))


@_activation
def selu(x: TensorLike) -> Tensor:
    """scale * elu(x, alpha), with the numbers that keep means and variances. (Klambauer et al. 2017)"""
    return ops.selu(x)


@_activation
def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """x * Φ(x), Φ the distribution function of the normal distribution; with `approximate` by tanh. (Hendrycks & Gimpel 2016)"""
    return ops.gelu(x, approximate="tanh" if approximate else "none")


@_activation
def silu(x: TensorLike) -> Tensor:
    """x * sigmoid(x), also called swish. (Ramachandran et al. 2017)"""
    return ops.silu(x)


@_activation
def mish(x: TensorLike) -> Tensor:
    """x * tanh(softplus(x)). (Misra 2019)"""
    return ops.mish(x)


@_activation
def sigmoid(x: TensorLike) -> Tensor:
    """1 / (1 + e**-x)"""
    return ops.logistic(x)


@_activation
def hard_sigmoid(x: TensorLike) -> Tensor:
    """min(max(x / 6 + 1/2, 0), 1)"""
    return ops.hard_sigmoid(x, alpha=1 / 6, beta=0.5)


@_activation
def hard_silu(x: TensorLike) -> Tensor:
    """x * hard_sigmoid(x), also called hard_swish. (Howard et al. 2019)"""
    return ops.hard_swish(x)


@_activation
def hard_tanh(x: TensorLike) -> Tensor:
    """min(max(x, -1), 1)"""
    x = ops.as_tensor(x)
    return ops.clip(x, _number(x, -1), _number(x, 1))


@_activation
def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(x)


@_activation
def tanh_shrink(x: TensorLike) -> Tensor:
    """x - tanh(x)"""
    return ops.sub(x, ops.tanh(x))


@_activation
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """x - threshold above it, x + threshold below -threshold, 0 between."""
    return ops.shrink(x, bias=float(threshold), lambd=float(threshold))


@_activation
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """x where |x| > threshold, else 0."""
    return ops.shrink(x, bias=0.0, lambd=float(threshold))


@_activation
def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """x above the threshold, `default_value` elsewhere."""
    x = ops.as_tensor(x)
    return ops.select(ops.gt(x, _number(x, threshold)), x, _number(x, default_value))


@_activation
def softplus(x: TensorLike) -> Tensor:
    """ln(1 + e**x)"""
    return ops.softplus(x)


@_activation
def softsign(x: TensorLike) -> Tensor:
    """x / (1 + |x|)"""
    return ops.softsign(x)


@_activation
def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """(x + √(x² + b)) / 2. (Barron 2021)"""
    x = ops.as_tensor(x)
    return ops.mul(ops.add(x, ops.sqrt(ops.add(ops.mul(x, x), _number(x, b)))), _number(x, 0.5))


@_activation
def sparse_plus(x: TensorLike) -> Tensor:
    """0 below -1, x above 1, (x + 1)² / 4 between."""
    x = ops.as_tensor(x)
    y = ops.add(ops.clip(x, _number(x, -1), _number(x, 1)), _number(x, 1))
    return ops.select(ops.ge(x, _number(x, 1)), x, ops.mul(ops.mul(y, y), _number(x, 0.25)))


@_activation
def sparse_sigmoid(x: TensorLike) -> Tensor:
    """min(max((x + 1) / 2, 0), 1), the derivative of `sparse_plus`."""
    return ops.hard_sigmoid(x, alpha=0.5, beta=0.5)


@_activation
def exponential(x: TensorLike) -> Tensor:
    """e**x"""
    return ops.exp(x)


@_activation
def log_sigmoid(x: TensorLike) -> Tensor:
    """ln(sigmoid(x)) = -softplus(-x)"""
    return ops.neg(ops.softplus(ops.neg(x)))


@_activation
def softmax(x: TensorLike, axis: int | Sequence[int] = -1) -> Tensor:
    """e**x / Σ e**x along an axis, or over several."""
    return _over_axes(ops.softmax, ops.as_tensor(x), axis)


@_activation
def log_softmax(x: TensorLike, axis: int | Sequence[int] = -1) -> Tensor:
    """ln(softmax(x)), without overflow."""
    return _over_axes(ops.log_softmax, ops.as_tensor(x), axis)


def _over_axes(function, x: Tensor, axis: int | Sequence[int]) -> Tensor:
    """A function along one axis, of several as if they were one: brought together at the end, and back."""
    if x.rank == 0:
        raise ShapeError(f"there is no axis for softmax in {x.type}")
    axes = ops.axis_indices(axis, x.rank)
    if len(axes) == 1:
        return function(x, axis=axes[0])
    order = [*(a for a in range(x.rank) if a not in axes), *axes]
    moved = ops.transpose(x, order)
    flat = ops.reshape(moved, (*moved.shape[:x.rank - len(axes)], -1))
    return ops.transpose(ops.reshape(function(flat, axis=-1), moved.shape), [order.index(a) for a in range(x.rank)])


@_activation
def sparsemax(x: TensorLike, axis: int = -1) -> Tensor:
    """The nearest point of the probability simplex: max(x - τ, 0) with τ such that the sum along `axis` is 1. (Martins & Astudillo 2016)

    With z the values in falling order, the k for which 1 + k z_k > Σ_{i≤k} z_i are counted: K; τ = (Σ_{i≤K} z_i - 1) / K.
    """
    x = ops.as_tensor(x)
    axis = ops.axis_index(axis, x.rank)
    z = ops.sort(x, axis, descending=True)
    sums = ops.cumsum(z, axis)
    k = ops.cast(ops.add(ops.iota(np.int64, z.shape, axis), np.int64(1)), x.dtype)
    counted = ops.gt(ops.add(ops.mul(k, z), _number(x, 1)), sums)
    count = ops.reduce_sum(ops.cast(counted, x.dtype), axis, keepdims=True)
    total = ops.reduce_sum(ops.select(counted, z, _number(x, 0)), axis, keepdims=True)
    return ops.relu(ops.sub(x, ops.div(ops.sub(total, _number(x, 1)), count)))


@_activation
def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """a * sigmoid(b), a and b being the halves of x along `axis`. (Dauphin et al. 2016) ShapeError where the axis is odd."""
    x = ops.as_tensor(x)
    axis = ops.axis_index(axis, x.rank)
    extent = x.shape[axis]
    if not isinstance(extent, int) or extent % 2:
        raise ShapeError(f"glu of {x.type}: axis {axis} has no halves of the same, known size")
    halves = []
    for begin in (0, extent // 2):
        start, limit = [0] * x.rank, list(x.shape)
        start[axis], limit[axis] = begin, begin + extent // 2
        halves.append(ops.slice(x, start, limit))
    return ops.mul(halves[0], ops.logistic(halves[1]))


swish, hard_swish = silu, hard_silu
ACTIVATIONS.add(swish=silu, hard_swish=hard_silu)


def get(identifier: Any) -> Any:
    """The activation of a name, a configuration, or itself; `linear` for None. ArgumentError for a name that is none."""
    return linear if identifier is None else ACTIVATIONS.get(identifier)


def serialize(activation: Any) -> Any:
    """The name of an activation, or the configuration of an object that is one."""
    return ACTIVATIONS.serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation of what `serialize` made."""
    return ACTIVATIONS.deserialize(config, custom_objects)


__all__ = ["celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
           "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid",
           "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish",
           "tanh", "tanh_shrink", "threshold"]

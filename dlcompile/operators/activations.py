"""Activations, named and defined as ONNX has them."""
from __future__ import annotations

import math

import numpy as np

from dlcompile import ops
from dlcompile.graph import Tensor
from dlcompile.operators.composite import composite, scalar

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875  # Klambauer et al. 2017, as ONNX rounds them


@composite("relu", rounds=False)
def relu(attributes, x: Tensor) -> Tensor:
    """max(x, 0)"""
    return ops.maximum(x, scalar(x, 0))


@composite("leaky_relu")
def leaky_relu(attributes, x: Tensor) -> Tensor:
    """x where x >= 0, else alpha*x"""
    return ops.select(ops.lt(x, scalar(x, 0)), ops.mul(x, scalar(x, attributes["alpha"])), x)


@composite("prelu")
def prelu(attributes, x: Tensor, slope: Tensor) -> Tensor:
    """x where x >= 0, else slope*x; slope broadcast to x"""
    return ops.select(ops.lt(x, scalar(x, 0)), ops.mul(x, slope), x)


@composite("elu")
def elu(attributes, x: Tensor) -> Tensor:
    """x where x >= 0, else alpha*(e**x - 1)"""
    return ops.select(ops.lt(x, scalar(x, 0)), ops.mul(ops.expm1(ops.minimum(x, scalar(x, 0))), scalar(x, attributes["alpha"])), x)


@composite("celu")
def celu(attributes, x: Tensor) -> Tensor:
    """max(0, x) + min(0, alpha*(e**(x/alpha) - 1))"""
    alpha = scalar(x, attributes["alpha"])
    return ops.add(ops.maximum(x, scalar(x, 0)), ops.minimum(scalar(x, 0), ops.mul(ops.expm1(ops.div(x, alpha)), alpha)))


@composite("selu")
def selu(attributes, x: Tensor) -> Tensor:
    """gamma*x where x > 0, else gamma*alpha*(e**x - 1)"""
    alpha, gamma = attributes.get("alpha", SELU_ALPHA), attributes.get("gamma", SELU_GAMMA)
    negative = ops.mul(ops.expm1(ops.minimum(x, scalar(x, 0))), scalar(x, alpha))
    return ops.mul(ops.select(ops.gt(x, scalar(x, 0)), x, negative), scalar(x, gamma))


@composite("gelu")
def gelu(attributes, x: Tensor) -> Tensor:
    """x*Φ(x) (Hendrycks & Gimpel 2016); `approximate` "tanh" takes 0.5*x*(1 + tanh(√(2/π)*(x + 0.044715*x³)))"""
    half = ops.mul(x, scalar(x, 0.5))
    if attributes.get("approximate", "none") == "tanh":
        cubed = ops.mul(ops.mul(x, x), x)
        inner = ops.mul(ops.add(x, ops.mul(cubed, scalar(x, 0.044715))), scalar(x, math.sqrt(2 / math.pi)))
        return ops.mul(half, ops.add(ops.tanh(inner), scalar(x, 1)))
    return ops.mul(half, ops.add(ops.erf(ops.mul(x, scalar(x, math.sqrt(0.5)))), scalar(x, 1)))


@composite("silu")
def silu(attributes, x: Tensor) -> Tensor:
    """x * logistic(alpha*x), alpha 1 by default: also called swish"""
    alpha = attributes.get("alpha", 1.0)
    return ops.mul(x, ops.logistic(x if alpha == 1.0 else ops.mul(x, scalar(x, alpha))))


@composite("softplus")
def softplus(attributes, x: Tensor) -> Tensor:
    """ln(1 + e**x), as max(x, 0) + log1p(e**-|x|), which does not overflow"""
    return ops.add(ops.maximum(x, scalar(x, 0)), ops.log1p(ops.exp(ops.neg(ops.abs(x)))))


@composite("mish")
def mish(attributes, x: Tensor) -> Tensor:
    """x * tanh(softplus(x))"""
    return ops.mul(x, ops.tanh(softplus(attributes, x)))


@composite("softsign")
def softsign(attributes, x: Tensor) -> Tensor:
    """x / (1 + |x|)"""
    return ops.div(x, ops.add(ops.abs(x), scalar(x, 1)))


@composite("hard_sigmoid")
def hard_sigmoid(attributes, x: Tensor) -> Tensor:
    """max(0, min(1, alpha*x + beta))"""
    line = ops.add(ops.mul(x, scalar(x, attributes["alpha"])), scalar(x, attributes["beta"]))
    return ops.maximum(ops.minimum(line, scalar(x, 1)), scalar(x, 0))


@composite("hard_swish")
def hard_swish(attributes, x: Tensor) -> Tensor:
    """x * hard_sigmoid(x) with alpha 1/6, beta 1/2"""
    return ops.mul(x, hard_sigmoid({"alpha": 1 / 6, "beta": 0.5}, x))


@composite("thresholded_relu", rounds=False)
def thresholded_relu(attributes, x: Tensor) -> Tensor:
    """x where x > alpha, else 0"""
    return ops.select(ops.gt(x, scalar(x, attributes["alpha"])), x, scalar(x, 0))


@composite("shrink")
def shrink(attributes, x: Tensor) -> Tensor:
    """x + bias where x < -lambd, x - bias where x > lambd, else 0"""
    bias, lambd = attributes["bias"], attributes["lambd"]
    upper = ops.select(ops.gt(x, scalar(x, lambd)), ops.sub(x, scalar(x, bias)), scalar(x, 0))
    if x.dtype.kind == "u" and lambd >= 0:
        return upper  # nothing is below
    return ops.select(ops.lt(x, scalar(x, -lambd)), ops.add(x, scalar(x, bias)), upper)


@composite("clip", rounds=False)
def clip(attributes, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """min(max(x, low), high); low and high are scalars"""
    return ops.minimum(ops.maximum(x, low), high)


@composite("softmax")
def softmax(attributes, x: Tensor) -> Tensor:
    """e**(x - max) / Σ e**(x - max) along `axis`"""
    axis = (attributes["axis"],)
    shifted = ops.exp(ops.sub(x, ops.reduce_max(x, axis, keepdims=True)))
    return ops.div(shifted, ops.reduce_sum(shifted, axis, keepdims=True))


@composite("log_softmax")
def log_softmax(attributes, x: Tensor) -> Tensor:
    """x - max - ln Σ e**(x - max) along `axis`"""
    axis = (attributes["axis"],)
    shifted = ops.sub(x, ops.reduce_max(x, axis, keepdims=True))
    return ops.sub(shifted, ops.log(ops.reduce_sum(ops.exp(shifted), axis, keepdims=True)))


@composite("logsumexp")
def logsumexp(attributes, x: Tensor) -> Tensor:
    """m + ln Σ e**(x - m) over `axes`, m being the maximum where it is finite (else 0, so that ±inf stays what it is)"""
    axes = attributes["axes"]
    top = ops.reduce_max(x, axes, keepdims=True)
    top = ops.select(ops.is_inf(top), scalar(x, 0), top)
    y = ops.add(ops.log(ops.reduce_sum(ops.exp(ops.sub(x, top)), axes, keepdims=True)), top)
    return y if attributes["keepdims"] else ops.squeeze(y, axes)


@composite("hardmax", rounds=False)
def hardmax(attributes, x: Tensor) -> Tensor:
    """1 at the first largest element along `axis`, 0 elsewhere"""
    axis = attributes["axis"]
    if x.shape[axis] == 0:
        return x
    place = ops.iota(np.int64, x.shape, axis)
    return ops.cast(ops.eq(place, ops.argmax(x, axis, keepdims=True)), x.dtype)

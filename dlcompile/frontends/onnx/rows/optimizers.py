"""Steps of gradient descent (ai.onnx.preview.training): any number of tensors, all their new values first, then all of each state."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.graph import Tensor

TRAINING = "ai.onnx.preview.training"


def _each(node: OnnxNode, tensors: Sequence[Tensor], states: int, step: Callable[..., tuple[Tensor, ...]]) -> list[Tensor]:
    """`step(x, gradient, *states)` for each tensor; the operands are all tensors, then all gradients, then all of each state."""
    count, rest = divmod(len(tensors), states + 2)
    if rest or not count:
        raise InvalidModelError(f"{len(tensors)} tensors; expected the same number of values, gradients and each of {states} states")
    made = [step(*tensors[i::count]) for i in range(count)]
    return [results[k] for k in range(states + 1) for results in made]


def _regularized(node: OnnxNode, x: Tensor, gradient: Tensor, name: str = "norm_coefficient") -> Tensor:
    """The gradient with that of the penalty norm_coefficient/2·‖x‖²."""
    return ops.add(ops.mul(x, _number(node, name, x, 0.0)), gradient)


def _number(node: OnnxNode, name: str, like: Tensor, default: float) -> np.ndarray:
    return np.asarray(node.get(name, default), like.dtype)


def _one(like: Tensor) -> np.ndarray:
    return np.ones((), like.dtype)


@importer("Adagrad", domain=TRAINING)
def adagrad(node: OnnxNode, rate: Tensor, turn: Tensor, *tensors: Tensor) -> list[Tensor]:
    """h ← h + g², x ← x - r/(1 + t·decay)·g/(√h + ε)  (Duchi et al., 2011)"""
    def step(x: Tensor, gradient: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        g = _regularized(node, x, gradient)
        decay = ops.add(ops.mul(ops.cast(turn, x.dtype), _number(node, "decay_factor", x, 0.0)), _one(x))
        h = ops.add(h, ops.mul(g, g))
        scale = ops.add(ops.sqrt(h), _number(node, "epsilon", x, 0.0))
        return ops.sub(x, ops.div(ops.mul(ops.div(ops.cast(rate, x.dtype), decay), g), scale)), h

    return _each(node, tensors, 1, step)


@importer("Adam", domain=TRAINING)
def adam(node: OnnxNode, rate: Tensor, turn: Tensor, *tensors: Tensor) -> list[Tensor]:
    """v ← αv + (1-α)g, h ← βh + (1-β)g², x ← (x - r·√(1-βᵗ)/(1-αᵗ)·v/(√h + ε))·(1 - post), without the correction at t = 0  (Kingma and Ba,
    2015)"""
    def step(x: Tensor, gradient: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        a, b, one = _number(node, "alpha", x, 0.9), _number(node, "beta", x, 0.999), _one(x)
        g = _regularized(node, x, gradient)
        v = ops.add(ops.mul(v, a), ops.mul(g, one - a))
        h = ops.add(ops.mul(h, b), ops.mul(ops.mul(g, g), one - b))
        t, r = ops.cast(turn, x.dtype), ops.cast(rate, x.dtype)
        corrected = ops.div(ops.mul(r, ops.sqrt(ops.sub(one, ops.pow(b, t)))), ops.sub(one, ops.pow(a, t)))
        r = ops.select(ops.gt(turn, np.int64(0)), corrected, r)
        x = ops.sub(x, ops.mul(r, ops.div(v, ops.add(ops.sqrt(h), _number(node, "epsilon", x, 0.0)))))
        return ops.mul(x, one - _number(node, "norm_coefficient_post", x, 0.0)), v, h

    return _each(node, tensors, 2, step)


@importer("Momentum", domain=TRAINING)
def momentum(node: OnnxNode, rate: Tensor, turn: Tensor, *tensors: Tensor) -> list[Tensor]:
    """v ← αv + βg (β = 1 at t = 0), x ← x - r·v; mode "nesterov": x ← x - r·(g + αv)"""
    mode = node.get("mode", "standard")
    if mode not in ("standard", "nesterov"):
        raise InvalidModelError(f"mode is {mode!r}; expected 'standard' or 'nesterov'")

    def step(x: Tensor, gradient: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        a, r = _number(node, "alpha", x, 0.0), ops.cast(rate, x.dtype)
        g = _regularized(node, x, gradient)
        beta = ops.select(ops.gt(turn, np.int64(0)), _number(node, "beta", x, 0.0), _one(x))
        v = ops.add(ops.mul(v, a), ops.mul(g, beta))
        direction = v if mode == "standard" else ops.add(g, ops.mul(v, a))
        return ops.sub(x, ops.mul(r, direction)), v

    return _each(node, tensors, 1, step)

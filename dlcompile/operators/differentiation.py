"""What says something about derivatives (see `dlcompile.autodiff`): composites that mean what they are made of, and vanish with that."""
from __future__ import annotations

from dlcompile import ops
from dlcompile.graph import Tensor
from dlcompile.operators.composite import composite, scalar


@composite("mul_no_nan", rounds=False)
def mul_no_nan(attributes, x: Tensor, y: Tensor) -> Tensor:
    """x * y; 0 where y is 0, though x be infinite or NaN"""
    return ops.select(ops.eq(y, scalar(y, 0)), scalar(x, 0), ops.mul(x, y))


@composite("stop_gradient", rounds=False)
def stop_gradient(attributes, x: Tensor) -> Tensor:
    """x, which nothing goes back through"""
    return x


@composite("alias", rounds=False)
def alias(attributes, x: Tensor) -> Tensor:
    """x, as a tensor of its own: what is differentiated by it is not differentiated by x"""
    return x


@composite("custom_vjp", outputs=2, rounds=False)
def custom_vjp(attributes, *operands: Tensor) -> tuple[Tensor, ...]:
    """The first `num_results` operands, whose cotangents do not go to them but through `backward`: (residuals, cotangents) → cotangents
    of what they were computed from. The operands are these results, what they were computed from, and the residuals."""
    return operands[:attributes["num_results"]]

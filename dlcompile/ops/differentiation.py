"""What says something about derivatives (see `dlcompile.autodiff`)."""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import Graph, Tensor, apply, is_float
from dlcompile.ops.core import TensorLike, as_tensor, as_tensors


def mul_no_nan(x: TensorLike, y: TensorLike) -> Tensor:
    """x * y, broadcast; 0 where y is 0, even if x is infinite or NaN there."""
    return apply("mul_no_nan", *as_tensors(x, y))


def stop_gradient(x: TensorLike) -> Tensor:
    """`x`, taken as given by whoever differentiates: no cotangent goes back through it."""
    x = as_tensor(x)
    return apply("stop_gradient", x) if is_float(x.dtype) and not x.is_constant else x


def alias(x: TensorLike) -> Tensor:
    """`x` as a tensor of its own: the derivative by it tells where it was used from where `x` was."""
    return apply("alias", as_tensor(x))


def custom_vjp(results: Sequence[Tensor], operands: Sequence[Tensor], residuals: Sequence[Tensor], backward: Graph) -> tuple[Tensor, ...]:
    """The tensors `results`, computed from `operands`, with a derivative of their own.

    backward(residuals, cotangents of the results) → the cotangents of the operands, each of its operand's type; what an operand that is no
    float gets is not read. ShapeError, DTypeError where it takes or yields something else.
    """
    taken = [t.type for t in (*residuals, *results)]
    _check("takes", [t.type for t in backward.inputs], taken)
    _check("yields", [t.type for t in backward.outputs], [t.type for t in operands])
    return apply("custom_vjp", *results, *operands, *residuals, num_results=len(results), num_operands=len(operands), backward=backward)


def _check(what: str, given: list, expected: list) -> None:
    if len(given) != len(expected):
        raise ShapeError(f"the derivative {what} {len(given)} tensors; expected {len(expected)}")
    for i, (a, b) in enumerate(zip(given, expected)):
        if a != b:
            error = DTypeError if a.dtype != b.dtype else ShapeError
            raise error(f"tensor {i} that the derivative {what} is {a}; expected {b}")


__all__ = ["mul_no_nan", "stop_gradient", "alias", "custom_vjp"]

"""Derivatives of the elementwise primitives, and of the product that is 0 where one factor is."""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dlcompile import ops
from dlcompile.autodiff.rules import chosen, number, rule, summed, times
from dlcompile.graph import Node, Tensor, is_float

UNARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "neg": lambda x, y: number(-1, x),
    "abs": lambda x, y: ops.sign(x),
    "sqrt": lambda x, y: number(0.5, x) / y,
    "rsqrt": lambda x, y: number(-0.5, x) * y / x,
    "exp": lambda x, y: y,
    "expm1": lambda x, y: y + number(1, x),
    "log": lambda x, y: number(1, x) / x,
    "log1p": lambda x, y: number(1, x) / (x + number(1, x)),
    "sin": lambda x, y: ops.cos(x),
    "cos": lambda x, y: -ops.sin(x),
    "tan": lambda x, y: y * y + number(1, x),
    "asin": lambda x, y: ops.rsqrt((number(1, x) - x) * (x + number(1, x))),
    "acos": lambda x, y: -ops.rsqrt((number(1, x) - x) * (x + number(1, x))),
    "atan": lambda x, y: number(1, x) / (x * x + number(1, x)),
    "sinh": lambda x, y: ops.cosh(x),
    "cosh": lambda x, y: ops.sinh(x),
    "tanh": lambda x, y: number(1, x) - y * y,
    "asinh": lambda x, y: ops.rsqrt(x * x + number(1, x)),
    "acosh": lambda x, y: ops.rsqrt((x - number(1, x)) * (x + number(1, x))),
    "atanh": lambda x, y: number(1, x) / ((number(1, x) - x) * (x + number(1, x))),
    "erf": lambda x, y: number(2 / math.sqrt(math.pi), x) * ops.exp(-(x * x)),
    "logistic": lambda x, y: y * (number(1, x) - y),
}
"""f → (x, f(x)) → f'(x)"""

BOUNDED = frozenset({"neg", "abs", "atan", "tanh", "asinh", "erf", "logistic"})
"""those whose derivative is finite everywhere, at infinity too"""

for _name, _derivative in UNARY.items():
    _product = ops.mul if _name in BOUNDED else times
    rule(_name)(lambda node, c, f=_derivative, p=_product: [p(f(node.inputs[0], node.output), c)])


def _quotient(c: Tensor, a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if b.is_constant and np.all(b.value != 0):
        return c / b, -(c * y) / b
    return times(number(1, b) / b, c), times(-y / b, c)


def _greater(above: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    """Of the maximum (minimum): all for the greater (smaller) one, and halves for equals."""
    def derivatives(c: Tensor, a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        half, equal = c * number(0.5, c), ops.eq(a, b)
        return ops.select(equal, half, chosen(c, above(a, b))), ops.select(equal, half, chosen(c, above(b, a)))

    return derivatives


def _angle(c: Tensor, a: Tensor, b: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    square = a * a + b * b
    return times(b / square, c), times(-a / square, c)


BINARY: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "add": lambda c, a, b, y: (c, c),
    "sub": lambda c, a, b, y: (c, -c),
    "mul": lambda c, a, b, y: (c * b, c * a),
    "div": _quotient,
    "rem": lambda c, a, b, y: (c, times(-ops.round((a - y) / b), c)),
    "maximum": _greater(ops.gt),
    "minimum": _greater(ops.lt),
    "atan2": _angle,
    "mul_no_nan": lambda c, a, b, y: (ops.mul_no_nan(c, b), ops.mul_no_nan(a, c)),
}
"""f → (cotangent, a, b, f(a, b)) → cotangents of a and b, before what was broadcast is summed"""

for _name, _derivatives in BINARY.items():
    rule(_name)(lambda node, c, f=_derivatives: [
        summed(part, t.shape) for part, t in zip(f(c, *node.inputs, node.output), node.inputs)])


@rule("pow")
def _pow(node: Node, c: Tensor) -> list[Tensor]:
    a, b = node.inputs
    one = number(1, a)
    base = ops.select(ops.gt(a, number(0, a)), a, one)  # where the base is not positive the exponent cannot move
    return [summed(times(ops.pow(a, b - one), c * b), a.shape), summed(times(ops.log(base), times(node.output, c)), b.shape)]


@rule("select")
def _select(node: Node, c: Tensor) -> list[Tensor | None]:
    p, a, b = node.inputs
    return [None, summed(chosen(c, p), a.shape), summed(chosen(c, p, True), b.shape)]


@rule("cast")
def _cast(node: Node, c: Tensor) -> list[Tensor | None]:
    return [ops.cast(c, node.inputs[0].dtype) if is_float(node.inputs[0].dtype) else None]

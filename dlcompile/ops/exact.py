"""Float arithmetic on dimensions, exactly: exporters write `int(floor(float(height) * 0.5))`, which is `height // 2`.

When a small float tensor is cast to integers, its computation is walked back to the dimensions it starts from. It is taken over only where
float arithmetic would not have rounded: factors with few bits, and quotients that go straight into floor, ceil or the cast.
"""
from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dlcompile.graph import OPERATORS, Dim, DimLike, Tensor, at_least, ceildiv, dim_max, dim_min, floordiv, is_float, is_integer

BITS = 8  # of the numerator and of the denominator of a factor: its product with a dimension below 65536 is exact in float32
SMALL = 8  # elements: a shape
DEEP = 16  # operators


class Inexact(Exception):
    """Floats would round here, or the operator is not one of those that are followed."""


@dataclass(frozen=True)
class Ratio:
    """numerator / denominator, the denominator >= 1."""

    numerator: DimLike
    denominator: int = 1

    def dyadic(self) -> Ratio:
        """Itself, where floats hold it exactly."""
        if self.denominator & (self.denominator - 1) or self.denominator > 1 << BITS:
            raise Inexact
        return self


def _sum(a: Ratio, b: Ratio) -> Ratio:
    a, b = a.dyadic(), b.dyadic()
    common = max(a.denominator, b.denominator)
    return Ratio(a.numerator * (common // a.denominator) + b.numerator * (common // b.denominator), common)


def _product(a: Ratio, b: Ratio) -> Ratio:
    return Ratio(a.dyadic().numerator * b.dyadic().numerator, a.denominator * b.denominator)


def _quotient(a: Ratio, b: Ratio) -> Ratio:
    a, b = a.dyadic(), b.dyadic()
    if not isinstance(b.numerator, int) or b.numerator < 1:
        raise Inexact
    top, bottom = a.numerator * b.denominator, a.denominator * b.numerator
    whole = floordiv(top, bottom)
    return Ratio(whole) if whole * bottom == top else Ratio(top, bottom)


def _extreme(function):
    def extreme(a: Ratio, b: Ratio) -> Ratio:
        return Ratio(function(a.dyadic().numerator * b.dyadic().denominator, b.numerator * a.denominator), a.denominator * b.denominator)

    return extreme


def _truncated(a: Ratio) -> DimLike:
    if a.denominator != 1 and not at_least(a.numerator, 0):
        raise Inexact
    return floordiv(a.numerator, a.denominator)


ELEMENTWISE = {
    "add": _sum, "sub": lambda a, b: _sum(a, Ratio(-b.numerator, b.denominator)), "mul": _product, "div": _quotient,
    "neg": lambda a: Ratio(-a.numerator, a.denominator), "maximum": _extreme(dim_max), "minimum": _extreme(dim_min),
    "floor": lambda a: Ratio(floordiv(a.numerator, a.denominator)), "ceil": lambda a: Ratio(ceildiv(a.numerator, a.denominator)),
}


def exact_integers(x: Tensor) -> np.ndarray | None:
    """The ints and dimensions that a cast of the float tensor `x` to integers yields; None where that is not known exactly."""
    try:
        return np.asarray(np.frompyfunc(_truncated, 1, 1)(_ratios(x, DEEP)), dtype=object).reshape(x.shape)
    except Inexact:
        return None


def _ratios(x: Tensor, depth: int) -> np.ndarray:
    if not x.type.is_static or x.type.size > SMALL or depth == 0:
        raise Inexact
    if x.is_constant:
        return _each(_constant, x.value)
    node = x.producer
    if node is None or len(node.outputs) != 1 or not node.inputs:
        raise Inexact
    if node.op == "cast" and is_integer(node.inputs[0].dtype):
        if node.inputs[0].known is None:
            raise Inexact
        return _each(Ratio, node.inputs[0].known)
    row = OPERATORS[node.op]
    if not is_float(x.dtype) or node.op not in ELEMENTWISE and not (row.family == "movement" or node.op == "gather"):
        raise Inexact
    operands = [_ratios(t, depth - 1) if is_float(t.dtype) else _indices(t) for t in node.inputs]
    if node.op in ELEMENTWISE:
        return np.asarray(np.frompyfunc(ELEMENTWISE[node.op], len(operands), 1)(*operands), dtype=object)
    if any(isinstance(v, Dim) for value in node.attributes.values() for v in (value if isinstance(value, tuple) else (value,))):
        raise Inexact
    return np.asarray(row.evaluate(node.attributes, *operands), dtype=object)


def _indices(x: Tensor) -> np.ndarray:
    if x.known is None or any(not isinstance(v, int) for v in x.known.flat):
        raise Inexact
    return x.known.astype(np.int64)


def _each(function, values: np.ndarray) -> np.ndarray:
    return np.asarray(np.frompyfunc(function, 1, 1)(values), dtype=object).reshape(values.shape)


def _constant(value) -> Ratio:
    if not np.isfinite(value):
        raise Inexact
    fraction = Fraction(float(value))
    if fraction.denominator > 1 << BITS or fraction.denominator > 1 and abs(fraction.numerator) >= 1 << BITS:
        raise Inexact
    return Ratio(fraction.numerator, fraction.denominator)

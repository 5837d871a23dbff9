"""The elementwise primitives as functions of one to three operands, with NumPy broadcasting."""
from __future__ import annotations

import sys

from dlcompile.graph import Tensor, apply
from dlcompile.ops.core import TensorLike, as_tensor, as_tensors

UNARY = {
    "neg": "-x", "abs": "|x|", "sign": "-1, 0 or 1 as the sign of x", "floor": "the largest integer <= x", "ceil": "the smallest integer >= x",
    "round": "the nearest integer, halves to even", "sqrt": "√x", "rsqrt": "1/√x", "exp": "e**x", "expm1": "e**x - 1", "log": "ln x",
    "log1p": "ln(1 + x)", "sin": "sin x", "cos": "cos x", "tan": "tan x", "asin": "arcsin x", "acos": "arccos x", "atan": "arctan x",
    "sinh": "sinh x", "cosh": "cosh x", "tanh": "tanh x", "asinh": "arsinh x", "acosh": "arcosh x", "atanh": "artanh x",
    "erf": "the error function of x", "logistic": "1/(1 + e**-x)", "not": "not x (bool), all bits flipped (integers)",
    "is_nan": "whether x is NaN", "is_inf": "whether x is +inf or -inf",
}
BINARY = {
    "add": "a + b", "sub": "a - b", "mul": "a * b", "div": "a / b, truncated toward zero for integers",
    "rem": "the remainder of a / b, with the sign of a", "pow": "a ** b", "maximum": "the larger of the two, NaN if either is",
    "minimum": "the smaller of the two, NaN if either is", "atan2": "the angle of the point (b, a)", "and": "a and b (bool), bitwise (integers)",
    "or": "a or b (bool), bitwise (integers)", "xor": "a exclusive-or b (bool), bitwise (integers)", "shift_left": "a << b",
    "shift_right": "a >> b", "eq": "a == b", "ne": "a != b", "lt": "a < b", "le": "a <= b", "gt": "a > b", "ge": "a >= b",
}
PYTHON_NAMES = {"and": "logical_and", "or": "logical_or", "not": "logical_not", "xor": "logical_xor"}
"""primitives whose names are Python's own words"""


def _unary(name: str, doc: str):
    def function(x: TensorLike) -> Tensor:
        return apply(name, as_tensor(x))

    function.__doc__ = f"Elementwise {doc}."
    return function


def _binary(name: str, doc: str):
    def function(a: TensorLike, b: TensorLike) -> Tensor:
        return apply(name, *as_tensors(a, b))

    function.__doc__ = f"Elementwise {doc}, broadcast."
    return function


def select(predicate: TensorLike, on_true: TensorLike, on_false: TensorLike) -> Tensor:
    """Elementwise on_true where `predicate` (bool) holds, else on_false; broadcast."""
    return apply("select", as_tensor(predicate), *as_tensors(on_true, on_false))


__all__ = ["select"]
for _table, _make in ((UNARY, _unary), (BINARY, _binary)):
    for _name, _doc in _table.items():
        _function = _make(_name, _doc)
        _function.__name__ = _function.__qualname__ = PYTHON_NAMES.get(_name, _name)
        _function.__module__ = __name__
        setattr(sys.modules[__name__], _function.__name__, _function)
        __all__.append(_function.__name__)

"""Elementwise operators: arithmetic, comparison, logic, activations. Most are one line of a table."""
from __future__ import annotations

from functools import reduce

import ml_dtypes
import numpy as np

from dlcompile import ops
from dlcompile.frontends.onnx.dynamic import together
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.graph import Tensor, apply, is_float, is_integer, make_constant

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)

UNARY = {
    "Abs": "abs",
    "Neg": "neg",
    "Sign": "sign",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
    "Sqrt": "sqrt",
    "Exp": "exp",
    "Log": "log",
    "Sin": "sin",
    "Cos": "cos",
    "Tan": "tan",
    "Asin": "asin",
    "Acos": "acos",
    "Atan": "atan",
    "Sinh": "sinh",
    "Cosh": "cosh",
    "Tanh": "tanh",
    "Asinh": "asinh",
    "Acosh": "acosh",
    "Atanh": "atanh",
    "Erf": "erf",
    "Sigmoid": "logistic",
    "Not": "not",
    "BitwiseNot": "not",
    "IsNaN": "is_nan",
}
BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "And": "and", "Or": "or", "Xor": "xor", "BitwiseAnd": "and",
    "BitwiseOr": "or", "BitwiseXor": "xor", "Equal": "eq", "Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt",
    "LessOrEqual": "le",
}
VARIADIC = {"Max": "maximum", "Min": "minimum", "Sum": "add"}


def _unary(name: str):
    return lambda node, x: apply(name, x)


def broadcasting(row):
    """A row whose operands broadcast to one shape."""
    return lambda node, *xs: row(node, *together(*xs))


def _binary(name: str):
    return broadcasting(lambda node, a, b: apply(name, a, b))


def _variadic(name: str):
    return broadcasting(lambda node, *xs: reduce(lambda a, b: apply(name, a, b), xs))


for _name, _op in UNARY.items():
    importer(_name)(_unary(_op))
for _name, _op in BINARY.items():
    importer(_name)(_binary(_op))
for _name, _op in VARIADIC.items():
    importer(_name)(_variadic(_op))


@importer("Mean")
@broadcasting
def mean(node: OnnxNode, *xs: Tensor) -> Tensor:
    return ops.mul(reduce(ops.add, xs), scalar(1 / len(xs), xs[0]))


def scalar(value, like: Tensor) -> Tensor:
    """A constant scalar of the type of `like`."""
    return make_constant(np.asarray(value).astype(like.dtype))


@importer("Reciprocal")
def reciprocal(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.div(scalar(1, x), x)


@importer("Pow")
@broadcasting
def pow_(node: OnnxNode, x: Tensor, exponent: Tensor) -> Tensor:
    """The exponent may be of another type (since opset 12); the result is of the type of the base, computed in one that holds both."""
    wide = _holding_both(x, exponent) if exponent.dtype != x.dtype else x.dtype
    return ops.cast(ops.pow(ops.cast(x, wide), ops.cast(exponent, wide)), x.dtype)


def _holding_both(x: Tensor, exponent: Tensor) -> np.dtype:
    """The type of a power. Whether an integer exponent is odd is the sign of the result, so that none may be rounded."""
    if is_integer(x.dtype):
        common = np.result_type(x.dtype, exponent.dtype) if is_integer(exponent.dtype) else FLOAT64
        return common if is_integer(common) else x.dtype if is_integer(exponent.dtype) else FLOAT64
    if is_float(exponent.dtype):
        return max((x.dtype, exponent.dtype), key=lambda t: t.itemsize) if x.dtype.itemsize != exponent.dtype.itemsize else FLOAT32
    largest = max(abs(int(v)) for v in (exponent.value.flat if exponent.is_constant and exponent.value.size else
                                        (np.iinfo(exponent.dtype).min, np.iinfo(exponent.dtype).max)))
    return next((t for t in (x.dtype, FLOAT32) if t.itemsize >= x.dtype.itemsize and largest <= 2 ** (ml_dtypes.finfo(t).nmant + 1)), FLOAT64)


@importer("Mod")
@broadcasting
def mod(node: OnnxNode, a: Tensor, b: Tensor) -> Tensor:
    """The remainder has the sign of the divisor (Python's %), with `fmod` that of the dividend (C's)."""
    return ops.rem(a, b) if node["fmod"] else ops.floor_mod(a, b)


@importer("BitShift")
@broadcasting
def bit_shift(node: OnnxNode, a: Tensor, b: Tensor) -> Tensor:
    return {"LEFT": ops.shift_left, "RIGHT": ops.shift_right}[node["direction"]](a, b)


@importer("IsInf")
def is_inf(node: OnnxNode, x: Tensor) -> Tensor:
    found = ops.is_inf(x)
    if not node["detect_negative"]:
        found = ops.logical_and(found, ops.gt(x, scalar(0, x)))
    if not node["detect_positive"]:
        found = ops.logical_and(found, ops.lt(x, scalar(0, x)))
    return found


@importer("Where")
@broadcasting
def where(node: OnnxNode, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ops.select(condition, x, y)


# -- clipping and activations ------------------------------------------------------------------------------------------
@importer("Clip")
def clip_by_attributes(node: OnnxNode, x: Tensor) -> Tensor:
    """The defaults, the lowest and highest float32, are no bounds."""
    limit = float(np.finfo(np.float32).max)
    low, high = node.get("min", -limit), node.get("max", limit)
    return _clip(x, scalar(low, x) if low > -limit else None, scalar(high, x) if high < limit else None)


@importer("Clip", since=11)
def clip(node: OnnxNode, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return _clip(x, *(None if bound is None else ops.reshape(bound, ()) for bound in (low, high)))


def _clip(x: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    """min(max(x, low), high); a bound that is left out is none."""
    if low is not None and high is not None:
        return ops.clip(x, low, high)
    if low is not None:
        return ops.maximum(x, low)
    return x if high is None else ops.minimum(x, high)


# ONNX operator: (composite, the attributes the two have in common)
ACTIVATIONS = {
    "Relu": ("relu", ()),
    "LeakyRelu": ("leaky_relu", ("alpha",)),
    "ThresholdedRelu": ("thresholded_relu", ("alpha",)),
    "Elu": ("elu", ("alpha",)),
    "Celu": ("celu", ("alpha",)),
    "Selu": ("selu", ("alpha", "gamma")),
    "Gelu": ("gelu", ("approximate",)),
    "HardSigmoid": ("hard_sigmoid", ("alpha", "beta")),
    "HardSwish": ("hard_swish", ()),
    "Swish": ("silu", ("alpha",)),
    "Softplus": ("softplus", ()),
    "Softsign": ("softsign", ()),
    "Mish": ("mish", ()),
    "Shrink": ("shrink", ("bias", "lambd")),
}


def _activation(name: str, attributes: tuple[str, ...]):
    return lambda node, x: apply(name, x, **{a: node[a] for a in attributes})


for _name, (_op, _attributes) in ACTIVATIONS.items():
    importer(_name)(_activation(_op, _attributes))


@importer("PRelu")
def prelu(node: OnnxNode, x: Tensor, slope: Tensor) -> Tensor:
    """The slope broadcasts to x in one direction only. Before opset 7 a vector was one slope for each channel, which the version converter
    leaves as it is."""
    if node.scope.source.converted_from is not None and slope.rank == 1 and x.rank > 2:
        slope = ops.reshape(slope, (slope.shape[0], *(1,) * (x.rank - 2)))
    return ops.prelu(*together(x, slope))


@importer("Gelu", domain="com.microsoft")
def gelu(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.gelu(x)


@importer("FastGelu", domain="com.microsoft")
def fast_gelu(node: OnnxNode, x: Tensor, bias: Tensor | None = None) -> Tensor:
    return ops.gelu(x if bias is None else ops.add(x, bias), approximate="tanh")


@importer("BiasGelu", domain="com.microsoft")
def bias_gelu(node: OnnxNode, x: Tensor, bias: Tensor) -> Tensor:
    return ops.gelu(ops.add(x, bias))


@importer("QuickGelu", domain="com.microsoft")
def quick_gelu(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.silu(x, alpha=node.get("alpha", 1.702))

"""Elementwise primitives: one row each, the NumPy function that defines it, and how the result's type follows."""
from __future__ import annotations

import math

import numpy as np

from dlcompile.errors import DTypeError
from dlcompile.graph import (
    Dim,
    Operator,
    TensorType,
    Undecided,
    at_least,
    broadcast_shapes,
    definitely_different,
    dim_max,
    dim_min,
    dtype_name,
    floordiv,
    is_float,
    is_half,
    is_integer,
    is_narrow,
    is_number,
    is_ordered,
    is_string,
    mod,
    register,
)
from dlcompile.operators.conversion import from_text, to_text

BOOL = np.dtype(np.bool_)


# -- NumPy meanings that are not one function -------------------------------------------------------------------------------
def _div(a, b):
    """Floats as IEEE; integers truncated toward zero, x / 0 = 0."""
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    b = np.asarray(b)
    safe = np.where(b == 0, 1, b)
    quotient = a // safe
    quotient = quotient + ((a % safe != 0) & ((a < 0) != (safe < 0))).astype(quotient.dtype)
    return np.where(b == 0, 0, quotient).astype(a.dtype)


def _rem(a, b):
    if a.dtype.kind not in "iu":
        return np.fmod(a, b)
    safe = np.where(b == 0, 1, b)
    return np.where(b == 0, 0, np.fmod(a, safe)).astype(a.dtype)


def _pow(a, b):
    if a.dtype.kind not in "iu":
        return np.power(a, b.astype(a.dtype))
    negative = b < 0
    whole = np.power(a, np.where(negative, 0, b).astype(a.dtype))
    inverse = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0)) if a.dtype.kind == "i" else a == 1
    return np.where(negative, inverse.astype(a.dtype), whole)  # (uint64 and int64 together would become float64)


def _shift(left: bool):
    def shift(a, b):
        width = a.dtype.itemsize * 8
        fits = (b >= 0) & (b < width)
        safe = np.where(fits, b, 0).astype(a.dtype)
        moved = np.left_shift(a, safe) if left else np.right_shift(a, safe)
        return np.where(fits, moved, 0 if left else np.where(a < 0, -1, 0).astype(a.dtype))

    return shift


def _erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x.astype(np.float64)).astype(x.dtype) if x.size else x


def _logistic(x):
    """1/(1 + e**-x) without overflow: e**x/(1 + e**x) for negative x."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


def _cast(x, dtype):
    if is_float(x.dtype) and is_integer(dtype):
        wide = np.dtype(np.int32) if is_narrow(dtype) else dtype
        return _float_to_integer(x if x.dtype.itemsize >= 4 else x.astype(np.float32), wide).astype(dtype)
    return x.astype(dtype)


def _float_to_integer(x, dtype):
    """Truncation; what does not fit becomes the lowest value (of 32 bits and then wrapped, for narrower types), as x86 converts."""
    wide = dtype if dtype.itemsize >= 4 else np.dtype(np.int32)
    low, high = float(np.iinfo(wide).min), float(np.iinfo(wide).max) + 1
    fits = (x >= low) & (x < (high if dtype.itemsize == 8 else math.floor(high)))
    return np.where(fits, np.where(fits, x, 0).astype(wide), np.iinfo(wide).min).astype(wide).astype(dtype)


def _in_float32(function):
    """16-bit floats are computed in float32 and rounded once."""
    def wide(*arrays):
        narrow = [a.dtype for a in arrays if is_half(a.dtype)]
        if not narrow:
            return function(*arrays)
        result = function(*(a.astype(np.float32) if a.dtype in narrow else a for a in arrays))
        return result.astype(narrow[0]) if result.dtype == np.float32 else result

    return wide


# -- arithmetic of dimensions -----------------------------------------------------------------------------------------------
def _each(function):
    return np.frompyfunc(function, function.__code__.co_argcount, 1)


def _decided_equal(a, b) -> bool:
    if a == b:
        return True
    if definitely_different(a, b) if isinstance(a, (int, Dim)) and isinstance(b, (int, Dim)) else a != b:
        return False
    raise Undecided


def _decided_less(a, b) -> bool:
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return a < b
    if at_least(b, a + 1):
        return True
    if at_least(a, b):
        return False
    raise Undecided


def _truncated(a, b):
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        if b == 0:
            raise Undecided
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if at_least(a, 0) and at_least(b, 0):
        return floordiv(a, b)
    raise Undecided


def _remainder(a, b):
    if at_least(a, 0) and at_least(b, 1):
        return mod(a, b)
    return a - b * _truncated(a, b)


def _pick(condition, a, b):
    if isinstance(condition, Dim):
        raise Undecided
    return a if condition else b


def _plain(a):
    if isinstance(a, Dim):
        raise Undecided
    return a


KNOWN = {
    "add": _each(lambda a, b: a + b), "sub": _each(lambda a, b: a - b), "mul": _each(lambda a, b: a * b), "div": _each(_truncated),
    "neg": _each(lambda a: -a), "maximum": _each(lambda a, b: dim_max(a, b)), "minimum": _each(lambda a, b: dim_min(a, b)),
    "eq": _each(_decided_equal), "ne": _each(lambda a, b: not _decided_equal(a, b)), "lt": _each(_decided_less),
    "gt": _each(lambda a, b: _decided_less(b, a)), "le": _each(lambda a, b: not _decided_less(b, a)),
    "ge": _each(lambda a, b: not _decided_less(a, b)), "and": _each(lambda a, b: _plain(a) & _plain(b)),
    "or": _each(lambda a, b: _plain(a) | _plain(b)), "not": _each(lambda a: not a if isinstance(a, bool) else ~_plain(a)), "select": _each(_pick),
    "rem": _each(_remainder),
    "abs": _each(lambda a: a if at_least(a, 0) else -a if at_least(0, a) else _undecided()),
}
"""what some of the operators do to dimensions (see `Tensor.known`); the dtype is that of an object array"""


def _undecided():
    raise Undecided


# -- the rows ---------------------------------------------------------------------------------------------------------------
ANY, ORDERED, NUMBER, REAL, FLOAT, INTEGER, BIT = "any", "ordered", "number", "real", "float", "integer", "bool or integer"

ACCEPTS = {
    ANY: lambda d: True,
    ORDERED: is_ordered,
    NUMBER: is_number,
    REAL: lambda d: is_number(d) and is_ordered(d),
    FLOAT: is_float,
    INTEGER: is_integer,
    BIT: lambda d: d == BOOL or is_integer(d),
}

ROUNDED = 1  # flops of an operator that is one instruction; the others are polynomials of about this many
POLYNOMIAL = 20

# name: (arity, what it accepts, result dtype: None as the operands, NumPy definition, flops, accuracy)
ROWS = {
    "neg": (1, NUMBER, None, np.negative, ROUNDED, "exact"),
    "abs": (1, REAL, None, np.abs, ROUNDED, "exact"),
    "sign": (1, REAL, None, np.sign, ROUNDED, "exact"),
    "floor": (1, FLOAT, None, np.floor, ROUNDED, "exact"),
    "ceil": (1, FLOAT, None, np.ceil, ROUNDED, "exact"),
    "round": (1, FLOAT, None, np.rint, ROUNDED, "exact"),
    "sqrt": (1, FLOAT, None, np.sqrt, ROUNDED, "rounded"),
    "rsqrt": (1, FLOAT, None, lambda x: (1 / np.sqrt(x)).astype(x.dtype), 2, "rounded"),
    **{name: (1, FLOAT, None, function, POLYNOMIAL, "rounded") for name, function in {
        "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
        "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
        "atanh": np.arctanh, "erf": _erf, "logistic": _logistic}.items()},
    "not": (1, BIT, None, np.invert, ROUNDED, "exact"),
    "is_nan": (1, FLOAT, BOOL, np.isnan, ROUNDED, "exact"),
    "is_inf": (1, FLOAT, BOOL, np.isinf, ROUNDED, "exact"),
    "add": (2, NUMBER, None, np.add, ROUNDED, "rounded"),
    "sub": (2, NUMBER, None, np.subtract, ROUNDED, "rounded"),
    "mul": (2, NUMBER, None, np.multiply, ROUNDED, "rounded"),
    "div": (2, NUMBER, None, _div, ROUNDED, "rounded"),
    "rem": (2, REAL, None, _rem, 4, "exact"),
    "pow": (2, REAL, None, _pow, 2 * POLYNOMIAL, "rounded"),
    "maximum": (2, ORDERED, None, np.maximum, ROUNDED, "exact"),
    "minimum": (2, ORDERED, None, np.minimum, ROUNDED, "exact"),
    "atan2": (2, FLOAT, None, np.arctan2, POLYNOMIAL, "rounded"),
    "and": (2, BIT, None, np.bitwise_and, ROUNDED, "exact"),
    "or": (2, BIT, None, np.bitwise_or, ROUNDED, "exact"),
    "xor": (2, BIT, None, np.bitwise_xor, ROUNDED, "exact"),
    "shift_left": (2, INTEGER, None, _shift(True), ROUNDED, "exact"),
    "shift_right": (2, INTEGER, None, _shift(False), ROUNDED, "exact"),
    **{name: (2, ANY, BOOL, function, ROUNDED, "exact") for name, function in {"eq": np.equal, "ne": np.not_equal}.items()},
    **{name: (2, ORDERED, BOOL, function, ROUNDED, "exact") for name, function in {
        "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}.items()},
}


def _infer(name: str, arity: int, accepts: str, result):
    def infer(types, attributes):
        _check_arity(name, types, arity)
        dtype = types[0].dtype
        if any(t.dtype != dtype for t in types):
            raise DTypeError(f"operands have different element types: {', '.join(dtype_name(t.dtype) for t in types)}")
        if not ACCEPTS[accepts](dtype):
            raise DTypeError(f"operands must be of {accepts} type, not {dtype_name(dtype)}")
        return TensorType(result or dtype, broadcast_shapes(*(t.shape for t in types)))

    return infer


def _check_arity(name: str, types, arity: int) -> None:
    if len(types) != arity:
        raise DTypeError(f"takes {arity} operands, not {len(types)}")


def _evaluate(name: str, function):
    wide = _in_float32(function)

    def evaluate(attributes, *arrays):
        if any(a.dtype == object for a in arrays):
            if name not in KNOWN:
                raise Undecided
            return np.asarray(KNOWN[name](*arrays), dtype=object)
        with np.errstate(all="ignore"):
            return np.asarray(wide(*arrays))

    return evaluate


for _name, (_arity, _accepts, _result, _function, _flops, _accuracy) in ROWS.items():
    register(Operator(
        _name, "elementwise", infer=_infer(_name, _arity, _accepts, _result), evaluate=_evaluate(_name, _function),
        flops=lambda inputs, outputs, attributes, count=_flops: outputs[0].size * count, accuracy=_accuracy,
        shape_arithmetic=_name in KNOWN))


def _infer_select(types, attributes):
    _check_arity("select", types, 3)
    predicate, on_true, on_false = types
    if predicate.dtype != BOOL:
        raise DTypeError(f"the predicate must be bool, not {dtype_name(predicate.dtype)}")
    if on_true.dtype != on_false.dtype:
        raise DTypeError(f"the alternatives have different element types: {dtype_name(on_true.dtype)}, {dtype_name(on_false.dtype)}")
    return TensorType(on_true.dtype, broadcast_shapes(*(t.shape for t in types)))


def _evaluate_select(attributes, predicate, on_true, on_false):
    if predicate.dtype == object or on_true.dtype != on_false.dtype:
        return np.asarray(KNOWN["select"](predicate, on_true, on_false), dtype=object)
    return np.where(predicate, on_true, on_false)


register(Operator("select", "elementwise", infer=_infer_select, evaluate=_evaluate_select,
                  flops=lambda inputs, outputs, attributes: outputs[0].size, shape_arithmetic=True))


def _infer_cast(types, attributes):
    _check_arity("cast", types, 1)
    kinds = {types[0].dtype.kind, attributes["dtype"].kind}
    if kinds == {"O", "c"}:
        raise DTypeError(f"a cast of {types[0]} to {dtype_name(attributes['dtype'])}: complex numbers are not written as text")
    return TensorType(attributes["dtype"], types[0].shape)


def _evaluate_cast(attributes, x):
    dtype = attributes["dtype"]
    if is_string(dtype) != is_string(x.dtype) and not any(isinstance(v, (int, Dim)) for v in x.flat if is_string(x.dtype)):
        return from_text(x, dtype) if is_string(x.dtype) else to_text(x)
    if x.dtype != object or is_string(dtype):
        with np.errstate(all="ignore"):
            return _cast(x, dtype)
    if dtype == BOOL:
        return np.asarray(_each(lambda v: not _decided_equal(v, 0))(x), dtype=object)
    if is_float(dtype):
        raise Undecided  # floats of dimensions are not shape arithmetic
    return np.asarray(_each(lambda v: int(v) if isinstance(v, bool) else v)(x), dtype=object)


register(Operator("cast", "elementwise", infer=_infer_cast, evaluate=_evaluate_cast, accuracy="rounded", shape_arithmetic=True,
                  flops=lambda inputs, outputs, attributes: outputs[0].size))


def _infer_bitcast(types, attributes):
    _check_arity("bitcast", types, 1)
    if types[0].dtype.itemsize != attributes["dtype"].itemsize:
        raise DTypeError(f"the bits of {dtype_name(types[0].dtype)} are not those of a {dtype_name(attributes['dtype'])}: sizes differ")
    return TensorType(attributes["dtype"], types[0].shape)


register(Operator("bitcast", "elementwise", infer=_infer_bitcast, evaluate=lambda attributes, x: np.ascontiguousarray(x).view(attributes["dtype"]).reshape(np.shape(x)),
                  flops=lambda inputs, outputs, attributes: outputs[0].size))

"""Arithmetic, logic, comparison, casts, activations."""
from __future__ import annotations

import ml_dtypes
import numpy as np
from onnx import helper

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable, Value
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, EXTREMUM, ROUNDED, SUM, TRANSCENDENTAL, Tolerance


@entry("Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "Relu", "Identity", "Not", "BitwiseNot", "IsNaN", "Sqrt", "Reciprocal")
def unary(b: Builder, op: str) -> None:
    if op == "BitwiseNot" and b.opset < 18:
        raise Unsuitable(op)
    jumps = op in ("Floor", "Ceil", "Round", "Sign")
    b.add(op, [b.pick(b.types(op), exact=jumps)], tolerance=ROUNDED if op in ("Sqrt", "Reciprocal") else EXTREMUM if op in ("Relu", "Sign") else EXACT)


@entry("Exp", "Log", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Acosh", "Atanh", "Erf", "Sigmoid", "Softplus",
       "Softsign", "Mish", "HardSwish", "Selu", "Elu", "Celu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Gelu", "Swish")
def function(b: Builder, op: str) -> None:
    if b.opset < {"Mish": 18, "HardSwish": 14, "Gelu": 20, "Swish": 24}.get(op, 1):
        raise Unsuitable(op)
    attributes = {"Elu": ["alpha"], "Celu": ["alpha"], "Selu": ["alpha", "gamma"], "LeakyRelu": ["alpha"], "ThresholdedRelu": ["alpha"],
                  "HardSigmoid": ["alpha", "beta"], "Swish": ["alpha"]}.get(op, [])
    given = {name: b.choice((0.5, 1.0, 0.25, 1.5, 2.0, 0.1)) for name in attributes if b.chance(0.5)}
    if op == "Gelu" and b.chance(0.5):
        given["approximate"] = b.choice(("tanh", "none"))
    b.add(op, [b.pick(b.types(op))], tolerance=Tolerance(4, 1, 2) if op in ("Mish", "Gelu", "Swish", "Softplus", "Acosh", "Atanh", "Asinh", "Sinh",
                                                                           "Selu", "Elu", "Celu", "HardSigmoid", "HardSwish") else TRANSCENDENTAL,
          **given)


@entry("Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Greater", "GreaterOrEqual", "Less",
       "LessOrEqual", "PRelu")
def binary(b: Builder, op: str) -> None:
    if op.startswith("Bitwise") and b.opset < 18:
        raise Unsuitable(op)
    x = b.pick(b.types(op))
    y = b.partner(x, (x.dtype,), one_way=op == "PRelu")
    if b.chance(0.5) and op != "PRelu":
        x, y = y, x
    if op == "Div" and not v.is_float(x.dtype):
        y = divisor(b, y)
    b.add(op, [x, y])


def divisor(b: Builder, y: Value) -> Value:
    """Division by the integer 0 means nothing in ONNX: a divisor without."""
    if np.all(y.array != 0):
        return y
    return b.given(np.where(y.array == 0, np.ones((), y.dtype), y.array))


@entry("Mod")
def mod(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), exact=True)
    y = b.partner(x, (x.dtype,))
    if not v.is_float(x.dtype):
        return b.add(op, [x, divisor(b, y)], tolerance=EXACT, fmod=b.integer(0, 1))
    b.add(op, [x, y], fmod=1)


@entry("Pow")
def power(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    y = b.partner(x, b.types(op, 1))
    if not v.is_float(x.dtype):
        # an integer to a negative power, and one that a float cannot hold, are nowhere defined
        y = b.given((np.abs(y.array.astype(np.float64)) % 4).astype(np.int64).astype(y.dtype) if y.finite else np.ones(y.shape, y.dtype))
        if np.any(np.abs(x.array.astype(np.float64)) > 30):
            raise Unsuitable("large powers")
    if v.is_float(x.dtype) and x.dtype.itemsize == 2 and not (x.moderate and y.moderate):
        raise Unsuitable("a power in 16 bits overflows where one in 32 does not")
    b.add(op, [x, y], tolerance=TRANSCENDENTAL)


@entry("Max", "Min", "Sum", "Mean")
def variadic(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    operands = [x, *(b.partner(x, (x.dtype,), one_way=True) for _ in range(b.integer(0, 3)))]
    if op in ("Sum", "Mean") and v.is_float(x.dtype):  # 2*x + y in one rounding has no overflow on its way
        finite = np.concatenate([o.array[np.isfinite(o.array)].astype(np.float64) for o in operands])
        if np.abs(finite).max(initial=0) > float(ml_dtypes.finfo(x.dtype).max) / 8:
            raise Unsuitable("a sum that overflows on its way")
    b.add(op, operands, tolerance=EXTREMUM if op in ("Max", "Min") else SUM)


@entry("Where")
def where(b: Builder, op: str) -> None:
    x = b.pick(b.types(op, 1))
    b.add(op, [b.partner(x, (v.BOOL,)), x, b.partner(x, (x.dtype,), one_way=True)], tolerance=EXACT)


@entry("BitShift")
def shift(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    y = b.partner(x, (x.dtype,))
    bits = x.dtype.itemsize * 8
    if np.any(y.array >= bits):
        y = b.given(y.array % np.array(bits, y.dtype))
    b.add(op, [x, y], tolerance=EXACT, direction=b.choice(("LEFT", "RIGHT")))


@entry("IsInf")
def is_inf(b: Builder, op: str) -> None:
    given = {n: b.integer(0, 1) for n in ("detect_negative", "detect_positive") if b.chance(0.5)}
    b.add(op, [b.pick(b.types(op))], tolerance=EXACT, **given)


@entry("Clip")
def clip(b: Builder, op: str) -> None:
    x = b.pick(b.types(op))
    bounds = np.sort(np.concatenate([v.ordinary(b.numbers, x.dtype, (2,))]))
    low, high = (b.given(np.asarray(bound, x.dtype), 0.6) if b.chance(0.7) else None for bound in bounds)
    b.add(op, [x, low, high], tolerance=EXTREMUM)


@entry("Cast", "CastLike")
def cast(b: Builder, op: str) -> None:
    if op == "CastLike" and b.opset < 15:
        raise Unsuitable(op)
    x = b.pick(b.types("Cast"))
    dtype = b.dtype([t for t in b.types("Cast") if t != x.dtype])
    # a float that an integer type does not hold may become anything
    defined = not (v.is_float(x.dtype) and not v.is_float(dtype) and dtype != v.BOOL) or _fits(x.array, dtype)
    if op == "Cast":
        b.add(op, [x], tolerance=EXACT if dtype not in v.FLOATS else ROUNDED, compared=defined, to=helper.np_dtype_to_tensor_dtype(dtype))
    else:
        b.add(op, [x, b.pick((dtype,))], tolerance=EXACT if dtype not in v.FLOATS else ROUNDED, compared=defined)


def _fits(array: np.ndarray, dtype: np.dtype) -> bool:
    info, wide = np.iinfo(dtype), array.astype(np.float64)
    return bool(np.all(np.isfinite(wide) & (wide > float(info.min) - 1) & (wide < float(info.max) + (info.bits < 53))))


@entry("Shrink")
def shrink(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), accept=lambda value: v.is_float(value.dtype) or value.moderate)
    halves = (0.0, 0.5, 1.0, 1.5, 2.0) if v.is_float(x.dtype) else (0.0, 1.0, 2.0)  # what becomes of a half among integers is not said
    lambd = b.choice(halves)
    b.add(op, [x], lambd=lambd, bias=b.choice([h for h in halves if h <= lambd]))


@entry("Dropout")
def dropout(b: Builder, op: str) -> None:
    b.add(op, [b.pick(b.types(op))], outputs=b.integer(1, 2), tolerance=EXACT)



"""Quantisation: linear, dynamic, and the products of quantised numbers."""
from __future__ import annotations

import numpy as np

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable, Value
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, ROUNDED

SCALES = (0.5, 0.25, 1.0, 0.125, 2.0, 0.0625)  # powers of 2: what rounds to the nearest has ties, which rounding errors do not move


def scale(b: Builder, shape: tuple[int, ...] = (), dtype: np.dtype = v.FLOAT32) -> Value:
    return b.given(np.asarray(b.numbers.choice(SCALES, shape), dtype), 0.7, reuse=False)


def zero(b: Builder, dtype: np.dtype, shape: tuple[int, ...] = ()) -> Value:
    return b.given(v.ordinary(b.numbers, dtype, shape), 0.7, reuse=False)


def _per_axis(b: Builder, x: Value) -> tuple[dict, tuple[int, ...]]:
    if not x.rank or b.chance(0.5):
        return {}, ()
    axis = b.axis(x.rank)
    return {"axis": axis}, (x.shape[axis],)


@entry("QuantizeLinear")
def quantize(b: Builder, op: str) -> None:
    dtype = b.choice([t for t in b.types(op, 2) if t.itemsize == 1 and t in v.INTEGERS])
    x = b.pick((v.FLOAT32,), finite=True, exact=True)
    given, shape = _per_axis(b, x)
    offset = zero(b, dtype, shape) if dtype != v.UINT8 or b.chance(0.7) else None
    b.add(op, [x, scale(b, shape), offset], tolerance=EXACT, **given)


@entry("DequantizeLinear")
def dequantize(b: Builder, op: str) -> None:
    dtypes = [t for t in b.types(op) if t in v.INTEGERS]
    x = b.pick(dtypes)
    given, shape = _per_axis(b, x)
    offset = zero(b, x.dtype, shape) if x.dtype != v.INT32 and b.chance(0.7) else None
    b.add(op, [x, scale(b, shape), offset], tolerance=ROUNDED, **given)


@entry("DynamicQuantizeLinear")
def dynamic_quantize(b: Builder, op: str) -> None:
    def accept(value):  # a range of subnormal numbers has a scale of 0, and codes that are no number
        return value.array.size > 0 and value.moderate and (not value.array.any() or np.ptp(np.append(value.array, 0)) > 1e-30)

    x = b.pick((v.FLOAT32,), finite=True, exact=True, accept=accept)
    b.add(op, [x], outputs=3, tolerance=EXACT)


@entry("QLinearMatMul")
def qlinear_matmul(b: Builder, op: str) -> None:
    a, c, y = (b.choice((v.INT8, v.UINT8)) for _ in range(3))
    m, k, n = (b.choice((1, 2, 3, 5, 8, 17)) for _ in range(3))
    batch = b.choice(((), (1,), (2,)))
    left, right = b.fresh(a, (*batch, m, k), finite=True), b.fresh(c, (*batch, k, n), finite=True, constant=0.7)
    b.add(op, [left, scale(b), zero(b, a), right, scale(b), zero(b, c), scale(b), zero(b, y)], tolerance=EXACT)


@entry("QLinearConv")
def qlinear_conv(b: Builder, op: str) -> None:
    x, w, y = (b.choice((v.INT8, v.UINT8)) for _ in range(3))
    group = b.choice((1, 1, 2))
    channels, outputs = group * b.choice((1, 2, 3)), group * b.choice((1, 2, 5))
    kernel, size = [b.choice((1, 2, 3)) for _ in range(2)], [b.choice((3, 4, 7)) for _ in range(2)]
    image, weights = b.fresh(x, (b.choice((1, 2)), channels, *size), finite=True), b.fresh(w, (outputs, channels // group, *kernel), finite=True, constant=0.9)
    per_channel = (outputs,) if b.chance(0.4) else ()
    if per_channel and w == v.UINT8:
        raise Unsuitable("unsigned weights with a scale a channel")
    offset = b.constant(np.zeros(per_channel, w)) if per_channel else zero(b, w)
    bias = b.given(b.numbers.integers(-50, 50, (outputs,)).astype(np.int32), 0.8, reuse=False) if b.chance(0.5) else None
    given = {"group": group, "pads": [b.integer(0, 1) for _ in range(4)], "strides": [b.choice((1, 2)) for _ in range(2)]}
    b.add(op, [image, scale(b), zero(b, x), weights, scale(b, per_channel), offset, scale(b), zero(b, y), bias], tolerance=EXACT, **given)

"""Random tensors. Each is a function of its key: the same key gives the same numbers, on every machine and with any number of threads."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlcompile.errors import DTypeError
from dlcompile.graph import DimLike, Tensor, apply, as_dtype, is_float, make_constant
from dlcompile.ops.core import TensorLike, as_tensor, cast, reshape, slice
from dlcompile.ops.elementwise import add, cos, log1p, lt, mul, neg, shift_right, sqrt


def random_key(seed: int) -> Tensor:
    """The key [2] uint32 that stands for a seed of up to 64 bits."""
    return make_constant(np.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], np.uint32))


def random_bits(key: TensorLike, shape: Sequence[DimLike]) -> Tensor:
    """Independent uniform uint32, by Threefry-2x32 of `key` ([2] uint32) and the element's index."""
    return apply("random_bits", as_tensor(key), shape=tuple(shape))


def random_uniform(key: TensorLike, shape: Sequence[DimLike], dtype=np.float32, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform floats in [low, high): multiples of 2**-24 (2**-11 for float16, 2**-8 for bfloat16) scaled."""
    dtype = as_dtype(dtype)
    if not is_float(dtype):
        raise DTypeError(f"random_uniform makes floats, not {dtype}")
    digits = {"float16": 11, "bfloat16": 8}.get(dtype.name, 24)  # as many as the significand has: no rounding, so never `high`
    integers = shift_right(random_bits(key, shape), make_constant(np.uint32(32 - digits)))
    unit = mul(cast(integers, dtype), make_constant(np.asarray(2.0 ** -digits, dtype)))
    if (low, high) == (0.0, 1.0):
        return unit
    return add(mul(unit, make_constant(np.asarray(high - low, dtype))), make_constant(np.asarray(low, dtype)))


def random_normal(key: TensorLike, shape: Sequence[DimLike], dtype=np.float32, mean: float = 0.0, scale: float = 1.0) -> Tensor:
    """Normally distributed floats (Box & Muller 1958: √(-2 ln(1 - u)) cos 2πv), computed in float32."""
    shape = tuple(shape)
    uniform = random_uniform(key, (2, *shape))
    u, v = (reshape(slice(uniform, (i, *(0,) * len(shape)), (i + 1, *shape)), shape) for i in (0, 1))
    radius = sqrt(mul(log1p(neg(u)), np.float32(-2)))
    normal = mul(radius, cos(mul(v, np.float32(2 * math.pi))))
    return cast(add(mul(normal, np.float32(scale)), np.float32(mean)), dtype)


def random_bernoulli(key: TensorLike, probability: TensorLike, shape: Sequence[DimLike]) -> Tensor:
    """bool, true with the given probability (a float32 that broadcasts to `shape`)."""
    return lt(random_uniform(key, shape), as_tensor(probability, np.float32))

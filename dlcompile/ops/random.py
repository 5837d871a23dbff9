"""Random tensors. The same key or seed gives the same numbers, on every machine and with any number of threads."""
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


def random_uniform(
    key: TensorLike, shape: Sequence[DimLike], dtype=np.float32, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """Uniform floats in [low, high): multiples of 2**-53 (2**-24 for float32, 2**-11 for float16, 2**-8 for bfloat16)
    scaled."""
    dtype, shape = as_dtype(dtype), tuple(shape)
    if not is_float(dtype):
        raise DTypeError(f"random_uniform makes floats, not {dtype}")
    # as many digits as the significand has: no rounding, so never `high`
    digits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[dtype.name]
    if digits > 32:
        upper, lower = _halves(random_bits(key, (2, *shape)))
        upper, lower = (cast(shift_right(bits, make_constant(np.uint32(cut))), dtype)
                        for bits, cut in ((upper, 5), (lower, 6)))
        integers = add(mul(upper, make_constant(np.asarray(2.0 ** 26, dtype))), lower)
    else:
        integers = cast(shift_right(random_bits(key, shape), make_constant(np.uint32(32 - digits))), dtype)
    unit = mul(integers, make_constant(np.asarray(2.0 ** -digits, dtype)))
    if (low, high) == (0.0, 1.0):
        return unit
    return add(mul(unit, make_constant(np.asarray(high - low, dtype))), make_constant(np.asarray(low, dtype)))


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """x[0] and x[1]."""
    shape = x.shape[1:]
    first, second = (reshape(slice(x, (i, *(0,) * len(shape)), (i + 1, *shape)), shape) for i in (0, 1))
    return first, second


def random_normal(
    key: TensorLike, shape: Sequence[DimLike], dtype=np.float32, mean: float = 0.0, scale: float = 1.0
) -> Tensor:
    """Normally distributed floats (Box & Muller 1958: √(-2 ln(1 - u)) cos 2πv), computed in float32, or for float64 in
    that."""
    dtype = as_dtype(dtype)
    if not is_float(dtype):
        raise DTypeError(f"random_normal makes floats, not {dtype}")
    wide = np.dtype(np.float64 if dtype == np.float64 else np.float32)
    u, v = _halves(random_uniform(key, (2, *shape), wide))
    radius = sqrt(mul(log1p(neg(u)), wide.type(-2)))
    normal = mul(radius, cos(mul(v, wide.type(2 * math.pi))))
    return cast(add(mul(normal, wide.type(scale)), wide.type(mean)), dtype)


def random_bernoulli(key: TensorLike, probability: TensorLike, shape: Sequence[DimLike]) -> Tensor:
    """bool, true with the given probability (a float32 that broadcasts to `shape`)."""
    return lt(random_uniform(key, shape), as_tensor(probability, np.float32))


def mt19937_uniform(seed: int, shape: Sequence[DimLike]) -> Tensor:
    """float64 in [0, 1): what numpy.random.RandomState(seed) draws first, seeds modulo 2**32. One after the other, on
    one thread."""
    return apply("mt19937", seed=int(seed) & 0xFFFFFFFF, distribution="uniform", shape=tuple(shape))


def mt19937_normal(seed: int, shape: Sequence[DimLike]) -> Tensor:
    """float64 of the standard normal distribution, as `mt19937_uniform`."""
    return apply("mt19937", seed=int(seed) & 0xFFFFFFFF, distribution="normal", shape=tuple(shape))

"""Random tensors by the distributions that layers and losses ask for; arrays where they are called outside of a trace.

The arguments are Keras's. `seed` is an integer (the same numbers each time), a `SeedGenerator` (other numbers each time), a key of two words, or
None (the generator that all share).
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlcompile import config, ops
from dlcompile.eager import eager
from dlcompile.errors import ArgumentError, DTypeError, ShapeError
from dlcompile.graph import DimLike, Tensor, as_dtype, is_float, is_integer
from dlcompile.random.seed import Seed, key_tensor

# erfinv(x) = x * p(-ln(1 - x²) - 2.5) where |x| < 0.9966, highest power first (Giles 2010, "Approximating the erfinv function", table 5)
_ERFINV = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727,
           1.50140941)


def _float_type(dtype) -> np.dtype:
    dtype = as_dtype(dtype or config.floatx())
    if not is_float(dtype):
        raise DTypeError(f"random floats are of a float type, not {dtype}")
    return dtype


@eager
def normal(shape: Sequence[DimLike], mean: float = 0.0, stddev: float = 1.0, dtype=None, seed: Seed = None) -> Tensor:
    """Normally distributed floats.

    >>> normal((2, 3), seed=1).shape
    (2, 3)
    """
    return ops.random_normal(key_tensor(seed), shape, _float_type(dtype), mean, stddev)


@eager
def uniform(shape: Sequence[DimLike], minval: float = 0.0, maxval: float = 1.0, dtype=None, seed: Seed = None) -> Tensor:
    """Uniform floats in [minval, maxval), or integers where `dtype` is a type of integers."""
    if dtype is not None and is_integer(as_dtype(dtype)):
        return randint(shape, minval, maxval, dtype, seed)
    return ops.random_uniform(key_tensor(seed), shape, _float_type(dtype), minval, maxval)


@eager
def randint(shape: Sequence[DimLike], minval: int, maxval: int, dtype="int32", seed: Seed = None) -> Tensor:
    """Uniform integers in [minval, maxval): for n of them the upper half of n times 32 random bits (Lemire 2019), or times 64 where n is
    more than 2**32. No interval of integers has a share that is off by more than 2**-32, or 2**-64."""
    dtype, count = as_dtype(dtype), int(maxval) - int(minval)
    if not is_integer(dtype):
        raise DTypeError(f"randint makes integers, not {dtype}")
    if not 0 < count < 2**64:
        raise ArgumentError(f"randint: there is no integer from {minval} to before {maxval}" if count <= 0 else
                            f"randint: the range from {minval} to {maxval} has more than 64 bits")
    key = key_tensor(seed)
    if count <= 2**32:
        drawn = _upper(ops.cast(ops.random_bits(key, shape), np.uint64) * np.uint64(count))
    else:  # (2**32 a + b)(2**32 c + d), its upper 64 bits
        bits = ops.cast(ops.random_bits(key, (2, *shape)), np.uint64)
        a, b, c, d = bits[0], bits[1], np.uint64(count >> 32), np.uint64(count & 0xFFFFFFFF)
        middle = (a * d & _LOWER) + (b * c & _LOWER) + _upper(b * d)
        drawn = a * c + _upper(a * d) + _upper(b * c) + _upper(middle)
    return ops.cast(drawn, dtype) + np.asarray(minval, dtype)


_LOWER = np.uint64(0xFFFFFFFF)


def _upper(x: Tensor) -> Tensor:
    """The upper 32 bits of uint64."""
    return ops.shift_right(x, np.uint64(32))


@eager
def truncated_normal(shape: Sequence[DimLike], mean: float = 0.0, stddev: float = 1.0, dtype=None, seed: Seed = None) -> Tensor:
    """Normally distributed floats within two standard deviations of the mean, by inverting the distribution function in float32."""
    edge = math.erf(math.sqrt(2))
    x = ops.random_uniform(key_tensor(seed), shape, np.float32, -edge, edge)
    w = -ops.log1p(-(x * x)) - 2.5
    p = ops.as_tensor(np.float32(_ERFINV[0]))
    for coefficient in _ERFINV[1:]:
        p = p * w + coefficient
    within = ops.clip(p * x * math.sqrt(2), -2.0, 2.0)
    return ops.cast(within * stddev + mean, _float_type(dtype))


@eager
def dropout(inputs: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None) -> Tensor:
    """`inputs` with a share `rate` of them 0 and the others divided by 1 - rate (Srivastava et al. 2014).

    noise_shape: of the decisions, which are then broadcast: 1 for an axis along which all share one, None for the extent of `inputs`.
    """
    if not 0 <= rate <= 1:
        raise ArgumentError(f"a dropout rate is from 0 to 1, not {rate}")
    x = ops.as_tensor(inputs, as_dtype(config.floatx()))
    if rate == 0:
        return x
    if rate == 1:
        return ops.full(x.shape, 0, x.dtype)
    shape = x.shape
    if noise_shape is not None:
        if len(noise_shape) != x.rank:
            raise ShapeError(f"noise_shape {tuple(noise_shape)} needs an entry for each axis of {x.type}")
        shape = tuple(own if given is None else given for own, given in zip(x.shape, noise_shape))
    kept = ops.lt(ops.random_bits(key_tensor(seed), shape), np.uint32(min(round((1 - rate) * 2**32), 2**32 - 1)))
    return ops.select(kept, x * (1 / (1 - rate)), ops.as_tensor(0, x.dtype))


@eager
def categorical(logits: Tensor, num_samples: int, dtype="int32", seed: Seed = None) -> Tensor:
    """Classes drawn by unnormalised logarithms of their probabilities: logits [batch, classes] → [batch, num_samples].

    The class with the largest logit is taken after noise -ln(-ln u) was added to each (Gumbel 1954).
    """
    logits = ops.as_tensor(logits, as_dtype(config.floatx()))
    if logits.rank != 2:
        raise ShapeError(f"logits are [batch, classes], not {logits.type}")
    batch, classes = logits.shape
    u = ops.random_uniform(key_tensor(seed), (batch, num_samples, classes), np.float32)
    noise = -ops.log(-ops.log(ops.maximum(u, np.float32(2.0**-25))))
    return ops.cast(ops.argmax(ops.cast(ops.expand_dims(logits, 1), np.float32) + noise, -1), dtype)


@eager
def shuffle(x: Tensor, axis: int = 0, seed: Seed = None) -> Tensor:
    """The slices of `x` along `axis` in another order, each order being as likely as any other but for equals among 2**32 random words."""
    x = ops.as_tensor(x)
    axis = ops.axis_index(axis, x.rank)
    _, order = ops.top_k(ops.random_bits(key_tensor(seed), (x.shape[axis],)), x.shape[axis])
    return ops.gather(x, order, axis)


__all__ = ["categorical", "dropout", "normal", "randint", "shuffle", "truncated_normal", "uniform"]

"""Arrays of any element type: ordinary numbers, and those at the edges."""
from __future__ import annotations

import ml_dtypes
import numpy as np

FLOAT64, FLOAT32, FLOAT16 = np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = (FLOAT32, FLOAT64, FLOAT16, BFLOAT16)
SIGNED = tuple(np.dtype(t) for t in (np.int64, np.int32, np.int16, np.int8))
UNSIGNED = tuple(np.dtype(t) for t in (np.uint64, np.uint32, np.uint16, np.uint8))
INTEGERS = SIGNED + UNSIGNED
BOOL, INT64, INT32 = np.dtype(np.bool_), np.dtype(np.int64), np.dtype(np.int32)
INT8, UINT8 = np.dtype(np.int8), np.dtype(np.uint8)
NUMBERS = FLOATS + INTEGERS
ALL = (*NUMBERS, BOOL)


def is_float(dtype: np.dtype) -> bool:
    return dtype in FLOATS


def epsilon(dtype: np.dtype) -> float:
    """The distance from 1 to the next number of a float type; 0 for the others."""
    return float(ml_dtypes.finfo(dtype).eps) if is_float(dtype) else 0.0


def edges(dtype: np.dtype) -> list:
    """The numbers of a type where rules change."""
    if dtype == BOOL:
        return [False, True]
    if not is_float(dtype):
        info = np.iinfo(dtype)
        return [info.min, info.max, info.max - 1, 0, 1, info.min + 1, *([-1] if info.min else [])]
    info = ml_dtypes.finfo(dtype)
    return [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, float(info.max), float(info.min), float(info.tiny),
            float(info.smallest_subnormal)]


def ordinary(random: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of moderate size; a part of the floats are halves, where rounding has ties, and thirds repeat."""
    if dtype == BOOL:
        return random.random(shape) < 0.5
    if not is_float(dtype):
        return random.integers(0 if dtype in UNSIGNED else -9, 10, shape).astype(dtype)
    values = random.standard_normal(shape) * 1.5
    halves = np.round(values * 2) / 2
    return np.where(random.random(shape) < 0.2, halves, values).astype(dtype)


def with_edges(random: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Ordinary numbers with some at the edges between them."""
    values = ordinary(random, dtype, shape)
    chosen = np.array(edges(dtype)).astype(dtype) if is_float(dtype) else np.array(edges(dtype), dtype)
    return np.where(random.random(shape) < 0.3, random.choice(chosen, shape) if values.size else values, values).astype(dtype)

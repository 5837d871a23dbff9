"""sort and top_k compiled: every type, any axis, ties, NaN and signed zeros, few of many and all, views as operands."""
import itertools
from functools import partial

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import make_input, symbol
from tests.kernels.build import RUNNABLE, Case, check

RNG = np.random.default_rng(3)
COUNTER = itertools.count()
DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")


def values(dtype: str, shape) -> np.ndarray:
    """Many equal values, the extremes of the type, and what only floats have."""
    if dtype.startswith("float"):
        x = np.round(RNG.standard_normal(shape) * 20).astype(dtype)
        specials = [np.nan, np.inf, -np.inf, -0.0, 0.0, np.nan]
    else:
        info = np.iinfo(dtype)
        x = RNG.integers(max(info.min, -50), min(info.max, 50), shape).astype(dtype)
        specials = [info.min, info.max, info.max]
    count = min(len(specials), x.size)
    x.flat[RNG.permutation(x.size)[:count]] = np.array(specials[:count], dtype)
    return x


def case(name: str, make, array: np.ndarray, symbolic: bool = False) -> Case:
    number = next(COUNTER)
    shape = tuple(symbol(f"d{number}_{a}") for a in range(array.ndim)) if symbolic else array.shape
    tensor = make_input(f"x{number}", array.dtype, shape)
    made = make(tensor)
    return Case(name, [(tensor, array)], made if isinstance(made, tuple) else [made], 0)


def all_cases():
    for dtype in DTYPES:
        for shape, axis, symbolic in (((3, 211), 1, False), ((5, 67, 3), 1, True)):
            x, down = values(dtype, shape), bool(RNG.integers(2))
            yield case(f"sort {dtype} {shape}", partial(ops.sort, axis=axis, descending=down), x, symbolic)
            yield case(f"top_k {dtype} {shape}", partial(ops.top_k, k=7, axis=axis, largest=down), x, symbolic)
    for n, k, largest in itertools.product((0, 1, 2, 63, 64, 65, 700), (0, 1, 9, 100), (False, True)):
        k = min(k, n)
        yield case(f"{k} of {n}", partial(ops.top_k, k=k, axis=0, largest=largest), values("float32", (n,)))
    rising = np.arange(3000, dtype=np.float32)
    for x in (rising, rising[::-1].copy(), np.zeros(3000, np.float32)):
        yield case("in order already", lambda t: ops.top_k(t, 300), x)
    wide = RNG.integers(-2**62, 2**62, 500)
    yield case("all bytes of a long value", lambda t: ops.sort(t), wide)
    x = values("float32", (4, 90, 5))
    yield case("views", lambda t: ops.top_k(ops.transpose(t[:, 3:80:2, ::-1], (1, 0, 2)), 11, 0), x)
    yield case("no strided view", lambda t: ops.sort(ops.reshape(ops.transpose(t, (2, 0, 1)), (20, 90)), 1), x)
    yield case("producer and reader", lambda t: ops.add(ops.top_k(ops.mul(t, 2), 3, 1)[0], 1), x)
    yield case("bool", lambda t: ops.sort(t), RNG.random((3, 99)) < 0.5)
    yield case("empty rows", lambda t: ops.sort(t, 0), np.zeros((3, 0), np.float32), True)


@pytest.mark.parametrize("target", RUNNABLE[:1], ids=lambda t: t.name)
def test_ordering(target, tmp_path):
    check(list(all_cases()), target, tmp_path)

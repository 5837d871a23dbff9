"""Random numbers compiled: the interpreter's, bit for bit where they are exact."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import make_input, symbol
from tests.kernels.build import RUNNABLE, Case, check

KEY = ops.random_key(2**63 + 12345)


def cases():
    shape = (3, symbol("n"), 17)
    like, array = make_input("like", np.float32, shape), np.zeros((3, 40, 17), np.float32)
    key, words = make_input("key", np.uint32, (2,)), np.array([2**32 - 1, 7], np.uint32)
    bits = [ops.random_bits(KEY, shape), ops.random_bits(key, shape), ops.random_bits(KEY, (5, 11)), ops.random_bits(KEY, ())]
    yield Case("bits", [(like, array), (key, words)], bits, 0)
    yield Case("uniform", [], [ops.random_uniform(KEY, (1000,), dtype, -2.0, 3.0) for dtype in ("float64", "float32")], 1e-7)
    yield Case("16 bits", [], [ops.random_uniform(KEY, (1000,), dtype) for dtype in ("float16", "bfloat16")], 0)
    yield Case("normal", [], [ops.random_normal(KEY, (1001,), dtype) for dtype in ("float64", "float32")], 1e-6)
    yield Case("bernoulli", [], [ops.random_bernoulli(KEY, np.float32(0.3), (77,))], 0)
    for seed in (0, 1, 12345, 2**32 - 1):
        yield Case(f"Mersenne Twister {seed}", [], [ops.mt19937_uniform(seed, (700,))], 0)
        yield Case(f"Mersenne Twister {seed}, normal", [], [ops.mt19937_normal(seed, (3, 233))], 1e-15)
    yield Case("Mersenne Twister of a symbolic shape", [], [ops.mt19937_uniform(3, like.shape), ops.mt19937_normal(3, ())], 1e-15)


@pytest.mark.parametrize("target", RUNNABLE[:1], ids=lambda t: t.name)
def test_random_numbers(target, tmp_path):
    check(list(cases()), target, tmp_path)

"""Random numbers: the published vectors of Threefry, and moments."""
import math

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import DTypeError
from dlcompile.graph import make_input, symbol
from dlcompile.operators.random import threefry2x32
from tests.operators.helpers import run


@pytest.mark.parametrize("key, counter, expected", [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)), ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0))])
def test_known_answers(key, counter, expected):
    """kat_vectors of the Random123 distribution."""
    words = [np.array([w], np.uint32) for w in (*key, *counter)]
    with np.errstate(over="ignore"):
        assert tuple(int(w[0]) for w in threefry2x32(tuple(words[:2]), tuple(words[2:]))) == expected


def test_an_element_depends_on_key_and_index_only():
    key = ops.random_key(1234567890123)
    assert key.value.tolist() == [1234567890123 >> 32, 1234567890123 & 0xFFFFFFFF]
    (long,) = run(lambda: ops.random_bits(key, (100,)))
    (shaped,) = run(lambda: ops.random_bits(key, (2, 5, 3)))
    np.testing.assert_array_equal(shaped.ravel(), long[:30])
    (symbolic,) = run(lambda x: ops.random_bits(key, x.shape), np.zeros((4, 6)), symbolic=True)
    np.testing.assert_array_equal(symbolic.ravel(), long[:24])
    assert len(np.unique(run(lambda: ops.random_bits(key, (20000,)))[0])) > 19990
    assert not np.array_equal(run(lambda: ops.random_bits(ops.random_key(1), (9,)))[0], run(lambda: ops.random_bits(ops.random_key(2), (9,)))[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, "bfloat16"])
def test_uniform(dtype):
    (x,) = run(lambda: ops.random_uniform(ops.random_key(5), (40000,), dtype))
    wide = x.astype(np.float64)
    assert 0 <= wide.min() < 1e-2 and 0.99 < wide.max() < 1
    assert abs(wide.mean() - 0.5) < 0.006 and abs(wide.var() - 1 / 12) < 0.003
    counts = np.histogram(wide, 16, (0, 1))[0]
    assert ((counts - 2500) ** 2 / 2500).sum() < 45  # chi squared, 15 degrees of freedom: 1 in 10000
    (y,) = run(lambda: ops.random_uniform(ops.random_key(5), (1000,), low=-3.0, high=5.0))
    assert -3 <= y.min() < -2.9 and 4.9 < y.max() < 5


def test_normal():
    (x,) = run(lambda: ops.random_normal(ops.random_key(9), (50000,), mean=2.0, scale=3.0))
    z = (x.astype(np.float64) - 2) / 3
    assert np.isfinite(x).all() and abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02 and abs((z ** 3).mean()) < 0.06
    for point in (-2, -1, 0, 1, 2):
        assert abs((z < point).mean() - 0.5 * math.erfc(-point / math.sqrt(2))) < 0.01


def test_bernoulli():
    (x,) = run(lambda: ops.random_bernoulli(ops.random_key(3), np.array([0.0, 0.3, 1.0]), (20000, 3)))
    assert x.dtype == bool and not x[:, 0].any() and x[:, 2].all() and abs(x[:, 1].mean() - 0.3) < 0.015


def test_refusals():
    with pytest.raises(DTypeError, match=r"uint32\[2\]"):
        ops.random_bits(make_input("k", np.int64, (2,)), (symbol("n"),))
    with pytest.raises(DTypeError, match="makes floats"):
        ops.random_uniform(ops.random_key(0), (2,), np.int32)

"""Distributions against SciPy's, with fixed seeds: the probability of a sample that departs so far is below 1e-4."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from dlcompile import random
from dlcompile.errors import ArgumentError, DTypeError, ShapeError

stats = pytest.importorskip("scipy.stats")
COUNT = 20000


def follows(sample, distribution) -> bool:
    return stats.kstest(np.asarray(sample, np.float64).ravel(), distribution.cdf).pvalue > 1e-4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_continuous_distributions(dtype):
    assert follows(random.normal((COUNT,), 2.0, 3.0, dtype, seed=1), stats.norm(2, 3))
    assert follows(random.uniform((COUNT,), -2.0, 5.0, dtype, seed=2), stats.uniform(-2, 7))
    cut = random.truncated_normal((COUNT,), 1.0, 0.5, dtype, seed=3)
    assert follows(cut, stats.truncnorm(-2, 2, 1, 0.5)) and cut.min() >= 0 and cut.max() <= 2
    assert cut.dtype == dtype


def test_the_type_is_floatx_or_what_is_asked_for():
    assert random.normal((2,)).dtype == np.float32
    for dtype in ("float16", "bfloat16", np.float64):
        assert random.uniform((2,), dtype=dtype).dtype == random.truncated_normal((2,), dtype=dtype).dtype == np.dtype(dtype)
    assert np.dtype("bfloat16") == ml_dtypes.bfloat16
    with pytest.raises(DTypeError, match="int32"):
        random.normal((2,), dtype="int32")
    with pytest.raises(DTypeError, match="float32"):
        random.randint((2,), 0, 5, dtype="float32")


@pytest.mark.parametrize(("low", "high", "dtype"), [(-3, 4, "int32"), (0, 2**32, "uint32"), (-2**31, 2**31, "int32"), (0, 2**40, "int64"),
                                                    (0, 3 * 2**61, "uint64")])
def test_integers(low, high, dtype):
    drawn = random.randint((COUNT,), low, high, dtype, seed=4)
    assert drawn.dtype == dtype and int(drawn.min()) >= low and int(drawn.max()) < high
    bins = [int((int(v) - low) * 7 // (high - low)) for v in drawn]
    assert stats.chisquare(np.bincount(bins, minlength=7)).pvalue > 1e-4


def test_uniform_of_integers_is_randint():
    np.testing.assert_array_equal(random.uniform((9,), 0, 100, "int32", seed=1), random.randint((9,), 0, 100, seed=1))


def test_no_integer_to_draw():
    with pytest.raises(ArgumentError, match="no integer from 3 to before 3"):
        random.randint((2,), 3, 3)


def test_categorical():
    p = np.array([[0.5, 0.3, 0.2], [0.01, 0.01, 0.98]])
    drawn = random.categorical(np.log(p).astype(np.float32), COUNT, seed=5)
    assert drawn.shape == (2, COUNT) and drawn.dtype == np.int32
    for row, expected in zip(drawn, p):
        assert stats.chisquare(np.bincount(row, minlength=3), expected * COUNT).pvalue > 1e-4
    with pytest.raises(ShapeError, match="classes"):
        random.categorical(np.zeros(3, np.float32), 2)


def test_dropout():
    x = np.linspace(1, 2, 100 * 200, dtype=np.float32).reshape(100, 200)
    y = random.dropout(x, 0.3, seed=6)
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / 0.7, rtol=1e-6)
    assert stats.binomtest(int(kept.sum()), x.size, 0.7).pvalue > 1e-4
    np.testing.assert_array_equal(random.dropout(x, 0), x)
    assert not random.dropout(x, 1).any()


def test_dropout_of_whole_axes():
    y = random.dropout(np.ones((5, 64, 3), np.float32), 0.5, noise_shape=(None, 1, None), seed=7)
    assert all(len(np.unique(y[i, :, j])) == 1 for i in range(5) for j in range(3)) and len(np.unique(y)) == 2


@pytest.mark.parametrize(("arguments", "says"), [((1.5,), "from 0 to 1"), ((-0.1,), "from 0 to 1"), ((0.5, (2,)), "noise_shape")])
def test_dropout_with_wrong_arguments(arguments, says):
    with pytest.raises((ArgumentError, ShapeError), match=says):
        random.dropout(np.ones((2, 2), np.float32), *arguments)


def test_shuffle():
    x = np.arange(40).reshape(4, 10)
    y = random.shuffle(x, axis=1, seed=8)
    assert sorted(y[0]) == list(range(10)) and y[0].tolist() != list(range(10))
    np.testing.assert_array_equal(y - y[:1], x[:, :1] - x[:1, :1] + np.zeros_like(x))  # slices stay together
    places = [random.shuffle(np.arange(4), seed=s).tolist().index(0) for s in range(400)]
    assert stats.chisquare(np.bincount(places, minlength=4)).pvalue > 1e-4

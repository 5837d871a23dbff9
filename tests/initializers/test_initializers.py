"""First values against their distributions (SciPy) and definitions."""
from __future__ import annotations

import json
import math

import ml_dtypes
import numpy as np
import pytest

from dlcompile import config, initializers
from dlcompile.errors import ArgumentError, DTypeError, ShapeError
from dlcompile.random import SeedGenerator, set_random_seed
from dlcompile.variables import Variable, tracing

stats = pytest.importorskip("scipy.stats")
SHAPE = (3, 3, 40, 60)
FAN_IN, FAN_OUT = 9 * 40, 9 * 60
TRUNCATED = stats.truncnorm(-2, 2).std()


def uniform_of(variance):
    return stats.uniform(-math.sqrt(3 * variance), 2 * math.sqrt(3 * variance))


def truncated_of(variance):
    scale = math.sqrt(variance) / TRUNCATED
    return stats.truncnorm(-2, 2, scale=scale)


DISTRIBUTIONS = {
    "random_normal": stats.norm(0, 0.05), "normal": stats.norm(0, 0.05), "random_uniform": stats.uniform(-0.05, 0.1), "uniform": stats.uniform(-0.05, 0.1),
    "truncated_normal": stats.truncnorm(-2, 2, scale=0.05), "variance_scaling": truncated_of(1 / FAN_IN),
    "glorot_normal": truncated_of(2 / (FAN_IN + FAN_OUT)), "glorot_uniform": uniform_of(2 / (FAN_IN + FAN_OUT)), "he_normal": truncated_of(2 / FAN_IN),
    "he_uniform": uniform_of(2 / FAN_IN), "lecun_normal": truncated_of(1 / FAN_IN), "lecun_uniform": uniform_of(1 / FAN_IN),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution(name):
    kind = type(initializers.get(name))
    drawn = kind(seed=12)(SHAPE)
    assert drawn.shape == SHAPE and drawn.dtype == np.float32
    assert stats.kstest(drawn.ravel().astype(np.float64), DISTRIBUTIONS[name].cdf).pvalue > 1e-4
    np.testing.assert_array_equal(drawn, kind(seed=12)(SHAPE))
    assert not np.any(drawn == kind(seed=13)(SHAPE))


@pytest.mark.parametrize(("arguments", "expected"), [
    ({"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}, uniform_of(3 / FAN_OUT)),
    ({"scale": 0.5, "mode": "fan_avg", "distribution": "untruncated_normal"}, stats.norm(0, math.sqrt(1 / (FAN_IN + FAN_OUT)))),
    ({"distribution": "normal", "input_axes": (2,), "output_axes": (3,)}, truncated_of(1 / 40))])
def test_variance_scaling(arguments, expected):
    drawn = initializers.VarianceScaling(**arguments, seed=1)(SHAPE, "float64")
    assert stats.kstest(drawn.ravel(), expected.cdf).pvalue > 1e-4


@pytest.mark.parametrize(("shape", "fans"), [((), (1, 1)), ((5,), (5, 5)), ((4, 7), (4, 7)), ((3, 2, 4, 7), (24, 42))])
def test_fans(shape, fans):
    assert initializers.compute_fans(shape) == fans


@pytest.mark.parametrize("shape", [(6, 6), (8, 3), (3, 8), (2, 3, 4, 5), (1, 2, 2, 9)])
def test_orthogonal(shape):
    drawn = initializers.Orthogonal(gain=2.0, seed=3)(shape, "float64")
    matrix = drawn.reshape(-1, shape[-1])
    small = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(small, 4 * np.eye(min(matrix.shape)), atol=1e-12)


def test_orthogonal_is_uniform():
    """The first entry of a uniform orthogonal 3x3 matrix is uniform in [-1, 1] (Archimedes)."""
    drawn = [initializers.Orthogonal(seed=s)((3, 3))[0, 0] for s in range(800)]
    assert stats.kstest(drawn, stats.uniform(-1, 2).cdf).pvalue > 1e-4


def test_constants():
    np.testing.assert_array_equal(initializers.Zeros()((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.get("one")((2,)), [1, 1])
    np.testing.assert_array_equal(initializers.Constant(2.5)((2,), "float16"), np.float16([2.5, 2.5]))
    np.testing.assert_array_equal(initializers.get(np.arange(3))((3,)), [0, 1, 2])
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), [[3, 0, 0], [0, 3, 0]])
    for call, error in ((lambda: initializers.get(np.arange(3))((4,)), ShapeError), (lambda: initializers.Identity()((3,)), ShapeError),
                        (lambda: initializers.Constant("a"), ArgumentError), (lambda: initializers.Orthogonal()((3,)), ShapeError)):
        with pytest.raises(error):
            call()


def test_types():
    config.set_floatx("float64")
    try:
        assert initializers.HeNormal()((2, 2)).dtype == initializers.Zeros()((2,)).dtype == np.float64
    finally:
        config._forget()
    for dtype in ("float16", "bfloat16"):
        assert initializers.GlorotUniform()((2, 2), dtype).dtype == np.dtype(dtype)
    assert initializers.Ones()((2,), "int32").dtype == np.int32 and np.dtype("bfloat16") == ml_dtypes.bfloat16
    with pytest.raises(DTypeError, match="int32"):
        initializers.RandomNormal()((2,), "int32")


def test_seeds():
    same = initializers.RandomNormal()
    np.testing.assert_array_equal(same((9,)), same((9,)))
    assert not np.any(same((9,)) == same.clone()((9,)))
    other = initializers.RandomNormal(seed=SeedGenerator(1))
    assert not np.any(other((9,)) == other((9,)))
    set_random_seed(5)
    first = initializers.HeNormal()((9, 9))
    set_random_seed(5)
    np.testing.assert_array_equal(first, initializers.HeNormal()((9, 9)))
    with pytest.raises(ArgumentError, match="seed is an integer or a SeedGenerator"):
        initializers.HeNormal(seed="1")


def test_a_variable_that_is_made_while_a_function_is_traced():
    generator = SeedGenerator(1)
    with tracing() as trace:
        weights = Variable(initializers.HeNormal(seed=generator), (3, 3))
    assert not trace.read and not trace.written and generator.state.numpy().tolist() == [1, 1]
    np.testing.assert_array_equal(weights.numpy(), initializers.HeNormal(seed=SeedGenerator(1))((3, 3)))


@pytest.mark.parametrize("made", [initializers.RandomNormal(0.5, 2.0, seed=3), initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=4),
                                  initializers.HeUniform(seed=SeedGenerator(5)), initializers.Orthogonal(3.0, seed=6), initializers.Identity(2.0),
                                  initializers.TruncatedNormal(seed=1), initializers.Constant(np.ones((4, 4))), initializers.RandomUniform(0, 1, 7)])
def test_configurations(made):
    read = initializers.deserialize(json.loads(json.dumps(initializers.serialize(made))))
    assert type(read) is type(made) and json.dumps(initializers.serialize(read)) == json.dumps(initializers.serialize(made))
    np.testing.assert_array_equal(read((4, 4)), made((4, 4)))


def test_names():
    assert type(initializers.he_normal()) is initializers.HeNormal
    with pytest.raises(ArgumentError, match="no initializer 'glorot_unifrom'; did you mean glorot_uniform or GlorotUniform"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ArgumentError, match="mode is one of fan_in, fan_out, fan_avg, not 'fan'"):
        initializers.VarianceScaling(mode="fan")
    function = initializers.get(lambda shape, dtype=None: np.full(shape, 9, dtype))
    assert function((1,), "float32") == 9

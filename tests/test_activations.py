"""Activations, against their formulas written out in NumPy."""
from __future__ import annotations

import math

import numpy as np
import pytest

from dlcompile import activations, layers
from dlcompile.errors import ArgumentError, ShapeError

X = np.concatenate([np.linspace(-9, 9, 37), [-1.0, -0.5, 0.5, 1.0, 3.0, -3.0, 6.0]])  # where pieces of functions meet, too
ERF = np.vectorize(math.erf)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


FORMULAS = {"linear": lambda x: x, "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6),
            "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x), "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
            "celu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
            "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1)),
            "gelu": lambda x: x * (1 + ERF(x / math.sqrt(2))) / 2, "silu": lambda x: x * sigmoid(x), "swish": lambda x: x * sigmoid(x),
            "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))), "sigmoid": sigmoid, "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
            "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6, "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
            "hard_tanh": lambda x: np.clip(x, -1, 1), "tanh": np.tanh, "tanh_shrink": lambda x: x - np.tanh(x),
            "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
            "softplus": lambda x: np.log1p(np.exp(x)), "softsign": lambda x: x / (1 + np.abs(x)),
            "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
            "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
            "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1), "exponential": np.exp, "log_sigmoid": lambda x: -np.log1p(np.exp(-x)),
            "softmax": lambda x: softmax(x, -1), "log_softmax": lambda x: np.log(softmax(x, -1)),}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str) -> None:
    y = activations.get(name)(X.astype(np.float32))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, FORMULAS[name](X), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("arguments", [{"negative_slope": 0.1}, {"max_value": 2.0}, {"threshold": 1.0}, {"negative_slope": 0.5,
                                                                                                         "max_value": 3.0,
                                                                                                         "threshold": -0.75}])
def test_relu_in_pieces(arguments) -> None:
    slope, most, least = (arguments.get(n, d) for n, d in (("negative_slope", 0.0), ("max_value", np.inf), ("threshold", 0.0)))
    expected = np.where(X >= most, most, np.where(X >= least, X, slope * (X - least)))
    np.testing.assert_allclose(activations.relu(X, **arguments), expected, rtol=1e-6)


def test_parameters() -> None:
    np.testing.assert_allclose(activations.gelu(X, approximate=True),
                               0.5 * X * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3))), rtol=1e-6)
    np.testing.assert_allclose(activations.elu(X, alpha=2.0), np.where(X > 0, X, 2 * (np.exp(X) - 1)), rtol=1e-6)
    np.testing.assert_allclose(activations.celu(X, alpha=2.0), np.where(X > 0, X, 2 * (np.exp(X / 2) - 1)), rtol=1e-6)
    np.testing.assert_allclose(activations.leaky_relu(X, negative_slope=0.5), np.where(X > 0, X, X / 2), rtol=1e-6)
    np.testing.assert_allclose(activations.threshold(X, 1.5, -7.0), np.where(X > 1.5, X, -7), rtol=1e-6)
    np.testing.assert_allclose(activations.hard_shrink(X, 2.0), np.where(np.abs(X) > 2, X, 0), rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (-1, -2), [1]])
def test_softmax_over_axes(axis) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    np.testing.assert_allclose(activations.softmax(x, axis=axis), softmax(x, axes), rtol=1e-6)
    np.testing.assert_allclose(activations.log_softmax(x, axis=axis), np.log(softmax(x, axes)), rtol=1e-6)


def test_sparsemax_is_the_nearest_point_of_the_simplex() -> None:
    x = np.random.default_rng(1).normal(size=(6, 5)) * 2
    y = activations.sparsemax(x)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-6)
    assert (y >= 0).all() and (y == 0).any()
    for row, nearest in zip(x, y):  # x - y is τ where y > 0, no more elsewhere: the conditions of Karush, Kuhn and Tucker
        difference = row - nearest
        tau = difference[nearest > 0]
        assert np.ptp(tau) < 1e-6 and (difference[nearest == 0] <= tau[0] + 1e-6).all()
    np.testing.assert_allclose(activations.sparsemax(x.T, axis=0), y.T, rtol=1e-6)


def test_glu() -> None:
    x = np.random.default_rng(2).normal(size=(2, 6, 3))
    np.testing.assert_allclose(activations.glu(x, axis=1), x[:, :3] * sigmoid(x[:, 3:]), rtol=1e-6)
    with pytest.raises(ShapeError, match="no halves"):
        activations.glu(x)


def test_names() -> None:
    assert activations.get(None) is activations.linear and activations.get("swish") is activations.silu
    assert activations.serialize(activations.relu) == "relu" and activations.deserialize("relu") is activations.relu
    with pytest.raises(ArgumentError, match="no activation 'rellu'; did you mean relu"):
        activations.get("rellu")
    layer = layers.LeakyReLU(0.1)
    config = activations.serialize(layer)
    assert activations.deserialize(config).negative_slope == 0.1


def test_softmax_of_a_scalar() -> None:
    with pytest.raises(ShapeError, match="no axis"):
        activations.softmax(np.float32(1))

"""Activations that are layers, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers
from dlcompile.errors import ArgumentError, ShapeError
from tests.layers.helpers import check, normal, randomized

X = normal(3, 4, 5) * 3


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def test_relu() -> None:
    check(layers.ReLU(), X, np.maximum(X, 0))
    check(layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.5), X, np.where(X >= 1.5, 1.5, np.where(X >= 0.5, X, 0.1 * (X - 0.5))))
    for arguments in ({"max_value": -1.0}, {"negative_slope": -0.1}, {"threshold": None}):
        with pytest.raises(ArgumentError, match="is a number that is not negative"):
            layers.ReLU(**arguments)


def test_leaky_relu_and_elu() -> None:
    check(layers.LeakyReLU(), X, np.where(X > 0, X, 0.3 * X))
    check(layers.LeakyReLU(0.1), X, np.where(X > 0, X, 0.1 * X))
    check(layers.ELU(), X, np.where(X > 0, X, np.exp(X) - 1))
    check(layers.ELU(alpha=0.5), X, np.where(X > 0, X, 0.5 * (np.exp(X) - 1)))


def test_prelu() -> None:
    layer = randomized(layers.PReLU(), (None, 4, 5))
    (alpha,) = layer.get_weights()
    assert alpha.shape == (4, 5)
    check(layer, X, np.where(X > 0, X, alpha * X))
    shared = randomized(layers.PReLU(shared_axes=[1]), (None, None, 5))
    (alpha,) = shared.get_weights()
    assert alpha.shape == (1, 5)
    check(shared, X, np.where(X > 0, X, alpha * X))
    with pytest.raises(ShapeError, match=r"shared_axes=\[1\]"):
        layers.PReLU()(layers.Input((None, 5)))


def test_softmax() -> None:
    check(layers.Softmax(), X, softmax(X))
    check(layers.Softmax(axis=1), X, softmax(X, 1))
    check(layers.Softmax(axis=(1, 2)), X, softmax(X, (1, 2)))
    mask = np.random.default_rng(0).random(X.shape) < 0.5
    mask[0, 0] = False
    with np.errstate(invalid="ignore"):
        expected = np.nan_to_num(np.where(mask, np.exp(X), 0) / np.where(mask, np.exp(X), 0).sum(-1, keepdims=True))
    np.testing.assert_allclose(layers.Softmax()(X, mask=mask), expected, rtol=1e-5)

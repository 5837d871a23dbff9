"""Scaling and centering, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import config, layers, models
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.layers import Input
from tests.layers.helpers import again, check, normal

X = normal(50, 4, 3) * [1, 2, 3] + [4, 5, 6]
X = X.astype(np.float32)


def test_rescaling(monkeypatch: pytest.MonkeyPatch) -> None:
    check(layers.Rescaling(1 / 127.5, offset=-1), X, X / 127.5 - 1)
    check(layers.Rescaling([1.0, 2.0, 3.0], offset=np.array([1.0, 0.0, -1.0])), X, X * [1, 2, 3] + [1, 0, -1])
    np.testing.assert_allclose(layers.Rescaling(1 / 255)(np.array([[0, 255]], np.uint8)), [[0, 1]])
    monkeypatch.setattr(config, "image_data_format", lambda: "channels_first")
    image = normal(2, 3, 4, 5)
    np.testing.assert_allclose(layers.Rescaling([1.0, 2.0, 3.0])(image), image * np.reshape([1, 2, 3], (3, 1, 1)), rtol=1e-6)


@pytest.mark.parametrize("axis, others", [(-1, (0, 1)), (None, (0, 1, 2)), ((1, 2), (0,)), (1, (0, 2))])
def test_normalization(axis, others) -> None:
    layer = layers.Normalization(axis=axis)
    layer.adapt(X)
    assert [w.name for w in layer.weights] == ["mean", "variance", "count"] and layer.trainable_weights == []
    np.testing.assert_allclose(layer.get_weights()[0], X.mean(others), rtol=1e-5)
    expected = (X - X.mean(others, keepdims=True)) / X.std(others, keepdims=True)
    check(layer, X, expected, rtol=1e-4, atol=1e-4)
    batches = layers.Normalization(axis=axis)
    batches.adapt(X[i:i + 7] for i in range(0, 50, 7))
    np.testing.assert_allclose(batches(X), expected, rtol=1e-4, atol=1e-4)
    back = layers.Normalization(axis=axis, invert=True)
    back.adapt(X)
    np.testing.assert_allclose(back(expected), X, rtol=1e-4, atol=1e-4)


def test_statistics_that_are_given() -> None:
    check(layers.Normalization(mean=[4.0, 5.0, 6.0], variance=[1.0, 4.0, 9.0]), X, (X - [4, 5, 6]) / [1, 2, 3], rtol=1e-4)
    check(layers.Normalization(mean=3.0, variance=2.0), X, (X - 3) / np.sqrt(2))
    check(layers.Normalization(axis=(1, 2), mean=[4.0, 5.0, 6.0], variance=[1.0, 4.0, 9.0]), X, (X - [4, 5, 6]) / [1, 2, 3], rtol=1e-4)
    assert layers.Normalization(mean=0.0, variance=1.0).weights == []


def test_in_a_model() -> None:
    layer = layers.Normalization()
    layer.adapt(X)
    x = Input((None, 3))
    model = models.Model(x, layer(x))
    np.testing.assert_allclose(model(X[:, :2]), layer(X)[:, :2], rtol=1e-5)
    copy = again(layer)
    copy.build((None, None, 3))
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(X), layer(X))


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="given together"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ArgumentError, match="a mean of 2 axes for 1 axes"):
        layers.Normalization(mean=[[1.0]], variance=[[1.0]])
    with pytest.raises(ArgumentError, match="must be known"):
        layers.Normalization(axis=1)(Input((None, 3)))
    layer = layers.Normalization()
    with pytest.raises(ArgumentError, match="adapts to an array"):
        layer.adapt([])
    with pytest.raises(ShapeError, match="a batch of shape .* has other extents"):
        layer.adapt([X, X[..., :2]])
    with pytest.raises(ArgumentError, match="has been given its mean"):
        layers.Normalization(mean=1.0, variance=1.0).adapt(X)

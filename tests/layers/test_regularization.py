"""Layers that disturb in training: what they keep, how much, and that they do nothing otherwise."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError, ShapeError
from tests.layers.helpers import again, normal

NOISY = {"Dropout": layers.Dropout(0.3, seed=1), "GaussianDropout": layers.GaussianDropout(0.3, seed=1),
         "GaussianNoise": layers.GaussianNoise(0.3, seed=1), "AlphaDropout": layers.AlphaDropout(0.3, seed=1),
         "SpatialDropout1D": layers.SpatialDropout1D(0.3, seed=1),}


@pytest.mark.parametrize("name", NOISY)
def test_nothing_happens_outside_of_training(name: str) -> None:
    x = normal(2, 3, 4)
    layer = again(NOISY[name])
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer(x, training=False), x)
    assert not np.array_equal(layer(x, training=True), x)


@pytest.mark.parametrize("name", NOISY)
def test_other_numbers_each_time_and_the_same_for_a_seed(name: str) -> None:
    x = np.ones((4, 8, 16), np.float32)
    one, other = again(NOISY[name]), again(NOISY[name])
    first, second = one(x, training=True), one(x, training=True)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(other(x, training=True), first)
    assert one.weights == [] and [v.dtype for v in one.variables] == [np.uint32] and one.trainable_variables == []


def test_dropout() -> None:
    x = np.full((100, 200), 3.0, np.float32)
    y = layers.Dropout(0.25, seed=3)(x, training=True)
    assert set(np.unique(y)) == {0.0, np.float32(3 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / y.size)
    assert layers.Dropout(0.0)(x, training=True) is not None and layers.Dropout(0.0).variables == []
    np.testing.assert_array_equal(layers.Dropout(1.0)(x, training=True), np.zeros_like(x))
    rows = layers.Dropout(0.5, noise_shape=(None, 1), seed=3)(x, training=True)
    assert (rows.std(axis=1) == 0).all() and rows.std() > 0


@pytest.mark.parametrize("layer, shape, axes", [
    (layers.SpatialDropout1D(0.5, seed=1), (8, 5, 6), (1,)), (layers.SpatialDropout2D(0.5, seed=1), (8, 3, 4, 6), (1, 2)),
    (layers.SpatialDropout2D(0.5, data_format="channels_first", seed=1), (8, 6, 3, 4), (2, 3)),
    (layers.SpatialDropout3D(0.5, seed=1), (8, 2, 3, 4, 6), (1, 2, 3)),
    (layers.SpatialDropout3D(0.5, "channels_first", seed=1), (8, 6, 2, 3, 4), (2, 3, 4))])
def test_spatial_dropout_keeps_channels_whole(layer, shape, axes) -> None:
    y = again(layer)(np.ones(shape, np.float32), training=True)
    assert (np.ptp(y, axis=axes) == 0).all() and set(np.unique(y)) == {0.0, 2.0}
    with pytest.raises(ShapeError, match="axes"):
        layer(np.ones((2, 2), np.float32))


def test_noise_has_the_moments_it_should_have() -> None:
    x = np.ones((200, 500), np.float32)
    noise = layers.GaussianNoise(0.5, seed=1)(x, training=True) - x
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 0.5) < 0.01
    factor = layers.GaussianDropout(0.2, seed=1)(x, training=True)
    assert abs(factor.mean() - 1) < 0.01 and abs(factor.std() - np.sqrt(0.2 / 0.8)) < 0.01
    z = normal(200, 500)
    y = layers.AlphaDropout(0.1, seed=1)(z, training=True)
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02


def test_activity_regularization() -> None:
    layer = layers.ActivityRegularization(l1=0.5, l2=0.25)
    x = normal(4, 3)
    np.testing.assert_array_equal(layer(x), x)
    assert layer.losses == [pytest.approx((0.5 * np.abs(x).sum() + 0.25 * (x**2).sum()) / 4, rel=1e-5)]
    assert again(layer).l1 == 0.5


def test_training_is_handed_down() -> None:
    x = np.ones((4, 50), np.float32)
    model = models.Sequential([layers.Input((50,)), layers.Dropout(0.5, seed=1)])
    np.testing.assert_array_equal(model(x), x)
    assert not np.array_equal(model(x, training=True), x)
    always = layers.Input((50,))
    monte_carlo = models.Model(always, layers.Dropout(0.5, seed=1)(always, training=True))
    assert not np.array_equal(monte_carlo(x, training=False), x)


def test_errors() -> None:
    for rate in (-0.1, 1.5, "half", True):
        with pytest.raises(ArgumentError, match="rate is from 0 to 1"):
            layers.Dropout(rate)
    with pytest.raises(ArgumentError, match="stddev"):
        layers.GaussianNoise(-1.0)
    with pytest.raises(ShapeError, match="noise_shape"):
        layers.Dropout(0.5, noise_shape=(1,))(normal(2, 3), training=True)

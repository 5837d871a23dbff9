"""Normalisations, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Graph, make_input
from dlcompile.layers import Input, set_mask
from dlcompile.operators import evaluate
from dlcompile.variables import tracing
from tests.layers.helpers import check, normal, randomized

SHAPES = [(6, 5), (4, 3, 5), (2, 4, 3, 5)]


def along(values, axes, rank):
    """A weight with an axis for each of some axes of a tensor."""
    return values.reshape([values.shape[axes.index(a)] if a in axes else 1 for a in range(rank)])


def normalized(x, axes, epsilon=1e-3):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_normalization(shape, axis) -> None:
    x = normal(*shape) * 2 + 3
    layer = layers.BatchNormalization(axis=axis, momentum=0.9, epsilon=0.01)
    layer.build((None, *shape[1:]))
    names = ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.name for w in layer.weights] == names and [w.trainable for w in layer.weights] == [True, True, False, False]
    layer.set_weights([normal(shape[axis], seed=1), normal(shape[axis], seed=2), normal(shape[axis], seed=3),
                       np.abs(normal(shape[axis], seed=4))])
    gamma, beta, mean, variance = layer.get_weights()
    place = axis % x.ndim
    wide = {n: along(v, [place], x.ndim) for n, v in zip(names, (gamma, beta, mean, variance))}
    check(layer, x, (x - wide["moving_mean"]) / np.sqrt(wide["moving_variance"] + 0.01) * wide["gamma"] + wide["beta"], rtol=1e-4)
    others = tuple(a for a in range(x.ndim) if a != place)
    y = layer(x, training=True)
    np.testing.assert_allclose(y, normalized(x, others, 0.01) * wide["gamma"] + wide["beta"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.get_weights()[2], 0.9 * mean + 0.1 * x.mean(others), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.get_weights()[3], 0.9 * variance + 0.1 * x.var(others), rtol=1e-4)


def test_batch_normalization_that_is_not_trained() -> None:
    x = normal(8, 3)
    layer = layers.BatchNormalization(trainable=False)
    y = layer(x, training=True)
    np.testing.assert_allclose(y, x / np.sqrt(1.001), rtol=1e-5)
    assert not layer.get_weights()[2].any()
    bare = layers.BatchNormalization(center=False, scale=False)
    np.testing.assert_allclose(bare(x, training=True), normalized(x, 0), rtol=1e-4, atol=1e-5)
    assert [w.name for w in bare.weights] == ["moving_mean", "moving_variance"]


def test_batch_normalization_of_the_steps_that_count() -> None:
    x, mask = normal(2, 4, 3), np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    layer = layers.BatchNormalization(momentum=0.5)
    y = layer(x, training=True, mask=mask)
    chosen = x[mask]
    np.testing.assert_allclose(y, (x - chosen.mean(0)) / np.sqrt(chosen.var(0) + 1e-3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.get_weights()[2], chosen.mean(0) / 2, rtol=1e-5)
    set_mask(x, mask)
    np.testing.assert_array_equal(layers.BatchNormalization()(x, training=True), y)
    with pytest.raises(ShapeError, match="has fewer axes than its input"):
        layers.BatchNormalization()(x, training=True, mask=np.ones((2, 4, 3), bool))


def test_moving_statistics_are_assigned_in_a_trace() -> None:
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    x = make_input("x", np.float32, (4, 3))
    with tracing() as trace:
        layer(x, training=True)
    assert set(trace.written) == {layer.moving_mean, layer.moving_variance}
    array = normal(4, 3)
    found = evaluate(Graph("g", [x, *trace.read.values()], [trace.written[layer.moving_mean]]), [array, *(v.numpy() for v in trace.read)])
    np.testing.assert_allclose(found[0], array.mean(0) * 0.01, rtol=1e-4, atol=1e-6)
    assert not layer.moving_mean.numpy().any()
    inputs = Input((3,))
    model = models.Model(inputs, layer(inputs, training=True))
    model(array)
    np.testing.assert_allclose(layer.moving_mean.numpy(), array.mean(0) * 0.01, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape, axis", [((4, 5), -1), ((2, 3, 5), -1), ((2, 3, 5), 1), ((2, 3, 4, 5), [1, 2, 3]), ((2, 3, 4, 5), [-2, -1]),
                                         ((2, 3, 4, 5), [1, 3])])
def test_layer_normalization(shape, axis) -> None:
    x = normal(*shape) * 2 + 3
    axes = sorted(a % x.ndim for a in ([axis] if isinstance(axis, int) else axis))
    layer = randomized(layers.LayerNormalization(axis=axis), (None, *shape[1:]))
    gamma, beta = layer.get_weights()
    assert gamma.shape == tuple(shape[a] for a in axes) and [w.name for w in layer.weights] == ["gamma", "beta"]
    check(layer, x, normalized(x, tuple(axes)) * along(gamma, axes, x.ndim) + along(beta, axes, x.ndim), rtol=1e-4, atol=1e-4)
    rms = randomized(layers.RMSNormalization(axis=axis), (None, *shape[1:]))
    (scale,) = rms.get_weights()
    check(rms, x, x / np.sqrt((x**2).mean(tuple(axes), keepdims=True) + 1e-6) * along(scale, axes, x.ndim), rtol=1e-4)


def test_layer_normalization_in_part() -> None:
    x = normal(2, 3, 5)
    check(layers.LayerNormalization(center=False, scale=False, epsilon=0.1), x, normalized(x, -1, 0.1), rtol=1e-4)
    layer = randomized(layers.LayerNormalization(rms_scaling=True), (None, 3, 5))
    (gamma,) = layer.get_weights()
    check(layer, x, x / np.sqrt(x.var(-1, keepdims=True) + 1e-3) * gamma, rtol=1e-4)


@pytest.mark.parametrize("shape, axis, groups", [((2, 6), -1, 3), ((2, 4, 6), -1, 3), ((2, 3, 4, 6), -1, 6), ((2, 6, 3, 4), 1, 2),
                                                 ((2, 6, 5), 1, 1), ((2, 3, 6, 4), 2, 3), ((2, 3, 4, 6), 3, -1)])
def test_group_normalization(shape, axis, groups) -> None:
    x = normal(*shape) * 2 + 3
    place, channels = axis % x.ndim, shape[axis]
    layer = randomized(layers.GroupNormalization(groups=groups, axis=axis), (None, *shape[1:]))
    gamma, beta = layer.get_weights()
    count = channels if groups == -1 else groups
    apart = np.moveaxis(x, place, 1).reshape(shape[0], count, -1)
    y = np.moveaxis(normalized(apart, 2).reshape(np.moveaxis(x, place, 1).shape), 1, place)
    check(layer, x, y * along(gamma, [place], x.ndim) + along(beta, [place], x.ndim), rtol=1e-4, atol=1e-4)


def test_unit_normalization() -> None:
    x = normal(2, 3, 5)
    check(layers.UnitNormalization(), x, x / np.linalg.norm(x, axis=-1, keepdims=True))
    check(layers.UnitNormalization(axis=[1, 2]), x, x / np.sqrt((x**2).sum((1, 2), keepdims=True)))
    np.testing.assert_array_equal(layers.UnitNormalization()(x * 0), x * 0)


def test_sixteen_bits() -> None:
    x = (normal(4, 3, 5) * 200).astype(np.float16)  # squares overflow in float16
    for layer in (layers.BatchNormalization(dtype="float16"), layers.LayerNormalization(dtype="float16"),
                  layers.GroupNormalization(5, dtype="float16"), layers.UnitNormalization(dtype="float16"),
                  layers.RMSNormalization(axis=1, dtype="float16")):
        y = layer(x, training=True)
        assert y.dtype == np.float16 and np.isfinite(y).all() and np.abs(y).max() < 4


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="axis is one axis"):
        layers.BatchNormalization(axis=[1, 2])
    with pytest.raises(ArgumentError, match="renorm"):
        layers.BatchNormalization(renorm=True)
    with pytest.raises(ShapeError, match="has no axis 3"):
        layers.BatchNormalization(axis=3)(normal(2, 3))
    with pytest.raises(ArgumentError, match="5 channels of its input cannot be divided into 2 groups"):
        layers.GroupNormalization(2)(normal(2, 5))
    with pytest.raises(ArgumentError, match="groups is a positive integer, or -1"):
        layers.GroupNormalization(0)
    with pytest.raises(ArgumentError, match="axis is an axis, or a list"):
        layers.LayerNormalization(axis="last")
    with pytest.raises(ArgumentError, match="axis 1 of its input .* must be known"):
        layers.LayerNormalization(axis=1)(Input((None, 3)))
    layer = layers.BatchNormalization(name="norm")
    layer(normal(2, 3))
    with pytest.raises(ShapeError, match="layer 'norm': the input must have 2 axes"):
        layer(normal(2, 3, 3))

"""Dense layers, lookups and functions as layers, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import activations, layers, models, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.layers import mask_of
from dlcompile.registry import custom_object_scope
from tests.layers.helpers import again, check, normal, randomized


@pytest.mark.parametrize("shape", [(3, 4), (2, 5, 4), (2, 3, 5, 4)])
def test_dense(shape) -> None:
    layer = randomized(layers.Dense(6, activation="relu"), (None, *shape[1:]))
    kernel, bias = layer.get_weights()
    assert [w.path for w in layer.weights] == [f"{layer.name}/kernel", f"{layer.name}/bias"] and kernel.shape == (4, 6) and bias.shape == (6,)
    x = normal(*shape)
    check(layer, x, np.maximum(x @ kernel + bias, 0))


def test_dense_without_bias_and_with_objects() -> None:
    layer = layers.Dense(2, use_bias=False, kernel_initializer="ones", kernel_regularizer="l2", kernel_constraint="non_neg", name="out")
    x = normal(3, 4)
    check(layer, x, np.repeat(x.sum(1, keepdims=True), 2, axis=1))
    assert layer.weights[0].regularizer.l2 == layer.kernel_regularizer.l2 and layer.weights[0].constraint is layer.kernel_constraint
    assert layer.losses == [pytest.approx(0.01 * 8)]
    assert layer.count_params() == 8


def test_dense_takes_integers() -> None:
    layer = layers.Dense(1, kernel_initializer="ones")
    np.testing.assert_array_equal(layer(np.array([[1, 2], [3, 4]], np.uint8)), [[3], [7]])


def test_dense_errors() -> None:
    for units in (0, -1, 2.5, True):
        with pytest.raises(ArgumentError, match="units is a positive integer"):
            layers.Dense(units)
    layer = layers.Dense(2, name="narrow")
    layer(normal(1, 4))
    with pytest.raises(ShapeError, match=r"layer 'narrow': the input must have extent 4 along axis -1, it has shape \(1, 5\)"):
        layer(normal(1, 5))
    with pytest.raises(ShapeError, match="at least 2 axes"):
        layer(normal(4))
    with pytest.raises(ArgumentError, match="axis -1 of its input .* must be known"):
        layers.Dense(2)(layers.Input((None,)))
    with pytest.raises(ArgumentError, match="no argument 'unit'"):
        layers.Dense(2, unit=3)
    with pytest.raises(ArgumentError, match="list of numbers"):
        layers.Dense(2)([[1.0, 2.0]])


def test_dtype() -> None:
    x = normal(2, 3).astype(np.float64)
    assert layers.Dense(2)(x).dtype == np.float32
    layer = layers.Dense(2, dtype="float64")
    assert layer(x).dtype == np.float64 and layer.weights[0].dtype == np.float64
    assert layers.Dense(2, dtype="float16")(x).dtype == np.float16
    with pytest.raises(ArgumentError, match="mixed_float16"):
        layers.Dense(2, dtype="mixed_float16")


def test_activation() -> None:
    x = normal(3, 4)
    check(layers.Activation("tanh"), x, np.tanh(x))
    check(layers.Activation(activations.relu), x, np.maximum(x, 0))
    with pytest.raises(ArgumentError, match="no activation 'tangent'"):
        layers.Activation("tangent")


def test_embedding() -> None:
    layer = layers.Embedding(5, 3, mask_zero=True)
    ids = np.array([[1, 0, 4], [2, 2, 0]])
    y = check(layer, ids, layer(ids))
    np.testing.assert_array_equal(y, layer.get_weights()[0][ids])
    np.testing.assert_array_equal(mask_of(layer(ids)), ids != 0)
    assert mask_of(layers.Embedding(5, 3)(ids)) is None
    assert layer.get_weights()[0].shape == (5, 3) and layer.weights[0].name == "embeddings"
    table = normal(5, 3)
    np.testing.assert_array_equal(layers.Embedding(5, 3, weights=[table])(ids.astype(np.float32)), table[ids])


def test_masking() -> None:
    x = normal(2, 3, 4)
    x[0, 1] = x[1, 2] = 7.0
    x[1, 0, 2] = 7.0
    layer = layers.Masking(mask_value=7.0)
    mask = np.array([[True, False, True], [True, True, False]])
    y = check(layer, x, x * mask[..., None])
    np.testing.assert_array_equal(mask_of(layer(x)), mask)
    assert y[1, 0, 2] == 7


def test_lambda() -> None:
    x = normal(2, 3)
    layer = layers.Lambda(lambda t, factor: t * factor, arguments={"factor": 3.0})
    np.testing.assert_allclose(layer(x), x * 3, rtol=1e-6)
    assert layer(layers.Input((3,))).shape == (None, 3)
    with pytest.raises(ArgumentError, match="a lambda has no name"):
        layers.serialize(layer)
    in_training = layers.Lambda(lambda t, training: t * 2 if training else t)
    np.testing.assert_allclose(in_training(x, training=True), x * 2, rtol=1e-6)
    np.testing.assert_allclose(in_training(x), x, rtol=1e-6)


def doubled(t):
    return ops.mul(t, 2.0)


def test_a_file_names_the_function_of_a_lambda() -> None:
    layer = layers.Lambda(doubled)
    with pytest.raises(ArgumentError, match="function 'doubled' is not known.*Code in a file is not executed"):
        again(layer)
    with custom_object_scope({"doubled": doubled}):
        np.testing.assert_array_equal(again(layer)(np.ones((1, 2), np.float32)), [[2, 2]])
    config = layers.serialize(layer)
    config["config"]["function"] = {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}
    with pytest.raises(ArgumentError, match="not known"):
        layers.deserialize(config)


def test_identity() -> None:
    x = normal(2, 3)
    check(layers.Identity(), x, x)
    model = models.Sequential([layers.Input((3,)), layers.Identity()])
    np.testing.assert_array_equal(model(x), x)

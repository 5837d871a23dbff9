"""Layers one after the other."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError
from dlcompile.layers import Dense, Input
from dlcompile.models import Sequential
from tests.layers.helpers import normal

X = normal(5, 4)


def expected(model):
    x = X
    for layer in model.layers:
        kernel, bias = layer.get_weights()
        x = x @ kernel + bias
    return x


@pytest.mark.parametrize("make", [lambda: Sequential([Input((4,)), Dense(3), Dense(2)]), lambda: Sequential([Dense(3), Dense(2)]),
                                  lambda: Sequential([Dense(3, input_shape=(4,)), Dense(2)]),
                                  lambda: Sequential([Dense(3, input_dim=4), Dense(2)]),
                                  lambda: Sequential([layers.InputLayer((4,)), Dense(3), Dense(2)]),
                                  lambda: Sequential((Sequential([Input((4,)), Dense(3)]).layers[0], Dense(2)))])
def test_ways_to_make_one(make) -> None:
    model = make()
    y = model(X)
    np.testing.assert_allclose(y, expected(model), rtol=1e-5, atol=1e-6)
    assert model.built and len(model.layers) == 2 and model.input_shape == (None, 4) and model.output_shape == (None, 2)
    assert all(w.path.startswith(f"{model.name}/dense") for w in model.layers[1].weights)


def test_growing_and_shrinking() -> None:
    model = Sequential(name="grows")
    assert model.layers == [] and not model.built
    model.add(Input((4,)))
    model.add(Dense(3))
    assert model.built and model.output_shape == (None, 3)
    first = model.layers[0].get_weights()
    model.add(Dense(2))
    assert model.output_shape == (None, 2) and len(model.weights) == 4
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], first[0])
    last = model.layers[-1]
    assert model.pop() is last and model.output_shape == (None, 3) and len(model.weights) == 2
    np.testing.assert_allclose(model(X), expected(model), rtol=1e-5, atol=1e-6)


def test_the_shape_comes_later() -> None:
    model = Sequential([Dense(3), Dense(2)])
    assert not model.built and model.weights == []
    with pytest.raises(ArgumentError, match="has not been told the shape of its input"):
        model.inputs  # noqa: B018
    with pytest.raises(ArgumentError, match="no weights yet"):
        model.count_params()
    model.build((None, 4))
    assert model.count_params() == 4 * 3 + 3 + 3 * 2 + 2 and model.inputs[0].shape == (None, 4)
    model.add(Dense(1))
    assert model(X).shape == (5, 1)
    words = Sequential([layers.Embedding(10, 2), layers.Flatten()])
    assert words(np.array([[1, 9], [2, 3]])).shape == (2, 4) and words.inputs[0].dtype == "int32"


def test_in_another_model() -> None:
    inner = Sequential([Dense(3), Dense(2)], name="inner")
    outer = Sequential([Input((4,)), inner, Dense(1)])
    np.testing.assert_allclose(outer(X), expected_of(outer.layers[1], expected(inner)), rtol=1e-5, atol=1e-6)
    assert [w.path for w in inner.weights][0].startswith(f"{outer.name}/inner/dense")
    x = Input((4,))
    model = models.Model(x, inner(x))
    np.testing.assert_array_equal(model(X), inner(X))
    base = Sequential([inner, Dense(1)])  # its first layer knows what it takes
    assert base.built and base.input_shape == (None, 4)


def expected_of(layer, x):
    kernel, bias = layer.get_weights()
    return x @ kernel + bias


def test_configuration() -> None:
    for model in (Sequential([Input((4,)), Dense(3), Dense(2)], name="s"), Sequential([Dense(3), Dense(2)])):
        copy = models.model_from_json(model.to_json())
        assert type(copy) is Sequential and copy.name == model.name and copy.built == model.built
        model(X)
        copy(X)
        copy.set_weights(model.get_weights())
        np.testing.assert_array_equal(copy(X), model(X))


def test_trainable() -> None:
    model = Sequential([Input((4,)), Dense(3), Dense(2)], trainable=False)
    assert model.trainable_weights == [] and not model.layers[0].trainable
    model.trainable = True
    model.layers[0].trainable = False
    assert model.trainable_weights == model.layers[1].weights


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"consists of layers, not of type .*; an object of the class is made by Dense\(…\)"):
        Sequential([Dense])
    with pytest.raises(ArgumentError, match="consists of layers, not of str"):
        Sequential(["dense"])
    with pytest.raises(ArgumentError, match="has a layer 'same' already"):
        Sequential([Dense(1, name="same"), Dense(2, name="same")])
    with pytest.raises(ArgumentError, match="an input comes before all others"):
        Sequential([Dense(1), Input((3,))])
    with pytest.raises(ArgumentError, match="has no layers"):
        Sequential()(X)
    with pytest.raises(ArgumentError, match="no layer that could be taken away"):
        Sequential().pop()
    with pytest.raises(ArgumentError, match="more than one output"):
        Sequential([Input((4,)), layers.Lambda(lambda x: (x, x))])
    model = Sequential([Input((4,))])
    with pytest.raises(ArgumentError, match="axis -1"):
        model.add(layers.Dense(2)) if model.add(layers.Lambda(lambda x: x[:, : x.shape[0]])) is None else None
    assert len(model.layers) == 1

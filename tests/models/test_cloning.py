"""Models like another."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers, tree
from dlcompile.errors import ArgumentError
from dlcompile.layers import Dense, Input
from dlcompile.models import Model, Sequential, clone_model
from tests.layers.helpers import normal

X = normal(5, 4)


def functional() -> Model:
    x = Input((4,), name="x")
    inner = Sequential([Input((4,)), Dense(4, name="deep")], name="inner")
    return Model(x, [Dense(2, name="a")(inner(x) + 1.0), x * 2], name="two")


@pytest.mark.parametrize("make", [functional, lambda: Sequential([Input((4,)), Dense(3), Dense(2)]), lambda: Sequential([Dense(3)])])
def test_the_same_with_other_weights(make) -> None:
    model = make()
    copy = clone_model(model)
    assert copy is not model and copy.get_config() == model.get_config()
    model(X)
    copy(X)
    assert not set(map(id, copy.weights)) & set(map(id, model.weights))
    copy.set_weights(model.get_weights())
    for a, b in zip(tree.flatten(copy(X)), tree.flatten(model(X))):
        np.testing.assert_array_equal(a, b)


def test_functions_of_ones_own() -> None:
    def wider(layer):
        return Dense(7, name=layer.name) if isinstance(layer, Dense) else layer.from_config(layer.get_config())

    assert clone_model(functional(), clone_function=wider).output_shape == [(None, 7), (None, 4)]
    assert clone_model(functional(), clone_function=wider, recursive=True).get_layer("inner").output_shape == (None, 7)
    called = []
    clone_model(functional(), call_function=lambda layer, *args, **kwargs: called.append(layer.name) or layer(*args, **kwargs))
    assert called[0] == "inner" and "a" in called


def test_on_other_inputs() -> None:
    x = Input((4,))
    copy = clone_model(functional(), input_tensors=[x * 3])
    assert len(copy.inputs) == 1
    np.testing.assert_allclose(copy(X)[1], 2 * X, rtol=1e-6)
    copy = clone_model(Sequential([Input((4,)), Dense(2)]), input_tensors=Input((6,)))
    assert copy.input_shape == (None, 6)
    with pytest.raises(ArgumentError, match="1 symbolic tensors"):
        clone_model(functional(), input_tensors=[x, x])


def test_a_class_of_ones_own() -> None:
    class Own(Model):
        def __init__(self, width):
            super().__init__()
            self.one, self.width = Dense(width), width

        def call(self, x):
            return self.one(x)

    model = Own(3)
    assert clone_model(model).width == 3
    with pytest.raises(ArgumentError, match="only its call"):
        clone_model(model, clone_function=lambda layer: layer)
    assert layers.Layer is not Own

"""What tests of layers share."""
from __future__ import annotations

from typing import Any

import numpy as np

from dlcompile import layers
from dlcompile.layers import Layer


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """float32 of the standard normal distribution, the same each time."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def randomized(layer: Layer, *shapes, seed: int = 1) -> Layer:
    """The layer, built for inputs of the given shape, with weights that are not what they begin with."""
    layer.build(*shapes)
    layer.set_weights([normal(*w.shape, seed=seed + i) for i, w in enumerate(layer.weights)])
    return layer


def again(layer: Layer) -> Layer:
    """A layer made of the configuration of another one, as JSON would hold it, with its weights where it is built."""
    import json

    copy = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    assert type(copy) is type(layer) and copy.get_config() == layer.get_config()
    return copy


def check(layer: Layer, inputs: Any, expected: np.ndarray, rtol: float = 1e-5, atol: float = 1e-5, **kwargs) -> np.ndarray:
    """What a layer computes of arrays is what is expected; the same with a layer that is made of its configuration and given its weights,
    and with a symbolic input the shape is the same too."""
    found = layer(inputs, **kwargs)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)
    assert found.dtype == np.asarray(expected).dtype or found.dtype == np.float32
    copy = again(layer)
    symbolic = [layers.Input(a.shape[1:], dtype=a.dtype.name) for a in (inputs if isinstance(inputs, (list, tuple)) else [inputs])]
    made = copy(symbolic if isinstance(inputs, (list, tuple)) else symbolic[0], **kwargs)
    assert made.shape[1:] == found.shape[1:] and made.dtype == found.dtype.name
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(inputs, **kwargs), found)
    return found

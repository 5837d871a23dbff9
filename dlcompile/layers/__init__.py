"""Layers: what models are made of, with the names, arguments, defaults and weights of Keras 3.

    from dlcompile import layers

    x = layers.Input((28, 28, 1))
    y = layers.Dense(10, activation="softmax")(layers.Flatten()(x))

How a layer is called is in `calling`, what they have in common in `base`, symbolic tensors in `symbolic`.
"""
from __future__ import annotations

from typing import Any

from dlcompile.layers import (
    activation_layers,
    attention,
    borders,
    convolutional,
    core,
    einsum_dense,
    merging,
    normalization,
    pooling,
    preprocessing,
    recurrent,
    recurrent_cells,
    regularization,
    reshaping,
    wrappers,
)
from dlcompile.layers.activation_layers import *  # noqa: F403
from dlcompile.layers.attention import *  # noqa: F403
from dlcompile.layers.base import Layer
from dlcompile.layers.borders import *  # noqa: F403
from dlcompile.layers.convolutional import *  # noqa: F403
from dlcompile.layers.core import *  # noqa: F403
from dlcompile.layers.einsum_dense import *  # noqa: F403
from dlcompile.layers.input_layer import Input, InputLayer
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.merging import *  # noqa: F403
from dlcompile.layers.normalization import *  # noqa: F403
from dlcompile.layers.pooling import *  # noqa: F403
from dlcompile.layers.preprocessing import *  # noqa: F403
from dlcompile.layers.recurrent import *  # noqa: F403
from dlcompile.layers.recurrent_cells import *  # noqa: F403
from dlcompile.layers.regularization import *  # noqa: F403
from dlcompile.layers.reshaping import *  # noqa: F403
from dlcompile.layers.symbolic import KerasTensor, OpsFunction
from dlcompile.layers.wrappers import *  # noqa: F403
from dlcompile.masks import mask_of, set_mask
from dlcompile.naming import clear_session
from dlcompile.registry import Family

FAMILY = Family("layers")
_MODULES = (activation_layers, attention, borders, convolutional, core, einsum_dense, merging, normalization, pooling, preprocessing,
            recurrent, recurrent_cells, regularization, reshaping, wrappers)
FAMILY.add(InputLayer, OpsFunction, *(getattr(module, name) for module in _MODULES for name in module.__all__ if name[0].isupper()))

serialize, deserialize = FAMILY.serialize, FAMILY.deserialize


def get(identifier: Any) -> Layer:
    """The layer that is meant by a configuration, or itself."""
    return FAMILY.get(identifier)


__all__ = ["Input", "InputLayer", "InputSpec", "KerasTensor", "Layer", "clear_session", "deserialize", "get", "mask_of", "serialize", "set_mask",
           *(name for module in _MODULES for name in module.__all__)]

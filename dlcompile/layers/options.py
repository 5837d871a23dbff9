"""Arguments that many layers have: activations, and for each weight NAME an initializer, a regularizer and a constraint.

    take(self, kernel_initializer="glorot_uniform", kernel_regularizer=None, …)     # names, configurations or objects → attributes
    weight(self, "kernel", (in, out))                                               # a variable with them
    told(self, "units", "activation", "kernel_initializer", …)                      # attributes → what JSON can hold
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import activations, constraints, initializers, regularizers
from dlcompile.errors import ArgumentError
from dlcompile.layers.base import Layer
from dlcompile.registry import serialize
from dlcompile.variables import Variable

FAMILIES = {"activation": activations, "initializer": initializers, "regularizer": regularizers, "constraint": constraints}
"""last word of an argument's name → the module that knows what it may be"""

WEIGHT = ("initializer", "regularizer", "constraint")


def take(layer: Layer, **arguments: Any) -> None:
    """Make attributes of arguments: those that a family of objects has names for, the objects that are meant; others as they are."""
    for name, value in arguments.items():
        family = FAMILIES.get(name.rpartition("_")[2])
        setattr(layer, name, value if family is None else family.get(value))


def told(layer: Layer, *names: str) -> dict[str, Any]:
    """The attributes of these names as a configuration."""
    config = {}
    for name in names:
        family, value = FAMILIES.get(name.rpartition("_")[2]), getattr(layer, name)
        config[name] = serialize(value) if family is None or value is None else family.serialize(value)
    return config


def options_of(*weights: str) -> tuple[str, ...]:
    """The names of the arguments for some weights, as Keras orders them.

    >>> options_of("kernel", "bias")[:3]
    ('kernel_initializer', 'bias_initializer', 'kernel_regularizer')
    """
    return tuple(f"{weight}_{kind}" for kind in WEIGHT for weight in weights)


def weight(layer: Layer, name: str, shape: Sequence[int], trainable: bool = True, options: str | None = None, **more: Any) -> Variable:
    """A variable of a layer, with the initializer, regularizer and constraint that the attributes say: NAME_initializer, …, or those of
    another name, `options`."""
    return layer.add_weight(shape=shape, trainable=trainable, name=name,
                            **{kind: getattr(layer, f"{options or name}_{kind}", None) for kind in WEIGHT}, **more)


def positive(layer: str, **values: Any) -> None:
    """ArgumentError for a value that is not a positive integer."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ArgumentError(f"{layer}: {name} is a positive integer, not {value!r}")


def one_of(layer: str, name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """The value. ArgumentError where it is not one of those that are allowed."""
    if value not in allowed:
        raise ArgumentError(f"{layer}: {name} is {' or '.join(map(repr, allowed))}, not {value!r}")
    return value


def last_extent(layer: Layer, shape: Sequence[int | None], axis: int = -1) -> int:
    """The extent of an axis of an input, which a weight needs. ArgumentError where it is not known."""
    if shape[axis] is None:
        raise ArgumentError(f"layer {layer.name!r}: axis {axis} of its input {tuple(shape)} must be known, because its weights have that extent")
    return int(shape[axis])


__all__ = ["last_extent", "one_of", "options_of", "positive", "take", "told", "weight"]

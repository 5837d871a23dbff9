"""Optimizers, by the names, with the arguments and the formulas of Keras.

    model.compile(optimizer="adam", loss="mse")
    optimizer = optimizers.SGD(schedules.ExponentialDecay(0.1, 1000, 0.9), momentum=0.9, nesterov=True, clipnorm=1.0)
    optimizer.apply(gradients, variables)                   # part of a compiled step, or at once for arrays
"""
from __future__ import annotations

from typing import Any

from dlcompile.optimizers import schedules
from dlcompile.optimizers.adam import Adam, Adamax, AdamW, Nadam
from dlcompile.optimizers.base import Optimizer
from dlcompile.optimizers.descent import SGD, Adadelta, Adagrad, Ftrl, Lion, RMSprop
from dlcompile.registry import Family

FAMILY = Family("optimizers", Optimizer, any_case=True)
FAMILY.add(Adadelta, Adagrad, Adam, AdamW, Adamax, Ftrl, Lion, Nadam, RMSprop, SGD)
serialize, deserialize = FAMILY.serialize, FAMILY.deserialize


def get(identifier: Any) -> Optimizer | None:
    """The optimizer that is meant by a name (in any case), a configuration, a class, or itself; None for None.

    >>> get("rmsprop").rho
    0.9
    """
    return FAMILY.get(identifier)


__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam", "Optimizer", "RMSprop", "deserialize", "get",
           "schedules", "serialize"]

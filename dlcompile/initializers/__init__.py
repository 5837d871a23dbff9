"""First values of variables: functions (shape, dtype) → NumPy array, by the names and with the arguments of Keras.

    Dense(64, kernel_initializer="he_normal")
    Dense(64, kernel_initializer=initializers.RandomNormal(stddev=0.01, seed=7))
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dlcompile.initializers.base import Initializer
from dlcompile.initializers.constant import Constant, Identity, Ones, Zeros
from dlcompile.initializers.random import Orthogonal, RandomInitializer, RandomNormal, RandomUniform, TruncatedNormal
from dlcompile.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    compute_fans,
)
from dlcompile.registry import Family

FAMILY = Family("initializers")
FAMILY.add(Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal, LecunUniform, Ones, Orthogonal,
           RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, Zeros, snake=True, IdentityInitializer=Identity,
           OrthogonalInitializer=Orthogonal, normal=RandomNormal, one=Ones, uniform=RandomUniform, zero=Zeros)
globals().update(FAMILY.objects)  # the names in snake_case, for `initializers.he_normal()`

serialize, deserialize = FAMILY.serialize, FAMILY.deserialize


def get(identifier: Any) -> Any:
    """The initializer that is meant by a name, a configuration, a class, a function (shape, dtype) → array, or the array itself; None for None.

    >>> get("ones")((2,))
    array([1., 1.], dtype=float32)
    """
    return FAMILY.get(Constant(identifier) if isinstance(identifier, (np.ndarray, np.generic)) else identifier)


__all__ = ["Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "Initializer", "LecunNormal", "LecunUniform", "Ones",
           "Orthogonal", "RandomInitializer", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "compute_fans",
           "deserialize", "get", "serialize"]

"""The settings, by the names that they have in `keras.backend`, and what element types are."""
from __future__ import annotations

from typing import Any

from dlcompile import graph
from dlcompile.config import backend, epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format
from dlcompile.naming import clear_session


def standardize_dtype(dtype: Any = None) -> str:
    """The name of an element type; of `floatx` where none is given.

    >>> standardize_dtype(float), standardize_dtype()
    ('float64', 'float32')
    """
    return graph.dtype_name(graph.as_dtype(dtype or floatx()))


def is_float_dtype(dtype: Any) -> bool:
    """Whether it is a type of floats."""
    return graph.is_float(graph.as_dtype(dtype))


def is_int_dtype(dtype: Any) -> bool:
    """Whether it is a type of integers, signed or not."""
    return graph.is_integer(graph.as_dtype(dtype))


__all__ = ["backend", "clear_session", "epsilon", "floatx", "image_data_format", "is_float_dtype", "is_int_dtype", "set_epsilon", "set_floatx",
           "set_image_data_format", "standardize_dtype"]

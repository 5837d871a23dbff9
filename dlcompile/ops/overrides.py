"""What a function of `ops` does with an argument that stands for a tensor in a way of its own.

As NumPy's `__array_function__`: an object whose class has

    __tensor_function__(self, function, args, kwargs)

is handed the call instead, where it is an argument, or in a list or tuple that is one. So the symbolic tensors of layers record a function rather
than compute it, and no function needs to know of them.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from dlcompile.graph import Tensor


def overriding(values: Iterable[Any]) -> Any:
    """The first of the values, or of the items of a list or tuple among them, that takes calls over; None where there is none."""
    for value in values:
        kind = type(value)
        if kind is Tensor:
            continue
        if kind is list or kind is tuple:
            found = overriding(value)
            if found is not None:
                return found
        elif hasattr(kind, "__tensor_function__"):
            return value
    return None


@functools.cache
def overridable(function: Callable) -> Callable:
    """`function`, leaving its calls to arguments that take them over."""
    @functools.wraps(function)
    def call(*args, **kwargs):
        taker = overriding(args)
        if taker is None and kwargs:
            taker = overriding(kwargs.values())
        return function(*args, **kwargs) if taker is None else taker.__tensor_function__(call, args, kwargs)

    return call


__all__ = ["overridable", "overriding"]

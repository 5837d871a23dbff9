"""Batches as data sets yield them: x, (x, y) or (x, y, sample_weight)."""
from __future__ import annotations

from typing import Any

from dlcompile.errors import ArgumentError


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """A batch of what there is.

    >>> pack_x_y_sample_weight("x", "y")
    ('x', 'y')
    """
    if y is None:
        return x if not isinstance(x, (tuple, list)) else (x,)
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of a batch, with None for what is not there. ArgumentError for a tuple of more than three.

    >>> unpack_x_y_sample_weight(("x", "y"))
    ('x', 'y', None)
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ArgumentError(f"a batch is x, (x, y) or (x, y, sample_weight), not a tuple of {len(data)}")
    return (*data, None, None)[:3]


__all__ = ["pack_x_y_sample_weight", "unpack_x_y_sample_weight"]

"""Arrays before they go into a model."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import config
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import as_dtype


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Labels as vectors with a 1 at their place: [..., (1)] integers → [..., num_classes] of `floatx`; by default as many classes as the largest
    label tells. ArgumentError for a label that is negative or too large.

    >>> to_categorical([1, 0, 2])
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = np.asarray(x)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    labels = labels.astype(np.int64)
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else int(num_classes)
    if labels.size and not 0 <= labels.min() <= labels.max() < count:
        raise ArgumentError(f"labels are from 0 to {count - 1}; here they are from {labels.min()} to {labels.max()}")
    made = np.zeros((labels.size, count), as_dtype(config.floatx()))
    made[np.arange(labels.size), labels.ravel()] = 1
    return made.reshape(*labels.shape, count)


def normalize(x: Any, axis: int = -1, order: float = 2) -> np.ndarray:
    """`x` divided by its norm along `axis`, of that order; vectors of zeros stay.

    >>> normalize([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm).astype(norm.dtype)


def pad_sequences(sequences: Sequence[Sequence[Any]], maxlen: int | None = None, dtype: Any = "int32", padding: str = "pre",
                  truncating: str = "pre", value: Any = 0.0) -> np.ndarray:
    """Sequences of different lengths as one array [sequences, maxlen, ...], with `value` before ("pre") or after ("post") what is too short, and what
    is too long cut off at that end.

    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
    array([[0, 1],
           [2, 3],
           [5, 6]], dtype=int32)
    """
    for what, where in (("padding", padding), ("truncating", truncating)):
        if where not in ("pre", "post"):
            raise ArgumentError(f"{what} is 'pre' or 'post', not {where!r}")
    arrays = [np.asarray(sequence) for sequence in sequences]
    inner = {array.shape[1:] for array in arrays if len(array)}
    if len(inner) > 1:
        raise ShapeError(f"the elements of sequences have one shape; here are {', '.join(map(str, sorted(inner)))}")
    length = max((len(array) for array in arrays), default=0) if maxlen is None else maxlen
    made = np.full((len(arrays), length, *(next(iter(inner)) if inner else ())), value, dtype)
    for row, array in zip(made, arrays):
        if len(array) and length:
            kept = array[-length:] if truncating == "pre" else array[:length]
            row[(slice(-len(kept), None) if padding == "pre" else slice(None, len(kept)))] = kept
    return made


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """A batch as data sets yield it: x, (x, y) or (x, y, sample_weight)."""
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


__all__ = ["normalize", "pack_x_y_sample_weight", "pad_sequences", "to_categorical", "unpack_x_y_sample_weight"]

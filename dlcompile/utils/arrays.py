"""Arrays in the form that models take."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError
from dlcompile.graph import as_dtype


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Classes [...] as vectors [..., num_classes] with a 1 at the class, float32. An axis of extent 1 at the end is taken away before.

    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    classes = np.asarray(x)
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    whole = classes.astype(np.int64)
    if classes.dtype.kind not in "iub" and (whole != classes).any():
        raise ArgumentError(f"classes are integers, not {classes.dtype}")
    count = int(whole.max(initial=-1)) + 1 if num_classes is None else num_classes
    if whole.size and not 0 <= whole.min() <= whole.max() < count:
        raise ArgumentError(f"classes are from 0 to {count - 1}, there are some from {whole.min()} to {whole.max()}")
    return (whole[..., None] == np.arange(count)).astype(np.float32)


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """x divided by its norm of an order along an axis; what has norm 0 stays.

    >>> normalize([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


def pad_sequences(sequences: Sequence[Sequence], maxlen: int | None = None, dtype: Any = "int32", padding: str = "pre",
                  truncating: str = "pre", value: Any = 0.0) -> np.ndarray:
    """Sequences of different lengths as one array [sequences, maxlen, …]: `value` is put before ("pre") or after ("post") short ones, and
    long ones lose what is at the beginning ("pre") or the end ("post").

    >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
    array([[0, 1],
           [2, 3],
           [5, 6]], dtype=int32)
    """
    for name, where in (("padding", padding), ("truncating", truncating)):
        if where not in ("pre", "post"):
            raise ArgumentError(f"{name} is 'pre' or 'post', not {where!r}")
    arrays = []
    for i, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            raise ArgumentError(f"sequence {i} is a {type(sequence).__name__}, no sequence")
        arrays.append(np.asarray(sequence))
    rest = next((array.shape[1:] for array in arrays if len(array)), ())
    length = max(map(len, arrays), default=0) if maxlen is None else maxlen
    padded = np.full((len(arrays), length, *rest), value, as_dtype(dtype))
    for i, array in enumerate(arrays):
        if not len(array):
            continue
        if array.shape[1:] != rest:
            raise ArgumentError(f"sequence {i} has elements of shape {array.shape[1:]}, others of shape {rest}")
        kept = array[max(len(array) - length, 0):] if truncating == "pre" else array[:length]
        if len(kept):
            padded[i, slice(length - len(kept), None) if padding == "pre" else slice(None, len(kept))] = kept
    return padded


__all__ = ["normalize", "pad_sequences", "to_categorical"]

"""Arrays of strings: Python's `str` objects, and the library's addresses and sizes (dlc_string of csrc/dlc_model.h)."""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError

STRING = np.dtype(object)


def text_array(value: Any, what: str) -> np.ndarray:
    """A C-contiguous object array of `str` of what is given for `what`: an array of strings of either kind, or nested lists of them."""
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if array.dtype.kind == "U" or not array.size:
        return np.asarray(array.astype(object), order="C")
    wrong = next((v for v in array.flat if not isinstance(v, str)), None) if array.dtype == STRING else array.flat[0]
    if wrong is not None:
        raise ArgumentError(f"{what} must be an array of str, not of {type(wrong).__name__}")
    return np.asarray(array, order="C")


def to_strings(array: np.ndarray) -> tuple[np.ndarray, bytes]:
    """(addresses and sizes [..., 2] as uint64, the bytes they point to, which are to be kept)."""
    encoded = [text.encode("utf-8", "surrogateescape") for text in array.flat]
    data = b"".join(encoded)
    sizes = np.fromiter(map(len, encoded), np.uint64, len(encoded))
    table = np.empty((len(encoded), 2), np.uint64)
    table[:, 0] = ctypes.cast(data, ctypes.c_void_p).value + np.cumsum(sizes, dtype=np.uint64) - sizes
    table[:, 1] = sizes
    return table, data


def from_strings(table: np.ndarray) -> np.ndarray:
    """The object array of `str` of addresses and sizes [..., 2]."""
    result = np.empty(table.shape[:-1], object)
    texts = [ctypes.string_at(address, size).decode("utf-8", "surrogateescape") if size else "" for address, size in table.reshape(-1, 2).tolist()]
    result.reshape(-1)[:] = texts
    return result

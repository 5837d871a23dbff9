"""What arguments are: element types and shapes, which a function is traced for."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from dlcompile.errors import ArgumentError
from dlcompile.graph import Dim, DimLike, Tensor, as_dtype, dtype_name, is_float, is_string, parse_dim

DimSpec = Union[int, str, Dim, None]

FLOAT32 = np.dtype(np.float32)
EXPECTED = "an array, a number or a list of numbers"
"""what `as_array` takes"""


@dataclass(frozen=True)
class TensorSpec:
    """Shape and element type of a tensor that is not there yet.

    shape: for each dimension an int; a string for a symbol ("batch", or an expression such as "2*n + 1"), the same one wherever the name is
    the same; or None for a symbol of its own. dtype: a NumPy type or a name such as "bfloat16". name: what the input is called; by default
    it has the name of its place among the arguments.

        >>> TensorSpec(("batch", 784), "float32")
        TensorSpec(float32[batch, 784])
    """

    shape: tuple[DimSpec, ...]
    dtype: np.dtype = FLOAT32
    name: str | None = None

    def __post_init__(self):
        if isinstance(self.shape, (int, str, Dim)) or self.shape is None:
            raise ArgumentError(f"TensorSpec: the shape must be a sequence of dimensions, not {self.shape!r}")
        object.__setattr__(self, "shape", tuple(_dimension(d) for d in self.shape))
        try:
            object.__setattr__(self, "dtype", as_dtype(self.dtype))
        except TypeError as error:
            raise ArgumentError(f"TensorSpec: {error}") from None

    def __repr__(self) -> str:
        shape = ", ".join("None" if d is None else str(d) for d in self.shape)
        return f"TensorSpec({dtype_name(self.dtype)}[{shape}]{f', name={self.name!r}' if self.name else ''})"


def _dimension(value: Any) -> DimLike | None:
    if value is None or isinstance(value, Dim):
        return value
    if isinstance(value, str):
        try:
            return parse_dim(value)
        except ValueError as error:
            raise ArgumentError(f"TensorSpec: {error}") from None
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 0:
        return int(value)
    raise ArgumentError(f"TensorSpec: {value!r} is no dimension; expected an int that is not negative, a name, or None")


def is_numbers(value: Any) -> bool:
    """Whether a value is a list of Python's numbers, or of such lists: it is an array then, and no tree."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, (bool, int, float)) or is_numbers(v) for v in value)


def as_array(value: Any, floats: np.dtype = FLOAT32) -> np.ndarray:
    """A value as an array. Python's floats, and lists of them, are of the type `floats`. TypeError for what is none."""
    if isinstance(value, (bool, int, float)) or is_numbers(value):
        array = np.asarray(value)
        return array.astype(floats) if array.dtype.kind == "f" else array
    if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "__array__"):
        array = np.asarray(value)
    elif hasattr(value, "__dlpack__"):
        array = np.from_dlpack(value)
    elif isinstance(value, str):
        array = np.asarray(value, object)
    else:
        raise TypeError(f"{type(value).__name__} is no array")
    if array.dtype.kind in "US":
        array = array.astype(object)
    as_dtype(array.dtype)
    if is_string(array.dtype) and not all(isinstance(item, str) for item in array.flat):
        raise TypeError("an array of objects that are no strings")
    return array


def float_type(values: Sequence[Any]) -> np.dtype:
    """The element type that Python's floats among the values are given: that of the first array of floats, or float32."""
    for value in values:
        dtype = getattr(value, "dtype", None)
        if isinstance(dtype, np.dtype) and dtype.kind != "O" and _is_known(dtype) and is_float(dtype):
            return dtype
    return FLOAT32


def _is_known(dtype: np.dtype) -> bool:
    try:
        as_dtype(dtype)
    except TypeError:
        return False
    return True


def spec_of(value: Any) -> TensorSpec:
    """The spec of a spec, a tensor or an array. TypeError for anything else."""
    if isinstance(value, TensorSpec):
        return value
    if isinstance(value, Tensor):
        return TensorSpec(value.shape, value.dtype)
    array = as_array(value)
    return TensorSpec(array.shape, array.dtype)

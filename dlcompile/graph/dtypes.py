"""Element types. A dtype is a `numpy.dtype` (ml_dtypes supplies what NumPy lacks); this table says how the rest of the world spells it."""
from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class DTypeRow:
    """One element type: NumPy's, the C type that stores it, the C type it is computed in, the suffix of csrc functions."""

    name: str
    numpy: np.dtype
    c_storage: str
    c_compute: str
    suffix: str


_ROWS = [
    DTypeRow("float64", np.dtype(np.float64), "double", "double", "f64"),
    DTypeRow("float32", np.dtype(np.float32), "float", "float", "f32"),
    DTypeRow("float16", np.dtype(np.float16), "dlc_float16", "float", "f16"),
    DTypeRow("bfloat16", np.dtype(ml_dtypes.bfloat16), "dlc_bfloat16", "float", "bf16"),
    DTypeRow("int64", np.dtype(np.int64), "int64_t", "int64_t", "i64"),
    DTypeRow("int32", np.dtype(np.int32), "int32_t", "int32_t", "i32"),
    DTypeRow("int16", np.dtype(np.int16), "int16_t", "int16_t", "i16"),
    DTypeRow("int8", np.dtype(np.int8), "int8_t", "int8_t", "i8"),
    DTypeRow("uint64", np.dtype(np.uint64), "uint64_t", "uint64_t", "u64"),
    DTypeRow("uint32", np.dtype(np.uint32), "uint32_t", "uint32_t", "u32"),
    DTypeRow("uint16", np.dtype(np.uint16), "uint16_t", "uint16_t", "u16"),
    DTypeRow("uint8", np.dtype(np.uint8), "uint8_t", "uint8_t", "u8"),
    DTypeRow("bool", np.dtype(np.bool_), "uint8_t", "int", "bool"),
]

DTYPES: dict[np.dtype, DTypeRow] = {row.numpy: row for row in _ROWS}
DTYPES_BY_NAME: dict[str, DTypeRow] = {row.name: row for row in _ROWS}


def as_dtype(dtype) -> np.dtype:
    """The `numpy.dtype` meant by a dtype, a scalar type or a name such as "bfloat16". TypeError for one dlcompile has no row for."""
    if isinstance(dtype, str) and dtype in DTYPES_BY_NAME:
        return DTYPES_BY_NAME[dtype].numpy
    result = np.dtype(dtype)
    if result not in DTYPES:
        raise TypeError(f"element type {result} is not supported; supported are {', '.join(DTYPES_BY_NAME)}")
    return result


def dtype_name(dtype: np.dtype) -> str:
    """The name of a dtype as the table spells it."""
    return DTYPES[dtype].name


def is_float(dtype: np.dtype) -> bool:
    """float64, float32, float16 or bfloat16."""
    return DTYPES[dtype].suffix in ("f64", "f32", "f16", "bf16")


def is_integer(dtype: np.dtype) -> bool:
    """A signed or unsigned integer type (bool is not one)."""
    return dtype.kind in "iu"

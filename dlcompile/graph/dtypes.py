"""Element types. A dtype is a `numpy.dtype` (ml_dtypes supplies what NumPy lacks); this table says how the rest of the world spells it."""
from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class DTypeRow:
    """One element type: NumPy's, the C type that stores it, the C type it is computed in, the suffix of csrc functions, and the header
    with the conversions between the two where they are not one type. Every type is stored as NumPy and ml_dtypes hold it: those of less than
    8 bits have a byte for each element."""

    name: str
    numpy: np.dtype
    c_storage: str
    c_compute: str
    suffix: str
    header: str | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of an element in a library's memory. NumPy's object is a pointer; the library's string has a size too."""
        return 16 if self.suffix == "str" else self.numpy.itemsize

    @property
    def is_converted(self) -> bool:
        """Whether it is stored as the bits of a float that is computed in float32."""
        return self.header is not None and self.c_compute == "float"

    @property
    def compute_suffix(self) -> str:
        """The suffix of functions that compute with it."""
        return "f32" if self.is_converted else self.suffix


_ROWS = [
    DTypeRow("float64", np.dtype(np.float64), "double", "double", "f64"),
    DTypeRow("float32", np.dtype(np.float32), "float", "float", "f32"),
    DTypeRow("float16", np.dtype(np.float16), "dlc_float16", "float", "f16", "dlc_half.h"),
    DTypeRow("bfloat16", np.dtype(ml_dtypes.bfloat16), "dlc_bfloat16", "float", "bf16", "dlc_half.h"),
    DTypeRow("int64", np.dtype(np.int64), "int64_t", "int64_t", "i64"),
    DTypeRow("int32", np.dtype(np.int32), "int32_t", "int32_t", "i32"),
    DTypeRow("int16", np.dtype(np.int16), "int16_t", "int16_t", "i16"),
    DTypeRow("int8", np.dtype(np.int8), "int8_t", "int8_t", "i8"),
    DTypeRow("uint64", np.dtype(np.uint64), "uint64_t", "uint64_t", "u64"),
    DTypeRow("uint32", np.dtype(np.uint32), "uint32_t", "uint32_t", "u32"),
    DTypeRow("uint16", np.dtype(np.uint16), "uint16_t", "uint16_t", "u16"),
    DTypeRow("uint8", np.dtype(np.uint8), "uint8_t", "uint8_t", "u8"),
    DTypeRow("bool", np.dtype(np.bool_), "uint8_t", "int", "bool"),
    *(DTypeRow(name, np.dtype(getattr(ml_dtypes, name)), "dlc_narrow", "float", name.replace("float", "f").replace("_", ""), "dlc_narrow.h")
      for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn",
                   "float4_e2m1fn")),
    DTypeRow("int4", np.dtype(ml_dtypes.int4), "dlc_narrow", "int8_t", "i4", "dlc_narrow.h"),
    DTypeRow("uint4", np.dtype(ml_dtypes.uint4), "dlc_narrow", "uint8_t", "u4", "dlc_narrow.h"),
    DTypeRow("int2", np.dtype(ml_dtypes.int2), "dlc_narrow", "int8_t", "i2", "dlc_narrow.h"),
    DTypeRow("uint2", np.dtype(ml_dtypes.uint2), "dlc_narrow", "uint8_t", "u2", "dlc_narrow.h"),
    DTypeRow("complex64", np.dtype(np.complex64), "dlc_complex64", "dlc_complex64", "c64"),
    DTypeRow("complex128", np.dtype(np.complex128), "dlc_complex128", "dlc_complex128", "c128"),
    DTypeRow("string", np.dtype(object), "dlc_string", "dlc_string", "str", "dlc_text.h"),
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
    """float64, float32, float16, bfloat16, or a narrower float."""
    return DTYPES[dtype].c_compute in ("double", "float")


def is_half(dtype: np.dtype) -> bool:
    """float16 or bfloat16: what is computed in float32 and rounded once."""
    return is_float(dtype) and dtype.itemsize == 2


def is_narrow(dtype: np.dtype) -> bool:
    """A type of less than 16 bits that NumPy does not have: nothing is computed in it, it is converted from and to."""
    return DTYPES[dtype].header == "dlc_narrow.h"


def is_string(dtype: np.dtype) -> bool:
    """Strings: objects of type `str` in NumPy's arrays, UTF-8 in the library."""
    return dtype == np.dtype(object)


def nothing_of(dtype: np.dtype) -> np.ndarray:
    """What stands where there is nothing, as a scalar array: 0, false, or the empty text."""
    return np.array("", object) if is_string(dtype) else np.zeros((), dtype)


def is_number(dtype: np.dtype) -> bool:
    """Real or complex numbers, which can be added and multiplied."""
    return dtype != np.dtype(np.bool_) and not is_string(dtype)


def is_ordered(dtype: np.dtype) -> bool:
    """Real numbers and bool, of which one is the largest."""
    return dtype.kind != "c" and not is_string(dtype)


def integer_range(dtype: np.dtype) -> tuple[int, int]:
    """The smallest and the largest integer of a type, those that NumPy does not have too."""
    info = ml_dtypes.iinfo(dtype)
    return int(info.min), int(info.max)


def is_integer(dtype: np.dtype) -> bool:
    """A signed or unsigned integer type (bool is not one)."""
    return dtype.kind in "iu" or DTYPES[dtype].suffix in ("i4", "u4", "i2", "u2")

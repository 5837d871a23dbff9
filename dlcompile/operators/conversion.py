"""Numbers as text and back: what a cast from and to strings means."""
from __future__ import annotations

import re

import numpy as np

from dlcompile.errors import ExecutionError
from dlcompile.graph import is_float, is_integer

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf(inity)?|nan)", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_SPACE = " \t\n\v\f\r"


def to_text(x: np.ndarray) -> np.ndarray:
    """Decimal text as Python writes it: integers plain; floats with the fewest digits that read back as the same number (of float32 for
    narrower floats), "0.1", "1.0", "1e-05", "1.5e+20", "nan", "-inf"; "True" and "False"."""
    if is_float(x.dtype):
        wide = x if x.dtype.itemsize >= 4 else x.astype(np.float32)
        texts = [_decimal(v) for v in wide.flat]
    else:
        texts = [str(bool(v)) if x.dtype == np.bool_ else str(int(v)) for v in x.flat]
    return _objects(texts, x.shape)


def _decimal(value: np.floating) -> str:
    """(Versions of NumPy differ in where they begin to write exponents.)"""
    if not np.isfinite(value):
        return str(float(value))
    if value == 0 or 1e-4 <= abs(value) < 1e16:
        return np.format_float_positional(value, unique=True, trim="0")
    return np.format_float_scientific(value, unique=True, trim="-", exp_digits=2)


def from_text(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The numbers that strings say: decimals, plain or with an exponent, "inf", "nan" in any case; integers of 64 bits, of which narrower ones
    take the low bits; "true" and "false" in any case for bool. White space around them does not count. ExecutionError for other text."""
    if is_float(dtype):
        values = np.array([_number(v, _DECIMAL, float) for v in x.flat], np.float64)
        with np.errstate(over="ignore"):
            return values.astype(dtype).reshape(x.shape)
    words = {"true": 1, "false": 0} if dtype == np.bool_ else {}
    values = [words[v.strip(_SPACE).lower()] if v.strip(_SPACE).lower() in words else _number(v, _INTEGER, int) for v in x.flat]
    signed = dtype == np.bool_ or np.issubdtype(dtype, np.signedinteger) or is_integer(dtype) and dtype.name.startswith("int")
    low, high = (-2**63, 2**63) if signed else (-2**64 + 1, 2**64)
    if any(not low <= v < high for v in values):
        raise ExecutionError("a string that is cast to an integer is too large a one")
    bits = np.array([v % 2**64 for v in values], np.uint64).reshape(x.shape)
    return bits != 0 if dtype == np.bool_ else bits.astype(dtype) if not signed else bits.view(np.int64).astype(dtype)


def _number(text: str, pattern: re.Pattern, kind):
    stripped = text.strip(_SPACE)
    if not pattern.fullmatch(stripped):
        raise ExecutionError(f"{text!r} is cast to a number and is none")
    return kind(stripped)


def _objects(texts: list[str], shape: tuple[int, ...]) -> np.ndarray:
    result = np.empty(len(texts), object)
    result[:] = texts
    return result.reshape(shape)

"""16-bit floats against NumPy and ml_dtypes: every 16-bit pattern, and floats around every rounding boundary."""
import ctypes
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
DRIVER = """
#include "dlc_half.h"
void widen_f16(int64_t n, const dlc_float16 *x, float *y) { for (int64_t i = 0; i < n; ++i) y[i] = dlc_f16_to_f32(x[i]); }
void widen_bf16(int64_t n, const dlc_bfloat16 *x, float *y) { for (int64_t i = 0; i < n; ++i) y[i] = dlc_bf16_to_f32(x[i]); }
void narrow_f16(int64_t n, const float *x, dlc_float16 *y) { for (int64_t i = 0; i < n; ++i) y[i] = dlc_f32_to_f16(x[i]); }
void narrow_bf16(int64_t n, const float *x, dlc_bfloat16 *y) { for (int64_t i = 0; i < n; ++i) y[i] = dlc_f32_to_bf16(x[i]); }
void round_f16(int64_t n, const float *x, float *y) { for (int64_t i = 0; i < n; ++i) y[i] = dlc_round_f16(x[i]); }
void round_bf16(int64_t n, const float *x, float *y) { for (int64_t i = 0; i < n; ++i) y[i] = dlc_round_bf16(x[i]); }
void double_f16(int64_t n, const double *x, dlc_float16 *y) { for (int64_t i = 0; i < n; ++i) y[i] = dlc_f64_to_f16(x[i]); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    (folder / "half.c").write_text(DRIVER)
    subprocess.run(["cc", "-O3", "-std=gnu11", "-shared", "-fPIC", f"-I{CSRC}", str(folder / "half.c"), "-o", str(folder / "half.so")], check=True)
    return ctypes.CDLL(str(folder / "half.so"))


def call(function, x: np.ndarray, dtype) -> np.ndarray:
    y = np.empty(x.shape, dtype)
    function(ctypes.c_int64(x.size), x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
    return y


TYPES = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}


@pytest.mark.parametrize("name", TYPES)
def test_every_pattern_widens(library, name) -> None:
    patterns = np.arange(1 << 16, dtype=np.uint16)
    expected = patterns.view(TYPES[name]).astype(np.float32)
    got = call(getattr(library, f"widen_{name}"), patterns, np.float32)
    same = (got.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(got) & np.isnan(expected))
    assert same.all()


def boundaries(name: str) -> np.ndarray:
    """Floats at, just above and just below every number of the type and every middle between two; and random ones."""
    with np.errstate(all="ignore"):
        centres = np.arange(1 << 16, dtype=np.uint16).view(TYPES[name]).astype(np.float32).view(np.uint32)
        step = 1 << 12 if name == "f16" else 1 << 15
        floats = np.concatenate([centres + np.uint32(d % 2**32) for d in (0, 1, -1, step, step - 1, step + 1, -step)]).view(np.float32)
        return np.concatenate([floats, np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)])


@pytest.mark.parametrize("name", TYPES)
def test_rounding(library, name) -> None:
    floats = boundaries(name)
    with np.errstate(all="ignore"):
        expected = floats.astype(TYPES[name]).view(np.uint16)
    got = call(getattr(library, f"narrow_{name}"), floats, np.uint16)
    nan = np.isnan(floats)
    assert (got[~nan] == expected[~nan]).all()
    assert np.isnan(got[nan].view(TYPES[name]).astype(np.float32)).all()


@pytest.mark.parametrize("name", TYPES)
def test_rounding_without_storing(library, name) -> None:
    floats = boundaries(name)
    with np.errstate(all="ignore"):
        expected = floats.astype(TYPES[name]).astype(np.float32)
    got = call(getattr(library, f"round_{name}"), floats, np.float32)
    assert ((got.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(got) & np.isnan(expected))).all()


def test_doubles_are_rounded_once(library) -> None:
    numbers = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    numbers = np.unique(numbers[np.isfinite(numbers)])
    middles = np.append((numbers[1:] + numbers[:-1]) / 2, [65520, -65520])
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, -1e300, 5e-324, 3.4028235677973366e38])
    doubles = np.concatenate([numbers, middles, np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf), special])
    with np.errstate(all="ignore"):
        expected = doubles.astype(np.float16)
        assert (doubles.astype(np.float32).astype(np.float16) != expected).sum() > 1000
    got = call(library.double_f16, doubles, np.uint16)
    nan = np.isnan(doubles)
    assert (got[~nan] == expected.view(np.uint16)[~nan]).all() and np.isnan(got[nan].view(np.float16)).all()

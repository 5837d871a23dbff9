"""Floats of 4 to 8 bits and integers of 2 and 4 against ml_dtypes: every pattern, and floats around every rounding boundary."""
import ctypes
import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
FLOATS = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"]
INTEGERS = {"int4": "i4", "uint4": "u4", "int2": "i2", "uint2": "u2"}


def suffix(name: str) -> str:
    return name.replace("float", "f").replace("_", "")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("narrow")
    text = '#include "dlc_narrow.h"\n'
    for s in map(suffix, FLOATS):
        text += f"void widen_{s}(int64_t n, const dlc_narrow *x, float *y) {{ for (int64_t i = 0; i < n; ++i) y[i] = dlc_{s}_to_f32(x[i]); }}\n"
        text += f"void narrow_{s}(int64_t n, const float *x, dlc_narrow *y) {{ for (int64_t i = 0; i < n; ++i) y[i] = dlc_f32_to_{s}(x[i]); }}\n"
    for s in INTEGERS.values():
        text += f"void narrow_{s}(int64_t n, const int64_t *x, uint8_t *y) {{ for (int64_t i = 0; i < n; ++i) y[i] = (uint8_t)dlc_to_{s}(x[i]); }}\n"
    (folder / "narrow.c").write_text(text)
    subprocess.run(["cc", "-O3", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{CSRC}", str(folder / "narrow.c"), "-o",
                    str(folder / "narrow.so")], check=True)
    return ctypes.CDLL(str(folder / "narrow.so"))


def call(function, x: np.ndarray, dtype) -> np.ndarray:
    y = np.empty(x.shape, dtype)
    function(ctypes.c_int64(x.size), x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
    return y


@pytest.mark.parametrize("name", FLOATS)
def test_every_pattern_widens(library, name) -> None:
    bits = {"6": 6, "4": 4}.get(name[5], 8)
    patterns = np.arange(1 << bits, dtype=np.uint8)
    expected = patterns.view(getattr(ml_dtypes, name)).astype(np.float32)
    got = call(getattr(library, f"widen_{suffix(name)}"), patterns, np.float32)
    assert ((got.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(got) & np.isnan(expected))).all()


@pytest.mark.parametrize("name", FLOATS)
def test_rounding(library, name) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    with np.errstate(all="ignore"):
        centres = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32).view(np.uint32)
        steps = [1 << k for k in range(17, 23)]
        offsets = [0, 1, -1, *(s * sign + d for s in steps for sign in (1, -1) for d in (0, 1, -1))]
        floats = np.concatenate([centres + np.uint32(d % 2**32) for d in offsets]).view(np.float32)
        special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1e-45, 1.2e-38], np.float32)
        random = np.random.default_rng(0).integers(0, 2**32, 300_000, dtype=np.uint32).view(np.float32)
        floats = np.concatenate([floats, special, random, np.random.default_rng(1).normal(0, 20, 100_000).astype(np.float32)])
        expected = floats.astype(dtype).view(np.uint8)
    got = call(getattr(library, f"narrow_{suffix(name)}"), floats, np.uint8)
    wrong = (got != expected) & ~(np.isnan(got.view(dtype).astype(np.float32)) & np.isnan(expected.view(dtype).astype(np.float32)))
    assert not wrong.any(), list(zip(floats[wrong][:5], got[wrong][:5], expected[wrong][:5]))


@pytest.mark.parametrize("name", INTEGERS)
def test_low_bits(library, name) -> None:
    x = np.concatenate([np.arange(-300, 300), np.array([2**40 + 5, -(2**40) - 3, 2**63 - 1, -(2**63)])]).astype(np.int64)
    expected = x.astype(getattr(ml_dtypes, name)).astype(np.int64)
    got = call(getattr(library, f"narrow_{INTEGERS[name]}"), x, np.uint8 if name[0] == "u" else np.int8)
    np.testing.assert_array_equal(got.astype(np.int64), expected)

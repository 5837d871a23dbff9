"""Conversions of floats to integers: their values at the edges, and that loops around them are vector code."""
from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from dlcompile.kernels.target import TARGETS
from tests.csrc.conftest import CSRC, FLAGS, WIDTHS

TYPES = {"i8": np.int8, "u8": np.uint8, "i16": np.int16, "u16": np.uint16, "i32": np.int32, "u32": np.uint32, "i64": np.int64, "u64": np.uint64}
FLOATS = {"f32": ("float", np.float32), "f64": ("double", np.float64)}
HEADERS = '#pragma GCC diagnostic ignored "-Wtype-limits"\n#include "dlc_base.h"\n#include "dlc_math.h"\n#include "dlc_integer.h"\n'


def _loop(name: str, parameters: str, statement: str) -> str:
    return f"void {name}(int64_t n, {parameters})\n{{\n#pragma omp simd\n    for (int64_t i = 0; i < n; ++i)\n        {statement};\n}}\n"


CASTS = HEADERS + "".join(
    _loop(f"{to}_{suffix}", f"const {kind} *restrict x, {np.dtype(dtype).name}_t *restrict y", f"y[i] = dlc_cast_{suffix}_{to}(x[i])")
    for to, dtype in TYPES.items() for suffix, (kind, _) in FLOATS.items())


@pytest.mark.parametrize("suffix", FLOATS)
@pytest.mark.parametrize("to", TYPES)
def test_casts(build, configuration, suffix, to):
    """What fits (32 bits at least) is cut towards 0, and wraps in types that are narrower; all else is the lowest number of 32 or 64 bits."""
    dtype, kind = np.dtype(TYPES[to]), FLOATS[suffix][1]
    wide = np.dtype(np.int32) if dtype.itemsize < 4 else dtype
    edges = np.array([0.0, -0.0, 0.9, -0.9, 1.5, -1.5, 127.9, 200.0, -129.0, 40000.0, 2.0**24, 2.0**31, -2.0**31, 2.0**32, 2.0**63, -2.0**63, 2.0**64,
                      1e30, -1e30, np.inf, -np.inf, np.nan], kind)
    x = np.unique(np.concatenate([edges, np.nextafter(edges, kind(0)), np.nextafter(edges, kind(np.inf))]))
    y = np.zeros(x.size, dtype)
    getattr(build(CASTS, configuration), f"{to}_{suffix}")(x.size, x, y)
    low, high = np.iinfo(wide).min, np.iinfo(wide).max
    expected = [int(v) if np.isfinite(v) and low <= v and int(v) <= high else low for v in x]
    assert y.tolist() == np.array([v % 2 ** (8 * dtype.itemsize) for v in expected], np.uint64).astype(dtype).tolist()


QUANTISED = "dlc_minimum_f32(dlc_maximum_f32(dlc_round_f32(x[i] / scale) + {zero}f, {low}f), {high}f)"
LOOPS = {
    "to_uint8": ("uint8_t *restrict y", f"y[i] = dlc_cast_f32_u8({QUANTISED.format(zero='3.0', low='0.0', high='255.0')})"),
    "to_int8": ("int8_t *restrict y", f"y[i] = dlc_cast_f32_i8({QUANTISED.format(zero='0.0', low='-128.0', high='127.0')})"),
    "there_and_back": ("float *restrict y", f"y[i] = (float)(dlc_cast_f32_u8({QUANTISED.format(zero='3.0', low='0.0', high='255.0')}) - 3) * scale"),
}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")
@pytest.mark.parametrize("width", WIDTHS)
def test_quantisation_is_vector_code(tmp_path, width):
    """The comparisons of saturation and those of the conversion are not run together to branches."""
    source = tmp_path / "loops.c"
    source.write_text(HEADERS + "".join(
        _loop(name, f"float scale, const float *restrict x, {y}", statement) for name, (y, statement) in LOOPS.items()))
    done = subprocess.run(["gcc", *FLAGS, "-fopenmp-simd", *TARGETS[width].flags, f"-I{CSRC}", "-fopt-info-vec-optimized", "-S", str(source),
                           "-o", str(tmp_path / "loops.s")], check=True, capture_output=True, text=True)
    assert done.stderr.count("loops.c:") >= len(LOOPS), done.stderr


@pytest.mark.parametrize("suffix", ["i64", "i32", "i16", "i8"])
@pytest.mark.parametrize("op, combine", [("add", np.add), ("mul", np.multiply)])
def test_reductions_wrap(run_sanitized, configuration, suffix, op, combine):
    """Lanes of a vector are combined as elements are: by arithmetic that wraps, with nothing undefined."""
    dtype = np.dtype(TYPES[suffix])
    values = np.array([np.iinfo(dtype).max - 2 * i if i % 3 else 3 for i in range(41)], dtype)
    with np.errstate(over="ignore"):
        expected = combine.reduce(values, dtype=dtype)
    kind, literals = f"{dtype.name}_t", ", ".join(map(str, values.tolist()))
    program = HEADERS + f"""#include <stdio.h>
    #include "dlc_reduce.h"
    static const {kind} values[41] = {{{literals}}};
    int main(void)
    {{
        {kind} a = {int(op == "mul")};
        #pragma omp simd reduction(dlc_{op}_{suffix} : a)
        for (int i = 0; i < 41; ++i)
            a = dlc_{op}_{suffix}(a, values[i]);
        printf("%lld", (long long)a);
        return 0;
    }}"""
    assert int(run_sanitized(program, configuration)) == int(expected)

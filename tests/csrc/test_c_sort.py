"""Sorting, selections and random numbers in C: against NumPy for every compiler, and under sanitizers."""
from __future__ import annotations

import numpy as np
import pytest

from tests.csrc.conftest import CONFIGURATIONS, _available

TYPES = {"f32": np.float32, "f64": np.float64, "i64": np.int64, "i32": np.int32, "i16": np.int16, "i8": np.int8, "u64": np.uint64, "u32": np.uint32,
         "u16": np.uint16, "u8": np.uint8}
C_TYPES = {"f32": "float", "f64": "double", **{f"{s}{b}": f"{'u' if s == 'u' else ''}int{b}_t" for s in "iu" for b in (8, 16, 32, 64)}}
WRAPPERS = "\n".join(f"""
void top_k_{t}(int64_t n, int64_t k, int64_t largest, const {c} *x, int64_t step, {c} *values, int64_t *indices, char *scratch)
{{ dlc_top_k_{t}(n, k, (int)largest, x, step, values, 1, indices, 1, scratch); }}
void unique_{t}(int64_t n, int64_t m, const {c} *x, int64_t sorted, int64_t *first, int64_t *inverse, int64_t *counts, int64_t *count, char *space)
{{ dlc_unique_{t}(n, m, x, m, 1, (int)sorted, first, inverse, counts, count, space); }}""" for t, c in C_TYPES.items())
SOURCE = f"""#include "dlc_random.h"
#include "dlc_select.h"
#include "dlc_suppress.h"
{WRAPPERS}
void flatnonzero(int64_t threads, int64_t n, const uint8_t *mask, int64_t *positions, int64_t *count)
{{
    for (int64_t t = threads; t-- > 0;) /* in any order */
        dlc_flatnonzero(&(dlc_team){{.index = (int)t, .count = (int)threads}}, n, mask, 1, positions, count);
}}
int64_t random_bits(int64_t key0, int64_t key1, int64_t high, int64_t low)
{{ return dlc_random_bits_u32((uint32_t)key0, (uint32_t)key1, high * 4294967296 + low); }}
int64_t box_bytes(void) {{ return sizeof(dlc_box); }}
"""


@pytest.fixture(params=[CONFIGURATIONS[0], CONFIGURATIONS[-2]], ids="-".join, scope="session")
def configuration(request):
    """Nothing here depends on the width of vectors: each compiler once."""
    if _available(*request.param):
        pytest.skip(_available(*request.param))
    return request.param


def values(rng, name: str, shape) -> np.ndarray:
    dtype = np.dtype(TYPES[name])
    if dtype.kind == "f":
        x = np.round(rng.standard_normal(shape) * 9).astype(dtype)
        specials = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0]
    else:
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, shape, dtype, endpoint=True) if rng.random() < 0.5 else rng.integers(0, 9, shape).astype(dtype)
        specials = [info.min, info.max]
    x.flat[rng.permutation(x.size)[:len(specials)]] = np.array(specials, dtype)[:x.size]
    return x


@pytest.mark.parametrize("name", TYPES)
def test_top_k(name, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(1)
    for n, step in ((1, 1), (2, 3), (64, 1), (65, 1), (1000, 2)):
        for k in sorted({0, 1, n // 9, n // 8, n // 2, n}):
            for largest in (0, 1):
                x = values(rng, name, n * step)
                row = x[::step][:n]
                order = n - 1 - np.argsort(row[::-1], kind="stable")[::-1] if largest else np.argsort(row, kind="stable")
                got, indices = np.zeros(k, x.dtype), np.zeros(k, np.int64)
                getattr(library, f"top_k_{name}")(n, k, largest, x, step, got, indices, aligned(8 * n))
                np.testing.assert_array_equal(indices, order[:k])
                np.testing.assert_array_equal(got, row[order[:k]])


@pytest.mark.parametrize("name", TYPES)
def test_unique(name, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(2)
    for n, m in ((0, 1), (1, 1), (300, 1), (70, 2), (33, 3), (5, 0)):
        x = values(rng, name, (n, m)) if n * m > 6 else np.zeros((n, m), TYPES[name])
        x = x if m == 1 else x % 2 if x.dtype.kind != "f" else np.nan_to_num(x, posinf=1, neginf=0) % 2
        for is_sorted in (0, 1):
            first, inverse, counts = (np.zeros(n, np.int64) for _ in range(3))
            count = np.zeros(1, np.int64)
            getattr(library, f"unique_{name}")(n, m, x, is_sorted, first, inverse, counts, count, aligned(8 * n + 16))
            (k,) = count
            if m:
                wanted = np.unique(x[:, 0], True, True, True) if m == 1 else np.unique(x, True, True, True, axis=0)
                assert k == len(wanted[0])
                order = np.arange(k) if is_sorted else np.argsort(wanted[1])
                np.testing.assert_array_equal(first[:k], wanted[1][order])
                np.testing.assert_array_equal(counts[:k], wanted[3][order])
                np.testing.assert_array_equal(inverse, np.argsort(order)[wanted[2].ravel()])
            else:
                assert (k, first[0], counts[0]) == (1, 0, n) and not inverse.any()


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_flatnonzero(threads, build, configuration):
    library, rng = build(SOURCE, configuration), np.random.default_rng(3)
    for n in (0, 1, 5, 64, 1000):
        mask = (rng.random(n) < 0.3).astype(np.uint8) * 255
        positions, count = np.full(n, -1, np.int64), np.zeros(1, np.int64)
        library.flatnonzero(threads, n, mask, positions, count)
        np.testing.assert_array_equal(positions[:count[0]], np.flatnonzero(mask))


def test_threefry(build, configuration):
    """x ^ y of the known answers of the Random123 distribution."""
    library = build(SOURCE, configuration)
    for key, counter, (x, y) in (((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)), ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0))):
        assert library.random_bits(*key, *counter) & 0xFFFFFFFF == x ^ y


def test_boxes_take_what_the_scheduler_reserves(build, configuration):
    from dlcompile.kernels.selection import BOX_BYTES

    assert build(SOURCE, configuration).box_bytes() == BOX_BYTES


def test_memory(run_sanitized, configuration):
    """Exactly as much as the comments say is used, and nothing is undefined."""
    run_sanitized("""
#include "dlc_random.h"
#include "dlc_select.h"
#include "dlc_suppress.h"
#include <stdlib.h>
#define TEST(T, suffix, word)                                                                                                            \\
    for (int64_t n = 0; n < 200; n += 13 + n / 2)                                                                                        \\
        for (int64_t k = 0; k <= n; k += 1 + k / 2) {                                                                                    \\
            T *x = malloc(n * sizeof(T) + 1), *values = malloc(k * sizeof(T) + 1);                                                       \\
            int64_t *indices = malloc(8 * k + 1), *out = malloc(24 * n + 8);                                                             \\
            const int64_t words = DLC_FEW * k <= n ? k : n;                                                                              \\
            char *scratch = aligned_alloc(64, (2 * word * words + 64) / 64 * 64), *space = aligned_alloc(64, (2 * word * n + 64) / 64 * 64); \\
            for (int64_t i = 0; i < n; ++i)                                                                                              \\
                x[i] = (T)(i * 2654435761u);                                                                                             \\
            dlc_top_k_##suffix(n, k, (int)(k & 1), x, 1, values, 1, indices, 1, scratch);                                                \\
            dlc_unique_##suffix(n, 1, x, 1, 1, 0, out, out + n, out + 2 * n, out + 3 * n, space);                                        \\
            dlc_unique_##suffix(n / 2, 2, x, 2, 1, 1, out, out + n, out + 2 * n, out + 3 * n, space);                                    \\
            free(x), free(values), free(indices), free(out), free(scratch), free(space);                                                 \\
        }
int main(void)
{
    TEST(float, f32, 8) TEST(double, f64, 16) TEST(int64_t, i64, 16) TEST(int8_t, i8, 8) TEST(uint16_t, u16, 8) TEST(int32_t, i32, 8)
    double numbers[33];
    dlc_mt19937_uniform(4294967295u, 33, numbers);
    dlc_mt19937_normal(7, 33, numbers);
    for (int64_t n = 0; n < 40; n += 9)
        for (int64_t limit = 0; limit <= n; limit += 4)
            for (int center = 0; center < 2; ++center) {
                float *box = malloc(2 * n * 16 + 1), *score = malloc(2 * 3 * n * 4 + 1), threshold = 0.1f;
                int64_t most = 5, count, *selected = malloc(2 * 3 * limit * 24 + 1);
                for (int64_t i = 0; i < 8 * n; ++i)
                    box[i] = (float)(i * 37 % 11);
                for (int64_t i = 0; i < 6 * n; ++i)
                    score[i] = (float)(i * 29 % 7) / 7;
                dlc_suppression s = {.batches = 2, .classes = 3, .boxes = n, .limit = limit, .center = center, .box = box, .score = score,
                                     .box_strides = {4 * n, 4, 1}, .score_strides = {3 * n, n, 1}, .most = &most, .iou_threshold = &threshold,
                                     .score_threshold = limit & 4 ? &threshold : NULL, .selected = selected, .count = &count};
                s.workspace = malloc(dlc_suppress_workspace(&s) + 1);
                dlc_team team = {.index = 0, .count = 1, .scratch = malloc(16 * n + 1)};
                dlc_non_max_suppression(&team, &s);
                if (count < 0 || count > 6 * limit)
                    return 1;
                free(box), free(score), free(selected), free(s.workspace), free(team.scratch);
            }
    return 0;
}
""", configuration)

"""The microkernels against NumPy in float64: every tile the cost model may choose, odd depths, strides, and no read outside the operands."""
from __future__ import annotations

import numpy as np
import pytest

TILES = [(14, 2), (12, 2), (7, 3), (6, 4), (5, 5), (4, 6), (3, 8), (2, 8), (1, 8), (1, 1), (2, 1), (3, 1), (1, 3), (24, 1), (6, 2), (4, 3)]

SOURCE = '#include "dlc_tile.h"\n' + "".join(f"""
void dot_{mr}_{nv}(const float *a, int64_t lda, int64_t K, const float *b, int64_t ldb, float *acc)
{{ dlc_tile_dot({mr}, {nv}, a, lda, K, b, ldb, acc); }}
void add_{mr}_{nv}(const float *a, int64_t lda, int64_t K, const float *b, int64_t ldb, float *acc)
{{ dlc_tile_dot_add({mr}, {nv}, a, lda, K, b, ldb, acc); }}
void strided_{mr}_{nv}(const float *a, int64_t lda, int64_t ka, int64_t K, const float *b, int64_t ldb, float *acc)
{{ dlc_tile_dot_kstride({mr}, {nv}, a, lda, ka, K, b, ldb, acc); }}
void conv_{mr}_{nv}(const float *x, int64_t pixel, int64_t KH, int64_t row, int64_t KW, int64_t column, int64_t C, const float *w, int64_t ldb,
                    int64_t ahead, float *acc)
{{ dlc_tile_conv({mr}, {nv}, x, pixel, KH, row, KW, column, C, w, ldb, ahead, acc); }}
""" for mr, nv in TILES)


@pytest.mark.parametrize("tile", TILES, ids=lambda t: f"{t[0]}x{t[1]}")
def test_products(tile, build, configuration, aligned, close):
    library, rng = build(SOURCE, configuration), np.random.default_rng(1)
    mr, nv = tile
    width = nv * library.lanes
    for depth in (0, 1, 2, 3, 7, 8, 9, 64, 131):
        lda, ldb = depth + 3, width + 5
        a = rng.standard_normal((mr, lda), np.float32)
        b = rng.standard_normal((depth, ldb), np.float32)
        exact = a[:, :depth].astype(float) @ b[:, :width].astype(float)
        acc = aligned(mr, width)
        getattr(library, f"dot_{mr}_{nv}")(a, lda, depth, b, ldb, acc)
        close(acc, exact, depth)
        getattr(library, f"add_{mr}_{nv}")(a, lda, depth, b, ldb, acc)
        close(acc, 2 * exact, depth)
        columns = np.ascontiguousarray(a.T)
        getattr(library, f"strided_{mr}_{nv}")(columns, 1, mr, depth, b, ldb, acc)
        close(acc, exact, depth)


@pytest.mark.parametrize("channels, kernel, stride, dilation", [(3, 7, 2, 1), (1, 3, 1, 1), (16, 3, 1, 1), (5, 3, 2, 2), (64, 1, 2, 1)])
def test_convolutions(channels, kernel, stride, dilation, build, configuration, aligned, close):
    library, rng = build(SOURCE, configuration), np.random.default_rng(2)
    for mr, nv in TILES:
        width, span = nv * library.lanes, (kernel - 1) * dilation + 1
        image = rng.standard_normal((span, span + (mr - 1) * stride, channels), np.float32)
        weights = rng.standard_normal((kernel, kernel, channels, width), np.float32)
        exact = np.stack([np.einsum("hwc,hwcn->n", image[::dilation, i * stride:i * stride + span:dilation].astype(float),
                                    weights.astype(float)) for i in range(mr)])
        row, column = dilation * image.shape[1] * channels, dilation * channels
        for ahead in (0, width * 4):
            acc = aligned(mr, width)
            getattr(library, f"conv_{mr}_{nv}")(image, stride * channels, kernel, row, kernel, column, channels, weights, width, ahead, acc)
            close(acc, exact, kernel * kernel * channels)


def test_infinities_and_nan_stay_in_their_row_and_column(build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(3)
    a, b = rng.standard_normal((14, 20), np.float32), rng.standard_normal((20, 2 * library.lanes), np.float32)
    a[3, 5], a[7, 2], b[9, 4] = np.inf, np.nan, -np.inf
    acc = aligned(14, 2 * library.lanes)
    library.dot_14_2(a, 20, 20, b, 2 * library.lanes, acc)
    with np.errstate(invalid="ignore"):
        exact = a.astype(float) @ b.astype(float)
    assert (np.isnan(acc) == np.isnan(exact)).all() and (np.isinf(acc) == np.isinf(exact)).all()
    assert np.isfinite(acc).sum() == 12 * (2 * library.lanes - 1)


def test_partial_vectors(build, configuration):
    source = """#include "dlc_vector.h"
    void load(const float *p, int64_t n, float *out) { dlc_store(out, dlc_load_partial(p, n)); }
    void store(const float *p, int64_t n, float *out) { dlc_store_partial(out, dlc_load(p), n); }
    void extremes(const float *a, const float *b, float *out)
    { dlc_store(out, dlc_max_lanes(dlc_load(a), dlc_load(b))); dlc_store(out + DLC_LANES, dlc_min_lanes(dlc_load(a), dlc_load(b))); }
    void broadcast(float *p) { dlc_store(p, dlc_broadcast(p[0])); }
    """
    library = build(source, configuration)
    lanes, x = library.lanes, np.arange(1, 2 * library.lanes + 1, dtype=np.float32)
    for n in range(lanes + 3):
        out = np.full(lanes, -1, np.float32)
        library.load(x, n, out)
        np.testing.assert_array_equal(out, np.where(np.arange(lanes) < n, x[:lanes], 0))
        out = np.full(lanes, -1, np.float32)
        library.store(x, n, out)
        np.testing.assert_array_equal(out, np.where(np.arange(lanes) < n, x[:lanes], -1))
    a, b = np.resize(np.float32([1, np.nan, 3, -np.inf]), lanes), np.resize(np.float32([2, 5, np.nan, 0]), lanes)
    out = np.empty(2 * lanes, np.float32)
    library.extremes(a, b, out)
    np.testing.assert_array_equal(out, np.concatenate([np.resize(np.float32([2, 5, np.nan, 0]), lanes),
                                                       np.resize(np.float32([1, 5, np.nan, -np.inf]), lanes)]))
    zeros = np.full(lanes, -0.0, np.float32)
    library.broadcast(zeros)
    assert np.signbit(zeros).all()


def test_nothing_is_read_outside_the_operands(run_sanitized, configuration):
    run_sanitized("""
#include "dlc_tile.h"
#include <stdlib.h>
int main(void)
{
    for (int64_t K = 0; K < 20; ++K) { /* operands that end where their memory does */
        float *a = calloc((size_t)(7 * K + 1), 4), *b = calloc((size_t)(K * 3 * DLC_LANES + 1), 4);
        float acc[7 * 3 * DLC_LANES] DLC_ALIGNED;
        dlc_tile_dot(7, 3, a + 1, K, K, b + 1, 3 * DLC_LANES, acc);
        dlc_tile_dot(1, 1, a + 1, K, K, b + 1, DLC_LANES, acc);
        free(a);
        free(b);
    }
    float *p = malloc(3 * sizeof(float));
    p[0] = p[1] = p[2] = 1;
    dlc_store_partial(p, dlc_load_partial(p, 3), 3);
    free(p);
    return 0;
}
""", configuration)

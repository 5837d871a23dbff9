"""Run-time packing and the depthwise microkernel against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

WIDTHS = (4, 12, 16, 32)
DEPTHWISE = [(4, 2, 3), (1, 1, 3), (8, 1, 3), (2, 3, 5), (6, 2, 1)]
SOURCE = '#include "dlc_pack.h"\n#include "dlc_depthwise.h"\n' + "".join(f"""
void pack_{nr}(const float *b, int64_t k_stride, int64_t n_stride, int64_t K, int64_t N, float *packed)
{{ dlc_pack_b(b, k_stride, n_stride, K, N, {nr}, packed); }}
""" for nr in WIDTHS) + "".join(f"""
void depthwise_{mr}_{nv}_{k}(const float *x, int64_t pixel, int64_t row, int64_t column, const float *w, int64_t ldw, int64_t nr, float *acc)
{{ dlc_tile_depthwise({mr}, {nv}, x, pixel, {k}, row, {k}, column, w, ldw, (int)nr, acc); }}
""" for mr, nv, k in DEPTHWISE)


@pytest.mark.parametrize("nr", WIDTHS)
def test_packing(nr, build, configuration):
    library, rng = build(SOURCE, configuration), np.random.default_rng(1)
    for depth in (0, 1, 5, 15, 16, 17, 33, 64):
        for columns in (1, nr - 1, nr, nr + 1, 2 * nr, 3 * nr + 2):
            panels = -(-columns // nr)
            b = rng.standard_normal((depth, columns), np.float32)
            exact = np.zeros((depth, panels * nr), np.float32)
            exact[:, :columns] = b
            exact = exact.reshape(depth, panels, nr).transpose(1, 0, 2)
            wide = rng.standard_normal((2 * depth, 3 * columns), np.float32)
            wide[::2, ::3] = b
            for operand, k_stride, n_stride in ((b, columns, 1), (np.ascontiguousarray(b.T), 1, depth), (wide, 6 * columns, 3)):
                packed = np.full((panels, depth, nr), np.nan, np.float32)
                getattr(library, f"pack_{nr}")(operand, k_stride, n_stride, depth, columns, packed)
                np.testing.assert_array_equal(packed, exact)


@pytest.mark.parametrize("tile", DEPTHWISE, ids=str)
@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (1, 2)])
def test_depthwise(tile, stride, dilation, build, configuration, aligned, close):
    library, rng = build(SOURCE, configuration), np.random.default_rng(2)
    mr, nv, k = tile
    width, span = nv * library.lanes, (k - 1) * dilation + 1
    for channels in {1, library.lanes - 1, library.lanes, width - 1, width} - {0}:
        image = rng.standard_normal((span, span + (mr - 1) * stride, channels), np.float32)
        weights = rng.standard_normal((k, k, channels), np.float32)
        exact = np.zeros((mr, width))
        for i in range(mr):
            window = image[::dilation, i * stride:i * stride + span:dilation]
            exact[i, :channels] = (window.astype(float) * weights).sum((0, 1))
        acc = aligned(mr, width)
        getattr(library, f"depthwise_{mr}_{nv}_{k}")(image, stride * channels, dilation * image.shape[1] * channels, dilation * channels,
                                                    weights, channels, channels, acc)
        close(acc, exact, k * k)


def test_nothing_is_read_outside_the_operands(run_sanitized, configuration):
    run_sanitized("""
#include "dlc_depthwise.h"
#include "dlc_pack.h"
#include <stdlib.h>
int main(void)
{
    for (int channels = 1; channels <= 2 * DLC_LANES; ++channels) {
        float *x = calloc((size_t)(3 * 5 * channels), 4), *w = calloc((size_t)(9 * channels), 4);
        float acc[3 * 2 * DLC_LANES] DLC_ALIGNED;
        dlc_tile_depthwise(3, 2, x, channels, 3, 5 * channels, 3, channels, w, channels, channels, acc);
        float *packed = calloc((size_t)(3 * 5 * ((channels + 11) / 12 * 12)), 4);
        dlc_pack_b(x, channels, 1, 15, channels, 12, packed);
        dlc_pack_b(x, 1, 15, 15, channels, 12, packed);
        free(packed);
        free(x);
        free(w);
    }
    return 0;
}
""", configuration)


def test_transpositions_of_blocks(build, configuration):
    """Every number of rows and columns around the blocks, in larger arrays of which nothing else is touched."""
    source = """#include "dlc_transpose.h"
    void transpose(const float *from, int64_t from_stride, float *to, int64_t to_stride, int64_t rows, int64_t columns)
    { dlc_transpose_f32(from, from_stride, to, to_stride, rows, columns); }"""
    library, rng = build(source, configuration), np.random.default_rng(0)
    for rows in (0, 1, 3, 4, 5, 16, 17, 35):
        for columns in (0, 1, 4, 6, 15, 16, 33):
            given = rng.standard_normal((columns, rows + 3), np.float32)
            got = np.full((rows + 1, columns + 2), 7, np.float32)
            library.transpose(given, rows + 3, got, columns + 2, rows, columns)
            expected = np.full_like(got, 7)
            expected[:rows, :columns] = given[:, :rows].T
            np.testing.assert_array_equal(got, expected)

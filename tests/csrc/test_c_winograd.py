"""The transforms of Winograd's convolution: with the products between them they are a convolution, and nothing is read that does not exist."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile.kernels.winograd import pack_filters

SHAPES = [((2, 2), (3, 3)), ((4, 4), (3, 3)), ((6, 6), (3, 3)), ((2, 2), (5, 5)), ((4, 4), (5, 5)), ((2, 2), (7, 7)), ((1, 6), (1, 3)), ((4, 1), (5, 1)),
          ((6, 4), (3, 5))]
BOUNDS = {4: 1e-6, 6: 5e-6, 8: 2e-5}  # of the largest result, by the elements of the input that an axis of a tile takes


def sides(m, taps):
    return tuple(n + r - 1 for n, r in zip(m, taps))


def name(m, taps):
    return "_".join(map(str, (*m, *taps)))


SOURCE = '#include "dlc_winograd.h"\n' + "".join(f"""
void input_{name(m, taps)}(const float *x, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns, int64_t channels, float *v, int64_t plane)
{{ dlc_winograd_input({sides(m, taps)[0]}, {sides(m, taps)[1]}, {m[1]}, x, row_step, column_step, rows, columns, channels, v, plane); }}
void output_{name(m, taps)}(const float *sums, int64_t plane, float *tile)
{{ dlc_winograd_output({m[0]}, {m[1]}, {sides(m, taps)[0]}, {sides(m, taps)[1]}, 2 * DLC_LANES, sums, plane, tile); }}
""" for m, taps in SHAPES)


@pytest.mark.parametrize("m, taps", SHAPES, ids=str)
@pytest.mark.parametrize("channels", [1, 3, 16, 33])
def test_a_tile_is_a_convolution(m, taps, channels, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(m)
    lanes, (a, b) = library.lanes, sides(m, taps)
    width, padded = 2 * lanes, -(-channels // lanes) * lanes
    filters = rng.standard_normal((*taps, channels, width), np.float32)
    u = pack_filters(filters, m, width)[0]
    for rows, columns in ((a, b), (a, 1), (max(a - 2, 1), b), (max(a - 1, 1), max(b - 1, 1)), (a + 5, b + 1)):
        # of the tile's rows and columns those that exist; NaN is what lies beyond them, and after the channels
        image = np.full((a + 1, b + 2, channels + 1), np.nan, np.float32)
        image[:rows, :columns, :channels] = rng.standard_normal(image[:rows, :columns, :channels].shape)
        v = aligned(a * b, padded + lanes)
        getattr(library, f"input_{name(m, taps)}")(image, image[0].size, channels + 1, rows, columns, channels, v, padded + lanes)
        assert (v[:, channels:padded] == 0).all()
        sums = aligned(a * b, width + lanes)
        sums[:, :width] = np.einsum("pc,pcn->pn", v[:, :channels].astype(float), u.astype(float))
        tile = aligned(m[0] * m[1], width)
        getattr(library, f"output_{name(m, taps)}")(sums, width + lanes, tile)
        whole = np.zeros((a, b, channels))
        whole[:rows, :columns] = image[: min(rows, a), : min(columns, b), :channels]
        exact = np.array([[np.einsum("hwc,hwcn->n", whole[y:y + taps[0], x:x + taps[1]], filters.astype(float)) for x in range(m[1])] for y in range(m[0])])
        assert np.abs(tile.reshape(*m, width) - exact).max() <= BOUNDS[max(a, b)] * np.abs(exact).max() + 1e-6

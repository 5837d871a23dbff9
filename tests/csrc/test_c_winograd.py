"""The transforms of Winograd's convolution: with the products between them they are a convolution, and nothing is read that does not exist."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile.kernels.winograd import pack_filters

SOURCE = '#include "dlc_winograd.h"\n' + "".join(f"""
void input_{m}(const float *x, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns, int64_t channels, float *v, int64_t plane)
{{ dlc_winograd_input({m}, x, row_step, column_step, rows, columns, channels, v, plane); }}
void output_{m}(const float *sums, int64_t plane, float *tile) {{ dlc_winograd_output({m}, 2 * DLC_LANES, sums, plane, tile); }}
""" for m in (2, 4, 6))


@pytest.mark.parametrize("m", [2, 4, 6])
@pytest.mark.parametrize("channels", [1, 3, 16, 33])
def test_a_tile_is_a_convolution(m, channels, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(m)
    lanes, a = library.lanes, m + 2
    width, padded = 2 * lanes, -(-channels // lanes) * lanes
    filters = rng.standard_normal((3, 3, channels, width), np.float32)
    u = pack_filters(filters, m, width)[0]
    for rows, columns in ((a, a), (a, 1), (2, a), (a - 1, a - 1), (a + 5, a + 1)):
        # of the tile's rows and columns those that exist; NaN is what lies beyond them, and after the channels
        image = np.full((a + 1, a + 2, channels + 1), np.nan, np.float32)
        image[:rows, :columns, :channels] = rng.standard_normal(image[:rows, :columns, :channels].shape)
        v = aligned(a * a, padded + lanes)
        getattr(library, f"input_{m}")(image, image[0].size, channels + 1, rows, columns, channels, v, padded + lanes)
        assert (v[:, channels:padded] == 0).all()
        sums = aligned(a * a, width + lanes)
        sums[:, :width] = np.einsum("pc,pcn->pn", v[:, :channels].astype(float), u.astype(float))
        tile = aligned(m * m, width)
        getattr(library, f"output_{m}")(sums, width + lanes, tile)
        whole = np.zeros((a, a, channels))
        whole[:rows, :columns] = image[: min(rows, a), : min(columns, a), :channels]
        exact = np.array([[np.einsum("hwc,hwcn->n", whole[y:y + 3, x:x + 3], filters.astype(float)) for x in range(m)] for y in range(m)])
        assert np.abs(tile.reshape(m, m, width) - exact).max() <= {2: 1e-6, 4: 5e-6, 6: 1.5e-5}[m] * np.abs(exact).max() + 1e-6

"""The maps of Strassen's product: with the seven products between them they are a product of matrices."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import make_input
from dlcompile.kernels.strassen import Strassen, pack_right

SOURCE = """#include "dlc_strassen.h"
void left(const float *upper, const float *lower, int64_t half, float *v, int64_t plane) { dlc_strassen_left(upper, lower, half, v, plane); }
void result(const float *sums, int64_t plane, float *tile) { dlc_strassen_result(2 * DLC_LANES, sums, plane, tile); }
"""


@pytest.mark.parametrize("half", [1, 7, 16, 37])
def test_a_pair_of_rows_is_a_product(half, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(half)
    width = 2 * library.lanes
    columns = 2 * width - 3
    a, b = rng.standard_normal((2, 2 * half), np.float32), rng.standard_normal((2 * half, columns), np.float32)
    node = ops.matmul(make_input("a", np.float32, a.shape), b).producer
    u = pack_right(node, b, Strassen(1, 1, width, 1, 2), width)
    assert u.shape == (1, 7, half, width)
    v = np.full((7, half + 5), np.nan, np.float32)
    library.left(a[0].copy(), a[1].copy(), half, v, half + 5)
    assert np.isnan(v[:, half:]).all()
    sums = aligned(7, width)
    sums[:] = np.einsum("qk,qkn->qn", v[:, :half].astype(float), u[0].astype(float))
    tile = aligned(2, 2, width)
    library.result(sums, width, tile)
    exact = np.zeros((2, 2 * width))
    exact[:, :columns] = a.astype(float) @ b.astype(float)
    assert np.abs(tile.reshape(2, 2 * width) - exact).max() <= 2e-6 * np.abs(exact).max()

"""Attention against softmax(scale q k^T + mask) v in float64."""
from __future__ import annotations

import numpy as np
import pytest

SOURCE = """#include "dlc_attention.h"
int64_t scratch(int64_t S, int64_t D, int64_t DV) { return dlc_attention_scratch(S, D, DV); }
void attention(int64_t rows, int64_t S, int64_t D, int64_t DV, const float *q, int64_t ldq, const float *k, int64_t ldk, int64_t k_col,
               const float *v, int64_t ldv, float scale, const float *mask, int64_t mask_row, int64_t mask_column, int64_t causal, float *o,
               int64_t ldo, char *scratch)
{ dlc_attention_f32(rows, S, D, DV, q, ldq, k, ldk, k_col, v, ldv, scale, mask, mask_row, mask_column, causal, o, ldo, scratch); }
"""


def reference(q, k, v, scale, mask, causal):
    scores = scale * (q.astype(float) @ k.astype(float).T)
    if mask is not None:
        scores = scores + mask.astype(float)
    if causal >= 0:
        rows, keys = np.indices(scores.shape)
        scores = np.where(keys <= causal + rows, scores, -np.inf)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(1, keepdims=True))
        return weights / weights.sum(1, keepdims=True) @ v.astype(float)


def run(library, aligned, q, k, v, scale, mask=None, causal=-1, transposed_keys=False):
    (rows, depth), (keys, width) = q.shape, v.shape
    scratch = aligned(library.scratch(keys, depth, width) // 4)
    o = np.full((rows, width + 2), 7, np.float32)
    key_strides = (1, keys) if transposed_keys else (depth, 1)
    stored = np.ascontiguousarray(k.T) if transposed_keys else k
    mask_strides = (0, 0) if mask is None else tuple(s // 4 for s in mask.strides)
    library.attention(rows, keys, depth, width, q, depth, stored, *key_strides, v, width, float(scale), mask, *mask_strides, causal, o,
                      width + 2, scratch)
    assert (o[:, width:] == 7).all()
    return o[:, :width]


def operands(rng, rows, keys, depth, width):
    return tuple(rng.standard_normal(s, np.float32) for s in ((rows, depth), (keys, depth), (keys, width)))


SHAPES = [(128, 128, 64, 64), (1, 1, 1, 1), (1, 100, 64, 64), (13, 37, 17, 33), (5, 31, 32, 7), (27, 65, 8, 96), (2, 2049, 16, 16), (7, 4100, 24, 40)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("variant", ["plain", "mask", "row mask", "strided mask", "causal", "transposed keys"])
def test_attention(shape, variant, build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(1)
    rows, keys, _, _ = shape
    q, k, v = operands(rng, *shape)
    mask = None
    if variant == "mask":
        mask = np.where(rng.random((rows, keys)) < 0.3, -np.inf, rng.standard_normal((rows, keys))).astype(np.float32)
        mask[:, rng.integers(keys)] = 0  # something is seen
    elif variant == "row mask":
        mask = np.broadcast_to(rng.standard_normal((1, keys), np.float32), (rows, keys))
    elif variant == "strided mask":
        mask = rng.standard_normal((rows, 2 * keys), np.float32)[:, ::2]
    for causal in (0, 3, max(0, keys - rows)) if variant == "causal" else (-1,):
        got = run(library, aligned, q, k, v, 0.3, mask, causal, variant == "transposed keys")
        np.testing.assert_allclose(got, reference(q, k, v, 0.3, mask, causal), rtol=0, atol=3e-6)


def test_masked_rows_and_blocks(build, configuration, aligned):
    """A row that sees nothing is NaN and disturbs no other; one that sees nothing in the first block of keys is right all the same."""
    library, rng = build(SOURCE, configuration), np.random.default_rng(2)
    q, k, v = operands(rng, 9, 4500, 8, 8)
    mask = np.zeros((9, 4500), np.float32)
    mask[2] = -np.inf
    mask[3, :3000] = -np.inf
    mask[4, 100:] = -np.inf
    mask[5, :2048], mask[6, 2048:] = -64, -64
    exact = reference(q, k, v, 1.0, mask, -1)
    got = run(library, aligned, q, k, v, 1.0, mask)
    assert np.isnan(got[2]).all() and np.isnan(exact[2]).all()
    np.testing.assert_allclose(np.delete(got, 2, 0), np.delete(exact, 2, 0), rtol=0, atol=1e-5)


def test_scores_of_any_size(build, configuration, aligned):
    library, rng = build(SOURCE, configuration), np.random.default_rng(3)
    q, k, v = operands(rng, 14, 2100, 8, 8)
    q[3], q[4, 0], k[7, 1] = 1e4, np.nan, np.inf
    exact = reference(q, k, v, 1.0, None, -1)
    got = run(library, aligned, q, k, v, 1.0)
    np.testing.assert_allclose(got, exact, rtol=0, atol=1e-5)


def test_nothing_is_read_outside_the_operands(run_sanitized, configuration):
    run_sanitized("""
#include "dlc_attention.h"
#include <stdlib.h>
int main(void)
{
    const int64_t shapes[][4] = {{1, 1, 1, 1}, {13, 37, 5, 3}, {9, 65, 16, 33}, {3, 2050, 3, 2}};
    for (int s = 0; s < 4; ++s)
        for (int64_t causal = -1; causal < 3; ++causal) {
            const int64_t R = shapes[s][0], S = shapes[s][1], D = shapes[s][2], DV = shapes[s][3];
            float *q = calloc(R * D, 4), *k = calloc(S * D, 4), *v = calloc(S * DV, 4), *o = calloc(R * DV, 4), *mask = calloc(R * S, 4);
            char *scratch = aligned_alloc(64, (dlc_attention_scratch(S, D, DV) + 63) / 64 * 64);
            dlc_attention_f32(R, S, D, DV, q, D, k, D, 1, v, DV, 1.0f, mask, S, 1, causal, o, DV, scratch);
            dlc_attention_f32(R, S, D, DV, q, D, k, 1, S, v, DV, 1.0f, NULL, 0, 0, causal, o, DV, scratch);
            free(q), free(k), free(v), free(o), free(mask), free(scratch);
        }
    return 0;
}
""", configuration)

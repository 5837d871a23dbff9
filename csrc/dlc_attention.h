/* Attention: softmax(scale * q k^T + mask) v for one block of query rows against all the keys of one head.
 *
 * The keys (transposed) and values are packed once for the block. Then a few query rows at a time, as many as the microkernel takes, are
 * multiplied with all keys, their scores turned into weights, and the weights multiplied with all values: scores never leave the nearest
 * caches. Beyond DLC_ATTENTION_KEYS keys go in blocks: a row keeps the largest score so far and the sum of its weights relative to that; when a
 * later block has a larger score, what was summed is scaled down (the "online" softmax of Milakov & Gimelshein, arXiv:1805.02867).
 *
 * A row whose scores are all -infinity gives NaN, as 0/0 in softmax does; keys at -infinity weigh 0 elsewhere.
 */
#ifndef DLC_ATTENTION_H
#define DLC_ATTENTION_H

#include "dlc_math.h"
#include "dlc_pack.h"
#include "dlc_tile.h"

#define DLC_ATTENTION_KEYS 2048 /* scores of this many keys are kept at a time */
#define DLC_ATTENTION_ROWS 128  /* the most query rows of a block */

/* The tile of both products, and the rows of smaller ones for what is left over. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define DLC_ATTENTION_MR 12
#define DLC_ATTENTION_MR_REST 4
#else
#define DLC_ATTENTION_MR 6
#define DLC_ATTENTION_MR_REST 2
#endif
#define DLC_ATTENTION_NV 2
#define DLC_ATTENTION_NR (DLC_ATTENTION_NV * DLC_LANES)

/* What does not change from one group of query rows to the next. */
typedef struct dlc_attention_block {
    int64_t keys, D, DV;    /* keys in this block; columns of q and k; columns of v */
    const float *k, *v;     /* packed: [panels][D][NR] and [panels][keys][NR] */
    const float *mask;      /* of the first query row and the block's first key; null: none */
    int64_t mask_row, mask_column;
    int64_t seen;           /* how many of the block's keys the first query row sees; the next row sees one more */
    float scale;
    int first, last;        /* whether this is the first and the last block of keys */
} dlc_attention_block;

/* The largest of n scores and `top`; NaN are passed over (their weights are NaN anyway). Written with vectors because Clang does not
 * vectorise a maximum that it may not assume free of NaN. */
DLC_INLINE float dlc_attention_largest(const float *scores, int64_t n, float top)
{
    dlc_vf tops = dlc_broadcast(top);
    int64_t s = 0;
    for (; s + DLC_LANES <= n; s += DLC_LANES)
        tops = dlc_max_lanes(dlc_load(scores + s), tops);
    for (; s < n; ++s)
        top = scores[s] > top ? scores[s] : top;
    const float rest = dlc_largest_of_lanes(tops);
    return rest > top ? rest : top;
}

/* scores[i] = weights of `seen` keys for a row, relative to the largest score up to now. Returns how much earlier weights shrink. */
DLC_INLINE float dlc_attention_weights(float *DLC_RESTRICT scores, int64_t seen, int first, float *largest, float *total)
{
    const float top = dlc_attention_largest(scores, seen, first ? -INFINITY : *largest);
    const float base = top == -INFINITY ? 0.0f : top; /* nothing seen yet: weights of 0, not e^(inf - inf) */
#pragma omp simd
    for (int64_t s = 0; s < seen; ++s)
        scores[s] = dlc_exp_negative(base - scores[s]);
    dlc_vf sums = {0};
    for (int64_t s = 0; s < seen; s += DLC_LANES)
        sums += dlc_load_partial(scores + s, seen - s);
    const float sum = dlc_sum_of_lanes(sums);
    const float shrink = first ? 0.0f : dlc_exp_negative(base - *largest);
    *largest = top;
    *total = first ? sum : *total * shrink + sum;
    return shrink;
}

/* MR query rows against a block of keys. largest, total: per row, kept between blocks; scores: [MR][padded]. */
DLC_INLINE void dlc_attention_rows(const int MR, const dlc_attention_block *block, int64_t row, const float *q, int64_t ldq, float *o,
                                   int64_t ldo, float *largest, float *total, float *scores, int64_t padded)
{
    enum { NR = DLC_ATTENTION_NR };
    float tile[DLC_ATTENTION_MR * NR] DLC_ALIGNED;
    float shrink[DLC_ATTENTION_MR];
    const int64_t keys = dlc_max(0, dlc_min(block->keys, block->seen + row + MR - 1)); /* what the last of the rows sees */
    for (int64_t from = 0; from < keys; from += NR) {
        dlc_tile_dot(MR, DLC_ATTENTION_NV, q, ldq, block->D, block->k + from * block->D, NR, tile);
        for (int i = 0; i < MR; ++i) {
            float *const out = scores + i * padded + from;
            if (!block->mask) {
#pragma omp simd
                for (int64_t j = 0; j < NR; ++j)
                    out[j] = block->scale * tile[i * NR + j];
                continue;
            }
            const float *const mask = block->mask + (row + i) * block->mask_row + from * block->mask_column;
            const int64_t width = dlc_min(NR, keys - from);
            if (block->mask_column == 1) {
#pragma omp simd
                for (int64_t j = 0; j < width; ++j)
                    out[j] = block->scale * tile[i * NR + j] + mask[j];
            } else {
                for (int64_t j = 0; j < width; ++j)
                    out[j] = block->scale * tile[i * NR + j] + mask[j * block->mask_column];
            }
        }
    }
    for (int i = 0; i < MR; ++i) {
        const int64_t seen = dlc_max(0, dlc_min(keys, block->seen + row + i));
        shrink[i] = dlc_attention_weights(scores + i * padded, seen, block->first, largest + i, total + i);
        memset(scores + i * padded + seen, 0, sizeof(float) * (size_t)(keys - seen));
    }
    for (int64_t from = 0; from < block->DV; from += NR) {
        const int64_t width = dlc_min(NR, block->DV - from);
        dlc_tile_dot(MR, DLC_ATTENTION_NV, scores, padded, keys, block->v + from * block->keys, NR, tile);
        for (int i = 0; i < MR; ++i) {
            float *const out = o + i * ldo + from;
            const float by = block->last ? 1.0f / total[i] : 1.0f, kept = shrink[i];
            if (block->first) {
#pragma omp simd
                for (int64_t j = 0; j < width; ++j)
                    out[j] = tile[i * NR + j] * by;
            } else {
#pragma omp simd
                for (int64_t j = 0; j < width; ++j)
                    out[j] = (out[j] * kept + tile[i * NR + j]) * by;
            }
        }
    }
}

/* Keys rounded up so that whole panels fit. */
DLC_INLINE int64_t dlc_attention_padded(int64_t S) { return (dlc_min(S, DLC_ATTENTION_KEYS) + 63) / 64 * 64; }

/* Bytes of scratch for S keys, for any machine: the packed keys and values, the scores of a tile's rows, and two numbers for each row. */
DLC_INLINE int64_t dlc_attention_scratch(int64_t S, int64_t D, int64_t DV)
{
    return (int64_t)sizeof(float) * (dlc_attention_padded(S) * (D + (DV + 31) / 32 * 32 + 12) + 2 * DLC_ATTENTION_ROWS);
}

/* o[i*ldo + j] = sum over s of weight[i][s] * v[s*ldv + j], i < rows <= DLC_ATTENTION_ROWS, s < S, j < DV, where row i of the weights is the softmax of
 *     scale * sum over d < D of q[i*ldq + d] * k[s*ldk + d*k_col]  +  mask[i*mask_row + s*mask_column]        (mask may be null).
 * causal: -1, or row i sees only the keys 0 ... causal + i (so `causal` is the index of the block's first query, where query and key
 * positions agree). S >= 1. scratch: dlc_attention_scratch(S, D, DV) bytes, aligned to a cache line. */
DLC_NOINLINE void dlc_attention_f32(int64_t rows, int64_t S, int64_t D, int64_t DV, const float *q, int64_t ldq, const float *k,
                                    int64_t ldk, int64_t k_col, const float *v, int64_t ldv, float scale, const float *mask,
                                    int64_t mask_row, int64_t mask_column, int64_t causal, float *o, int64_t ldo, char *scratch)
{
    const int64_t padded = dlc_attention_padded(S);
    float *const scores = (float *)scratch, *const largest = scores + 12 * padded, *const total = largest + DLC_ATTENTION_ROWS;
    float *const packed_k = total + DLC_ATTENTION_ROWS, *const packed_v = packed_k + padded * D;
    const int64_t visible = causal < 0 ? S : dlc_min(S, causal + rows); /* by the last row */
    for (int64_t from = 0; from < visible; from += DLC_ATTENTION_KEYS) {
        const int64_t keys = dlc_min(visible - from, DLC_ATTENTION_KEYS);
        dlc_pack_b(k + from * ldk, k_col, ldk, D, keys, DLC_ATTENTION_NR, packed_k);
        dlc_pack_b(v + from * ldv, ldv, 1, keys, DV, DLC_ATTENTION_NR, packed_v);
        const dlc_attention_block block = {
            .keys = keys, .D = D, .DV = DV, .k = packed_k, .v = packed_v,
            .mask = mask ? mask + from * mask_column : NULL, .mask_row = mask_row, .mask_column = mask_column,
            .seen = causal < 0 ? keys : causal + 1 - from,
            .scale = scale, .first = from == 0, .last = from + keys == visible,
        };
        int64_t row = 0;
#define DLC_ATTENTION_STEP(MR)                                                                                             \
    for (; row + (MR) <= rows; row += (MR))                                                                                \
        dlc_attention_rows(MR, &block, row, q + row * ldq, ldq, o + row * ldo, ldo, largest + row, total + row, scores, padded);
        DLC_ATTENTION_STEP(DLC_ATTENTION_MR)
        DLC_ATTENTION_STEP(DLC_ATTENTION_MR_REST)
        DLC_ATTENTION_STEP(1)
#undef DLC_ATTENTION_STEP
    }
}

#endif

/* Packing the right operand of a product for the microkernel: [ceil(N/NR)] panels of [K][NR], the columns beyond N zero.
 *
 * Constants are packed when the model is compiled; this is for operands that only a run brings (a product of two activations).
 */
#ifndef DLC_PACK_H
#define DLC_PACK_H

#include "dlc_transpose.h"

/* packed[k][j] = b[k*k_stride + j*n_stride] for k < K and j < columns, 0 for columns <= j < NR. More than NR columns are NR. */
DLC_INLINE void dlc_pack_panel(const float *DLC_RESTRICT b, int64_t k_stride, int64_t n_stride, int64_t K, int64_t columns, const int NR,
                               float *DLC_RESTRICT packed)
{
    columns = dlc_min(columns, NR);
    if (n_stride == 1 && columns == NR) { /* rows of constant length: a few vector moves each */
        for (int64_t k = 0; k < K; ++k)
            memcpy(packed + k * NR, b + k * k_stride, sizeof(float) * (size_t)NR);
        return;
    }
    if (k_stride == 1) {
        /* A transposition: blocks of 16 rows stay in the nearest cache while their columns are read one after the other. */
        for (int64_t from = 0; from < K; from += 16) {
            const int64_t to = dlc_min(K, from + 16), whole = from + (to - from) / 4 * 4;
            int64_t j = 0;
            for (; j + 4 <= columns; j += 4)
                for (int64_t k = from; k < whole; k += 4)
                    dlc_transpose_4x4(b + j * n_stride + k, n_stride, packed + k * NR + j, NR);
            for (int64_t column = 0; column < columns; ++column)
                for (int64_t k = column < j ? whole : from; k < to; ++k)
                    packed[k * NR + column] = b[column * n_stride + k];
        }
    } else {
        for (int64_t k = 0; k < K; ++k)
            for (int64_t j = 0; j < columns; ++j)
                packed[k * NR + j] = b[k * k_stride + j * n_stride];
    }
    if (columns < NR)
        for (int64_t k = 0; k < K; ++k)
            memset(packed + k * NR + columns, 0, sizeof(float) * (size_t)(NR - columns));
}

/* All panels of a K × N operand. */
DLC_INLINE void dlc_pack_b(const float *b, int64_t k_stride, int64_t n_stride, int64_t K, int64_t N, const int NR, float *packed)
{
    for (int64_t from = 0; from < N; from += NR)
        dlc_pack_panel(b + from * n_stride, k_stride, n_stride, K, N - from, NR, packed + from * K);
}

#endif

/* The tile operations of generated code: a tile of which not all rows may exist.
 *
 * The microkernels (dlc_tile.h, dlc_depthwise.h) take the number of rows as a constant. A tile at the edge of a product has fewer: it goes to a
 * function that has an instance for every number of rows, one function for all kernels of a translation unit. The rows of a depthwise
 * tile, whose taps are constants too, are composed of powers of two instead.
 */
#ifndef DLC_CONTRACT_H
#define DLC_CONTRACT_H

#include "dlc_depthwise.h"
#include "dlc_tile.h"

/* Vector registers that the sums of a tile may fill. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define DLC_SUMS 30
#else
#define DLC_SUMS 14
#endif

/* dlc_tile_any_rows_NV: a tile of `rows` rows and NV vectors, rows*NV <= DLC_SUMS; added to what acc holds where `accumulate`. */
#define DLC_TILE_ROWS(count, NV)                                                                                           \
    case count:                                                                                                            \
        if ((count) * (NV) <= DLC_SUMS)                                                                                    \
            dlc_tile_sum((count) * (NV) <= DLC_SUMS ? (count) : 1, NV, accumulate, x, row, outer_taps, outer_step, inner_taps, inner_step, channels, \
                         column, w, (NV)*DLC_LANES, ahead, acc);                                                           \
        break;
#define DLC_TILE_ANY_ROWS(NV)                                                                                              \
    DLC_NOINLINE void dlc_tile_any_rows_##NV(int64_t rows, int accumulate, const float *x, int64_t row, int64_t outer_taps, \
                                             int64_t outer_step, int64_t inner_taps, int64_t inner_step, int64_t channels, \
                                             int64_t column, const float *w, int64_t ahead, float *acc)                    \
    {                                                                                                                      \
        switch (rows) {                                                                                                    \
            DLC_TILE_ROWS(1, NV) DLC_TILE_ROWS(2, NV) DLC_TILE_ROWS(3, NV) DLC_TILE_ROWS(4, NV) DLC_TILE_ROWS(5, NV)       \
            DLC_TILE_ROWS(6, NV) DLC_TILE_ROWS(7, NV) DLC_TILE_ROWS(8, NV) DLC_TILE_ROWS(9, NV) DLC_TILE_ROWS(10, NV)      \
            DLC_TILE_ROWS(11, NV) DLC_TILE_ROWS(12, NV) DLC_TILE_ROWS(13, NV) DLC_TILE_ROWS(14, NV) DLC_TILE_ROWS(15, NV)  \
        }                                                                                                                  \
    }
DLC_TILE_ANY_ROWS(1)
DLC_TILE_ANY_ROWS(2)
DLC_TILE_ANY_ROWS(3)
DLC_TILE_ANY_ROWS(4)
DLC_TILE_ANY_ROWS(5)
DLC_TILE_ANY_ROWS(6)
DLC_TILE_ANY_ROWS(7)
DLC_TILE_ANY_ROWS(8)

/* acc[i][j] (+)= sum of x[i*row + t*outer_step + u*inner_step + c*column] * w[((t*inner_taps + u)*channels + c)*NR + j], i < rows <= MR <= 16.
 * What lies `ahead` elements after w is fetched meanwhile (0: nothing). */
DLC_INLINE void dlc_tile_contract(const int MR, const int NR, const int accumulate, int64_t rows, const float *x, int64_t row,
                                  int64_t outer_taps, int64_t outer_step, int64_t inner_taps, int64_t inner_step, int64_t channels,
                                  int64_t column, const float *w, int64_t ahead, float *acc)
{
    if (rows >= MR) {
        dlc_tile_sum(MR, NR / DLC_LANES, accumulate, x, row, outer_taps, outer_step, inner_taps, inner_step, channels, column, w, NR, ahead, acc);
        return;
    }
#define DLC_TILE_VECTORS(NV)                                                                                               \
    case NV:                                                                                                               \
        dlc_tile_any_rows_##NV(rows, accumulate, x, row, outer_taps, outer_step, inner_taps, inner_step, channels, column, w, ahead, acc); \
        break;
    switch (NR / DLC_LANES) {
        DLC_TILE_VECTORS(1)
        DLC_TILE_VECTORS(2)
        DLC_TILE_VECTORS(3)
        DLC_TILE_VECTORS(4)
        DLC_TILE_VECTORS(5)
        DLC_TILE_VECTORS(6)
        DLC_TILE_VECTORS(7)
        DLC_TILE_VECTORS(8)
    }
#undef DLC_TILE_VECTORS
}

/* acc[i][j] = sum of x[i*row + t*outer_step + u*inner_step + j] * w[(t*inner_taps + u)*ldw + j], i < rows <= MR, j < columns <= NR. */
DLC_INLINE void dlc_tile_depthwise_rows(const int MR, const int NR, int64_t rows, int64_t columns, const float *x, int64_t row,
                                        const int outer_taps, int64_t outer_step, const int inner_taps, int64_t inner_step,
                                        const float *w, int64_t ldw, float *acc)
{
#define DLC_ROWS(count, from)                                                                                              \
    dlc_tile_depthwise(count, NR / DLC_LANES, x + (from)*row, row, outer_taps, outer_step, inner_taps, inner_step, w, ldw, (int)columns, \
                       acc + (from)*NR)
    if (rows >= MR) {
        DLC_ROWS(MR, 0);
        return;
    }
    int64_t from = 0;
    if (MR > 4 && (rows & 4)) {
        DLC_ROWS(4, from);
        from += 4;
    }
    if (MR > 2 && (rows & 2)) {
        DLC_ROWS(2, from);
        from += 2;
    }
    if (MR > 1 && (rows & 1)) {
        DLC_ROWS(1, from);
    }
#undef DLC_ROWS
}

#endif

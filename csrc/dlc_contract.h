/* The tile operations of generated code: a tile of which not all rows may exist.
 *
 * The microkernels (dlc_tile.h, dlc_depthwise.h) take the number of rows as a constant. A tile at the edge has fewer; its number of rows is
 * composed of powers of two, so that a handful of instances serves every number. Where `rows` is a constant the compiler keeps what is needed.
 */
#ifndef DLC_CONTRACT_H
#define DLC_CONTRACT_H

#include "dlc_depthwise.h"
#include "dlc_tile.h"

/* acc[i][j] = sum of x[i*row + t*outer_step + u*inner_step + c*column] * w[((t*inner_taps + u)*channels + c)*NR + j], i < rows <= MR.
 * What lies `ahead` elements after w is fetched meanwhile (0: nothing). */
DLC_INLINE void dlc_tile_contract(const int MR, const int NR, int64_t rows, const float *x, int64_t row, int64_t outer_taps,
                                  int64_t outer_step, int64_t inner_taps, int64_t inner_step, int64_t channels, int64_t column,
                                  const float *w, int64_t ahead, float *acc)
{
#define DLC_ROWS(count, from)                                                                                              \
    if (column == 1)                                                                                                       \
        dlc_tile_conv(count, NR / DLC_LANES, x + (from)*row, row, outer_taps, outer_step, inner_taps, inner_step, channels, w, NR, \
                      ahead, acc + (from)*NR);                                                                             \
    else                                                                                                                   \
        dlc_tile_dot_kstride(count, NR / DLC_LANES, x + (from)*row, row, column, channels, w, NR, acc + (from)*NR)
    if (rows >= MR) {
        DLC_ROWS(MR, 0);
        return;
    }
    int64_t from = 0;
    if (MR > 8 && (rows & 8)) {
        DLC_ROWS(8, from);
        from += 8;
    }
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

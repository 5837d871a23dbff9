/* The microkernel of depthwise convolutions: a tile of MR pixels and NV vectors of channels, each channel with a filter of its own.
 *
 * Every input is used for one output channel only, so what counts is not arithmetic but loading: a tap of the filter is loaded once for
 * MR pixels, and inputs stay in registers between taps where MR pixels of one row overlap (the compiler sees equal addresses where the
 * strides are constants).
 */
#ifndef DLC_DEPTHWISE_H
#define DLC_DEPTHWISE_H

#include "dlc_vector.h"

/* acc[i][j] = sum over kh, kw of x[i*pixel_stride + kh*row_step + kw*col_step + j] * w[(kh*KW + kw)*ldw + j] for j < nr; of the channels
 * nr ... NV*DLC_LANES-1, neither x nor w is read, and acc gets 0. acc: [MR][NV*DLC_LANES], aligned to a vector. */
DLC_INLINE void dlc_tile_depthwise(const int MR, const int NV, const float *x, int64_t pixel_stride, const int KH, int64_t row_step,
                                   const int KW, int64_t col_step, const float *w, int64_t ldw, int nr, float *acc)
{
#define DLC_TAPS(load)                                                                                                     \
    for (int kh = 0; kh < KH; ++kh) {                                                                                      \
        DLC_UNROLL                                                                                                         \
        for (int kw = 0; kw < KW; ++kw) {                                                                                  \
            const dlc_vf tap = load(w + (kh * KW + kw) * ldw + from);                                                      \
            DLC_UNROLL                                                                                                     \
            for (int i = 0; i < MR; ++i)                                                                                   \
                sums[i] += load(x + i * pixel_stride + kh * row_step + kw * col_step + from) * tap;                        \
        }                                                                                                                  \
    }
#define DLC_LOAD_REST(p) dlc_load_partial(p, rest)
    DLC_UNROLL
    for (int v = 0; v < NV; ++v) {
        const int from = v * DLC_LANES, rest = nr - from;
        dlc_vf sums[16];
        DLC_UNROLL
        for (int i = 0; i < MR; ++i)
            sums[i] = (dlc_vf){0};
        if (rest >= DLC_LANES) {
            DLC_TAPS(dlc_load)
        } else if (rest > 0) {
            DLC_TAPS(DLC_LOAD_REST)
        }
        DLC_UNROLL
        for (int i = 0; i < MR; ++i)
            dlc_store(acc + (i * NV + v) * DLC_LANES, sums[i]);
    }
#undef DLC_TAPS
#undef DLC_LOAD_REST
}

#endif

/* The microkernel: a tile of MR rows and NV vectors of columns of a product, kept in registers from the first term to the last.
 *
 * Everything that multiplies matrices ends here: dense layers, convolutions, attention, recurrent networks. MR, NV and the flags are
 * constants after inlining. A step of the contracted dimension loads NV vectors of the right operand, which is packed (dlc_pack.h), and for
 * each row broadcasts one float of the left operand, which is read where it lies. The result goes to memory once, row by row,
 * MR * NV * DLC_LANES floats; the epilogue (bias, activation, ...) is an ordinary loop over it while it is in the nearest cache.
 *
 * Sums are taken in an order that depends on MR, NV and the contracted dimension only.
 */
#ifndef DLC_TILE_H
#define DLC_TILE_H

#include "dlc_vector.h"

/* A multiply-add can start twice a cycle and takes four: fewer sums than this would wait for one another. */
#define DLC_CHAINS 8

/* How many partial sums each element of a small tile is split into, by position modulo that number. */
#define DLC_TILE_PARTS(MR, NV) ((MR) * (NV) * 2 > DLC_CHAINS ? 1 : (MR) * (NV) * 4 > DLC_CHAINS ? 2 : (MR) * (NV) * 8 > DLC_CHAINS ? 4 : 8)

/* GCC would read a vector from memory again for every row that it is multiplied with, and the load ports have no time for that. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define DLC_IN_REGISTER(vector) __asm__("" : "+v"(vector))
#else
#define DLC_IN_REGISTER(vector) ((void)0)
#endif

/* How many steps before their use the vectors of w are fetched into the nearest cache. Panels mostly lie in the second-level cache, and the
 * hardware's own prefetching stops at pages. (Measured for 14x2 on panels of 64 to 600 KB: 82-86 % of peak without, 88-92 % with it.) */
#define DLC_TILE_NEAR 16

/* One step for each part: sums[part] += x[.. + part] (outer) w[part]; vectors to come are fetched, near ones and those `ahead` of w. */
DLC_INLINE void dlc_tile_step(const int MR, const int NV, const int parts, const float *x, int64_t row, int64_t column, const float *w,
                              int64_t ldb, int64_t ahead, dlc_vf *sums)
{
    DLC_UNROLL
    for (int part = 0; part < parts; ++part) {
        DLC_UNROLL
        for (int line = 0; line < NV * DLC_LANES; line += 16) { /* floats of a cache line */
            if (MR > 1) /* a single row waits for memory anyway */
                __builtin_prefetch(w + (part + DLC_TILE_NEAR) * ldb + line, 0, 3);
            if (ahead)
                __builtin_prefetch(w + part * ldb + ahead + line, 0, 2);
        }
        if (MR < NV) { /* whichever operand is fewer vectors waits in registers for the other */
            dlc_vf a[8];
            DLC_UNROLL
            for (int i = 0; i < MR; ++i)
                a[i] = dlc_broadcast(x[i * row + part * column]);
            DLC_UNROLL
            for (int v = 0; v < NV; ++v) {
                dlc_vf b = dlc_load(w + part * ldb + v * DLC_LANES);
                if (MR > 1)
                    DLC_IN_REGISTER(b);
                DLC_UNROLL
                for (int i = 0; i < MR; ++i)
                    sums[(part * MR + i) * NV + v] += a[i] * b;
            }
        } else {
            dlc_vf b[8];
            DLC_UNROLL
            for (int v = 0; v < NV; ++v)
                b[v] = dlc_load(w + part * ldb + v * DLC_LANES);
            DLC_UNROLL
            for (int i = 0; i < MR; ++i) {
                const dlc_vf a = dlc_broadcast(x[i * row + part * column]);
                DLC_UNROLL
                for (int v = 0; v < NV; ++v)
                    sums[(part * MR + i) * NV + v] += a * b[v];
            }
        }
    }
}

/* acc[i][j] (+)= sum over kh, kw, c of x[i*row + kh*row_step + kw*col_step + c*column] * w[((kh*KW + kw)*C + c)*ldb + j].
 * While it runs, what lies `ahead` elements further than w (the next panel; 0: nothing) is fetched into the second-level cache: a panel
 * that several tiles use comes from memory while the one before it is used.
 * NV <= 8, MR*NV <= 32. acc: [MR][NV*DLC_LANES], aligned to a vector. */
DLC_INLINE void dlc_tile_sum(const int MR, const int NV, const int accumulate, const float *x, int64_t row, int64_t KH, int64_t row_step,
                             int64_t KW, int64_t col_step, int64_t C, int64_t column, const float *w, int64_t ldb, int64_t ahead,
                             float *acc)
{
    const int parts = DLC_TILE_PARTS(MR, NV), size = MR * NV;
    dlc_vf sums[32];
    DLC_UNROLL
    for (int s = 0; s < parts * size; ++s)
        sums[s] = accumulate && s < size ? dlc_load(acc + s * DLC_LANES) : (dlc_vf){0};
    for (int64_t kh = 0; kh < KH; ++kh) {
        for (int64_t kw = 0; kw < KW; ++kw) {
            const float *p = x + kh * row_step + kw * col_step;
            int64_t c = 0;
            if (parts > 1)
                for (; c + parts <= C; c += parts, p += parts * column, w += parts * ldb)
                    dlc_tile_step(MR, NV, parts, p, row, column, w, ldb, ahead, sums);
            for (; c < C; ++c, p += column, w += ldb)
                dlc_tile_step(MR, NV, 1, p, row, column, w, ldb, ahead, sums);
        }
    }
    DLC_UNROLL
    for (int s = 0; s < size; ++s) {
        DLC_UNROLL
        for (int part = 1; part < parts; ++part)
            sums[s] += sums[part * size + s];
        dlc_store(acc + s * DLC_LANES, sums[s]);
    }
}

/* A convolution in channels-last layout, as an implicit product of matrices: x points at the first tap of the first of MR output pixels
 * (padding has been done), w is packed [KH][KW][C][ldb].
 * acc[i][j] = sum over kh, kw, c of x[i*pixel_stride + kh*row_step + kw*col_step + c] * w[((kh*KW + kw)*C + c)*ldb + j]. */
DLC_INLINE void dlc_tile_conv(const int MR, const int NV, const float *x, int64_t pixel_stride, int64_t KH, int64_t row_step, int64_t KW,
                              int64_t col_step, int64_t C, const float *w, int64_t ldb, int64_t ahead, float *acc)
{
    if (col_step == C) { /* the taps of a row follow one another: one longer loop, which matters for images of 1 or 3 channels */
        C *= KW;
        KW = 1;
    }
    dlc_tile_sum(MR, NV, 0, x, pixel_stride, KH, row_step, KW, col_step, C, 1, w, ldb, ahead, acc);
}

/* acc[i][j] = sum over k of a[i*lda + k] * b[k*ldb + j]. */
DLC_INLINE void dlc_tile_dot(const int MR, const int NV, const float *a, int64_t lda, int64_t K, const float *b, int64_t ldb, float *acc)
{
    dlc_tile_sum(MR, NV, 0, a, lda, 1, 0, 1, 0, K, 1, b, ldb, 0, acc);
}

/* The same added to what acc holds, for a contracted dimension in blocks. */
DLC_INLINE void dlc_tile_dot_add(const int MR, const int NV, const float *a, int64_t lda, int64_t K, const float *b, int64_t ldb,
                                 float *acc)
{
    dlc_tile_sum(MR, NV, 1, a, lda, 1, 0, 1, 0, K, 1, b, ldb, 0, acc);
}

/* acc[i][j] = sum over k of a[i*lda + k*ka] * b[k*ldb + j]: a transposed left operand, say. */
DLC_INLINE void dlc_tile_dot_kstride(const int MR, const int NV, const float *a, int64_t lda, int64_t ka, int64_t K, const float *b,
                                     int64_t ldb, float *acc)
{
    dlc_tile_sum(MR, NV, 0, a, lda, 1, 0, 1, 0, K, ka, b, ldb, 0, acc);
}

#endif

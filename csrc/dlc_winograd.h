/* The transforms of Winograd's convolution of 3x3 filters: F(m x m, 3 x 3) for m = 2, 4 and 6 (Winograd 1980; Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", 2016). The polynomials are evaluated at 0, 1, -1 and infinity, for m = 4 at 2 and -2 too, for m = 6 at 1/2 and
 * -1/2 besides.
 *
 * A tile of m x m results needs a = m + 2 rows and columns of the input, d. With the filter's transform U = G g G', which is made when the model
 * is compiled, and V = B' d B, the tile is A' (U . V, summed over channels) A: a*a products where the definition takes 9*m*m. The sums over
 * channels are a*a products of matrices, tiles x channels by channels x columns (dlc_contract.h).
 */
#ifndef DLC_WINOGRAD_H
#define DLC_WINOGRAD_H

#include "dlc_vector.h"

/* to[i*step] = (B' d)[i]; d has m + 2 elements. */
DLC_INLINE void dlc_winograd_b(const int m, const dlc_vf *d, dlc_vf *to, const int step)
{
    if (m == 2) {
        to[0] = d[0] - d[2];
        to[step] = d[1] + d[2];
        to[2 * step] = d[2] - d[1];
        to[3 * step] = d[3] - d[1];
    } else if (m == 4) {
        const dlc_vf even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1], near = d[4] - d[2], far = 2.0f * (d[3] - d[1]);
        to[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
        to[step] = even + odd;
        to[2 * step] = even - odd;
        to[3 * step] = near + far;
        to[4 * step] = near - far;
        to[5 * step] = 4.0f * d[1] - 5.0f * d[3] + d[5];
    } else {
        const dlc_vf even = d[2] - 4.25f * d[4] + d[6], odd = d[1] - 4.25f * d[3] + d[5];
        const dlc_vf near = 0.25f * d[2] - 1.25f * d[4] + d[6], far = 0.5f * d[1] - 2.5f * d[3] + 2.0f * d[5];
        const dlc_vf low = 4.0f * d[2] - 5.0f * d[4] + d[6], high = 2.0f * d[1] - 2.5f * d[3] + 0.5f * d[5];
        to[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
        to[step] = even + odd;
        to[2 * step] = even - odd;
        to[3 * step] = near + far;
        to[4 * step] = near - far;
        to[5 * step] = low + high;
        to[6 * step] = low - high;
        to[7 * step] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
    }
}

/* to[i*step] = (A' s)[i]; s has m + 2 elements, `to` gets m. */
DLC_INLINE void dlc_winograd_a(const int m, const dlc_vf *s, dlc_vf *to, const int step)
{
    if (m == 2) {
        to[0] = s[0] + s[1] + s[2];
        to[step] = s[1] - s[2] + s[3];
    } else if (m == 4) {
        const dlc_vf sum = s[1] + s[2], difference = s[1] - s[2], wide = s[3] + s[4], apart = s[3] - s[4];
        to[0] = s[0] + sum + wide;
        to[step] = difference + 2.0f * apart;
        to[2 * step] = sum + 4.0f * wide;
        to[3 * step] = difference + 8.0f * apart + s[5];
    } else {
        const dlc_vf sum = s[1] + s[2], difference = s[1] - s[2], wide = s[3] + s[4], apart = s[3] - s[4], small = s[5] + s[6], close = s[5] - s[6];
        to[0] = s[0] + sum + wide + small;
        to[step] = difference + 2.0f * apart + 0.5f * close;
        to[2 * step] = sum + 4.0f * wide + 0.25f * small;
        to[3 * step] = difference + 8.0f * apart + 0.125f * close;
        to[4 * step] = sum + 16.0f * wide + 0.0625f * small;
        to[5 * step] = difference + 32.0f * apart + 0.03125f * close + s[7];
    }
}

/* A vector of channels of a tile of the input: `rows` and `columns` of it exist, and `lanes` of the vector; the rest is 0. What is new in the
 * tile to the right is fetched meanwhile: lines this far apart are nothing that hardware would see coming. (Measured on 256x256x64 floats
 * that lie in the third-level cache: a third less time.) */
DLC_INLINE void dlc_winograd_input_lanes(const int m, const int whole, const float *x, int64_t row_step, int64_t column_step, int64_t rows,
                                         int64_t columns, int64_t lanes, float *v, int64_t plane)
{
    const int a = m + 2;
    dlc_vf half[64], d[8], t[8];
    for (int j = 0; j < a; ++j) {
        if (whole && j >= 2) {
            DLC_UNROLL
            for (int i = 0; i < a; ++i)
                __builtin_prefetch(x + i * row_step + (j + m) * column_step, 0, 3);
        }
        DLC_UNROLL
        for (int i = 0; i < a; ++i)
            d[i] = whole ? dlc_load(x + i * row_step + j * column_step)
                         : i < rows && j < columns ? dlc_load_partial(x + i * row_step + j * column_step, lanes) : (dlc_vf){0};
        dlc_winograd_b(m, d, half + j, a);
    }
    for (int i = 0; i < a; ++i) {
        dlc_winograd_b(m, half + i * a, t, 1);
        DLC_UNROLL
        for (int j = 0; j < a; ++j)
            dlc_store(v + (i * a + j) * plane, t[j]);
    }
}

/* v[(i*a + j)*plane + c] = (B' d B)[i][j] of channel c, where d[i][j] = x[i*row_step + j*column_step + c], 0 beyond `rows` and `columns`.
 * v gets 0 for channels up to the next multiple of DLC_LANES. */
DLC_INLINE void dlc_winograd_input(const int m, const float *x, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns,
                                   int64_t channels, float *v, int64_t plane)
{
    int64_t c = 0;
    if (rows >= m + 2 && columns >= m + 2)
        for (; c + DLC_LANES <= channels; c += DLC_LANES)
            dlc_winograd_input_lanes(m, 1, x + c, row_step, column_step, rows, columns, DLC_LANES, v + c, plane);
    for (; c < channels; c += DLC_LANES)
        dlc_winograd_input_lanes(m, 0, x + c, row_step, column_step, rows, columns, channels - c, v + c, plane);
}

/* tile[(i*m + j)*NR + c] = (A' s A)[i][j] of column c < NR, where s[i][j] = sums[(i*a + j)*plane + c]. */
DLC_INLINE void dlc_winograd_output(const int m, const int NR, const float *sums, int64_t plane, float *tile)
{
    const int a = m + 2;
    for (int c = 0; c < NR; c += DLC_LANES) {
        dlc_vf half[48], s[8], t[6];
        for (int j = 0; j < a; ++j) {
            DLC_UNROLL
            for (int i = 0; i < a; ++i)
                s[i] = dlc_load(sums + (i * a + j) * plane + c);
            dlc_winograd_a(m, s, half + j, a);
        }
        for (int i = 0; i < m; ++i) {
            dlc_winograd_a(m, half + i * a, t, 1);
            DLC_UNROLL
            for (int j = 0; j < m; ++j)
                dlc_store(tile + (i * m + j) * NR + c, t[j]);
        }
    }
}

#endif

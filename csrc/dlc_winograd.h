/* The transforms of Winograd's convolution (Winograd 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016).
 *
 * Along an axis of the image, F(m, r) makes m results of a filter with r taps from a = m + r - 1 elements of the input, d, with a
 * multiplications where the definition takes m*r: with g the filter,
 *
 *     results = A' ((G g) . (B' d))
 *
 * where the filter's transform G g is made when the model is compiled. B depends on a only: it stands for the polynomials that are evaluated at 0, 1,
 * -1 and infinity (a = 4), at 2 and -2 too (a = 6), at 1/2 and -1/2 besides (a = 8). An axis along which the filter has one tap is left as it is
 * (a = m = 1). For an image both axes are transformed, one after the other, and the products are summed over channels: a*a products of matrices,
 * tiles x channels by channels x columns (dlc_contract.h).
 */
#ifndef DLC_WINOGRAD_H
#define DLC_WINOGRAD_H

#include "dlc_vector.h"

/* to[i*step] = (B' d)[i], i < a; d has a elements. */
DLC_INLINE void dlc_winograd_b(const int a, const dlc_vf *d, dlc_vf *to, const int step)
{
    if (a == 1) {
        to[0] = d[0];
    } else if (a == 4) {
        to[0] = d[0] - d[2];
        to[step] = d[1] + d[2];
        to[2 * step] = d[2] - d[1];
        to[3 * step] = d[3] - d[1];
    } else if (a == 6) {
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

/* to[i*step] = (A' s)[i], i < m: the i-th power of each place, and the last result the one at infinity besides. s has a elements. */
DLC_INLINE void dlc_winograd_a(const int m, const int a, const dlc_vf *s, dlc_vf *to, const int step)
{
    dlc_vf results[6];
    if (a == 1) {
        to[0] = s[0];
        return;
    }
    const dlc_vf sum = s[1] + s[2], difference = s[1] - s[2];
    if (a == 4) {
        results[0] = s[0] + sum;
        results[1] = difference;
    } else if (a == 6) {
        const dlc_vf wide = s[3] + s[4], apart = s[3] - s[4];
        results[0] = s[0] + sum + wide;
        results[1] = difference + 2.0f * apart;
        results[2] = sum + 4.0f * wide;
        results[3] = difference + 8.0f * apart;
    } else {
        const dlc_vf wide = s[3] + s[4], apart = s[3] - s[4], small = s[5] + s[6], close = s[5] - s[6];
        results[0] = s[0] + sum + wide + small;
        results[1] = difference + 2.0f * apart + 0.5f * close;
        results[2] = sum + 4.0f * wide + 0.25f * small;
        results[3] = difference + 8.0f * apart + 0.125f * close;
        results[4] = sum + 16.0f * wide + 0.0625f * small;
        results[5] = difference + 32.0f * apart + 0.03125f * close;
    }
    results[m - 1] += s[a - 1];
    DLC_UNROLL
    for (int i = 0; i < m; ++i)
        to[i * step] = results[i];
}

/* A vector of channels of a tile of the input: `rows` and `columns` of it exist, and `lanes` of the vector; the rest is 0. What is new in the
 * tile to the right is fetched meanwhile: lines this far apart are nothing that hardware would see coming. (Measured on 256x256x64 floats
 * that lie in the third-level cache: a third less time.) */
DLC_INLINE void dlc_winograd_input_lanes(const int down, const int across, const int step, const int whole, const float *x, int64_t row_step,
                                         int64_t column_step, int64_t rows, int64_t columns, int64_t lanes, float *v, int64_t plane)
{
    dlc_vf half[64], d[8], t[8];
    for (int j = 0; j < across; ++j) {
        if (whole && j >= across - step) {
            DLC_UNROLL
            for (int i = 0; i < down; ++i)
                __builtin_prefetch(x + i * row_step + (j + step) * column_step, 0, 3);
        }
        DLC_UNROLL
        for (int i = 0; i < down; ++i)
            d[i] = whole ? dlc_load(x + i * row_step + j * column_step)
                         : i < rows && j < columns ? dlc_load_partial(x + i * row_step + j * column_step, lanes) : (dlc_vf){0};
        dlc_winograd_b(down, d, half + j, across);
    }
    for (int i = 0; i < down; ++i) {
        dlc_winograd_b(across, half + i * across, t, 1);
        DLC_UNROLL
        for (int j = 0; j < across; ++j)
            dlc_store(v + (i * across + j) * plane, t[j]);
    }
}

/* v[(i*across + j)*plane + c] = (B' d B)[i][j] of channel c, where d[i][j] = x[i*row_step + j*column_step + c], 0 beyond `rows` and `columns`; i <
 * down, j < across. The next tile is `step` columns to the right. v gets 0 for channels up to the next multiple of DLC_LANES. */
DLC_INLINE void dlc_winograd_input(const int down, const int across, const int step, const float *x, int64_t row_step, int64_t column_step,
                                   int64_t rows, int64_t columns, int64_t channels, float *v, int64_t plane)
{
    int64_t c = 0;
    if (rows >= down && columns >= across)
        for (; c + DLC_LANES <= channels; c += DLC_LANES)
            dlc_winograd_input_lanes(down, across, step, 1, x + c, row_step, column_step, rows, columns, DLC_LANES, v + c, plane);
    for (; c < channels; c += DLC_LANES)
        dlc_winograd_input_lanes(down, across, step, 0, x + c, row_step, column_step, rows, columns, channels - c, v + c, plane);
}

/* tile[(i*m_across + j)*NR + c] = (A' s A)[i][j] of column c < NR, i < m_down, j < m_across, where s[i][j] = sums[(i*across + j)*plane + c]. */
DLC_INLINE void dlc_winograd_output(const int m_down, const int m_across, const int down, const int across, const int NR, const float *sums,
                                    int64_t plane, float *tile)
{
    for (int c = 0; c < NR; c += DLC_LANES) {
        dlc_vf half[48], s[8], t[6];
        for (int j = 0; j < across; ++j) {
            DLC_UNROLL
            for (int i = 0; i < down; ++i)
                s[i] = dlc_load(sums + (i * across + j) * plane + c);
            dlc_winograd_a(m_down, down, s, half + j, across);
        }
        for (int i = 0; i < m_down; ++i) {
            dlc_winograd_a(m_across, across, half + i * across, t, 1);
            DLC_UNROLL
            for (int j = 0; j < m_across; ++j)
                dlc_store(tile + (i * m_across + j) * NR + c, t[j]);
        }
    }
}

#endif

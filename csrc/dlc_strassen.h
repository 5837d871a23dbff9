/* One step of Strassen's product of matrices in Winograd's form (Strassen 1969; Winograd 1971; Higham, "Accuracy and Stability of Numerical
 * Algorithms", 23.1): with both operands cut into quarters, seven products of quarters instead of eight.
 *
 *     left   A11  A12  S4  A22  S1  S2  S3        S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2
 *     right  B11  B21  B22 T4   T1  T2  T3        T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = T2 - B21
 *     result C11 = P1 + P2, C12 = P1 + P6 + P5 + P3, C21 = P1 + P6 + P7 - P4, C22 = P1 + P6 + P7 + P5
 *
 * The right operand is a constant, whose sums are made when the model is compiled.
 */
#ifndef DLC_STRASSEN_H
#define DLC_STRASSEN_H

#include "dlc_vector.h"

/* The left operands of the seven products for a row of each half: v[q*plane + k], k < half. */
DLC_INLINE void dlc_strassen_left(const float *upper, const float *lower, int64_t half, float *v, int64_t plane)
{
    for (int64_t k = 0; k < half; k += DLC_LANES) {
        const int64_t lanes = half - k;
        const dlc_vf a11 = dlc_load_partial(upper + k, lanes), a12 = dlc_load_partial(upper + half + k, lanes);
        const dlc_vf a21 = dlc_load_partial(lower + k, lanes), a22 = dlc_load_partial(lower + half + k, lanes);
        const dlc_vf s1 = a21 + a22, s2 = s1 - a11, s3 = a11 - a21, s4 = a12 - s2;
        dlc_store_partial(v + k, a11, lanes);
        dlc_store_partial(v + plane + k, a12, lanes);
        dlc_store_partial(v + 2 * plane + k, s4, lanes);
        dlc_store_partial(v + 3 * plane + k, a22, lanes);
        dlc_store_partial(v + 4 * plane + k, s1, lanes);
        dlc_store_partial(v + 5 * plane + k, s2, lanes);
        dlc_store_partial(v + 6 * plane + k, s3, lanes);
    }
}

/* tile[i][j][c]: of half i of the rows, half j of the columns; product q is at sums[q*plane + c], c < NR. */
DLC_INLINE void dlc_strassen_result(const int NR, const float *sums, int64_t plane, float *tile)
{
    for (int c = 0; c < NR; c += DLC_LANES) {
        const dlc_vf p1 = dlc_load(sums + c), p2 = dlc_load(sums + plane + c), p3 = dlc_load(sums + 2 * plane + c);
        const dlc_vf p4 = dlc_load(sums + 3 * plane + c), p5 = dlc_load(sums + 4 * plane + c);
        const dlc_vf u2 = p1 + dlc_load(sums + 5 * plane + c), u3 = u2 + dlc_load(sums + 6 * plane + c);
        dlc_store(tile + c, p1 + p2);
        dlc_store(tile + NR + c, u2 + p5 + p3);
        dlc_store(tile + 2 * NR + c, u3 - p4);
        dlc_store(tile + 3 * NR + c, u3 + p5);
    }
}

#endif

/* Transposing arrays of 4-byte elements, in blocks whose lines stay in the nearest cache. */
#ifndef DLC_TRANSPOSE_H
#define DLC_TRANSPOSE_H

#include "dlc_base.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

/* to[i*to_stride + j] = from[j*from_stride + i] for i, j < 4. */
DLC_INLINE void dlc_transpose_4x4(const float *from, int64_t from_stride, float *to, int64_t to_stride)
{
#if defined(__SSE__)
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_stride);
    __m128 c = _mm_loadu_ps(from + 2 * from_stride), d = _mm_loadu_ps(from + 3 * from_stride);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + to_stride, b);
    _mm_storeu_ps(to + 2 * to_stride, c);
    _mm_storeu_ps(to + 3 * to_stride, d);
#else
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
            to[i * to_stride + j] = from[j * from_stride + i];
#endif
}

/* to[i*to_stride + j] = from[j*from_stride + i] for i < rows and j < columns. */
DLC_INLINE void dlc_transpose_f32(const float *from, int64_t from_stride, float *to, int64_t to_stride, int64_t rows, int64_t columns)
{
    enum { LINE = 16 }; /* elements of a cache line */
    for (int64_t j0 = 0; j0 < columns; j0 += LINE) {
        const int64_t j1 = dlc_min(columns, j0 + LINE), whole_j = j0 + (j1 - j0) / 4 * 4;
        for (int64_t i0 = 0; i0 < rows; i0 += LINE) {
            const int64_t i1 = dlc_min(rows, i0 + LINE), whole_i = i0 + (i1 - i0) / 4 * 4;
            for (int64_t i = i0; i < whole_i; i += 4)
                for (int64_t j = j0; j < whole_j; j += 4)
                    dlc_transpose_4x4(from + j * from_stride + i, from_stride, to + i * to_stride + j, to_stride);
            for (int64_t i = i0; i < i1; ++i)
                for (int64_t j = i < whole_i ? whole_j : j0; j < j1; ++j)
                    to[i * to_stride + j] = from[j * from_stride + i];
        }
    }
}

#endif

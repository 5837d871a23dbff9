/* Reductions that OpenMP has no name for: maxima and minima that keep a NaN, sums and products of signed integers that wrap, for
 * `#pragma omp simd reduction(dlc_max_f32 : x)`. */
#ifndef DLC_REDUCE_H
#define DLC_REDUCE_H

#include <math.h>

#include "dlc_integer.h"
#include "dlc_math.h"

/* clang-format off */
#pragma omp declare reduction(dlc_max_f32 : float : omp_out = dlc_maximum_f32(omp_out, omp_in)) initializer(omp_priv = -INFINITY)
#pragma omp declare reduction(dlc_min_f32 : float : omp_out = dlc_minimum_f32(omp_out, omp_in)) initializer(omp_priv = INFINITY)
#pragma omp declare reduction(dlc_max_f64 : double : omp_out = dlc_maximum_f64(omp_out, omp_in)) initializer(omp_priv = -INFINITY)
#pragma omp declare reduction(dlc_min_f64 : double : omp_out = dlc_minimum_f64(omp_out, omp_in)) initializer(omp_priv = INFINITY)

#define DLC_PRAGMA(text) _Pragma(#text)
#define DLC_INTEGER_REDUCTION(T, suffix, lowest, highest)                                                                  \
    DLC_PRAGMA(omp declare reduction(dlc_max_##suffix : T : omp_out = omp_out > omp_in ? omp_out : omp_in) initializer(omp_priv = lowest)) \
    DLC_PRAGMA(omp declare reduction(dlc_min_##suffix : T : omp_out = omp_out < omp_in ? omp_out : omp_in) initializer(omp_priv = highest))
DLC_INTEGER_REDUCTION(int64_t, i64, INT64_MIN, INT64_MAX)
DLC_INTEGER_REDUCTION(int32_t, i32, INT32_MIN, INT32_MAX)
DLC_INTEGER_REDUCTION(int16_t, i16, INT16_MIN, INT16_MAX)
DLC_INTEGER_REDUCTION(int8_t, i8, INT8_MIN, INT8_MAX)
DLC_INTEGER_REDUCTION(uint64_t, u64, 0, UINT64_MAX)
DLC_INTEGER_REDUCTION(uint32_t, u32, 0, UINT32_MAX)
DLC_INTEGER_REDUCTION(uint16_t, u16, 0, UINT16_MAX)
DLC_INTEGER_REDUCTION(uint8_t, u8, 0, UINT8_MAX)
DLC_INTEGER_REDUCTION(int, bool, 0, 1)

#define DLC_WRAPPING_REDUCTION(T, suffix)                                                                                  \
    DLC_PRAGMA(omp declare reduction(dlc_add_##suffix : T : omp_out = dlc_add_##suffix(omp_out, omp_in)) initializer(omp_priv = 0)) \
    DLC_PRAGMA(omp declare reduction(dlc_mul_##suffix : T : omp_out = dlc_mul_##suffix(omp_out, omp_in)) initializer(omp_priv = 1))
DLC_WRAPPING_REDUCTION(int64_t, i64)
DLC_WRAPPING_REDUCTION(int32_t, i32)
DLC_WRAPPING_REDUCTION(int16_t, i16)
DLC_WRAPPING_REDUCTION(int8_t, i8)
/* clang-format on */

#endif

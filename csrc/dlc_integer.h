/* Integer arithmetic as ONNX and NumPy define it, where C leaves it undefined: overflow wraps, division by zero gives 0,
 * shifts by the width or more give 0 (or the sign), conversions of floats that do not fit give the type's lowest value (as x86 does).
 *
 * dlc_OP_T for OP in add sub mul div rem neg abs sign maximum minimum pow shift_left shift_right and, or from T in i64 i32 i16 i8 u64 u32 u16 u8.
 */
#ifndef DLC_INTEGER_H
#define DLC_INTEGER_H

#include "dlc_base.h"

#define DLC_INTEGER_COMMON(T, U, suffix, bits)                                                                             \
    DLC_INLINE T dlc_add_##suffix(T a, T b) { return (T)((U)a + (U)b); }                                                   \
    DLC_INLINE T dlc_sub_##suffix(T a, T b) { return (T)((U)a - (U)b); }                                                   \
    DLC_INLINE T dlc_mul_##suffix(T a, T b) { return (T)((U)a * (U)b); }                                                   \
    DLC_INLINE T dlc_neg_##suffix(T a) { return (T)((U)0 - (U)a); }                                                        \
    DLC_INLINE T dlc_maximum_##suffix(T a, T b) { return a > b ? a : b; }                                                  \
    DLC_INLINE T dlc_minimum_##suffix(T a, T b) { return a < b ? a : b; }                                                  \
    DLC_INLINE T dlc_shift_left_##suffix(T a, T b) { return (U)b < bits ? (T)((U)a << (U)b) : (T)0; }                      \
    DLC_INLINE T dlc_pow_##suffix(T base, T exponent)                                                                      \
    {                                                                                                                      \
        U result = 1, factor = (U)base;                                                                                    \
        if (exponent < 0) /* 1/base, truncated */                                                                          \
            return base == 1 ? (T)1 : base == (T)-1 ? (T)((exponent & 1) ? -1 : 1) : (T)0;                                 \
        for (U e = (U)exponent; e; e >>= 1, factor = (U)(factor * factor))                                                 \
            if (e & 1)                                                                                                     \
                result = (U)(result * factor);                                                                             \
        return (T)result;                                                                                                  \
    }                                                                                                                      \
    DLC_INLINE T dlc_floor_##suffix(T a) { return a; }                                                                     \
    DLC_INLINE T dlc_ceil_##suffix(T a) { return a; }                                                                      \
    DLC_INLINE T dlc_round_##suffix(T a) { return a; }

#define DLC_INTEGER_SIGNED(T, U, suffix, bits)                                                                             \
    DLC_INTEGER_COMMON(T, U, suffix, bits)                                                                                 \
    DLC_INLINE T dlc_div_##suffix(T a, T b) { return b == 0 ? 0 : b == -1 ? dlc_neg_##suffix(a) : (T)(a / b); }            \
    DLC_INLINE T dlc_rem_##suffix(T a, T b) { return b == 0 || b == -1 ? 0 : (T)(a % b); }                                 \
    DLC_INLINE T dlc_abs_##suffix(T a) { return a < 0 ? dlc_neg_##suffix(a) : a; }                                         \
    DLC_INLINE T dlc_sign_##suffix(T a) { return (T)((a > 0) - (a < 0)); }                                                 \
    DLC_INLINE T dlc_shift_right_##suffix(T a, T b) { return (U)b < bits ? (T)(a >> b) : (T)(a < 0 ? -1 : 0); }

#define DLC_INTEGER_UNSIGNED(T, suffix, bits)                                                                              \
    DLC_INTEGER_COMMON(T, T, suffix, bits)                                                                                 \
    DLC_INLINE T dlc_div_##suffix(T a, T b) { return b == 0 ? 0 : (T)(a / b); }                                            \
    DLC_INLINE T dlc_rem_##suffix(T a, T b) { return b == 0 ? 0 : (T)(a % b); }                                            \
    DLC_INLINE T dlc_abs_##suffix(T a) { return a; }                                                                       \
    DLC_INLINE T dlc_sign_##suffix(T a) { return (T)(a > 0); }                                                             \
    DLC_INLINE T dlc_shift_right_##suffix(T a, T b) { return b < bits ? (T)(a >> b) : (T)0; }

/* Unsigned arithmetic of types narrower than int is done in int: 16-bit products are widened so that it cannot overflow. */
DLC_INTEGER_SIGNED(int64_t, uint64_t, i64, 64)
DLC_INTEGER_SIGNED(int32_t, uint32_t, i32, 32)
DLC_INTEGER_SIGNED(int16_t, uint32_t, i16, 16)
DLC_INTEGER_SIGNED(int8_t, uint32_t, i8, 8)
DLC_INTEGER_UNSIGNED(uint64_t, u64, 64)
DLC_INTEGER_UNSIGNED(uint32_t, u32, 32)

#define DLC_NARROW_UNSIGNED(T, suffix, bits)                                                                               \
    DLC_INTEGER_COMMON(T, uint32_t, suffix, bits)                                                                          \
    DLC_INLINE T dlc_div_##suffix(T a, T b) { return b == 0 ? 0 : (T)(a / b); }                                            \
    DLC_INLINE T dlc_rem_##suffix(T a, T b) { return b == 0 ? 0 : (T)(a % b); }                                            \
    DLC_INLINE T dlc_abs_##suffix(T a) { return a; }                                                                       \
    DLC_INLINE T dlc_sign_##suffix(T a) { return (T)(a > 0); }                                                             \
    DLC_INLINE T dlc_shift_right_##suffix(T a, T b) { return b < bits ? (T)(a >> b) : (T)0; }
DLC_NARROW_UNSIGNED(uint16_t, u16, 16)
DLC_NARROW_UNSIGNED(uint8_t, u8, 8)

/* bool: stored as 0 or 1 */
DLC_INLINE int dlc_maximum_bool(int a, int b) { return a | b; }
DLC_INLINE int dlc_minimum_bool(int a, int b) { return a & b; }
DLC_INLINE int dlc_add_bool(int a, int b) { return a | b; }
DLC_INLINE int dlc_mul_bool(int a, int b) { return a & b; }

/* Conversions of floats. The bounds are the powers of two around the type's range, which floats hold exactly; what lies outside, and NaN, is
 * the lowest number. A signed range is asked for in one comparison, by the absolute value: compilers run two of them together with those of a
 * minimum or maximum before, to branches that are no vector code. */
#define DLC_CAST_SIGNED(F, from, T, to, magnitude, high)                                                                   \
    DLC_INLINE T dlc_cast_##from##_##to(F x) { return (T)(magnitude(x) < (F)(high) ? x : (F)-(high)); }
#define DLC_CAST_UNSIGNED(F, from, T, to, high)                                                                            \
    DLC_INLINE T dlc_cast_##from##_##to(F x) { return x >= 0 && x < (F)(high) ? (T)x : 0; }
#define DLC_CASTS(F, from, magnitude)                                                                                      \
    DLC_CAST_SIGNED(F, from, int64_t, i64, magnitude, 9223372036854775808.0)                                               \
    DLC_CAST_SIGNED(F, from, int32_t, i32, magnitude, 2147483648.0)                                                        \
    DLC_CAST_UNSIGNED(F, from, uint64_t, u64, 18446744073709551616.0)                                                      \
    DLC_CAST_UNSIGNED(F, from, uint32_t, u32, 4294967296.0)                                                                \
    /* narrower types wrap what fits 32 bits, as NumPy does */                                                             \
    DLC_INLINE int16_t dlc_cast_##from##_i16(F x) { return (int16_t)dlc_cast_##from##_i32(x); }                            \
    DLC_INLINE int8_t dlc_cast_##from##_i8(F x) { return (int8_t)dlc_cast_##from##_i32(x); }                               \
    DLC_INLINE uint16_t dlc_cast_##from##_u16(F x) { return (uint16_t)dlc_cast_##from##_i32(x); }                          \
    DLC_INLINE uint8_t dlc_cast_##from##_u8(F x) { return (uint8_t)dlc_cast_##from##_i32(x); }
DLC_CASTS(float, f32, __builtin_fabsf)
DLC_CASTS(double, f64, __builtin_fabs)

#endif

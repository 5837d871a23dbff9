/* The elementary functions, dlc_OP_f32 and dlc_OP_f64.
 *
 * The float ones are scalar code without branches or calls, so that GCC and Clang vectorise a `#pragma omp simd` loop over them for any
 * machine (-O3 -fno-math-errno -fno-trapping-math; not -ffast-math: NaN, infinity, signed zero and subnormal numbers keep their meaning).
 * Each states its largest error in ulp, units in the last place of the exact result rounded to float: over samples of all
 * floats, tests/csrc/test_math.py holds it to that. The double ones are libm's, whose callers want accuracy and not speed.
 *
 * The polynomials are minimax fits of the relative error. Their arguments are small, the leading terms of the function are
 * exact and added last: that keeps the rounding errors of the polynomial below the last place.
 */
#ifndef DLC_MATH_H
#define DLC_MATH_H

#include <math.h>

#include "dlc_base.h"

/* Adding this pushes the fraction bits of |x| <= 2^22 out, rounded half to even; the integer is left in the low bits. */
#define DLC_ROUNDER_F32 12582912.0f          /* 1.5 * 2^23 */
#define DLC_ROUNDER_F64 6755399441055744.0   /* 1.5 * 2^52, for |x| <= 2^51 */

/* -- bits ---------------------------------------------------------------------------------------------------------------- */
DLC_INLINE uint32_t dlc_bits_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

DLC_INLINE float dlc_from_bits_f32(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |magnitude| with the sign of `sign`. */
DLC_INLINE float dlc_copysign_f32(float magnitude, float sign)
{
    return dlc_from_bits_f32((dlc_bits_f32(magnitude) & 0x7fffffffu) | (dlc_bits_f32(sign) & 0x80000000u));
}

/* 2^n, -126 <= n <= 127. */
DLC_INLINE float dlc_exp2_integer(int32_t n) { return dlc_from_bits_f32((uint32_t)(n + 127) << 23); }

/* x * 2^n, -250 <= n <= 250. In two steps, since 2^n itself need not be a float; only the second can round. */
DLC_INLINE float dlc_scale_f32(float x, int32_t n)
{
    const int32_t half = n >> 1;
    return x * dlc_exp2_integer(half) * dlc_exp2_integer(n - half);
}

/* -- signs, extremes, rounding: exact ------------------------------------------------------------------------------------ */
DLC_INLINE int dlc_is_nan_f32(float x) { return x != x; }
DLC_INLINE int dlc_is_nan_f64(double x) { return x != x; }
DLC_INLINE float dlc_abs_f32(float x) { return __builtin_fabsf(x); }
DLC_INLINE double dlc_abs_f64(double x) { return __builtin_fabs(x); }
DLC_INLINE int dlc_is_inf_f32(float x) { return dlc_abs_f32(x) == INFINITY; }
DLC_INLINE int dlc_is_inf_f64(double x) { return dlc_abs_f64(x) == (double)INFINITY; }
DLC_INLINE float dlc_sqrt_f32(float x) { return sqrtf(x); }
DLC_INLINE double dlc_sqrt_f64(double x) { return sqrt(x); }

/* -1, 0 or 1; NaN of NaN. */
DLC_INLINE float dlc_sign_f32(float x) { return x != x ? x : (float)((x > 0.0f) - (x < 0.0f)); }
DLC_INLINE double dlc_sign_f64(double x) { return x != x ? x : (double)((x > 0.0) - (x < 0.0)); }

/* NaN where either is NaN, as NumPy's and ONNX's. The inner choice is one instruction (maxps, which gives its second operand where there
 * is a NaN); the outer one folds away where b is a constant. */
DLC_INLINE float dlc_maximum_f32(float a, float b) { return b != b ? b : b > a ? b : a; }
DLC_INLINE float dlc_minimum_f32(float a, float b) { return b != b ? b : b < a ? b : a; }
DLC_INLINE double dlc_maximum_f64(double a, double b) { return b != b ? b : b > a ? b : a; }
DLC_INLINE double dlc_minimum_f64(double a, double b) { return b != b ? b : b < a ? b : a; }

#if defined(__SSE4_1__) || defined(__aarch64__) /* an instruction each */
DLC_INLINE float dlc_round_f32(float x) { return __builtin_rintf(x); } /* half to even */
DLC_INLINE float dlc_floor_f32(float x) { return __builtin_floorf(x); }
DLC_INLINE float dlc_ceil_f32(float x) { return __builtin_ceilf(x); }
DLC_INLINE float dlc_trunc_f32(float x) { return __builtin_truncf(x); }
DLC_INLINE double dlc_round_f64(double x) { return __builtin_rint(x); }
DLC_INLINE double dlc_floor_f64(double x) { return __builtin_floor(x); }
DLC_INLINE double dlc_ceil_f64(double x) { return __builtin_ceil(x); }
DLC_INLINE double dlc_trunc_f64(double x) { return __builtin_trunc(x); }
#else /* numbers beyond 2^23 (2^52) are integers; the sign is put back for results of -0 */
#define DLC_ROUNDING(T, suffix, copy_sign, integers)                                                                       \
    DLC_INLINE T dlc_round_##suffix(T x)                                                                                   \
    {                                                                                                                      \
        const T size = dlc_abs_##suffix(x);                                                                                \
        return size < integers ? copy_sign((size + integers) - integers, x) : x;                                           \
    }                                                                                                                      \
    DLC_INLINE T dlc_floor_##suffix(T x)                                                                                   \
    {                                                                                                                      \
        const T nearest = dlc_round_##suffix(x);                                                                           \
        return nearest > x ? nearest - 1 : nearest;                                                                        \
    }                                                                                                                      \
    DLC_INLINE T dlc_ceil_##suffix(T x) { return -dlc_floor_##suffix(-x); }                                                \
    DLC_INLINE T dlc_trunc_##suffix(T x) { return copy_sign(dlc_floor_##suffix(dlc_abs_##suffix(x)), x); }
DLC_ROUNDING(float, f32, dlc_copysign_f32, 8388608.0f)
DLC_ROUNDING(double, f64, __builtin_copysign, 4503599627370496.0)
#undef DLC_ROUNDING
#endif

/* Remainders: `rem` has the dividend's sign (C's fmod, NumPy's fmod), `mod` the divisor's (Python's %, NumPy's mod). Exact, by libm. */
DLC_INLINE float dlc_rem_f32(float a, float b) { return fmodf(a, b); }
DLC_INLINE double dlc_rem_f64(double a, double b) { return fmod(a, b); }
DLC_INLINE float dlc_mod_f32(float a, float b)
{
    const float rest = fmodf(a, b);
    return rest == 0.0f ? dlc_copysign_f32(0.0f, b) : (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}
DLC_INLINE double dlc_mod_f64(double a, double b)
{
    const double rest = fmod(a, b);
    return rest == 0.0 ? copysign(0.0, b) : (rest < 0.0) != (b < 0.0) ? rest + b : rest;
}

/* 1/sqrt(x), each step rounded: 1 ulp. */
DLC_INLINE float dlc_rsqrt_f32(float x) { return 1.0f / sqrtf(x); }
DLC_INLINE double dlc_rsqrt_f64(double x) { return 1.0 / sqrt(x); }

/* -- exponentials -------------------------------------------------------------------------------------------------------- */
/* e^x = e^rest * 2^n with |rest| <= ln(2)/2; |x| <= 1000. ln 2 is taken off in two parts, n times the first is exact. */
typedef struct dlc_exponent {
    float rest;
    int32_t n;
} dlc_exponent;

DLC_INLINE dlc_exponent dlc_exponent_f32(float x)
{
    const float shifted = x * 1.442695041f + DLC_ROUNDER_F32;
    const float n = shifted - DLC_ROUNDER_F32;
    const float rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    return (dlc_exponent){rest, (int32_t)(dlc_bits_f32(shifted) - dlc_bits_f32(DLC_ROUNDER_F32))};
}

/* e^x for |x| <= ln(2)/2. */
DLC_INLINE float dlc_exp_small(float x)
{
    float p = 1.3820321e-3f;
    p = p * x + 8.369828e-3f;
    p = p * x + 4.1668303e-2f;
    p = p * x + 1.6666512e-1f;
    p = p * x + 4.9999994e-1f;
    return p * (x * x) + x + 1.0f;
}

/* e^x * 2^shift, |shift| <= 8, without going through e^x, which may be out of range. 2 ulp. */
DLC_INLINE float dlc_exp_shifted(float x, int32_t shift)
{
    x = x < -120.0f ? -120.0f : x; /* far enough to be 0 and infinity, near enough for dlc_scale_f32; NaN stays */
    x = x > 120.0f ? 120.0f : x;
    const dlc_exponent e = dlc_exponent_f32(x);
    return dlc_scale_f32(dlc_exp_small(e.rest), e.n + shift);
}

DLC_INLINE float dlc_exp_f32(float x) { return dlc_exp_shifted(x, 0); } /* 2 ulp */

/* e^-x for x >= 0, a little cheaper: no infinity to reach. Subnormal results are exact to the last place too. 2 ulp. */
DLC_INLINE float dlc_exp_negative(float x)
{
    const dlc_exponent e = dlc_exponent_f32(-(120.0f < x ? 120.0f : x)); /* far enough to be 0; NaN stays */
    return dlc_exp_small(e.rest) * dlc_exp2_integer(e.n + 64) * 0x1p-64f; /* 2^n need not be a float; only the second product can round */
}

/* e^x - 1 = 2^n * (e^rest - 1) + (2^n - 1). Half of it is computed: 2^128 is no float. 2 ulp. */
DLC_INLINE float dlc_expm1_f32(float x)
{
    float clamped = x < -30.0f ? -30.0f : x;
    clamped = clamped > 89.0f ? 89.0f : clamped;
    const dlc_exponent e = dlc_exponent_f32(clamped);
    const float half = dlc_exp2_integer(e.n - 1), r = e.rest;
    float p = 1.3873472e-3f;
    p = p * r + 8.36763e-3f;
    p = p * r + 4.1667424e-2f;
    p = p * r + 1.6666536e-1f;
    p = p * r + 4.9999997e-1f;
    p = p * (r * r) + r;
    const float result = 2.0f * (half * p + (half - 0.5f));
    return dlc_abs_f32(x) < 0x1p-24f ? x : result; /* half of a subnormal number would lose a bit, and -0 its sign */
}

/* 1/(1 + e^-x) as e^min(x, 0) / (1 + e^-|x|), which keeps its precision down to the subnormal numbers. 3 ulp. */
DLC_INLINE float dlc_logistic_f32(float x)
{
    const float e = dlc_exp_negative(dlc_abs_f32(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* Near 0 a polynomial, beyond 1 - 2/(e^2|x| + 1). 2 ulp. */
DLC_INLINE float dlc_tanh_f32(float x)
{
    const float size = dlc_abs_f32(x), z = x * x;
    const dlc_exponent e = dlc_exponent_f32(size > 10.0f ? 20.0f : 2.0f * size); /* tanh(10) rounds to 1 */
    const float large = 1.0f - 2.0f / (dlc_exp_small(e.rest) * dlc_exp2_integer(e.n) + 1.0f);
    float p = -5.716203e-3f;
    p = p * z + 2.0649709e-2f;
    p = p * z - 5.3743172e-2f;
    p = p * z + 1.3331486e-1f;
    p = p * z - 3.3333284e-1f;
    const float small = p * z * size + size;
    return dlc_copysign_f32(size < 0.625f ? small : large, x);
}

/* (e^x - e^-x)/2 and (e^x + e^-x)/2 from h = e^|x|/2, 1/(4h) being the other half; sinh near 0 by a polynomial. 2 ulp. */
DLC_INLINE float dlc_sinh_f32(float x)
{
    const float size = dlc_abs_f32(x), z = x * x, h = dlc_exp_shifted(size, -1);
    float p = 2.783925e-6f;
    p = p * z + 1.9842635e-4f;
    p = p * z + 8.333311e-3f;
    p = p * z + 1.6666667e-1f;
    const float small = p * z * size + size;
    return dlc_copysign_f32(size < 1.0f ? small : h - 0.25f / h, x);
}

DLC_INLINE float dlc_cosh_f32(float x)
{
    const float h = dlc_exp_shifted(dlc_abs_f32(x), -1);
    return h + 0.25f / h;
}

/* Near 0 a polynomial; beyond, 1 - erfc with ln erfc(|x|) as a polynomial. 2 ulp. */
DLC_INLINE float dlc_erf_f32(float x)
{
    const float size = dlc_abs_f32(x), z = x * x;
    const float t = size > 4.0f ? 4.0f : size; /* erf(4) rounds to 1 */
    float q = 2.1372568e-4f;
    q = q * t - 3.2128105e-3f;
    q = q * t + 2.2883058e-2f;
    q = q * t - 1.0525102e-1f;
    q = q * t - 6.357266e-1f;
    q = q * t - 1.285119e-1f;
    const dlc_exponent e = dlc_exponent_f32(q * t - t);
    const float large = 1.0f - dlc_exp_small(e.rest) * dlc_exp2_integer(e.n);
    float p = -5.969955e-4f;
    p = p * z + 4.9893716e-3f;
    p = p * z - 2.6764318e-2f;
    p = p * z + 1.1281767e-1f;
    p = p * z - 3.7612492e-1f;
    p = p * z + 1.2837915e-1f;
    const float small = p * size + size;
    return dlc_copysign_f32(size < 0.92f ? small : large, x);
}

/* -- logarithms ---------------------------------------------------------------------------------------------------------- */
/* ln(m * 2^n) where m = 1 + f, sqrt(1/2) <= m < sqrt(2), and `tail` is what f lacks; the small terms are added first. */
DLC_INLINE float dlc_log_small(float f, float n, float tail)
{
    const float z = f * f;
    float p = -7.6369405e-2f;
    p = p * f + 1.2762485e-1f;
    p = p * f - 1.315955e-1f;
    p = p * f + 1.420154e-1f;
    p = p * f - 1.662341e-1f;
    p = p * f + 2.0001243e-1f;
    p = p * f - 2.500082e-1f;
    p = p * f + 3.333333e-1f;
    float small = p * f * z + (tail - n * 2.12194440e-4f);
    small -= 0.5f * z;
    return (f + small) + n * 0.693359375f;
}

/* The exponent n of a positive normal x = m * 2^n, sqrt(1/2) <= m < sqrt(2). */
DLC_INLINE int32_t dlc_log_exponent(float x) { return (int32_t)(dlc_bits_f32(x) - dlc_bits_f32(0.70710678f)) >> 23; }

/* -infinity of 0, NaN of negative numbers. 1 ulp. */
DLC_INLINE float dlc_log_f32(float x)
{
    const int subnormal = x < 0x1p-126f;
    const float normal = subnormal ? x * 0x1p23f : x;
    const int32_t n = dlc_log_exponent(normal);
    const float m = dlc_from_bits_f32(dlc_bits_f32(normal) - ((uint32_t)n << 23));
    const float result = dlc_log_small(m - 1.0f, (float)n - (subnormal ? 23.0f : 0.0f), 0.0f);
    return x > 0.0f ? (x < INFINITY ? result : x) : x == 0.0f ? -INFINITY : NAN;
}

/* ln(1 + x): u = 1 + x rounds, and the tail (1 + x - u)/u makes up for it. 2 ulp. */
DLC_INLINE float dlc_log1p_f32(float x)
{
    const float u = 1.0f + x;
    const int32_t n = dlc_log_exponent(u);
    const float m = dlc_from_bits_f32(dlc_bits_f32(u) - ((uint32_t)n << 23));
    const float lost = u > 2.0f ? 1.0f - (u - x) : x - (u - 1.0f);
    const float result = dlc_log_small(n == 0 ? x : m - 1.0f, (float)n, n == 0 ? 0.0f : lost / u);
    const float special = x > 0.0f ? x : x == -1.0f ? -INFINITY : NAN; /* infinity; the pole; below it, or NaN */
    return dlc_abs_f32(x) < 0x1p-24f ? x : ((x > -1.0f) & (x < INFINITY)) ? result : special;
}

/* asinh(x) = ln(x + sqrt(x^2 + 1)) and acosh(x) = ln(x + sqrt(x^2 - 1)) by log1p; beyond 2^30, where x^2 could overflow, ln(2x). 3 ulp. */
DLC_INLINE float dlc_asinh_f32(float x)
{
    const float size = dlc_abs_f32(x), z = size * size;
    const int large = size > 0x1p30f;
    const float result = dlc_log1p_f32(large ? size : size + z / (1.0f + sqrtf(z + 1.0f))) + (large ? 0.69314718f : 0.0f);
    return dlc_copysign_f32(result, x);
}

DLC_INLINE float dlc_acosh_f32(float x)
{
    const float t = x - 1.0f; /* < 0: NaN */
    const int large = x > 0x1p30f;
    const float result = dlc_log1p_f32(large ? x : t + sqrtf(t * 2.0f + t * t)) + (large ? 0.69314718f : 0.0f);
    return x < 1.0f ? NAN : result;
}

/* ln((1 + x)/(1 - x))/2. 3 ulp. */
DLC_INLINE float dlc_atanh_f32(float x)
{
    const float size = dlc_abs_f32(x);
    return dlc_copysign_f32(0.5f * dlc_log1p_f32(2.0f * size / (1.0f - size)), x);
}

/* -- trigonometry -------------------------------------------------------------------------------------------------------- */
/* x = (quadrant + turn) * pi/2 with |turn| <= 1/2, for every finite x.
 *
 * 2/pi is cut into pieces of 24 bits. x times a piece is exact in double (48 bits), and so is taking off multiples of 4: products beyond
 * 2^51 are such multiples altogether. 192 bits of 2/pi are what the largest float needs. The sum is kept below 1/2 by moving whole quadrants
 * out at once, so that no bits are lost where x is very near a multiple of pi/2. */
typedef struct dlc_angle {
    double turn;
    int32_t quadrant;
} dlc_angle;

DLC_INLINE dlc_angle dlc_angle_f32(float x)
{
    static const double two_over_pi[8] = {0xa2f983p-24, 0x6e4e44p-48,  0x1529fcp-72,  0x2757d1p-96,
                                          0xf534ddp-120, 0xc0db62p-144, 0x95993cp-168, 0x439041p-192};
    double turn = -0.0, quadrant = 0.0;
    DLC_UNROLL
    for (int piece = 0; piece < 8; ++piece) {
        const double product = x * two_over_pi[piece];
        const double fours = (product * 0.25 + DLC_ROUNDER_F64) - DLC_ROUNDER_F64;
        turn += dlc_abs_f64(product) < 0x1p51 ? product - 4.0 * fours : 0.0;
        const double whole = (turn + DLC_ROUNDER_F64) - DLC_ROUNDER_F64;
        turn -= whole;
        quadrant += whole;
    }
    return (dlc_angle){turn, (int32_t)quadrant};
}

/* sin and cos for |x| <= pi/4. */
DLC_INLINE float dlc_sin_small(float x)
{
    const float z = x * x;
    return x + x * z * (-1.6666654e-1f + z * (8.332102e-3f + z * -1.9506797e-4f));
}

DLC_INLINE float dlc_cos_small(float x)
{
    const float z = x * x;
    return 1.0f - (0.5f * z - z * z * (4.1666646e-2f + z * (-1.3887302e-3f + z * 2.4430881e-5f)));
}

/* sin(x + quadrants * pi/2). */
DLC_INLINE float dlc_sin_quadrant(float x, int32_t quadrants)
{
    const dlc_angle a = dlc_angle_f32(x);
    const float r = (float)(a.turn * 1.5707963267948966);
    const uint32_t quadrant = (uint32_t)(a.quadrant + quadrants);
    const float size = quadrant & 1 ? dlc_cos_small(r) : dlc_sin_small(r);
    const float result = dlc_from_bits_f32(dlc_bits_f32(size) ^ ((quadrant & 2) << 30));
    return dlc_abs_f32(x) < INFINITY ? result : x - x;
}

/* Of any finite angle in radians, however large; NaN of infinities. 2 ulp. */
DLC_INLINE float dlc_sin_f32(float x)
{
    const float result = dlc_sin_quadrant(x, 0);
    return dlc_abs_f32(x) < 0x1p-12f ? x : result; /* keeps -0 */
}
DLC_INLINE float dlc_cos_f32(float x) { return dlc_sin_quadrant(x, 1); }

/* sin/cos, or -cos/sin in odd quadrants. 3 ulp. */
DLC_INLINE float dlc_tan_f32(float x)
{
    const dlc_angle a = dlc_angle_f32(x);
    const float r = (float)(a.turn * 1.5707963267948966);
    const float s = dlc_sin_small(r), c = dlc_cos_small(r);
    const int odd = a.quadrant & 1;
    const float result = (odd ? -c : s) / (odd ? s : c);
    return dlc_abs_f32(x) < 0x1p-12f ? x : dlc_abs_f32(x) < INFINITY ? result : x - x;
}

/* asin(sqrt(z))/sqrt(z) - 1 for z <= 1/4. */
DLC_INLINE float dlc_asin_small(float z)
{
    float p = 4.2211797e-2f;
    p = p * z + 2.4152093e-2f;
    p = p * z + 4.547604e-2f;
    p = p * z + 7.495252e-2f;
    p = p * z + 1.6666754e-1f;
    return p * z;
}

/* Beyond 1/2, asin(x) = pi/2 - 2 asin(sqrt((1 - x)/2)). NaN outside -1 ... 1. 3 ulp. */
DLC_INLINE float dlc_asin_f32(float x)
{
    const float size = dlc_abs_f32(x);
    const int large = size > 0.5f;
    const float z = large ? 0.5f * (1.0f - size) : size * size;
    const float s = large ? sqrtf(z) : size;
    const float r = s * dlc_asin_small(z) + s;
    return dlc_copysign_f32(large ? 1.57079637f - (2.0f * r + 4.37113883e-8f) : r, x);
}

/* acos(x) = 2 asin(sqrt((1 - x)/2)) near 1, pi minus that of -x near -1, pi/2 - asin(x) between. 2 ulp. */
DLC_INLINE float dlc_acos_f32(float x)
{
    const float size = dlc_abs_f32(x);
    const int large = size > 0.5f;
    const float z = large ? 0.5f * (1.0f - size) : size * size;
    const float s = large ? sqrtf(z) : x;
    const float r = s * dlc_asin_small(z) + s;
    const float near_end = x < 0.0f ? 3.14159274f - (2.0f * r + 8.74227766e-8f) : 2.0f * r;
    return large ? near_end : 1.57079637f - (r + 4.37113883e-8f);
}

/* atan(x) for 0 <= x <= 1. */
DLC_INLINE float dlc_atan_small(float x)
{
    const float z = x * x;
    float p = 2.9203598e-3f;
    p = p * z - 1.636652e-2f;
    p = p * z + 4.3209426e-2f;
    p = p * z - 7.5519934e-2f;
    p = p * z + 1.0665893e-1f;
    p = p * z - 1.4211024e-1f;
    p = p * z + 1.9993769e-1f;
    p = p * z - 3.3333153e-1f;
    return p * z * x + x;
}

/* Beyond 1, pi/2 - atan(1/x). 2 ulp. */
DLC_INLINE float dlc_atan_f32(float x)
{
    const float size = dlc_abs_f32(x);
    const int large = size > 1.0f;
    const float r = dlc_atan_small(large ? 1.0f / size : size);
    return dlc_copysign_f32(large ? 1.57079637f - (r + 4.37113883e-8f) : r, x);
}

/* The angle of the point (x, y), in -pi ... pi, C's rules for zeros and infinities. 3 ulp. */
DLC_INLINE float dlc_atan2_f32(float y, float x)
{
    const float ay = dlc_abs_f32(y), ax = dlc_abs_f32(x);
    const float small = ay < ax ? ay : ax, large = ay < ax ? ax : ay;
    const float ratio = large == 0.0f ? 0.0f : small == INFINITY ? 1.0f : small / large;
    float r = dlc_atan_small(ratio);
    r = ay > ax ? 1.57079637f - (r + 4.37113883e-8f) : r;
    r = dlc_bits_f32(x) >> 31 ? 3.14159274f - (r + 8.74227766e-8f) : r;
    return ((x != x) | (y != y)) ? x + y : dlc_copysign_f32(r, y);
}

/* -- powers -------------------------------------------------------------------------------------------------------------- */
/* By libm (1 ulp), but for the small constant exponents that models are full of: those vectorise. */
DLC_INLINE float dlc_pow_f32(float x, float y)
{
    if (__builtin_constant_p(y)) {
        if (y == 1.0f)
            return x;
        if (y == 2.0f)
            return x * x;
        if (y == 3.0f)
            return x * x * x;
        if (y == -1.0f)
            return 1.0f / x;
    }
    return powf(x, y);
}
DLC_INLINE double dlc_pow_f64(double x, double y) { return pow(x, y); }

/* -- double -------------------------------------------------------------------------------------------------------------- */
#define DLC_LIBM(op)                                                                                                       \
    DLC_INLINE double dlc_##op##_f64(double x) { return op(x); }
DLC_LIBM(exp)
DLC_LIBM(expm1)
DLC_LIBM(log)
DLC_LIBM(log1p)
DLC_LIBM(sin)
DLC_LIBM(cos)
DLC_LIBM(tan)
DLC_LIBM(asin)
DLC_LIBM(acos)
DLC_LIBM(atan)
DLC_LIBM(sinh)
DLC_LIBM(cosh)
DLC_LIBM(tanh)
DLC_LIBM(asinh)
DLC_LIBM(acosh)
DLC_LIBM(atanh)
DLC_LIBM(erf)
#undef DLC_LIBM
DLC_INLINE double dlc_atan2_f64(double y, double x) { return atan2(y, x); }
DLC_INLINE double dlc_logistic_f64(double x)
{
    const double e = exp(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

#endif

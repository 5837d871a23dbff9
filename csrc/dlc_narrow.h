/* Floats of 4, 6 and 8 bits and integers of 2 and 4: storage, one byte an element. Arithmetic is done in float, or int8_t. Conversions
 * are scalar code without branches that compilers vectorise, exact one way and rounding half to even the other.
 */
#ifndef DLC_NARROW_H
#define DLC_NARROW_H

#include "dlc_math.h"

typedef uint8_t dlc_narrow; /* the bits of a narrow number, the upper ones 0 */

/* A format with a sign, bits of exponent, bits of fraction, and the exponent's bias. The formats have different ways to say that
 * something is no number: `largest` is the code of the largest finite number, `beyond` what takes the place of more, `nan` that of NaN
 * (with `only`, there is one NaN and no negative zero: the "uz" formats). Formats without NaN make a negative zero of it. */
typedef struct dlc_format {
    int exponent, fraction, bias;
    uint32_t largest, beyond, nan;
    int only;
} dlc_format;

#define DLC_F8E4M3FN ((dlc_format){4, 3, 7, 0x7e, 0x7f, 0x7f, 0})
#define DLC_F8E4M3FNUZ ((dlc_format){4, 3, 8, 0x7f, 0x80, 0x80, 1})
#define DLC_F8E5M2 ((dlc_format){5, 2, 15, 0x7b, 0x7c, 0x7e, 0})
#define DLC_F8E5M2FNUZ ((dlc_format){5, 2, 16, 0x7f, 0x80, 0x80, 1})
#define DLC_F6E2M3FN ((dlc_format){2, 3, 1, 0x1f, 0x1f, 0x20, 0})
#define DLC_F6E3M2FN ((dlc_format){3, 2, 3, 0x1f, 0x1f, 0x20, 0})
#define DLC_F4E2M1FN ((dlc_format){2, 1, 1, 0x7, 0x7, 0x8, 0})

DLC_INLINE float dlc_from_narrow(dlc_format f, dlc_narrow x)
{
    const uint32_t sign_bit = 1u << (f.exponent + f.fraction), size = x & (sign_bit - 1);
    /* the exponent's bias grows to 127: a multiplication, which subnormal numbers understand too */
    const float finite = dlc_from_bits_f32(size << (23 - f.fraction)) * dlc_from_bits_f32((uint32_t)(254 - f.bias) << 23);
    const uint32_t sign = (x & sign_bit) ? 0x80000000 : 0, bits = dlc_bits_f32(finite) | sign;
    if (f.only)
        return dlc_from_bits_f32(x == f.nan ? 0xffc00000 : bits);
    const uint32_t special = size == f.beyond && f.beyond != f.nan ? 0x7f800000 : 0x7fc00000;
    return dlc_from_bits_f32(size > f.largest ? special | sign : bits);
}

DLC_INLINE dlc_narrow dlc_to_narrow(dlc_format f, float x)
{
    const uint32_t bits = dlc_bits_f32(x), size = bits & 0x7fffffff, lost = (uint32_t)(23 - f.fraction);
    const uint32_t sign = (bits >> 31) << (f.exponent + f.fraction);
    /* Normal results: the bias changes, and bits of the fraction go, rounded to even. Subnormal ones: adding a power of two shifts the
     * fraction to where it belongs, and the addition rounds. */
    const uint32_t normal = ((size + ((1u << (lost - 1)) - 1) + (size >> lost & 1)) >> lost) - ((uint32_t)(127 - f.bias) << f.fraction);
    const uint32_t shift = (uint32_t)(127 + 24 - f.bias - f.fraction) << 23; /* its unit in the last place is the format's smallest number */
    const uint32_t subnormal = dlc_bits_f32(dlc_from_bits_f32(size) + dlc_from_bits_f32(shift)) - shift;
    const uint32_t finite = size < (uint32_t)(128 - f.bias) << 23 ? subnormal : normal;
    const uint32_t code = finite > f.largest ? f.beyond : finite;
    if (f.only)
        return (dlc_narrow)(size > 0x7f800000 || code == f.beyond ? f.nan : code == 0 ? 0 : code | sign);
    return (dlc_narrow)((size > 0x7f800000 ? f.nan : code) ^ sign);
}

#define DLC_NARROW(name, format)                                                                     \
    DLC_INLINE float dlc_##name##_to_f32(dlc_narrow x) { return dlc_from_narrow(format, x); }        \
    DLC_INLINE dlc_narrow dlc_f32_to_##name(float x) { return dlc_to_narrow(format, x); }

DLC_NARROW(f8e4m3fn, DLC_F8E4M3FN)
DLC_NARROW(f8e4m3fnuz, DLC_F8E4M3FNUZ)
DLC_NARROW(f8e5m2, DLC_F8E5M2)
DLC_NARROW(f8e5m2fnuz, DLC_F8E5M2FNUZ)
DLC_NARROW(f6e2m3fn, DLC_F6E2M3FN)
DLC_NARROW(f6e3m2fn, DLC_F6E3M2FN)
DLC_NARROW(f4e2m1fn, DLC_F4E2M1FN)

/* The power of two alone: 2^(x - 127), 0xff is NaN. */
DLC_INLINE float dlc_f8e8m0fnu_to_f32(dlc_narrow x)
{
    const uint32_t power = x ? (uint32_t)x << 23 : 0x00400000;
    return dlc_from_bits_f32(x == 0xff ? 0x7fc00000 : power);
}

DLC_INLINE dlc_narrow dlc_f32_to_f8e8m0fnu(float x)
{
    const uint32_t bits = dlc_bits_f32(x), fraction = bits & 0x7fffff, exponent = bits >> 23;
    const uint32_t rounded = exponent + (fraction > 0x400000 || (fraction == 0x400000 && exponent));
    return (dlc_narrow)(bits >= 0x7f800000 || bits == 0 || rounded >= 0xff ? 0xff : rounded);
}

/* -- integers: the low bits are the number, with their sign --------------------------------------------------------------- */
DLC_INLINE int8_t dlc_to_i4(int64_t x) { return (int8_t)((int8_t)((uint8_t)x << 4) >> 4); }
DLC_INLINE uint8_t dlc_to_u4(int64_t x) { return (uint8_t)(x & 15); }
DLC_INLINE int8_t dlc_to_i2(int64_t x) { return (int8_t)((int8_t)((uint8_t)x << 6) >> 6); }
DLC_INLINE uint8_t dlc_to_u2(int64_t x) { return (uint8_t)(x & 3); }

DLC_INLINE dlc_narrow dlc_from_i4(int8_t x) { return (dlc_narrow)(x & 15); }
DLC_INLINE dlc_narrow dlc_from_u4(uint8_t x) { return x; }
DLC_INLINE dlc_narrow dlc_from_i2(int8_t x) { return (dlc_narrow)(x & 3); }
DLC_INLINE dlc_narrow dlc_from_u2(uint8_t x) { return x; }

#endif

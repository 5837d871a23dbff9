/* 16-bit floats are storage: arithmetic is done in float. Conversions are scalar code without branches that compilers vectorise, exact
 * one way and rounding half to even the other; infinities, NaN and subnormal numbers keep their meaning.
 */
#ifndef DLC_HALF_H
#define DLC_HALF_H

#include "dlc_math.h"

typedef uint16_t dlc_float16;  /* 1 sign bit, 5 of exponent, 10 of fraction */
typedef uint16_t dlc_bfloat16; /* the upper half of a float */

DLC_INLINE float dlc_bf16_to_f32(dlc_bfloat16 x) { return dlc_from_bits_f32((uint32_t)x << 16); }

DLC_INLINE dlc_bfloat16 dlc_f32_to_bf16(float x)
{
    const uint32_t bits = dlc_bits_f32(x);
    const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1); /* to even; beyond the largest number the carry makes an infinity */
    return (dlc_bfloat16)((x != x ? bits | 0x400000 : rounded) >> 16); /* a NaN stays one */
}

DLC_INLINE float dlc_f16_to_f32(dlc_float16 x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000) << 16, size = (uint32_t)(x & 0x7fff) << 13;
    /* The exponent's bias grows from 15 to 127: a multiplication, which subnormal numbers understand too. */
    const uint32_t finite = dlc_bits_f32(dlc_from_bits_f32(size) * 0x1p112f);
    return dlc_from_bits_f32(sign | (size >= 0x0f800000 ? size | 0x7f800000 : finite));
}

DLC_INLINE dlc_float16 dlc_f32_to_f16(float x)
{
    const uint32_t bits = dlc_bits_f32(x), size = bits & 0x7fffffff;
    /* Normal results: the bias changes and 13 bits of the fraction go, rounded to even. Subnormal ones: adding 1/2 shifts the fraction to
     * where it belongs, and the addition rounds. */
    const uint32_t normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    const uint32_t subnormal = dlc_bits_f32(dlc_from_bits_f32(size) + 0.5f) - 0x3f000000;
    const uint32_t finite = size < 0x38800000 ? subnormal : normal;
    const uint32_t special = size > 0x7f800000 ? 0x7e00 : 0x7c00; /* NaN; infinity, and what rounds to it: 65520 and more */
    return (dlc_float16)((size >= 0x477ff000 ? special : finite) | (bits >> 16 & 0x8000));
}

/* What is left of a float that is stored and read again. */
DLC_INLINE float dlc_round_bf16(float x)
{
    const uint32_t bits = dlc_bits_f32(x);
    return dlc_from_bits_f32((x != x ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

DLC_INLINE float dlc_round_f16(float x)
{
    const uint32_t bits = dlc_bits_f32(x), size = bits & 0x7fffffff;
    const uint32_t normal = (size + 0xfff + (size >> 13 & 1)) & 0xffffe000;
    const uint32_t subnormal = dlc_bits_f32(dlc_from_bits_f32(size) + 0.5f - 0.5f);
    const uint32_t finite = size < 0x38800000 ? subnormal : normal;
    const uint32_t special = size > 0x7f800000 ? 0x7fc00000 : 0x7f800000;
    return dlc_from_bits_f32((size >= 0x477ff000 ? special : finite) | (bits & 0x80000000));
}

/* Of a double rounded twice, half might be made of what is not: so the first rounding is to odd, which the second one sees through. */
DLC_INLINE dlc_float16 dlc_f64_to_f16(double x)
{
    const float nearest = (float)x;
    const uint32_t down = dlc_bits_f32(nearest) - (fabs((double)nearest) > fabs(x)); /* towards zero */
    return dlc_f32_to_f16(dlc_from_bits_f32(down | ((double)nearest != x)));
}

#endif

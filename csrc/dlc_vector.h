/* Vectors of floats, as wide as the machine's: GCC's and Clang's vector extensions, so that one source serves AVX-512, AVX2, SSE2 and NEON.
 *
 * Arithmetic on vectors is written with operators; a*b + c in one expression becomes a fused multiply-add where there is one
 * (-ffp-contract=fast, GCC's default in gnu11; Clang contracts within an expression anyway).
 */
#ifndef DLC_VECTOR_H
#define DLC_VECTOR_H

#include "dlc_base.h"

/* Masked loads and stores are all that is needed of immintrin.h, which takes longer to read than most kernels to compile: where the
 * compiler has the builtins behind them, these are used. */
#if defined(__AVX512F__)
#define DLC_MASKED __builtin_ia32_loadups512_mask
#elif defined(__AVX__)
#define DLC_MASKED __builtin_ia32_maskloadps256
#endif
#if defined(DLC_MASKED) && defined(__has_builtin)
#if __has_builtin(DLC_MASKED)
#define DLC_MASKED_BUILTINS 1
#endif
#endif
#if defined(DLC_MASKED) && !defined(DLC_MASKED_BUILTINS)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define DLC_LANES 16 /* floats in a vector */
#elif defined(__AVX__)
#define DLC_LANES 8
#else
#define DLC_LANES 4
#endif

typedef float dlc_vf __attribute__((vector_size(4 * DLC_LANES)));
typedef int32_t dlc_vi __attribute__((vector_size(4 * DLC_LANES)));
/* A vector in memory, where it may begin at any float. */
typedef float dlc_vf_memory __attribute__((vector_size(4 * DLC_LANES), aligned(4), may_alias));

DLC_INLINE dlc_vf dlc_load(const float *p) { return *(const dlc_vf_memory *)p; }
DLC_INLINE void dlc_store(float *p, dlc_vf v) { *(dlc_vf_memory *)p = v; }

/* All lanes alike. (value - 0 is value, whatever it is, which lets compilers see one broadcast; value + 0 would lose the sign of -0.) */
DLC_INLINE dlc_vf dlc_broadcast(float value) { return value - (dlc_vf){0}; }

/* mask ? a : b, lane by lane; the lanes of a mask are -1 or 0, as vector comparisons give them. */
DLC_INLINE dlc_vf dlc_select(dlc_vi mask, dlc_vf a, dlc_vf b) { return (dlc_vf)((mask & (dlc_vi)a) | (~mask & (dlc_vi)b)); }

/* The larger and the smaller, lane by lane; b where either is NaN (what maxps and minps do). */
DLC_INLINE dlc_vf dlc_max_lanes(dlc_vf a, dlc_vf b) { return dlc_select(a > b, a, b); }
DLC_INLINE dlc_vf dlc_min_lanes(dlc_vf a, dlc_vf b) { return dlc_select(a < b, a, b); }

/* Lane i of the result is lane i ^ by. */
#ifdef __clang__
#define DLC_SHUFFLED(v, ...) __builtin_shufflevector(v, v, __VA_ARGS__)
#else
#define DLC_SHUFFLED(v, ...) __builtin_shuffle(v, (dlc_vi){__VA_ARGS__})
#endif
#define DLC_FOUR(i, by) (i) ^ (by), ((i) + 1) ^ (by), ((i) + 2) ^ (by), ((i) + 3) ^ (by)
#if DLC_LANES == 16
#define DLC_SWAPPED(v, by) DLC_SHUFFLED(v, DLC_FOUR(0, by), DLC_FOUR(4, by), DLC_FOUR(8, by), DLC_FOUR(12, by))
#elif DLC_LANES == 8
#define DLC_SWAPPED(v, by) DLC_SHUFFLED(v, DLC_FOUR(0, by), DLC_FOUR(4, by))
#else
#define DLC_SWAPPED(v, by) DLC_SHUFFLED(v, DLC_FOUR(0, by))
#endif

/* The sum of all lanes, and the largest that is no NaN (-infinity, if all are NaN), in as many steps as it takes to halve their number to one. */
DLC_INLINE float dlc_sum_of_lanes(dlc_vf v)
{
#if DLC_LANES == 16
    v += DLC_SWAPPED(v, 8);
#endif
#if DLC_LANES >= 8
    v += DLC_SWAPPED(v, 4);
#endif
    v += DLC_SWAPPED(v, 2);
    v += DLC_SWAPPED(v, 1);
    return v[0];
}
DLC_INLINE float dlc_largest_of_lanes(dlc_vf v)
{
    v = dlc_max_lanes(v, dlc_broadcast(-__builtin_inff()));
#if DLC_LANES == 16
    v = dlc_max_lanes(DLC_SWAPPED(v, 8), v);
#endif
#if DLC_LANES >= 8
    v = dlc_max_lanes(DLC_SWAPPED(v, 4), v);
#endif
    v = dlc_max_lanes(DLC_SWAPPED(v, 2), v);
    v = dlc_max_lanes(DLC_SWAPPED(v, 1), v);
    return v[0];
}

#if defined(__AVX512F__)
#define DLC_LANE_MASK(n) ((unsigned short)((1u << (n)) - 1))
#elif defined(__AVX__)
#define DLC_LANE_MASK(n) (*(const dlc_vi_memory *)(dlc_mask + 8 - (n)))
typedef int32_t dlc_vi_memory __attribute__((vector_size(4 * DLC_LANES), aligned(4), may_alias));
static const int32_t dlc_mask[16] __attribute__((unused)) = {-1, -1, -1, -1, -1, -1, -1, -1};
#endif

/* The first n lanes; the others are 0 and their memory is not touched. 0 <= n; more than DLC_LANES are as many as there are. */
DLC_INLINE dlc_vf dlc_load_partial(const float *p, int64_t n)
{
    if (n >= DLC_LANES)
        return dlc_load(p);
#if defined(__AVX512F__) && defined(DLC_MASKED_BUILTINS)
    return __builtin_ia32_loadups512_mask((const void *)p, (dlc_vf){0}, DLC_LANE_MASK(n));
#elif defined(__AVX512F__)
    return (dlc_vf)_mm512_maskz_loadu_ps(DLC_LANE_MASK(n), p);
#elif defined(__AVX__) && defined(DLC_MASKED_BUILTINS)
    return __builtin_ia32_maskloadps256((const void *)p, DLC_LANE_MASK(n));
#elif defined(__AVX__)
    return (dlc_vf)_mm256_maskload_ps(p, (__m256i)DLC_LANE_MASK(n));
#else
    dlc_vf v = {0};
    for (int64_t i = 0; i < n; ++i)
        v[i] = p[i];
    return v;
#endif
}

/* Writes the first n lanes and nothing else. */
DLC_INLINE void dlc_store_partial(float *p, dlc_vf v, int64_t n)
{
    if (n >= DLC_LANES) {
        dlc_store(p, v);
        return;
    }
#if defined(__AVX512F__) && defined(DLC_MASKED_BUILTINS)
    __builtin_ia32_storeups512_mask((void *)p, v, DLC_LANE_MASK(n));
#elif defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, DLC_LANE_MASK(n), (__m512)v);
#elif defined(__AVX__) && defined(DLC_MASKED_BUILTINS)
    __builtin_ia32_maskstoreps256((void *)p, DLC_LANE_MASK(n), v);
#elif defined(__AVX__)
    _mm256_maskstore_ps(p, (__m256i)DLC_LANE_MASK(n), (__m256)v);
#else
    for (int64_t i = 0; i < n; ++i)
        p[i] = v[i];
#endif
}

#endif

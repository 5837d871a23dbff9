/* Random numbers: bits that are a function of key and position (Threefry), and the sequence of the Mersenne Twister. */
#ifndef DLC_RANDOM_H
#define DLC_RANDOM_H

#include "dlc_math.h"

/* -- Threefry ------------------------------------------------------------------------------------------------------ */
DLC_INLINE uint32_t dlc_rotate_left(uint32_t x, int bits) { return x << bits | x >> (32 - bits); }

/* Element `index` of the random bits of a key: x ^ y of Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel
 * random numbers: as easy as 1, 2, 3") of the counter (index >> 32, index mod 2^32). No branches and no memory: it
 * vectorises. */
DLC_INLINE uint32_t dlc_random_bits_u32(uint32_t key0, uint32_t key1, int64_t index)
{
    const uint32_t words[3] = {key0, key1, key0 ^ key1 ^ UINT32_C(0x1BD11BDA)};
    static const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
    uint32_t x = (uint32_t)((uint64_t)index >> 32) + key0, y = (uint32_t)index + key1;
    DLC_UNROLL
    for (int block = 0; block < 5; ++block) {
        DLC_UNROLL
        for (int round = 0; round < 4; ++round) {
            x += y;
            y = dlc_rotate_left(y, rotations[block % 2][round]) ^ x;
        }
        x += words[(block + 1) % 3];
        y += words[(block + 2) % 3] + (uint32_t)block + 1;
    }
    return x ^ y;
}

/* -- the Mersenne Twister ------------------------------------------------------------------------------------------ */
#define DLC_MT_WORDS 624
#define DLC_MT_SHIFT 397

/* MT19937 (Matsumoto and Nishimura 1998), seeded and read as numpy.random.RandomState(seed) does. */
typedef struct dlc_mt19937 {
    uint32_t words[DLC_MT_WORDS];
    int position;
} dlc_mt19937;

DLC_INLINE void dlc_mt19937_seed(dlc_mt19937 *state, uint32_t seed)
{
    for (int i = 0; i < DLC_MT_WORDS; ++i) {
        state->words[i] = seed;
        seed = UINT32_C(1812433253) * (seed ^ seed >> 30) + (uint32_t)i + 1;
    }
    state->position = DLC_MT_WORDS;
}

DLC_NOINLINE void dlc_mt19937_renew(dlc_mt19937 *state)
{
    uint32_t *const words = state->words;
    for (int i = 0; i < DLC_MT_WORDS; ++i) {
        const int next = (i + 1) % DLC_MT_WORDS, other = (i + DLC_MT_SHIFT) % DLC_MT_WORDS;
        const uint32_t mixed = (words[i] & UINT32_C(0x80000000)) | (words[next] & UINT32_C(0x7fffffff));
        words[i] = words[other] ^ mixed >> 1 ^ (mixed & 1 ? UINT32_C(0x9908b0df) : 0);
    }
    state->position = 0;
}

DLC_INLINE uint32_t dlc_mt19937_bits(dlc_mt19937 *state)
{
    if (state->position == DLC_MT_WORDS)
        dlc_mt19937_renew(state);
    uint32_t y = state->words[state->position++];
    y ^= y >> 11;
    y ^= y << 7 & UINT32_C(0x9d2c5680);
    y ^= y << 15 & UINT32_C(0xefc60000);
    return y ^ y >> 18;
}

/* A multiple of 2^-53 in [0, 1). */
DLC_INLINE double dlc_mt19937_unit(dlc_mt19937 *state)
{
    const uint32_t high = dlc_mt19937_bits(state) >> 5, low = dlc_mt19937_bits(state) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

/* The first n numbers of a seed, uniform in [0, 1). */
DLC_NOINLINE void dlc_mt19937_uniform(uint32_t seed, int64_t n, double *result)
{
    dlc_mt19937 state;
    dlc_mt19937_seed(&state, seed);
    for (int64_t i = 0; i < n; ++i)
        result[i] = dlc_mt19937_unit(&state);
}

/* The first n numbers of a seed, of the standard normal distribution, by Marsaglia's polar method: two at a time, the
 * second one first. */
DLC_NOINLINE void dlc_mt19937_normal(uint32_t seed, int64_t n, double *result)
{
    dlc_mt19937 state;
    dlc_mt19937_seed(&state, seed);
    for (int64_t i = 0; i < n; i += 2) {
        double x, y, square;
        do {
            x = 2.0 * dlc_mt19937_unit(&state) - 1.0;
            y = 2.0 * dlc_mt19937_unit(&state) - 1.0;
            square = x * x + y * y;
        } while (square >= 1.0 || square == 0.0);
        const double radius = sqrt(-2.0 * log(square) / square);
        result[i] = radius * y;
        if (i + 1 < n)
            result[i + 1] = radius * x;
    }
}

#endif

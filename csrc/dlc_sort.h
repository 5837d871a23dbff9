/* Sorting and the first k of rows of numbers.
 *
 * An element becomes a word: its value, as an unsigned integer of the same order, above its index. No two words are
 * equal, so their order is the stable one whatever sorts them. NaN is above everything, and all NaN are equal; so are
 * -0 and 0. Types of up to 32 bits take words of 64 bits, of which 32 are the index; wider types words of 128.
 */
#ifndef DLC_SORT_H
#define DLC_SORT_H

#include "dlc_math.h"

__extension__ typedef unsigned __int128 dlc_uint128;

/* -- values as unsigned integers of the same order ----------------------------------------------------------------- */
DLC_INLINE uint32_t dlc_order_f32(float x)
{
    const uint32_t bits = dlc_bits_f32(x + 0.0f); /* -0 becomes 0 */
    return x != x ? UINT32_MAX : bits ^ (bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31);
}

DLC_INLINE uint64_t dlc_order_f64(double x)
{
    const double positive = x + 0.0;
    uint64_t bits;
    memcpy(&bits, &positive, sizeof bits);
    return x != x ? UINT64_MAX : bits ^ (bits >> 63 ? UINT64_MAX : UINT64_C(1) << 63);
}

DLC_INLINE uint64_t dlc_order_i64(int64_t x) { return (uint64_t)x ^ UINT64_C(1) << 63; }
DLC_INLINE uint32_t dlc_order_i32(int32_t x) { return (uint32_t)x ^ UINT32_C(1) << 31; }
DLC_INLINE uint16_t dlc_order_i16(int16_t x) { return (uint16_t)(x ^ 0x8000); }
DLC_INLINE uint8_t dlc_order_i8(int8_t x) { return (uint8_t)(x ^ 0x80); }
DLC_INLINE uint64_t dlc_order_u64(uint64_t x) { return x; }
DLC_INLINE uint32_t dlc_order_u32(uint32_t x) { return x; }
DLC_INLINE uint16_t dlc_order_u16(uint16_t x) { return x; }
DLC_INLINE uint8_t dlc_order_u8(uint8_t x) { return x; }

/* -- words --------------------------------------------------------------------------------------------------------- */
/* So many words are sorted sooner by insertion than by clearing and adding up the counts of digits. */
#define DLC_INSERTION 64

/* dlc_sort_NAME: words[0 ... n-1] in rising order, where the words stand in the order of their indices and only `bits`
 * bits above the lowest INDEX bits are values: a radix sort, a byte at a time. `spare` has room for n words.
 * dlc_sink_NAME: a word into a heap at `place`, from where it sinks below the larger ones; the root is the largest of
 * all.
 * dlc_sort_heap_NAME: the heap in rising order. */
#define DLC_WORDS(W, NAME, INDEX)                                                                                      \
    DLC_NOINLINE void dlc_insert_##NAME(W *words, int64_t n)                                                           \
    {                                                                                                                  \
        for (int64_t i = 1; i < n; ++i) {                                                                              \
            const W word = words[i];                                                                                   \
            int64_t place = i;                                                                                         \
            for (; place > 0 && words[place - 1] > word; --place)                                                      \
                words[place] = words[place - 1];                                                                       \
            words[place] = word;                                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    DLC_NOINLINE void dlc_sort_##NAME(W *words, W *spare, int64_t n, int bits)                                         \
    {                                                                                                                  \
        int64_t counts[INDEX / 8][256];                                                                                \
        W *from = words, *to = spare;                                                                                  \
        if (n <= DLC_INSERTION) {                                                                                      \
            dlc_insert_##NAME(words, n);                                                                               \
            return;                                                                                                    \
        }                                                                                                              \
        memset(counts, 0, (size_t)bits / 8 * sizeof counts[0]);                                                        \
        for (int64_t i = 0; i < n; ++i)                                                                                \
            for (int digit = 0; digit < bits / 8; ++digit)                                                             \
                ++counts[digit][(uint8_t)(words[i] >> (INDEX + 8 * digit))];                                           \
        for (int digit = 0; digit < bits / 8; ++digit) {                                                               \
            const int shift = INDEX + 8 * digit;                                                                       \
            if (counts[digit][(uint8_t)(from[0] >> shift)] == n)                                                       \
                continue; /* all have the same digit */                                                                \
            for (int64_t value = 0, total = 0, count; value < 256; ++value, total += count) {                          \
                count = counts[digit][value];                                                                          \
                counts[digit][value] = total;                                                                          \
            }                                                                                                          \
            for (int64_t i = 0; i < n; ++i)                                                                            \
                to[counts[digit][(uint8_t)(from[i] >> shift)]++] = from[i];                                            \
            W *const sorted = to;                                                                                      \
            to = from;                                                                                                 \
            from = sorted;                                                                                             \
        }                                                                                                              \
        if (from != words)                                                                                             \
            memcpy(words, from, (size_t)n * sizeof(W));                                                                \
    }                                                                                                                  \
    DLC_INLINE void dlc_sink_##NAME(W *heap, int64_t k, int64_t place, W word)                                         \
    {                                                                                                                  \
        for (int64_t child; (child = 2 * place + 1) < k; place = child) {                                              \
            child += child + 1 < k && heap[child + 1] > heap[child];                                                   \
            if (heap[child] < word)                                                                                    \
                break;                                                                                                 \
            heap[place] = heap[child];                                                                                 \
        }                                                                                                              \
        heap[place] = word;                                                                                            \
    }                                                                                                                  \
    DLC_NOINLINE void dlc_sort_heap_##NAME(W *heap, int64_t k)                                                         \
    {                                                                                                                  \
        while (k-- > 1) {                                                                                              \
            const W last = heap[k];                                                                                    \
            heap[k] = heap[0];                                                                                         \
            dlc_sink_##NAME(heap, k, 0, last);                                                                         \
        }                                                                                                              \
    }

DLC_WORDS(uint64_t, u64, 32)
DLC_WORDS(dlc_uint128, u128, 64)

/* -- rows ---------------------------------------------------------------------------------------------------------- */
/* From so many times fewer elements than the row has, a heap finds them sooner than sorting the row would. */
#define DLC_FEW 8

/* dlc_top_k_T: the first k <= n of the n elements x[i * step], largest or smallest first, of equals the one with the
 * lowest index: their values and their indices, either of which may be null. scratch: 2 words of 8 bytes for each
 * element (16 where T has more than 32 bits), of the row, or of the k where DLC_FEW * k <= n. */
#define DLC_TOP_K(T, suffix, U, W, NAME, INDEX)                                                                        \
    DLC_INLINE W dlc_word_##suffix(T x, int64_t i, int largest)                                                        \
    {                                                                                                                  \
        const U order = dlc_order_##suffix(x);                                                                         \
        return (W)(largest ? (U)~order : order) << INDEX | (W)i;                                                       \
    }                                                                                                                  \
    DLC_NOINLINE void dlc_top_k_##suffix(int64_t n, int64_t k, int largest, const T *x, int64_t step, T *values,       \
                                         int64_t values_step, int64_t *indices, int64_t indices_step, char *scratch)   \
    {                                                                                                                  \
        W *const words = (W *)scratch;                                                                                 \
        k = dlc_min(k, n);                                                                                             \
        const int few = k <= n / DLC_FEW;                                                                              \
        for (int64_t i = 0; i < (few ? k : n); ++i)                                                                    \
            words[i] = dlc_word_##suffix(x[i * step], i, largest);                                                     \
        if (few && k > 0) {                                                                                            \
            for (int64_t i = k / 2; i-- > 0;)                                                                          \
                dlc_sink_##NAME(words, k, i, words[i]);                                                                \
            for (int64_t i = k; i < n; ++i) {                                                                          \
                const W word = dlc_word_##suffix(x[i * step], i, largest);                                             \
                if (word < words[0])                                                                                   \
                    dlc_sink_##NAME(words, k, 0, word);                                                                \
            }                                                                                                          \
            dlc_sort_heap_##NAME(words, k);                                                                            \
        } else if (k > 0) {                                                                                            \
            dlc_sort_##NAME(words, words + n, n, 8 * (int)sizeof(U));                                                  \
        }                                                                                                              \
        for (int64_t i = 0; i < k; ++i) {                                                                              \
            const int64_t index = (int64_t)(words[i] & (((W)1 << INDEX) - 1));                                         \
            if (values)                                                                                                \
                values[i * values_step] = x[index * step];                                                             \
            if (indices)                                                                                               \
                indices[i * indices_step] = index;                                                                     \
        }                                                                                                              \
    }

DLC_TOP_K(float, f32, uint32_t, uint64_t, u64, 32)
DLC_TOP_K(int32_t, i32, uint32_t, uint64_t, u64, 32)
DLC_TOP_K(int16_t, i16, uint16_t, uint64_t, u64, 32)
DLC_TOP_K(int8_t, i8, uint8_t, uint64_t, u64, 32)
DLC_TOP_K(uint32_t, u32, uint32_t, uint64_t, u64, 32)
DLC_TOP_K(uint16_t, u16, uint16_t, uint64_t, u64, 32)
DLC_TOP_K(uint8_t, u8, uint8_t, uint64_t, u64, 32)
DLC_TOP_K(double, f64, uint64_t, dlc_uint128, u128, 64)
DLC_TOP_K(int64_t, i64, uint64_t, dlc_uint128, u128, 64)
DLC_TOP_K(uint64_t, u64, uint64_t, dlc_uint128, u128, 64)

#endif

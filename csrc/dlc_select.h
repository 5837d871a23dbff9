/* Selections whose size depends on the data: results have room for all there can be, and a count says how many there
 * are. What stands behind the last one is not written.
 */
#ifndef DLC_SELECT_H
#define DLC_SELECT_H

#include "dlc_sort.h"

/* -- where a mask is true ------------------------------------------------------------------------------------------ */
/* The positions of the elements mask[i * step] that are not 0, in rising order, and their number. Each thread counts
 * what stands before its part by itself: reading bytes is quicker than waiting for the others. */
DLC_NOINLINE void dlc_flatnonzero(const dlc_team *team, int64_t n, const uint8_t *mask, int64_t step,
                                  int64_t *positions, int64_t *count)
{
    const dlc_range part = dlc_split(team, n);
    int64_t found = 0;
    if (step == 1)
        for (int64_t i = 0; i < part.begin; ++i)
            found += mask[i] != 0;
    else
        for (int64_t i = 0; i < part.begin; ++i)
            found += mask[i * step] != 0;
    for (int64_t i = part.begin; i < part.end; ++i)
        if (mask[i * step])
            positions[found++] = i;
    if (team->index == team->count - 1)
        *count = found;
}

/* -- different rows ------------------------------------------------------------------------------------------------ */
/* dlc_sort_rows_T: the indices of n rows of m elements x[i * row + j * column] in the order of the rows, stable. They
 * lie in the workspace, which has room for 2 * n of them. Elements are compared by dlc_compare_T, as memcmp does. */
#define DLC_SORT_ROWS(T, suffix)                                                                                       \
    DLC_INLINE int dlc_compare_rows_##suffix(const T *a, const T *b, int64_t m, int64_t column)                        \
    {                                                                                                                  \
        for (int64_t j = 0; j < m; ++j) {                                                                              \
            const int order = dlc_compare_##suffix(a[j * column], b[j * column]);                                      \
            if (order)                                                                                                 \
                return order;                                                                                          \
        }                                                                                                              \
        return 0;                                                                                                      \
    }                                                                                                                  \
    DLC_NOINLINE int64_t *dlc_sort_rows_##suffix(int64_t n, int64_t m, const T *x, int64_t row, int64_t column,        \
                                                 char *workspace)                                                      \
    {                                                                                                                  \
        int64_t *order = (int64_t *)workspace, *spare = order + n;                                                     \
        for (int64_t i = 0; i < n; ++i)                                                                                \
            order[i] = i;                                                                                              \
        for (int64_t width = 1; width < n; width *= 2) {                                                               \
            for (int64_t begin = 0; begin < n; begin += 2 * width) {                                                   \
                const int64_t middle = dlc_min(begin + width, n), end = dlc_min(begin + 2 * width, n);                 \
                int64_t left = begin, right = middle;                                                                  \
                for (int64_t i = begin; i < end; ++i)                                                                  \
                    spare[i] = right == end || (left < middle && dlc_compare_rows_##suffix(x + order[left] * row,      \
                                                    x + order[right] * row, m, column) <= 0)                           \
                                   ? order[left++]                                                                     \
                                   : order[right++];                                                                   \
            }                                                                                                          \
            int64_t *const merged = spare;                                                                             \
            spare = order;                                                                                             \
            order = merged;                                                                                            \
        }                                                                                                              \
        return order;                                                                                                  \
    }

/* The same of numbers, compared as by dlc_order_T (all NaN are equal, and so are -0 and 0); rows of one element as
 * words. The workspace has room for 2 * n words. */
#define DLC_ORDER_ROWS(T, suffix, U, W, NAME, INDEX)                                                                   \
    DLC_INLINE int dlc_compare_##suffix(T a, T b)                                                                      \
    {                                                                                                                  \
        const U left = dlc_order_##suffix(a), right = dlc_order_##suffix(b);                                           \
        return (left > right) - (left < right);                                                                        \
    }                                                                                                                  \
    DLC_SORT_ROWS(T, suffix)                                                                                           \
    DLC_NOINLINE int64_t *dlc_order_rows_##suffix(int64_t n, int64_t m, const T *x, int64_t row, int64_t column,       \
                                                  char *workspace)                                                     \
    {                                                                                                                  \
        W *const words = (W *)workspace;                                                                               \
        int64_t *const order = (int64_t *)(words + n);                                                                 \
        if (m != 1)                                                                                                    \
            return dlc_sort_rows_##suffix(n, m, x, row, column, workspace);                                            \
        for (int64_t i = 0; i < n; ++i)                                                                                \
            words[i] = (W)dlc_order_##suffix(x[i * row]) << INDEX | (W)i;                                              \
        dlc_sort_##NAME(words, words + n, n, 8 * (int)sizeof(U));                                                      \
        for (int64_t i = 0; i < n; ++i)                                                                                \
            order[i] = (int64_t)(words[i] & (((W)1 << INDEX) - 1));                                                    \
        return order;                                                                                                  \
    }

/* dlc_unique_T: the different rows of n rows of m elements x[i * row + j * column]. Each gets a number: its rank where
 * `sorted`, else in the order of their first appearance. first[g]: the first row that is the g-th; inverse[i]: which
 * one row i is; counts[g]: how often it is there. workspace: as dlc_order_rows_T's, 16 bytes for each row (32 where T
 * has more than 32 bits). */
#define DLC_UNIQUE(T, suffix)                                                                                          \
    DLC_NOINLINE void dlc_unique_##suffix(int64_t n, int64_t m, const T *x, int64_t row, int64_t column, int sorted,   \
                                          int64_t *first, int64_t *inverse, int64_t *counts, int64_t *count,           \
                                          char *workspace)                                                             \
    {                                                                                                                  \
        const int64_t *const order = dlc_order_rows_##suffix(n, m, x, row, column, workspace);                         \
        int64_t groups = 0, next = 0;                                                                                  \
        for (int64_t i = 0; i < n; ++i) {                                                                              \
            if (i == 0 || dlc_compare_rows_##suffix(x + order[i - 1] * row, x + order[i] * row, m, column)) {          \
                first[groups] = order[i];                                                                              \
                counts[groups++] = 0;                                                                                  \
            }                                                                                                          \
            inverse[order[i]] = groups - 1;                                                                            \
            ++counts[groups - 1];                                                                                      \
        }                                                                                                              \
        *count = groups;                                                                                               \
        if (sorted)                                                                                                    \
            return;                                                                                                    \
        /* of a rank: its number, and how often it is there */                                                         \
        int64_t *const number = (int64_t *)workspace, *const ranked = number + n;                                      \
        for (int64_t g = 0; g < groups; ++g) {                                                                         \
            number[g] = -1;                                                                                            \
            ranked[g] = counts[g];                                                                                     \
        }                                                                                                              \
        for (int64_t i = 0; i < n; ++i) {                                                                              \
            const int64_t rank = inverse[i];                                                                           \
            if (number[rank] < 0) {                                                                                    \
                first[next] = i;                                                                                       \
                counts[next] = ranked[rank];                                                                           \
                number[rank] = next++;                                                                                 \
            }                                                                                                          \
            inverse[i] = number[rank];                                                                                 \
        }                                                                                                              \
    }

#define DLC_UNIQUE_NUMBERS(T, suffix, ...) DLC_ORDER_ROWS(T, suffix, __VA_ARGS__) DLC_UNIQUE(T, suffix)
DLC_UNIQUE_NUMBERS(float, f32, uint32_t, uint64_t, u64, 32)
DLC_UNIQUE_NUMBERS(int32_t, i32, uint32_t, uint64_t, u64, 32)
DLC_UNIQUE_NUMBERS(int16_t, i16, uint16_t, uint64_t, u64, 32)
DLC_UNIQUE_NUMBERS(int8_t, i8, uint8_t, uint64_t, u64, 32)
DLC_UNIQUE_NUMBERS(uint32_t, u32, uint32_t, uint64_t, u64, 32)
DLC_UNIQUE_NUMBERS(uint16_t, u16, uint16_t, uint64_t, u64, 32)
DLC_UNIQUE_NUMBERS(uint8_t, u8, uint8_t, uint64_t, u64, 32)
DLC_UNIQUE_NUMBERS(double, f64, uint64_t, dlc_uint128, u128, 64)
DLC_UNIQUE_NUMBERS(int64_t, i64, uint64_t, dlc_uint128, u128, 64)
DLC_UNIQUE_NUMBERS(uint64_t, u64, uint64_t, dlc_uint128, u128, 64)

/* Complex numbers are ordered by their real parts, then by their imaginary ones: as rows of twice as many real numbers,
 * which are put together behind the rest of the workspace. */
#define DLC_UNIQUE_COMPLEX(T, suffix, R, real)                                                                         \
    DLC_NOINLINE void dlc_unique_##suffix(int64_t n, int64_t m, const T *x, int64_t row, int64_t column, int sorted,   \
                                          int64_t *first, int64_t *inverse, int64_t *counts, int64_t *count,           \
                                          char *workspace)                                                             \
    {                                                                                                                  \
        R *const parts = (R *)(workspace + n * (sizeof(R) == 8 ? 32 : 16));                                            \
        for (int64_t i = 0; i < n; ++i)                                                                                \
            for (int64_t j = 0; j < m; ++j)                                                                            \
                memcpy(parts + 2 * (i * m + j), x + i * row + j * column, sizeof(T));                                  \
        dlc_unique_##real(n, 2 * m, parts, 2 * m, 1, sorted, first, inverse, counts, count, workspace);                \
    }
DLC_UNIQUE_COMPLEX(dlc_complex64, c64, float, f32)
DLC_UNIQUE_COMPLEX(dlc_complex128, c128, double, f64)

#endif

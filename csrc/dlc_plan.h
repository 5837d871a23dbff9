/* Sizes that depend on a model's symbolic dimensions: checked arithmetic, and the arena's plan. */
#ifndef DLC_PLAN_H
#define DLC_PLAN_H

#include <stdint.h>

#define DLC_ARENA_ALIGNMENT 64 /* a cache line, and the widest vector */

/* int64_t arithmetic that notes in *overflow when a result does not fit. */
static inline int64_t dlc_checked_add(int *overflow, int64_t a, int64_t b)
{
    int64_t result;
    *overflow |= __builtin_add_overflow(a, b, &result);
    return result;
}

static inline int64_t dlc_checked_mul(int *overflow, int64_t a, int64_t b)
{
    int64_t result;
    *overflow |= __builtin_mul_overflow(a, b, &result);
    return result;
}

/* Division and remainder round down, as Python's do. By zero they give 0: the divisor is then a dimension of extent 0, and the result
 * an index into what has no elements. */
static inline int64_t dlc_checked_floordiv(int *overflow, int64_t a, int64_t b)
{
    if (b == 0)
        return 0;
    if (b == -1)
        return dlc_checked_mul(overflow, a, -1);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static inline int64_t dlc_checked_mod(int *overflow, int64_t a, int64_t b)
{
    (void)overflow;
    if (b == 0 || b == -1)
        return 0;
    const int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static inline int64_t dlc_checked_max(int *overflow, int64_t a, int64_t b)
{
    (void)overflow;
    return a > b ? a : b;
}

static inline int64_t dlc_checked_min(int *overflow, int64_t a, int64_t b)
{
    (void)overflow;
    return a < b ? a : b;
}

/* A number known when the model was compiled (expression < 0), or the value of one of its expressions. */
typedef struct dlc_size {
    int64_t constant;
    int32_t expression;
} dlc_size;

static inline int64_t dlc_size_value(dlc_size size, const int64_t *values)
{
    return size.expression < 0 ? size.constant : values[size.expression];
}

/* A buffer of the arena, needed from call `first` to call `last`. */
typedef struct dlc_buffer {
    dlc_size bytes;
    int32_t first, last;
} dlc_buffer;

/* Places buffers in the arena: the largest first, each in the tightest gap left between those that live at the same time and are placed
 * already. kernels/memory.py does the same, step by step, for sizes that are known at compile time.
 *
 * sizes: bytes of each buffer, >= 0. offsets: where it begins. order, placed: room for `count` numbers each.
 * Returns the bytes of the arena, or -1 where they are beyond 64 bits. */
static inline int64_t dlc_plan_arena(int32_t count, const dlc_buffer *buffers, const int64_t *sizes, int64_t *offsets, int32_t *order,
                                     int32_t *placed)
{
    int64_t total = 0;
    int32_t placed_count = 0; /* of `placed`, which is sorted by offset */
    for (int32_t i = 0; i < count; ++i) { /* by size, the larger first; equal ones as they come */
        int32_t j = i;
        for (; j > 0 && sizes[order[j - 1]] < sizes[i]; --j)
            order[j] = order[j - 1];
        order[j] = i;
    }
    for (int32_t i = 0; i < count; ++i) {
        const int32_t buffer = order[i];
        offsets[buffer] = 0;
        if (sizes[buffer] == 0)
            continue;
        if (sizes[buffer] > INT64_MAX - DLC_ARENA_ALIGNMENT)
            return -1;
        const int64_t needed = (sizes[buffer] + DLC_ARENA_ALIGNMENT - 1) & -(int64_t)DLC_ARENA_ALIGNMENT;
        int64_t end = 0, best = -1, best_gap = INT64_MAX;
        for (int32_t j = 0; j < placed_count; ++j) {
            const int32_t other = placed[j];
            if (buffers[other].last < buffers[buffer].first || buffers[other].first > buffers[buffer].last)
                continue;
            const int64_t gap = offsets[other] - end;
            if (gap >= needed && gap < best_gap) {
                best = end;
                best_gap = gap;
            }
            const int64_t other_end = offsets[other] + ((sizes[other] + DLC_ARENA_ALIGNMENT - 1) & -(int64_t)DLC_ARENA_ALIGNMENT);
            end = other_end > end ? other_end : end;
        }
        const int64_t offset = best >= 0 ? best : end;
        if (offset > INT64_MAX - needed)
            return -1;
        offsets[buffer] = offset;
        total = offset + needed > total ? offset + needed : total;
        int32_t position = placed_count++;
        for (; position > 0 && offsets[placed[position - 1]] > offset; --position)
            placed[position] = placed[position - 1];
        placed[position] = buffer;
    }
    return total;
}

#endif

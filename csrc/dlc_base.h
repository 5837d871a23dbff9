/* What every generated function stands on: compiler attributes, index arithmetic, and the team of threads that runs a model. */
#ifndef DLC_BASE_H
#define DLC_BASE_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* A microkernel takes its tile as constants: they are constants only once it is inlined into its caller. */
#define DLC_INLINE static inline __attribute__((always_inline, unused))
/* Code that would only make its many callers larger. */
#define DLC_NOINLINE static __attribute__((noinline, unused))

/* Before a loop whose elements are read under a condition. gcc unrolls it otherwise, vectorises the loop around it, and then takes one
 * element's condition for another's (seen with 12.2, -O3 -fno-trapping-math, a pool of 3x3 with padding). */
#if defined(__GNUC__) && !defined(__clang__)
#define DLC_KEEP_LOOP _Pragma("GCC unroll 1")
#else
#define DLC_KEEP_LOOP
#endif
/* A cache line, and the widest vector; written after the declarator: float tile[64] DLC_ALIGNED. */
#define DLC_ALIGNED __attribute__((aligned(64)))
#define DLC_RESTRICT __restrict__

/* Complex numbers are moved, not computed with. */
typedef float _Complex dlc_complex64;
typedef double _Complex dlc_complex128;

/* A loop with few and constant iterations over an array that is to live in registers must be unrolled altogether: no register has an address. */
#ifdef __clang__
#define DLC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DLC_UNROLL _Pragma("GCC unroll 64")
#endif

/* -- index arithmetic ---------------------------------------------------------------------------------------------------- */
DLC_INLINE int64_t dlc_min(int64_t a, int64_t b) { return a < b ? a : b; }
DLC_INLINE int64_t dlc_max(int64_t a, int64_t b) { return a > b ? a : b; }

/* Division that rounds down and the remainder with the divisor's sign, as Python's // and %; by 0 both are 0, as NumPy's are. */
DLC_INLINE int64_t dlc_floordiv(int64_t a, int64_t b)
{
    if (b == 0 || b == -1) /* the machine's division would trap at 0, and where the most negative number is divided by -1 */
        return (int64_t)(0 - (uint64_t)a * (uint64_t)(b != 0));
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
DLC_INLINE int64_t dlc_floormod(int64_t a, int64_t b)
{
    if (b == 0 || b == -1)
        return 0;
    const int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* The same of numbers that are not negative, such as an index and an extent that may be 0. */
DLC_INLINE int64_t dlc_quotient(int64_t a, int64_t b) { return b == 0 ? 0 : a / b; }
DLC_INLINE int64_t dlc_remainder(int64_t a, int64_t b) { return b == 0 ? 0 : a % b; }

/* -- the team ------------------------------------------------------------------------------------------------------------ */
/* Where threads wait for one another. All zero at first. Arriving writes one cache line, waiting reads the other. */
typedef struct dlc_barrier_state {
    uint32_t arrived DLC_ALIGNED;    /* threads that wait in this generation */
    uint32_t generation DLC_ALIGNED; /* counts the barriers passed; it may wrap, only equality is asked */
    uint32_t asleep DLC_ALIGNED;     /* threads that have given up watching, or are about to */
} dlc_barrier_state;

/* A thread's view of the threads that run a model together. */
typedef struct dlc_team {
    int index, count;           /* this thread is number `index` of `count` */
    dlc_barrier_state *barrier; /* shared by the team; may be null for a team of one */
    char *scratch;              /* memory of this thread alone, aligned to a cache line */
    struct dlc_pool *pool;      /* where this thread makes strings, see dlc_pool.h */
} dlc_team;

typedef struct dlc_range {
    int64_t begin, end;
} dlc_range;

/* This thread's part of 0 ... n-1: contiguous, and no part is more than 1 longer than another. */
DLC_INLINE dlc_range dlc_split(const dlc_team *team, int64_t n)
{
    const int64_t size = n / team->count, longer = n % team->count; /* the first `longer` parts have one more */
    const int64_t begin = team->index * size + dlc_min(team->index, longer);
    return (dlc_range){begin, begin + size + (team->index < longer)};
}

DLC_INLINE void dlc_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Some tens of microseconds: longer than balanced work leaves anybody waiting, shorter than a time slice. */
#define DLC_SPINS 2048

/* Sleeps until the word is another than `value`, or for some reason of the system's. Where threads cannot sleep on a word they offer the
 * processor to others; who does that on a busy machine gets it back a time slice later, while who sleeps is soon let in when woken. */
DLC_NOINLINE void dlc_sleep(uint32_t *word, uint32_t value)
{
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    (void)word, (void)value;
    sched_yield();
#endif
}

DLC_NOINLINE void dlc_wake(uint32_t *word)
{
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
#else
    (void)word;
#endif
}

/* Waits for the whole team. What any of them wrote before, all of them read after.
 *
 * The last to arrive opens the next generation. The others watch for it, for a while without leaving the processor, since the kernels of
 * small models take less time than waking up; then they sleep, since with more threads than processors the one they wait for may need
 * theirs. Whoever opens a generation either sees that somebody is about to sleep, or has opened it before that one looks for the last time. */
DLC_INLINE void dlc_barrier(dlc_team *team)
{
    if (team->count == 1)
        return;
    dlc_barrier_state *const state = team->barrier;
    const uint32_t generation = __atomic_load_n(&state->generation, __ATOMIC_RELAXED); /* cannot change before this thread arrives */
    if (__atomic_add_fetch(&state->arrived, 1, __ATOMIC_ACQ_REL) == (uint32_t)team->count) {
        __atomic_store_n(&state->arrived, 0, __ATOMIC_RELAXED); /* nobody arrives again before the next line */
        __atomic_store_n(&state->generation, generation + 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&state->asleep, __ATOMIC_SEQ_CST))
            dlc_wake(&state->generation);
        return;
    }
    for (int spins = 0; spins < DLC_SPINS; ++spins) {
        if (__atomic_load_n(&state->generation, __ATOMIC_ACQUIRE) != generation)
            return;
        dlc_pause();
    }
    __atomic_add_fetch(&state->asleep, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&state->generation, __ATOMIC_SEQ_CST) == generation)
        dlc_sleep(&state->generation, generation);
    __atomic_sub_fetch(&state->asleep, 1, __ATOMIC_RELAXED);
}

#endif

/* A context: everything that a run of a model needs beside its inputs and outputs. */
#ifndef DLC_CONTEXT_H
#define DLC_CONTEXT_H

#include <sys/mman.h>
#include <time.h>

#include "dlc_layout.h"

#if DLC_THREADED
#include "dlc_fork.h"
#endif

typedef struct dlc_context dlc_context;

/* Memory that grows. */
typedef struct dlc_box {
    void *memory;
    int64_t capacity;
} dlc_box;

/* The memory of a stage: its buffers, then the scratch of each thread. */
typedef struct dlc_region {
    void *memory;
    int64_t capacity, scratch_offset, scratch;
} dlc_region;

struct dlc_context {
    const dlc_program *program;
    int32_t threads;
    int32_t status;  /* of the run in progress */
    int32_t planned; /* `layout` and `arena` fit `symbols` */
    int64_t *symbols;
    dlc_layout layout;
    void *arena;
    int64_t arena_bytes, scratch_offset;
    const void *const *inputs; /* of the run in progress */
    void *const *outputs;
    double *seconds; /* of each call; null unless the run is profiled */
    double since;
    int32_t marked;
#if DLC_THREADED
    dlc_barrier_state barrier;
    dlc_helper helper;
#endif
    dlc_region *stages;   /* of what a run learns, by number; the first is the arena's, and not used */
    dlc_box *boxes;       /* what has its size from data, and is not a stage's */
    dlc_box *results;     /* of each output whose size only a run knows */
    int64_t *result_dims; /* room for the dimensions of all outputs; null where there is no such output */
    char error[DLC_ERROR_BYTES];
};

static _Thread_local char dlc_create_error[DLC_ERROR_BYTES];
/* What stands for a null pointer to an empty array. */
static const char dlc_nothing[DLC_ARENA_ALIGNMENT] __attribute__((aligned(DLC_ARENA_ALIGNMENT)));

#define DLC_HUGE_PAGE ((int64_t)2 << 20)

static void *dlc_allocate(int64_t bytes)
{
    const int64_t alignment = bytes >= 2 * DLC_HUGE_PAGE ? DLC_HUGE_PAGE : 4096; /* fewer page faults and address misses */
    if (bytes < 0 || bytes > INT64_MAX - DLC_HUGE_PAGE)
        return NULL;
    const size_t size = (size_t)((bytes + alignment - 1) & -alignment);
    void *memory = aligned_alloc((size_t)alignment, size ? size : (size_t)alignment);
#ifdef MADV_HUGEPAGE
    if (memory && alignment == DLC_HUGE_PAGE)
        madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
}

DLC_NOINLINE int32_t dlc_no_memory(dlc_context *context, int64_t bytes)
{
    return dlc_fail(context->error, DLC_ERROR_MEMORY, "%s: no memory for an array of %" PRId64 " bytes", context->program->info->name, bytes);
}

#endif

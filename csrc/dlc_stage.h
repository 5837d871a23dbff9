/* What a run learns on its way: dimensions that are computed from data, and memory for what has its size from them. Every thread of the
 * team calls these; the first one does the work while the others wait. A status other than 0 ends the run. */
#ifndef DLC_STAGE_H
#define DLC_STAGE_H

#include <sys/mman.h>

#include "dlc_layout.h"

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

/* Room for `bytes`; the first `kept` of those that are there stay. */
DLC_NOINLINE int32_t dlc_grow(dlc_context *context, dlc_box *box, int64_t bytes, int64_t kept)
{
    if (bytes <= box->capacity && box->memory)
        return DLC_OK;
    const int64_t more = box->capacity + box->capacity / 2, capacity = bytes > more ? bytes : more;
    void *memory = dlc_allocate(capacity);
    if (!memory)
        return dlc_no_memory(context, bytes);
    if (kept)
        memcpy(memory, box->memory, (size_t)kept);
    free(box->memory);
    box->memory = memory;
    box->capacity = capacity;
    return DLC_OK;
}

#define DLC_FIRST_THREAD_DOES(action)        \
    do {                                     \
        dlc_barrier(team);                   \
        if (team->index == 0)                \
            context->status = (action);      \
        dlc_barrier(team);                   \
        return context->status;              \
    } while (0)

DLC_NOINLINE int32_t dlc_enter(dlc_context *context, int32_t number, const int64_t *const *sources)
{
    const dlc_program *program = context->program;
    const dlc_stage *stage = &program->stages[number];
    const char *name = program->info->name;
    dlc_layout *layout = &context->layout;
    for (int32_t i = 0; i < stage->symbols.count; ++i) {
        if (*sources[i] < 0)
            return dlc_fail(context->error, DLC_ERROR_SHAPE, "%s: node %s: a dimension is %" PRId64, name, stage->origin, *sources[i]);
        context->symbols[stage->symbols.first + i] = *sources[i];
    }
    if (stage->evaluate(context->symbols, layout->values))
        return dlc_fail(context->error, DLC_ERROR_SHAPE, "%s: node %s: an array has more bytes than 64 bits can count", name, stage->origin);
    int64_t bytes = 0;
    int32_t status = dlc_check_constraints(program, stage->constraints, context->symbols, layout->values, context->error);
    if (!status)
        status = dlc_place_buffers(program, stage->buffers, context->symbols, layout, &bytes, context->error);
    if (status)
        return status;
    dlc_region *region = &context->stages[number];
    region->scratch_offset = bytes;
    region->scratch = dlc_scratch_bytes(program, stage->scratch, layout->values);
    if (bytes < 0 || region->scratch < 0 || bytes > INT64_MAX / 2 - region->scratch * context->threads)
        return dlc_fail(context->error, DLC_ERROR_SHAPE, "%s: node %s: more bytes are needed than 64 bits can count", name, stage->origin);
    dlc_box box = {region->memory, region->capacity};
    status = dlc_grow(context, &box, bytes + region->scratch * context->threads, 0);
    region->memory = box.memory;
    region->capacity = box.capacity;
    return status;
}

/* Stage `stage` begins: its dimensions are the numbers at `sources`. */
DLC_RUNTIME int32_t dlc_define(dlc_context *context, dlc_team *team, int32_t stage, const int64_t *const *sources)
{
    DLC_FIRST_THREAD_DOES(dlc_enter(context, stage, sources));
}

/* `box` has room for `bytes`; what is in it is lost. */
DLC_RUNTIME int32_t dlc_reserve(dlc_context *context, dlc_team *team, dlc_box *box, int64_t bytes)
{
    DLC_FIRST_THREAD_DOES(dlc_grow(context, box, bytes, 0));
}

DLC_NOINLINE int32_t dlc_grow_by_turn(dlc_context *context, dlc_box *box, int64_t turn, int64_t bytes)
{
    int overflow = 0;
    const int64_t before = dlc_checked_mul(&overflow, turn, bytes), after = dlc_checked_add(&overflow, before, bytes);
    return overflow ? dlc_no_memory(context, INT64_MAX) : dlc_grow(context, box, after, before);
}

DLC_NOINLINE int32_t dlc_differs(dlc_context *context, const char *origin, int64_t turn, int64_t dim, int64_t before)
{
    return dlc_fail(context->error, DLC_ERROR_SHAPE, "%s: node %s: what turn %" PRId64 " yields has a dimension of %" PRId64
                    ", where the turns before it have %" PRId64, context->program->info->name, origin, turn, dim, before);
}

/* `*part` is the place of a turn's `bytes` behind those of the turns before it. Its `dims` that a run decides have to be theirs, which each
 * thread notes in `before`. */
DLC_RUNTIME int32_t dlc_append(dlc_context *context, dlc_team *team, dlc_box *box, int64_t turn, int64_t bytes, int32_t count,
                               const int64_t *dims, int64_t *before, const char *origin, void **part)
{
    int32_t same = 0;
    while (turn && same < count && dims[same] == before[same])
        ++same;
    dlc_barrier(team);
    if (team->index == 0)
        context->status = turn && same < count ? dlc_differs(context, origin, turn, dims[same], before[same])
                                               : dlc_grow_by_turn(context, box, turn, bytes);
    dlc_barrier(team);
    if (context->status)
        return context->status;
    for (int32_t i = 0; i < count; ++i)
        before[i] = dims[i];
    *part = (char *)box->memory + turn * bytes;
    return DLC_OK;
}

DLC_NOINLINE int32_t dlc_copy_in(dlc_context *context, dlc_box *box, const void *from, int64_t bytes)
{
    const int32_t status = dlc_grow(context, box, bytes, 0);
    if (!status && bytes)
        memcpy(box->memory, from, (size_t)bytes);
    return status;
}

/* `box` holds the `bytes` at `from`. */
DLC_RUNTIME int32_t dlc_fill(dlc_context *context, dlc_team *team, dlc_box *box, const void *from, int64_t bytes)
{
    DLC_FIRST_THREAD_DOES(dlc_copy_in(context, box, from, bytes));
}

#endif

/* What generated code says about its model, the context that a run of it needs, and the functions of the runtime. */
#ifndef DLC_CONTEXT_H
#define DLC_CONTEXT_H

#include <pthread.h>
#include <time.h>

#include "dlc_base.h"
#include "dlc_model.h"
#include "dlc_plan.h"
#include "dlc_pool.h"

#define DLC_ERROR_BYTES 512 /* of a message */
#define DLC_MAX_THREADS 1024

struct dlc_context;

/* Two dimensions that have to be equal, or the left one at most the right one. */
typedef struct dlc_constraint {
    enum { DLC_EQUAL, DLC_AT_MOST } relation;
    dlc_size left, right;
    const char *left_text, *right_text;
    const char *origin; /* the model's node that needs it */
} dlc_constraint;

/* Rows of a table: `count` of them from `first` on. */
typedef struct dlc_rows {
    int32_t first, count;
} dlc_rows;

/* What becomes known together: stage 0 with the dimensions of the inputs, each later one with dimensions that a run computes. */
typedef struct dlc_stage {
    dlc_rows symbols, buffers, constraints, scratch;
    int (*evaluate)(const int64_t *symbols, int64_t *values); /* not 0: a value does not fit 64 bits */
    const char *origin;                                       /* the model's nodes that its dimensions come from */
} dlc_stage;

/* What the code of a model says about it. Sizes refer to the values that `evaluate` computes of the symbols. */
/* An output that is the next value of an input: the calls find the input's value in the output's array. */
typedef struct dlc_update {
    int32_t output, input;
} dlc_update;

typedef struct dlc_program {
    const dlc_model_info *info;
    int32_t expression_count, cost_count;
    int32_t buffer_count; /* 0 where the arena was planned at compile time */
    int32_t constraint_count, scratch_count, update_count;
    int32_t stage_count, unknown_count, box_count; /* stages; symbols that later ones define; boxes, see dlc_stage.h */
    int64_t arena_bytes; /* of an arena planned at compile time */
    const dlc_stage *stages;
    void (*evaluate_costs)(const int64_t *symbols, int64_t *values); /* one that does not fit is -1 */
    const dlc_buffer *buffers;
    const dlc_constraint *constraints;
    const dlc_size *scratch;    /* bytes each thread needs in the calls that need any; it gets the most of them */
    const dlc_size *dimensions; /* of the inputs, one after the other, then of the outputs */
    const dlc_size *port_bytes; /* of the inputs, then of the outputs */
    const dlc_update *updates;
    const dlc_size *flops, *bytes; /* of the calls */
    void (*calls)(struct dlc_context *context, dlc_team *team); /* every thread of the team runs this */
} dlc_program;

/* Where everything lies for some values of the symbols. */
typedef struct dlc_layout {
    int64_t *values, *sizes, *offsets;
    int32_t *order, *placed;
    int64_t bytes, scratch; /* of the arena's buffers; of each thread */
} dlc_layout;

/* -- contexts ----------------------------------------------------------------------------------------------------------- */
/* A thread that runs what it is handed, and is kept for the next time. */
typedef struct dlc_helper {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    void (*work)(void *);
    void *argument;
    int started, forks; /* the thread exists in the process that has forked that often */
    enum { DLC_HELPER_IDLE, DLC_HELPER_WORK, DLC_HELPER_STOP } state;
} dlc_helper;

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
    dlc_pool *pools;      /* of each thread */
    int64_t *result_dims; /* room for the dimensions of all outputs; null where there is no such output */
    char error[DLC_ERROR_BYTES];
};

/* -- the runtime -------------------------------------------------------------------------------------------------------- */
/* It comes with the model's own source, as static functions; or DLC_RUNTIME_APART says that it is compiled apart, once for many models,
 * by a unit that defines DLC_RUNTIME_UNIT. */
#if defined(DLC_RUNTIME_APART) || defined(DLC_RUNTIME_UNIT)
#define DLC_RUNTIME
#else
#define DLC_RUNTIME static __attribute__((unused))
#endif

DLC_RUNTIME dlc_context *dlc_create(const dlc_program *program, const dlc_options *options);
DLC_RUNTIME int32_t dlc_run(dlc_context *context, const int64_t *symbols, const void *const *inputs, void *const *outputs);
DLC_RUNTIME const char *dlc_error(const dlc_context *context);
DLC_RUNTIME void dlc_destroy(dlc_context *context);
DLC_RUNTIME int64_t dlc_arena_bytes(const dlc_program *program, const int64_t *symbols, int32_t threads);
DLC_RUNTIME int32_t dlc_shape(const dlc_program *program, const int64_t *symbols, int32_t port, int64_t *dims);
DLC_RUNTIME void dlc_costs(const dlc_program *program, const int64_t *symbols, int64_t *flops, int64_t *bytes);

/* The same for dlc_model_info. */
DLC_RUNTIME int32_t dlc_any_run(void *context, const int64_t *symbols, const void *const *inputs, void *const *outputs);
DLC_RUNTIME const char *dlc_any_error(const void *context);
DLC_RUNTIME void dlc_any_destroy(void *context);
DLC_RUNTIME void dlc_any_profile(void *context, double *seconds);
DLC_RUNTIME int32_t dlc_any_threads(const void *context);

/* What a run learns on its way. Every thread of the team calls these; the first one does the work while the others wait. A status other
 * than 0 ends the run. */
/* Stage `stage` begins: its dimensions are the numbers at `sources`. */
DLC_RUNTIME int32_t dlc_define(dlc_context *context, dlc_team *team, int32_t stage, const int64_t *const *sources);
/* `box` has room for `bytes`; what is in it is lost. */
DLC_RUNTIME int32_t dlc_reserve(dlc_context *context, dlc_team *team, dlc_box *box, int64_t bytes);
/* `*part` is the place of a turn's `bytes` behind those of the turns before it. */
DLC_RUNTIME int32_t dlc_append(dlc_context *context, dlc_team *team, dlc_box *box, int64_t turn, int64_t bytes, int32_t count,
                               const int64_t *dims, int64_t *before, const char *origin, void **part);
/* `box` holds the `bytes` at `from`. */
DLC_RUNTIME int32_t dlc_fill(dlc_context *context, dlc_team *team, dlc_box *box, const void *from, int64_t bytes);

/* -- what generated code calls ------------------------------------------------------------------------------------------ */
/* Call `call` begins: what has passed since the last mark was the call before it. */
static inline void dlc_mark(dlc_context *context, const dlc_team *team, int32_t call)
{
    if (__builtin_expect(context->seconds == NULL, 1) || team->index != 0)
        return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    if (context->marked >= 0)
        context->seconds[context->marked] += seconds - context->since;
    context->since = seconds;
    context->marked = call;
}

/* The team that a call on one thread is made by. */
static inline dlc_team dlc_alone(const dlc_team *team)
{
    dlc_team alone = *team;
    alone.index = 0;
    alone.count = 1;
    return alone;
}

/* What stands for a null pointer to an empty array. */
static const char dlc_nothing[DLC_ARENA_ALIGNMENT] __attribute__((aligned(DLC_ARENA_ALIGNMENT), unused));

/* The argument of a call: an array of the caller's, or something to point to where it is empty and its pointer null. */
static inline const void *dlc_input(const dlc_context *context, int32_t index)
{
    return context->inputs[index] ? context->inputs[index] : dlc_nothing;
}

static inline void *dlc_output(const dlc_context *context, int32_t index)
{
    return context->outputs[index] ? context->outputs[index] : (void *)(uintptr_t)dlc_nothing;
}

/* The team for a call whose scratch is as large as a stage says. */
static inline dlc_team dlc_stage_team(const dlc_context *context, const dlc_team *team, int32_t stage)
{
    const dlc_region *region = &context->stages[stage];
    dlc_team result = *team;
    result.scratch = (char *)region->memory + region->scratch_offset + team->index * region->scratch;
    return result;
}

#endif

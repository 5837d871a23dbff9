/* The run of a model: contexts, the arena, the team of threads. Included by the one source file of a model that has its functions;
 * that file describes the model in a `dlc_program`, and what is here works from the description. */
#ifndef DLC_RUNTIME_H
#define DLC_RUNTIME_H

#ifndef _GNU_SOURCE
#error "compile with -D_GNU_SOURCE (or -std=gnu11 and _GNU_SOURCE before the first include)"
#endif

#include "dlc_context.h"

#ifndef DLC_RUNTIME_APART
#include "dlc_stage.h"

#if DLC_THREADED
#include "dlc_fork.h"
#endif

static _Thread_local char dlc_create_error[DLC_ERROR_BYTES];

/* -- the arena ---------------------------------------------------------------------------------------------------------- */
static int32_t dlc_plan(dlc_context *context, const int64_t *symbols)
{
    const dlc_program *program = context->program;
    context->planned = 0;
    int32_t status = dlc_lay_out(program, symbols, &context->layout, context->error);
    if (status)
        return status;
    const int64_t bytes = dlc_layout_bytes(&context->layout, context->threads);
    if (!context->arena || bytes < 0 || bytes > context->arena_bytes) {
        free(context->arena);
        context->arena = dlc_allocate(bytes);
        context->arena_bytes = context->arena ? bytes : 0;
        if (!context->arena) {
            char text[256];
            return dlc_fail(context->error, DLC_ERROR_MEMORY, "%s: no memory for an arena of %" PRId64 " bytes (%s%s%d threads)",
                            program->info->name, bytes, dlc_symbols_text(program->info, symbols, text, sizeof text),
                            program->info->symbol_count ? ", " : "", (int)context->threads);
        }
    }
    context->scratch_offset = context->layout.bytes;
    if (program->info->symbol_count)
        memcpy(context->symbols, symbols, (size_t)program->info->symbol_count * sizeof *symbols);
    context->planned = 1;
    return DLC_OK;
}

/* -- runs --------------------------------------------------------------------------------------------------------------- */
static dlc_team dlc_member(dlc_context *context, int index, int count)
{
    dlc_team team;
    memset(&team, 0, sizeof team);
    team.index = index;
    team.count = count;
    team.pool = &context->pools[index];
    team.scratch = (void *)((char *)context->arena + context->scratch_offset + index * context->layout.scratch);
#if DLC_THREADED
    team.barrier = &context->barrier;
#endif
    return team;
}

#if DLC_THREADED
/* libgomp orders what comes before, in, and after a parallel region, out of ThreadSanitizer's sight: it is shown the same order again. */
static int32_t dlc_order;
#if defined(__SANITIZE_THREAD__)
#define DLC_ORDER() (void)__atomic_add_fetch(&dlc_order, 1, __ATOMIC_ACQ_REL)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DLC_ORDER() (void)__atomic_add_fetch(&dlc_order, 1, __ATOMIC_ACQ_REL)
#endif
#endif
#ifndef DLC_ORDER
#define DLC_ORDER() (void)dlc_order
#endif

static void dlc_work(void *argument)
{
    dlc_context *context = argument;
    DLC_ORDER();
    dlc_team team = dlc_member(context, omp_get_thread_num(), omp_get_num_threads());
    context->program->calls(context, &team);
    DLC_ORDER();
}

static void dlc_parallel(void *argument)
{
    dlc_context *context = argument;
    memset(&context->barrier, 0, sizeof context->barrier);
    DLC_ORDER();
    GOMP_parallel(dlc_work, context, (unsigned)context->threads, 0);
    DLC_ORDER();
}
#endif

static int32_t dlc_compute(dlc_context *context)
{
#if DLC_THREADED
    if (context->threads > 1) {
        if (!dlc_pool_is_stale()) {
            dlc_parallel(context);
            return context->status;
        }
        const int failure = dlc_helper_run(&context->helper, dlc_parallel, context);
        return failure ? dlc_fail(context->error, DLC_ERROR_THREAD, "%s: no thread to run on after a fork: %s",
                                  context->program->info->name, strerror(failure))
                       : context->status;
    }
#endif
    dlc_team team = dlc_member(context, 0, 1);
    context->program->calls(context, &team);
    return context->status;
}

/* What went wrong on some thread where a string was made. */
static int32_t dlc_text_status(dlc_context *context)
{
    for (int32_t i = 0; i < context->threads; ++i)
        if (context->pools[i].failure)
            return dlc_fail(context->error, context->pools[i].status, "%s: %s", context->program->info->name, context->pools[i].failure);
    return DLC_OK;
}

/* Whether port `i` is an output whose size only a run knows. */
static int dlc_is_result(const dlc_model_info *info, int32_t i)
{
    const dlc_port *port = i < info->input_count ? &info->inputs[i] : &info->outputs[i - info->input_count];
    for (int32_t axis = 0; axis < port->rank; ++axis)
        if (port->dims[axis].symbol == -3)
            return 1;
    return 0;
}

/* Tells the caller where the outputs are whose size was not known before, and what it is. */
static void dlc_hand_out(dlc_context *context)
{
    const dlc_program *program = context->program;
    const dlc_model_info *info = program->info;
    const dlc_size *dimension = program->dimensions;
    int64_t *dims = context->result_dims;
    for (int32_t i = 0; i < info->input_count; ++i)
        dimension += info->inputs[i].rank;
    for (int32_t i = 0; i < info->output_count; ++i) {
        const int32_t rank = info->outputs[i].rank;
        if (dlc_is_result(info, info->input_count + i)) {
            for (int32_t axis = 0; axis < rank; ++axis)
                dims[axis] = dlc_size_value(dimension[axis], context->layout.values);
            const void *memory = context->results[i].memory;
            *(dlc_array *)context->outputs[i] = (dlc_array){memory ? memory : dlc_nothing, rank, dims};
        }
        dimension += rank;
        dims += rank;
    }
}

static int32_t dlc_check_pointers(dlc_context *context, const void *const *inputs, void *const *outputs)
{
    const dlc_program *program = context->program;
    const dlc_model_info *info = program->info;
    for (int32_t i = 0; i < info->input_count + info->output_count; ++i) {
        const int output = i >= info->input_count;
        const void *pointer = output ? outputs[i - info->input_count] : inputs[i];
        const int needed = dlc_is_result(info, i) || dlc_size_value(program->port_bytes[i], context->layout.values) > 0;
        if (!pointer && needed)
            return dlc_fail(context->error, DLC_ERROR_ARGUMENT, "%s: the pointer for %s %s is null", info->name,
                            output ? "output" : "input", output ? info->outputs[i - info->input_count].name : info->inputs[i].name);
    }
    return DLC_OK;
}

/* Puts the old values where the calls look for them, unless the caller has given one array for both. */
static void dlc_begin_updates(const dlc_context *context, const void *const *inputs, void *const *outputs)
{
    const dlc_program *program = context->program;
    for (int32_t i = 0; i < program->update_count; ++i) {
        const dlc_update update = program->updates[i];
        if (outputs[update.output] != inputs[update.input])
            memcpy(outputs[update.output], inputs[update.input],
                   (size_t)dlc_size_value(program->port_bytes[update.input], context->layout.values));
    }
}

DLC_RUNTIME int32_t dlc_run(dlc_context *context, const int64_t *symbols, const void *const *inputs, void *const *outputs)
{
    if (!context)
        return DLC_ERROR_ARGUMENT;
    const dlc_model_info *info = context->program->info;
    int32_t status = DLC_OK;
    if (!context->planned || (info->symbol_count && memcmp(symbols, context->symbols, (size_t)info->symbol_count * sizeof *symbols)))
        status = dlc_plan(context, symbols);
    if (!status)
        status = dlc_check_pointers(context, inputs, outputs);
    if (status)
        return status;
    context->inputs = inputs;
    context->outputs = outputs;
    context->marked = -1;
    context->status = DLC_OK;
    for (int32_t i = 0; i < context->threads; ++i)
        dlc_pool_rewind(&context->pools[i]);
    dlc_begin_updates(context, inputs, outputs);
    status = dlc_compute(context);
    if (!status)
        status = dlc_text_status(context);
    if (!status && context->result_dims)
        dlc_hand_out(context);
    if (context->seconds) {
        const dlc_team first = dlc_member(context, 0, 1);
        dlc_mark(context, &first, -1);
    }
    return status;
}

/* -- contexts ----------------------------------------------------------------------------------------------------------- */
static int32_t dlc_default_threads(const dlc_program *program)
{
#if DLC_THREADED
    const int processors = omp_get_num_procs(), wanted = omp_get_max_threads();
    int threads = processors < wanted ? processors : wanted;
    if (program->info->threads && threads > program->info->threads)
        threads = program->info->threads;
    return threads < 1 ? 1 : threads > DLC_MAX_THREADS ? DLC_MAX_THREADS : threads;
#else
    (void)program;
    return 1;
#endif
}

DLC_RUNTIME void dlc_destroy(dlc_context *context)
{
    if (!context)
        return;
#if DLC_THREADED
    dlc_helper_stop(&context->helper);
#endif
    for (int32_t i = 0; i < context->program->stage_count; ++i)
        free(context->stages[i].memory);
    for (int32_t i = 0; i < context->program->box_count + context->program->info->output_count; ++i)
        free(context->boxes[i].memory);
    for (int32_t i = 0; i < context->threads; ++i)
        dlc_pool_free(&context->pools[i]);
    free(context->arena);
    free(context);
}

DLC_RUNTIME dlc_context *dlc_create(const dlc_program *program, const dlc_options *options)
{
    dlc_layout layout;
    dlc_create_error[0] = 0;
    const int32_t asked = options ? options->threads : 0;
    if (asked < 0 || asked > DLC_MAX_THREADS) {
        dlc_fail(dlc_create_error, DLC_ERROR_ARGUMENT, "%s: %d threads asked for; 0 (the default) to %d are possible",
                 program->info->name, (int)asked, DLC_MAX_THREADS);
        return NULL;
    }
    const dlc_model_info *info = program->info;
    size_t ranks = 0;
    for (int32_t i = 0; i < info->output_count; ++i)
        ranks += (size_t)info->outputs[i].rank;
    const size_t head = (sizeof(dlc_context) + 7) & ~(size_t)7;
    const size_t symbols = (size_t)(info->symbol_count + program->unknown_count) * sizeof(int64_t);
    const size_t regions = (size_t)program->stage_count * sizeof(dlc_region);
    const size_t boxes = (size_t)(program->box_count + info->output_count) * sizeof(dlc_box);
#if DLC_THREADED
    const int32_t threads = asked ? asked : dlc_default_threads(program);
#else
    const int32_t threads = 1;
#endif
    const size_t pools = (size_t)threads * sizeof(dlc_pool);
    dlc_context *context = dlc_layout_allocate(program, head + symbols + regions + boxes + pools + ranks * sizeof(int64_t), &layout);
    if (!context) {
        dlc_fail(dlc_create_error, DLC_ERROR_MEMORY, "%s: no memory for a context", program->info->name);
        return NULL;
    }
    context->program = program;
    context->layout = layout;
    context->symbols = (int64_t *)(void *)((char *)context + head);
    context->stages = (dlc_region *)(void *)((char *)context->symbols + symbols);
    context->boxes = (dlc_box *)(void *)((char *)context->stages + regions);
    context->results = context->boxes + program->box_count;
    context->pools = (dlc_pool *)(void *)(context->results + info->output_count);
    context->result_dims = program->unknown_count ? (int64_t *)(void *)(context->pools + threads) : NULL;
    context->threads = threads;
#if DLC_THREADED
    dlc_threads_begin();
#endif
    if (!program->info->symbol_count && dlc_plan(context, NULL)) {
        memcpy(dlc_create_error, context->error, sizeof dlc_create_error);
        dlc_destroy(context);
        return NULL;
    }
    return context;
}

DLC_RUNTIME const char *dlc_error(const dlc_context *context)
{
    return context ? context->error : dlc_create_error;
}

/* -- for dlc_model_info -------------------------------------------------------------------------------------------------- */
DLC_RUNTIME int32_t dlc_any_run(void *context, const int64_t *symbols, const void *const *inputs, void *const *outputs)
{
    return dlc_run(context, symbols, inputs, outputs);
}

DLC_RUNTIME const char *dlc_any_error(const void *context)
{
    return dlc_error(context);
}

DLC_RUNTIME void dlc_any_destroy(void *context)
{
    dlc_destroy(context);
}

DLC_RUNTIME void dlc_any_profile(void *context, double *seconds)
{
    ((dlc_context *)context)->seconds = seconds;
}

DLC_RUNTIME int32_t dlc_any_threads(const void *context)
{
    return ((const dlc_context *)context)->threads;
}

/* -- questions ---------------------------------------------------------------------------------------------------------- */
DLC_RUNTIME int64_t dlc_arena_bytes(const dlc_program *program, const int64_t *symbols, int32_t threads)
{
    dlc_layout layout;
    char error[DLC_ERROR_BYTES];
    if (threads < 0 || threads > DLC_MAX_THREADS)
        return -1;
    void *memory = dlc_layout_allocate(program, 0, &layout);
    if (!memory)
        return -1;
    const int failed = dlc_lay_out(program, symbols, &layout, error);
    const int64_t bytes = failed ? -1 : dlc_layout_bytes(&layout, threads ? threads : dlc_default_threads(program));
    free(memory);
    return bytes;
}

DLC_RUNTIME int32_t dlc_shape(const dlc_program *program, const int64_t *symbols, int32_t port, int64_t *dims)
{
    const dlc_model_info *info = program->info;
    dlc_layout layout;
    if (port < 0 || port >= info->input_count + info->output_count)
        return dlc_fail(dlc_create_error, DLC_ERROR_ARGUMENT, "%s: there is no port %d", info->name, (int)port);
    void *memory = dlc_layout_allocate(program, 0, &layout);
    if (!memory)
        return dlc_fail(dlc_create_error, DLC_ERROR_MEMORY, "%s: no memory to compute a shape", info->name);
    const int32_t status = dlc_evaluate(program, symbols, layout.values, dlc_create_error);
    if (!status) {
        const dlc_size *dimension = program->dimensions;
        for (int32_t i = 0; i < port; ++i)
            dimension += i < info->input_count ? info->inputs[i].rank : info->outputs[i - info->input_count].rank;
        const int32_t rank = port < info->input_count ? info->inputs[port].rank : info->outputs[port - info->input_count].rank;
        const dlc_dim *dim = port < info->input_count ? info->inputs[port].dims : info->outputs[port - info->input_count].dims;
        for (int32_t axis = 0; axis < rank; ++axis)
            dims[axis] = dim[axis].symbol == -3 ? -1 : dlc_size_value(dimension[axis], layout.values);
    }
    free(memory);
    return status;
}

DLC_RUNTIME void dlc_costs(const dlc_program *program, const int64_t *symbols, int64_t *flops, int64_t *bytes)
{
    int64_t *values = calloc((size_t)program->cost_count + 1, sizeof *values);
    if (values)
        program->evaluate_costs(symbols, values);
    for (int32_t i = 0; i < program->info->call_count; ++i) {
        flops[i] = values ? dlc_size_value(program->flops[i], values) : -1;
        bytes[i] = values ? dlc_size_value(program->bytes[i], values) : -1;
    }
    free(values);
}

#endif
#endif

/* Where everything lies for given values of a model's symbolic dimensions, and whether it takes them. */
#ifndef DLC_LAYOUT_H
#define DLC_LAYOUT_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlc_context.h"

/* -- errors ------------------------------------------------------------------------------------------------------------- */
__attribute__((format(printf, 3, 4))) static int32_t dlc_fail(char *error, int32_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, DLC_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return status;
}

/* "batch=3, seq=7", for messages */
static const char *dlc_symbols_text(const dlc_model_info *info, const int64_t *symbols, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int32_t i = 0; i < info->symbol_count && used < size; ++i)
        used += (size_t)snprintf(text + used, size - used, "%s%s=%" PRId64, i ? ", " : "", info->symbols[i], symbols[i]);
    return text;
}

/* -- layout ------------------------------------------------------------------------------------------------------------- */
/* Room for a layout behind `extra` bytes, in one allocation. */
static void *dlc_layout_allocate(const dlc_program *program, size_t extra, dlc_layout *layout)
{
    const size_t values = (size_t)program->expression_count, buffers = (size_t)program->buffer_count;
    extra = (extra + 7) & ~(size_t)7;
    size_t size = extra + (values + 2 * buffers) * sizeof(int64_t) + 2 * buffers * sizeof(int32_t);
    size = (size + DLC_ARENA_ALIGNMENT) & -(size_t)DLC_ARENA_ALIGNMENT;
    unsigned char *memory = aligned_alloc(DLC_ARENA_ALIGNMENT, size);
    if (memory) {
        memset(memory, 0, size);
        layout->values = (int64_t *)(void *)(memory + extra);
        layout->sizes = layout->values + values;
        layout->offsets = layout->sizes + buffers;
        layout->order = (int32_t *)(void *)(layout->offsets + buffers);
        layout->placed = layout->order + buffers;
    }
    return memory;
}

static inline int32_t dlc_check_constraints(const dlc_program *program, dlc_rows rows, const int64_t *symbols, const int64_t *values, char *error)
{
    const dlc_model_info *info = program->info;
    char text[256];
    for (int32_t i = rows.first; i < rows.first + rows.count; ++i) {
        const dlc_constraint *c = &program->constraints[i];
        const int64_t left = dlc_size_value(c->left, values), right = dlc_size_value(c->right, values);
        const int ordered = c->relation == DLC_AT_MOST;
        if (ordered ? left > right : left != right)
            return dlc_fail(error, DLC_ERROR_SHAPE, "%s: node %s needs %s %s %s%s; they are %" PRId64 " and %" PRId64 "%s%s%s", info->name, c->origin,
                            c->left_text, ordered ? "to be at most" : "and", c->right_text, ordered ? "" : " to be equal", left, right,
                            info->symbol_count ? " (" : "", dlc_symbols_text(info, symbols, text, sizeof text), info->symbol_count ? ")" : "");
    }
    return DLC_OK;
}

/* Bytes of scratch that each thread needs for some rows of the table; -1 where that is too much. */
static inline int64_t dlc_scratch_bytes(const dlc_program *program, dlc_rows rows, const int64_t *values)
{
    int64_t most = 0;
    for (int32_t i = rows.first; i < rows.first + rows.count; ++i) {
        const int64_t bytes = dlc_size_value(program->scratch[i], values);
        most = bytes > most ? bytes : most;
    }
    return most > INT64_MAX / (2 * DLC_MAX_THREADS) ? -1 : (most + DLC_ARENA_ALIGNMENT - 1) & -(int64_t)DLC_ARENA_ALIGNMENT;
}

static int32_t dlc_check_symbols(const dlc_program *program, const int64_t *symbols, char *error)
{
    const dlc_model_info *info = program->info;
    for (int32_t i = 0; i < info->symbol_count; ++i)
        if (symbols[i] < 0)
            return dlc_fail(error, DLC_ERROR_ARGUMENT, "%s: dimension %s is %" PRId64 ", and must not be negative", info->name,
                            info->symbols[i], symbols[i]);
    return DLC_OK;
}

/* The values of all expressions, and whether the model takes them. */
static int32_t dlc_evaluate(const dlc_program *program, const int64_t *symbols, int64_t *values, char *error)
{
    const dlc_model_info *info = program->info;
    char text[256];
    int32_t status = dlc_check_symbols(program, symbols, error);
    if (status)
        return status;
    if (program->stages[0].evaluate(symbols, values))
        return dlc_fail(error, DLC_ERROR_SHAPE, "%s: with %s an array has more bytes than 64 bits can count", info->name,
                        dlc_symbols_text(info, symbols, text, sizeof text));
    status = dlc_check_constraints(program, program->stages[0].constraints, symbols, values, error);
    if (status)
        return status;
    const dlc_size *dimension = program->dimensions;
    for (int32_t i = 0; i < info->input_count + info->output_count; ++i) {
        const dlc_port *port = i < info->input_count ? &info->inputs[i] : &info->outputs[i - info->input_count];
        for (int32_t axis = 0; axis < port->rank; ++axis, ++dimension) {
            const int64_t value = dlc_size_value(*dimension, values);
            if (value < 0 && port->dims[axis].symbol != -3)
                return dlc_fail(error, DLC_ERROR_SHAPE, "%s: axis %d of %s has %s = %" PRId64 " elements (%s)", info->name, (int)axis,
                                port->name, port->dims[axis].text, value, dlc_symbols_text(info, symbols, text, sizeof text));
        }
    }
    return DLC_OK;
}

/* Where the buffers of a stage lie in its memory, whose size is stored in `bytes`. */
static inline int32_t dlc_place_buffers(const dlc_program *program, dlc_rows rows, const int64_t *symbols, dlc_layout *layout, int64_t *bytes,
                                 char *error)
{
    const dlc_model_info *info = program->info;
    char text[256];
    for (int32_t i = rows.first; i < rows.first + rows.count; ++i) {
        layout->sizes[i] = dlc_size_value(program->buffers[i].bytes, layout->values);
        if (layout->sizes[i] < 0)
            return dlc_fail(error, DLC_ERROR_SHAPE, "%s: with %s an intermediate array has a negative size", info->name,
                            dlc_symbols_text(info, symbols, text, sizeof text));
    }
    if (rows.count)
        *bytes = dlc_plan_arena(rows.count, program->buffers + rows.first, layout->sizes + rows.first, layout->offsets + rows.first,
                                layout->order + rows.first, layout->placed + rows.first);
    return DLC_OK;
}

static int32_t dlc_lay_out(const dlc_program *program, const int64_t *symbols, dlc_layout *layout, char *error)
{
    const dlc_model_info *info = program->info;
    char text[256];
    int32_t status = dlc_evaluate(program, symbols, layout->values, error);
    layout->bytes = program->arena_bytes;
    if (!status)
        status = dlc_place_buffers(program, program->stages[0].buffers, symbols, layout, &layout->bytes, error);
    if (status)
        return status;
    layout->scratch = dlc_scratch_bytes(program, program->stages[0].scratch, layout->values);
    if (layout->bytes < 0 || layout->scratch < 0)
        return dlc_fail(error, DLC_ERROR_SHAPE, "%s: with %s the arena has more bytes than 64 bits can count", info->name,
                        dlc_symbols_text(info, symbols, text, sizeof text));
    return DLC_OK;
}

/* Buffers, then the scratch of each thread. -1 beyond 64 bits. */
static int64_t dlc_layout_bytes(const dlc_layout *layout, int32_t threads)
{
    int overflow = 0;
    const int64_t bytes = dlc_checked_add(&overflow, layout->bytes, layout->scratch * threads);
    return overflow ? -1 : bytes;
}

#endif

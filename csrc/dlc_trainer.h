/* The training of a model: its variables, and the two models that compute with them, a training step and a prediction. Included by the one source
 * file of a training library that has its functions; that file describes the library in a `dlc_trainer_program`, and what is here works from the
 * description. */
#ifndef DLC_TRAINER_H
#define DLC_TRAINER_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlc_model.h"

#define DLC_TRAINER_ERROR_BYTES 512 /* of a message */
#define DLC_TRAINER_ALIGNMENT 64    /* of the array of a variable, and of its value in the weights file */

/* The types that labels and logs may have. */
typedef enum dlc_kind {
    DLC_KIND_OTHER, DLC_KIND_FLOAT64, DLC_KIND_FLOAT32, DLC_KIND_INT64, DLC_KIND_INT32, DLC_KIND_INT16, DLC_KIND_INT8, DLC_KIND_UINT64,
    DLC_KIND_UINT32, DLC_KIND_UINT16, DLC_KIND_UINT8
} dlc_kind;

/* An array that the caller gives: `elements` for each sample. */
typedef struct dlc_batch_array {
    const char *name;
    dlc_kind kind;
    int64_t elements;
} dlc_batch_array;

/* An array of the batch that holds whole numbers from 0 to `count` - 1, or one more. */
typedef struct dlc_label_check {
    int32_t array;
    int64_t count;
    int32_t ignores; /* whether there is one more */
    int64_t ignored;
    const char *what; /* what takes the numbers */
} dlc_label_check;

/* A model that computes with the variables. Its inputs are the arrays of the batch, then variables; its outputs results, then new values of
 * variables, which are written over the old ones. */
typedef struct dlc_trainer_part {
    const dlc_model_info *(*info)(void);
    int64_t least; /* samples of a batch */
    int32_t array_count, check_count, read_count, result_count, write_count;
    const dlc_batch_array *arrays;
    const dlc_label_check *checks;
    const int32_t *reads, *writes; /* numbers of variables */
} dlc_trainer_part;

/* What a step tells: an array of `count` numbers, kept at `offset` until they are made floats. */
typedef struct dlc_log {
    dlc_kind kind;
    int32_t count;
    int64_t offset;
} dlc_log;

/* A variable that begins anew with the metrics: its value then lies at `from` in the weights file. */
typedef struct dlc_reset {
    int32_t variable;
    int64_t from;
} dlc_reset;

typedef struct dlc_trainer_program {
    const char *name;
    int32_t variable_count, log_count, reset_count;
    int64_t variable_bytes, log_bytes; /* of all of them */
    const int64_t *offsets, *bytes;    /* of each variable: where it lies, in memory as in the weights file, and its size */
    const dlc_log *logs;
    const dlc_reset *resets;
    const void *const *weights; /* where the address of the weights is found */
    dlc_trainer_part step, predict;
} dlc_trainer_program;

/* One of the models, ready to run: the pointers to variables are those of this trainer. */
typedef struct dlc_trainer_run {
    const dlc_trainer_part *part;
    void *context;
    const void **inputs;
    void **outputs;
} dlc_trainer_run;

typedef struct dlc_trainer {
    const dlc_trainer_program *program;
    char *variables; /* their arrays, one after the other */
    dlc_trainer_run step, predict;
    char error[DLC_TRAINER_ERROR_BYTES];
} dlc_trainer;

static _Thread_local char dlc_trainer_create_error[DLC_TRAINER_ERROR_BYTES];

static int __attribute__((format(printf, 3, 4))) dlc_trainer_fail(char *error, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, DLC_TRAINER_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return status;
}

/* An element of an array as a number. Integers beyond 2^53 are rounded, which takes none of them below a bound that is less. */
static double dlc_number(const void *array, dlc_kind kind, int64_t i)
{
    switch (kind) {
    case DLC_KIND_FLOAT64: return ((const double *)array)[i];
    case DLC_KIND_FLOAT32: return (double)((const float *)array)[i];
    case DLC_KIND_INT64: return (double)((const int64_t *)array)[i];
    case DLC_KIND_INT32: return ((const int32_t *)array)[i];
    case DLC_KIND_INT16: return ((const int16_t *)array)[i];
    case DLC_KIND_INT8: return ((const int8_t *)array)[i];
    case DLC_KIND_UINT64: return (double)((const uint64_t *)array)[i];
    case DLC_KIND_UINT32: return ((const uint32_t *)array)[i];
    case DLC_KIND_UINT16: return ((const uint16_t *)array)[i];
    case DLC_KIND_UINT8: return ((const uint8_t *)array)[i];
    case DLC_KIND_OTHER: break;
    }
    return 0;
}

/* -- variables ---------------------------------------------------------------------------------------------------------- */
static void *dlc_trainer_variable(const dlc_trainer *trainer, int32_t variable)
{
    return trainer->variables + trainer->program->offsets[variable];
}

static int dlc_trainer_reset_metrics(dlc_trainer *trainer)
{
    if (!trainer)
        return DLC_ERROR_ARGUMENT;
    const dlc_trainer_program *program = trainer->program;
    for (int32_t i = 0; i < program->reset_count; ++i) {
        const dlc_reset reset = program->resets[i];
        memcpy(dlc_trainer_variable(trainer, reset.variable), (const char *)*program->weights + reset.from, (size_t)program->bytes[reset.variable]);
    }
    return DLC_OK;
}

/* -- runs --------------------------------------------------------------------------------------------------------------- */
static int dlc_check_batch(dlc_trainer *trainer, const dlc_trainer_part *part, int64_t batch, const void *const *arrays, void *const *results)
{
    const char *name = trainer->program->name;
    if (batch < part->least)
        return dlc_trainer_fail(trainer->error, DLC_ERROR_ARGUMENT, "%s: a batch of %" PRId64 " samples; there must be at least %" PRId64, name,
                                batch, part->least);
    for (int32_t i = 0; i < part->array_count; ++i) {
        const dlc_batch_array *array = &part->arrays[i];
        if (array->elements && batch > INT64_MAX / 16 / array->elements)
            return dlc_trainer_fail(trainer->error, DLC_ERROR_SHAPE, "%s: %s of %" PRId64 " samples is too large", name, array->name, batch);
        if (!arrays[i] && array->elements && batch)
            return dlc_trainer_fail(trainer->error, DLC_ERROR_ARGUMENT, "%s: the pointer for %s is null", name, array->name);
    }
    for (int32_t i = 0; results && i < part->result_count; ++i)
        if (!results[i] && batch)
            return dlc_trainer_fail(trainer->error, DLC_ERROR_ARGUMENT, "%s: the pointer for result %d is null", name, (int)i);
    return DLC_OK;
}

/* Compiled code takes the numbers of classes and positions in tables as given: they are looked at here. */
static int dlc_check_labels(dlc_trainer *trainer, const dlc_trainer_part *part, int64_t batch, const void *const *arrays)
{
    for (int32_t c = 0; c < part->check_count; ++c) {
        const dlc_label_check *check = &part->checks[c];
        const dlc_batch_array *array = &part->arrays[check->array];
        for (int64_t i = 0; i < batch * array->elements; ++i) {
            const double label = dlc_number(arrays[check->array], array->kind, i);
            if ((label >= 0 && label < (double)check->count && label == (double)(int64_t)label) || (check->ignores && label == (double)check->ignored))
                continue;
            char ignored[64] = "";
            if (check->ignores)
                snprintf(ignored, sizeof ignored, ", or %" PRId64, check->ignored);
            return dlc_trainer_fail(trainer->error, DLC_ERROR_ARGUMENT, "%s: %s: %s has whole numbers from 0 to %" PRId64 "%s; %s[%" PRId64 "] is %g",
                                    trainer->program->name, check->what, array->name, check->count - 1, ignored, array->name, i, label);
        }
    }
    return DLC_OK;
}

/* Computes with a batch. Nothing is changed unless all arguments are right. `results` is null where they go to the trainer's own memory. */
static int dlc_trainer_compute(dlc_trainer *trainer, dlc_trainer_run *run, int64_t batch, const void *const *arrays, void *const *results)
{
    const dlc_trainer_part *part = run->part;
    int status = dlc_check_batch(trainer, part, batch, arrays, results);
    if (!status)
        status = dlc_check_labels(trainer, part, batch, arrays);
    if (status)
        return status;
    memcpy(run->inputs, arrays, (size_t)part->array_count * sizeof *arrays);
    if (results)
        memcpy(run->outputs, results, (size_t)part->result_count * sizeof *results);
    const dlc_model_info *info = part->info();
    status = info->run(run->context, &batch, run->inputs, run->outputs);
    return status ? dlc_trainer_fail(trainer->error, status, "%s", info->error(run->context)) : DLC_OK;
}

static int dlc_trainer_step(dlc_trainer *trainer, int64_t batch, const void *const *arrays, float *logs)
{
    if (!trainer)
        return DLC_ERROR_ARGUMENT;
    const int status = dlc_trainer_compute(trainer, &trainer->step, batch, arrays, NULL);
    for (int32_t i = 0; logs && !status && i < trainer->program->log_count; ++i)
        for (int32_t j = 0; j < trainer->program->logs[i].count; ++j)
            *logs++ = (float)dlc_number(trainer->step.outputs[i], trainer->program->logs[i].kind, j);
    return status;
}

static int dlc_trainer_predict(dlc_trainer *trainer, int64_t batch, const void *const *arrays, void *const *results)
{
    return trainer ? dlc_trainer_compute(trainer, &trainer->predict, batch, arrays, results) : DLC_ERROR_ARGUMENT;
}

/* -- trainers ----------------------------------------------------------------------------------------------------------- */
static const char *dlc_trainer_error(const dlc_trainer *trainer)
{
    return trainer ? trainer->error : dlc_trainer_create_error;
}

static void dlc_trainer_destroy(dlc_trainer *trainer)
{
    if (!trainer)
        return;
    trainer->program->step.info()->destroy(trainer->step.context);
    trainer->program->predict.info()->destroy(trainer->predict.context);
    free(trainer->variables);
    free(trainer);
}

/* Where the pointers of a run lie, from `pointers` on; those behind them. */
static const void **dlc_trainer_place(dlc_trainer_run *run, const dlc_trainer_part *part, const void **pointers)
{
    run->part = part;
    run->inputs = pointers;
    run->outputs = (void **)(void *)(pointers + part->array_count + part->read_count);
    return pointers + part->array_count + part->read_count + part->result_count + part->write_count;
}

/* A context for a run, and the pointers to the variables. 0 where there is none. */
static int dlc_trainer_open(dlc_trainer *trainer, dlc_trainer_run *run, const dlc_options *options)
{
    const dlc_trainer_part *part = run->part;
    const dlc_model_info *info = part->info();
    run->context = info->create(options);
    if (!run->context)
        dlc_trainer_fail(dlc_trainer_create_error, 0, "%s", info->error(NULL));
    for (int32_t i = 0; i < part->read_count; ++i)
        run->inputs[part->array_count + i] = dlc_trainer_variable(trainer, part->reads[i]);
    for (int32_t i = 0; i < part->write_count; ++i)
        run->outputs[part->result_count + i] = dlc_trainer_variable(trainer, part->writes[i]);
    return run->context != NULL;
}

static dlc_trainer *dlc_trainer_create(const dlc_trainer_program *program, const dlc_options *options)
{
    const dlc_trainer_part *step = &program->step, *predict = &program->predict;
    const size_t pointers = (size_t)(step->array_count + step->read_count + step->result_count + step->write_count) +
                            (size_t)(predict->array_count + predict->read_count + predict->result_count + predict->write_count);
    const size_t head = (sizeof(dlc_trainer) + 15) & ~(size_t)15, logs = (head + pointers * sizeof(void *) + 15) & ~(size_t)15;
    const size_t bytes = ((size_t)program->variable_bytes + DLC_TRAINER_ALIGNMENT) & -(size_t)DLC_TRAINER_ALIGNMENT; /* never 0 */
    dlc_trainer_create_error[0] = 0;
    dlc_trainer *trainer = calloc(1, logs + (size_t)program->log_bytes);
    if (trainer) {
        trainer->program = program;
        trainer->variables = aligned_alloc(DLC_TRAINER_ALIGNMENT, bytes);
    }
    if (!trainer || !trainer->variables) {
        dlc_trainer_fail(dlc_trainer_create_error, DLC_ERROR_MEMORY, "%s: no memory for variables of %" PRId64 " bytes", program->name,
                         program->variable_bytes);
        free(trainer);
        return NULL;
    }
    memcpy(trainer->variables, *program->weights, (size_t)program->variable_bytes);
    const void **behind = dlc_trainer_place(&trainer->step, step, (const void **)(void *)((char *)trainer + head));
    dlc_trainer_place(&trainer->predict, predict, behind);
    for (int32_t i = 0; i < program->log_count; ++i)
        trainer->step.outputs[i] = (char *)trainer + logs + program->logs[i].offset;
    if (!dlc_trainer_open(trainer, &trainer->step, options) || !dlc_trainer_open(trainer, &trainer->predict, options)) {
        dlc_trainer_destroy(trainer);
        return NULL;
    }
    return trainer;
}

#endif

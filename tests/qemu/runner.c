/* Runs a compiled model of any shape: `runner LIBRARY NAME INPUTS OUTPUTS`. It knows of the model what dlc_model_info tells, which
 * `runner LIBRARY NAME INFO` writes to a file (see `_info` in __init__.py).
 *
 * INPUTS and OUTPUTS are sequences of arrays: name (length, bytes), dtype (length, bytes), rank, dimensions, elements (of strings
 * all lengths, then all bytes); all numbers int64. The arrays of INPUTS come in any order.
 */
#include "dlc_model.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

static void *allocate(size_t count, size_t size)
{
    void *p = calloc(count + 1, size); /* never of no bytes: a null pointer is a failure */
    if (!p)
        fail("runner", "no memory");
    return p;
}

/* -- arrays in files ------------------------------------------------------------------------------------------------------ */
typedef struct array {
    char *name, *dtype;
    int64_t rank, *dims;
    void *data;
} array;

static int64_t elements(int64_t rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int64_t i = 0; i < rank; ++i)
        count *= dims[i];
    return count;
}

static void read_exactly(FILE *file, void *to, size_t bytes)
{
    if (fread(to, 1, bytes, file) != bytes)
        fail("inputs", "truncated");
}

static int64_t read_number(FILE *file)
{
    int64_t value;
    read_exactly(file, &value, sizeof value);
    return value;
}

static char *read_text(FILE *file)
{
    const int64_t length = read_number(file);
    char *text = allocate((size_t)length, 1);
    read_exactly(file, text, (size_t)length);
    return text;
}

static dlc_string *read_strings(FILE *file, int64_t count)
{
    dlc_string *strings = allocate((size_t)count, sizeof *strings);
    int64_t bytes = 0;
    for (int64_t i = 0; i < count; ++i)
        bytes += strings[i].size = read_number(file);
    char *text = allocate((size_t)bytes, 1);
    read_exactly(file, text, (size_t)bytes);
    for (int64_t i = 0; i < count; text += strings[i++].size)
        strings[i].data = text;
    return strings;
}

static void write_strings(FILE *file, int64_t count, const dlc_string *strings)
{
    for (int64_t i = 0; i < count; ++i)
        fwrite(&strings[i].size, sizeof strings[i].size, 1, file);
    for (int64_t i = 0; i < count; ++i)
        fwrite(strings[i].data, 1, (size_t)strings[i].size, file);
}

static array read_array(FILE *file, const dlc_model_info *info)
{
    array a = {.name = read_text(file), .dtype = read_text(file), .rank = read_number(file)};
    a.dims = allocate((size_t)a.rank, sizeof *a.dims);
    for (int64_t i = 0; i < a.rank; ++i)
        a.dims[i] = read_number(file);
    for (int32_t i = 0; i < info->input_count; ++i) {
        const dlc_port *port = &info->inputs[i];
        if (strcmp(port->name, a.name))
            continue;
        if (strcmp(port->dtype, a.dtype) || port->rank != a.rank)
            fail(a.name, "wrong dtype or rank");
        if (!strcmp(a.dtype, "string")) {
            a.data = read_strings(file, elements(a.rank, a.dims));
            return a;
        }
        const size_t bytes = (size_t)elements(a.rank, a.dims) * (size_t)port->itemsize;
        a.data = allocate(bytes, 1);
        read_exactly(file, a.data, bytes);
        return a;
    }
    fail(a.name, "is no input of the model");
    return a;
}

static void write_text(FILE *file, const char *text)
{
    const int64_t length = (int64_t)strlen(text);
    fwrite(&length, sizeof length, 1, file);
    fwrite(text, 1, (size_t)length, file);
}

static void write_number(FILE *file, int64_t value) { fwrite(&value, sizeof value, 1, file); }

static void write_array(FILE *file, const dlc_port *port, const int64_t *dims, const void *data)
{
    const int64_t rank = port->rank;
    write_text(file, port->name);
    write_text(file, port->dtype);
    fwrite(&rank, sizeof rank, 1, file);
    fwrite(dims, sizeof *dims, (size_t)rank, file);
    if (!strcmp(port->dtype, "string"))
        write_strings(file, elements(rank, dims), data);
    else
        fwrite(data, (size_t)port->itemsize, (size_t)elements(rank, dims), file);
}

/* -- the model ------------------------------------------------------------------------------------------------------------ */
static const dlc_model_info *open_model(const char *path, const char *name)
{
    void *library = dlopen(path, RTLD_NOW);
    if (!library)
        fail(path, dlerror());
    char function[1024];
    snprintf(function, sizeof function, "%s_info", name);
    const dlc_model_info *(*info)(void) = (const dlc_model_info *(*)(void))dlsym(library, function);
    if (!info)
        fail(path, dlerror());
    if (info()->format != DLC_MODEL_FORMAT)
        fail(path, "of another format");
    return info();
}

/* What the inputs' shapes say the symbols are; the shapes that no symbol explains are an error. */
static void bind_symbols(const dlc_model_info *info, array *const *inputs, int64_t *symbols)
{
    for (int32_t s = 0; s < info->symbol_count; ++s)
        symbols[s] = -1;
    for (int32_t i = 0; i < info->input_count; ++i) {
        for (int32_t axis = 0; axis < info->inputs[i].rank; ++axis) {
            const dlc_dim *dim = &info->inputs[i].dims[axis];
            const int64_t rest = inputs[i]->dims[axis] - dim->offset;
            if (dim->symbol >= 0 && symbols[dim->symbol] < 0 && rest % dim->scale == 0)
                symbols[dim->symbol] = rest / dim->scale;
        }
    }
    int64_t dims[64];
    for (int32_t i = 0; i < info->input_count; ++i) {
        if (info->shape(symbols, i, dims))
            fail(inputs[i]->name, info->error(NULL));
        for (int64_t axis = 0; axis < inputs[i]->rank; ++axis)
            if (dims[axis] != inputs[i]->dims[axis])
                fail(inputs[i]->name, "wrong shape");
    }
}

/* Whether the size of an output is known before a run; a run tells where the others are in a dlc_array. */
static int is_known(const dlc_port *port)
{
    for (int32_t axis = 0; axis < port->rank; ++axis)
        if (port->dims[axis].symbol == -3)
            return 0;
    return 1;
}

static void write_port(FILE *file, const dlc_port *port)
{
    write_text(file, port->name);
    write_text(file, port->parameter);
    write_text(file, port->dtype);
    write_number(file, port->rank);
    for (int32_t axis = 0; axis < port->rank; ++axis) {
        const dlc_dim *dim = &port->dims[axis];
        write_text(file, dim->text);
        write_number(file, dim->symbol);
        write_number(file, dim->scale);
        write_number(file, dim->offset);
    }
}

static void write_info(FILE *file, const dlc_model_info *info)
{
    write_text(file, info->name);
    write_text(file, info->version);
    write_text(file, info->compiler);
    write_text(file, info->target);
    write_text(file, info->header);
    write_number(file, info->weights_bytes);
    write_number(file, info->threads);
    write_number(file, info->symbol_count);
    for (int32_t i = 0; i < info->symbol_count; ++i)
        write_text(file, info->symbols[i]);
    write_number(file, info->input_count);
    for (int32_t i = 0; i < info->input_count; ++i)
        write_port(file, &info->inputs[i]);
    write_number(file, info->output_count);
    for (int32_t i = 0; i < info->output_count; ++i)
        write_port(file, &info->outputs[i]);
    write_number(file, info->metadata_count);
    for (int32_t i = 0; i < info->metadata_count; ++i) {
        write_text(file, info->metadata[i].key);
        write_text(file, info->metadata[i].value);
    }
    write_number(file, info->call_count);
    for (int32_t i = 0; i < info->call_count; ++i) {
        const dlc_call *call = &info->calls[i];
        write_text(file, call->kernel);
        write_text(file, call->form);
        write_text(file, call->origin);
        write_text(file, call->operators);
        write_number(file, call->parallel);
        write_number(file, call->barrier);
    }
}

static FILE *opened(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    if (!file)
        fail(path, "cannot be opened");
    return file;
}

static void closed(FILE *file, const char *path)
{
    if (fclose(file))
        fail(path, "cannot be written");
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5)
        fail("usage", "runner LIBRARY NAME INPUTS OUTPUTS, or runner LIBRARY NAME INFO");
    const dlc_model_info *info = open_model(argv[1], argv[2]);
    if (argc == 4) {
        FILE *described = opened(argv[3], "wb");
        write_info(described, info);
        closed(described, argv[3]);
        return 0;
    }
    const int32_t in = info->input_count, out = info->output_count;

    array **inputs = allocate((size_t)in, sizeof *inputs), *read = allocate((size_t)in, sizeof *read);
    const void **sources = allocate((size_t)in, sizeof *sources);
    FILE *file = opened(argv[3], "rb");
    for (int32_t i = 0; i < in; ++i)
        read[i] = read_array(file, info);
    fclose(file);
    for (int32_t i = 0; i < in; ++i) {
        for (int32_t j = 0; j < in; ++j)
            if (!strcmp(read[j].name, info->inputs[i].name))
                inputs[i] = &read[j];
        if (!inputs[i])
            fail(info->inputs[i].name, "is missing");
        sources[i] = inputs[i]->data;
    }

    int64_t *symbols = allocate((size_t)info->symbol_count, sizeof *symbols);
    bind_symbols(info, inputs, symbols);
    int64_t(*dims)[64] = allocate((size_t)out, sizeof *dims);
    dlc_array *arrays = allocate((size_t)out, sizeof *arrays);
    void **targets = allocate((size_t)out, sizeof *targets);
    for (int32_t i = 0; i < out; ++i) {
        const dlc_port *port = &info->outputs[i];
        if (info->shape(symbols, in + i, dims[i]))
            fail(port->name, info->error(NULL));
        targets[i] = is_known(port) ? allocate((size_t)elements(port->rank, dims[i]), (size_t)port->itemsize) : &arrays[i];
    }
    void *context = info->create(NULL);
    if (!context)
        fail(argv[2], info->error(NULL));
    if (info->run(context, symbols, sources, targets))
        fail(argv[2], info->error(context));

    file = opened(argv[4], "wb");
    for (int32_t i = 0; i < out; ++i) {
        const int known = is_known(&info->outputs[i]);
        write_array(file, &info->outputs[i], known ? dims[i] : arrays[i].dims, known ? targets[i] : arrays[i].data);
    }
    closed(file, argv[4]);
    info->destroy(context);
    return 0;
}

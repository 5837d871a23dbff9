/* Trains with net.so as a file of batches says, and writes to another all that came out.
 *
 * The first file: int64 steps, then for each int64 samples, x, y. The second: the logs of each step, what the model makes of the last batch, all variables.
 * Metrics are reset after the second step. With COUNT, no step after the first and no prediction after the first allocates memory. */
#include <stdio.h>
#include <stdlib.h>

#include "net.h"

enum { FEATURES = 12, CLASSES = 5, MOST = 64 };

#ifdef COUNT
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static long allocations;
void *malloc(size_t size) { ++allocations; return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { ++allocations; return __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { ++allocations; return __libc_realloc(old, size); }
void *aligned_alloc(size_t alignment, size_t size) { ++allocations; return __libc_memalign(alignment, size); }
#else
static const long allocations = 0;
#endif

static void must(int done, const net *context)
{
    if (!done) {
        fprintf(stderr, "failed: %s\n", net_error(context));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static float x[MOST * FEATURES], scores[MOST * CLASSES];
    static int64_t y[MOST];
    const net_options options = {2};
    if (argc < 3)
        return 2;
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
    net *context = net_create(&options);
    must(in && out && context, NULL);
    int64_t steps, samples = 0;
    long before = 0;
    must(fread(&steps, sizeof steps, 1, in) == 1, context);
    for (int64_t step = 0; step < steps; ++step) {
        float logs[net_LOG_COUNT];
        must(fread(&samples, sizeof samples, 1, in) == 1 && samples <= MOST, context);
        must(fread(x, sizeof *x * FEATURES, (size_t)samples, in) == (size_t)samples, context);
        must(fread(y, sizeof *y, (size_t)samples, in) == (size_t)samples, context);
        must(net_step(context, samples, x, y, logs) == DLC_OK, context);
        fwrite(logs, sizeof logs, 1, out);
        if (step == 0) {
            must(net_predict(context, samples, x, scores) == DLC_OK, context);
            before = allocations;
        }
        if (step == 1)
            must(net_reset_metrics(context) == DLC_OK, context);
    }
    must(net_predict(context, samples, x, scores) == DLC_OK, context);
    if (allocations != before) {
        fprintf(stderr, "%ld allocations\n", allocations - before);
        return 1;
    }
    fwrite(scores, sizeof *scores * CLASSES, (size_t)samples, out);
    for (int32_t i = 0; i < net_variable_count(); ++i)
        fwrite(net_variable_data(context, i), 1, (size_t)net_variable_info(i)->bytes, out);
    net_destroy(context);
    net_destroy(NULL);
    fclose(in);
    fclose(out);
    puts("done");
    return 0;
}

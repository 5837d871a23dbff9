/* Runs the models `weighted` (symbolic), `fixed` (5 rows) and `constrained`, and leaves nothing behind. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "constrained.h"
#include "fixed.h"
#include "weighted.h"

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);           \
            abort();                                                          \
        }                                                                     \
    } while (0)

static void run(weighted *model, int64_t rows)
{
    float *x = malloc(sizeof *x * (3 * rows + 1)), *y = malloc(sizeof *y * (rows + 1));
    for (int64_t i = 0; i < 3 * rows; ++i)
        x[i] = (float)(i % 1000);
    CHECK(weighted_run(model, rows, x, y) == DLC_OK);
    for (int64_t i = 0; i < rows; ++i)
        CHECK(y[i] == x[3 * i] + 2 * x[3 * i + 1] + 3 * x[3 * i + 2]);
    free(x);
    free(y);
}

static void *run_often(void *unused)
{
    weighted *model = weighted_create(NULL);
    for (int i = 0; i < 30; ++i)
        run(model, i * 7);
    weighted_destroy(model);
    return unused;
}

static void failures(weighted *model)
{
    CHECK(weighted_run(model, 0, NULL, NULL) == DLC_OK);
    CHECK(weighted_run(model, 1, NULL, NULL) == DLC_ERROR_ARGUMENT && strstr(weighted_error(model), "input x is null"));
    CHECK(weighted_run(model, -1, NULL, NULL) == DLC_ERROR_ARGUMENT && strstr(weighted_error(model), "dimension batch is -1"));
    CHECK(weighted_run(model, INT64_MAX / 4, NULL, NULL) == DLC_ERROR_SHAPE && strstr(weighted_error(model), "64 bits"));
    CHECK(weighted_run(NULL, 1, NULL, NULL) == DLC_ERROR_ARGUMENT);
    CHECK(!weighted_create(&(weighted_options){-1}) && strstr(weighted_error(NULL), "-1 threads"));
    CHECK(weighted_arena_bytes(INT64_MAX / 4, 1) == -1 && weighted_arena_bytes(10, 1) == 128 && weighted_arena_bytes(-1, 1) == -1);

    constrained *other = constrained_create(NULL);
    float a[3] = {1, 2, 3}, b[5] = {0}, c[3] = {0}, a_out[3], b_out[5], c_out[3] = {42, 42, 42};
    CHECK(constrained_run(other, 3, 2, a, b, c, a_out, b_out, c_out) == DLC_OK && a_out[2] == 3 && c_out[0] == 0);
    c_out[0] = 42;
    CHECK(constrained_run(other, 3, 1, a, b, c, a_out, b_out, c_out) == DLC_ERROR_SHAPE && c_out[0] == 42);
    CHECK(strstr(constrained_error(other), "Join_7") && strstr(constrained_error(other), "3 and 2"));
    constrained_destroy(other);
}

static void information(weighted *model)
{
    const dlc_model_info *info = weighted_info();
    int64_t flops[2], bytes[2], rows = 10, dims[2];
    double seconds[2] = {0};
    CHECK(info->format == DLC_MODEL_FORMAT && !strcmp(info->name, "weighted") && info->call_count == 2);
    CHECK(!strcmp(info->inputs[0].dtype, "float32") && !strcmp(info->inputs[0].dims[0].text, "batch"));
    CHECK(info->inputs[0].dims[1].symbol == -1 && info->inputs[0].dims[1].offset == 3);
    CHECK(!strcmp(info->calls[0].origin, "Mul_0") && info->calls[0].parallel && !info->calls[1].parallel);
    info->costs(&rows, flops, bytes);
    CHECK(flops[0] == 30 && flops[1] == 20 && bytes[0] == 240);
    CHECK(info->shape(&rows, 0, dims) == 0 && dims[0] == 10 && dims[1] == 3 && info->shape(&rows, 2, dims) != 0);
    info->profile(model, seconds);
    run(model, 5000);
    info->profile(model, NULL);
    CHECK(seconds[0] > 0 && seconds[1] > 0);
}

static void in_child(weighted *model, int depth)
{
    const pid_t child = fork();
    if (child == 0) {
        weighted *own = weighted_create(&(weighted_options){2});
        run(model, 50);
        run(own, 70);
        if (depth)
            in_child(own, depth - 1);
        run(own, 20);
        weighted_destroy(own);
        weighted_destroy(model);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
    weighted *model = weighted_create(&(weighted_options){4});
    CHECK(model && weighted_info()->context_threads(model) == 4);
    const int64_t sizes[] = {5, 1000, 0, 100000, 3};
    for (int i = 0; i < 5; ++i)
        run(model, sizes[i]);
    failures(model);
    information(model);

    fixed *second = fixed_create(NULL);
    float x[15] = {1, 1, 1}, y[5];
    CHECK(!fixed_run(second, x, y) && y[0] == 6 && y[4] == 0 && fixed_arena_bytes(1) == 64);
    fixed_destroy(second);

    if (argc == 1)
        in_child(model, 1);
    pthread_t threads[4];
    for (int i = 0; i < 4; ++i)
        CHECK(!pthread_create(&threads[i], NULL, run_often, NULL));
    for (int i = 0; i < 4; ++i)
        pthread_join(threads[i], NULL);
    weighted_destroy(model);
    weighted_destroy(NULL);
    puts(argv[0] ? "done" : "");
    return 0;
}

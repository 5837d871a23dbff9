/* The digit classifier from C: nothing but the header that dlcompile wrote, and the library.
 *
 *     cc -std=c11 -O2 -Ibuild examples/digits.c build/digits.so -lm -Wl,-rpath,'$ORIGIN' -o build/digits
 *     build/digits build/digits.bin
 *
 * The file holds an int64 with the number of digits, the pixels of all of them (64 floats each), and an int64 label for each.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "digits.h"

enum { PIXELS = 64, CLASSES = 10 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *read_array(FILE *file, size_t size, size_t count)
{
    void *array = malloc(size * count);
    if (array && fread(array, size, count, file) != count) {
        free(array);
        return NULL;
    }
    return array;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s digits.bin\n", argv[0]);
        return 2;
    }
    FILE *file = fopen(argv[1], "rb");
    int64_t count = 0;
    if (!file || fread(&count, sizeof count, 1, file) != 1 || count < 1) {
        fprintf(stderr, "%s: cannot be read\n", argv[1]);
        return 1;
    }
    float *images = read_array(file, PIXELS * sizeof(float), (size_t)count);
    int64_t *labels = read_array(file, sizeof(int64_t), (size_t)count);
    float *scores = malloc((size_t)count * CLASSES * sizeof(float));
    fclose(file);
    digits *model = digits_create(NULL);
    if (!images || !labels || !scores || !model) {
        fprintf(stderr, "%s\n", model ? "the file is too short" : digits_error(NULL));
        return 1;
    }

    /* all digits in one call: the batch is a parameter of the model */
    if (digits_run(model, count, images, scores) != DLC_OK) {
        fprintf(stderr, "%s\n", digits_error(model));
        return 1;
    }
    int64_t right = 0;
    for (int64_t i = 0; i < count; ++i) {
        int best = 0;
        for (int c = 1; c < CLASSES; ++c)
            if (scores[i * CLASSES + c] > scores[i * CLASSES + best])
                best = c;
        right += best == labels[i];
    }

    /* the time of a call with one digit: the median of many */
    enum { CALLS = 2000 };
    static double seconds[CALLS];
    for (int i = 0; i < CALLS; ++i) {
        double start = now();
        digits_run(model, 1, images + (i % count) * PIXELS, scores);
        seconds[i] = now() - start;
    }
    qsort(seconds, CALLS, sizeof seconds[0], compare);
    printf("%lld %lld %.9f\n", (long long)right, (long long)count, seconds[CALLS / 2]);

    digits_destroy(model);
    free(images);
    free(labels);
    free(scores);
    return 0;
}

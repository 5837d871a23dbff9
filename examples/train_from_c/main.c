/* Trains the network of digits.so with the samples of digits.data, and says how many of those held out it recognises. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "digits.h"

enum { PIXELS = 64, CLASSES = 10, BATCH = 32, EPOCHS = 20 };

typedef struct {
    int32_t count;
    float *x;
    int32_t *y;
} samples;

static int read_samples(samples *s, FILE *file)
{
    s->x = malloc((size_t)s->count * PIXELS * sizeof *s->x);
    s->y = malloc((size_t)s->count * sizeof *s->y);
    for (int32_t i = 0; i < s->count; ++i)
        if (!s->x || !s->y || fread(s->x + (size_t)i * PIXELS, sizeof *s->x, PIXELS, file) != PIXELS || fread(s->y + i, sizeof *s->y, 1, file) != 1)
            return 0;
    return 1;
}

/* Another order of the samples, by a random number generator of 32 bits (xorshift). */
static void shuffle(samples *s, uint32_t *state)
{
    for (int32_t i = s->count - 1; i > 0; --i) {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        const int32_t j = (int32_t)(*state % (uint32_t)(i + 1)), label = s->y[i];
        s->y[i] = s->y[j];
        s->y[j] = label;
        for (int k = 0; k < PIXELS; ++k) {
            const float pixel = s->x[i * PIXELS + k];
            s->x[i * PIXELS + k] = s->x[j * PIXELS + k];
            s->x[j * PIXELS + k] = pixel;
        }
    }
}

/* How many samples the network recognises; -1 where it fails. */
static int32_t recognised(digits *network, const samples *s)
{
    float *scores = malloc((size_t)s->count * CLASSES * sizeof *scores);
    int32_t right = -1;
    if (scores && digits_predict(network, s->count, s->x, scores) == DLC_OK) {
        right = 0;
        for (int32_t i = 0; i < s->count; ++i) {
            int best = 0;
            for (int c = 1; c < CLASSES; ++c)
                if (scores[i * CLASSES + c] > scores[i * CLASSES + best])
                    best = c;
            right += best == s->y[i];
        }
    }
    free(scores);
    return right;
}

int main(int argc, char **argv)
{
    samples train = {0, NULL, NULL}, held_out = {0, NULL, NULL};
    FILE *file = fopen(argc > 1 ? argv[1] : "digits.data", "rb");
    if (!file || fread(&train.count, sizeof train.count, 1, file) != 1 || fread(&held_out.count, sizeof held_out.count, 1, file) != 1 ||
        train.count < 1 || held_out.count < 1 || !read_samples(&train, file) || !read_samples(&held_out, file)) {
        fprintf(stderr, "digits.data cannot be read\n");
        return 1;
    }
    fclose(file);

    digits *network = digits_create(NULL);
    if (!network) {
        fprintf(stderr, "%s\n", digits_error(NULL));
        return 1;
    }
    uint32_t state = 1;
    for (int epoch = 1; epoch <= EPOCHS; ++epoch) {
        float logs[digits_LOG_COUNT];
        shuffle(&train, &state);
        digits_reset_metrics(network);
        for (int32_t i = 0; i < train.count; i += BATCH) {
            const int32_t count = train.count - i < BATCH ? train.count - i : BATCH;
            if (digits_step(network, count, train.x + (size_t)i * PIXELS, train.y + i, logs) != DLC_OK) {
                fprintf(stderr, "%s\n", digits_error(network));
                return 1;
            }
        }
        printf("epoch %2d: loss %.4f, accuracy %.2f%%\n", epoch, logs[digits_LOG_loss], 100 * logs[digits_LOG_accuracy]);
    }

    const int32_t right = recognised(network, &held_out);
    if (right < 0) {
        fprintf(stderr, "%s\n", digits_error(network));
        return 1;
    }
    printf("%.2f%% of the %d digits that were held out are recognised\n", 100.0 * right / held_out.count, (int)held_out.count);

    const int32_t bias = digits_find_variable("sequential/dense_1/bias"); /* any variable can be read, written, and kept in a file */
    printf("the bias of class 0 has become %.4f\n", bias < 0 ? 0 : ((const float *)digits_variable_data(network, bias))[0]);
    digits_destroy(network);
    free(train.x), free(train.y), free(held_out.x), free(held_out.y);
    return 0;
}

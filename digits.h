/* sequential: a model compiled by dlcompile 0.1.0 for x86-64-v4. It needs a CPU with cx16 popcnt sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe avx512f avx512bw avx512cd avx512dq avx512vl.
 *
 * Arrays are C-contiguous and aligned as their elements are; outputs overlap nothing.
 *   input_layer[1][8][8][1]  float32 input
 *   dense[1][10]  float32 output
 */
#ifndef DLC_HEADER_sequential
#define DLC_HEADER_sequential

/* What every compiled model tells about itself. The header of each model contains this text; programs include that one. */
#ifndef DLC_MODEL_H
#define DLC_MODEL_H

#include <stdint.h>

#define DLC_MODEL_FORMAT 2 /* changes when anything below does */

#ifdef __cplusplus
extern "C" {
#endif

/* What a run returns. NAME_error() has the words. */
enum dlc_status {
    DLC_OK = 0,
    DLC_ERROR_ARGUMENT = 1, /* a null pointer, a negative dimension, a thread count that cannot be */
    DLC_ERROR_SHAPE = 2,    /* dimensions that contradict the model, or sizes beyond 64 bits */
    DLC_ERROR_MEMORY = 3,   /* the arena, or memory for what has its size from data, could not be allocated */
    DLC_ERROR_THREAD = 4    /* a thread could not be started */
};

typedef struct dlc_options {
    int32_t threads; /* threads a run may use; 0: the CPUs this process may run on, no more than OMP_NUM_THREADS or than can pay */
} dlc_options;

/* An element of an array of strings: UTF-8, with no 0 behind it. Those of a result lie in the context, until its next run, in the inputs or in
 * the library. */
typedef struct dlc_string {
    const char *data; /* may be null where size is 0 */
    int64_t size;     /* bytes */
} dlc_string;

/* A dimension of an input or output. Most are constant (scale 0) or linear in one symbol; others only dlc_model_info.shape() knows. */
typedef struct dlc_dim {
    const char *text; /* the expression: "3", "batch", "2*seq + 1" */
    int32_t symbol;   /* the dimension is scale*symbols[symbol] + offset; -1: it is offset; -2: ask shape(); -3: only a run knows it */
    int64_t scale;
    int64_t offset;
} dlc_dim;

/* An output whose size depends on data. A run fills this in: the array is the context's, and is there until its next run. */
typedef struct dlc_array {
    const void *data;
    int32_t rank;
    const int64_t *dims;
} dlc_array;

/* An input or output: a C-contiguous array. Where a dimension of an output is one that only a run knows, the parameter of NAME_run is a
 * dlc_array. */
typedef struct dlc_port {
    const char *name;      /* the model's own name for it, UTF-8 */
    const char *parameter; /* the name of the parameter of NAME_run */
    const char *dtype;     /* "float32", "int64", "bool" (one byte, 0 or 1), "float16" and "bfloat16" (their bits), "string" (dlc_string), ... */
    int32_t itemsize;      /* bytes of an element */
    int32_t rank;
    const dlc_dim *dims;
} dlc_port;

/* A call of a kernel: what the model is computed by, in order. */
typedef struct dlc_call {
    const char *kernel;
    const char *form;      /* map, row, contraction, ... */
    const char *origin;    /* the model's own nodes it computes, separated by ", " */
    const char *operators; /* their operators, likewise */
    int32_t parallel;      /* all threads share it */
    int32_t barrier;       /* they wait for one another before it */
} dlc_call;

typedef struct dlc_metadata {
    const char *key;
    const char *value;
} dlc_metadata;

typedef struct dlc_model_info {
    int32_t format;              /* DLC_MODEL_FORMAT of the library: look here before anywhere else */
    const char *name;            /* the prefix of its functions */
    const char *version;         /* of the dlcompile that made it */
    const char *compiler;        /* the C compiler and its version */
    const char *target;          /* the machine it is for: "x86-64-v3" */
    const char *const *features; /* CPU features it needs, as /proc/cpuinfo spells them; ends with a null pointer */
    const char *header;          /* the text of NAME.h */
    int32_t symbol_count;
    int32_t input_count;
    int32_t output_count;
    int32_t call_count;
    int32_t metadata_count;
    int32_t threads;            /* the most threads that can pay; 0: any number */
    const char *const *symbols; /* the symbolic dimensions; arrays called `symbols` below hold their values in this order */
    const dlc_port *inputs;
    const dlc_port *outputs;
    const dlc_call *calls;
    const dlc_metadata *metadata;
    int64_t weights_bytes;
    /* The dimensions of a port (inputs first, then outputs) into `dims`, -1 for one that only a run knows. 0, or the status NAME_run would
     * return. */
    int32_t (*shape)(const int64_t *symbols, int32_t port, int64_t *dims);
    /* Bytes of memory a context needs (`threads` 0: the default); -1 where there is no answer. */
    int64_t (*arena_bytes)(const int64_t *symbols, int32_t threads);
    /* Floating-point operations and bytes moved, of each call; -1 for one beyond 64 bits. */
    void (*costs)(const int64_t *symbols, int64_t *flops, int64_t *bytes);
    /* NAME_create, NAME_run, NAME_error and NAME_destroy for callers that learn of the model at run time. */
    void *(*create)(const dlc_options *options);
    int32_t (*run)(void *context, const int64_t *symbols, const void *const *inputs, void *const *outputs);
    const char *(*error)(const void *context);
    void (*destroy)(void *context);
    /* From now on every run adds to seconds[i] the time of call i (an array of call_count); null: no longer. */
    void (*profile)(void *context, double *seconds);
    /* The threads a run of this context uses. */
    int32_t (*context_threads)(const void *context);
} dlc_model_info;

#ifdef __cplusplus
}
#endif

#endif

#if DLC_MODEL_FORMAT != 2
#error "this header and that of another model, included before it, are from versions of dlcompile that do not go together"
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sequential sequential; /* a context: an arena and a number of threads. One for each thread of yours that runs the model. */
typedef dlc_options sequential_options;

/* A new context; `options` may be null. Null on failure: sequential_error(0) says why. */
sequential *sequential_create(const sequential_options *options);

/* Computes the outputs. 0 on success, else a dlc_status, nothing is written, and sequential_error(context) says why. */
int sequential_run(sequential *context, const float *input_layer, float *dense);

/* The words for the last failure of a context; those of sequential_create in this thread for a null one. */
const char *sequential_error(const sequential *context);

/* Frees a context; null is one that needs no freeing. */
void sequential_destroy(sequential *context);

/* Bytes of memory that a run needs with that many threads (0: the default); -1 where there is no answer. */
int64_t sequential_arena_bytes(int32_t threads);

/* Names, types and dimensions of inputs and outputs, versions, and the functions above for callers that learn of the model at run time. */
const dlc_model_info *sequential_info(void);

#ifdef __cplusplus
}
#endif

#endif

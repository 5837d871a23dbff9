/* Memory for the strings that a run makes: one pool for each thread, so that none waits for another. Taking memory moves a pointer; all of it is
 * given back at once, when the next run begins. */
#ifndef DLC_POOL_H
#define DLC_POOL_H

#include <stdint.h>
#include <stdlib.h>

#define DLC_POOL_CHUNK ((int64_t)1 << 16) /* bytes that are asked of the system at least */

typedef struct dlc_chunk {
    struct dlc_chunk *next;
    int64_t capacity;
} dlc_chunk;

/* All zero at first. */
typedef struct dlc_pool {
    dlc_chunk *first, *current;
    int64_t used;        /* bytes of the current chunk */
    const char *failure; /* what went wrong on this thread: the run returns it */
    int32_t status;      /* the dlc_status that goes with it */
    int32_t unused;
    char padding[24];    /* a cache line to each thread */
} dlc_pool;

/* The chunks stay; what is in them is no longer anybody's. */
static inline void dlc_pool_rewind(dlc_pool *pool)
{
    pool->current = pool->first;
    pool->used = 0;
    pool->failure = NULL;
}

static inline void dlc_pool_free(dlc_pool *pool)
{
    for (dlc_chunk *chunk = pool->first, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
}

/* Memory for `size` bytes, of no alignment; null where there is none, which the run will say. */
static inline char *dlc_pool_take(dlc_pool *pool, int64_t size)
{
    if (!pool->current || size > pool->current->capacity - pool->used) {
        dlc_chunk *chunk = pool->current ? pool->current->next : pool->first;
        if (!chunk || chunk->capacity < size) {
            const int64_t capacity = size > DLC_POOL_CHUNK ? size : DLC_POOL_CHUNK;
            dlc_chunk *const made = size > INT64_MAX / 2 ? NULL : malloc(sizeof(dlc_chunk) + (size_t)capacity);
            if (!made) {
                pool->failure = "no memory for a string";
                pool->status = 3; /* DLC_ERROR_MEMORY */
                return NULL;
            }
            made->capacity = capacity;
            made->next = chunk;
            if (pool->current)
                pool->current->next = made;
            else
                pool->first = made;
            chunk = made;
        }
        pool->current = chunk;
        pool->used = 0;
    }
    char *const memory = (char *)(pool->current + 1) + pool->used;
    pool->used += size;
    return memory;
}

#endif

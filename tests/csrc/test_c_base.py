"""Index arithmetic, the split of work, and the barrier."""
from __future__ import annotations

import random

import numpy as np
import pytest

SOURCE = """#include "dlc_base.h"
#include <pthread.h>
int64_t floordiv(int64_t a, int64_t b) { return dlc_floordiv(a, b); }
int64_t floormod(int64_t a, int64_t b) { return dlc_floormod(a, b); }
void split(int64_t count, int64_t n, int64_t *ranges)
{
    for (int i = 0; i < count; ++i) {
        const dlc_team team = {i, (int)count, 0, 0, 0};
        const dlc_range range = dlc_split(&team, n);
        ranges[2 * i] = range.begin;
        ranges[2 * i + 1] = range.end;
    }
}

/* Each thread adds up what its neighbour wrote in the round before: wrong as soon as one barrier lets one thread through too early. */
typedef struct { dlc_team team; int64_t rounds, *cells; int64_t sum; } job;
static void *work(void *argument)
{
    job *const j = argument;
    const int64_t n = j->team.count, me = j->team.index, neighbour = (me + 1) % n;
    for (int64_t round = 0; round < j->rounds; ++round) {
        j->cells[(round & 1) * n + me] = round * n + me;
        dlc_barrier(&j->team);
        j->sum += j->cells[(round & 1) * n + neighbour] - (round * n + neighbour) == 0;
    }
    return 0;
}
int64_t rounds_seen(int64_t threads, int64_t rounds)
{
    static dlc_barrier_state state;
    static int64_t cells[64];
    pthread_t handles[32];
    job jobs[32];
    for (int i = 0; i < threads; ++i) {
        jobs[i] = (job){{i, (int)threads, &state, 0, 0}, rounds, cells, 0};
        pthread_create(&handles[i], 0, work, &jobs[i]);
    }
    int64_t sum = 0;
    for (int i = 0; i < threads; ++i) {
        pthread_join(handles[i], 0);
        sum += jobs[i].sum;
    }
    return sum;
}
"""

BASELINE = ("gcc", "x86-64")


def test_division_as_pythons(build):
    library = build(SOURCE, BASELINE)
    numbers = [*range(-9, 10), 2**62, -(2**62), *(random.Random(1).randrange(-(2**63) + 1, 2**63) for _ in range(50))]
    for a in numbers:
        for b in numbers:
            assert (library.floordiv(a, b), library.floormod(a, b)) == (divmod(a, b) if b else (0, 0))


def test_the_quotient_that_64_bits_do_not_hold(build):
    """NumPy's is the dividend too."""
    library = build(SOURCE, BASELINE)
    assert (library.floordiv(-(2**63), -1), library.floormod(-(2**63), -1)) == (-(2**63), 0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 64])
def test_split(count, build):
    library = build(SOURCE, BASELINE)
    for n in (0, 1, 2, 3, 63, 64, 65, 1000, 2**62):
        ranges = np.zeros((count, 2), np.int64)
        library.split(count, n, ranges)
        assert ranges[0, 0] == 0 and ranges[-1, 1] == n and (ranges[1:, 0] == ranges[:-1, 1]).all()
        sizes = ranges[:, 1] - ranges[:, 0]
        assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_barrier(threads, build):
    """With more threads than processors too."""
    assert build(SOURCE, BASELINE).rounds_seen(threads, 500) == threads * 500

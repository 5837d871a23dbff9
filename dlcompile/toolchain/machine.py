"""What this machine can do, measured: multiply-adds and bytes from memory in a second, which is what kernels are compared with."""
from __future__ import annotations

import ctypes
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcompile.codegen.csrc import csrc_dir
from dlcompile.codegen.project import LANGUAGE_FLAGS
from dlcompile.errors import ToolchainError
from dlcompile.kernels.target import resolve_target
from dlcompile.toolchain.compiler import find_compiler

SOURCE = """\
#include <time.h>
#include "dlc_vector.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Operations in a second: the best of some measurements of multiply-adds that wait for nothing. */
__attribute__((visibility("default"))) double multiply_adds(double seconds)
{
    enum { COUNT = SUMS, TURNS = 20000 }; /* sums: as many as registers hold beside two operands */
    double best = 0;
    for (const double end = now() + seconds; now() < end;) {
        dlc_vf sums[COUNT], a = dlc_broadcast(0.999f), b = dlc_broadcast(0.001f);
        __asm__ volatile("" : "+m"(a), "+m"(b)); /* not known to be constants */
        DLC_UNROLL
        for (int i = 0; i < COUNT; ++i)
            sums[i] = dlc_broadcast((float)i);
        const double start = now();
        for (int turn = 0; turn < TURNS; ++turn) {
            DLC_UNROLL
            for (int i = 0; i < COUNT; ++i)
                sums[i] = sums[i] * a + b;
        }
        const double rate = 2.0 * DLC_LANES * COUNT * TURNS / (now() - start);
        for (int i = 0; i < COUNT; ++i)
            __asm__ volatile("" : : "m"(sums[i]));
        best = rate > best ? rate : best;
    }
    return best;
}

/* Bytes in a second that are read of an array larger than caches. */
__attribute__((visibility("default"))) double bytes_read(const float *p, int64_t count, double seconds)
{
    double best = 0;
    for (const double end = now() + seconds; now() < end;) {
        dlc_vf sums[4] = {{0}, {0}, {0}, {0}};
        const double start = now();
        for (int64_t i = 0; i + 4 * DLC_LANES <= count; i += 4 * DLC_LANES) {
            DLC_UNROLL
            for (int j = 0; j < 4; ++j)
                sums[j] += dlc_load(p + i + j * DLC_LANES);
        }
        const double rate = 4.0 * (double)count / (now() - start);
        for (int j = 0; j < 4; ++j)
            __asm__ volatile("" : : "m"(sums[j]));
        best = rate > best ? rate : best;
    }
    return best;
}
"""

BYTES = 256 << 20  # read in all, shared out over the threads
SECONDS = 0.15  # of each measurement


@dataclass(frozen=True)
class Machine:
    """float32 operations and bytes read from memory in a second, by so many threads together."""

    threads: int
    flops: float
    bytes: float


def measure_machine(threads: int) -> Machine:
    """Measure for half a second what `threads` threads of this machine can do. ToolchainError where no C compiler is found or it fails."""
    target = resolve_target("native")
    with tempfile.TemporaryDirectory(prefix="dlcompile-") as folder:
        source, library = Path(folder) / "machine.c", Path(folder) / "machine.so"
        source.write_text(SOURCE, encoding="utf-8")
        command = [*find_compiler().command, *LANGUAGE_FLAGS, *target.flags, f"-DSUMS={target.registers * 3 // 4}", f"-I{csrc_dir()}",
                   "-shared", str(source), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise ToolchainError(f"measuring this machine: {' '.join(command)} failed:\n{done.stderr}")
        probe = ctypes.CDLL(str(library))
    for function in (probe.multiply_adds, probe.bytes_read):
        function.restype = ctypes.c_double
    count = BYTES // 4 // threads
    arrays = [np.ones(count, np.float32) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        flops = sum(pool.map(lambda _: probe.multiply_adds(ctypes.c_double(SECONDS)), range(threads)))
        rates = pool.map(lambda a: probe.bytes_read(ctypes.c_void_p(a.ctypes.data), ctypes.c_int64(count), ctypes.c_double(SECONDS)), arrays)
        return Machine(threads, flops, sum(rates))

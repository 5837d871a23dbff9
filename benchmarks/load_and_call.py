"""What a model costs beside its arithmetic: compiling (cold and from the cache), loading, memory, the fixed cost of a call, and what
serving any shape costs against serving one.

    python benchmarks/load_and_call.py models/resnet50.onnx models/mlp.onnx --dynamic models/minilm_dynamic.onnx --shape batch=1 --shape sequence=128
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

LOADING = """
import json, os, sys, time
import numpy as np
import dlcompile as dlc
from dlcompile.cli.values import make_inputs
dlc.load  # the import of the runtime is not the load
def private():  # bytes that are no file's (dirty pages of a file just written count as private and dirty too)
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Anonymous:")) * 1024
path = sys.argv[1]
times = []
for _ in range(5):
    start = time.perf_counter(); model = dlc.load(path); times.append(time.perf_counter() - start); del model
before = private()
model = dlc.load(path)
loaded = private()
arrays = make_inputs(model.inputs, model.symbols, (), json.loads(sys.argv[2]), 0)
inputs = sum(a.nbytes for a in arrays.values())
values = tuple(arrays.values())
start = private()
result = model(*values)
ran = private()
outputs = sum(a.nbytes for a in (result if isinstance(result, tuple) else (result,)))
calls = []
end = time.perf_counter() + 1
while time.perf_counter() < end or len(calls) < 5:
    t = time.perf_counter(); model(*values); calls.append(time.perf_counter() - t)
calls.sort()
print(json.dumps({"first_load_ms": times[0] * 1e3, "load_ms": sorted(times)[2] * 1e3, "private_after_load": loaded - before,
                  "private_after_run": ran - start - outputs, "arena": model.arena_bytes(**model.bind(*values)),
                  "weights": model.info.weights_bytes, "call_us": calls[len(calls) // 2] * 1e6}))
"""

COMPILING = """
import resource, sys, time
import dlcompile as dlc
start = time.perf_counter()
model = dlc.compile(sys.argv[1])
model.save(sys.argv[2])
seconds = time.perf_counter() - start
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024
print(seconds, peak)
"""

CALLING = """
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "model.h"

static int ascending(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

/* argv: the library, the name of its info function, the values of its symbols. Prints the median microseconds of a call. */
int main(int argc, char **argv)
{
    void *const library = dlopen(argv[1], RTLD_NOW);
    const dlc_model_info *(*tell)(void) = library ? (const dlc_model_info *(*)(void))dlsym(library, argv[2]) : NULL;
    const dlc_model_info *const info = tell ? tell() : NULL;
    int64_t symbols[16] = {0};
    void *ports[64];
    if (!info || argc - 3 != info->symbol_count || argc > 19 || info->input_count + info->output_count > 64)
        return 1;
    for (int i = 3; i < argc; ++i)
        symbols[i - 3] = strtoll(argv[i], NULL, 10);
    for (int32_t p = 0; p < info->input_count + info->output_count; ++p) {
        const dlc_port *const port = p < info->input_count ? &info->inputs[p] : &info->outputs[p - info->input_count];
        int64_t dims[16], bytes = port->itemsize;
        if (info->shape(symbols, p, dims))
            return 1;
        for (int32_t a = 0; a < port->rank; ++a)
            if ((bytes *= dims[a]) < 0)
                return 2; /* a size that only a run knows */
        ports[p] = calloc((size_t)bytes + 1, 1);
    }
    void *const context = info->create(NULL);
    enum { ROUNDS = 201 };
    static double seconds[ROUNDS];
    for (int round = -20; round < ROUNDS; ++round) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (int call = 0; call < CALLS; ++call)
            if (info->run(context, symbols, (const void *const *)ports, ports + info->input_count))
                return 1;
        clock_gettime(CLOCK_MONOTONIC, &end);
        if (round >= 0)
            seconds[round] = ((double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec)) / CALLS;
    }
    qsort(seconds, ROUNDS, sizeof *seconds, ascending);
    printf("%.4f\\n", seconds[ROUNDS / 2] * 1e6);
    info->destroy(context);
    return 0;
}
"""


def c_call(library: str, dims: dict[str, int], about_us: float) -> float:
    """Median microseconds of a call from C; zeros go in. `about_us`: what a call takes, as far as is known. NaN for a model with outputs whose
    size only a run knows."""
    import dlcompile as dlc
    from dlcompile.toolchain.compiler import find_compiler

    model = dlc.load(library)
    with tempfile.TemporaryDirectory() as directory:
        source, program = Path(directory, "calling.c"), Path(directory, "calling")
        source.write_text(CALLING)
        Path(directory, "model.h").write_text(model.info.header)
        subprocess.run([*find_compiler().command, "-O2", f"-DCALLS={max(1, int(1000 / max(about_us, 1)))}", "-o", program, source, "-ldl"], check=True)
        result = subprocess.run([program, library, f"{model.info.name}_info", *(str(dims.get(s, 1)) for s in model.symbols)], capture_output=True, text=True)
    if result.returncode == 2:
        return float("nan")
    if result.returncode:
        raise click.ClickException(f"{library} could not be called from C")
    return float(result.stdout)


def run(code: str, *arguments: str, **environment: str) -> str:
    """The output of a fresh Python: what another model has left behind counts for nothing."""
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode:
        raise click.ClickException(result.stderr.strip().splitlines()[-1])
    return result.stdout


def facts(path: Path, dims: dict[str, int]) -> dict[str, float]:
    """Everything measured of one model."""
    with tempfile.TemporaryDirectory() as directory:
        library = str(Path(directory, "model.so"))
        environment = {"DLCOMPILE_CACHE_DIR": str(Path(directory, "cache"))}
        cold, peak = map(float, run(COMPILING, str(path), library, **environment).split())
        cached, _ = map(float, run(COMPILING, str(path), library, **environment).split())
        found = json.loads(run(LOADING, library, json.dumps(dims)))
        return {"cold_s": cold, "cached_s": cached, "peak": peak, "c_us": c_call(library, dims, found["call_us"]), **found}


def dynamic_against_pinned(path: Path, dims: dict[str, int], rounds: int, threads: int) -> tuple[float, float, float]:
    """Median milliseconds of a call of the library for any shape and of that for this one, in turns, and the median of their ratios."""
    import dlcompile as dlc
    from dlcompile.cli.values import index_limits, make_inputs

    any_shape, one_shape = dlc.compile(path, threads=threads), dlc.compile(path, dims=dims, threads=threads)
    arrays = make_inputs(any_shape.inputs, any_shape.symbols, (), dims, 0, index_limits(dlc.import_onnx(path)))
    values = tuple(arrays.values())
    times = np.zeros((rounds, 2))
    for turn in range(-2, rounds):
        for column, model in enumerate((any_shape, one_shape)):
            start = time.perf_counter()
            model(*values)
            if turn >= 0:
                times[turn, column] = time.perf_counter() - start
    return (*(np.median(times, axis=0) * 1e3), float(np.median(times[:, 0] / times[:, 1])))


def _sizes(texts) -> dict[str, int]:
    return {k: int(v) for k, v in (t.split("=") for t in texts)}


@click.command()
@click.argument("models", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dim", "dims", multiple=True, metavar="NAME=N", help="Sizes of MODELS' symbolic dimensions.")
@click.option("--dynamic", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A model with symbolic dimensions.")
@click.option("--shape", multiple=True, metavar="NAME=N", help="The shape to pin it to.")
@click.option("--rounds", default=41, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(models, dims, dynamic, shape, rounds, threads) -> None:
    """Measure MODELS; each in processes of its own."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=160)
    columns = ("model", "compile s", "cached s", "peak MiB", "load ms", "weights MiB", "private after load MiB", "arena MiB",
               "private after a run MiB", "Python call µs", "C call µs")
    table = Table(*columns, header_style="bold", show_edge=False)
    for path in models:
        f = facts(path, _sizes(dims))
        table.add_row(path.stem, *(f"{v:.3g}" for v in (f["cold_s"], f["cached_s"], f["peak"] / 2**20, f["load_ms"], f["weights"] / 2**20,
                                                        f["private_after_load"] / 2**20, f["arena"] / 2**20, f["private_after_run"] / 2**20,
                                                        f["call_us"], f["c_us"])))
    if models:
        console.print(table)
    if dynamic:
        any_ms, one_ms, ratio = dynamic_against_pinned(dynamic, _sizes(shape), rounds, threads)
        console.print(f"{dynamic.stem} at {', '.join(shape)}, {threads} threads: {any_ms:.3g} ms for any shape, {one_ms:.3g} ms pinned: "
                      f"ratio {ratio:.3f}")


if __name__ == "__main__":
    main()

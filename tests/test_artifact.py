"""The library and the header as a stranger meets them: what they need, what they define, and how they behave in C and in Python."""
from __future__ import annotations

import ctypes
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import dlcompile as dlc
from dlcompile.kernels.target import TARGETS, runs_here
from tests import onnx_models as models
from tests.conftest import compiler, sanitizers_work

SANITIZE = ("-fsanitize=address,undefined",)
ALLOWED = {"linux-vdso.so.1", "libc.so.6", "libm.so.6", "libgomp.so.1", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
           "libdl.so.2"}  # libgomp of old C libraries brings the last


@dataclass(frozen=True)
class Artifact:
    """A saved library, an input and what comes out of it."""

    library: Path
    model: dlc.CompiledModel
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    directory = tmp_path_factory.mktemp("artifacts")
    made = {}
    for name in ("mlp", "cnn", "depthwise", "transformer"):
        proto = models.BUILDERS[name]()
        model = dlc.compile(proto, name=name)
        inputs = models.random_inputs(proto, batch=3, seq=9)
        made[name] = Artifact(model.save(directory / f"{name}.so"), model, inputs, model.run(inputs))
    return made


def run(*command: str | Path, **options) -> str:
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stderr}\n{result.stdout}"
    return result.stdout


# -- the files --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer"])
def test_needs_only_the_c_library_and_openmp(artifacts, name) -> None:
    compiler("ldd")
    needed = {Path(line.split()[0]).name for line in run("ldd", artifacts[name].library).splitlines() if line.strip()}
    assert needed <= ALLOWED


@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer"])
def test_defines_only_names_that_start_with_its_own(artifacts, name) -> None:
    compiler("nm")
    defined = [line.split()[-1] for line in run("nm", "-D", "--defined-only", artifacts[name].library).splitlines()]
    assert {f"{name}_create", f"{name}_run", f"{name}_destroy", f"{name}_info", f"{name}_error"} <= set(defined)
    assert [d for d in defined if not d.startswith(name)] == []


@pytest.mark.parametrize("command, standard, suffix", [
    ("gcc", "-std=c11", ".c"), ("gcc", "-std=c99", ".c"), ("g++", "-std=c++11", ".cc"), ("clang", "-std=c11", ".c"), ("clang++", "-std=c++17", ".cc")])
def test_headers_compile_without_a_warning(artifacts, tmp_path, command, standard, suffix) -> None:
    compiler(command)
    source = tmp_path / f"both{suffix}"
    source.write_text('#include "transformer.h"\n#include "cnn.h"\n#include "cnn.h"\nint main(void) { return !cnn_info(); }\n')
    run(command, standard, "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{artifacts['cnn'].library.parent}", "-fsyntax-only", source)


def test_weights_are_mapped_not_copied(tmp_path) -> None:
    """What memory grows by, beside pages of the file, is the arena and little more."""
    proto = models.mlp((1024, 4096, 2048, 8), batch=1, name="wide")  # 50 MB
    library = dlc.compile(proto, name="wide", cache=False).save(tmp_path / "wide.so")
    code = ("import sys, numpy as np, dlcompile as dlc\n"
            "def own(): return sum(int(l.split()[1]) for l in open('/proc/self/smaps_rollup') if l.startswith('Anonymous:')) * 1024\n"
            "dlc.load\n"
            "before = own(); model = dlc.load(sys.argv[1]); model(np.zeros((1, 1024), np.float32))\n"
            "print(model.info.weights_bytes, own() - before, model.arena_bytes())")
    weights, grown, arena = map(int, run(sys.executable, "-c", code, library).split())
    assert weights > 40 << 20
    assert grown <= arena + (5 << 20)


# -- in C -------------------------------------------------------------------------------------------------------------------
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mlp.h"
#include "transformer.h"

/* Runs two models in turns, on one thread and on two, and prints what comes out. */
static void print(const float *y, int64_t count)
{
    for (int64_t i = 0; i < count; ++i)
        printf("%.9g\n", (double)y[i]);
}

int main(void)
{
    enum { BATCH = 3, SEQ = 9 };
    float x[BATCH * 20], y[BATCH * 5], z[BATCH * SEQ * 16];
    int64_t ids[BATCH * SEQ];
    if (fread(x, sizeof x, 1, stdin) != 1 || fread(ids, sizeof ids, 1, stdin) != 1)
        return 2;
    for (int32_t threads = 1; threads <= 2; ++threads) {
        mlp_options options = {threads};
        mlp *m = mlp_create(&options);
        transformer *t = transformer_create(&options);
        if (!m || !t)
            return 3;
        if (mlp_run(m, BATCH, x, y) || transformer_run(t, 1, 2, ids, z) || transformer_run(t, BATCH, SEQ, ids, z))
            return 4;
        if (mlp_run(m, -1, x, y) != DLC_ERROR_ARGUMENT || !strlen(mlp_error(m)))
            return 5;
        if (mlp_run(m, BATCH, 0, y) != DLC_ERROR_ARGUMENT)
            return 6;
        if (mlp_run(m, 0, x, y) != DLC_OK)
            return 7;
        mlp_destroy(m);
        transformer_destroy(t);
    }
    mlp_destroy(0);
    const dlc_model_info *info = mlp_info();
    if (strcmp(info->name, "mlp") || info->input_count != 1 || strcmp(info->symbols[0], "batch") || mlp_arena_bytes(BATCH, 1) < 0)
        return 8;
    print(y, BATCH * 5);
    print(z, BATCH * SEQ * 16);
    return 0;
}
"""


def c_inputs(artifacts) -> bytes:
    return artifacts["mlp"].inputs["x"].tobytes() + artifacts["transformer"].inputs["ids"].tobytes()


def expected(artifacts) -> np.ndarray:
    return np.concatenate([artifacts[n].outputs["y"].ravel() for n in ("mlp", "transformer")])


def test_two_models_in_one_c_program(artifacts, tmp_path) -> None:
    directory = artifacts["mlp"].library.parent
    (tmp_path / "main.c").write_text(PROGRAM)
    run(compiler("cc", "gcc", "clang"), "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{directory}", tmp_path / "main.c", directory / "mlp.so",
        directory / "transformer.so", f"-Wl,-rpath,{directory}", "-o", tmp_path / "main")
    output = subprocess.run([tmp_path / "main"], input=c_inputs(artifacts), capture_output=True)
    assert output.returncode == 0
    np.testing.assert_array_equal(np.array(output.stdout.split(), np.float32), expected(artifacts))


@pytest.mark.parametrize("command, target", [("gcc", "x86-64-v3"), ("clang", "x86-64-v2")])
def test_sanitized_program_and_models(artifacts, tmp_path, command, target) -> None:
    """The emitted projects built by their own Makefiles, sanitizers and all, linked statically into one program: no error, no leak."""
    compiler(command), compiler("make")
    if not sanitizers_work(command, tmp_path, SANITIZE):
        pytest.skip(f"the sanitizers of {command} do not work here")
    target = target if runs_here(TARGETS[target]) else "native"
    for name in ("mlp", "transformer"):
        dlc.lower(models.BUILDERS[name](), name=name, target=target)[2].write(tmp_path / name)
        run("make", "-s", "-j2", "-C", tmp_path / name, f"CC={command}", f"CFLAGS=-O1 {' '.join(SANITIZE)}", f"{name}.a")
    (tmp_path / "main.c").write_text(PROGRAM)
    run(command, "-std=c11", *SANITIZE, f"-I{tmp_path / 'mlp'}", f"-I{tmp_path / 'transformer'}", tmp_path / "main.c", tmp_path / "mlp/mlp.a",
        tmp_path / "transformer/transformer.a", "-lgomp", "-lm", "-lpthread", "-o", tmp_path / "main")
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "halt_on_error=1",
                   "LSAN_OPTIONS": f"suppressions={_openmp_suppression(tmp_path)}"}
    output = subprocess.run([tmp_path / "main"], input=c_inputs(artifacts), capture_output=True, env=environment)
    assert output.returncode == 0, output.stderr.decode()
    np.testing.assert_allclose(np.array(output.stdout.split(), np.float32), expected(artifacts), rtol=1e-4, atol=1e-5)


def _openmp_suppression(directory: Path) -> Path:
    """libgomp keeps its pool of threads until the process ends."""
    path = directory / "suppressions"
    path.write_text("leak:libgomp\n")
    return path


# -- in Python --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["mlp", "cnn", "depthwise", "transformer"])
def test_same_bits_for_any_number_of_threads(artifacts, name) -> None:
    artifact = artifacts[name]
    for threads in (1, 2, 3, 4):
        result = dlc.load(artifact.library, threads=threads).run(artifact.inputs)
        for key, value in artifact.outputs.items():
            assert value.tobytes() == result[key].tobytes(), f"{threads} threads"


def test_same_bits_with_work_for_every_thread() -> None:
    proto = models.cnn(size=64, batch=4)
    inputs = models.random_inputs(proto)
    results = [dlc.compile(proto, name="large_cnn", threads=threads).run(inputs)["scores"].tobytes() for threads in (1, 2, 3, 4)]
    assert len(set(results)) == 1


def test_eight_threads_call_one_model(artifacts) -> None:
    artifact = artifacts["transformer"]
    ids = {batch: artifact.inputs["ids"][:batch] for batch in (1, 2, 3)}
    right = {batch: artifact.model(x) for batch, x in ids.items()}
    start, wrong = threading.Barrier(8), []

    def work(batch: int) -> None:
        start.wait()
        wrong.extend(batch for _ in range(50) if not np.array_equal(artifact.model(ids[batch]), right[batch]))

    threads = [threading.Thread(target=work, args=(1 + i % 3,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def _in_child(queue, library: Path, model: dlc.CompiledModel | None, inputs) -> None:
    queue.put((model or dlc.load(library)).run(inputs))


def test_a_forked_process_runs_the_model(artifacts) -> None:
    """Workers of an OpenMP pool do not survive a fork; the child must not wait for them."""
    proto = models.cnn(size=64, batch=4)
    inputs = models.random_inputs(proto)
    model = dlc.compile(proto, name="large_cnn", threads=2)
    before = model.run(inputs)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue, model.path, model, inputs))
    child.start()
    after = queue.get(timeout=60)
    child.join(timeout=60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(before["scores"], after["scores"])
    np.testing.assert_array_equal(model.run(inputs)["scores"], before["scores"])


def test_libraries_that_are_moved_and_loaded_twice(artifacts, tmp_path) -> None:
    artifact = artifacts["cnn"]
    copy = tmp_path / "ein anderer Ort" / "модель.so"
    copy.parent.mkdir()
    shutil.copy(artifact.library, copy)
    first, second = dlc.load(copy), dlc.load(artifact.library)
    copy.unlink()  # what is loaded stays
    for model in (first, second):
        np.testing.assert_array_equal(model.run(artifact.inputs)["scores"], artifact.outputs["scores"])


def test_ctypes_needs_no_dlcompile(artifacts) -> None:
    artifact = artifacts["mlp"]
    library = ctypes.CDLL(str(artifact.library))
    library.mlp_create.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.mlp_create(None))
    y = np.empty((3, 5), np.float32)
    x = artifact.inputs["x"]
    assert library.mlp_run(context, ctypes.c_int64(3), x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p)) == 0
    library.mlp_destroy(context)
    np.testing.assert_array_equal(y, artifact.outputs["y"])


@pytest.mark.parametrize("name", list(models.BUILDERS))
def test_against_onnxruntime(model_files, name) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = models.BUILDERS[name]()
    session = onnxruntime.InferenceSession(str(model_files[name]), providers=["CPUExecutionProvider"])
    model = dlc.compile(model_files[name])
    for dims in (dict(batch=1, seq=1, time=1), dict(batch=2, seq=17, time=5), dict(batch=5, seq=33, time=13)):
        inputs = models.random_inputs(proto, **dims)
        for port, expected_ in zip(model.outputs, session.run(None, inputs)):
            np.testing.assert_allclose(model.run(inputs)[port.name], expected_, rtol=0, atol=1e-4 * np.abs(expected_).max())

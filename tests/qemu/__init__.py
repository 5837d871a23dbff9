"""Models compiled for another kind of processor, run by qemu's user mode emulation.

    from tests.qemu import EmulatedModel, available
    if available():
        outputs = EmulatedModel(model).run({"x": x})

`runner.c`, compiled for that processor too, loads a model's library and calls it with arrays from a file.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

import dlcompile as dlc
from dlcompile.codegen.csrc import csrc_dir
from dlcompile.errors import ExecutionError, ToolchainError
from dlcompile.graph.dtypes import as_dtype, dtype_name
from dlcompile.kernels.target import TARGETS, runs_here
from dlcompile.runtime.elf import read_note
from dlcompile.toolchain import find_compiler

ARM = TARGETS["aarch64"]
SYSTEM = Path("/usr/aarch64-linux-gnu")  # where Debian has the other machine's C library
SECONDS = 120


@cache
def available() -> bool:
    """Whether libraries for aarch64 can be built and run here."""
    try:
        _runner()
    except ToolchainError:
        return False
    return True


@cache
def _emulator() -> str:
    for name in ("qemu-aarch64", "qemu-aarch64-static"):
        path = shutil.which(name)
        if path is not None:
            return path
    raise ToolchainError("no qemu-aarch64 is installed (Debian, Ubuntu: `apt install qemu-user`)")


_directory = tempfile.TemporaryDirectory(prefix="dlcompile-qemu-")


@cache
def _runner() -> Path:
    """The compiled runner, seen to start."""
    _emulator()
    path = Path(_directory.name, "runner")
    source = Path(__file__).with_name("runner.c")
    options = ["-O1", "-Wall", "-Wextra", "-Werror", f"-I{csrc_dir()}"]
    built = subprocess.run([*find_compiler(ARM).command, *options, "-o", str(path), str(source), "-ldl"], capture_output=True, text=True)
    if built.returncode:
        raise ToolchainError(f"the runner cannot be built: {built.stderr}")
    started = subprocess.run([*_command(), str(path)], capture_output=True, text=True)
    if "usage" not in started.stderr:
        raise ToolchainError(f"the runner does not start: {started.stderr}")
    return path


def _command() -> list[str]:
    return [_emulator(), "-L", str(SYSTEM)]


def run_under_qemu(library: str | os.PathLike, inputs: Mapping[str, np.ndarray], *,
                   threads: int | None = None) -> dict[str, np.ndarray]:
    """The outputs, by name, of a library compiled for aarch64. ExecutionError, with its words, where it refuses or crashes."""
    name = read_note(Path(library))["name"]
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    with tempfile.TemporaryDirectory(prefix="run-", dir=_directory.name) as directory:
        given, made = Path(directory, "inputs"), Path(directory, "outputs")
        given.write_bytes(b"".join(_packed(key, np.asarray(value)) for key, value in inputs.items()))
        command = [*_command(), str(_runner()), os.path.abspath(library), name, str(given), str(made)]
        try:
            result = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise ExecutionError(f"{library}: no answer within {SECONDS} seconds") from None
        if result.returncode:
            raise ExecutionError(f"{library}: status {result.returncode}: {result.stderr.strip()}")
        return _unpacked(made.read_bytes())


def _packed(name: str, array: np.ndarray) -> bytes:
    texts = [text.encode() for text in (name, dtype_name(array.dtype))]
    numbers = np.array([array.ndim, *array.shape], "<i8")
    return b"".join(len(t).to_bytes(8, "little") + t for t in texts) + numbers.tobytes() + np.ascontiguousarray(array).tobytes()


def _unpacked(data: bytes) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    position = 0

    def take(count: int) -> bytes:
        nonlocal position
        position += count
        return data[position - count:position]

    def number() -> int:
        return int.from_bytes(take(8), "little")

    while position < len(data):
        name, dtype = (take(number()).decode() for _ in range(2))
        shape = tuple(number() for _ in range(number()))
        kind = as_dtype(dtype)
        arrays[name] = np.frombuffer(take(int(np.prod(shape, dtype=np.int64)) * kind.itemsize), kind).reshape(shape).copy()
    return arrays


class EmulatedModel:
    """A model compiled for aarch64 and called through qemu: of `dlcompile.CompiledModel` what tests of values need."""

    def __init__(self, model, *, threads: int | None = None, **options):
        self._files = tempfile.TemporaryDirectory(prefix="model-", dir=_directory.name)
        self.library = dlc.compile_library(model, Path(self._files.name, "model.so"), target="aarch64", **{"cache": False, **options})
        self.threads = threads

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name."""
        return run_under_qemu(self.library, inputs, threads=self.threads)


def compile_for(model, target: str, **options):
    """What `dlcompile.compile(model, target=target)` gives where this machine can run the target, else an emulated model:
    `run` takes and gives arrays by name."""
    if target == "aarch64" and not runs_here(ARM):
        return EmulatedModel(model, **options)
    return dlc.compile(model, target=target, **options)


__all__ = ["EmulatedModel", "available", "compile_for", "run_under_qemu"]

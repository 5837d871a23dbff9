"""Models compiled for another kind of processor, run by qemu's user mode emulation.

    from tests.qemu import EmulatedModel, available
    if available():
        y = EmulatedModel(model)(x)

`runner.c`, compiled for that processor too, loads a model's library and calls it with arrays from a file.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import dlcompile as dlc
from dlcompile.codegen.csrc import csrc_dir
from dlcompile.errors import ExecutionError, ToolchainError
from dlcompile.graph.dtypes import as_dtype, dtype_name
from dlcompile.kernels.target import TARGETS, runs_here
from dlcompile.runtime import CompiledModel, fallback
from dlcompile.runtime.elf import read_note
from dlcompile.runtime.model import _StructuredModel as StructuredModel
from dlcompile.runtime.ports import CallInfo, ModelInfo, TensorInfo
from dlcompile.toolchain import find_compiler

ARM = TARGETS["aarch64"]
SYSTEM = Path("/usr/aarch64-linux-gnu")  # where Debian has the other machine's C library
SECONDS = 300
T = TypeVar("T")


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


def _run(library: str | os.PathLike, *files: Path, threads: int | None = None) -> None:
    """The runner, with a library and files. ExecutionError, with its words, where it refuses or crashes."""
    name = read_note(Path(library))["name"]
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    command = [*_command(), str(_runner()), os.path.abspath(library), name, *map(str, files)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise ExecutionError(f"{library}: no answer within {SECONDS} seconds") from None
    if result.returncode:
        raise ExecutionError(f"{library}: status {result.returncode}: {result.stderr.strip()}")


def run_under_qemu(library: str | os.PathLike, inputs: Mapping[str, np.ndarray], *, threads: int | None = None) -> dict[str, np.ndarray]:
    """The outputs, by name, of a library compiled for aarch64. ExecutionError, with its words, where it refuses or crashes."""
    with tempfile.TemporaryDirectory(prefix="run-", dir=_directory.name) as directory:
        given, made = Path(directory, "inputs"), Path(directory, "outputs")
        given.write_bytes(b"".join(_packed(key, np.asarray(value)) for key, value in inputs.items()))
        _run(library, given, made, threads=threads)
        return _unpacked(made.read_bytes())


def _packed(name: str, array: np.ndarray) -> bytes:
    texts = [text.encode() for text in (name, dtype_name(array.dtype))]
    numbers = np.array([array.ndim, *array.shape], "<i8")
    head = b"".join(len(t).to_bytes(8, "little") + t for t in texts) + numbers.tobytes()
    if array.dtype != object:
        return head + np.ascontiguousarray(array).tobytes()
    strings = [text.encode("utf-8", "surrogateescape") for text in array.flat]
    return head + np.array([len(s) for s in strings], "<i8").tobytes() + b"".join(strings)


class _Reader:
    """What the runner writes."""

    def __init__(self, data: bytes):
        self.data, self.position = data, 0

    def take(self, count: int) -> bytes:
        self.position += count
        return self.data[self.position - count:self.position]

    def number(self) -> int:
        return int.from_bytes(self.take(8), "little", signed=True)

    def text(self) -> str:
        return self.take(self.number()).decode()

    def several(self, read: Callable[[], T]) -> tuple[T, ...]:
        return tuple(read() for _ in range(self.number()))


def _unpacked(data: bytes) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    reader = _Reader(data)
    while reader.position < len(data):
        name, dtype = reader.text(), as_dtype(reader.text())
        shape = reader.several(reader.number)
        count = int(np.prod(shape, dtype=np.int64))
        if dtype.kind == "O":
            sizes = [reader.number() for _ in range(count)]
            arrays[name] = np.empty(shape, object)
            arrays[name].reshape(-1)[:] = [reader.take(size).decode("utf-8", "surrogateescape") for size in sizes]
        else:
            arrays[name] = np.frombuffer(reader.take(count * dtype.itemsize), dtype).reshape(shape).copy()
    return arrays


# -- models -----------------------------------------------------------------------------------------------------------------
def _info(library: Path) -> ModelInfo:
    """What a library for aarch64 says about itself."""
    with tempfile.TemporaryDirectory(prefix="info-", dir=_directory.name) as directory:
        path = Path(directory, "info")
        _run(library, path)
        reader = _Reader(path.read_bytes())
    number, text = reader.number, reader.text

    def port() -> TensorInfo:
        name, parameter, dtype = text(), text(), as_dtype(text())
        dims = reader.several(lambda: (text(), (number(), number(), number())))
        shape = tuple(axis[2] if axis[0] == -1 else words for words, axis in dims)
        return TensorInfo(name, dtype, shape, tuple(axis for _, axis in dims), dtype, parameter)

    def call() -> CallInfo:
        return CallInfo(text(), text(), tuple(text().split(", ")), tuple(text().split(", ")), bool(number()), bool(number()))

    name, version, compiler, target, header = (text() for _ in range(5))
    weights, threads = number(), number()
    symbols, inputs, outputs = reader.several(text), reader.several(port), reader.several(port)
    metadata = dict(reader.several(lambda: (text(), text())))
    return ModelInfo(name, version, compiler, target, ARM.requires, header, symbols, inputs, outputs, reader.several(call), metadata, weights,
                     threads or None)


class _Library:
    """A library that this machine cannot load: of `runtime.library.Library` what a model needs that never calls it."""

    file = -1

    def __init__(self, path: Path):
        self.path, self.info = path, _info(path)
        self.handle, self.c_info = fallback.Handle(0), fallback.ffi.new("dlc_model_info *")


class _Emulated:
    """Calls a model through qemu."""

    def _invoke(self, args: tuple, out: Any, seconds: Any):
        given = {port.name: self.arguments.input(i, value) for i, (port, value) in enumerate(zip(self.info.inputs, args))}
        made = run_under_qemu(self.library.path, given, threads=self.run_threads)
        return self.arguments.finish(tuple(made[port.name] for port in self.info.outputs), out)


class _Plain(_Emulated, CompiledModel, fallback.Caller):
    """An emulated model that takes and gives arrays."""


class _Structured(_Emulated, StructuredModel):
    """One that takes or gives sequences or optional values."""


def EmulatedModel(model, *, threads: int | None = None, **options) -> CompiledModel:
    """A model compiled for aarch64 and called through qemu. `options` are those of `dlcompile.compile_library`."""
    files = tempfile.TemporaryDirectory(prefix="model-", dir=_directory.name)
    library = dlc.compile_library(model, Path(files.name, "model.so"), target="aarch64", **{"cache": False, **options})
    opened = _Library(library)
    made = (_Structured if "interface" in opened.info.metadata else _Plain)(opened)
    made.run_threads, made.files = threads, files  # the files are there as long as the model is
    return made


def compile_for(model, target: str, **options) -> CompiledModel:
    """What `dlcompile.compile(model, target=target)` gives, emulated where this machine cannot run the target."""
    if target == "aarch64" and not runs_here(ARM):
        return EmulatedModel(model, **options)
    return dlc.compile(model, target=target, **options)


__all__ = ["EmulatedModel", "available", "compile_for", "run_under_qemu"]

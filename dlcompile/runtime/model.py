"""Compiled models: loading, calling, saving, profiling."""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, LibraryError
from dlcompile.runtime.arguments import Arguments
from dlcompile.runtime.dynamic import DynamicCaller
from dlcompile.runtime.library import Library, ffi
from dlcompile.runtime.ports import CallProfile, ModelInfo, TensorInfo
from dlcompile.runtime.structure import Structure, StructuredCaller

try:
    from dlcompile.runtime._call import Caller
except ImportError:  # it was not built: there were no Python headers, or no compiler
    from dlcompile.runtime.fallback import Caller

_FORMATS = {"float64": "d", "float32": "f", "float16": "e", "int64": "lq", "int32": "i", "int16": "h", "int8": "b",
            "uint64": "LQ", "uint32": "I", "uint16": "H", "uint8": "B", "bool": "?"}
"""element type → how the buffer protocol spells it"""

_FUNCTIONS = ("run", "create", "destroy", "error", "shape", "profile", "context_threads")


class CompiledModel:
    """A model in a shared library. Call it with its inputs, in order or by name: NumPy arrays of the exact element type, or anything with
    the buffer protocol, `__array__` or `__dlpack__`; Python numbers and lists become the expected type. One output is returned as an
    array, several as a tuple. `out=` takes an array (a tuple of arrays) to write to.

    It may be called from several threads at once, and from a process forked off one that has called it. ArgumentError for arguments the
    model cannot take, ExecutionError where a run fails.
    """

    def __init__(self, library: Library, threads: int | None = None):
        info = library.info
        check_threads(threads)
        self.info: ModelInfo = info
        functions = [int(ffi.cast("uintptr_t", getattr(library.c_info, name))) for name in _FUNCTIONS]
        ports = tuple([_port(p) for p in group] for group in (info.inputs, info.outputs))
        updates = dict(json.loads(info.metadata.get("updates", "[]")))
        arguments = Arguments(info.name, info.inputs, info.outputs, info.symbols, updates)
        super().__init__(library, library.handle, functions, ports, arguments, len(info.symbols), threads or 0, np.empty)
        self._arguments = arguments

    @property
    def name(self) -> str:
        """The prefix of the library's functions."""
        return self.info.name

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Name, dtype and shape of each input."""
        return self.info.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Name, dtype and shape of each output."""
        return self.info.outputs

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names of the symbolic dimensions."""
        return self.info.symbols

    @property
    def path(self) -> Path:
        """The file the library was loaded from."""
        return self.library.path

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The outputs by name for inputs by name."""
        results = self(*self._arguments.named((), dict(inputs)))
        return dict(zip((p.name for p in self.outputs), results if isinstance(results, tuple) else (results,)))

    def profile(self, *args, repeat: int = 1, **kwargs) -> list[CallProfile]:
        """Run `repeat` times and say what each kernel call took: the mean seconds of a run as the first thread sees it."""
        arrays = self._arguments.named(args, kwargs)
        seconds = np.zeros(len(self.info.calls))
        for _ in range(repeat):
            self.profiled(arrays, seconds)
        flops, nbytes = self.library.costs(self.bind(*arrays))
        return [CallProfile(c, float(s) / repeat, f, b) for c, s, f, b in zip(self.info.calls, seconds, flops, nbytes)]

    def bind(self, *args, **kwargs) -> dict[str, int]:
        """The values that the shapes of these inputs give to the symbolic dimensions."""
        values: dict[str, int] = {}
        for port, value in zip(self.inputs, self._arguments.named(args, kwargs)):
            for extent, (symbol, scale, offset) in zip(np.shape(value), port.axes):
                if symbol >= 0:
                    values.setdefault(self.symbols[symbol], (extent - offset) // scale)
        return values

    def arena_bytes(self, threads: int = 0, **symbols: int) -> int | None:
        """Bytes of memory a run needs beside weights, inputs and outputs, for values of the symbols and a number of threads (0: the
        default). None where there is no answer."""
        return self.library.arena_bytes(symbols, threads)

    def save(self, path: str | os.PathLike) -> Path:
        """Write the library to `path` and its header beside it, with the suffix .h; both whole, or as they were before."""
        return save_library(self.library.file, self.info.header, path)

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(f"{p.name}: {p}" for p in ports) for ports in (self.inputs, self.outputs))
        return f"<CompiledModel {self.name}({inputs}) -> {outputs}>"


class _StaticModel(CompiledModel, Caller):
    """A model whose outputs have a size that is known before it runs."""


class _DynamicModel(CompiledModel, DynamicCaller):
    """A model of which some output has not."""


class _StructuredModel(CompiledModel, StructuredCaller):
    """A model of which some input or output is a sequence or an optional value. `inputs` and `outputs` are the tensors these are made of."""

    def __init__(self, library: Library, threads: int | None = None):
        super().__init__(library, threads)
        info = library.info
        self.structure = Structure(info.name, json.loads(info.metadata["interface"]), info.inputs, info.outputs)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        results = self(**inputs)
        return dict(zip((p["name"] for p in self.structure.outputs), results if len(self.structure.outputs) > 1 else (results,)))


def check_threads(threads: int | None) -> None:
    """ArgumentError for a number of threads that no context can have (DLC_MAX_THREADS of csrc/dlc_runtime.h)."""
    if threads is not None and not 1 <= threads <= 1024:
        raise ArgumentError(f"threads must be from 1 to 1024, not {threads}")


def load(path: str | os.PathLike, *, threads: int | None = None) -> CompiledModel:
    """The model in a library that `save` or `dlcompile compile` wrote; its runs use `threads` threads (None: the default).

    LibraryError where the file is none, is truncated, is of another format, or needs a CPU that this one is not.
    """
    library = Library(path)
    ports = (*library.info.inputs, *library.info.outputs)
    unknown = any(port.dtype == object or symbol == -3 for port in ports for symbol, _, _ in (*port.axes, (-1, 0, 0)))
    kind = _StructuredModel if "interface" in library.info.metadata else _DynamicModel if unknown else _StaticModel
    return kind(library, threads)


def save_library(descriptor: int, header_text: str, path: str | os.PathLike) -> Path:
    """Copy the library behind a file descriptor to `path` and write its header beside it: both whole, or as they were before."""
    path = Path(path)
    header = path.with_suffix(".h")
    if header == path:
        raise ArgumentError(f"{path} is the name of the header; give the library another suffix")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as temporary:
            library_copy, header_copy = Path(temporary, "library"), Path(temporary, "header")
            with open(library_copy, "wb") as file:
                _copy(descriptor, file)
            header_copy.write_text(header_text, encoding="utf-8")
            os.replace(library_copy, path)
            os.replace(header_copy, header)
    except OSError as error:
        raise LibraryError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _port(port: TensorInfo) -> tuple:
    kinds = _FORMATS.get(port.dtype.name, "")
    return kinds, port.dtype.itemsize, port.axes, port.name, port.storage, port.shape if port.is_static else None


def _copy(descriptor: int, file, block: int = 1 << 22) -> None:
    """The whole file behind a descriptor, whose position stays where it is."""
    position = 0
    while data := os.pread(descriptor, block, position):
        file.write(data)
        position += len(data)

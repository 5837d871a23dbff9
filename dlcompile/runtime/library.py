"""Opening a model's library, and reading its info."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dlcompile.errors import ArgumentError, LibraryError
from dlcompile.graph.dtypes import as_dtype
from dlcompile.runtime.abi import load_ffi
from dlcompile.runtime.elf import check_note, read_note
from dlcompile.runtime.ports import CallInfo, ModelInfo, TensorInfo
from dlcompile.version import FORMAT

try:
    from dlcompile.runtime._call import Handle
except ImportError:
    from dlcompile.runtime.fallback import Handle

ffi = load_ffi()
_loader = ffi.dlopen(None)  # dlopen and its kin: the name of the one symbol we look up is the model's own

_RTLD_NOW = 2  # and RTLD_LOCAL, which is 0

_UNSIGNED = {1: np.dtype(np.uint8), 2: np.dtype(np.uint16)}


class Library:
    """An open library. `info` is what it says about itself, `c_info` the same as a `dlc_model_info *`, `file` a descriptor of the file it
    was loaded from, which may have been replaced or removed since. The library is closed when nobody refers to `handle` any more."""

    file = -1

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).resolve()
        note = read_note(self.path)
        check_note(self.path, note)
        self.file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        handle = _loader.dlopen(os.fsencode(self.path), _RTLD_NOW)
        if not handle:
            raise LibraryError(f"{self.path} cannot be loaded: {_text(_loader.dlerror())}")
        self.handle = Handle(int(ffi.cast("uintptr_t", handle)))
        lookup = ffi.cast("const dlc_model_info *(*)(void)", _loader.dlsym(handle, f"{note.get('name', '')}_info".encode()))
        if not lookup:
            raise LibraryError(f"{self.path} cannot be loaded: {_text(_loader.dlerror())}")
        self.c_info = lookup()
        if self.c_info.format != FORMAT:
            raise LibraryError(f"{self.path} says of itself that it has format {self.c_info.format}, not {FORMAT}")
        self.info = self._info()

    def __del__(self):
        if self.file >= 0:
            os.close(self.file)

    def _info(self) -> ModelInfo:
        c = self.c_info
        features, i = [], 0
        while c.features and c.features[i]:
            features.append(_text(c.features[i]))
            i += 1
        return ModelInfo(
            name=_text(c.name), version=_text(c.version), compiler=_text(c.compiler), target=_text(c.target), features=tuple(features),
            header=_text(c.header), symbols=tuple(_text(c.symbols[i]) for i in range(c.symbol_count)),
            inputs=tuple(_port(c.inputs[i]) for i in range(c.input_count)),
            outputs=tuple(_port(c.outputs[i]) for i in range(c.output_count)),
            calls=tuple(_call(c.calls[i]) for i in range(c.call_count)),
            metadata={_text(c.metadata[i].key): _text(c.metadata[i].value) for i in range(c.metadata_count)},
            weights_bytes=c.weights_bytes, threads=c.threads or None)

    def _symbols(self, symbols: Mapping[str, int]):
        names = [_text(self.c_info.symbols[i]) for i in range(self.c_info.symbol_count)]
        if set(symbols) != set(names):
            raise ArgumentError(f"{_text(self.c_info.name)}: values are needed for the dimensions {', '.join(names) or '(none)'}, "
                                f"not for {', '.join(symbols) or 'none'}")
        return ffi.new("int64_t[]", [int(symbols[n]) for n in names] or 1)

    def arena_bytes(self, symbols: Mapping[str, int], threads: int = 0) -> int | None:
        """Bytes of memory a context needs for values of the symbols (`threads` 0: the default); None where there is no answer."""
        result = self.c_info.arena_bytes(self._symbols(symbols), threads)
        return result if result >= 0 else None

    def costs(self, symbols: Mapping[str, int]) -> tuple[list[int], list[int]]:
        """(floating-point operations, bytes moved) of each call, for values of the symbols."""
        count = self.c_info.call_count
        flops, nbytes = ffi.new("int64_t[]", count + 1), ffi.new("int64_t[]", count + 1)
        self.c_info.costs(self._symbols(symbols), flops, nbytes)
        return list(flops)[:count], list(nbytes)[:count]


def _text(pointer) -> str:
    return ffi.string(pointer).decode("utf-8", "replace") if pointer else ""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(", ")) if text else ()


def _port(port) -> TensorInfo:
    dtype = as_dtype(_text(port.dtype))
    dims = [port.dims[i] for i in range(port.rank)]
    storage = _UNSIGNED[dtype.itemsize] if dtype.isbuiltin == 2 else dtype  # registered by ml_dtypes: buffers have no letter for it
    shape = tuple(d.offset if d.symbol == -1 else _text(d.text) for d in dims)
    return TensorInfo(_text(port.name), dtype, shape, tuple((d.symbol, d.scale, d.offset) for d in dims), storage, _text(port.parameter))


def _call(call) -> CallInfo:
    return CallInfo(_text(call.kernel), _text(call.form), _names(_text(call.origin)), _names(_text(call.operators)),
                    bool(call.parallel), bool(call.barrier))

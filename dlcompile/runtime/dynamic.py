"""The call path of models with strings, or with outputs whose size only a run knows: a run tells where such an output is, and it is copied
from there."""
from __future__ import annotations

from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, ExecutionError
from dlcompile.runtime.fallback import Caller, ffi
from dlcompile.runtime.strings import STRING, from_strings, to_strings


class DynamicCaller(Caller):
    """Calls one model. As `fallback.Caller`; what a call costs more is little beside what such models do."""

    def _sources(self, arrays):
        kept = [to_strings(a) if a.dtype == STRING else (a,) for a in arrays]
        return ffi.new("void *[]", [ffi.cast("void *", k[0].ctypes.data) for k in kept] or 1), kept

    def _invoke(self, args: tuple, out: Any, seconds: np.ndarray | None):
        if out is not None:
            names = ", ".join(repr(port[3]) for port in self._outputs if _is_unknown(port) or port[4] == STRING)
            raise ArgumentError(f"{self.arguments.name}: out cannot be given, the size of {names} is known only after a run")
        return super()._invoke(args, None, seconds)

    def _run(self, context, symbols, sources, shapes: tuple, seconds: np.ndarray | None):
        results: list[Any] = []
        pointers = ffi.new("void *[]", len(self._outputs) or 1)
        for i, (shape, port) in enumerate(zip(shapes, self._outputs)):
            unknown = _is_unknown(port)
            results.append(ffi.new("dlc_array *") if unknown else np.zeros((*shape, 2), np.uint64) if port[4] == STRING
                           else self.empty(shape, port[4]))
            pointers[i] = results[i] if unknown else ffi.cast("void *", results[i].ctypes.data)
        status = self._call(context, symbols, sources, pointers, seconds)
        if status:
            return status, ()
        return status, tuple(self._copied(r, p) if _is_unknown(p) else from_strings(r) if p[4] == STRING else r
                             for r, p in zip(results, self._outputs))

    def _copied(self, array, port) -> np.ndarray:
        """A NumPy array of what the context has."""
        shape = tuple(array.dims[axis] for axis in range(array.rank))
        try:
            result = np.empty((*shape, 2), np.uint64) if port[4] == STRING else self.empty(shape, port[4])
        except (ValueError, MemoryError) as error:  # NumPy has no array without elements whose other axes are too long
            raise ExecutionError(f"{self.arguments.name}: output {port[3]!r} would be {list(shape)}: {error}") from None
        if result.nbytes:
            ffi.memmove(ffi.cast("char *", result.ctypes.data), array.data, result.nbytes)
        return from_strings(result) if port[4] == STRING else result


def _is_unknown(port) -> bool:
    """Whether a port has a dimension that only a run knows (`dlc_dim.symbol`)."""
    return any(symbol == -3 for symbol, _, _ in port[2])

"""The call path in plain Python, for an installation that could not build the one in `_call.pyx` (no Python headers, no compiler).

It takes the same arguments, gives the same answers and raises the same errors; a call costs some microseconds more.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dlcompile.errors import ExecutionError
from dlcompile.runtime.abi import load_ffi

ffi = load_ffi()


class Handle:
    """An open library. It stays open: Python finalizes what dies together in any order, and contexts must be destroyed before."""

    def __init__(self, address: int):
        self.address = address


class Caller:
    """Calls one model. Contexts are made as calls overlap, and kept for the calls to come."""

    def __init__(self, library, handle, functions, ports, arguments, symbol_count: int, threads: int, empty):
        """The parameters of `_call.Caller`; the functions are taken from `library.c_info`."""
        self.library, self.handle, self.arguments, self.empty = library, handle, arguments, empty
        self._inputs, self._outputs = ports
        self._symbol_count = symbol_count
        self._options = ffi.new("dlc_options *", {"threads": threads})
        self._idle: list = []  # append and pop are atomic under the GIL
        self._takes_out = "out" not in {port[3] for port in self._inputs}

    def __del__(self):
        for context in getattr(self, "_idle", ()):
            self.library.c_info.destroy(context)

    def _take(self):
        try:
            return self._idle.pop()
        except IndexError:
            context = self.library.c_info.create(self._options)
        if not context:
            raise ExecutionError(self._message(ffi.NULL))
        return context

    def _message(self, context) -> str:
        return ffi.string(self.library.c_info.error(context)).decode("utf-8", "replace")

    @property
    def threads(self) -> int:
        """The threads a run uses."""
        context = self._take()
        try:
            return self.library.c_info.context_threads(context)
        finally:
            self._idle.append(context)

    def __call__(self, *args, **kwargs):
        out = kwargs.pop("out", None) if self._takes_out else None
        if kwargs or len(args) != len(self._inputs):
            args = self.arguments.named(args, kwargs)
        return self._invoke(args, out, None)

    def profiled(self, args: tuple, seconds: np.ndarray):
        """A call with `args` that adds the seconds of each kernel call to the float64 array `seconds`."""
        return self._invoke(args, None, seconds)

    def _invoke(self, args: tuple, out: Any, seconds: np.ndarray | None):
        arrays = [self.arguments.input(i, value) for i, value in enumerate(args)]
        values = self._bind(args, arrays)
        symbols = ffi.new("int64_t[]", values or 1)
        shapes = tuple(port[5] if port[5] is not None else self._shape(symbols, len(arrays) + i, len(port[2]))
                       for i, port in enumerate(self._outputs))
        sources, kept = self._sources(arrays)
        context = self._take()
        try:
            if out is None:
                status, results = self._run(context, symbols, sources, shapes, seconds)
            else:
                results = self.arguments.outputs(out, shapes, args)
                status = self._call(context, symbols, sources, _pointers(results), seconds)
            message = self._message(context) if status else ""
        finally:
            self._idle.append(context)
        if status:
            raise self.arguments.failed(status, message)
        return self.arguments.finish(results, out)

    def _sources(self, arrays: list[np.ndarray]) -> tuple[Any, Any]:
        """(pointers to the inputs, what must be kept while they are used)."""
        return _pointers(arrays), arrays

    def _run(self, context, symbols, sources, shapes: tuple, seconds: np.ndarray | None):
        """(status, outputs) of a run that makes its own outputs."""
        results = tuple(self.empty(shape, port[4]) for shape, port in zip(shapes, self._outputs))
        return self._call(context, symbols, sources, _pointers(results), seconds), results

    def _call(self, context, symbols, sources, targets, seconds: np.ndarray | None) -> int:
        """The library's function; cffi lets go of the GIL for it."""
        info = self.library.c_info
        if seconds is not None:
            info.profile(context, ffi.cast("double *", seconds.ctypes.data))
        status = info.run(context, symbols, ffi.cast("const void *const *", sources), targets)
        if seconds is not None:
            info.profile(context, ffi.NULL)
        return status

    def _bind(self, args: tuple, arrays: list[np.ndarray]) -> list[int]:
        """The values of the symbols, in order."""
        values = [-1] * self._symbol_count
        for array, port in zip(arrays, self._inputs):
            if array.ndim != len(port[2]) or not all(_fits(extent, axis, values) for extent, axis in zip(array.shape, port[2])):
                raise self.arguments.wrong(args, values)
        if any(value < 0 for value in values):
            raise self.arguments.unbound(values)
        symbols = ffi.new("int64_t[]", values or 1)
        for index, (array, port) in enumerate(zip(arrays, self._inputs)):
            by_expression = any(axis[0] == -2 for axis in port[2])
            if by_expression and self._shape(symbols, index, array.ndim) != array.shape:
                raise self.arguments.wrong(args, values)
        return values

    def _shape(self, symbols, port: int, rank: int) -> tuple[int, ...]:
        dims = ffi.new("int64_t[]", rank + 1)
        status = self.library.c_info.shape(symbols, port, dims)
        if status:
            raise self.arguments.failed(status, self._message(ffi.NULL))
        return tuple(dims[axis] for axis in range(rank))


def _pointers(arrays):
    return ffi.new("void *[]", [ffi.cast("void *", a.ctypes.data) for a in arrays] or 1)


def _fits(extent: int, axis: tuple[int, int, int], values: list[int]) -> bool:
    """Whether an axis may have this extent, given the symbols so far; binds the symbol that it is the first to tell."""
    symbol, scale, offset = axis
    if symbol == -1:
        return extent == offset
    if symbol == -2:
        return True
    value, rest = divmod(extent - offset, scale)
    if rest or value < 0:
        return False
    if values[symbol] < 0:
        values[symbol] = value
    return values[symbol] == value

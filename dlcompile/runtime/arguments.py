"""Arguments that the call path does not take as they are: converted where that is safe, refused in words where it is not."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, Error, ExecutionError
from dlcompile.graph.dtypes import is_integer
from dlcompile.runtime.ports import TensorInfo
from dlcompile.runtime.strings import STRING, text_array

_STATUS_OF_ARGUMENTS = (1, 2)  # dlc_status: DLC_ERROR_ARGUMENT, DLC_ERROR_SHAPE


class Vouched(tuple):
    """Arrays for `out=` of which whoever calls knows that they are of the outputs' storage types and shapes, contiguous, writeable, and apart from all
    others: nothing is looked at, which would take longer than a small model."""


class Arguments:
    """What a model's inputs and outputs may be given as."""

    def __init__(self, name: str, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], symbols: Sequence[str],
                 updates: Mapping[int, int] | None = None):
        """`updates`: which input an output is the next value of, by number."""
        self.updates = dict(updates or {})
        self.name, self.inputs, self.outputs_info, self.symbols = name, tuple(inputs), tuple(outputs), tuple(symbols)
        self.positions = {port.name: i for i, port in enumerate(self.inputs)}
        self.finishes = any(p.dtype != p.storage for p in self.outputs_info)

    def named(self, args: tuple, kwargs: Mapping[str, Any]) -> tuple:
        """The inputs in order, from positional ones and ones by name."""
        names = ", ".join(p.name for p in self.inputs)
        unknown = [k for k in kwargs if k not in self.positions]
        if unknown:
            raise ArgumentError(f"{self.name}: no input is called {', '.join(map(repr, unknown))}; the inputs are {names}")
        if len(args) > len(self.inputs):
            raise ArgumentError(f"{self.name}: {len(args)} inputs given, {len(self.inputs)} expected ({names})")
        values: dict[int, Any] = dict(enumerate(args))
        for key, value in kwargs.items():
            if self.positions[key] in values:
                raise ArgumentError(f"{self.name}: input {key!r} is given twice")
            values[self.positions[key]] = value
        missing = [p.name for i, p in enumerate(self.inputs) if i not in values]
        if missing:
            raise ArgumentError(f"{self.name}: input {', '.join(map(repr, missing))} is missing; the inputs are {names}")
        return tuple(values[i] for i in range(len(self.inputs)))

    def input(self, index: int, value: Any) -> np.ndarray:
        """An aligned C-contiguous array, in this machine's byte order, for input `index`; of its storage type where buffers cannot name its
        own. ArgumentError where the elements are of another type: nothing is cast but Python's own numbers."""
        port = self.inputs[index]
        if port.dtype == STRING:
            return text_array(value, f"{self.name}: input {port.name!r}")
        array = self._array(port, value)
        if array.dtype.newbyteorder("=") != port.dtype:
            raise ArgumentError(f"{self.name}: input {port.name!r} must be {port.dtype}, not {array.dtype}")
        array = np.require(array, dtype=port.dtype, requirements=["C", "A"])
        return array if port.dtype == port.storage else array.view(port.storage)

    def _array(self, port: TensorInfo, value: Any) -> np.ndarray:
        if isinstance(value, np.ndarray):
            return np.asarray(value)
        try:
            if isinstance(value, (bool, int, float, list, tuple)):
                return self._from_python(port, value)
            if isinstance(value, np.generic) or hasattr(value, "__array__"):
                return np.asarray(value)
            if hasattr(value, "__dlpack__"):
                return np.from_dlpack(value)
            return np.asarray(memoryview(value))
        except Error:
            raise
        except Exception as error:
            raise ArgumentError(f"{self.name}: input {port.name!r} cannot be made an array from {type(value).__name__}: {error}") from error

    def _from_python(self, port: TensorInfo, value: Any) -> np.ndarray:
        """Numbers and lists of them in the expected type, where it can hold them."""
        natural = np.asarray(value)
        if natural.dtype.kind in "OUSV":
            raise ArgumentError(f"{self.name}: input {port.name!r} must be {port.dtype}, not a list of {natural.dtype.type.__name__}")
        if natural.dtype.kind == "c" and port.dtype.kind != "c":
            raise ArgumentError(f"{self.name}: input {port.name!r} must be {port.dtype}, not complex")
        array = natural.astype(port.dtype)
        counts = port.dtype.kind == "b" or is_integer(port.dtype)
        exact = not counts or natural.size == 0 or (natural.dtype.kind in "iub" and bool(np.all(array.astype(natural.dtype) == natural)))
        if not exact or (port.dtype.kind == "b" and natural.dtype.kind != "b" and natural.size):
            raise ArgumentError(f"{self.name}: input {port.name!r} must be {port.dtype}; {_short(value)} does not fit")
        return array

    # -- outputs ------------------------------------------------------------------------------------------------------------
    def outputs(self, out: Any, shapes: tuple[tuple[int, ...], ...], args: tuple) -> tuple[np.ndarray, ...]:
        """The arrays a call writes to, for `out=`: the caller's own where the model can write to them in place, else new ones."""
        if type(out) is Vouched:
            return out
        given = self._given(out)
        result = []
        for i, (port, shape, array) in enumerate(zip(self.outputs_info, shapes, given)):
            own = self.updates.get(i)
            inputs = [a for k, a in enumerate(args) if isinstance(a, np.ndarray) and not (k == own and _same_memory(a, array))]
            if not isinstance(array, np.ndarray):
                raise ArgumentError(f"{self.name}: out for {port.name!r} must be a NumPy array, not {type(array).__name__}")
            if array.dtype != port.dtype or array.shape != shape:
                raise ArgumentError(f"{self.name}: out for {port.name!r} must be {port.dtype}{list(shape)}, "
                                    f"not {array.dtype}{list(array.shape)}")
            if not array.flags.writeable:
                raise ArgumentError(f"{self.name}: out for {port.name!r} is read-only")
            others = (*inputs, *(o for o in given if o is not array), *(a for a in args if not isinstance(a, np.ndarray)))
            direct = array.flags.c_contiguous and array.flags.aligned and all(
                isinstance(o, np.ndarray) and not np.may_share_memory(array, o) for o in others)
            result.append(array.view(port.storage) if direct else np.empty(shape, port.storage))
        return tuple(result)

    def _given(self, out: Any) -> tuple:
        given = tuple(out) if isinstance(out, (tuple, list)) else (out,)
        if len(given) != len(self.outputs_info):
            raise ArgumentError(f"{self.name}: out has {len(given)} arrays, the model has {len(self.outputs_info)} outputs")
        if len({id(a) for a in given}) != len(given):
            raise ArgumentError(f"{self.name}: out has the same array twice")
        return given

    def finish(self, results: tuple[np.ndarray, ...], out: Any):
        """What a call returns: its arrays in their own element types, those of `out=` filled."""
        if type(out) is Vouched:
            return out
        typed = tuple(r if p.dtype == p.storage else r.view(p.dtype) for r, p in zip(results, self.outputs_info))
        if out is not None:
            given = self._given(out)
            for array, result in zip(given, typed):
                if not np.may_share_memory(array, result):
                    array[...] = result
            typed = given
        return typed[0] if len(typed) == 1 else typed

    # -- errors -------------------------------------------------------------------------------------------------------------
    def wrong(self, args: tuple, symbols: Sequence[int]) -> ArgumentError:
        """The error for shapes that do not go together, naming the first input and axis that does not."""
        bound: dict[str, tuple[int, str]] = {}
        for port, value in zip(self.inputs, args):
            shape = tuple(getattr(value, "shape", None) or np.shape(value))
            expected = f"{self.name}: input {port.name!r} has shape {shape}, expected {port}"
            if len(shape) != len(port.shape):
                return ArgumentError(f"{expected}: it must have {len(port.shape)} dimensions, not {len(shape)}")
            for axis, (extent, (symbol, scale, offset)) in enumerate(zip(shape, port.axes)):
                if symbol == -1 and extent != offset:
                    return ArgumentError(f"{expected}: axis {axis} must be {offset}, not {extent}")
                if symbol < 0:
                    continue
                here = f"axis {axis} of input {port.name!r}"
                value_of, rest = divmod(extent - offset, scale)
                if rest or value_of < 0:
                    return ArgumentError(f"{expected}: axis {axis} must be {port.shape[axis]}, which cannot be {extent}")
                first, where = bound.setdefault(self.symbols[symbol], (value_of, here))
                if first != value_of:
                    return ArgumentError(f"{expected}: {here} makes {self.symbols[symbol]} {value_of}, {where} makes it {first}")
        known = ", ".join(f"{n}={v}" for n, v in zip(self.symbols, symbols))
        shapes = ", ".join(f"{p.name}: {tuple(np.shape(a))} for {p}" for p, a in zip(self.inputs, args))
        return ArgumentError(f"{self.name}: shapes that do not go together with {known}: {shapes}")

    def unbound(self, symbols: Sequence[int]) -> ArgumentError:
        """The error for symbols that no input's shape tells."""
        names = ", ".join(n for n, v in zip(self.symbols, symbols) if v < 0)
        return ArgumentError(f"{self.name}: the shapes of the inputs do not tell {names}")

    def failed(self, status: int, message: str) -> Error:
        """The error for a run that the library refused."""
        return (ArgumentError if status in _STATUS_OF_ARGUMENTS else ExecutionError)(message)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two contiguous arrays are the same elements."""
    return a.ctypes.data == b.ctypes.data and a.shape == b.shape and a.dtype == b.dtype and a.flags.c_contiguous and b.flags.c_contiguous

"""Models whose inputs or outputs are sequences, optional values or maps: a call takes and gives lists, None and dicts, the library arrays.

What is made of what is in the library's metadata, under "interface" (see `frontends.onnx.interface`).
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError, ExecutionError
from dlcompile.runtime.dynamic import DynamicCaller
from dlcompile.runtime.ports import TensorInfo

Port = Mapping[str, Any]


class Structure:
    """The values a user sees, and the tensors of the library that they are made of."""

    def __init__(self, name: str, interface: Mapping[str, Sequence[Port]], inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]):
        self.name, self.inputs, self.outputs = name, interface["inputs"], interface["outputs"]
        self.tensors = {t.name: t for t in inputs}
        self.order = [t.name for t in inputs]
        self.results = [t.name for t in outputs]

    def arrays(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple:
        """The inputs of the library for a call's arguments."""
        names = [port["name"] for port in self.inputs]
        if len(args) > len(names):
            raise ArgumentError(f"{self.name}: {len(args)} inputs given, {len(names)} expected ({', '.join(names)})")
        values = dict(zip(names, args))
        for key, value in kwargs.items():
            if key not in names or key in values:
                raise ArgumentError(f"{self.name}: input {key!r} is given twice, or is none; the inputs are {', '.join(names)}")
            values[key] = value
        found: dict[str, Any] = {}
        for port in self.inputs:
            if port["name"] not in values and port["kind"] != "optional":
                raise ArgumentError(f"{self.name}: input {port['name']!r} is missing; the inputs are {', '.join(names)}")
            self._take_apart(port, values.get(port["name"]), found)
        return tuple(found[name] for name in self.order)

    def _take_apart(self, port: Port, value: Any, found: dict[str, Any]) -> None:
        match port["kind"]:
            case "optional":
                found[port["present"]] = np.bool_(value is not None)
                if value is None:
                    self._absent(port["value"], found)
                else:
                    self._take_apart(port["value"], value, found)
            case "sequence":
                self._sequence(port, value, found)
            case "map":
                self._map(port, value, found)
            case _:
                found[port["tensor"]] = value

    def _sequence(self, port: Port, value: Any, found: dict[str, Any]) -> None:
        if not isinstance(value, (list, tuple)):
            raise ArgumentError(f"{self.name}: input {port['name']!r} must be a list of arrays, not {type(value).__name__}")
        dtype, rank = self.tensors[port["data"]].dtype, self.tensors[port["shapes"]].shape[1]
        items = [np.asarray(item) for item in value]
        ranks = {item.ndim for item in items} or {rank if isinstance(rank, int) else 0}
        wrong = next((item for item in items if item.dtype != dtype), None)
        if wrong is not None and not (dtype == object and wrong.dtype.kind == "U"):
            raise ArgumentError(f"{self.name}: the items of input {port['name']!r} must be {dtype}, not {wrong.dtype}")
        if len(ranks) > 1 or isinstance(rank, int) and ranks != {rank}:
            raise ArgumentError(f"{self.name}: the items of input {port['name']!r} must have {rank if isinstance(rank, int) else 'the same number of'}"
                                f" dimensions; they have {', '.join(map(str, sorted(ranks)))}")
        found[port["data"]] = np.concatenate([item.reshape(-1) for item in items]) if items else np.zeros(0, dtype)
        found[port["shapes"]] = np.array([item.shape for item in items], np.int64).reshape(len(items), ranks.pop())

    def _map(self, port: Port, value: Any, found: dict[str, Any]) -> None:
        if not isinstance(value, Mapping):
            raise ArgumentError(f"{self.name}: input {port['name']!r} must be a dict, not {type(value).__name__}")
        for key, what, given in (("index", "keys", value.keys()), ("data", "values", value.values())):
            dtype = self.tensors[port[key]].dtype
            kinds = str if dtype == object else (int, np.integer) if dtype.kind in "iu" else (int, float, np.integer, np.floating)
            wrong = next((item for item in given if not isinstance(item, kinds) or isinstance(item, bool)), None)
            if wrong is not None:
                raise ArgumentError(f"{self.name}: the {what} of input {port['name']!r} must be {'str' if dtype == object else dtype}, not {wrong!r}")
            try:
                found[port[key]] = np.array(list(given), dtype)
            except OverflowError:
                raise ArgumentError(f"{self.name}: the {what} of input {port['name']!r} do not all fit {dtype}") from None

    def _absent(self, port: Port, found: dict[str, Any]) -> None:
        """Arrays that stand for a value that is not given: of the right type, and as small as can be."""
        for key in ("tensor", "index", "data", "shapes"):
            if key in port:
                tensor = self.tensors[port[key]]
                found[port[key]] = np.zeros([d if isinstance(d, int) else 0 for d in tensor.shape], tensor.dtype)
        if "value" in port:
            found[port["present"]] = np.False_
            self._absent(port["value"], found)

    def values(self, results: Sequence[np.ndarray]) -> tuple:
        """What a call returns for the outputs of the library."""
        arrays = dict(zip(self.results, results))
        return tuple(_put_together(port, arrays) for port in self.outputs)


def _put_together(port: Port, arrays: Mapping[str, np.ndarray]) -> Any:
    match port["kind"]:
        case "optional":
            return _put_together(port["value"], arrays) if arrays[port["present"]] else None
        case "sequence":
            data, shapes = arrays[port["data"]], arrays[port["shapes"]]
            sizes = [math.prod(shape) for shape in shapes.tolist()]  # of integers that do not wrap
            if (shapes < 0).any() or sum(sizes) != data.size:
                raise ExecutionError(f"the items of output {port['name']!r} do not make up its {data.size} elements")
            ends = itertools.accumulate(sizes)
            return [data[end - size:end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes)]
        case "maps":
            return [dict(zip(port["keys"], row)) for row in arrays[port["tensor"]].tolist()]
    return arrays[port["tensor"]]


class StructuredCaller(DynamicCaller):
    """Calls one model with the values its user sees; `structure` is set by the model."""

    structure: Structure

    def __call__(self, *args, **kwargs):
        results = super().__call__(*self.structure.arrays(args, kwargs))
        values = self.structure.values(results if isinstance(results, tuple) else (results,))
        return values[0] if len(values) == 1 else values

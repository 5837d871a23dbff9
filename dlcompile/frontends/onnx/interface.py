"""A model's inputs and outputs that are more than a tensor: which tensors of the graph they are made of.

A graph has tensors only. Its `structure` says what they are to a user, as plain data that can be written into a library:

    {"inputs": [port, …], "outputs": [port, …]}, where a port has a "name" and is one of
    {"kind": "tensor", "tensor": name}
    {"kind": "sequence", "data": name, "shapes": name}       see `values.Packed`
    {"kind": "optional", "present": name, "value": port}     see `values.OptionalValue`
    {"kind": "maps", "tensor": name, "keys": [key, …]}       see `values.MapsValue`; outputs only
    {"kind": "map", "index": name, "data": name}             see `values.MapValue`; inputs only
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.reader import element_type
from dlcompile.frontends.onnx.shapes import SymbolTable
from dlcompile.frontends.onnx.values import MapsValue, MapValue, OptionalValue, Packed, SequenceValue, Value
from dlcompile.graph import Tensor

Port = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A tensor of an input: its name, element type, and shape as `SymbolTable.declare` gives it."""

    name: str
    dtype: np.dtype
    shape: Sequence[int | str]


class Inputs:
    """The inputs of a model: `ports` in order, and `parts`, the tensors they are made of."""

    def __init__(self, values: Sequence[onnx.ValueInfoProto], symbols: SymbolTable):
        self.symbols = symbols
        self.taken = {value.name for value in values}
        self.parts: list[Part] = []
        self.ports: list[Port] = [self._port(value, value.type, value.name) for value in values]

    def _port(self, value: onnx.ValueInfoProto, type_: onnx.TypeProto, name: str) -> Port:
        kind = type_.WhichOneof("value")
        what = f"input {value.name!r}"
        if kind == "tensor_type":
            info = onnx.ValueInfoProto(name=name, type=type_)
            return {"kind": "tensor", "name": name, "tensor": self._part(
                name, element_type(type_.tensor_type.elem_type, what), self.symbols.declare(info))}
        if kind == "optional_type":
            present = self._part(self._free(f"{name}_present"), np.dtype(np.bool_), [])
            return {"kind": "optional", "name": name, "present": present, "value": self._port(value, type_.optional_type.elem_type, name)}
        if kind == "sequence_type" and type_.sequence_type.elem_type.WhichOneof("value") == "tensor_type":
            item = type_.sequence_type.elem_type.tensor_type
            elements, items, rank = (self.symbols.fresh(f"{name}_{word}") for word in ("elements", "items", "rank"))
            # items without dimensions are rare, and a type without them is often just one that does not say
            shape = [items, len(item.shape.dim) or rank]
            return {"kind": "sequence", "name": name, "data": self._part(name, element_type(item.elem_type, what), [elements]),
                    "shapes": self._part(self._free(f"{name}_shapes"), np.dtype(np.int64), shape)}
        if kind == "map_type" and type_.map_type.value_type.WhichOneof("value") == "tensor_type":
            size = self.symbols.fresh(f"{name}_size")
            key, item = type_.map_type.key_type, type_.map_type.value_type.tensor_type.elem_type
            return {"kind": "map", "name": name, "index": self._part(self._free(f"{name}_keys"), element_type(key, f"the key of {what}"), [size]),
                    "data": self._part(name, element_type(item, f"the value of {what}"), [size])}
        raise UnsupportedOperatorError(f"{what} is of the kind {kind or 'unknown'}; expected a tensor, a sequence of tensors, an optional value"
                                       f" or a map")

    def _part(self, name: str, dtype: np.dtype, shape: Sequence[int | str]) -> str:
        self.parts.append(Part(name, dtype, shape))
        return name

    def _free(self, name: str) -> str:
        """A name that no input has."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def input_value(port: Port, tensors: Mapping[str, Tensor]) -> Value:
    """The value that a port stands for, made of the graph's inputs."""
    if port["kind"] == "optional":
        return OptionalValue(tensors[port["present"]], input_value(port["value"], tensors))
    if port["kind"] == "sequence":
        return Packed(tensors[port["data"]], tensors[port["shapes"]])
    if port["kind"] == "map":
        return MapValue(tensors[port["index"]], tensors[port["data"]])
    return tensors[port["tensor"]]


def output_port(name: str, value: Value, taken: set[str]) -> tuple[Port, list[tuple[str, Tensor]]]:
    """The port of a result, and the graph's outputs it is made of, with their names. `taken`: names that outputs have."""
    def free(wanted: str) -> str:
        while wanted in taken:
            wanted += "_"
        taken.add(wanted)
        return wanted

    if isinstance(value, OptionalValue):
        if value.value is None:
            raise UnsupportedOperatorError(f"output {name!r} is an optional value that is never there, of no known type")
        present = free(f"{name}_present")
        inner, tensors = output_port(name, value.value, taken)
        return {"kind": "optional", "name": name, "present": present, "value": inner}, [(present, value.present), *tensors]
    if isinstance(value, MapsValue):
        return {"kind": "maps", "name": name, "tensor": name, "keys": list(value.keys)}, [(name, value.values)]
    if isinstance(value, MapValue):
        raise UnsupportedOperatorError(f"output {name!r} is an input that is a map")
    if isinstance(value, SequenceValue):
        shapes = free(f"{name}_shapes")
        return {"kind": "sequence", "name": name, "data": name, "shapes": shapes}, [(name, value.data), (shapes, value.shapes)]
    return {"kind": "tensor", "name": name, "tensor": name}, [(name, value)]


def structure(inputs: Sequence[Port], outputs: Sequence[Port]) -> dict[str, Any] | None:
    """The structure of a graph; None where all is tensors."""
    if all(port["kind"] == "tensor" for port in (*inputs, *outputs)):
        return None
    return {"inputs": list(inputs), "outputs": list(outputs)}


def names_in(port: Port) -> Iterator[str]:
    """The tensors a port is made of."""
    for key in ("tensor", "present", "index", "data", "shapes"):
        if key in port:
            yield port[key]
    if "value" in port:
        yield from names_in(port["value"])

"""Digests of models and of dlcompile itself: what makes the key of a compiled library. Nothing here imports onnx, which takes longer
than finding a library in the cache may."""
from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dlcompile.codegen.csrc import csrc_digest
from dlcompile.errors import InvalidModelError
from dlcompile.graph import Graph, Tensor, TensorType
from dlcompile.version import VERSION


def digest_of(*parts: str | bytes) -> str:
    """A digest of the parts in order; no other parts have it."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


@cache
def own_digest() -> str:
    """A digest of dlcompile: its version, its Python sources, the C headers."""
    package = Path(__file__).resolve().parents[1]
    sources = sorted(p for p in package.rglob("*.py") if p.name != "_abi.py")
    return digest_of(VERSION, csrc_digest(), *(part for p in sources for part in (str(p.relative_to(package)), p.read_bytes())))


def file_digest(path: Path) -> str:
    """A digest of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        block = bytearray(1 << 20)
        view = memoryview(block)
        while count := file.readinto(block):
            digest.update(view[:count])
    return digest.hexdigest()


def onnx_digest(path: str | os.PathLike) -> str:
    """A digest of an ONNX file and of the external data files it names. InvalidModelError where it cannot be read."""
    path = Path(path)
    try:
        parts = [file_digest(path)]
        for location in sorted(external_locations(path)):
            file = path.parent / location
            parts += [location, file_digest(file) if file.is_file() else "missing"]
    except OSError as error:
        raise InvalidModelError(f"{path} cannot be read: {error.strerror or error}") from None
    return digest_of(*parts)


# -- external data, found in the protobuf encoding --------------------------------------------------------------------------
# Messages of onnx.proto by the numbers of their fields: which contain further messages of interest, and which.
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _ENTRY, _FUNCTION, _SPARSE, _TRAINING = range(9)
_CHILDREN: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _TENSOR: {13: _ENTRY},
    _FUNCTION: {7: _NODE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}


def external_locations(path: Path) -> set[str]:
    """The values of "location" in the external data of a model's tensors; those found up to where the file stops being protobuf."""
    found: set[str] = set()
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return found
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _collect(data, 0, len(data), _MODEL, found)
    return found


def _collect(data: mmap.mmap, start: int, end: int, message: int, found: set[str]) -> None:
    children = _CHILDREN[message]
    for number, begin, stop in _fields(data, start, end):
        child = children.get(number)
        if child == _ENTRY:
            entry = {n: data[b:s] for n, b, s in _fields(data, begin, stop)}
            if entry.get(1) == b"location" and 2 in entry:
                found.add(entry[2].decode("utf-8", "surrogateescape"))
        elif child is not None:
            _collect(data, begin, stop, child, found)


def _fields(data: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, begin, end) of each length-delimited field of a message."""
    while position < end:
        tag, position = _varint(data, position, end)
        kind, number = tag & 7, tag >> 3
        if kind == 0:
            _, position = _varint(data, position, end)
        elif kind == 2:
            length, position = _varint(data, position, end)
            if position + length > end:
                return
            yield number, position, position + length
            position += length
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        else:
            return


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    return 7, end  # no message: a tag of a kind that does not exist


# -- graphs -----------------------------------------------------------------------------------------------------------------
def graph_digest(graph: Graph) -> str:
    """A digest of a graph: names, types, operators, attributes, constants, origins."""
    digest = hashlib.sha256()

    def add(*values: Any) -> None:
        for value in values:
            digest.update(repr(value).encode("utf-8", "surrogatepass") + b"\0")

    def add_array(array: np.ndarray) -> None:
        add(array.dtype.name, array.shape)
        if array.dtype == object:
            add([str(v) for v in array.ravel()])
        else:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def add_attribute(value: Any) -> None:
        if isinstance(value, Graph):
            add(graph_digest(value))
        elif isinstance(value, np.ndarray):
            add_array(value)
        elif isinstance(value, (tuple, list)):
            add(len(value))
            for item in value:
                add_attribute(item)
        elif isinstance(value, dict):
            add(len(value))
            for key, item in value.items():
                add(key)
                add_attribute(item)
        else:
            add(type(value).__name__, value)

    numbers: dict[Tensor, int] = {}
    add(graph.name, graph.input_names, graph.output_names, [(str(a), str(b), o) for a, b, o in graph.constraints])
    for tensor in (*graph.inputs, *graph.constants):
        numbers[tensor] = len(numbers)
        add(_type_text(tensor.type))
        if tensor.is_constant:
            add_array(tensor.value)
    for node in graph.nodes:
        add(node.op, [numbers[t] for t in node.inputs], node.origin, [_type_text(t.type) for t in node.outputs])
        for key in sorted(node.attributes):
            add(key)
            add_attribute(node.attributes[key])
        for tensor in node.outputs:
            numbers[tensor] = len(numbers)
    add([numbers[t] for t in graph.outputs])
    return digest.hexdigest()


def _type_text(type_: TensorType) -> str:
    return f"{type_.dtype.name}{[str(d) for d in type_.shape]}"

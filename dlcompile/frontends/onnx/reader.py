"""Opening a model: bytes to a checked `ModelProto`, and the arrays its tensors hold, wherever they lie.

A model file is not to be trusted: every size it claims is held against the bytes that are there before anything is
allocated, and external data is read from below the model's own folder only.
"""
from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from dlcompile.errors import DTypeError, InvalidModelError
from dlcompile.graph import DTYPES, nothing_of

OLDEST_OPSET = 7  # what lies below goes through the version converter of the onnx package
_PARSE_LIMIT = 2**31 - 1  # protobuf's own


@dataclass(frozen=True)
class Source:
    """An opened model: the proto, what to call it in errors and in C (`label`, `name`), and where its external data
    lies (None: nowhere). `converted_from`: the opset it had before it was brought to one that is read as it is.
    `sparse`: the sparse tensors that have been read, and their arrays, by the identity of the protos."""

    model: onnx.ModelProto
    label: str
    name: str
    folder: Path | None
    converted_from: int | None = None
    sparse: dict[int, tuple[onnx.SparseTensorProto, np.ndarray]] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        return opset_version(self.model.opset_import, self.label)


def open_model(source) -> Source:
    """`source` (a path, the bytes of a file, or a `ModelProto`) opened, checked for being a model at all and of an
    opset that can be imported. `InvalidModelError` says what is wrong with it."""
    if isinstance(source, onnx.ModelProto):
        opened = Source(source, source.graph.name or "model", source.graph.name or "model", None)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        opened = Source(_parse(bytes(source), "model"), "model", "model", None)
        opened = Source(opened.model, opened.label, opened.model.graph.name or "model", None)
    else:
        path = Path(os.fspath(source))
        opened = Source(_parse(_read(path), str(path)), str(path), path.stem, path.parent.resolve())
    model, label = opened.model, opened.label
    if not model.opset_import or not model.HasField("graph"):
        raise InvalidModelError(
            f"{label}: not an ONNX model: it has no {'graph' if model.opset_import else 'opset_import'}"
        )
    _refuse_binary_names(model, label)
    if opened.opset < OLDEST_OPSET:
        opened = Source(_convert(model, label), label, opened.name, opened.folder, opened.opset)
    return opened


def opset_version(imports, label: str) -> int:
    """The version of ONNX's own operators among a model's or a function's opset imports."""
    versions = {entry.version for entry in imports if entry.domain in ("", "ai.onnx")}
    newest = onnx.defs.onnx_opset_version()
    if not versions:
        return newest
    if len(versions) > 1:
        raise InvalidModelError(
            f"{label}: imports more than one version of ONNX's operators: {', '.join(map(str, sorted(versions)))}"
        )
    (version,) = versions
    if not 1 <= version <= newest:
        raise InvalidModelError(f"{label}: uses opset {version}; onnx {onnx.__version__} knows 1 to {newest}")
    return version


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _PARSE_LIMIT:
            raise InvalidModelError(
                f"{path}: {size} bytes are more than the 2 GiB an ONNX file can have; "
                f"its weights belong in external data"
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read: {error.strerror or error}") from None


def _parse(data: bytes, label: str) -> onnx.ModelProto:
    if not data:
        raise InvalidModelError(f"{label}: the file is empty; expected an ONNX model")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise InvalidModelError(
            f"{label}: not an ONNX model, or a truncated one: its {len(data)} bytes are no protobuf message"
        ) from None
    return model


def _refuse_binary_names(model: onnx.ModelProto, label: str) -> None:
    """`InvalidModelError` for a name that is not UTF-8: protobuf hands such a string on as bytes."""
    graphs, names = [model.graph], [model.graph.name]
    for f in model.functions:
        names += [f.name, f.domain, f.overload, *f.input, *f.output, *f.attribute]
    names += [entry.domain for f in (model, *model.functions) for entry in f.opset_import]
    nodes = [node for f in model.functions for node in f.node]
    while graphs or nodes:
        for graph in graphs:
            nodes += graph.node
            names += [tensor.name for tensor in graph.initializer] + [s.values.name for s in graph.sparse_initializer]
            for value in (*graph.input, *graph.output):
                names += [value.name, *(d.dim_param for d in value.type.tensor_type.shape.dim)]
        graphs = []
        for node in nodes:
            names += [node.name, node.op_type, node.domain, node.overload, *node.input, *node.output]
            for attribute in node.attribute:
                names += [attribute.name, attribute.ref_attr_name]
                graphs += [attribute.g] if attribute.HasField("g") else attribute.graphs
        nodes = []
    for name in names:
        if isinstance(name, bytes):
            raise InvalidModelError(f"{label}: the name {name!r} is not UTF-8 text")


def _convert(model: onnx.ModelProto, label: str) -> onnx.ModelProto:
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, OLDEST_OPSET)
    except Exception as error:  # the converter raises whatever its C++ meets
        version = opset_version(model.opset_import, label)
        raise InvalidModelError(
            f"{label}: uses opset {version}, and onnx's version converter cannot bring it to {OLDEST_OPSET}: {error}"
        ) from None


# -- tensors -----------------------------------------------------------------------------------------------------------
_BITS = {code: bits for name, bits in (("INT4", 4), ("UINT4", 4), ("FLOAT4E2M1", 4), ("INT2", 2), ("UINT2", 2))
         if (code := getattr(TensorProto, name, None)) is not None}
"""element types of which a byte in a file has several"""


def element_type(code: int, what: str) -> np.dtype:
    """The dtype of an ONNX element type; `DTypeError` naming `what` where dlcompile has none."""
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))
    except (KeyError, TypeError, ValueError):
        dtype = None
    if dtype not in DTYPES:
        try:
            name = TensorProto.DataType.Name(code)
        except ValueError:
            name = str(code)
        raise DTypeError(f"{what}: element type {name} is not supported")
    return dtype


def read_tensor(proto: TensorProto, source: Source) -> np.ndarray:
    """The array a `TensorProto` holds: mapped where it is external data, a view of the proto's bytes where it is raw.

    `InvalidModelError` where fewer bytes are there than its shape needs, before anything is allocated.
    """
    what = f"{source.label}: tensor {proto.name!r}"
    shape = tuple(proto.dims)
    if any(d < 0 for d in shape):
        raise InvalidModelError(f"{what}: has the shape {list(shape)}, with a negative dimension")
    if proto.HasField("segment"):
        raise InvalidModelError(f"{what}: is stored in segments, which ONNX no longer has")
    dtype = element_type(proto.data_type, what)
    count = 1
    for dim in shape:
        count *= dim
    if proto.data_type == TensorProto.STRING:
        return _strings(proto, shape, count, what)
    bits = _BITS.get(proto.data_type)
    stored = (count * bits + 7) // 8 if bits else count * dtype.itemsize
    if proto.data_location == TensorProto.EXTERNAL:
        data = _external(proto, stored, source, what)
    elif proto.HasField("raw_data"):
        data = np.frombuffer(proto.raw_data, np.uint8)
        if data.nbytes != stored:
            raise InvalidModelError(f"{what}: {data.nbytes} bytes of data; {dtype}{list(shape)} needs {stored}")
    else:
        return _typed(proto, dtype, shape, count, what)
    if bits:
        return _unpack(data, count, bits).view(dtype).reshape(shape)
    array = data.view(dtype) if data.ctypes.data % dtype.alignment == 0 else data.copy().view(dtype)
    if dtype == np.bool_:
        array = data != 0  # any byte may be in the file, and NumPy takes other than 0 and 1 badly
    return array.reshape(shape)


MOST_OF_SPARSE = 2**26  # elements of a model; the file has only those that are not 0, and its shapes can say anything


def read_sparse(proto: onnx.SparseTensorProto, source: Source) -> np.ndarray:
    """The array a `SparseTensorProto` stands for: 0, or no text, where it says nothing. Its indices are positions in the array made flat [n], or
    one for each axis [n, rank], rising, as ONNX's checker asks.

    `InvalidModelError` where indices lie outside or do not rise, or all such arrays of the model would have more than `MOST_OF_SPARSE` elements.
    """
    if id(proto) not in source.sparse:
        source.sparse[id(proto)] = proto, _dense(proto, source)
    return source.sparse[id(proto)][1]


def _dense(proto: onnx.SparseTensorProto, source: Source) -> np.ndarray:
    what = f"{source.label}: sparse tensor {proto.values.name!r}"
    shape, values, indices = tuple(proto.dims), read_tensor(proto.values, source), read_tensor(proto.indices, source)
    left = MOST_OF_SPARSE - sum(array.size for _, array in source.sparse.values())
    if any(d < 0 for d in shape) or math.prod(shape) > left:
        raise InvalidModelError(f"{what}: has the shape {list(shape)}; expected at most {MOST_OF_SPARSE} elements in all such tensors")
    if values.ndim != 1 or indices.dtype != np.int64 or indices.shape not in (values.shape, (*values.shape, len(shape))):
        raise InvalidModelError(f"{what}: {list(values.shape)} values at {indices.dtype}{list(indices.shape)} indices; expected a vector, and int64"
                                f" indices [n] or [n, {len(shape)}]")
    limits = np.array(shape if indices.ndim == 2 else [math.prod(shape)], np.int64)
    if (indices < 0).any() or (indices.reshape(len(values), limits.size) >= limits).any():
        raise InvalidModelError(f"{what}: has indices outside of the shape {list(shape)}")
    flat = np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 and shape else indices.reshape(len(values))
    if (np.diff(flat) <= 0).any():
        raise InvalidModelError(f"{what}: its indices do not rise")
    array = np.full(math.prod(shape), nothing_of(values.dtype), values.dtype)
    array[flat] = values
    return array.reshape(shape)


def _strings(proto: TensorProto, shape: tuple[int, ...], count: int, what: str) -> np.ndarray:
    """An array of `str`. Bytes that are no UTF-8 go through as they are."""
    if len(proto.string_data) != count:
        raise InvalidModelError(f"{what}: {len(proto.string_data)} strings; the shape {list(shape)} needs {count}")
    array = np.empty(count, object)
    array[:] = [data.decode("utf-8", "surrogateescape") for data in proto.string_data]
    return array.reshape(shape)


def _typed(proto: TensorProto, dtype: np.dtype, shape: tuple[int, ...], count: int, what: str) -> np.ndarray:
    field = onnx.helper.tensor_dtype_to_field(proto.data_type)
    bits = _BITS.get(proto.data_type)
    there = len(getattr(proto, field)) * (32 // bits if bits else 1)
    if there < count or (there != count and not bits):
        raise InvalidModelError(f"{what}: {there} elements in {field}; the shape {list(shape)} needs {count}")
    try:
        return np.asarray(numpy_helper.to_array(proto)).astype(dtype, copy=False).reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidModelError(f"{what}: {error}") from None


def _unpack(data: np.ndarray, count: int, bits: int) -> np.ndarray:
    """Elements of less than 8 bits, the first in the lowest bits of a byte, as a byte each."""
    parts = [data >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)]
    return np.stack(parts, axis=-1).reshape(-1)[:count].astype(np.uint8)


def _external(proto: TensorProto, stored: int, source: Source, what: str) -> np.ndarray:
    """The bytes of external data, mapped."""
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    if source.folder is None:
        raise InvalidModelError(
            f"{what}: its data lies in the file {location!r}; import the model by its path for that to be found"
        )
    path = _inside(location, source.folder, what)
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or stored)
    except ValueError:
        raise InvalidModelError(f"{what}: offset and length of its external data are not integers") from None
    if offset < 0 or length != stored:
        raise InvalidModelError(f"{what}: external data of {length} bytes at {offset}; its type needs {stored}")
    try:
        size = path.stat().st_size
        if offset + stored > size:
            raise InvalidModelError(
                f"{what}: needs bytes {offset} to {offset + stored} of {location!r}, which has {size}"
            )
        return np.memmap(path, np.uint8, "r", offset, (stored,)).view(np.ndarray) if stored else np.empty(0, np.uint8)
    except (OSError, ValueError) as error:
        raise InvalidModelError(f"{what}: external data {location!r} cannot be read: {error}") from None


def _inside(location: str, folder: Path, what: str) -> Path:
    """The file `location` names below `folder`; whatever leads out of it is refused, symbolic links too."""
    refused = f"{what}: external data {location!r} must be a file below the model's folder"
    if not location or "\0" in location or os.path.isabs(location) or ".." in Path(location).parts:
        raise InvalidModelError(refused)
    try:
        path = (folder / location).resolve()
        if not path.is_relative_to(folder):
            raise InvalidModelError(refused)
        if not path.is_file():
            raise InvalidModelError(f"{what}: external data {location!r} is missing from {folder}")
    except OSError as error:
        raise InvalidModelError(f"{what}: external data {location!r} cannot be found: {error}") from None
    return path

"""Files: written whole or not at all, archives of parts, and tensors in the format safetensors, which holds names, types, shapes and bytes, and
nothing to execute."""
from __future__ import annotations

import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors
from safetensors.numpy import save

from dlcompile.errors import ArgumentError, InvalidModelError

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "I64": np.int64, "I32": np.int32,
         "I16": np.int16, "I8": np.int8, "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_}
"""the format's name of a type → the type"""


def write_whole(path: str | os.PathLike, data: bytes, overwrite: bool = True) -> None:
    """Write a file so that at any time there is the old one or the new one. ArgumentError where it cannot be written, or is there and must
    not be overwritten."""
    path = Path(path)
    if path.exists() and not overwrite:
        raise ArgumentError(f"{path} exists already; overwrite=True replaces it")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}-", delete=False) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise ArgumentError(f"{path} cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    """What rights new files do not have. It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def read_whole(path: str | os.PathLike) -> bytes:
    """The bytes of a file. ArgumentError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror or error}") from error


def read_archive(data: bytes, where: str) -> Callable[[str], bytes | None]:
    """A function that gives the parts of a zip archive by name, None for one that is not there. InvalidModelError naming the file `where` it comes
    from, where it is damaged, or a part compressed, whose size could be anything."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = {entry.filename: entry for entry in archive.infolist()}
    except zipfile.BadZipFile as error:
        raise InvalidModelError(f"{where} is no file of a model, or a damaged one: {error}") from None
    if "model.weights.h5" in entries:
        raise InvalidModelError(f"{where} was written by Keras, with weights in the format HDF5; what is read here is what dlcompile writes")

    def read(name: str) -> bytes | None:
        if name not in entries:
            return None
        if entries[name].compress_type != zipfile.ZIP_STORED:
            raise InvalidModelError(f"{where}: {name} is compressed; parts of a model's file are not")
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, OSError) as error:
            raise InvalidModelError(f"{where}: {name} is damaged: {error}") from None

    return read


def pack_tensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name in the format safetensors."""
    return save({name: np.ascontiguousarray(array) if array.ndim else np.array(array) for name, array in arrays.items()})


def unpack_tensors(data: bytes, where: str) -> dict[str, np.ndarray]:
    """The arrays that `pack_tensors` has packed. InvalidModelError naming the file `where` they come from, where they are damaged."""
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        raise InvalidModelError(f"{where} is in the format HDF5, in which Keras writes weights; what is read here is the format safetensors")
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise InvalidModelError(f"{where} is no file of tensors, or a damaged one: {str(error).removeprefix('Error while deserializing: ')}") from None
    arrays = {}
    for name, entry in entries:
        if entry["dtype"] not in TYPES:
            raise InvalidModelError(f"{where}: {name} is of a type {entry['dtype']} that is not supported")
        arrays[name] = np.frombuffer(bytes(entry["data"]), TYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


__all__ = ["pack_tensors", "read_archive", "read_whole", "unpack_tensors", "write_whole"]

"""What can be told of a library by reading its file, before any of its code runs: is it a model, whole, for this CPU, of our format?"""
from __future__ import annotations

import mmap
import os
import platform
import struct
from pathlib import Path

from dlcompile.errors import LibraryError
from dlcompile.kernels.target import cpu_features
from dlcompile.version import FORMAT, VERSION

_PT_LOAD, _PT_NOTE = 1, 4
_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine → platform.machine()
_NOTE_NAME = b"dlcompile\0"


def read_note(path: str | os.PathLike) -> dict[str, str]:
    """The note of a model's library: format, name, version, target, features; and the machine. LibraryError for anything that is not one, or not whole."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < 64:
                raise LibraryError(f"{path} is not a shared library")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, data, size)
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror or error}") from None


def _parse(path: Path, data: mmap.mmap, size: int) -> dict[str, str]:
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 16)[0] != 3:
        raise LibraryError(f"{path} is not a shared library (of a 64-bit little-endian Linux)")
    machine = struct.unpack_from("<H", data, 18)[0]
    start, sections = struct.unpack_from("<QQ", data, 32)
    entry, count, section_entry, section_count = struct.unpack_from("<HHHH", data, 54)
    if entry < 56 or start + entry * count > size or sections + section_entry * section_count > size:  # the sections come last
        raise LibraryError(f"{path} is truncated")
    notes = []
    for position in range(start, start + entry * count, entry):
        kind, _, offset, _, _, filesz = struct.unpack_from("<IIQQQQ", data, position)
        if offset + filesz > size:
            raise LibraryError(f"{path} is truncated")
        if kind == _PT_NOTE:
            notes.append(data[offset: offset + filesz])
    for note in notes:
        found = _find(note)
        if found is not None:
            return {**found, "machine": _MACHINES.get(machine, str(machine))}
    raise LibraryError(f"{path} is a shared library, but not a model compiled by dlcompile")


def _find(notes: bytes) -> dict[str, str] | None:
    position = 0
    while position + 12 <= len(notes):
        name_bytes, text_bytes, _ = struct.unpack_from("<III", notes, position)
        text_at = position + 12 + -(-name_bytes // 4) * 4
        if notes[position + 12: position + 12 + name_bytes] == _NOTE_NAME:
            lines = notes[text_at: text_at + text_bytes].decode("utf-8", "replace").splitlines()
            return dict(line.split("=", 1) for line in lines if "=" in line)
        position = text_at + -(-text_bytes // 4) * 4
    return None


def check_note(path: str | os.PathLike, note: dict[str, str]) -> None:
    """LibraryError where the library is of another format than this version loads, or needs a CPU that this one is not."""
    if note.get("format") != str(FORMAT):
        made = f"{path} was made by dlcompile {note.get('version', '?')} in format {note.get('format', '?')}"
        raise LibraryError(f"{made}; this is dlcompile {VERSION}, which loads format {FORMAT}. Compile the model again")
    if note.get("machine") != platform.machine():
        raise LibraryError(f"{path} is for another kind of machine: {note.get('machine')}, and this is {platform.machine()}")
    features = cpu_features()
    missing = [f for f in note.get("features", "").split() if f not in features]
    if missing and features:
        raise LibraryError(f"{path} is compiled for {note.get('target', '?')}; this CPU lacks {' '.join(missing)}. "
                           "Compile the model for another target")

"""Compiled libraries kept from one compilation to the next, in the user's cache directory.

`DLCOMPILE_CACHE_DIR` names the directory (by default `$XDG_CACHE_HOME/dlcompile` or `~/.cache/dlcompile`), `DLCOMPILE_CACHE_BYTES` how many
bytes of libraries it keeps (by default 8 GiB); those whose last use is longest ago go first. Several processes may use it at once: of those
that want the same library one compiles, the others wait for it.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dlcompile.errors import ArgumentError

DEFAULT_BYTES = 8 << 30


@dataclass(frozen=True)
class Cache:
    """A directory with one folder a library, named by its key, and `limit`, the bytes it keeps."""

    directory: Path
    limit: int = DEFAULT_BYTES

    def find(self, key: str) -> Path | None:
        """The library stored under a key, which counts as a use of it; None where there is none."""
        for path in self._folder(key).glob("*.so"):
            with contextlib.suppress(OSError):
                os.utime(path)
            return path
        return None

    def place(self, key: str, name: str) -> Path:
        """Where to put the library of that key. It is in the cache once the file is there, so it must come there whole."""
        return self._folder(key) / f"{name}.so"

    def forget(self, key: str) -> None:
        """Remove what is stored under a key. A library that is loaded goes on working."""
        shutil.rmtree(self._folder(key), ignore_errors=True)

    @property
    def objects(self) -> Path:
        """Where object files are kept that many libraries share (see `toolchain.shared`)."""
        return self.directory / "objects"

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """One process (and thread) at a time for a key. Some keys share a lock, so that there are no more than 256 files. OSError where the
        directory cannot be written."""
        folder = self.directory / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / key[:2], "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def trim(self, keep: str) -> None:
        """Remove the libraries used longest ago until the rest, `keep` among it, has no more bytes than the limit."""
        entries = []
        for path in (self.directory / "models").glob("*/*.so"):
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime_ns, status.st_size, path.parent.name))
        total = sum(size for _, size, _ in entries)
        for _, size, key in sorted(entries):
            if total <= self.limit:
                break
            if key != keep:
                self.forget(key)
                total -= size

    def _folder(self, key: str) -> Path:
        return self.directory / "models" / key


def user_cache() -> Cache:
    """The cache that the environment names."""
    base = os.environ.get("DLCOMPILE_CACHE_DIR")
    if base:
        directory = Path(base)
    else:
        directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dlcompile"
    limit = os.environ.get("DLCOMPILE_CACHE_BYTES", "")
    if limit and not limit.isdecimal():
        raise ArgumentError(f"DLCOMPILE_CACHE_BYTES must be a number of bytes, not {limit!r}")
    return Cache(directory, int(limit) if limit else DEFAULT_BYTES)

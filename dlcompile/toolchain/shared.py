"""What is the same in the libraries of many models, compiled once: the runtime (csrc/dlc_runtime.h), which takes longer
to compile than a small model does. It is kept in memory, and in a directory for other processes."""
from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from dlcompile.codegen.csrc import csrc_digest
from dlcompile.codegen.project import LANGUAGE_FLAGS
from dlcompile.kernels.target import Target
from dlcompile.toolchain.compiler import Compiler, extra_flags
from dlcompile.toolchain.digest import digest_of

_kept: dict[str, bytes] = {}


class RuntimeObject:
    """The object file of the runtime for a compiler, a target, and models with threads or without; `directory` keeps
    it."""

    def __init__(self, compiler: Compiler, target: Target, threaded: bool, directory: Path | None):
        flags = " ".join((*LANGUAGE_FLAGS, *target.flags, *extra_flags()))
        self.key = digest_of("runtime", csrc_digest(), compiler.identity, flags, str(threaded))
        self.path = None if directory is None else directory / f"{self.key}.o"

    def find(self) -> bytes | None:
        """Its bytes; None where it is not at hand."""
        if self.key not in _kept and self.path is not None:
            with contextlib.suppress(OSError):
                _kept[self.key] = self.path.read_bytes()
        return _kept.get(self.key)

    def keep(self, data: bytes) -> None:
        """Keep it; a directory that cannot be written is none."""
        _kept[self.key] = data
        if self.path is None:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, delete=False) as file:
                file.write(data)
            os.replace(file.name, self.path)

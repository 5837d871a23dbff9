"""Finding a C compiler, and what it says about itself."""
from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from dlcompile.errors import ToolchainError

CANDIDATES = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Compiler:
    """A C compiler: how it is started, and the text that tells one version from another."""

    command: tuple[str, ...]
    identity: str


def find_compiler() -> Compiler:
    """The compiler that $CC names, or the first of cc, gcc, clang. ToolchainError, saying what to install, where there is none."""
    wanted = os.environ.get("CC", "").strip()
    if wanted:
        try:
            command = shlex.split(wanted)
        except ValueError as error:
            raise ToolchainError(f"CC={wanted!r} is not a command: {error}") from None
        path = shutil.which(command[0])
        if path is None:
            raise ToolchainError(f"the C compiler that CC names, {command[0]!r}, was not found")
        return _identified((path, *command[1:]))
    for name in CANDIDATES:
        path = shutil.which(name)
        if path is not None:
            return _identified((path,))
    raise ToolchainError("no C compiler was found: none of cc, gcc, clang is on the PATH. Install one (Debian, Ubuntu: `apt install gcc "
                         "libc6-dev`; Fedora: `dnf install gcc`), or name it in the environment variable CC")


@cache
def _identified(command: tuple[str, ...]) -> Compiler:
    try:
        result = subprocess.run([*command, "--version"], capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"the C compiler {' '.join(command)} does not start: {error}") from None
    if result.returncode:
        raise ToolchainError(f"`{' '.join(command)} --version` failed:\n{result.stderr or result.stdout}")
    return Compiler(command, " ".join(command) + "\n" + result.stdout)


def extra_flags() -> tuple[str, ...]:
    """The options of $CFLAGS, which go to the compiler after dlcompile's own."""
    try:
        return tuple(shlex.split(os.environ.get("CFLAGS", "")))
    except ValueError as error:
        raise ToolchainError(f"CFLAGS cannot be read: {error}") from None

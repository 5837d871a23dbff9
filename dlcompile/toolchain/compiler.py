"""Finding a C compiler, for this machine or another, and what it says about itself."""
from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from dlcompile.errors import ToolchainError
from dlcompile.kernels.target import Target

CANDIDATES = ("cc", "gcc", "clang")
CROSS_CANDIDATES = ("{machine}-linux-gnu-gcc", "clang")
"""what compiles for another machine: a GCC made for it, or Clang, which is told"""


@dataclass(frozen=True)
class Compiler:
    """A C compiler: how it is started, and the text that tells one version from another."""

    command: tuple[str, ...]
    identity: str


def find_compiler(target: Target | None = None) -> Compiler:
    """The compiler for the target's machine (None: for this one).

    That is what $CC names, or else the first of cc, gcc, clang. For another kind of processor $CC is taken where it makes code
    for that, and else Debian's cross compiler, `aarch64-linux-gnu-gcc`, or `clang --target`. ToolchainError, saying what to
    install, where there is none.
    """
    wanted = _wanted()
    if target is not None and target.machine != platform.machine():
        return _cross_compiler(target.machine, wanted)
    if wanted:
        return _identified(wanted)
    for name in CANDIDATES:
        path = shutil.which(name)
        if path is not None:
            return _identified((path,))
    raise ToolchainError("no C compiler was found: none of cc, gcc, clang is on the PATH. Install one (Debian, Ubuntu: `apt install gcc "
                         "libc6-dev`; Fedora: `dnf install gcc`), or name it in the environment variable CC")


def _wanted() -> tuple[str, ...]:
    """The command that $CC is, its program found; () where it is not set."""
    wanted = os.environ.get("CC", "").strip()
    try:
        command = shlex.split(wanted)
    except ValueError as error:
        raise ToolchainError(f"CC={wanted!r} is not a command: {error}") from None
    if not command:
        return ()
    path = shutil.which(command[0])
    if path is None:
        raise ToolchainError(f"the C compiler that CC names, {command[0]!r}, was not found")
    return (path, *command[1:])


def _cross_compiler(machine: str, wanted: tuple[str, ...]) -> Compiler:
    """A compiler on this machine for another: of what $CC names and CROSS_CANDIDATES the first that makes its code."""
    found = [shutil.which(name.format(machine=machine)) for name in CROSS_CANDIDATES]
    for command in filter(None, (wanted, *((path,) for path in found if path))):
        for options in ((), (f"--target={machine}-linux-gnu",)):
            if _machine((*command, *options)) == machine:
                return _identified((*command, *options))
    packages = f"gcc-{machine.replace('_', '-')}-linux-gnu libc6-dev-{_architecture(machine)}-cross"
    raise ToolchainError(f"no C compiler for {machine} was found: CC names none, and neither {machine}-linux-gnu-gcc nor clang is on the "
                         f"PATH. Install one (Debian, Ubuntu: `apt install {packages}`), or name it in the environment variable CC")


def _architecture(machine: str) -> str:
    """Debian's name of a kind of processor."""
    return {"aarch64": "arm64", "x86_64": "amd64"}.get(machine, machine)


@cache
def _machine(command: tuple[str, ...]) -> str | None:
    """The kind of processor a compiler makes code for, as `platform.machine` calls it; None for one that does not say."""
    try:
        result = subprocess.run([*command, "-dumpmachine"], capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if result.returncode else result.stdout.strip().partition("-")[0]


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

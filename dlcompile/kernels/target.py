"""The machines code is made for: what a schedule needs to know of one, and the compiler flags that name it."""
from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache

from dlcompile.errors import ArgumentError


@dataclass(frozen=True)
class Target:
    """A machine. `lanes`: float32 elements of a vector; `registers`: vector registers; `l1_bytes`, `l2_bytes`: cache sizes a core can count
    on; `flags`: compiler options that select it; `requires`: CPU features (as /proc/cpuinfo spells them) without which its code cannot run."""

    name: str
    lanes: int
    registers: int
    flags: tuple[str, ...]
    requires: tuple[str, ...] = ()
    l1_bytes: int = 32 << 10
    l2_bytes: int = 512 << 10

    @property
    def machine(self) -> str:
        """The kind of processor, as `platform.machine` calls it."""
        return "aarch64" if self.name == "aarch64" else "x86_64"


_V2 = ("cx16", "popcnt", "sse4_1", "sse4_2", "ssse3")
_V3 = (*_V2, "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

TARGETS: dict[str, Target] = {
    t.name: t
    for t in (
        Target("x86-64", 4, 16, ("-march=x86-64",)),
        Target("x86-64-v2", 4, 16, ("-march=x86-64-v2",), _V2),
        Target("x86-64-v3", 8, 16, ("-march=x86-64-v3",), _V3),
        Target("x86-64-v4", 16, 32, ("-march=x86-64-v4", "-mprefer-vector-width=512"), _V4, 32 << 10, 1 << 20),
        Target("aarch64", 4, 32, ("-march=armv8-a",), (), 64 << 10, 512 << 10),
    )
}


@cache
def cpu_features() -> frozenset[str]:
    """The features this machine's CPU reports, as /proc/cpuinfo spells them; empty where that cannot be read."""
    try:
        with open("/proc/cpuinfo") as file:
            line = next((row for row in file if row.startswith(("flags", "Features"))), "")
    except OSError:
        return frozenset()
    return frozenset(line.partition(":")[2].split())


def runs_here(target: Target) -> bool:
    """Whether this machine can execute the target's code."""
    return platform.machine() == target.machine and cpu_features() >= set(target.requires)


def resolve_target(name: str | Target) -> Target:
    """The target of that name; "native" is the most capable one that this machine can run. ArgumentError for an unknown name."""
    if isinstance(name, Target):
        return name
    if name == "native":
        return next(t for t in reversed(TARGETS.values()) if runs_here(t))
    if name not in TARGETS:
        raise ArgumentError(f"unknown target {name!r}; choose from native, {', '.join(TARGETS)}")
    return TARGETS[name]

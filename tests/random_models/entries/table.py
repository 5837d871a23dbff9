"""The register of entries."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.random_models.builder import Builder


@dataclass(frozen=True)
class Entry:
    """How one operator is put into a model, in opsets from `since` until before `until`."""

    op: str
    make: Callable[[Builder, str], object]
    since: int = 1
    until: int = 10**6


ENTRIES: list[Entry] = []


def entry(*ops: str, since: int = 1, until: int = 10**6):
    """Declare how the operators `ops` are put into a model: `make(builder, op)`, which may raise Unsuitable."""
    def declare(make: Callable[[Builder, str], object]) -> Callable[[Builder, str], object]:
        ENTRIES.extend(Entry(op, make, since, until) for op in ops)
        return make
    return declare


def entries(opset: int) -> list[Entry]:
    """Those of an opset."""
    return [e for e in ENTRIES if e.since <= opset < e.until]

"""What labels have to be is noted while a loss is traced, so that whoever has the arrays can look at them: a graph does not check its data.

    with noting_labels() as noted:
        loss = sparse_categorical_crossentropy(y, p)
    noted       [(y, 10, None, "sparse_categorical_crossentropy")]: integers from 0 to 9
"""
from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import NamedTuple

from dlcompile.graph import DimLike, Tensor


class Labels(NamedTuple):
    """A tensor of labels that are from 0 to `classes` - 1, or `ignored`; `what` takes them."""

    tensor: Tensor
    classes: DimLike
    ignored: int | None
    what: str


_noted: contextvars.ContextVar[list[Labels] | None] = contextvars.ContextVar("dlcompile_labels", default=None)


@contextlib.contextmanager
def noting_labels() -> Iterator[list[Labels]]:
    """A context in which labels are noted."""
    found: list[Labels] = []
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def note_labels(tensor: Tensor, classes: DimLike, ignored: int | None, what: str) -> None:
    """Say what labels have to be; nothing where nobody listens."""
    if _noted.get() is not None:
        _noted.get().append(Labels(tensor, classes, ignored, what))


__all__ = ["Labels", "note_labels", "noting_labels"]

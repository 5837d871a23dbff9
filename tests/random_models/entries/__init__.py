"""The table of operators that random models are made of, one file a family. An entry draws inputs and attributes, and adds a node."""
from __future__ import annotations

from tests.random_models.entries import (  # noqa: F401
    attention,
    chains,
    classical,
    control,
    elementwise,
    indexing,
    losses,
    movement,
    products,
    quantization,
    recurrent,
    reductions,
    resizing,
    selections,
    signal,
    vision,
    windows,
)
from tests.random_models.entries.table import Entry, entries

__all__ = ["Entry", "entries"]

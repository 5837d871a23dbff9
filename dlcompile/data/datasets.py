"""Data that come in batches by number."""
from __future__ import annotations

from typing import Any


class PyDataset:
    """Batches by number. A class of one's own defines `__len__(self)`, how many there are, and `__getitem__(self, index)`, which returns (x, y) or
    (x, y, sample_weight), and where it likes `on_epoch_begin` and `on_epoch_end`.

    workers, use_multiprocessing, max_queue_size are there for scripts that give them: batches are made when they are needed.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__(self, index)")

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None where there is no end."""
        if not hasattr(self, "__len__"):
            raise NotImplementedError(f"{type(self).__name__} does not define __len__(self), nor num_batches")
        return len(self)  # type: ignore[arg-type]

    def on_epoch_begin(self) -> None:
        """Called before an epoch."""

    def on_epoch_end(self) -> None:
        """Called after an epoch."""


Sequence = PyDataset

__all__ = ["PyDataset", "Sequence"]

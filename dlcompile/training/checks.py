"""Integers of a batch are looked at before it is computed with: labels that a loss takes, and positions in a table. Compiled code takes them as given."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph, Node, Tensor
from dlcompile.losses.labels import Labels, noting_labels

SAME_VALUES = ("cast", "reshape", "transpose", "broadcast_to", "slice")
"""primitives that hand integers on as they are"""


@dataclass(frozen=True)
class Check:
    """The array at a place of the batch holds whole numbers from 0 to `count` - 1, or `ignored`."""

    place: int
    name: str
    count: int
    ignored: int | None
    what: str

    def __call__(self, array: np.ndarray) -> None:
        """ArgumentError with the number that is wrong, and where it is."""
        if not array.size:
            return
        low, high = array.min(), array.max()
        if 0 <= low and high < self.count and (array.dtype.kind in "iub" or self._whole(array)):
            return
        wrong = (array < 0) | (array >= self.count) | (False if array.dtype.kind in "iub" else array != np.trunc(array))
        if self.ignored is not None:
            wrong &= array != self.ignored
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ArgumentError(f"{self.what}: {self.name} has whole numbers from 0 to {self.count - 1}"
                                + ("" if self.ignored is None else f", or {self.ignored}") + f"; {self.name}{list(place)} is {array[place]}")

    @staticmethod
    def _whole(array: np.ndarray) -> bool:
        return bool((array == np.trunc(array)).all())


def checks_of(graph: Graph, batch: Sequence[Tensor], labels: Iterable[Labels]) -> list[Check]:
    """What has to be looked at in a batch, whose tensors are inputs of the graph: what losses have noted, and positions that a `gather` takes."""
    places = {tensor: i for i, tensor in enumerate(batch)}
    wanted = [*((n.tensor, n.classes, n.ignored, n.what) for n in labels), *_positions(graph.nodes)]
    found: dict[tuple, Check] = {}
    for tensor, count, ignored, what in wanted:
        origin = _origin(tensor)
        if origin in places and isinstance(count, int):
            check = Check(places[origin], origin.name.removeprefix("batch_"), count, ignored, what)
            found.setdefault((check.place, count, ignored), check)
    return list(found.values())


def _positions(nodes: Iterable[Node]) -> list[tuple]:
    return [(node.inputs[1], node.inputs[0].shape[node.attributes["axis"]], None, ", ".join(node.origin) or "gather")
            for node in nodes if node.op == "gather"]


def _origin(tensor: Tensor) -> Tensor:
    """The tensor that the same integers come from."""
    while tensor.producer is not None and tensor.producer.op in SAME_VALUES:
        tensor = tensor.producer.inputs[0]
    return tensor


__all__ = ["Check", "checks_of", "noting_labels"]

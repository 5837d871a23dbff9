"""How each product and convolution is computed: the ways there are, best estimate first, and which one is taken.

That is the first, unless somebody has measured: `ranks` then says which one instead, for each product by its number, in the order of the graph.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

from dlcompile.graph import Node, Tensor
from dlcompile.kernels import strassen, winograd
from dlcompile.kernels.blocked import LEAST_GAIN, Blocking, awkwardness, blockings, is_known, plain_time
from dlcompile.kernels.contraction import Contraction
from dlcompile.kernels.planes import may_round
from dlcompile.kernels.strassen import Strassen
from dlcompile.kernels.target import Target
from dlcompile.kernels.tiles import plan_tile
from dlcompile.kernels.tiling import product_time, ranked_tiles
from dlcompile.kernels.winograd import Winograd

MOST_TILES = 3  # of the plain sum that are worth measuring
MOST_PLANS = 2  # of one of the other ways


@dataclass(frozen=True)
class Direct:
    """The sum as it is defined, on a tile of `rows` × `vectors`; in blocks of its terms, where `blocking` says so."""

    rows: int
    vectors: int
    blocking: Blocking | None = None


Way = Union[Direct, Winograd, Strassen]


def ways(node: Node, contraction: Contraction, target: Target, *, strict: bool) -> list[Way]:
    """All that are worth thinking of, by the time they are estimated to take."""
    c = contraction
    if c.depthwise:
        return [Direct(*plan_tile(c, target))]
    rows = c.rows[-1].extent if c.rows else 1
    tiles = ranked_tiles(target, rows, c.width, c.depth)[:MOST_TILES]
    best = product_time(target, rows, c.width, c.depth, tiles[0])
    module = None if strict else winograd if winograd.applies(node) else strassen if strassen.applies(node, c) else None
    direct = module.direct_time(node, c, target, tiles[0]) if module else plain_time(c, target, tiles[0]) if is_known(c) else best
    found: list[tuple[float, Way]] = [(direct * product_time(target, rows, c.width, c.depth, tile) / best * awkwardness(c, target, tile[0]), Direct(*tile))
                                      for tile in tiles]
    if module:
        found += sorted(module.plans(node, c, target), key=lambda pair: pair[0])[:MOST_PLANS]
    found += _in_blocks(c, target, tiles[0])
    return [way for _, way in sorted(found, key=lambda pair: pair[0])]


def _in_blocks(c: Contraction, target: Target, tile: tuple[int, int]) -> list[tuple[float, Way]]:
    """The best way to cut the sum into blocks of terms, if that is estimated to gain."""
    time, blocking = min(blockings(c, target, tile), key=lambda pair: pair[0], default=(0.0, None))
    if blocking is None or time > (1 - LEAST_GAIN) * plain_time(c, target, tile) * awkwardness(c, target, tile[0]):
        return []
    return [(time, Direct(*tile, blocking))]


class Choices:
    """Which way is taken. `ranks`: number of a product → how many of the better estimates are passed over."""

    def __init__(self, *, strict: bool = False, ranks: Mapping[int, int] | None = None):
        self.strict, self.ranks = strict, ranks or {}
        self.numbers: dict[Node, int] = {}
        self._exact: dict[Tensor, bool] = {}

    def number(self, node: Node) -> int:
        """The number of a product."""
        return self.numbers.setdefault(node, len(self.numbers))

    def ways(self, node: Node, contraction: Contraction, target: Target) -> list[Way]:
        """How a product is computed: in the first of these ways in which its group can be."""
        found = ways(node, contraction, target, strict=self.strict or self._is_exact(node.inputs[1]))
        first = min(self.ranks.get(self.number(node), 0), len(found) - 1)
        return [found[first], *found[:first], *found[first + 1:]]

    def _is_exact(self, w: Tensor) -> bool:
        if w not in self._exact:
            self._exact[w] = not w.is_constant or not may_round(w.value)
        return self._exact[w]

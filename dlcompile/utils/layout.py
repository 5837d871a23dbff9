"""Where the boxes of a graph are drawn: in ranks from the top down, each below all that it depends on (Sugiyama et al. 1981).

An edge that goes over several ranks has a place in each, where it goes straight down, so that it goes around boxes and not through them.
What is in a rank is put in an order with few crossings, and then as near to below its neighbours as the room allows.
"""
from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

SWEEPS = 12
GAP, RANK_GAP = 24.0, 36.0
"""pixels between boxes beside each other, and between ranks"""

Edge = tuple[Hashable, Hashable]


@dataclass
class Layout:
    """The middles of the boxes, the points that each edge goes through between its boxes, and the size of everything."""

    centers: dict[Hashable, tuple[float, float]] = field(default_factory=dict)
    bends: dict[Edge, list[tuple[float, float]]] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


def layout(sizes: Mapping[Hashable, tuple[float, float]], edges: Sequence[Edge]) -> Layout:
    """The places of boxes with the given widths and heights, whose edges have no cycle."""
    edges = list(dict.fromkeys(edges))
    rank = _ranks(list(sizes), edges)
    sizes, chains, links = _with_points(sizes, edges, rank)
    rows: list[list[Hashable]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for node in sizes:
        rows[rank[node]].append(node)
    parents: dict[Hashable, list] = {node: [] for node in sizes}
    children: dict[Hashable, list] = {node: [] for node in sizes}
    for a, b in links:
        parents[b].append(a)
        children[a].append(b)
    _put_in_order(rows, parents, children)
    x = _across(rows, parents, children, sizes)
    found, top = Layout(), 0.0
    spans: dict[Hashable, tuple[float, float]] = {}  # of each box's and each point's rank
    for row in rows:
        height = max((sizes[node][1] for node in row), default=0.0)
        spans.update(dict.fromkeys(row, (top, top + height)))
        top += height + RANK_GAP
    left = min((x[node] - sizes[node][0] / 2 for node in x), default=0.0)
    found.centers = {node: (x[node] - left, sum(spans[node]) / 2) for node in x if not isinstance(node, _Point)}
    found.bends = {edge: [(x[p] - left, y) for p in points for y in spans[p]] for edge, points in chains.items()}
    found.width = max((x[node] + sizes[node][0] / 2 for node in x), default=0.0) - left
    found.height = max(top - RANK_GAP, 0.0)
    return found


@dataclass(frozen=True)
class _Point:
    """Where an edge crosses a rank."""

    edge: Edge
    rank: int


def _ranks(nodes: list[Hashable], edges: list[Edge]) -> dict[Hashable, int]:
    """The longest way to each node from one with nothing above it; what has nothing above it comes right above what it leads to."""
    rank = dict.fromkeys(nodes, 0)
    for _ in nodes:
        changed = False
        for a, b in edges:
            if rank[b] <= rank[a]:
                rank[b], changed = rank[a] + 1, True
        if not changed:
            break
    below = {b for _, b in edges}
    for node in nodes:
        followers = [rank[b] for a, b in edges if a == node]
        if node not in below and followers:
            rank[node] = min(followers) - 1
    return rank


def _with_points(sizes: Mapping, edges: list[Edge], rank: dict) -> tuple[dict, dict[Edge, list[_Point]], list[Edge]]:
    """Boxes and points with their sizes, the points of each edge, and edges between neighbouring ranks only."""
    made, chains, links = dict(sizes), {}, []
    for a, b in edges:
        chain = [_Point((a, b), r) for r in range(rank[a] + 1, rank[b])]
        chains[a, b] = chain
        for point in chain:
            made[point], rank[point] = (1.0, 0.0), point.rank
        links += list(zip([a, *chain], [*chain, b]))
    return made, chains, links


def _put_in_order(rows: list[list], parents: dict, children: dict) -> None:
    """Each row by the mean place of its neighbours in the row above, then in the one below, and again."""
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        neighbours = parents if down else children
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for index in order:
            place = {node: i for i, node in enumerate(rows[index - 1 if down else index + 1])}
            own = {node: i for i, node in enumerate(rows[index])}
            rows[index].sort(key=lambda node, place=place, own=own, n=neighbours: _mean([place[m] for m in n[node]], own[node]))


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _across(rows: list[list], parents: dict, children: dict, sizes: dict) -> dict[Hashable, float]:
    """The horizontal places: as near to the mean of the neighbours as the order and the gaps allow."""
    x: dict[Hashable, float] = {}
    for row in rows:
        right = -(sum(sizes[node][0] for node in row) + GAP * (len(row) - 1)) / 2
        for node in row:
            x[node] = right + sizes[node][0] / 2
            right += sizes[node][0] + GAP
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = [_mean([x[m] for m in (*parents[node], *children[node])], x[node]) for node in row]
            least = [(sizes[a][0] + sizes[b][0]) / 2 + GAP for a, b in zip(row, row[1:])]
            x.update(zip(row, apart(wanted, least)))
    return x


def apart(wanted: Sequence[float], least: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones (in squares) that are in order, with at least `least[i]` between i and i + 1.

    Less the gaps before them, they are the nearest rising sequence, which neighbours that contradict each other share the mean of.

    >>> apart([0.0, 0.0, 10.0], [4.0, 4.0])
    [-2.0, 2.0, 10.0]
    """
    offsets = [0.0]
    for gap in least:
        offsets.append(offsets[-1] + gap)
    blocks: list[tuple[float, int]] = []  # (mean, how many)
    for value, offset in zip(wanted, offsets):
        blocks.append((value - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    flat = [mean for mean, count in blocks for _ in range(count)]
    return [value + offset for value, offset in zip(flat, offsets)]


__all__ = ["Layout", "apart", "layout"]

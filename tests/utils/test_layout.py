"""Where boxes are drawn: in ranks, apart from each other, and not under edges."""
from __future__ import annotations

import itertools
import random

import pytest

from dlcompile.utils.layout import GAP, apart, layout


def graph(seed: int):
    """Boxes of random sizes, and edges from earlier to later ones."""
    rng = random.Random(seed)
    nodes = [f"n{i}" for i in range(rng.randint(1, 14))]
    sizes = {node: (rng.uniform(20, 150), rng.uniform(20, 60)) for node in nodes}
    edges = [(a, b) for i, b in enumerate(nodes) for a in rng.sample(nodes[:i], min(i, rng.randint(0, 3)))]
    return sizes, edges


@pytest.mark.parametrize("seed", range(25))
def test_boxes_and_edges(seed: int) -> None:
    sizes, edges = graph(seed)
    found = layout(sizes, edges)

    def extent(node):
        (x, y), (w, h) = found.centers[node], sizes[node]
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2

    for node in sizes:
        left, top, right, bottom = extent(node)
        assert left >= -1e-6 and top >= -1e-6 and right <= found.width + 1e-6 and bottom <= found.height + 1e-6
    for a, b in itertools.combinations(sizes, 2):
        (l, t, r, d), (l2, t2, r2, d2) = extent(a), extent(b)
        assert r + GAP / 2 <= l2 or r2 + GAP / 2 <= l or d < t2 or d2 < t, (a, b)
    for a, b in edges:
        assert extent(a)[3] < extent(b)[1]  # down
        heights = [y for _, y in found.bends[a, b]]
        assert heights == sorted(heights) and all(extent(a)[3] < y < extent(b)[1] for y in heights)
        for (x, y), (x2, y2) in zip(found.bends[a, b][::2], found.bends[a, b][1::2]):
            assert x == x2
            for node in sizes:  # where it goes straight down, it does not go through a box
                left, top, right, bottom = extent(node)
                assert x < left or x > right or bottom < y or top > y2


def test_a_chain_is_straight() -> None:
    found = layout({i: (10.0 * (i + 1), 10.0) for i in range(5)}, [(i, i + 1) for i in range(4)])
    assert len({round(x, 6) for x, _ in found.centers.values()}) == 1


def test_few_crossings() -> None:
    """Three pairs that are drawn crossed are put side by side."""
    sizes = dict.fromkeys([*"abc", *"xyz"], (30.0, 10.0))
    found = layout(sizes, [("a", "z"), ("b", "y"), ("c", "x")])
    assert all(found.centers[p][0] == pytest.approx(found.centers[q][0]) for p, q in ("az", "by", "cx"))


def test_apart_is_the_nearest() -> None:
    wanted, least = [5.0, 1.0, 1.5, 9.0], [2.0, 1.0, 3.0]
    found = apart(wanted, least)
    assert all(b - a >= gap - 1e-9 for a, b, gap in zip(found, found[1:], least))

    def cost(places):
        return sum((p - w) ** 2 for p, w in zip(places, wanted))

    rng = random.Random(0)
    for _ in range(2000):
        other = [p + rng.uniform(-1, 1) for p in found]
        if all(b - a >= gap for a, b, gap in zip(other, other[1:], least)):
            assert cost(other) >= cost(found) - 1e-9


def test_nothing() -> None:
    assert layout({}, []).centers == {}

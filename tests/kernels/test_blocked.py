"""Sums in blocks of their terms: any cut, whatever lies how, and when they are chosen."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import Graph, make_input, symbol
from dlcompile.kernels import choices
from dlcompile.kernels.blocked import Blocking
from dlcompile.kernels.contraction import analyse
from dlcompile.kernels.schedule import schedule
from dlcompile.kernels.tiling import choose_tile
from tests.kernels.build import EMULATED, RUNNABLE, Case, check
from tests.kernels.test_forms import RNG, single, tensor


def weights(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def filters_gradient(x, dy, taps: int = 3, padding: int = 1, stride: int = 1):
    """The derivative of a convolution by its filters: batch and channels change places."""
    y = ops.conv_general(ops.transpose(x, (3, 1, 2, 0)), ops.transpose(dy, (1, 2, 0, 3)), padding=((padding, padding),) * 2, rhs_dilation=(stride, stride),
                         layout="channels_last")
    if y.shape[1:3] != (taps, taps):  # a stride has left out the last rows
        y = ops.slice(y, (0, 0, 0, 0), (y.shape[0], taps, taps, y.shape[3]))
    return ops.transpose(y, (1, 2, 0, 3))


def cases() -> list[Case]:
    made = [single(f"{m} {k} {n}", lambda t, k=k, n=n: ops.maximum(ops.add(ops.matmul(t, weights(k, n)), np.linspace(-1, 1, n, dtype=np.float32)), 0.0),
                   tensor(m, k)) for m, k, n in ((1, 1, 1), (17, 5, 33), (3, 64, 7), (40, 100, 70), (29, 37, 150))]
    made += [
        single("rows 4 KiB apart", lambda t: ops.matmul(t, weights(1024, 40)), tensor(19, 1024)),
        single("transposed", lambda t: ops.matmul(ops.transpose(t), weights(50, 37)), tensor(50, 41)),
        single("neither axis is near", lambda t: ops.matmul(ops.reshape(ops.slice(t, (0, 0, 0), (21, 30, 1)), (21, 30)), weights(30, 20)), tensor(21, 30, 2)),
        single("residual", lambda t: ops.add(ops.matmul(t, weights(40, 40)), t), tensor(37, 40)),
        single("two activations", lambda a, b: ops.matmul(ops.transpose(a), b), tensor(60, 23), tensor(60, 35)),
        single("as wide as a panel", lambda a, b: ops.matmul(ops.transpose(a), b), tensor(60, 23), tensor(60, 32)),
        single("batch", lambda a, b: ops.matmul(a, b), tensor(3, 9, 40), tensor(3, 40, 21)),
        single("two contracted axes", lambda a, b: ops.dot_general(a, b, contracting=((0, 1), (0, 1))), tensor(5, 9, 14), tensor(5, 9, 22)),
        single("contracted axes in another order", lambda a, b: ops.dot_general(a, b, contracting=((1, 0), (0, 1))), tensor(5, 9, 14), tensor(9, 5, 22)),
        single("convolution", lambda t: ops.conv_general(t, weights(3, 3, 12, 20), padding=((1, 1), (1, 1)), layout="channels_last"), tensor(2, 7, 9, 12)),
        single("strided convolution", lambda t: ops.conv_general(t, weights(3, 2, 5, 18), strides=(2, 3), layout="channels_last"), tensor(1, 9, 11, 5)),
        single("by filters", filters_gradient, tensor(3, 6, 5, 4), tensor(3, 6, 5, 32)),
        single("by filters of one channel", lambda x, dy: filters_gradient(x, dy, padding=0), tensor(4, 8, 7, 1), tensor(4, 6, 5, 10)),
        single("by filters, strided", lambda x, dy: filters_gradient(x, dy, padding=1, stride=2), tensor(2, 8, 8, 6), tensor(2, 4, 4, 16)),
        single("by filters of a sequence", lambda x, dy: ops.conv_general(ops.transpose(x, (2, 1, 0)), ops.transpose(dy, (1, 0, 2)), layout="channels_last"),
               tensor(3, 20, 9), tensor(3, 16, 18)),
    ]
    return made


def choose(terms: int, rows: int, panels: int, around: int, copied: bool):
    """The choice of such blocks wherever sizes are known; what a product has less of is taken whole."""
    def ways(node, c, target, strict):
        if c.depthwise:
            return [choices.Direct(1, 1)]
        tile = choose_tile(target, c.rows[-1].extent if c.rows else 1, c.width, c.depth)
        run = max(i for i in range(len(c.contracted)) if i == 0 or c.contracted[i].extent > 1)
        tiles, wide = -(-(c.rows[-1].extent if c.rows else 1) // tile[0]), -(-c.width // (tile[1] * target.lanes))
        around_it = min(around, max(len(c.rows) - 1, 0))
        return [choices.Direct(*tile, Blocking(run, min(terms, c.contracted[run].extent), min(rows, tiles), min(panels, wide), around_it, copied))]

    return ways


CUTS = [(7, (1, 1), 2, True), (7, (2, 3), 2, False), (1000, (1, 1), 0, True), (1000, (2, 3), 0, False)]
TARGETS = RUNNABLE + EMULATED
PAIRS = [(cut, TARGETS[i % len(TARGETS)]) for i, cut in enumerate(CUTS)] + [(cut, TARGETS[-2]) for cut in CUTS]
"""(terms, tiles and panels of a chunk, runs of rows in it, whether its left operand is copied), and where: all on one target, each on another one too"""


@pytest.mark.parametrize(("cut", "target"), list(dict.fromkeys(PAIRS)), ids=lambda v: getattr(v, "name", str(v)))
def test_against_the_definition(cut, target, tmp_path, monkeypatch) -> None:
    terms, chunk, around, copied = cut
    monkeypatch.setattr(choices, "ways", choose(terms, *chunk, around, copied))
    made = cases()
    program = schedule(Graph("g", [t for c in made for t, _ in c.inputs], [t for c in made for t in c.outputs]), target)
    assert sum(call.form == "blocked" for call in program.calls) >= len(made)
    check(made, target, tmp_path)


def forms(graph: Graph, **options) -> list[str]:
    return [call.form for call in schedule(graph, "x86-64-v4", **options).calls]


def product(m, k: int, n: int) -> Graph:
    x = make_input("x", np.float32, (m, k))
    return Graph("g", [x], [ops.matmul(x, weights(k, n))])


def test_where_they_are_chosen() -> None:
    assert forms(product(197, 3072, 768), precision="strict") == ["blocked"]  # rows that fall into one set of the cache
    assert forms(product(64, 20000, 96), precision="strict") == ["blocked"]  # panels larger than the cache
    assert forms(product(128, 768, 768), precision="strict") == ["contraction"]
    assert forms(product(symbol("m"), 3072, 768), precision="strict") == ["contraction"]
    assert forms(product(1, 20000, 96), precision="strict") == ["contraction"]  # every weight is read once in any case


def test_the_derivative_by_filters_reads_images_where_they_lie() -> None:
    """What a layer and its derivative pad alike is padded once, and nothing is transposed; columns of one panel need no packing."""
    x, dy = (make_input(name, np.float32, (16, 28, 28, n)) for name, n in (("x", 16), ("dy", 32)))
    y = ops.conv_general(x, weights(3, 3, 16, 32), padding=((1, 1), (1, 1)), layout="channels_last")
    assert sorted(forms(Graph("g", [x, dy], [y, filters_gradient(x, dy)]), precision="strict")) == ["blocked", "convolution", "map"]


def test_how_the_left_operand_lies() -> None:
    from dlcompile.kernels.access import contiguous
    from dlcompile.kernels.blocked import is_awkward
    from dlcompile.kernels.program import InputArgument
    from dlcompile.kernels.target import TARGETS

    def lies(x, function) -> bool:
        contraction = analyse(function(x).producer, lambda t: contiguous(InputArgument(0), t.shape) if t.producer is None else None)
        return is_awkward(contraction, TARGETS["x86-64-v4"], 14)

    assert lies(make_input("x", np.float32, (50, 1024)), lambda t: ops.matmul(t, weights(1024, 8)))
    assert not lies(make_input("x", np.float32, (50, 1000)), lambda t: ops.matmul(t, weights(1000, 8)))
    assert not lies(make_input("x", np.float32, (1024, 50)), lambda t: ops.matmul(ops.transpose(t), weights(1024, 8)))

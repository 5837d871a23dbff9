"""Products by Strassen's formulas: odd numbers of rows, whatever comes before and after them, and when they are chosen."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.codegen import generate
from dlcompile.graph import Graph, make_input, symbol
from dlcompile.kernels import choices
from dlcompile.kernels.schedule import schedule
from dlcompile.kernels.strassen import Strassen
from dlcompile.kernels.tiling import choose_tile
from dlcompile.operators import evaluate
from dlcompile.runtime import load
from dlcompile.toolchain import build
from tests.kernels.build import EMULATED, RUNNABLE, Case, check
from tests.kernels.test_forms import RNG, single, tensor


def weights(k: int, n: int) -> np.ndarray:
    return RNG.standard_normal((k, n)).astype(np.float32)


def cases() -> list[Case]:
    made = []
    for m, k, n in ((32, 32, 32), (33, 34, 65), (2, 2, 1), (51, 100, 47), (64, 38, 130)):
        made.append(single(f"{m} {k} {n}", lambda t, k=k, n=n: ops.maximum(ops.add(ops.matmul(t, weights(k, n)), np.linspace(-1, 1, n, dtype=np.float32)), 0.0),
                           tensor(m, k)))
    made += [
        single("residual", lambda t: ops.add(ops.matmul(t, weights(40, 40)), t), tensor(37, 40)),
        single("rows of two axes", lambda t: ops.matmul(t, weights(36, 50)), tensor(3, 13, 36)),
        single("part of the columns", lambda t: ops.matmul(ops.slice(t, (0, 4), (35, 40)), weights(36, 33)), tensor(35, 48)),
        single("transposed afterwards", lambda t: ops.transpose(ops.tanh(ops.matmul(t, weights(32, 48))), (1, 0)), tensor(41, 32)),
        single("heads", lambda t: ops.transpose(ops.reshape(ops.matmul(t, weights(64, 96)), (1, 33, 3, 32)), (0, 2, 1, 3)), tensor(1, 33, 64)),
        single("pointwise convolution", lambda t: ops.conv_general(t, weights(32, 40).reshape(1, 1, 32, 40), layout="channels_last"), tensor(1, 6, 7, 32)),
        single("one after another", lambda t: ops.matmul(ops.exp(ops.matmul(t, weights(44, 34))), weights(34, 60)), tensor(39, 44)),
    ]
    return made


def choose(block: int):
    """The choice of Strassen's formulas, in blocks of so many pairs of rows, wherever they apply."""
    def ways(node, c, target, strict):
        pairs = -(-c.row_count // 2)
        rows, vectors = choose_tile(target, min(block, pairs), -(-c.width // 2), c.depth // 2)
        width = vectors * target.lanes
        return [Strassen(pairs, min(block, pairs), -(-c.width // (2 * width)) * width, rows, vectors)]

    return ways


@pytest.mark.parametrize("target", RUNNABLE + EMULATED, ids=lambda t: t.name)
@pytest.mark.parametrize("block", [5, 100])
def test_against_the_definition(block, target, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(choices, "ways", choose(block))
    made = cases()
    program = schedule(Graph("g", [t for c in made for t, _ in c.inputs], [t for c in made for t in c.outputs]), target)
    assert sum(call.form == "strassen" for call in program.calls) >= len(made)
    check(made, target, tmp_path)


def forms(m, k: int, n: int, w=None, **options) -> set[str]:
    x = make_input("x", np.float32, (m, k))
    program = schedule(Graph("g", [x], [ops.matmul(x, weights(k, n) if w is None else np.asarray(w, np.float32))]), "x86-64-v3", **options)
    return {call.form for call in program.calls}


def test_where_it_is_chosen() -> None:
    assert forms(128, 768, 768) == {"strassen_left", "strassen"}
    assert forms(128, 768, 768, precision="strict") == {"contraction"}
    assert forms(128, 768, 768, RNG.integers(-9, 9, (768, 768))) == {"contraction"}  # sums of integers stay exact
    infinite = weights(768, 768)
    infinite[3, 5] = np.inf
    assert forms(128, 768, 768, infinite) == {"contraction"}
    for m, k, n in ((symbol("m"), 768, 768), (1, 768, 768), (16, 768, 768), (128, 769, 768), (128, 32, 768), (128, 768, 16)):
        assert forms(m, k, n) == {"contraction"}


def test_columns_that_are_taken_apart(tmp_path) -> None:
    """Pixels of a transposed convolution, written where they belong in a concatenation: panels that lie across them are no way to do it."""
    x, skip = make_input("x", np.float32, (1, 16, 16, 96)), make_input("skip", np.float32, (1, 32, 32, 24))
    y = ops.transpose(ops.reshape(ops.matmul(x, weights(96, 4 * 40)), (1, 16, 16, 2, 2, 40)), (0, 1, 3, 2, 4, 5))
    joined = ops.concatenate([ops.add(ops.reshape(y, (1, 32, 32, 40)), 1.0), skip], 3)
    case = Case("pixels", [(t, RNG.standard_normal(t.shape).astype(np.float32)) for t in (x, skip)], [joined])
    for target in RUNNABLE:
        check([case], target, tmp_path)


def test_accuracy_and_threads(tmp_path) -> None:
    """The bits are the same for any number of threads."""
    x, w = make_input("x", np.float32, (201, 1536)), weights(1536, 1024)
    graph, value = Graph("layer", [x], [ops.matmul(x, w)]), RNG.standard_normal((201, 1536)).astype(np.float32)
    program = schedule(graph, RUNNABLE[-1])
    assert "strassen" in {call.form for call in program.calls}
    assert sum(call.flops for call in program.calls) == 2 * 201 * 1536 * 1024  # counted once, and as the product is defined
    library = build(generate(program, RUNNABLE[-1]), tmp_path / "layer.so")
    results = [load(library, threads=threads)(value) for threads in (1, 2, 3, 7)]
    assert all(np.array_equal(results[0], other) for other in results[1:])
    (exact,) = evaluate(graph, [value])
    assert np.abs(results[0] - exact).max() <= 1e-5 * np.abs(exact).max()

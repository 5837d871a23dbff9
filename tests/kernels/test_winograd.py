"""Convolutions by Winograd's formulas: every shape of tile and block, whatever follows them, and when they are chosen."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.codegen import generate
from dlcompile.graph import Graph, Tensor, make_input, symbol
from dlcompile.kernels import choices
from dlcompile.kernels.schedule import schedule
from dlcompile.kernels.target import TARGETS
from dlcompile.kernels.tiling import choose_tile
from dlcompile.kernels.winograd import Winograd
from dlcompile.operators import evaluate
from dlcompile.runtime import load
from dlcompile.toolchain import build
from tests.kernels.build import EMULATED, RUNNABLE, Case, check
from tests.kernels.test_forms import RNG, concatenated, single, tensor

DEEP = RNG.standard_normal((3, 3, 16, 24)).astype(np.float32)
TOLERANCE = {4: 1e-5, 6: 3e-5, 8: 6e-5}


def convolution(x, out: int, pads=((1, 1), (1, 1)), dilation=(1, 1)) -> Tensor:
    filters = RNG.standard_normal((3, 3, x.shape[-1], out)).astype(np.float32)
    return ops.conv_general(x, filters, padding=pads, rhs_dilation=dilation, layout="channels_last")


def cases() -> list[Case]:
    made = []
    for n, h, w, c, o in ((1, 14, 14, 16, 32), (2, 13, 17, 5, 35), (1, 1, 1, 8, 8), (3, 2, 9, 1, 1), (1, 5, 4, 40, 17), (2, 8, 8, 33, 64)):
        made.append(single(f"{(n, h, w, c)} {o}", lambda t, o=o: ops.maximum(ops.add(convolution(t, o), np.linspace(-1, 1, o, dtype=np.float32)), 0.0),
                           tensor(n, h, w, c)))
        made.append(single(f"{(n, h, w, c)} {o}, unpadded", lambda t, o=o: convolution(t, o, ((0, 0), (0, 0))), tensor(n, h + 2, w + 2, c)))
    made += [
        single("residual", lambda t: ops.maximum(ops.add(convolution(t, 24), t), 0.0), tensor(1, 9, 11, 24)),
        single("dilated", lambda t: convolution(t, 12, ((2, 2), (3, 3)), (2, 3)), tensor(2, 11, 16, 10)),
        single("dilated beyond the image", lambda t: ops.add(convolution(t, 5, ((7, 7), (4, 4)), (7, 4)), 1.0), tensor(1, 6, 9, 5)),
        single("dilated rows, unpadded", lambda t: convolution(t, 7, ((0, 0), (0, 0)), (3, 1)), tensor(1, 13, 7, 6)),
        single("sides padded differently", lambda t: convolution(t, 6, ((2, 0), (0, 3))), tensor(1, 7, 9, 3)),
        single("channels first", lambda t: ops.conv_general(t, RNG.standard_normal((7, 5, 3, 3)).astype(np.float32), padding=((1, 1), (1, 1))),
               tensor(2, 5, 6, 10)),
        single("transposed afterwards", lambda t: ops.transpose(convolution(t, 10), (0, 3, 1, 2)), tensor(1, 6, 7, 4)),
        single("padded and joined in place", concatenated, tensor(1, 8, 8, 8)),
        single("one after another", lambda t: convolution(ops.tanh(convolution(t, 12)), 5), tensor(1, 10, 10, 3)),
    ]
    image = make_input("image", np.float32, (symbol("wn"), symbol("wh"), symbol("ww"), 8))
    made.append(single("symbolic, dilated", lambda t: convolution(t, 9, ((2, 2), (2, 2)), (2, 2)), (image, RNG.standard_normal((2, 11, 13, 8)).astype(np.float32))))
    deep = make_input("deep", np.float32, (1, 12, 12, symbol("wc")))
    made.append(single("as many channels as a run says", lambda t: ops.conv_general(t, DEEP, padding=((1, 1), (1, 1)), layout="channels_last"),
                       (deep, RNG.standard_normal((1, 12, 12, 16)).astype(np.float32))))
    made.append(single("symbolic", lambda t: convolution(t, 20), (image, RNG.standard_normal((2, 11, 13, 8)).astype(np.float32))))
    return made


def other_taps() -> list[Case]:
    """Filters of 1, 5 and 7 taps along an axis, the same number along both or not; sequences."""
    made = []
    for kernel in ((5, 5), (7, 7), (3, 5), (1, 3), (1, 5), (7, 1), (3,), (7,)):
        filters = RNG.standard_normal((*kernel, 9, 20)).astype(np.float32)
        pads, extents = tuple((k // 2, k // 2) for k in kernel), (11, 14)[2 - len(kernel):]
        for dilation in (1, 2):
            def layer(t, filters=filters, pads=pads, dilation=dilation):
                y = ops.conv_general(t, filters, padding=tuple((dilation * p, dilation * q) for p, q in pads), rhs_dilation=(dilation,) * len(pads),
                                     layout="channels_last")
                return ops.maximum(ops.add(y, np.linspace(-1, 1, 20, dtype=np.float32)), 0.0)
            made.append(single(f"{kernel}, dilation {dilation}", layer, tensor(2, *extents, 9)))
    return made


def choose(a: int, tiles: int):
    """A choice of tiles that a elements of the input along an axis go into, in blocks of so many, whatever it costs."""
    def ways(node, contraction, target, strict):
        *taps, channels, columns = node.inputs[1].shape
        taps = (*(1,) * (2 - len(taps)), *taps)
        m = tuple(a - r + 1 if r > 1 else 1 for r in taps)
        return [Winograd(m, taps, tiles, *choose_tile(target, tiles, columns, channels))]

    return ways


@pytest.mark.parametrize("target", RUNNABLE + EMULATED, ids=lambda t: t.name)
@pytest.mark.parametrize("a, tiles", [(4, 7), (6, 5), (6, 64), (8, 11)])
def test_against_the_definition(a, tiles, target, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(choices, "ways", choose(a, tiles))
    made = cases() + (other_taps() if a == 8 else [])
    for case in made:
        case.tolerance = TOLERANCE[a]
    program = schedule(Graph("g", [t for c in made for t, _ in c.inputs], [t for c in made for t in c.outputs]), target)
    assert sum(call.form == "winograd" for call in program.calls) >= len(made)
    check(made, target, tmp_path)


def layer(height: int, width: int, channels: int, out: int, batch=1, **options) -> Graph:
    x = make_input("x", np.float32, (batch, height, width, channels))
    kernel = np.asarray(options.pop("kernel", RNG.standard_normal((3, 3, channels // options.get("groups", 1), out))), np.float32)
    options = {"padding": ((1, 1), (1, 1)), "layout": "channels_last", **options}
    return Graph("layer", [x], [ops.conv_general(x, kernel, **options)])


def forms(graph: Graph, **options) -> set[str]:
    return {call.form for call in schedule(graph, "x86-64-v3", **options).calls if call.form in ("winograd", "convolution")}


def test_where_it_is_chosen() -> None:
    assert forms(layer(56, 56, 64, 64)) == {"winograd"}
    assert forms(layer(14, 14, 256, 256)) == {"winograd"}
    assert forms(layer(symbol("h"), symbol("w"), 64, 64, symbol("n"))) == {"winograd"}
    assert forms(layer(56, 56, 64, 64), precision="strict") == {"convolution"}
    assert forms(layer(56, 56, 64, 64, kernel=RNG.integers(-9, 9, (3, 3, 64, 64)))) == {"convolution"}  # sums of integers stay exact
    assert forms(layer(56, 56, 64, 64, kernel=RNG.standard_normal((5, 5, 64, 64)), padding=((2, 2), (2, 2)))) == {"winograd"}
    assert forms(layer(1, 2000, 64, 64, kernel=RNG.standard_normal((1, 3, 64, 64)), padding=((0, 0), (1, 1)))) == {"winograd"}
    assert forms(layer(56, 56, 64, 64, kernel=RNG.standard_normal((2, 2, 64, 64)))) == {"convolution"}
    assert forms(layer(5, 5, 8, 8)) == {"convolution"}
    assert forms(layer(224, 224, 3, 32)) == {"convolution"}  # three channels: the transforms cost more than they save
    assert forms(layer(56, 56, 64, 64, rhs_dilation=(2, 2), padding=((2, 2), (2, 2)))) == {"winograd"}
    for options in ({"strides": (2, 2)}, {"groups": 2}):
        assert forms(layer(56, 56, 64, 64, **options)) == {"convolution"}


def test_accuracy_and_threads(tmp_path) -> None:
    """1e-5 of the largest result with many channels; the bits are the same for any number of threads."""
    graph = layer(20, 22, 300, 70)
    x = RNG.standard_normal((1, 20, 22, 300)).astype(np.float32)
    (exact,) = evaluate(graph, [x])
    library = build(generate(schedule(graph, TARGETS[RUNNABLE[-1].name]), RUNNABLE[-1]), tmp_path / "layer.so")
    results = [load(library, threads=threads)(x) for threads in (1, 2, 3, 7)]
    assert all(np.array_equal(results[0], other) for other in results[1:])
    assert np.abs(results[0] - exact).max() <= 2e-5 * np.abs(exact).max()

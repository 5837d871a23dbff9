"""Tuning: the way that was measured to be best is taken where it gains, and it is said where it does not. What is measured is made up here."""
from __future__ import annotations

import numpy as np
import onnx
import pytest

import dlcompile as dlc
from dlcompile import ops, tuning
from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph, make_input

RNG = np.random.default_rng(0)


@pytest.fixture
def graph() -> Graph:
    x = make_input("x", np.float32, (1, 20, 20, 32))
    y = ops.maximum(ops.conv_general(x, RNG.standard_normal((3, 3, 32, 32)).astype(np.float32), layout="channels_last"), 0.0)
    y = ops.matmul(ops.reshape(y, (18 * 18, 32)), RNG.standard_normal((32, 48)).astype(np.float32))
    return Graph("tunable", [x], [y], output_names=["y"])


def measured(monkeypatch, before: float, after: float) -> None:
    """Of every product the last way takes half the time; the whole takes `before` and `after`."""
    counter = iter(range(tuning.WAYS))

    def times(program, model, arrays):
        rank = next(counter)
        return {call.product: 1.0 - 0.5 * (rank == tuning.WAYS - 1) for call in program.calls if call.product is not None}

    monkeypatch.setattr(tuning, "_times", times)
    monkeypatch.setattr(tuning, "_in_turns", lambda a, b, arrays: (before, after))


def test_the_best_is_taken(graph, monkeypatch) -> None:
    x = RNG.standard_normal((1, 20, 20, 32)).astype(np.float32)
    plain = dlc.compile(graph, cache=False)
    measured(monkeypatch, 2e-3, 1e-3)
    model = dlc.compile(graph, cache=False, tune=True)
    assert model.info.metadata["tuning"] == "tuning changed 2 of 2 products: a run takes 1 ms, 2 ms as estimated"
    assert [c.form for c in plain.info.calls] != [c.form for c in model.info.calls]  # another algorithm for the convolution
    assert np.abs(model(x) - plain(x)).max() <= 1e-4 * np.abs(plain(x)).max()


def test_where_nothing_is_gained_nothing_changes(graph, monkeypatch) -> None:
    measured(monkeypatch, 1e-3, 2e-3)
    model = dlc.compile(graph, cache=False, tune=True)
    assert model.info.metadata["tuning"].startswith("tuning gained nothing and changed nothing")
    assert [c.form for c in dlc.compile(graph, cache=False).info.calls] == [c.form for c in model.info.calls]
    monkeypatch.setattr(tuning, "_times", lambda program, model, arrays: {call.product: 1.0 for call in program.calls if call.product is not None})
    model = dlc.compile(graph, cache=False, tune=True)
    assert model.info.metadata["tuning"] == "tuning changed nothing: of 2 products none is faster in another way"


def test_it_is_measured_once(graph, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tuning, "SECONDS", 0.01)
    first = dlc.compile(graph, tune=True, threads=1)
    monkeypatch.setattr(tuning, "tuned", None)
    again = dlc.compile(graph, tune=True, threads=1)
    assert "tuning" in first.info.metadata and first.info.metadata == again.info.metadata
    assert "tuning" not in dlc.compile(graph).info.metadata


@pytest.mark.parametrize("text, message", [
    ("g (float[n, 4] x, float[4, m] w) => (y) { y = MatMul(x, w) }", "give n, m in dims"),
    ("g (string[3] x) => (y) { y = Identity(x) }", "'x' is object"),
    ("g (seq(float[2]) x) => (y) <int64 i = {0}> { y = SequenceAt(x, i) }", "sequences"),
])
def test_models_that_cannot_be_tuned(text, message) -> None:
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 18]>\n' + text)
    with pytest.raises(ArgumentError, match=message):
        dlc.compile(model, tune=True, cache=False)

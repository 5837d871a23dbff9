"""Which loss and which metric belongs to which output."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import losses, metrics, ops, tree
from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph
from dlcompile.operators import evaluate
from dlcompile.training.outputs import OutputLosses, OutputMetrics
from dlcompile.variables import tracing

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(4, 3)).astype(np.float32), RNG.uniform(0.1, 0.9, size=(4, 1)).astype(np.float32)
TA, TB = RNG.normal(size=(4, 3)).astype(np.float32), RNG.integers(0, 2, (4, 1)).astype(np.float32)
MSE, MAE = ((A - TA)**2).mean(), np.abs(A - TA).mean()
BCE = -(TB * np.log(B) + (1 - TB) * np.log(1 - B)).mean()
W = np.array([1, 2, 0, 1], np.float32)


def value(part, y_true, y_pred, names=None, weight=None):
    """What the losses give, and the metrics that they keep."""
    with tracing() as trace:
        made = part(y_true, y_pred, weight, names)
        kept = [metric.result() for metric in part.metrics]
    inputs = list(trace.read.values())
    graph = Graph("loss", inputs, [made, *kept], input_names=[f"i{i}" for i in range(len(inputs))], output_names=[f"o{i}" for i in range(1 + len(kept))])
    found = evaluate(graph, [v.numpy() for v in trace.read])
    return float(found[0]), {m.name: float(v) for m, v in zip(part.metrics, found[1:])}


def constants(structure):
    return tree.map_structure(lambda leaf: None if leaf is None else ops.as_tensor(leaf), structure)


@pytest.mark.parametrize(("loss", "weights", "y_true", "y_pred", "names", "expected"), [
    ("mse", None, TA, A, None, MSE), (["mse"], None, TA, A, ["out"], MSE), ({"out": "mse"}, None, TA, A, ["out"], MSE), ("mse", 0.5, TA, A, None, 0.5 * MSE),
    (["mse", losses.MeanAbsoluteError()], [2.0, 3.0], TA, A, None, 2 * MSE + 3 * MAE),
    (["mse", "bce"], None, [TA, TB], [A, B], ["a", "b"], MSE + BCE), (("mse", "bce"), [2.0, 0.5], (TA, TB), [A, B], ["a", "b"], 2 * MSE + 0.5 * BCE),
    ({"a": "mse", "b": "bce"}, {"b": 3.0}, [TA, TB], [A, B], ["a", "b"], MSE + 3 * BCE),
    ({"b": "bce", "a": "mse"}, None, {"b": TB, "a": TA}, {"a": A, "b": B}, None, MSE + BCE),
    ({"a": "mse"}, None, {"a": TA}, {"a": A, "b": B}, None, MSE), ({"a": "mse"}, None, [TA], [A, B], ["a", "b"], MSE),
    ([None, "bce"], None, [None, TB], [A, B], ["a", "b"], BCE), ([None, "bce"], None, TB, [A, B], ["a", "b"], BCE),
    ({"a": ["mse", "mae"], "b": "bce"}, None, [TA, TB], [A, B], ["a", "b"], MSE + MAE + BCE),
    ({"x": ["mse", "bce"]}, None, {"x": [TA, TB]}, {"x": [A, B]}, None, MSE + BCE), ("crossentropy", None, TB, B, None, BCE)])
def test_losses(loss, weights, y_true, y_pred, names, expected):
    part = OutputLosses(loss, weights)
    found, _ = value(part, constants(y_true), constants(y_pred), names)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_each_output_has_a_mean_of_its_own():
    part = OutputLosses({"a": "mse", "b": "bce"}, {"b": 3.0})
    total, kept = value(part, constants([TA, TB]), constants([A, B]), ["a", "b"])
    np.testing.assert_allclose([total, kept["a_loss"], kept["b_loss"]], [MSE + 3 * BCE, MSE, BCE], rtol=1e-5)


def test_weights_of_samples_for_one_output_or_all():
    rows = ((A - TA)**2).mean(-1)
    part = OutputLosses(["mse", "mae"])
    for weight, expected in ((W, (rows * W).mean() + (np.abs(A - TA).mean(-1) * W).mean()), ({"a": W}, (rows * W).mean() + MAE),
                             ([W, None], (rows * W).mean() + MAE)):
        np.testing.assert_allclose(value(part, constants([TA, TA]), constants([A, A]), ["a", "b"], weight)[0], expected, rtol=1e-5)


def results(part, y_true, y_pred, names=None, weight=None):
    with tracing() as trace:
        part.update_state(constants(y_true), constants(y_pred), weight, names)
        made = part.result()
    inputs = list(trace.read.values())
    graph = Graph("metrics", inputs, list(made.values()), input_names=[f"i{i}" for i in range(len(inputs))],
                  output_names=[f"o{i}" for i in range(len(made))])
    return dict(zip(made, map(float, evaluate(graph, [v.numpy() for v in trace.read]))))


def test_metrics():
    found = results(OutputMetrics(["mae", metrics.MeanSquaredError(name="e"), "mae"], ["mse"]), TA, A, ["out"], W)
    np.testing.assert_allclose([found["mae"], found["e"], found["mae_1"], found["mse"]],
                               [MAE, MSE, MAE, np.average(((A - TA)**2).mean(-1), weights=W)], rtol=1e-5)
    found = results(OutputMetrics(["mse"], ["mse"]), TA, A, ["out"], W)
    assert set(found) == {"mse", "weighted_mse"}
    for given in ({"a": ["mae", "mse"], "b": "accuracy"}, [["mae", "mse"], ["accuracy"]]):
        found = results(OutputMetrics(given, None), [TA, TB], [A, B], ["a", "b"])
        assert set(found) == {"a_mae", "a_mse", "b_accuracy"}
        np.testing.assert_allclose(found["b_accuracy"], ((B > 0.5) == TB).mean())
    assert set(results(OutputMetrics({"b": ["mae"]}, None), [TA, TB], [A, B], ["a", "b"])) == {"b_mae"}


@pytest.mark.parametrize(("y_true", "y_pred", "kind"), [(TB, B, metrics.BinaryAccuracy), (np.array([0, 1, 2, 0]), A, metrics.SparseCategoricalAccuracy),
                                                        (np.zeros((4, 1)), A, metrics.SparseCategoricalAccuracy), (TA, A, metrics.CategoricalAccuracy)])
def test_what_accuracy_means(y_true, y_pred, kind):
    for word in ("accuracy", "acc"):
        part = OutputMetrics([word], None)
        assert set(results(part, y_true, y_pred)) == {word} and type(part.metrics[0]) is kind


@pytest.mark.parametrize(("call", "says"), [
    (lambda: OutputLosses("mean_squared_eror"), "no loss 'mean_squared_eror'; did you mean mean_squared_error"),
    (lambda: OutputLosses("mse", ["accuracy"]), "loss_weights are numbers, not 'accuracy'"),
    (lambda: OutputMetrics("mae", None), "metrics are a list or a dictionary, not str 'mae'"),
    (lambda: OutputMetrics(["aucc"], None), "no metric 'aucc'; did you mean"),
    (lambda: value(OutputLosses({"c": "mse"}), constants([TA, TB]), constants([A, B]), ["a", "b"]), "there is no output 'c'"),
    (lambda: value(OutputLosses(["mse"] * 3), constants([TA, TB]), constants([A, B]), ["a", "b"]), "3 are given for the 2 outputs a, b"),
    (lambda: value(OutputLosses("mse"), constants([TA]), constants([A, A]), ["a", "b"]), r"2 outputs \(a, b\), the labels are 1 arrays"),
    (lambda: value(OutputLosses("mse"), constants({"a": TA, "d": TA}), constants({"a": A, "b": A}), None), "different|no labels for output 'b'"),
    (lambda: value(OutputLosses(["mse", "mse"]), constants([TB, TB]), constants([A, B]), ["a", "b"]), "loss of output 'a'"),
    (lambda: results(OutputMetrics(["mae"], None), [TA, TB], [A, B], ["a", "b"]), "1 are given for the 2 outputs")])
def test_errors(call, says):
    with pytest.raises((ArgumentError, ValueError), match=says):
        call()

"""What metrics are: variables in a step, masks and weights, names and configurations, a user's own, and errors."""
from __future__ import annotations

import json

import numpy as np
import pytest

import dlcompile
from dlcompile import losses, metrics, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Graph, make_input
from dlcompile.masks import set_mask
from dlcompile.naming import clear_session
from dlcompile.operators import evaluate
from dlcompile.registry import custom_object_scope
from dlcompile.variables import tracing

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_updates_are_part_of_a_compiled_step(backend):
    """Every metric of a classifier in one graph, twice, as a training step has them."""
    sparse = [metrics.SparseCategoricalAccuracy(), metrics.SparseTopKCategoricalAccuracy(2), metrics.SparseCategoricalCrossentropy()]
    binary = [metrics.AUC(20), metrics.AUC(20, "PR"), metrics.Precision(), metrics.Recall([0.2, 0.4]), metrics.F1Score("macro"),
              metrics.OneHotMeanIoU(3), metrics.R2Score(), metrics.Mean(), metrics.PrecisionAtRecall(0.5, 10)]
    y, p = make_input("y", np.int64, (16,)), make_input("p", np.float32, (16, 3))
    with tracing() as trace:
        for metric in sparse:
            metric.update_state(y, p)
        hot = ops.one_hot(y, 3)
        for metric in binary:
            metric.update_state(*((hot, p) if not isinstance(metric, metrics.Mean) or isinstance(metric, metrics.MeanMetricWrapper) else (p,)))
        results = [metric.result() for metric in (*sparse, *binary)]
    variables = list(trace.read)
    assert set(trace.written) == set(variables) == {v for metric in (*sparse, *binary) for v in metric.variables}
    graph = Graph("step", [y, p, *trace.read.values()], [*results, *(trace.written[v] for v in variables)],
                  input_names=[f"i{i}" for i in range(2 + len(variables))], output_names=[f"o{i}" for i in range(len(results) + len(variables))])
    step = (lambda *a: evaluate(graph, a)) if backend == "numpy" else dlcompile.compile(graph)
    state = [v.numpy() for v in variables]
    for _ in range(2):
        labels, scores = RNG.integers(0, 3, 16), RNG.dirichlet(np.ones(3), 16).astype(np.float32)
        made = step(labels, scores, *state)
        found, state = made[:len(results)], list(made[len(results):])
        hot = np.eye(3, dtype=np.float32)[labels]
        expected = [metric(labels, scores) for metric in sparse]
        expected += [metric(scores) if type(metric) is metrics.Mean else metric(hot, scores) for metric in binary]
        for metric, a, b in zip((*sparse, *binary), found, expected):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=metric.name)


def test_weights_of_samples_and_of_steps():
    values = RNG.normal(size=(4, 3)).astype(np.float32)
    for weight, expected in ((None, values.mean()), ([1, 0, 2, 1], np.average(values.mean(1), weights=[1, 0, 2, 1])),
                             (np.abs(values), np.average(values, weights=np.abs(values))), ([[1], [0], [2], [1]], np.average(values.mean(1), weights=[1, 0, 2, 1]))):
        np.testing.assert_allclose(metrics.Mean()(values, sample_weight=weight), expected, rtol=1e-5)
    np.testing.assert_allclose(metrics.Sum()(values, sample_weight=[1, 0, 2, 1]), (values.sum(1) * [1, 0, 2, 1]).sum(), rtol=1e-5)
    assert metrics.Mean()(5.0) == 5 and metrics.Mean().result() == 0


def test_masks():
    t, p = RNG.normal(size=(4, 3, 2)).astype(np.float32), RNG.normal(size=(4, 3, 2)).astype(np.float32)
    mask = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], bool)
    each, weight = ((t - p)**2).mean(-1), np.array([1.0, 2.0, 0.5, 3.0], np.float32)
    set_mask(p, mask)
    np.testing.assert_allclose(metrics.MeanSquaredError()(t, p), each[mask].mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics.MeanSquaredError()(t, p, weight), np.average(each, weights=mask * weight[:, None]), rtol=1e-5)
    labels, scores = RNG.integers(0, 2, (4, 3)), RNG.uniform(size=(4, 3)).astype(np.float32)
    expected = np.sum((scores > 0.5) & (labels == 1) & mask)
    set_mask(scores, mask)
    assert metrics.TruePositives()(labels, scores) == expected


def test_names_are_counted():
    clear_session()
    assert [metrics.AUC().name, metrics.AUC().name, metrics.Precision().name, metrics.MeanSquaredError().name] == [
        "auc", "auc_1", "precision", "mean_squared_error"]
    assert metrics.Mean(name="loss").total.path == "loss/total"


@pytest.mark.parametrize(("name", "kind"), [("mse", metrics.MeanSquaredError), ("AUC", metrics.AUC), ("auc", metrics.AUC), ("f1_score", metrics.F1Score),
                                            ("MeanIoU", None), ("binary_accuracy", metrics.BinaryAccuracy), ("r2_score", metrics.R2Score)])
def test_names(name, kind):
    if kind is None:
        with pytest.raises(ArgumentError, match="MeanIoU cannot be made without arguments"):
            metrics.get(name)
    else:
        assert type(metrics.get(name)) is kind


def test_a_loss_or_a_function_as_a_metric():
    wrapped = metrics.as_metric("huber")
    assert isinstance(wrapped, metrics.MeanMetricWrapper) and wrapped.name == "huber" and wrapped._direction == "down"
    t, p = RNG.normal(size=(4, 2)).astype(np.float32), RNG.normal(size=(4, 2)).astype(np.float32)
    np.testing.assert_allclose(wrapped(t, p), losses.huber(t, p).mean(), rtol=1e-6)
    made = metrics.as_metric(losses.Huber(0.5, reduction="none"))
    np.testing.assert_allclose(made(t, p), losses.huber(t, p, 0.5).mean(), rtol=1e-6)
    assert made.name == "huber_loss"
    assert metrics.mean_squared_error is losses.mean_squared_error and metrics.as_metric(None) is None


def test_directions():
    assert metrics.AUC()._direction == metrics.CosineSimilarity()._direction == "up" and metrics.MeanAbsoluteError()._direction == "down"
    assert metrics.Mean()._direction is None


def test_own_metrics():
    class Largest(metrics.Metric):
        def __init__(self, floor=0.0, **kwargs):
            super().__init__(**kwargs)
            self.floor = floor
            self.largest = self.add_weight(name="largest")
            self.parts = [metrics.Sum(name="sum")]

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.largest.assign(ops.maximum(self.largest, ops.reduce_max(ops.abs(y_true - y_pred))))
            self.parts[0].update_state(y_pred)

        def result(self):
            return {"largest": ops.maximum(self.largest, self.floor), "sum": self.parts[0].result()}

        def get_config(self):
            return {**super().get_config(), "floor": self.floor}

    metric = Largest(1.0)
    metric.update_state(np.float32([1, 2]), np.float32([1, 5]))
    metric.update_state(np.float32([1, 2]), np.float32([2, 3]))
    assert metric.result() == {"largest": 3, "sum": 11}
    assert [v.name for v in metric.variables] == ["largest", "total"]
    metric.reset_state()
    assert metric.result() == {"largest": 1, "sum": 0}
    with custom_object_scope({"Largest": Largest}):
        assert metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric)))).floor == 1.0


@pytest.mark.parametrize("made", [
    metrics.AUC(30, "PR", "majoring", multi_label=True, label_weights=[1, 2], name="a"), metrics.AUC(thresholds=[0.3, 0.5]), metrics.Precision([0.2], 3, 1),
    metrics.F1Score("macro", 0.5), metrics.FBetaScore("micro", 2.0), metrics.MeanIoU(3, ignore_class=2), metrics.IoU(3, [1]), metrics.OneHotIoU(3, [1]),
    metrics.OneHotMeanIoU(3), metrics.BinaryIoU([1], 0.2), metrics.R2Score(None, 3), metrics.SparseTopKCategoricalAccuracy(3), metrics.MeanSquaredError("e"),
    metrics.BinaryCrossentropy(from_logits=True), metrics.RecallAtPrecision(0.3, 20, 1), metrics.TruePositives([0.1, 0.2]), metrics.Mean("m", "float64"),
    metrics.CosineSimilarity(axis=0), metrics.BinaryAccuracy(threshold=0.3)], ids=lambda m: type(m).__name__)
def test_configurations(made):
    read = metrics.deserialize(json.loads(json.dumps(metrics.serialize(made))))
    assert type(read) is type(made) and read.get_config() == made.get_config()


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: metrics.Precision(thresholds=1.5), ArgumentError, "from 0 to 1"), (lambda: metrics.AUC(curve="RC"), ArgumentError, "ROC, PR, PRGAIN"),
    (lambda: metrics.AUC(1), ArgumentError, "from 2 on"), (lambda: metrics.AUC(num_labels=2), ArgumentError, "multi_label"),
    (lambda: metrics.F1Score("mean"), ArgumentError, "micro, macro"), (lambda: metrics.IoU(2, [2]), ArgumentError, "from 0 to 1"),
    (lambda: metrics.SparseTopKCategoricalAccuracy(0), ArgumentError, "from 1 on"), (lambda: metrics.RecallAtPrecision(2), ArgumentError, "precision is"),
    (lambda: metrics.get("acuracy"), ArgumentError, "did you mean accuracy"), (lambda: metrics.R2Score(num_regressors=-1), ArgumentError, "num_regressors"),
    (lambda: metrics.SparseCategoricalAccuracy()(np.zeros((4, 3)), np.zeros((4, 3))), ShapeError, r"they are \[4\]"),
    (lambda: metrics.MeanSquaredError()(np.zeros((4, 3)), np.zeros((4, 2))), ShapeError, "mean_squared_error"),
    (lambda: metrics.F1Score()(np.zeros(4), np.zeros(4)), ShapeError, r"\[batch, classes\]"),
    (lambda: metrics.Metric().update_state(1), NotImplementedError, "update_state"), (lambda: metrics.Metric().result(), NotImplementedError, "result")])
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()

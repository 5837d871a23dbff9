"""From the losses of samples to one number: reductions, weights, masks; names and configurations; what is wrong with what is given."""
from __future__ import annotations

import json

import numpy as np
import pytest

from dlcompile import config, losses, ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Graph, Tensor, make_input, symbol
from dlcompile.masks import mask_of, set_mask
from dlcompile.operators import evaluate
from dlcompile.registry import custom_object_scope

RNG = np.random.default_rng(4)
T, P = (RNG.normal(size=(4, 3, 2)).astype(np.float32) for _ in range(2))
EACH = ((T - P)**2).mean(-1)  # [4, 3]
W = np.array([1.0, 0.0, 2.0, 0.5], np.float32)
WIDE = RNG.uniform(size=(4, 3)).astype(np.float32)
MASK = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], bool)


@pytest.mark.parametrize(("reduction", "weights", "expected"), [
    ("sum_over_batch_size", None, EACH.mean()), ("mean", None, EACH.mean()), ("sum", None, EACH.sum()), ("none", None, EACH), (None, None, EACH),
    ("mean_with_sample_weight", None, EACH.mean()), ("sum_over_batch_size", W, (EACH * W[:, None]).mean()), ("sum", WIDE, (EACH * WIDE).sum()),
    ("mean_with_sample_weight", WIDE, np.average(EACH, weights=WIDE)), ("none", W[:, None], EACH * W[:, None]),
    ("mean_with_sample_weight", np.zeros((4, 3), np.float32), 0.0), ("sum", 2, 2 * EACH.sum()), ("sum", [1, 0, 2, 0.5], (EACH * W[:, None]).sum())])
def test_reductions(reduction, weights, expected):
    loss = losses.MeanSquaredError(reduction=reduction)
    np.testing.assert_allclose(loss(T, P, weights), expected, rtol=1e-5)


@pytest.mark.parametrize(("reduction", "weights", "expected"), [
    ("sum_over_batch_size", None, EACH[MASK].mean()), ("sum", None, EACH[MASK].sum()), ("none", None, EACH * MASK),
    ("mean_with_sample_weight", WIDE, np.average(EACH[MASK], weights=WIDE[MASK])), ("mean", W, (EACH * W[:, None])[MASK].mean())])
def test_masks(reduction, weights, expected):
    p = P.copy()
    set_mask(p, MASK)
    np.testing.assert_allclose(losses.MeanSquaredError(reduction=reduction)(T, p, weights), expected, rtol=1e-5)


def test_the_mask_of_a_tensor():
    p, mask = make_input("p", np.float32, P.shape), make_input("m", np.bool_, MASK.shape)
    set_mask(p, mask)
    (found,) = evaluate(Graph("g", [p, mask], [losses.MeanSquaredError()(T, p)]), [P, MASK])
    np.testing.assert_allclose(found, EACH[MASK].mean(), rtol=1e-5)


def test_a_mask_that_leaves_nothing():
    p = P.copy()
    set_mask(p, np.zeros_like(MASK))
    assert losses.MeanSquaredError()(T, p) == 0


def test_classes_that_do_not_count():
    z = RNG.normal(size=(5, 4)).astype(np.float32)
    labels = np.array([2, -1, 0, -1, 3])
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    each = np.where(labels < 0, 0, -log_p[range(5), labels])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1, reduction="none")
    np.testing.assert_allclose(loss(labels, z), each, rtol=1e-5)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    np.testing.assert_allclose(loss(labels, z), each.sum() / 3, rtol=1e-5)
    set_mask(z, np.array([1, 1, 1, 1, 0], bool))
    np.testing.assert_allclose(loss(labels, z), each[:4].sum() / 2, rtol=1e-5)
    made = losses.sparse_categorical_crossentropy(labels, make_input("z", np.float32, (5, 4)), ignore_class=-1)
    assert isinstance(mask_of(made), Tensor)


def test_a_batch_of_any_size():
    n = symbol("batch")
    y, p = make_input("y", np.int64, (n,)), make_input("p", np.float32, (n, 3))
    graph = Graph("g", [y, p], [losses.SparseCategoricalCrossentropy()(y, p), losses.CategoricalCrossentropy(label_smoothing=0.1)(ops.one_hot(y, 3), p)],
                  output_names=["a", "b"])
    for batch in (1, 5):
        probabilities = RNG.dirichlet(np.ones(3), batch).astype(np.float32)
        labels = RNG.integers(0, 3, batch)
        sparse, smooth = evaluate(graph, [labels, probabilities])
        np.testing.assert_allclose(sparse, -np.log(probabilities[range(batch), labels]).mean(), rtol=1e-5)
        targets = 0.9 * np.eye(3)[labels] + 0.1 / 3
        np.testing.assert_allclose(smooth, -(targets * np.log(probabilities)).sum(-1).mean(), rtol=1e-5)


def test_labels_of_large_vocabularies_stay_whole():
    """Floats of 32 bits cannot tell 2**24 from 2**24 + 1; a loss of labels does not make floats of them."""
    y, p = make_input("y", np.int64, (1,)), make_input("p", np.float32, (1, 2**24 + 2))
    made = losses.SparseCategoricalCrossentropy()(y, p)
    casts, nodes = [], [made.producer]
    while nodes:
        node = nodes.pop()
        casts += [t for t in node.outputs if node.op == "cast" and node.inputs[0] is y]
        nodes += [t.producer for t in node.inputs if t.producer is not None]
    assert all(t.dtype == np.int64 for t in casts)


def test_axes_of_one_are_no_matter():
    column, row = P[:, 0, :1], T[:, 0, 0]
    expected = ((column[:, 0] - row)**2).mean()
    for y, p in ((row, column), (row[:, None], column), (row[:, None], column[:, 0])):
        np.testing.assert_allclose(losses.MeanSquaredError()(y, p), expected, rtol=1e-6)
        np.testing.assert_allclose(losses.MeanSquaredError(reduction="sum")(y, p, W), (W * (column[:, 0] - row)**2).sum(),
                                   rtol=1e-5)


# -- names --------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "function"), [("mse", "mean_squared_error"), ("MAE", "mean_absolute_error"), ("kld", "kl_divergence"),
                                                ("bce", "binary_crossentropy"), ("logcosh", "log_cosh"), ("poisson", "poisson")])
def test_names(name, function):
    assert losses.get(name) is getattr(losses, function)
    assert losses.as_loss(name).name == function


def test_own_losses():
    class Weighted(losses.Loss):
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, y_true, y_pred):
            return self.factor * ops.reduce_mean(ops.abs(y_true - y_pred), -1)

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    def integers(y_true, y_pred):
        return ops.reduce_sum(y_true * y_pred, -1)  # labels are floats here

    np.testing.assert_allclose(Weighted(3.0)(T, P), 3 * np.abs(T - P).mean(), rtol=1e-6)
    np.testing.assert_allclose(losses.as_loss(integers)(np.array([[1, 2]]), np.float32([[0.5, 0.25]])), 1.0)
    assert losses.as_loss(integers).name == "integers"
    made = losses.serialize(Weighted(3.0, name="mine", reduction="sum"))
    with custom_object_scope({"Weighted": Weighted, "integers": integers}):
        read = losses.deserialize(json.loads(json.dumps(made)))
        assert (read.factor, read.name, read.reduction) == (3.0, "mine", "sum")
        again = losses.deserialize(json.loads(json.dumps(losses.serialize(losses.as_loss(integers)))))
        assert again.fn is integers


@pytest.mark.parametrize("made", [losses.Huber(0.5), losses.SparseCategoricalCrossentropy(True, ignore_class=3), losses.Tversky(0.1, 0.2, axis=1),
                                  losses.BinaryFocalCrossentropy(True, 0.1), losses.CategoricalCrossentropy(label_smoothing=0.3, name="c"),
                                  losses.MeanSquaredError("sum")])
def test_configurations(made):
    config_ = json.loads(json.dumps(losses.serialize(made)))
    read = losses.deserialize(config_)
    assert type(read) is type(made) and read.get_config() == made.get_config() and read.fn is made.fn


def test_the_type_is_floatx():
    config.set_floatx("float64")
    try:
        assert losses.MeanSquaredError()(T, P).dtype == np.float64
    finally:
        config._forget()
    assert losses.MeanSquaredError(dtype="float16")(T, P).dtype == np.float16
    assert losses.mean_squared_error(np.float64([[1]]), np.float64([[2]])).dtype == np.float64
    assert losses.mean_squared_error([[1]], [[2]]).dtype == np.float32


# -- errors -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: losses.MeanSquaredError()(np.ones((4, 3)), np.ones((4, 1))), ShapeError, r"mean_squared_error: y_true float32\[4, 3\] and y_pred float32\[4, 1\]"),
    (lambda: losses.MeanAbsoluteError()(np.ones((4,)), np.ones((5, 1))), ShapeError, "different shapes"),
    (lambda: losses.CategoricalCrossentropy()(np.ones(4), np.ones((4, 3))), ShapeError, "categorical_crossentropy"),
    (lambda: losses.SparseCategoricalCrossentropy()(np.ones((4, 3)), np.ones((4, 3))), ShapeError, "there is categorical_crossentropy"),
    (lambda: losses.SparseCategoricalCrossentropy()(np.ones(5), np.ones((4, 3))), ShapeError, r"they are \[4\]"),
    (lambda: losses.MeanSquaredError()(T, P, np.ones(5)), ShapeError, "sample weights"),
    (lambda: losses.MeanSquaredError(reduction="average"), ArgumentError, "reduction is one of 'sum_over_batch_size', 'sum'"),
    (lambda: losses.CategoricalCrossentropy(label_smoothing=2)(T, P), ArgumentError, "label_smoothing is from 0 to 1"),
    (lambda: losses.get("mean_sqared_error"), ArgumentError, "did you mean mean_squared_error"),
    (lambda: losses.Loss()(T, P), NotImplementedError, "call")])
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_one_class_is_a_warning():
    with pytest.warns(UserWarning, match="binary_crossentropy"):
        losses.CategoricalCrossentropy()(np.ones((4, 1)), np.ones((4, 1)))

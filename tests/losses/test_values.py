"""Every loss against its formula in NumPy: interpreted, compiled, and by differences of itself."""
from __future__ import annotations

import numpy as np
import pytest

import dlcompile
from dlcompile import losses, ops
from dlcompile.autodiff import gradients
from dlcompile.graph import Graph, make_input
from dlcompile.operators import evaluate

RNG = np.random.default_rng(3)
EPS = 1e-7
T, P = RNG.normal(size=(6, 5)), RNG.normal(size=(6, 5))
BITS, PROB = RNG.integers(0, 2, (6, 5)).astype(np.float64), RNG.uniform(0.02, 0.98, (6, 5))
CLASSES = RNG.integers(0, 5, 6)
ONE_HOT = np.eye(5)[CLASSES]
COUNTS, RATES = RNG.poisson(3, (6, 5)).astype(np.float64), RNG.uniform(0.5, 4, (6, 5))
SOFT, SOFTER = RNG.dirichlet(np.ones(5), 6), RNG.dirichlet(np.ones(5), 6)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def binary(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def crossentropy(y, p):
    p = p / p.sum(-1, keepdims=True)
    return -(y * np.log(p)).sum(-1)


def cosine(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def focal(y, p, gamma=2.0):
    return ((1 - (y * p + (1 - y) * (1 - p)))**gamma * binary(y, p)).mean(-1)


def huber(e, d):
    return np.where(np.abs(e) <= d, e**2 / 2, d * np.abs(e) - d**2 / 2).mean(-1)


CASES = {  # a loss, y_true, y_pred, what it gives for each sample
    "MeanSquaredError": (losses.MeanSquaredError, {}, T, P, ((T - P)**2).mean(-1)),
    "MeanAbsoluteError": (losses.MeanAbsoluteError, {}, T, P, np.abs(T - P).mean(-1)),
    "MeanAbsolutePercentageError": (losses.MeanAbsolutePercentageError, {}, T, P, 100 * np.abs((T - P) / T).mean(-1)),
    "MeanSquaredLogarithmicError": (losses.MeanSquaredLogarithmicError, {}, COUNTS, RATES,
                                    ((np.log(1 + np.maximum(COUNTS, EPS)) - np.log(1 + RATES))**2).mean(-1)),
    "Huber": (losses.Huber, {"delta": 0.7}, T, P, huber(P - T, 0.7)),
    "LogCosh": (losses.LogCosh, {}, T, P, np.log(np.cosh(P - T)).mean(-1)),
    "LogCosh of large errors": (losses.LogCosh, {}, T, 300 * P, (np.logaddexp(300 * P - T, T - 300 * P) - np.log(2)).mean(-1)),
    "Poisson": (losses.Poisson, {}, COUNTS, RATES, (RATES - COUNTS * np.log(RATES + EPS)).mean(-1)),
    "KLDivergence": (losses.KLDivergence, {}, SOFT, SOFTER, (SOFT * np.log(SOFT / SOFTER)).sum(-1)),
    "CosineSimilarity": (losses.CosineSimilarity, {}, T, P, -cosine(T, P)),
    "CosineSimilarity of columns": (losses.CosineSimilarity, {"axis": 0}, T, P, -cosine(T.T, P.T)),
    "Hinge": (losses.Hinge, {}, 2 * BITS - 1, P, np.maximum(1 - (2 * BITS - 1) * P, 0).mean(-1)),
    "Hinge of 0 and 1": (losses.Hinge, {}, BITS, P, np.maximum(1 - (2 * BITS - 1) * P, 0).mean(-1)),
    "SquaredHinge": (losses.SquaredHinge, {}, BITS, P, (np.maximum(1 - (2 * BITS - 1) * P, 0)**2).mean(-1)),
    "CategoricalHinge": (losses.CategoricalHinge, {}, ONE_HOT, P, np.maximum(((1 - ONE_HOT) * P).max(-1) - (ONE_HOT * P).sum(-1) + 1, 0)),
    "BinaryCrossentropy": (losses.BinaryCrossentropy, {}, BITS, PROB, binary(BITS, PROB).mean(-1)),
    "BinaryCrossentropy of logits": (losses.BinaryCrossentropy, {"from_logits": True}, BITS, 3 * P, binary(BITS, sigmoid(3 * P)).mean(-1)),
    "BinaryCrossentropy, smoothed": (losses.BinaryCrossentropy, {"label_smoothing": 0.2}, BITS, PROB, binary(0.8 * BITS + 0.1, PROB).mean(-1)),
    "BinaryFocalCrossentropy": (losses.BinaryFocalCrossentropy, {"gamma": 3.0}, BITS, PROB, focal(BITS, PROB, 3)),
    "BinaryFocalCrossentropy of logits": (losses.BinaryFocalCrossentropy, {"from_logits": True}, BITS, P, focal(BITS, sigmoid(P))),
    "BinaryFocalCrossentropy, balanced": (
        losses.BinaryFocalCrossentropy, {"apply_class_balancing": True, "alpha": 0.3}, BITS, PROB,
        ((0.3 * BITS + 0.7 * (1 - BITS)) * (1 - (BITS * PROB + (1 - BITS) * (1 - PROB)))**2 * binary(BITS, PROB)).mean(-1)),
    "CategoricalCrossentropy": (losses.CategoricalCrossentropy, {}, SOFT, PROB, crossentropy(SOFT, PROB)),
    "CategoricalCrossentropy of logits": (losses.CategoricalCrossentropy, {"from_logits": True}, ONE_HOT, P, crossentropy(ONE_HOT, softmax(P))),
    "CategoricalCrossentropy, smoothed": (losses.CategoricalCrossentropy, {"label_smoothing": 0.1}, ONE_HOT, SOFT,
                                          crossentropy(0.9 * ONE_HOT + 0.02, SOFT)),
    "CategoricalCrossentropy of columns": (losses.CategoricalCrossentropy, {"axis": 0}, SOFT.T, PROB.T, crossentropy(SOFT, PROB)),
    "CategoricalFocalCrossentropy": (losses.CategoricalFocalCrossentropy, {"alpha": 0.3, "gamma": 1.5}, SOFT, SOFTER,
                                     -(0.3 * (1 - SOFTER)**1.5 * SOFT * np.log(SOFTER)).sum(-1)),
    "CategoricalFocalCrossentropy of logits": (losses.CategoricalFocalCrossentropy, {"from_logits": True}, SOFT, P,
                                               -(0.25 * (1 - softmax(P))**2 * SOFT * np.log(softmax(P))).sum(-1)),
    "SparseCategoricalCrossentropy": (losses.SparseCategoricalCrossentropy, {}, CLASSES, SOFT, -np.log(SOFT[range(6), CLASSES])),
    "SparseCategoricalCrossentropy of a column": (losses.SparseCategoricalCrossentropy, {}, CLASSES[:, None], PROB,
                                                  -np.log(PROB[range(6), CLASSES] / PROB.sum(-1))),
    "SparseCategoricalCrossentropy of logits": (losses.SparseCategoricalCrossentropy, {"from_logits": True}, CLASSES, P,
                                                -np.log(softmax(P)[range(6), CLASSES])),
    "SparseCategoricalCrossentropy of columns": (losses.SparseCategoricalCrossentropy, {"axis": 0}, CLASSES, SOFT.T,
                                                 -np.log(SOFT[range(6), CLASSES])),
    "CategoricalGeneralizedCrossEntropy": (losses.CategoricalGeneralizedCrossEntropy, {"q": 0.7}, CLASSES, SOFT,
                                           (1 - SOFT[range(6), CLASSES]**0.7) / 0.7),
    "Dice": (losses.Dice, {}, BITS, PROB, 1 - 2 * (BITS * PROB).sum() / (BITS.sum() + PROB.sum())),
    "Dice of rows": (losses.Dice, {"axis": -1}, BITS, PROB, 1 - 2 * (BITS * PROB).sum(-1) / (BITS.sum(-1) + PROB.sum(-1))),
    "Tversky": (losses.Tversky, {"alpha": 0.3, "beta": 0.6}, BITS, PROB,
                1 - (BITS * PROB).sum() / ((BITS * PROB).sum() + 0.3 * (BITS * (1 - PROB)).sum() + 0.6 * ((1 - BITS) * PROB).sum())),
}


@pytest.mark.parametrize("name", CASES)
def test_formula(name):
    kind, arguments, y_true, y_pred, expected = CASES[name]
    samples = kind(**arguments, reduction=None, dtype="float64")(y_true, y_pred)
    assert samples.dtype == np.float64
    np.testing.assert_allclose(samples, expected, rtol=2e-6, atol=1e-7)
    mean = kind(**arguments)(y_true, y_pred)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, np.mean(expected), rtol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_derivative(name):
    kind, arguments, y_true, y_pred, _ = CASES[name]
    loss = kind(**arguments, reduction="sum", dtype="float64")
    p = make_input("p", np.float64, y_pred.shape)
    (found,) = evaluate(Graph("g", [p], gradients(loss(y_true, p), [p])), [y_pred])
    direction = np.random.default_rng(1).normal(size=y_pred.shape)
    ahead, behind = (loss(y_true, y_pred + s * direction) for s in (1e-6, -1e-6))
    np.testing.assert_allclose((found * direction).sum(), (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-6)


def test_compiled():
    """All of them in one library, with float32 and types of labels as they come."""
    inputs, outputs, arrays = [], [], []
    for kind, arguments, y_true, y_pred, _ in CASES.values():
        for array in (y_true if y_true.dtype == np.int64 else y_true.astype(np.float32), y_pred.astype(np.float32)):
            inputs.append(make_input(f"x{len(inputs)}", array.dtype, array.shape))
            arrays.append(array)
        outputs.append(kind(**arguments)(*inputs[-2:]))
    model = dlcompile.compile(Graph("losses", inputs, outputs, output_names=[f"y{i}" for i in range(len(outputs))]))
    for name, found in zip(CASES, model(*arrays)):
        np.testing.assert_allclose(found, np.mean(CASES[name][4]), rtol=5e-5, atol=1e-6, err_msg=name)


# -- where formulas break -----------------------------------------------------------------------------------------------------
def slope(loss, y_true, y_pred):
    p = make_input("p", y_pred.dtype, y_pred.shape)
    return evaluate(Graph("g", [p], gradients(loss(y_true, p), [p])), [y_pred])[0]


@pytest.mark.parametrize("logit", [0.0, 90.0, -90.0])
def test_logits_of_0_and_large_ones(logit):
    z = np.full((2, 1), logit, np.float32)
    y = np.array([[0], [1]], np.float32)
    loss = losses.BinaryCrossentropy(from_logits=True, reduction="none")
    np.testing.assert_allclose(loss(y, z), np.logaddexp(0, [[logit, -logit]]).ravel(), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(slope(losses.BinaryCrossentropy(from_logits=True, reduction="sum"), y, z), sigmoid(z) - y, atol=1e-7)
    z = np.array([[logit, 0, 0]], np.float32)
    np.testing.assert_allclose(losses.sparse_categorical_crossentropy([1], z, from_logits=True), [np.logaddexp.reduce(z[0]) - z[0, 1]], rtol=1e-6)
    np.testing.assert_allclose(slope(losses.SparseCategoricalCrossentropy(from_logits=True), np.array([1]), z), softmax(z) - [[0, 1, 0]], atol=1e-6)


@pytest.mark.parametrize(("activation", "kind", "labels"), [
    (ops.softmax, losses.SparseCategoricalCrossentropy, np.array([0, 1])), (ops.softmax, losses.CategoricalCrossentropy, np.eye(3, dtype=np.float32)[:2]),
    (ops.logistic, losses.BinaryCrossentropy, np.eye(3, dtype=np.float32)[:2])])
def test_a_softmax_or_sigmoid_is_seen_through(activation, kind, labels):
    """A model that is very sure of a wrong answer: the probability of the right one is 0 in float32."""
    z = make_input("z", np.float32, (2, 3))
    values = np.array([[-200, 200, 0], [200, -200, 0]], np.float32)
    loss = kind(reduction="sum")(labels, activation(z))
    found, derivative = evaluate(Graph("g", [z], [loss, *gradients(loss, [z])], output_names=["y", "d"]), [values])
    expected = kind(reduction="sum", from_logits=True, dtype="float64")(labels, values.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found > 100 and np.abs(derivative).max() > 0.3


def test_another_axis_is_not_seen_through():
    z = make_input("z", np.float32, (3, 3))
    values = P[:3, :3].astype(np.float32)
    labels = np.eye(3, dtype=np.float32)
    (found,) = evaluate(Graph("g", [z], [losses.categorical_crossentropy(labels, ops.softmax(z, 0))]), [values])
    columns = softmax(values.T).T
    np.testing.assert_allclose(found, crossentropy(labels, columns), rtol=1e-5)


def test_probabilities_of_0_are_at_least_epsilon():
    np.testing.assert_allclose(losses.binary_crossentropy([[1.0]], np.float32([[0.0]])), [-np.log(EPS)], rtol=1e-6)
    np.testing.assert_allclose(losses.categorical_crossentropy([[0, 1]], np.float32([[1, 0]])), [-np.log(EPS)], rtol=1e-6)
    assert losses.kl_divergence([[0.0, 1]], np.float32([[1, 0]])) > 10


def test_vectors_of_zeros_have_an_angle_and_a_derivative():
    assert losses.cosine_similarity(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)) == 0
    assert np.isfinite(slope(losses.CosineSimilarity(), np.ones((1, 3), np.float32), np.zeros((1, 3), np.float32))).all()

"""Metrics against scikit-learn and formulas in NumPy, counted over several batches."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import metrics

sklearn = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(8)
N = 90
BITS, PROB = RNG.integers(0, 2, N), RNG.uniform(size=N).astype(np.float32)
CLASSES, SCORES = RNG.integers(0, 4, N), RNG.dirichlet(np.ones(4), N).astype(np.float32)
ONE_HOT = np.eye(4, dtype=np.float32)[CLASSES]
LABELS, LABEL_PROB = RNG.integers(0, 2, (N, 3)), RNG.uniform(size=(N, 3)).astype(np.float32)
T, P = RNG.normal(size=(N, 3)).astype(np.float32), RNG.normal(size=(N, 3)).astype(np.float32)
W = RNG.uniform(0.1, 2, N).astype(np.float32)


def counted(metric, y_true, y_pred, weight=None, batch=37):
    """The value after batches of which the last is smaller."""
    for i in range(0, len(y_true), batch):
        part = slice(i, i + batch)
        metric.update_state(y_true[part], y_pred[part], *(() if weight is None else (weight[part],)))
    return metric.result()


def roc_at(labels, scores, thresholds, weight=None):
    """(false and true positive rates, precisions) where scores above each threshold are positive."""
    weight = np.ones(len(labels)) if weight is None else weight
    above = scores[None] > np.asarray(thresholds)[:, None]
    tp, fp = ((above & (labels == k)) @ weight for k in (1, 0))
    return fp / weight[labels == 0].sum(), tp / weight[labels == 1].sum(), np.where(tp + fp > 0, tp / np.maximum(tp + fp, 1e-9), 0)


PREDICTED, BEST = (PROB > 0.5).astype(int), SCORES.argmax(-1)
CASES = [
    (metrics.Accuracy(), BITS, PREDICTED, {}, sklearn.accuracy_score(BITS, PREDICTED)),
    (metrics.BinaryAccuracy(), BITS, PROB, {}, sklearn.accuracy_score(BITS, PREDICTED)),
    (metrics.BinaryAccuracy(threshold=0.3), BITS[:, None], PROB[:, None], {"w": W}, sklearn.accuracy_score(BITS, PROB > 0.3, sample_weight=W)),
    (metrics.CategoricalAccuracy(), ONE_HOT, SCORES, {"w": W}, sklearn.accuracy_score(CLASSES, BEST, sample_weight=W)),
    (metrics.SparseCategoricalAccuracy(), CLASSES, SCORES, {}, sklearn.accuracy_score(CLASSES, BEST)),
    (metrics.SparseCategoricalAccuracy(), CLASSES[:, None], SCORES, {"w": W}, sklearn.accuracy_score(CLASSES, BEST, sample_weight=W)),
    (metrics.TopKCategoricalAccuracy(2), ONE_HOT, SCORES, {}, sklearn.top_k_accuracy_score(CLASSES, SCORES, k=2)),
    (metrics.SparseTopKCategoricalAccuracy(3), CLASSES, SCORES, {"w": W}, sklearn.top_k_accuracy_score(CLASSES, SCORES, k=3, sample_weight=W)),
    (metrics.SparseTopKCategoricalAccuracy(2, from_sorted_ids=True), CLASSES, np.argsort(-SCORES), {},
     sklearn.top_k_accuracy_score(CLASSES, SCORES, k=2)),
    (metrics.Precision(), BITS, PROB, {}, sklearn.precision_score(BITS, PREDICTED)),
    (metrics.Recall(), BITS, PROB, {"w": W}, sklearn.recall_score(BITS, PREDICTED, sample_weight=W)),
    (metrics.Precision(thresholds=[0.2, 0.8]), BITS, PROB, {}, [sklearn.precision_score(BITS, PROB > t) for t in (0.2, 0.8)]),
    (metrics.Recall(class_id=2, thresholds=0.3), ONE_HOT, SCORES, {}, sklearn.recall_score(CLASSES == 2, SCORES[:, 2] > 0.3)),
    (metrics.Precision(top_k=1), ONE_HOT, SCORES, {}, sklearn.accuracy_score(CLASSES, BEST)),
    (metrics.Precision(top_k=2, class_id=1), ONE_HOT, SCORES, {},
     sklearn.precision_score(CLASSES == 1, (np.argsort(-SCORES)[:, :2] == 1).any(-1))),
    (metrics.TruePositives(), BITS, PROB, {}, sklearn.confusion_matrix(BITS, PREDICTED)[1, 1]),
    (metrics.TrueNegatives(), BITS, PROB, {"w": W}, sklearn.confusion_matrix(BITS, PREDICTED, sample_weight=W)[0, 0]),
    (metrics.FalsePositives([0.5, 0.9]), BITS, PROB, {}, [sklearn.confusion_matrix(BITS, PROB > t)[0, 1] for t in (0.5, 0.9)]),
    (metrics.FalseNegatives(), LABELS, LABEL_PROB, {}, sklearn.confusion_matrix(LABELS.ravel(), LABEL_PROB.ravel() > 0.5)[1, 0]),
    (metrics.F1Score(), ONE_HOT, SCORES, {}, sklearn.f1_score(CLASSES, BEST, average=None)),
    (metrics.F1Score("macro"), ONE_HOT, SCORES, {"w": W}, sklearn.f1_score(CLASSES, BEST, average="macro", sample_weight=W)),
    (metrics.F1Score("micro", threshold=0.5), LABELS, LABEL_PROB, {}, sklearn.f1_score(LABELS, LABEL_PROB > 0.5, average="micro")),
    (metrics.FBetaScore("weighted", 2.0), ONE_HOT, SCORES, {}, sklearn.fbeta_score(CLASSES, BEST, beta=2, average="weighted")),
    (metrics.MeanIoU(4), CLASSES, BEST, {}, sklearn.jaccard_score(CLASSES, BEST, average="macro")),
    (metrics.IoU(4, [0, 2]), CLASSES, BEST, {}, sklearn.jaccard_score(CLASSES, BEST, average="macro", labels=[0, 2])),
    (metrics.OneHotMeanIoU(4), ONE_HOT, SCORES, {}, sklearn.jaccard_score(CLASSES, BEST, average="macro")),
    (metrics.OneHotIoU(4, [1]), ONE_HOT, SCORES, {}, sklearn.jaccard_score(CLASSES == 1, BEST == 1)),
    (metrics.BinaryIoU([1], threshold=0.3), BITS, PROB, {}, sklearn.jaccard_score(BITS, PROB >= 0.3)),
    (metrics.MeanIoU(4, ignore_class=0, dtype="float32"), CLASSES, BEST, {"w": W},
     sklearn.jaccard_score(CLASSES[CLASSES > 0], BEST[CLASSES > 0], average=None, labels=range(4), sample_weight=W[CLASSES > 0]).sum() / 4),
    (metrics.R2Score(), T, P, {}, sklearn.r2_score(T, P)),
    (metrics.R2Score("variance_weighted_average"), T, P, {"w": W}, sklearn.r2_score(T, P, multioutput="variance_weighted", sample_weight=W)),
    (metrics.R2Score(None), T, P, {}, sklearn.r2_score(T, P, multioutput="raw_values")),
    (metrics.R2Score(num_regressors=2), T[:, :1], P[:, :1], {}, 1 - (1 - sklearn.r2_score(T[:, 0], P[:, 0])) * (N - 1) / (N - 3)),
    (metrics.MeanSquaredError(), T, P, {"w": W}, sklearn.mean_squared_error(T, P, sample_weight=W)),
    (metrics.RootMeanSquaredError(), T, P, {}, np.sqrt(sklearn.mean_squared_error(T, P))),
    (metrics.RootMeanSquaredError(), T[:, 0], P[:, :1], {"w": W}, np.sqrt(sklearn.mean_squared_error(T[:, 0], P[:, 0], sample_weight=W))),
    (metrics.MeanAbsoluteError(), T, P, {}, sklearn.mean_absolute_error(T, P)),
    (metrics.MeanAbsolutePercentageError(), T, P, {}, 100 * sklearn.mean_absolute_percentage_error(T, P)),
    (metrics.MeanSquaredLogarithmicError(), T**2, P**2, {}, sklearn.mean_squared_log_error(T**2, P**2)),
    (metrics.Poisson(), T**2, P**2 + 0.1, {}, (P**2 + 0.1 - T**2 * np.log(P**2 + 0.1)).mean()),
    (metrics.KLDivergence(), SCORES, SCORES[::-1], {}, (SCORES * np.log(SCORES / SCORES[::-1])).sum(-1).mean()),
    (metrics.LogCoshError(), T, P, {}, np.log(np.cosh(P - T)).mean()),
    (metrics.CosineSimilarity(), T, P, {}, np.diag(sklearn.pairwise.cosine_similarity(T, P)).mean()),
    (metrics.Hinge(), BITS[:, None], 2 * PROB[:, None], {}, sklearn.hinge_loss(BITS, 2 * PROB)),
    (metrics.SquaredHinge(), BITS[:, None], PROB[:, None], {}, (np.maximum(1 - (2 * BITS - 1) * PROB, 0)**2).mean()),
    (metrics.CategoricalHinge(), ONE_HOT, SCORES, {},
     np.maximum(1 - (ONE_HOT * SCORES).sum(-1) + ((1 - ONE_HOT) * SCORES).max(-1), 0).mean()),
    (metrics.BinaryCrossentropy(), BITS[:, None], PROB[:, None], {}, sklearn.log_loss(BITS, PROB)),
    (metrics.CategoricalCrossentropy(), ONE_HOT, SCORES, {"w": W}, sklearn.log_loss(CLASSES, SCORES, sample_weight=W)),
    (metrics.SparseCategoricalCrossentropy(from_logits=True), CLASSES, np.log(SCORES), {}, sklearn.log_loss(CLASSES, SCORES)),
    (metrics.PearsonCorrelation(axis=-1), T, P, {}, np.mean([np.corrcoef(t, p)[0, 1] for t, p in zip(T, P)])),
    (metrics.ConcordanceCorrelation(), T, P, {},
     np.mean([2 * np.cov(t, p, bias=True)[0, 1] / (t.var() + p.var() + (t.mean() - p.mean())**2) for t, p in zip(T, P)])),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case[0]).__name__)
def test_value(case):
    metric, y_true, y_pred, more, expected = case
    found = counted(metric, y_true, y_pred, more.get("w"))
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    metric.reset_state()
    np.testing.assert_allclose(counted(metric, y_true, y_pred, more.get("w"), batch=N), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("weight", [None, W])
def test_areas(weight):
    scores = np.round(PROB, 2)  # thresholds between all scores: nothing is lost
    thresholds = np.linspace(0, 1, 101)[:-1] + 0.005
    roc = counted(metrics.AUC(thresholds=thresholds), BITS, scores, weight)
    np.testing.assert_allclose(roc, sklearn.roc_auc_score(BITS, scores, sample_weight=weight), rtol=1e-5)
    np.testing.assert_allclose(counted(metrics.AUC(num_thresholds=2000), BITS, PROB, weight),
                               sklearn.roc_auc_score(BITS, PROB, sample_weight=weight), atol=2e-3)
    # scikit-learn's average precision is the sum over recalls of the precision at the right end: one of the two rectangles at each step
    low, high = (counted(metrics.AUC(curve="PR", summation_method=m, thresholds=thresholds), BITS, scores, weight) for m in ("minoring", "majoring"))
    between = counted(metrics.AUC(curve="pr", thresholds=thresholds), BITS, scores, weight)
    assert low <= sklearn.average_precision_score(BITS, scores, sample_weight=weight) <= high and low <= between <= high


@pytest.mark.parametrize("method", ["interpolation", "majoring", "minoring"])
def test_areas_at_given_thresholds(method):
    thresholds = np.linspace(0, 1, 20)
    thresholds[0], thresholds[-1] = -1e-7, 1 + 1e-7
    x, y, precision = roc_at(BITS, PROB, thresholds)
    heights = {"interpolation": lambda a: (a[1:] + a[:-1]) / 2, "majoring": lambda a: np.maximum(a[1:], a[:-1]),
               "minoring": lambda a: np.minimum(a[1:], a[:-1])}[method]
    np.testing.assert_allclose(counted(metrics.AUC(20, summation_method=method), BITS, PROB), -(np.diff(x) * heights(y)).sum(), rtol=1e-5)
    if method != "interpolation":
        np.testing.assert_allclose(counted(metrics.AUC(20, "PR", method), BITS, PROB), -(np.diff(y) * heights(precision)).sum(), rtol=1e-5)


def test_the_interpolated_area_of_precision_and_recall():
    """Between two thresholds TP and FP go along a line; the area is the integral of TP / (TP + FP) over recall, here by quadrature."""
    metric = metrics.AUC(10, "PR")
    found = counted(metric, BITS, PROB)
    tp, fp = metric.true_positives.numpy(), metric.false_positives.numpy()
    area = 0.0
    for i in range(9):
        s = (np.arange(20000) + 0.5) / 20000
        t, f = tp[i + 1] + s * (tp[i] - tp[i + 1]), fp[i + 1] + s * (fp[i] - fp[i + 1])
        if tp[i] > tp[i + 1]:
            area += np.mean(np.where(t + f > 0, t / (t + f), 0)) * (tp[i] - tp[i + 1]) / BITS.sum()
    np.testing.assert_allclose(found, area, rtol=1e-3)


def test_the_area_of_gains():
    thresholds = [-1e-7, 0.25, 0.5, 0.75, 1 + 1e-7]
    scores = (0.6 * PROB + 0.4 * BITS).astype(np.float32)
    tp, fp = ((scores[None] > np.float32(thresholds)[:, None]).astype(float) @ (BITS == k) for k in (1, 0))
    odds = (BITS == 1).sum() / (BITS == 0).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, precision = 1 - odds * ((BITS == 1).sum() - tp) / tp, 1 - odds * fp / tp
    recall, precision = np.maximum(np.where(tp > 0, recall, 0), 0), np.where(tp > 0, precision, 1)
    expected = -(np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum()
    np.testing.assert_allclose(counted(metrics.AUC(5, "PRGAIN"), BITS, scores), expected, rtol=1e-5)
    assert expected > 0.3


def test_areas_of_several_labels():
    each = [sklearn.roc_auc_score(LABELS[:, i], LABEL_PROB[:, i]) for i in range(3)]
    np.testing.assert_allclose(counted(metrics.AUC(3000, multi_label=True), LABELS, LABEL_PROB), np.mean(each), atol=2e-3)
    weights = [1.0, 2.0, 5.0]
    found = counted(metrics.AUC(3000, multi_label=True, num_labels=3, label_weights=weights), LABELS, LABEL_PROB)
    np.testing.assert_allclose(found, np.average(each, weights=weights), atol=2e-3)
    all_as_one = counted(metrics.AUC(3000, label_weights=weights), LABELS, LABEL_PROB)
    expected = sklearn.roc_auc_score(LABELS.ravel(), LABEL_PROB.ravel(), sample_weight=np.tile(weights, N))
    np.testing.assert_allclose(all_as_one, expected, atol=2e-3)
    logits = np.log(PROB / (1 - PROB))
    np.testing.assert_allclose(counted(metrics.AUC(50, from_logits=True), BITS, logits), counted(metrics.AUC(50), BITS, PROB), atol=1e-3)


@pytest.mark.parametrize(("metric", "constrained", "wanted"), [
    (metrics.SensitivityAtSpecificity(0.6, 50), "tnr", "tpr"), (metrics.SpecificityAtSensitivity(0.6, 50), "tpr", "tnr"),
    (metrics.PrecisionAtRecall(0.6, 50), "tpr", "precision"), (metrics.RecallAtPrecision(0.5, 50), "precision", "tpr")])
def test_the_best_under_a_condition(metric, constrained, wanted):
    fpr, tpr, precision = roc_at(BITS, PROB, np.linspace(0, 1, 50))
    values = {"tnr": 1 - fpr, "tpr": tpr, "precision": precision}
    expected = values[wanted][values[constrained] >= metric.value].max()
    np.testing.assert_allclose(counted(metric, BITS, PROB), expected, rtol=1e-5)


def test_equals_of_the_last_of_the_best_count():
    scores = np.float32([[3, 2, 2, 1]] * 4)
    np.testing.assert_array_equal(metrics.sparse_top_k_categorical_accuracy([0, 1, 2, 3], scores, k=2), [1, 1, 1, 0])
    np.testing.assert_array_equal(metrics.sparse_top_k_categorical_accuracy([0, 7, -1], np.float32([[np.nan, 1, 2]] * 3), k=3), [0, 0, 0])

"""Support vector machines (ai.onnx.ml): kernels of the input with the support vectors, and one product with what they count."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.rows.trees import label_table
from dlcompile.frontends.onnx.shapes import assume_equal
from dlcompile.graph import Graph, Tensor, make_constant, make_input

ML = "ai.onnx.ml"
TURNS = 100
"""of the iteration that makes probabilities of classes of those of pairs: what libsvm allows for up to as many classes"""


def _input(x: Tensor) -> Tensor:
    return ops.cast(ops.reshape(x, (1, *x.shape)) if x.rank == 1 else x, np.float32)


def _floats(node: OnnxNode, name: str) -> np.ndarray:
    return np.asarray(node.get(name, ()) or (), np.float32)


def kernels(node: OnnxNode, x: Tensor, vectors: np.ndarray) -> Tensor:
    """k(x, v) for each row of x [n, d] and each support vector [s, d]: [n, s]."""
    assume_equal(x.shape[1], vectors.shape[1], f"the features of {x.type} and of the support vectors:")
    kind = node.get("kernel_type", "LINEAR")
    gamma, coefficient, degree = (*_floats(node, "kernel_params"), 0, 0, 0)[:3]
    if kind == "RBF":
        away = ops.sub(ops.expand_dims(x, 1), make_constant(vectors))
        return ops.exp(ops.mul(ops.reduce_sum(ops.mul(away, away), 2), np.float32(-gamma)))
    products = ops.matmul(x, make_constant(np.ascontiguousarray(vectors.T)))
    if kind == "LINEAR":
        return products
    if kind not in ("POLY", "SIGMOID"):
        raise InvalidModelError(f"kernel_type is {kind!r}; expected LINEAR, POLY, RBF or SIGMOID")
    moved = ops.add(ops.mul(products, np.float32(gamma)), np.float32(coefficient))
    return ops.tanh(moved) if kind == "SIGMOID" else ops.pow(moved, np.float32(int(degree)))


@importer("SVMRegressor", domain=ML)
def svm_regressor(node: OnnxNode, x: Tensor) -> Tensor:
    """sum of coefficients times kernels, plus rho; its sign for `one_class`."""
    x, count, coefficients = _input(x), node.get("n_supports", 0), _floats(node, "coefficients")
    if count > 0:
        vectors = _floats(node, "support_vectors")
        if vectors.size % count or coefficients.size != count:
            raise ShapeError(f"{vectors.size} numbers and {coefficients.size} coefficients for {count} support vectors")
        values = kernels(node, x, vectors.reshape(count, -1))
    else:
        values = x
        assume_equal(x.shape[1], coefficients.size, f"the features of {x.type} and the coefficients:")
    y = ops.add(ops.matmul(values, make_constant(coefficients.reshape(-1, 1))), _floats(node, "rho")[:1])
    if node.get("one_class", 0):
        return ops.select(ops.gt(y, np.float32(0)), np.float32(1), np.float32(-1))
    return ops.post_transform(y, node.get("post_transform", "NONE"))


@importer("SVMClassifier", domain=ML)
def svm_classifier(node: OnnxNode, x: Tensor) -> tuple[Tensor, Tensor]:
    """(labels, scores). With support vectors each pair of classes has a vote, and the label is the class with most of them; scores are those of
    the pairs, or probabilities where prob_a and prob_b are given. Without, each class has a linear score."""
    x, coefficients, rho = _input(x), _floats(node, "coefficients"), _floats(node, "rho")
    table = label_table(node, "classlabels_ints")
    classes = max(table.shape[0], 1)
    sizes = [int(n) for n in node.get("vectors_per_class", ()) or ()]
    if not sum(sizes):
        if coefficients.size % classes:
            raise ShapeError(f"{coefficients.size} coefficients for {classes} classes")
        assume_equal(x.shape[1], coefficients.size // classes, f"the features of {x.type} and the coefficients of each class:")
        scores = ops.add(ops.matmul(x, make_constant(np.ascontiguousarray(coefficients.reshape(classes, -1).T))), rho[:1])
        return ops.gather(table, ops.argmax(scores, 1), 0), ops.post_transform(scores, node.get("post_transform", "NONE"))
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    total, starts = sum(sizes), np.cumsum([0, *sizes])
    if len(sizes) != classes or coefficients.size != (classes - 1) * total or rho.size != len(pairs):
        raise ShapeError(f"{coefficients.size} coefficients and {rho.size} values of rho for {classes} classes of {sizes} support vectors")
    given, weights = coefficients.reshape(classes - 1, total), np.zeros((total, len(pairs)), np.float32)
    for pair, (i, j) in enumerate(pairs):
        weights[starts[i]:starts[i + 1], pair] = given[j - 1, starts[i]:starts[i + 1]]
        weights[starts[j]:starts[j + 1], pair] = given[i, starts[j]:starts[j + 1]]
    values = kernels(node, x, _floats(node, "support_vectors").reshape(total, -1))
    scores = ops.add(ops.matmul(values, make_constant(weights)), rho)
    first, second = (np.eye(classes, dtype=np.float32)[[pair[k] for pair in pairs]] for k in (0, 1))
    won = ops.cast(ops.gt(scores, np.float32(0)), np.float32)
    votes = ops.add(ops.matmul(won, make_constant(first)), ops.matmul(ops.sub(np.float32(1), won), make_constant(second)))
    labels = ops.gather(table, ops.argmax(votes, 1), 0)
    transform = node.get("post_transform", "NONE")
    if _floats(node, "prob_a").size:
        return labels, ops.post_transform(_probabilities(node, scores, pairs, classes), transform)
    if len(pairs) == 1:
        scores = ops.concatenate([ops.neg(scores), scores], 1)
    return labels, ops.post_transform(scores, transform)


def _probabilities(node: OnnxNode, scores: Tensor, pairs: list[tuple[int, int]], classes: int) -> Tensor:
    """Probabilities of classes from those of pairs (Wu, Lin and Weng, "Probability Estimates for Multi-class Classification by Pairwise
    Coupling", 2004; the iteration of libsvm)."""
    a, b, one = _floats(node, "prob_a"), _floats(node, "prob_b"), np.float32(1)
    if a.size != len(pairs) or b.size != len(pairs):
        raise ShapeError(f"{a.size} values of prob_a and {b.size} of prob_b for {len(pairs)} pairs of classes")
    wins = ops.sub(one, ops.logistic(ops.add(ops.mul(scores, a), b)))
    wins = ops.minimum(ops.maximum(wins, np.float32(1e-7)), np.float32(1 - 1e-7))
    rows = scores.shape[0]
    there, back = np.zeros((len(pairs), classes * classes), np.float32), np.zeros((len(pairs), classes * classes), np.float32)
    for pair, (i, j) in enumerate(pairs):
        there[pair, i * classes + j] = back[pair, j * classes + i] = 1
    r = ops.add(ops.matmul(wins, make_constant(there)), ops.matmul(ops.sub(one, wins), make_constant(back)))
    r = ops.reshape(r, (rows, classes, classes))
    flipped = ops.transpose(r, (0, 2, 1))
    diagonal = np.eye(classes, dtype=np.float32)
    squares = ops.reduce_sum(ops.mul(flipped, flipped), 2, True)  # of column t: what the others say against it
    q = ops.add(ops.mul(squares, diagonal), ops.mul(ops.neg(ops.mul(r, flipped)), one - diagonal))
    p, matrix, open_ = make_input("p", np.float32, (rows, classes)), make_input("q", np.float32, q.shape), make_input("open", np.bool_, (rows, 1))
    before, step = p, None
    qp = ops.reduce_sum(ops.mul(matrix, ops.expand_dims(p, 1)), 2)
    pqp = ops.reduce_sum(ops.mul(p, qp), 1, True)
    worst = ops.reduce_max(ops.abs(ops.sub(qp, pqp)), 1, True)
    going = ops.logical_and(open_, ops.ge(worst, np.float32(0.005 / classes)))
    for t in range(classes):
        row = ops.reshape(ops.slice(matrix, (0, t, 0), (rows, t + 1, classes)), (rows, classes))
        own, here = (ops.slice(v, (0, t), (rows, t + 1)) for v in (row, qp))
        step = ops.div(ops.sub(pqp, here), own)
        p = ops.add(p, ops.mul(step, diagonal[t:t + 1]))
        grown = ops.add(one, step)
        pqp = ops.div(ops.add(pqp, ops.mul(step, ops.add(ops.mul(step, own), ops.mul(np.float32(2), here)))), ops.mul(grown, grown))
        p, qp = ops.div(p, grown), ops.div(ops.add(qp, ops.mul(step, row)), grown)
    body = Graph("couple", [before, open_, matrix], [ops.select(going, p, before), going])
    start = ops.broadcast_to(np.float32(1 / classes), (rows, classes))
    made = ops.scan(body, start, ops.broadcast_to(np.True_, (rows, 1)), q, num_carry=2, num_scanned=0, length=max(TURNS, classes))
    return made[0]

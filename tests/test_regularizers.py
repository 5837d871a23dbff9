"""Penalties against NumPy."""
from __future__ import annotations

import json

import numpy as np
import pytest

from dlcompile import regularizers
from dlcompile.autodiff import gradients
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Graph, Tensor, make_input
from dlcompile.operators import evaluate

X = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


def mean_cosine(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [abs(unit[i] @ unit[j]) for i in range(len(rows)) for j in range(i)]
    return np.mean(pairs)


CASES = [
    (regularizers.L1(0.3), 0.3 * np.abs(X).sum()), (regularizers.L2(0.3), 0.3 * (X**2).sum()), (regularizers.get("l1"), 0.01 * np.abs(X).sum()),
    (regularizers.L1L2(0.1, 0.2), 0.1 * np.abs(X).sum() + 0.2 * (X**2).sum()), (regularizers.L1L2(), 0.0),
    (regularizers.OrthogonalRegularizer(0.5), 0.5 * mean_cosine(X)), (regularizers.OrthogonalRegularizer(mode="columns"), 0.01 * mean_cosine(X.T)),
]


@pytest.mark.parametrize(("regularizer", "expected"), CASES, ids=lambda value: type(value).__name__)
def test_value(regularizer, expected):
    found = regularizer(X)
    assert found.dtype == np.float32 and np.ndim(found) == 0
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert isinstance(regularizer(make_input("x", np.float32, (4, 5))), Tensor)
    read = regularizers.deserialize(json.loads(json.dumps(regularizers.serialize(regularizer))))
    assert type(read) is type(regularizer) and read(X) == found


def test_a_row_of_zeros_has_a_derivative():
    x = make_input("x", np.float32, (2, 3))
    graph = Graph("g", [x], gradients(regularizers.OrthogonalRegularizer()(x), [x]))
    (found,) = evaluate(graph, [np.array([[0, 0, 0], [1, 2, 3]], np.float32)])
    assert np.isfinite(found).all()


def test_names_and_errors():
    assert regularizers.l2 is regularizers.L2 and regularizers.get("l1_l2").l1 == 0
    for make, says in ((lambda: regularizers.L2(-1), "l2 is a finite number that is not negative"), (lambda: regularizers.L1("a"), "l1 is"),
                       (lambda: regularizers.OrthogonalRegularizer(mode="row"), "'rows' or 'columns', not 'row'"),
                       (lambda: regularizers.get("l3"), "no regularizer 'l3'; there are L1, L1L2, L2, OrthogonalRegularizer")):
        with pytest.raises(ArgumentError, match=says):
            make()
    with pytest.raises(ShapeError, match="takes a matrix"):
        regularizers.OrthogonalRegularizer()(np.ones(3, np.float32))

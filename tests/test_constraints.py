"""Constraints against NumPy."""
from __future__ import annotations

import json

import numpy as np
import pytest

from dlcompile import constraints
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor, make_input

W = np.random.default_rng(0).normal(size=(3, 2, 4, 5)).astype(np.float32)


def lengths(w, axis):
    return np.sqrt((w**2).sum(axis, keepdims=True))


@pytest.mark.parametrize("axis", [0, (0, 1, 2), -1])
def test_norms(axis):
    n = lengths(W, axis)
    middle = float(np.median(n))
    for constraint, wanted in ((constraints.MaxNorm(middle, axis), np.minimum(n, middle)), (constraints.UnitNorm(axis), np.ones_like(n)),
                               (constraints.MinMaxNorm(middle, 2 * middle, axis=axis), np.clip(n, middle, 2 * middle)),
                               (constraints.MinMaxNorm(0, middle, 0.3, axis), 0.3 * np.minimum(n, middle) + 0.7 * n)):
        found = constraint(W)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, W / n * wanted, rtol=1e-5, atol=1e-6)
        read = constraints.deserialize(json.loads(json.dumps(constraints.serialize(constraint))))
        np.testing.assert_array_equal(read(W), found)


def test_non_neg():
    np.testing.assert_array_equal(constraints.get("non_neg")(W), np.maximum(W, 0))
    assert isinstance(constraints.NonNeg()(make_input("w", np.float32, (2, 3))), Tensor)


def test_vectors_of_zeros_stay():
    for constraint in (constraints.MaxNorm(), constraints.UnitNorm(), constraints.MinMaxNorm(1.0, 2.0)):
        assert not constraint(np.zeros((3, 2), np.float32)).any()


def test_names():
    assert constraints.max_norm is constraints.MaxNorm and constraints.get("max_norm").max_value == 2
    with pytest.raises(ArgumentError, match="no constraint 'nonneg'; did you mean NonNeg or non_neg"):
        constraints.get("nonneg")

"""Layers with several inputs, against NumPy."""
from __future__ import annotations

import functools

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.layers import Input, mask_of, set_mask
from tests.layers.helpers import check, normal

A, B, C = (normal(2, 3, 4, seed=i) for i in range(3))

FORMULAS = {"Add": lambda *x: sum(x), "Multiply": lambda *x: functools.reduce(np.multiply, x), "Average": lambda *x: sum(x) / len(x),
            "Maximum": lambda *x: functools.reduce(np.maximum, x), "Minimum": lambda *x: functools.reduce(np.minimum, x)}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str) -> None:
    make, function = getattr(layers, name), getattr(layers, name.lower())
    for given in ([A, B], [A, B, C], [A]):
        check(make(), given, FORMULAS[name](*given))
    np.testing.assert_allclose(function([A, B]), FORMULAS[name](A, B), rtol=1e-5)
    np.testing.assert_allclose(make()([A, B[:, :1]]), FORMULAS[name](A, B[:, :1]), rtol=1e-5)
    np.testing.assert_allclose(make()([A, B[:, 0]]), FORMULAS[name](A, B[:, :1]), rtol=1e-5)  # fewer axes: one more behind the batch


def test_subtract() -> None:
    check(layers.Subtract(), [A, B], A - B)
    np.testing.assert_array_equal(layers.subtract([A, B]), A - B)
    with pytest.raises(ArgumentError, match="takes 2 inputs, 3 are given"):
        layers.Subtract()([A, B, C])


@pytest.mark.parametrize("axis", [-1, 1, 2, 0])
def test_concatenate(axis: int) -> None:
    if axis:
        check(layers.Concatenate(axis=axis), [A, B], np.concatenate([A, B], axis))
    np.testing.assert_array_equal(layers.concatenate([A, B, C], axis=axis), np.concatenate([A, B, C], axis))


def test_concatenate_symbols() -> None:
    assert layers.Concatenate(axis=1)([Input((None, 4)), Input((3, 4))]).shape == (None, None, 4)
    assert layers.Concatenate()([Input((None, 4)), Input((3, 5))]).shape == (None, 3, 9)


@pytest.mark.parametrize("axes, a, b, formula", [(1, A[:, 0], B[:, 0], "bi,bi->b"), (2, A, B, "bik,bjk->bij"),
                                                 ((1, 1), A, B, "bki,bkj->bij"), ((2, 1), A, normal(2, 4, 5), "bik,bkj->bij"),
                                                 (-1, A, B[:, 0], "bik,bk->bi"),
                                                 ((1, 2), normal(2, 3, 5), normal(2, 10, 3), "bki,bjk->bij"),
                                                 ((2, 2), normal(2, 3, 4, 5), normal(2, 6, 4), "bikj,blk->bijl")])
def test_dot(axes, a, b, formula) -> None:
    expected = np.einsum(formula, a, b)
    check(layers.Dot(axes=axes), [a, b], expected[:, None] if expected.ndim == 1 else expected)


def test_cosines() -> None:
    a, b = A[:, 0], B[:, 0]
    expected = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    check(layers.Dot(axes=1, normalize=True), [a, b], expected[:, None])
    np.testing.assert_array_equal(layers.dot([a * 0, b], normalize=True), np.zeros((2, 1)))


def test_masks() -> None:
    first, second = np.array([[1, 0, 0], [1, 1, 0]], bool), np.array([[0, 1, 0], [1, 1, 1]], bool)

    def masked(x, mask):
        x = x.copy()
        set_mask(x, mask)
        return x

    y = layers.Add()([masked(A, first), masked(B, second)])
    np.testing.assert_array_equal(mask_of(y), first | second)
    assert mask_of(layers.Add()([masked(A, first), B])) is None
    np.testing.assert_array_equal(mask_of(layers.Concatenate(axis=1)([masked(A, first), B])),
                                  np.concatenate([first, np.ones((2, 3), bool)], 1))
    np.testing.assert_array_equal(mask_of(layers.Concatenate()([masked(A, first), masked(B, second)])), first | second)
    y = layers.Multiply()([masked(A, first), masked(B, second)])
    one, two = first[..., None], second[..., None]
    np.testing.assert_allclose(y, np.where(one, A, 1) * np.where(two, B, 1) * (one | two), rtol=1e-6)
    np.testing.assert_array_equal(mask_of(y), first | second)


def test_in_a_model() -> None:
    a, b = Input((3, 4)), Input((3, 4))
    model = models.Model([a, b], layers.average([layers.add([a, b]), layers.maximum([a, b])]))
    np.testing.assert_allclose(model([A, B]), (A + B + np.maximum(A, B)) / 2, rtol=1e-5)
    copy = models.model_from_json(model.to_json())
    np.testing.assert_array_equal(copy([A, B]), model([A, B]))


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="takes a list of inputs, not one"):
        layers.Add()(A)
    with pytest.raises(ArgumentError, match="not an empty one"):
        layers.Add()([])
    with pytest.raises(ShapeError, match=r"different numbers of samples: shapes \(2, 3, 4\), \(3, 3, 4\)"):
        layers.Add()([A, normal(3, 3, 4)])
    with pytest.raises(ShapeError, match="differ"):
        layers.Multiply()([A, normal(2, 3, 5)])
    with pytest.raises(ShapeError, match="differ in more than axis -1"):
        layers.Concatenate()([A, normal(2, 5, 4)])
    with pytest.raises(ShapeError, match="have no axis 3"):
        layers.Concatenate(axis=3)([A, B])
    with pytest.raises(ArgumentError, match="axes is an axis, or two"):
        layers.Dot(axes=(1, 2, 3))
    with pytest.raises(ShapeError, match="have extents 3 and 4 along axes 1 and 2"):
        layers.Dot(axes=(1, 2))([A, B])
    with pytest.raises(ShapeError, match="axis 0 is that of the samples"):
        layers.Dot(axes=0)([A, B])

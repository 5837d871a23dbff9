"""Other shapes, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers
from dlcompile.errors import ArgumentError, ShapeError
from tests.layers.helpers import check, normal

X = normal(2, 3, 4, 5)


def test_flatten() -> None:
    check(layers.Flatten(), X, X.reshape(2, 60))
    check(layers.Flatten(data_format="channels_first"), X, X.transpose(0, 2, 3, 1).reshape(2, 60))
    np.testing.assert_array_equal(layers.Flatten()(X[:, 0, 0, 0]), X[:, :1, 0, 0])
    assert layers.Flatten()(layers.Input((3, None))).shape == (None, None)
    with pytest.raises(ArgumentError, match="data_format"):
        layers.Flatten("channels_middle")


def test_reshape() -> None:
    check(layers.Reshape((12, 5)), X, X.reshape(2, 12, 5))
    check(layers.Reshape((-1, 10)), X, X.reshape(2, 6, 10))
    check(layers.Reshape((60,)), X, X.reshape(2, 60))
    assert layers.Reshape((-1, 2))(layers.Input((None, 4))).shape == (None, None, 2)
    for target in ((7, 9), (-1, 7)):
        with pytest.raises(ShapeError, match=r"samples of shape \(3, 4, 5\) cannot be reshaped"):
            layers.Reshape(target)(X)
    with pytest.raises(ArgumentError, match="one of which may be -1"):
        layers.Reshape((-1, -1))


def test_permute() -> None:
    check(layers.Permute((3, 1, 2)), X, X.transpose(0, 3, 1, 2))
    with pytest.raises(ArgumentError, match="1 to n"):
        layers.Permute((0, 1))
    with pytest.raises(ShapeError, match="must have 3 axes"):
        layers.Permute((2, 1))(X)


def test_repeat_vector() -> None:
    x = X[:, :, 0, 0]
    check(layers.RepeatVector(4), x, np.repeat(x[:, None], 4, axis=1))
    with pytest.raises(ArgumentError, match="positive integer"):
        layers.RepeatVector(0)

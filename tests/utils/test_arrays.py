"""Arrays in the form that models take."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import utils
from dlcompile.errors import ArgumentError


def test_to_categorical() -> None:
    classes = np.array([[0, 3], [1, 1]])
    np.testing.assert_array_equal(utils.to_categorical(classes), np.eye(4, dtype=np.float32)[classes])
    np.testing.assert_array_equal(utils.to_categorical(classes[:, :1], 5), np.eye(5)[classes[:, 0]])
    assert utils.to_categorical([], 3).shape == (0, 3)
    for bad in ([3], [-1], [0.5]):
        with pytest.raises(ArgumentError, match="classes are"):
            utils.to_categorical(bad, 3)


def test_normalize() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(np.linalg.norm(utils.normalize(x), axis=1), 1)
    np.testing.assert_allclose(np.abs(utils.normalize(x, axis=0, order=1)).sum(0), 1)
    np.testing.assert_array_equal(utils.normalize(np.zeros((2, 3))), np.zeros((2, 3)))


def test_pad_sequences() -> None:
    sequences = [[1], [2, 3, 4], []]
    np.testing.assert_array_equal(utils.pad_sequences(sequences), [[0, 0, 1], [2, 3, 4], [0, 0, 0]])
    np.testing.assert_array_equal(utils.pad_sequences(sequences, 2, padding="post", value=9), [[1, 9], [3, 4], [9, 9]])
    np.testing.assert_array_equal(utils.pad_sequences(sequences, 2, truncating="post"), [[0, 1], [2, 3], [0, 0]])
    vectors = utils.pad_sequences([np.ones((1, 2)), np.ones((3, 2))], dtype="float32")
    assert vectors.shape == (2, 3, 2) and vectors.sum() == 8
    with pytest.raises(ArgumentError, match="padding is 'pre' or 'post'"):
        utils.pad_sequences(sequences, padding="left")
    with pytest.raises(ArgumentError, match="sequence 1 is a int"):
        utils.pad_sequences([[1], 2])
    with pytest.raises(ArgumentError, match="elements of shape"):
        utils.pad_sequences([[[1, 2]], [[1]]])

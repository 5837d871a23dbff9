"""Functions of tensors that are called with arrays."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.eager import eager
from dlcompile.graph import Tensor, make_input
from dlcompile.masks import mask_of, set_mask
from dlcompile.variables import Variable, is_tracing, tracing

A, B = np.arange(6, dtype=np.float32).reshape(2, 3), np.float32(2)


@eager
def combined(a, b, factor=1):
    return {"sum": ops.add(a, b) * factor, "shape": tuple(ops.as_tensor(a).shape), "nothing": None}


def test_arrays_in_arrays_out():
    found = combined(A, b=B, factor=3)
    assert isinstance(found["sum"], np.ndarray) and found["sum"].dtype == np.float32
    np.testing.assert_array_equal(found["sum"], (A + 2) * 3)
    assert found["shape"] == (2, 3) and found["nothing"] is None
    assert not is_tracing()


def test_tensors_in_tensors_out():
    assert isinstance(combined(make_input("x", np.float32, (2, 3)), B)["sum"], Tensor)
    with tracing():
        assert isinstance(combined(A, B)["sum"], Tensor)


def test_lists_and_numbers_are_taken_as_the_function_takes_them():
    assert combined([1, 2], 3)["sum"].tolist() == [4, 5]


def test_a_scalar_is_a_number():
    total = eager(ops.reduce_sum)(A)
    assert isinstance(total, np.float32) and total == 15


def test_variables_are_read_and_assigned():
    count = Variable(0.0, name="count")

    @eager
    def step(x):
        count.assign_add(ops.reduce_sum(x))
        return count

    assert step(A) == 15 and step(A) == 30 and float(count) == 30
    with tracing() as trace:
        step(A)
        assert set(trace.written) == {count}
    assert float(count) == 30


def test_masks_go_in_and_out():
    @eager
    def doubled(x):
        y = x * 2
        set_mask(y, ops.logical_not(mask_of(x)))
        return y, x * 3

    array = A.copy()
    set_mask(array, A > 2)
    twice, thrice = doubled(array)
    np.testing.assert_array_equal(mask_of(twice), A <= 2)
    assert mask_of(thrice) is None


def test_anything_that_has_an_array_is_one():
    class Other:
        def __array__(self, dtype=None, copy=None):
            return A

    np.testing.assert_array_equal(combined(Other(), B)["sum"], A + 2)
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(combined(torch.from_numpy(A), B)["sum"], A + 2)

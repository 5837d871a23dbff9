"""A Python function as one graph: its variables, batches of any size, what fails and what is interrupted."""
from __future__ import annotations

import signal

import ml_dtypes
import numpy as np
import pytest

from dlcompile import losses, ops
from dlcompile.errors import ArgumentError
from dlcompile.training import exchange
from dlcompile.training.step import Step
from dlcompile.variables import Variable


def running_sum():
    """A step that adds to two variables, one of which it also returns."""
    total, rows = Variable(np.zeros(3, np.float32), name="total"), Variable(np.int64(0), name="rows")

    def function(data):
        x, factor = data["x"], data["factor"]
        total.assign_add(ops.reduce_sum(x, 0) if factor is None else ops.reduce_sum(x * factor, 0))
        rows.assign_add(ops.dim_scalar(x.shape[0]))
        return {"total": total, "twice": x * 2.0, "constant": 5}

    return Step("sum", function), total, rows


def batch(rows, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)


def test_results_and_variables(backend):
    step, total, rows = running_sum()
    expected = np.zeros(3)
    for i, n in enumerate((4, 4, 2, 1, 4)):
        x = batch(n, i)
        expected = expected + x.sum(0)
        found = step({"x": x, "factor": None})
        np.testing.assert_allclose(found["total"], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(total.numpy(), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found["twice"], 2 * x)
        assert found["constant"] == 5 and found["twice"].shape == (n, 3)
    sizes = len(step._compiled)
    assert int(rows) == 15 and sizes == (2 if backend == "c" else 1)  # the first size, and all others are one
    factor = np.float32([[2], [1]])
    step({"x": batch(2), "factor": factor})
    np.testing.assert_allclose(total.numpy(), expected + (batch(2) * factor).sum(0), rtol=1e-5, atol=1e-6)
    assert len(step._compiled) == sizes + 1


def test_a_function_that_needs_the_number_of_samples(interpreted):
    step = Step("eye", lambda x: ops.matmul(np.eye(x.shape[0], dtype=np.float32), x) + np.float32(len(range(x.shape[0]))))
    for n in (3, 2, 3):
        np.testing.assert_allclose(step(batch(n)), batch(n) + n)
    assert len(step._compiled) == 2


def test_the_error_of_a_function_that_cannot_be_traced_is_its_own(interpreted):
    def wrong(x):
        raise RuntimeError(f"no {x.shape[0]} samples")

    with pytest.raises(RuntimeError, match="no 3 samples"):
        Step("wrong", wrong)(batch(3))


def test_a_value_that_somebody_was_given_stays_what_it_was(backend):
    step, total, _ = running_sum()
    step({"x": batch(4), "factor": None})
    kept, view = total.value, np.asarray(total)[1:]
    before = kept.copy()
    for _ in range(3):
        step({"x": batch(4), "factor": None})
    np.testing.assert_array_equal(kept, before)
    np.testing.assert_array_equal(view, before[1:])
    assert not np.array_equal(total.numpy(), before)


def test_nothing_is_allocated_after_the_first_steps():
    step, total, rows = running_sum()
    for _ in range(3):
        step({"x": batch(4), "factor": None})
    seen = set()
    for _ in range(6):
        step({"x": batch(4), "factor": None})
        seen.add(total._array.ctypes.data)
    assert len(seen) == 1


def test_a_run_that_fails_on_its_way_changes_nothing():
    """How many numbers are chosen is known when the first variable has its new value; that they must be as many as the weights is checked then."""
    total, chosen = Variable(np.zeros(3, np.float32), name="total"), Variable(np.zeros(2, np.float32), name="chosen")

    def function(x):
        total.assign_add(x)
        places = ops.reshape(ops.nonzero(x > 0), (-1,))
        chosen.assign_add(ops.reduce_sum(ops.gather(x, places) * chosen.value, 0))
        return ops.reduce_sum(x)

    step = Step("choose", function)
    assert float(step(np.float32([1, -1, 2]))) == 2 and total.numpy().tolist() == [1, -1, 2]
    with pytest.raises(ArgumentError, match="to be equal; they are 3 and 2"):
        step(np.float32([1, 1, 2]))
    assert total.numpy().tolist() == [1, -1, 2]
    step(np.float32([0, 1, 2]))
    assert total.numpy().tolist() == [1, 0, 4]


def test_arrays_of_different_lengths(backend):
    """Their first dimensions are no number of samples."""
    step = Step("outer", lambda data: data[0] * ops.reduce_sum(data[1], 0))
    for n in (3, 3, 2):
        np.testing.assert_allclose(step((np.float32(2), np.ones(n, np.float32))), 2 * n)


def test_an_assignment_between_steps_counts(backend):
    step, total, _ = running_sum()
    step({"x": batch(4), "factor": None})
    total.assign(np.full(3, 10.0))
    step({"x": batch(4), "factor": None})
    np.testing.assert_allclose(total.numpy(), 10 + batch(4).sum(0), rtol=1e-5)


def test_16_bits(backend):
    weights = Variable(np.ones(4), dtype="bfloat16")

    def function(x):
        weights.assign(weights + ops.cast(ops.reduce_sum(x, 0), "bfloat16"))
        return weights

    step = Step("narrow", function)
    for _ in range(3):
        found = step(np.ones((2, 4), np.float32))
    assert found.dtype == ml_dtypes.bfloat16 and found.tolist() == weights.numpy().tolist() == [7, 7, 7, 7]


def test_a_step_that_fails_changes_nothing(interpreted, monkeypatch):
    step, total, rows = running_sum()
    step({"x": batch(4), "factor": None})
    before = total.numpy(), int(rows)
    monkeypatch.setattr("dlcompile.training.step.evaluate", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        step({"x": batch(4), "factor": None})
    np.testing.assert_array_equal(total.numpy(), before[0])
    assert int(rows) == before[1]


def test_an_interrupt_leaves_all_variables_of_one_step():
    """A timer interrupts again and again, wherever the program is: of many variables, which all count steps, all are the same."""
    counts = [Variable(np.zeros(1000, np.float32)) for _ in range(40)]

    def function(x):
        for count in counts:
            count.assign_add(x)
        return x

    step = Step("count", function)
    one = np.float32([1.0])
    step(one)
    interrupted = 0

    def interrupt(*_):
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        for i in range(40):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + 1.3e-5 * i)
                while True:
                    step(one)
            except KeyboardInterrupt:
                interrupted += 1
            values = {float(v) for count in counts for v in np.unique(count._array)}
            assert len(values) == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert interrupted == 40


def test_arrays_are_written_over_and_those_that_somebody_has_are_not():
    """What was handed out keeps its values, whether it is the array itself or a view of it; what nobody has stays where it is."""
    kept, viewed, own = (Variable(np.zeros(1000, np.float32)) for _ in range(3))

    def function(x):
        for variable in (kept, viewed, own):
            variable.assign_add(x)
        return x

    step, one = Step("count", function), np.float32([1.0])
    step(one)
    value, view = kept.value, viewed.value[10:]
    place = own._array.ctypes.data
    step(one)
    step(one)
    assert (value == 1).all() and (view == 1).all()
    assert all((v._array == 3).all() for v in (kept, viewed, own))
    assert own._array.ctypes.data == place


def test_arrays_that_cannot_be_written_as_they_lie_are_copied():
    strided, fixed, own = (Variable(np.zeros(3)) for _ in range(3))
    strided._array = np.zeros(6)[::2]
    fixed._array.flags.writeable = False
    place = own._array.ctypes.data
    for variable, array in zip((strided, fixed, own), exchange.own_arrays([strided, fixed, own])):
        assert array is variable._array and array.flags.carray
    assert own._array.ctypes.data == place


def test_arrays_are_exchanged_all_at_once():
    variables = [Variable(np.full(2, float(i))) for i in range(3)]
    exchange.commit(variables, [np.full(2, 10.0 + i) for i in range(3)])
    assert [v.numpy().tolist() for v in variables] == [[10, 10], [11, 11], [12, 12]]


# -- what is looked at before -------------------------------------------------------------------------------------------------
def labels_step(ignored=None):
    return Step("labels", lambda data: losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignored)(data[1], data[0]), ("x", "y"))


@pytest.mark.parametrize(("labels", "says"), [
    (np.array([0, 3, 1]), r"y\[1\] is 3"), (np.array([[0], [1], [-1]]), r"y\[2, 0\] is -1"), (np.array([0, 1.5, 2], np.float32), r"y\[1\] is 1.5"),
    (np.array([0, np.nan, 2], np.float32), r"y\[1\] is nan")])
def test_labels_that_are_none(interpreted, labels, says):
    with pytest.raises(ArgumentError, match=f"sparse_categorical_crossentropy: y has whole numbers from 0 to 2; {says}"):
        labels_step()((batch(3), labels))


def test_labels_that_do_not_count(interpreted):
    step = labels_step(ignored=-1)
    step((batch(3), np.array([0, -1, 2])))
    with pytest.raises(ArgumentError, match=r"from 0 to 2, or -1; y\[1\] is -2"):
        step((batch(3), np.array([0, -2, 2])))
    labels_step()((batch(3), np.array([0, 1, 2], np.uint8)))
    labels_step()((batch(3), np.array([0, 1, 2], np.float32)))


def test_positions_in_a_table(interpreted):
    table = Variable(np.arange(10, dtype=np.float32).reshape(5, 2))
    step = Step("table", lambda x: ops.gather(table, ops.cast(ops.reshape(x, (-1,)), np.int64)))
    assert step(np.array([[4], [0]], np.int32)).tolist() == [[8, 9], [0, 1]]
    with pytest.raises(ArgumentError, match=r"from 0 to 4; .*\[1, 0\] is 5"):
        step(np.array([[4], [5]], np.int32))

"""Where batches come from."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

from dlcompile import config, utils
from dlcompile.data.sources import source, split
from dlcompile.errors import ArgumentError
from dlcompile.utils import PyDataset

X, Y, W = np.arange(20, dtype=np.float64).reshape(10, 2), np.arange(10), np.linspace(0, 1, 10)


def epoch(batches):
    return list(batches.epoch())


def test_arrays_in_order():
    made = source(X, Y, W, batch_size=4)
    first, second, third = epoch(made)
    assert made.steps == 3
    np.testing.assert_array_equal(np.concatenate([b[0] for b in (first, second, third)]), X)
    np.testing.assert_array_equal(third[1], [8, 9])
    assert first[0].dtype == np.float32 and first[1].dtype == np.int64 and first[2].dtype == np.float32
    assert np.may_share_memory(first[0], second[0][:0].base)  # parts of one array, not copies
    assert epoch(source(X))[0][1:] == (None, None)


def test_another_order_each_epoch():
    made = source(X, Y, batch_size=3, shuffle=True)
    np.random.seed(0)
    one, two = (np.concatenate([b[1] for b in epoch(made)]) for _ in range(2))
    assert sorted(one) == sorted(two) == list(range(10)) and one.tolist() != two.tolist()
    for x, y, _ in made.epoch():
        np.testing.assert_array_equal(x[:, 0], 2 * y)
    batches = [tuple(b[1]) for b in epoch(source(X, Y, batch_size=5, shuffle="batch"))]
    assert sorted(batches) == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]


def test_nested_arrays_lists_and_other_libraries_arrays():
    class Frame:
        def __array__(self, dtype=None, copy=None):
            return X

    for x in ({"a": X, "b": [Y, Frame()]}, [X, Y], (X, None), Frame(), [[1, 2], [3, 4]] * 5, list(range(10))):
        batch = epoch(source(x, list(Y), batch_size=10))[0]
        np.testing.assert_array_equal(batch[1], Y)
    assert isinstance(epoch(source({"a": X, "b": [Y, Frame()]}))[0][0]["b"][1], np.ndarray)


def test_floatx():
    config.set_floatx("float64")
    try:
        assert epoch(source(X))[0][0].dtype == np.float64
    finally:
        config._forget()
    assert epoch(source(X.astype(np.float16)))[0][0].dtype == np.float16
    assert epoch(source(X.astype(np.uint8)))[0][0].dtype == np.uint8


def test_an_iterable_that_begins_anew():
    batches = [(X[:4], Y[:4]), (X[4:], Y[4:], W[4:])]
    made = source(batches)
    for _ in range(2):
        found = epoch(made)
        assert [b[1].tolist() for b in found] == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]
        assert found[0][2] is None and found[1][2].dtype == np.float32
    assert made.steps == 2
    assert len(epoch(source(iter(batches)))) == 2 and source(iter(batches)).steps is None


def test_a_generator_goes_on_where_it_was():
    def forever():
        i = 0
        while True:
            yield np.full((2, 1), i), np.full(2, i)
            i += 1

    made = source(forever(), steps=3)
    assert [int(b[1][0]) for b in epoch(made)] == [0, 1, 2] and [int(b[1][0]) for b in epoch(made)] == [3, 4, 5]
    assert made.steps == 3


def test_a_generator_that_ends():
    made = source(((X[:2], Y[:2]) for _ in range(4)), steps=3)
    assert len(epoch(made)) == 3
    with pytest.warns(UserWarning, match="the data ran out: an epoch has 3 batches"):
        assert len(epoch(made)) == 1


def test_steps_of_arrays_go_round():
    made = source(X, Y, batch_size=4, steps=2)
    assert [b[1][0] for _ in range(3) for b in epoch(made)] == [0, 4, 8, 0, 4, 8]


def test_batches_by_number():
    class Data(PyDataset):
        begun = ended = 0

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return X[:2] + index, Y[:2] + index

        def on_epoch_begin(self):
            self.begun += 1

        def on_epoch_end(self):
            self.ended += 1

    data = Data(workers=4)
    made = source(data)
    assert [int(b[1][0]) for b in epoch(made)] == [0, 1, 2] and made.steps == 3
    made.epoch_ended()
    assert (data.begun, data.ended) == (1, 1)
    assert sorted(int(b[1][0]) for b in epoch(source(data, shuffle=True))) == [0, 1, 2]
    with pytest.raises(NotImplementedError, match="__getitem__"):
        PyDataset()[0]


def test_batches_as_tuples():
    assert utils.unpack_x_y_sample_weight(utils.pack_x_y_sample_weight(1, 2, 3)) == (1, 2, 3)
    assert utils.unpack_x_y_sample_weight([1, 2]) == (1, 2, None) and utils.pack_x_y_sample_weight("x") == "x"
    with pytest.raises(ArgumentError, match="not a tuple of 4"):
        utils.unpack_x_y_sample_weight((1, 2, 3, 4))


def test_class_weights():
    weights = {0: 2.0, 2: 0.5}
    labels = np.array([0, 1, 2, 0])
    for y in (labels, labels[:, None], np.eye(3)[labels]):
        np.testing.assert_array_equal(epoch(source(X[:4], y, class_weight=weights))[0][2], [2, 1, 0.5, 2])
    np.testing.assert_array_equal(epoch(source(X[:4], labels, [1, 2, 3, 4], class_weight=weights))[0][2], [2, 2, 1.5, 8])
    with pytest.raises(ArgumentError, match="one output"):
        epoch(source(X[:4], [labels, labels], class_weight=weights))


def test_validation_split():
    (x, y, w), (vx, vy, vw) = split({"a": X}, Y, None, 0.25)
    assert len(x["a"]) == len(y) == 7 and len(vx["a"]) == 3 and vy.tolist() == [7, 8, 9] and w is vw is None


@pytest.mark.parametrize(("call", "says"), [
    (lambda: source(X, Y[:9]), "different numbers of samples: x 10, y 9"), (lambda: source({"a": X, "b": X[:3]}, Y), r"x\['b'\] 3, y 10"),
    (lambda: source(X, Y, W[:2]), "sample_weight 2"), (lambda: source(np.zeros((0, 3))), "x has no samples"),
    (lambda: source(np.float32(3)), "x is a number"), (lambda: source(np.array(["a", "b"])), "x is an array of <U1"),
    (lambda: source(np.array([{}, {}])), "x is an array of object"), (lambda: source(X, Y, batch_size=0), "batch_size is a whole number"),
    (lambda: source(X, Y, steps=0), "steps is a whole number"), (lambda: source(X, Y, shuffle="all"), "shuffle is"),
    (lambda: source(iter([]), Y), "y cannot be given beside x of type list_iterator"), (lambda: source(5), "x is a number"),
    (lambda: source(object()), "x is an array, a list or dictionary of arrays, a generator"),
    (lambda: source(X, Y, class_weight=[1, 2]), "class_weight is a dictionary"), (lambda: source(X, Y, class_weight={-1: 2}), "class_weight"),
    (lambda: split(X, Y, None, 1.0), "between 0 and 1"), (lambda: split(X[:1], Y[:1], None, 0.5), "leaves none"),
    (lambda: split(iter([]), None, None, 0.5), "validation_split divides arrays"), (lambda: epoch(source([(X, Y, W, 1)] * 2)), "x")])
def test_errors(call, says):
    with pytest.raises(ArgumentError, match=says), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()


def test_a_batch_size_for_batches_is_a_warning():
    with pytest.warns(UserWarning, match="comes in batches"):
        source(iter([]), batch_size=4)

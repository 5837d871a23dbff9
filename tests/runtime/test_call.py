"""Calling a model: what arguments it takes, what it refuses and in which words, from both call paths."""
import array

import numpy as np
import pytest

from dlcompile.errors import ArgumentError
from dlcompile.graph.dtypes import as_dtype
from tests.runtime.conftest import DTYPES

X = np.arange(15, dtype=np.float32).reshape(5, 3)
Y = X @ np.array([1, 2, 3], np.float32)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def misaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)
    result = memory[1:].view(x.dtype).reshape(x.shape)
    result[...] = x
    assert not result.flags.aligned
    return result


class WithArray:
    def __array__(self, dtype=None, copy=None):
        return X


class WithDlpack:
    def __dlpack__(self, **kwargs):
        return X.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return X.__dlpack_device__()


@pytest.mark.parametrize("make", [
    lambda: X, lambda: np.asfortranarray(X), lambda: np.repeat(X, 2, axis=1)[:, ::2], lambda: X[::-1][::-1], lambda: X.astype(">f4"),
    lambda: read_only(X), lambda: misaligned(X), lambda: memoryview(X), lambda: X.tolist(), lambda: tuple(map(tuple, X.tolist())),
    WithArray, WithDlpack, lambda: X.view(np.recarray).view(np.ndarray), lambda: np.ma.array(X),
])
def test_anything_that_is_an_array(load_model, make):
    np.testing.assert_array_equal(load_model("weighted")(make()), Y)


def test_by_position_and_by_name(load_model):
    model = load_model("constrained")
    a, b, c = np.arange(3, dtype=np.float32), np.arange(5, dtype=np.float32), np.arange(3, dtype=np.float32) + 7
    for got in (model(a, b, c), model(a, c=c, b=b), model(c=c, a=a, b=b)):
        assert isinstance(got, tuple)
        for value, expected in zip(got, (a, b, c)):
            np.testing.assert_array_equal(value, expected)


def test_sizes(load_model):
    """One model serves every size, 0 too, in any order."""
    model = load_model("weighted")
    for rows in (5, 1, 0, 1000, 17, 0, 2):
        x = np.random.default_rng(rows).integers(-9, 9, (rows, 3)).astype(np.float32)
        result = model(x)
        assert result.dtype == np.float32 and result.shape == (rows,)
        np.testing.assert_array_equal(result, x @ np.array([1, 2, 3], np.float32))


def test_every_element_type(load_model):
    values = [np.array([0, 1, 1]).astype(as_dtype(name)) for name in DTYPES]
    results = load_model("types")(*values)
    for name, value, result in zip(DTYPES, values, results):
        assert result.dtype == as_dtype(name)
        np.testing.assert_array_equal(result.astype(np.float64), value.astype(np.float64))


def test_types_that_buffers_cannot_name(load_model):
    """bfloat16, alone and not contiguous; uint16 is another type, though it has as many bits."""
    bfloat16 = as_dtype("bfloat16")
    h = np.arange(6).astype(bfloat16).reshape(3, 2).T
    result = load_model("half")(h)
    assert result.dtype == bfloat16
    np.testing.assert_array_equal(result.astype(np.float32), h.astype(np.float32))
    with pytest.raises(ArgumentError, match="must be bfloat16, not uint16"):
        load_model("half")(np.zeros((2, 3), np.uint16))


def test_scalars(load_model):
    model = load_model("scalar")
    for s, k in ((2.5, 7), (np.float32(2.5), np.int64(7)), (np.array(2.5, np.float32), np.array(7))):
        first, second = model(s, k)
        assert first.shape == () and first == 2.5 and second == 7
    assert model(3, True)[0] == 3


def test_buffers_of_the_standard_library(load_model):
    model = load_model("types")
    values = [np.zeros(3, as_dtype(name)) for name in DTYPES]
    values[DTYPES.index("uint8")] = b"abc"
    values[DTYPES.index("float32")] = array.array("f", [1, 2, 3])
    results = model(*values)
    assert results[DTYPES.index("uint8")].tobytes() == b"abc" and results[DTYPES.index("float32")].tolist() == [1, 2, 3]


@pytest.mark.parametrize(("arguments", "named", "words"), [
    ((), {}, ["input 'x' is missing"]),
    ((X, X), {}, ["2 inputs given, 1 expected (x)"]),
    ((), {"z": X}, ["no input is called 'z'", "the inputs are x"]),
    ((X,), {"x": X}, ["input 'x' is given twice"]),
    ((X.astype(np.float64),), {}, ["input 'x' must be float32, not float64"]),
    ((X.astype(np.int32),), {}, ["input 'x' must be float32, not int32"]),
    ((X.astype(np.complex64),), {}, ["must be float32, not complex64"]),
    ((X.tobytes(),), {}, ["input 'x'"]),
    ((X[0],), {}, ["input 'x' has shape (3,), expected float32[batch, 3]", "2 dimensions, not 1"]),
    ((X[:, :2],), {}, ["input 'x' has shape (5, 2), expected float32[batch, 3]", "axis 1 must be 3, not 2"]),
    (("text",), {}, ["input 'x'"]),
    ((["a", "b"],), {}, ["input 'x' must be float32"]),
    (([[1, 2, 3], [4, 5]],), {}, ["input 'x' cannot be made an array from list"]),
    ((object(),), {}, ["input 'x' cannot be made an array from object"]),
    ((None,), {}, ["input 'x'"]),
])
def test_wrong_arguments(load_model, arguments, named, words):
    with pytest.raises(ArgumentError) as error:
        load_model("weighted")(*arguments, **named)
    for word in ("weighted: ", *words):
        assert word in str(error.value)


def test_numbers_that_do_not_fit_their_type(load_model):
    model = load_model("scalar")
    with pytest.raises(ArgumentError, match="input 'k' must be int64; 1.5 does not fit"):
        model(1.0, 1.5)


def floats(count):
    return np.zeros(count, np.float32)


@pytest.mark.parametrize(("sizes", "words"), [
    ((3, 4, 3), ["input 'b' has shape (4,)", "axis 0 must be 2*m + 1, which cannot be 4"]),
    ((3, 5, 4), ["shapes that do not go together with n=3, m=2", "c: (4,)"]),
    ((3, 7, 3), ["node Join_7 needs n and m + 1 to be equal; they are 3 and 4"]),
])
def test_shapes_that_do_not_go_together(load_model, sizes, words):
    with pytest.raises(ArgumentError) as error:
        load_model("constrained")(*map(floats, sizes))
    for word in words:
        assert word in str(error.value)


def test_symbols_that_contradict_each_other(load_model):
    with pytest.raises(ArgumentError) as error:
        load_model("pair")(np.zeros((2, 4), np.float32), floats(3))
    assert "axis 0 of input 'out' makes n 3, axis 0 of input 'a' makes it 2" in str(error.value)


def test_a_failed_call_leaves_the_model_usable(load_model):
    model = load_model("constrained")
    with pytest.raises(ArgumentError):
        model(*map(floats, (3, 7, 3)))
    assert len(model(*map(floats, (3, 5, 3)))) == 3


# -- out= -------------------------------------------------------------------------------------------------------------------
def test_out_is_written_and_returned(load_model):
    out = np.full(5, np.nan, np.float32)
    assert load_model("weighted")(X, out=out) is out
    np.testing.assert_array_equal(out, Y)


def test_out_that_is_not_contiguous(load_model):
    memory = np.zeros((5, 2), np.float32)
    load_model("weighted")(X, out=memory[:, 1])
    np.testing.assert_array_equal(memory, np.stack([np.zeros(5), Y], axis=1))


def test_out_that_overlaps_an_input(load_model):
    memory = np.arange(20, dtype=np.float32)
    x = memory[:15].reshape(5, 3)
    expected = x @ np.array([1, 2, 3], np.float32)
    load_model("weighted")(x, out=memory[2:7])
    np.testing.assert_array_equal(memory[2:7], expected)


def test_out_of_a_type_that_buffers_cannot_name(load_model):
    h = np.arange(6).astype(as_dtype("bfloat16")).reshape(2, 3)
    out = np.zeros_like(h)
    assert load_model("half")(h, out=out) is out
    np.testing.assert_array_equal(out.astype(np.float32), h.astype(np.float32))


@pytest.mark.parametrize(("out", "words"), [
    (np.zeros(4, np.float32), "must be float32[5], not float32[4]"),
    (np.zeros(5), "must be float32[5], not float64[5]"),
    (read_only(np.zeros(5, np.float32)), "read-only"),
    ([0.0] * 5, "out has 5 arrays, the model has 1"),
    ((), "out has 0 arrays"),
    ("text", "must be a NumPy array, not str"),
])
def test_wrong_out(load_model, out, words):
    with pytest.raises(ArgumentError) as error:
        load_model("weighted")(X, out=out)
    assert words in str(error.value)


def test_several_outs(load_model):
    values = tuple(np.random.default_rng(0).random(n).astype(np.float32) for n in (3, 5, 3))
    outs = tuple(np.zeros(n, np.float32) for n in (3, 5, 3))
    assert load_model("constrained")(*values, out=outs)[1] is outs[1]
    for value, out in zip(values, outs):
        np.testing.assert_array_equal(value, out)
    with pytest.raises(ArgumentError, match="same array twice"):
        load_model("constrained")(*values, out=(outs[0], outs[1], outs[0]))


def test_an_input_called_out(load_model):
    """The model's own names come first: `out=` is then its input."""
    first, second = load_model("pair")(np.ones((2, 4), np.float32), out=floats(2))
    assert first.shape == (2, 4) and second.shape == (2,)

"""Labels, padded sequences, progress bars."""
from __future__ import annotations

import io
import re
import sys

import numpy as np
import pytest

from dlcompile import utils
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.utils import progress


def test_labels_as_vectors():
    np.testing.assert_array_equal(utils.to_categorical([1, 0, 2]), np.eye(3)[[1, 0, 2]])
    assert utils.to_categorical([[1], [0]], 4).shape == (2, 4) and utils.to_categorical([[0, 1], [1, 0]]).shape == (2, 2, 2)
    assert utils.to_categorical(3).tolist() == [0, 0, 0, 1]
    for wrong in ([3], [-1]):
        with pytest.raises(ArgumentError, match="labels are from 0 to 2"):
            utils.to_categorical(wrong, 3)


def test_normalize():
    x = np.array([[3.0, 4.0], [0, 0]])
    np.testing.assert_allclose(utils.normalize(x), [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(utils.normalize(x, axis=0, order=1), [[1, 1], [0, 0]])
    assert utils.normalize(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(("arguments", "expected"), [
    ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6], [0, 0, 0]]), ({"padding": "post", "value": 9}, [[1, 9, 9], [2, 3, 9], [4, 5, 6], [9, 9, 9]]),
    ({"maxlen": 2}, [[0, 1], [2, 3], [5, 6], [0, 0]]), ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5], [0, 0]]),
    ({"maxlen": 4, "padding": "post"}, [[1, 0, 0, 0], [2, 3, 0, 0], [4, 5, 6, 0], [0, 0, 0, 0]])])
def test_sequences_of_one_length(arguments, expected):
    found = utils.pad_sequences([[1], [2, 3], [4, 5, 6], []], **arguments)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_sequences_of_vectors():
    found = utils.pad_sequences([np.ones((1, 2)), np.ones((3, 2))], dtype="float32")
    assert found.shape == (2, 3, 2) and found[0].sum() == 2
    with pytest.raises(ShapeError, match="one shape"):
        utils.pad_sequences([np.ones((1, 2)), np.ones((1, 3))])
    with pytest.raises(ArgumentError, match="padding is 'pre' or 'post'"):
        utils.pad_sequences([[1]], padding="left")


def test_batches():
    assert utils.unpack_x_y_sample_weight(utils.pack_x_y_sample_weight(1, 2, 3)) == (1, 2, 3)
    assert utils.unpack_x_y_sample_weight([1, 2]) == (1, 2, None) and utils.pack_x_y_sample_weight("x") == "x"
    with pytest.raises(ArgumentError, match="not a tuple of 4"):
        utils.unpack_x_y_sample_weight((1, 2, 3, 4))


# -- progress -----------------------------------------------------------------------------------------------------------------
class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_bar_on_a_terminal(monkeypatch, clock):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    bar = utils.Progbar(4, width=8, stateless_metrics=())
    for i in range(1, 5):
        clock[0] += 10.0 if i == 1 else 0.5
        bar.update(i, [("loss", 1.0 / i), ("rare", 1e-5)], finalize=i == 4)
    lines = plain(out.getvalue()).split("\r")[1:]
    assert lines[1].startswith("2/4 ━━━━━━━━ 1s 500ms/step - loss: 0.5000 - rare: 1.0000e-05")  # what the first step took does not count
    assert lines[3].rstrip() == "4/4 ━━━━━━━━ 12s 500ms/step - loss: 0.2500 - rare: 1.0000e-05" and lines[3].endswith("\n")


def test_a_bar_is_not_written_too_often(monkeypatch, clock):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    bar = utils.Progbar(1000, interval=0.05)
    for _ in range(1000):
        clock[0] += 0.001
        bar.add(1)
    assert 10 <= out.getvalue().count("\r") <= 22


def test_means_of_steps(capsys):
    bar = utils.Progbar(None, verbose=2)
    bar.update(1, [("a", 2.0)])
    bar.update(3, [("a", 5.0)])
    bar.target = 3
    bar.update(3, finalize=True)
    assert "a: 4.0000" in capsys.readouterr().out
    shown = utils.Progbar(2, verbose=2, stateful_metrics=["a"])
    shown.update(1, [("a", 2.0)])
    shown.update(2, [("a", 5.0)])
    assert "a: 5.0000" in capsys.readouterr().out
    with pytest.raises(ArgumentError, match="not both"):
        utils.Progbar(2, stateful_metrics=["a"], stateless_metrics=["b"])


@pytest.mark.parametrize(("seconds", "text"), [(2.4, "2s"), (0.0123, "12ms"), (4.5e-5, "45us")])
def test_durations(seconds, text):
    assert progress._duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(5, "5s"), (65, "1:05"), (3725, "1:02:05")])
def test_clocks(seconds, text):
    assert progress._clock(seconds) == text


def test_a_terminal_without_the_characters(monkeypatch):
    class Ascii(io.TextIOWrapper):
        def isatty(self):
            return True

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Ascii(raw, encoding="ascii"))
    utils.Progbar(1).update(1)
    sys.stdout.flush()
    assert b"1/1 ?" in re.sub(rb"\x1b\[[0-9;]*m", b"", raw.getvalue())

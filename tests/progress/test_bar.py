"""Progress bars."""
from __future__ import annotations

import io
import re
import sys

import pytest

from dlcompile import utils
from dlcompile.errors import ArgumentError
from dlcompile.progress import bar as progress


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

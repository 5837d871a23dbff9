"""Schedules against their formulas in Python, step by step; in a trace as outside of one."""
from __future__ import annotations

import json
import math

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph, make_input
from dlcompile.operators import evaluate
from dlcompile.optimizers import schedules
from dlcompile.variables import Variable


def wave(done, alpha=0.0, height=1.0):
    return (1 - alpha) * height * (1 + math.cos(math.pi * done)) / 2 + alpha


def warm(s):
    return 0.1 + (1.0 - 0.1) * s / 4 if s < 4 else wave(min(s - 4, 10) / 10, 0.2)


def restarts(s, t, m):
    length, height = 3.0, 1.0
    while s >= length - 1e-9:
        s, length, height = s - length, length * t, height * m
    return 0.5 * wave(s / length, 0.1, height)


def cycled(s):
    length = 5 * max(1, math.ceil(s / 5))
    return (1.0 - 0.1) * (1 - s / length)**2 + 0.1


CASES = [
    (schedules.ExponentialDecay(0.5, 4, 0.9), lambda s: 0.5 * 0.9**(s / 4)),
    (schedules.ExponentialDecay(0.5, 4, 0.9, staircase=True), lambda s: 0.5 * 0.9**(s // 4)),
    (schedules.InverseTimeDecay(0.5, 4, 0.9), lambda s: 0.5 / (1 + 0.9 * s / 4)),
    (schedules.InverseTimeDecay(0.5, 4, 0.9, True), lambda s: 0.5 / (1 + 0.9 * (s // 4))),
    (schedules.PiecewiseConstantDecay([3, 7], [1.0, 0.5, 0.1]), lambda s: 1.0 if s <= 3 else 0.5 if s <= 7 else 0.1),
    (schedules.PolynomialDecay(1.0, 10, 0.1, 2.0), lambda s: 0.9 * (1 - min(s, 10) / 10)**2 + 0.1),
    (schedules.PolynomialDecay(1.0, 5, 0.1, 2.0, cycle=True), cycled),
    (schedules.CosineDecay(0.5, 10, 0.2), lambda s: 0.5 * wave(min(s, 10) / 10, 0.2)),
    (schedules.CosineDecay(0.1, 10, 0.2, warmup_target=1.0, warmup_steps=4), warm),
    (schedules.CosineDecayRestarts(0.5, 3, 2.0, 0.8, 0.1), lambda s: restarts(s, 2.0, 0.8)),
    (schedules.CosineDecayRestarts(0.5, 3, 1.0, 1.0, 0.1), lambda s: restarts(s, 1.0, 1.0)),
]


@pytest.mark.parametrize(("schedule", "formula"), CASES, ids=lambda value: getattr(type(value), "__name__", ""))
def test_formula(schedule, formula):
    step = make_input("step", np.int64, ())
    graph = Graph("rate", [step], [schedule(step)])
    count = Variable(np.int64(0))
    for s in range(25):
        expected = formula(s)
        for found in (schedule(s), schedule(count), *evaluate(graph, [np.int64(s)])):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7, err_msg=f"step {s}")
        count.assign_add(1)
    read = schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule))))
    assert type(read) is type(schedule) and read.get_config() == schedule.get_config()


def test_own_schedules():
    class Halved(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5 ** ops.cast(step // 10, np.float32)

    assert [float(Halved()(n)) for n in (0, 9, 10, 39)] == [1, 1, 0.5, 0.125]
    with pytest.raises(NotImplementedError, match="get_config"):
        Halved().get_config()


@pytest.mark.parametrize(("call", "says"), [
    (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps is a number greater than 0"),
    (lambda: schedules.CosineDecayRestarts(0.1, -1), "first_decay_steps"),
    (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "2 boundaries and 2 values"),
    (lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), "in order")])
def test_errors(call, says):
    with pytest.raises(ArgumentError, match=says):
        call()

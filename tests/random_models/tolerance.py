"""How far a result may be from the reference: an error of allowed size, spread through the model.

Each operator states its own error (`Tolerance`): how many units in the last place its result may be off, and, for
sums, how many its operands may be thought to be off (a backward error, the usual statement for sums and products).
A model may turn small errors into large ones (a difference of near equals, a logarithm near 1), and no fixed
figure covers that. So each value is computed three times: as the reference has it, and twice with errors of the stated size put in
after every node, with opposite signs. What those are apart is what a right implementation may be apart.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.random_models.values import epsilon, is_float

SAFETY = 8  # errors of single nodes do not always meet with the signs that add them up


@dataclass(frozen=True)
class Tolerance:
    """The error of one operator in units of the last place: of its result, and of its operands. `absolute` is beside 1. `zeros`: whether the
    sign of a 0 is open, as it is wherever there may be an error."""

    result: float = 0.0
    operands: float = 0.0
    absolute: float = 0.0
    zeros: bool = False


EXACT = Tolerance()
EXTREMUM = Tolerance(zeros=True)  # 0 and -0 are equal, so either is the larger
ROUNDED = Tolerance(1)  # correctly rounded itself; transforms may regroup
TRANSCENDENTAL = Tolerance(4)
SUM = Tolerance(2, 2)
ITERATED = Tolerance(8, 8)  # steps of a recurrence, products of many


def disturb(array: np.ndarray, units: float, random: np.random.Generator, sign: int, absolute: float = 0.0,
            away: np.ndarray | None = None, zeros: bool = False) -> np.ndarray:
    """The array with each float moved by that many units in its last place; the same with the other sign moves the other way.
    `away`: what it is to be moved further from, where it is not the same already. `zeros`: a 0 gets the sign."""
    if not is_float(array.dtype) or not (units or absolute or zeros):
        return array
    directions = np.where(random.random(array.shape) < 0.5, 1.0, -1.0) * sign
    values = array.astype(np.float64)
    with np.errstate(all="ignore"):
        if away is not None:
            further = np.sign(values - away.astype(np.float64))
            directions = np.where(np.abs(further) == 1, further, directions)
        unit = epsilon(array.dtype)
        moved = (values + directions * unit * (units * np.abs(values) + absolute)).astype(array.dtype)
    return np.where(moved == 0, np.asarray(sign * 0.0, array.dtype), moved) if zeros else moved


def disagreement(got: np.ndarray, samples: Sequence[np.ndarray]) -> str | None:
    """What is wrong with a result, given the reference's and the disturbed ones; None where nothing is."""
    expected = samples[0]
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return f"{got.dtype}{list(got.shape)}, not {expected.dtype}{list(expected.shape)}"
    if not is_float(expected.dtype):
        # where an integer depends on how a float was rounded, nothing is said of it
        free = np.logical_or.reduce([np.asarray(s != expected) for s in samples[1:]]) if len(samples) > 1 else False
        return _first(~((got == expected) | free), got, expected)
    with np.errstate(all="ignore"):
        wide = [s.astype(np.float64) for s in samples]
        value, a = wide[0], got.astype(np.float64)
        # beside 0, a disturbance smaller than half a unit is rounded away
        allowed = np.abs(value) * (epsilon(expected.dtype) / 2 if len(wide) > 1 else 0)
        for other in wide[1:]:
            allowed = np.maximum(allowed, np.abs(other - value))
        if allowed.size and np.isfinite(allowed).any():  # errors in the operands of a sum may happen to cancel out in one element
            allowed = np.fmax(allowed, np.median(allowed[np.isfinite(allowed)]) / 2)
        close = (a == value) | (np.abs(a - value) <= SAFETY * allowed) | (np.isnan(a) & np.isnan(value))
        for other in wide[1:]:  # an infinity or a NaN that a small error takes away, or brings
            close |= np.isfinite(value) != np.isfinite(other)
            close |= np.isnan(value) != np.isnan(other)
            close |= np.isinf(value) & (value != other)
    return _first(~close, got, expected, allowed)


def _first(wrong: np.ndarray, got: np.ndarray, expected: np.ndarray, allowed: np.ndarray | None = None) -> str | None:
    if not np.any(wrong):
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    more = "" if allowed is None else f", allowed {SAFETY * float(allowed[at]):.3g}"
    return f"{int(np.sum(wrong))} of {got.size} wrong, first at {list(at)}: {got[at]!r}, not {expected[at]!r}{more}"

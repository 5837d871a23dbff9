"""Learning rates as functions of the number of steps.

    optimizers.Adam(schedules.CosineDecay(1e-3, decay_steps=1000, warmup_target=1e-2, warmup_steps=100))

Within a compiled step the number of steps is a variable, so that nothing is compiled again when the rate changes.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dlcompile import config, ops
from dlcompile.eager import eager
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor
from dlcompile.registry import Configurable, Family


class LearningRateSchedule(Configurable):
    """A function of the number of steps. A class of one's own defines `__call__(self, step)`, written with `dlcompile.ops`, and `get_config`."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            cls.__call__ = eager(vars(cls)["__call__"])

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(self, step)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a schedule like this one."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_config(), so it cannot be saved")


class _Schedule(LearningRateSchedule):
    """A schedule whose arguments are its attributes."""

    arguments: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in (*self.arguments, "name")}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={getattr(self, key)!r}' for key in self.arguments)})"


def _steps(step: Any) -> Tensor:
    return ops.cast(ops.as_tensor(step), config.floatx())


def _positive(what: str, value: float) -> float:
    if not value > 0:
        raise ArgumentError(f"{what} is a number greater than 0, not {value!r}")
    return value


class ExponentialDecay(_Schedule):
    """initial decay_rate**(step / decay_steps), with the whole part of the exponent where `staircase`.

    >>> float(ExponentialDecay(0.5, decay_steps=10, decay_rate=0.5)(20))
    0.125
    """

    arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase")

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False, name: str = "ExponentialDecay"):
        self.initial_learning_rate, self.decay_rate, self.staircase, self.name = initial_learning_rate, decay_rate, staircase, name
        self.decay_steps = _positive("decay_steps", decay_steps)

    def __call__(self, step: Any) -> Tensor:
        p = _steps(step) / float(self.decay_steps)
        return self.initial_learning_rate * ops.pow(ops.as_tensor(self.decay_rate, p.dtype), ops.floor(p) if self.staircase else p)


class InverseTimeDecay(_Schedule):
    """initial / (1 + decay_rate step / decay_steps), with the whole part of the quotient where `staircase`."""

    arguments = ExponentialDecay.arguments

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False, name: str = "InverseTimeDecay"):
        self.initial_learning_rate, self.decay_rate, self.staircase, self.name = initial_learning_rate, decay_rate, staircase, name
        self.decay_steps = _positive("decay_steps", decay_steps)

    def __call__(self, step: Any) -> Tensor:
        p = _steps(step) / float(self.decay_steps)
        return self.initial_learning_rate / (1.0 + self.decay_rate * (ops.floor(p) if self.staircase else p))


class PiecewiseConstantDecay(_Schedule):
    """values[0] up to the step boundaries[0], values[1] from the next one to boundaries[1], and so on."""

    arguments = ("boundaries", "values")

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ArgumentError(f"there is one value more than boundaries; here are {len(boundaries)} boundaries and {len(values)} values")
        if list(boundaries) != sorted(boundaries):
            raise ArgumentError(f"boundaries are in order, not {list(boundaries)}")
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: Any) -> Tensor:
        step = _steps(step)
        rate = ops.as_tensor(self.values[-1], step.dtype)
        for boundary, value in zip(reversed(self.boundaries), reversed(self.values[:-1])):
            rate = ops.select(ops.le(step, boundary), ops.as_tensor(value, step.dtype), rate)
        return rate


class PolynomialDecay(_Schedule):
    """(initial - end) (1 - step / decay_steps)**power + end, end from decay_steps on; where `cycle`, decay_steps is multiplied by the whole number
    that makes it no smaller than the step."""

    arguments = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle")

    def __init__(self, initial_learning_rate: float, decay_steps: int, end_learning_rate: float = 0.0001, power: float = 1.0, cycle: bool = False,
                 name: str = "PolynomialDecay"):
        self.initial_learning_rate, self.end_learning_rate, self.power, self.cycle, self.name = (
            initial_learning_rate, end_learning_rate, power, cycle, name)
        self.decay_steps = _positive("decay_steps", decay_steps)

    def __call__(self, step: Any) -> Tensor:
        step, length = _steps(step), float(self.decay_steps)
        if self.cycle:
            length = ops.maximum(ops.ceil(step / length), 1.0) * length
        else:
            step = ops.minimum(step, length)
        return (self.initial_learning_rate - self.end_learning_rate) * ops.pow(1.0 - step / length, self.power) + self.end_learning_rate


def _cosine(rate: float, fraction: Tensor, alpha: float, height: Any = 1.0) -> Tensor:
    """rate ((1 - alpha) height (1 + cos π fraction) / 2 + alpha)"""
    return rate * ((1.0 - alpha) * (0.5 * height * (1.0 + ops.cos(math.pi * fraction))) + alpha)


class CosineDecay(_Schedule):
    """Half a wave of the cosine from the initial rate to alpha times it over decay_steps (Loshchilov & Hutter 2016); with a `warmup_target` first
    along a line from the initial rate to this one over warmup_steps, and the wave from there."""

    arguments = ("initial_learning_rate", "decay_steps", "alpha", "warmup_target", "warmup_steps")

    def __init__(self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0, name: str = "CosineDecay",
                 warmup_target: float | None = None, warmup_steps: int = 0):
        self.initial_learning_rate, self.alpha, self.name, self.warmup_target, self.warmup_steps = (
            initial_learning_rate, alpha, name, warmup_target, warmup_steps)
        self.decay_steps = _positive("decay_steps", decay_steps)

    def __call__(self, step: Any) -> Tensor:
        step, first, length = _steps(step), self.initial_learning_rate, float(self.decay_steps)
        if self.warmup_target is None:
            return _cosine(first, ops.minimum(step, length) / length, self.alpha)
        warmup = float(self.warmup_steps)
        after = ops.maximum(ops.minimum(step, length + warmup) - warmup, 0.0)
        decayed = _cosine(self.warmup_target, after / length, self.alpha)
        if not warmup:
            return decayed
        return ops.select(ops.lt(step, warmup), (self.warmup_target - first) * (step / warmup) + first, decayed)


class CosineDecayRestarts(_Schedule):
    """Half waves of the cosine, one after the other, each t_mul times as long and m_mul times as high as the one before; the first over
    first_decay_steps (Loshchilov & Hutter 2016)."""

    arguments = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha")

    def __init__(self, initial_learning_rate: float, first_decay_steps: int, t_mul: float = 2.0, m_mul: float = 1.0, alpha: float = 0.0,
                 name: str = "SGDRDecay"):
        self.initial_learning_rate, self.t_mul, self.m_mul, self.alpha, self.name = initial_learning_rate, t_mul, m_mul, alpha, name
        self.first_decay_steps = _positive("first_decay_steps", first_decay_steps)

    def __call__(self, step: Any) -> Tensor:
        done = _steps(step) / float(self.first_decay_steps)
        if self.t_mul == 1.0:
            wave = ops.floor(done)
            fraction = done - wave
        else:  # waves before this one: the largest i with (1 - t**i) / (1 - t) <= done
            wave = ops.floor(ops.log(1.0 - done * (1.0 - self.t_mul)) / math.log(self.t_mul))
            longer = ops.pow(ops.as_tensor(self.t_mul, done.dtype), wave)
            fraction = (done - (1.0 - longer) / (1.0 - self.t_mul)) / longer
        height = ops.pow(ops.as_tensor(self.m_mul, done.dtype), wave)
        return _cosine(self.initial_learning_rate, fraction, self.alpha, height)


FAMILY = Family("optimizers.schedules")
FAMILY.add(CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay)
serialize, deserialize = FAMILY.serialize, FAMILY.deserialize

__all__ = ["CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule", "PiecewiseConstantDecay",
           "PolynomialDecay", "deserialize", "serialize"]

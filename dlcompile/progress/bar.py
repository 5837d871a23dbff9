"""A line that tells how far something is."""
from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from dlcompile.errors import ArgumentError
from dlcompile.progress.messages import print_message

BOLD, GREEN, WHITE, PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


class Progbar:
    """A progress bar: `12/56 ━━━━━━━━━━━━━━━━━━━━ 3s 71ms/step - accuracy: 0.9012 - loss: 0.3456`.

    target:   how many steps there will be; None where nobody knows.
    verbose:  0: says nothing; 1: a line that is written again with every step, where there is a terminal to do it; 2: a line at the end. What goes to
              a file is a line at the end too.
    interval: seconds that lie between two times the line is written.
    stateful_metrics: names whose values are shown as they are; of others the mean over the steps is. stateless_metrics: the other way round.
    """

    def __init__(self, target: int | None, width: int = 20, verbose: int = 1, interval: float = 0.05, stateful_metrics: Iterable[str] | None = None,
                 stateless_metrics: Iterable[str] | None = None, unit_name: str = "step"):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ArgumentError("a progress bar takes stateful_metrics or stateless_metrics, not both")
        self.target, self.width, self.verbose, self.interval, self.unit_name = target, width, verbose, interval, unit_name
        self._averaged = None if stateless_metrics is None else set(stateless_metrics)
        self._shown = set(stateful_metrics or ())
        self._values: dict[str, tuple[float, float]] = {}
        self._dynamic = sys.stdout.isatty() or "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ
        self._start = time.monotonic()
        self._after_first: float | None = None
        self._last_update = 0.0
        self._seen = 0
        self._length = 0

    def update(self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None) -> None:
        """Tell that `current` steps are done, with the values of a step; `finalize`: it is the last one (by default where it is the target)."""
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._take(name, value, max(current - self._seen, 1), finalize)
        self._seen = current
        now = time.monotonic()
        seconds = self._per_step(current, now)
        if self.verbose == 1 and self._dynamic:
            if finalize or now - self._last_update >= self.interval:
                self._write_again(current, now, seconds, finalize)
                self._last_update = now
        elif self.verbose and finalize:
            print_message(f"{self._count(current)} - {now - self._start:.0f}s - {_duration(seconds)}/{self.unit_name}{self._told()}")

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Tell that n more steps are done."""
        self.update(self._seen + n, values)

    def _take(self, name: str, value: Any, steps: int, finalize: bool) -> None:
        value = float(np.mean(value))
        averaged = name not in self._shown if self._averaged is None else name in self._averaged
        total, count = self._values.get(name, (0.0, 0.0)) if averaged and not finalize else (0.0, 0.0)
        weight = steps if averaged and not finalize else 1
        self._values[name] = (total + value * weight, count + weight)

    def _per_step(self, current: int, now: float) -> float:
        """Seconds for a step; the first, in which things are compiled, is left out where there are others."""
        if current == 1 and self._after_first is None:
            self._after_first = now
        if not current:
            return 0.0
        if self._after_first is not None and current > 1:
            return (now - self._after_first) / (current - 1)
        return (now - self._start) / current

    def _count(self, current: int) -> str:
        return f"{current:>{len(str(self.target))}}/{self.target}" if self.target else f"{current:7d}/Unknown"

    def _told(self) -> str:
        values = ((name, total / max(count, 1)) for name, (total, count) in self._values.items())
        return "".join(f" - {name}: " + (f"{value:.4f}" if abs(value) > 1e-3 or value == 0 or not math.isfinite(value) else f"{value:.4e}")
                       for name, value in values)

    def _write_again(self, current: int, now: float, seconds: float, finalize: bool) -> None:
        done = int(self.width * min(current / self.target, 1)) if self.target else 0
        bar = f" {GREEN}{'━' * done}{WHITE}{'━' * (self.width - done)}{PLAIN}" if self.target else ""
        left = now - self._start if finalize or not self.target else seconds * (self.target - current)
        text = f" {_duration(seconds)}/{self.unit_name}{self._told()}"
        length = len(self._count(current)) + (self.width + 1 if self.target else 0) + len(_clock(left)) + 1 + len(text)
        line = f"\r{BOLD}{self._count(current)}{PLAIN}{bar} {BOLD}{_clock(left)}{PLAIN}{text}{' ' * max(self._length - length, 0)}"
        self._length = length
        print_message(line, line_break=finalize)


def _clock(seconds: float) -> str:
    whole = int(round(seconds))
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{whole}s"


def _duration(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.0f}{unit}"
    return f"{seconds * 1e6:.0f}us"


__all__ = ["Progbar"]

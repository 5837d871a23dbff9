"""Callbacks that look at a value of the logs, and at the learning rate."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from dlcompile.callbacks.base import Callback, Logs
from dlcompile.errors import ArgumentError
from dlcompile.progress.messages import print_message

MODES = ("auto", "min", "max")


class MonitorCallback(Callback):
    """What looks at one value of the logs.

    monitor:   its name. mode: "min" where smaller is better, "max" where larger is, "auto": what the metric of that name says of itself.
    baseline:  a value that has to be beaten. min_delta: by how much a value has to be better for that.
    """

    def __init__(self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0):
        super().__init__()
        if mode not in MODES:
            raise ArgumentError(f"mode is one of {', '.join(map(repr, MODES))}, not {mode!r}")
        self.monitor, self.mode, self.best, self.min_delta = monitor, mode, baseline, abs(min_delta)
        self._sign: float | None = None  # that makes larger values better ones

    def sign(self) -> float:
        """1 where larger values are better, -1 where smaller ones are. ArgumentError where that cannot be told."""
        if self._sign is None:
            name = self.monitor.removeprefix("val_")
            direction = {"min": "down", "max": "up"}.get(self.mode) or _direction(self.model, name)
            if direction is None:
                raise ArgumentError(f"{type(self).__name__}: nothing says whether a larger {self.monitor} is a better one; mode='max' or mode='min' does")
            self._sign = 1.0 if direction == "up" else -1.0
        return self._sign

    def is_improvement(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best one so far."""
        return best is None or (value - best) * self.sign() > self.min_delta

    def value(self, logs: Logs | None) -> Any:
        """The value that is looked at; None, with a warning, where the logs do not have it."""
        found = (logs or {}).get(self.monitor)
        if found is None:
            warnings.warn(f"{type(self).__name__} looks at {self.monitor}, which is not there; there are {', '.join(logs or {}) or 'no values'}",
                          stacklevel=3)
        elif np.ndim(found):
            raise ArgumentError(f"{type(self).__name__} looks at {self.monitor}, which is no number but an array of shape {np.shape(found)}")
        return found


def _direction(model: Any, name: str) -> str | None:
    if name == "loss" or name.endswith("_loss"):
        return "down"
    for metric in getattr(model, "metrics", ()):
        if metric.name == name or name.endswith(f"_{metric.name}"):
            return metric._direction
    return None


class EarlyStopping(MonitorCallback):
    """Ends the training when a value has not become better for `patience` epochs.

    restore_best_weights: the weights of the best epoch are taken back at the end. start_from_epoch: epochs before this one do not count.
    Other arguments as for `MonitorCallback`.
    """

    def __init__(self, monitor: str = "val_loss", min_delta: float = 0, patience: int = 0, verbose: int = 0, mode: str = "auto",
                 baseline: float | None = None, restore_best_weights: bool = False, start_from_epoch: int = 0):
        super().__init__(monitor, mode, None, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        current = self.value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_improvement(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print_message(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print_message(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when a value has not become better for `patience` epochs, down to `min_lr`; after that it waits for
    `cooldown` epochs."""

    def __init__(self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0, mode: str = "auto",
                 min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0):
        super().__init__(monitor, mode, None, min_delta)
        if not 0 < factor < 1:
            raise ArgumentError(f"factor is a number between 0 and 1, not {factor}")
        self.factor, self.patience, self.verbose, self.cooldown, self.min_lr = factor, patience, verbose, cooldown, min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best, self.cooldown_counter, self.wait = None, 0, 0

    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        if isinstance(logs, dict):
            logs["learning_rate"] = float(np.asarray(optimizer.learning_rate))
        current = self.value(logs)
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            rate = float(np.asarray(optimizer.learning_rate))
            if self.wait >= self.patience and rate > np.float32(self.min_lr):
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    print_message(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {float(np.asarray(optimizer.learning_rate)):g}.")


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch to schedule(epoch, learning rate), or schedule(epoch)."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        before = float(np.asarray(optimizer.learning_rate))
        try:
            rate = self.schedule(epoch, before)
        except TypeError:
            rate = self.schedule(epoch)
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) and np.ndim(rate):
            raise ArgumentError(f"the schedule of LearningRateScheduler returns a number, not {rate!r}")
        optimizer.learning_rate = float(np.asarray(rate))
        if self.verbose:
            print_message(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {float(np.asarray(rate)):g}.")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if isinstance(logs, dict):
            logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))


class SwapEMAWeights(Callback):
    """Puts the moving averages that the optimizer keeps (`use_ema=True`) in the variables' place while the model is evaluated and predicts, and where
    `swap_on_epoch` at the end of epochs, so that `ModelCheckpoint`, after it in the list, writes them."""

    def __init__(self, swap_on_epoch: bool = False):
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _swap(self, averages: bool) -> None:
        optimizer = self.model.optimizer
        if averages == self._swapped or optimizer is None or not optimizer.built:
            return
        if not optimizer.use_ema:
            raise ArgumentError(f"SwapEMAWeights needs an optimizer that keeps moving averages: {type(optimizer).__name__}(use_ema=True)")
        for variable, average in optimizer.averages():
            value = variable.numpy()
            variable.assign(average.numpy())
            average.assign(value)
        self._swapped = averages

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._swap(self.swap_on_epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    on_predict_begin, on_predict_end = on_test_begin, on_test_end


__all__ = ["EarlyStopping", "LearningRateScheduler", "MonitorCallback", "ReduceLROnPlateau", "SwapEMAWeights"]

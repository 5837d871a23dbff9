"""Callbacks that note or tell what happens, or stop where nothing good does."""
from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from dlcompile.callbacks.base import Callback, Logs
from dlcompile.errors import ExecutionError
from dlcompile.progress.bar import Progbar
from dlcompile.progress.messages import print_message


class History(Callback):
    """Notes the logs of all epochs: `history` is {name: [value of each epoch]}, `epoch` their numbers. `fit` returns one."""

    def __init__(self):
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self


class LambdaCallback(Callback):
    """Functions as a callback: LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs)), with any of the methods' names."""

    def __init__(self, on_epoch_begin: Callable | None = None, on_epoch_end: Callable | None = None, on_train_begin: Callable | None = None,
                 on_train_end: Callable | None = None, on_train_batch_begin: Callable | None = None, on_train_batch_end: Callable | None = None,
                 **kwargs):
        super().__init__()
        given = {"on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin, "on_train_end": on_train_end,
                 "on_train_batch_begin": on_train_batch_begin, "on_train_batch_end": on_train_batch_end}
        self.__dict__.update({name: function for name, function in given.items() if function is not None}, **kwargs)


class TerminateOnNaN(Callback):
    """Ends the training when a loss is infinite or not a number; where `raise_error` with an ExecutionError."""

    def __init__(self, raise_error: bool = False):
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss).all():
            return
        if self.raise_error:
            raise ExecutionError(f"the loss is {loss} after batch {batch}")
        print_message(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True


class CSVLogger(Callback):
    """Writes a line of a CSV file for each epoch. append: to a file that is there already, rather than instead of it."""

    def __init__(self, filename: str | os.PathLike, separator: str = ",", append: bool = False):
        super().__init__()
        self.filename, self.separator, self.append = Path(filename), separator, append
        self._file: IO[str] | None = None
        self._writer: csv.DictWriter | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        self._headed = self.append and self.filename.exists() and self.filename.stat().st_size > 0
        self._file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = dict(logs or {})
        if self._writer is None:
            names = sorted(logs)
            if not any(name.startswith("val_") for name in names):
                names += [f"val_{name}" for name in names]  # a validation may come in a later epoch
            self._writer = csv.DictWriter(self._file, ["epoch", *names], restval="NA", extrasaction="ignore", delimiter=self.separator,
                                          lineterminator="\n")
            if not self._headed:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **{name: _cell(value) for name, value in logs.items()}})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None


def _cell(value: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"[{', '.join(map(str, value))}]"
    return value


class ProgbarLogger(Callback):
    """Shows how far an epoch, an evaluation or a prediction is, with the metrics so far (see `utils.Progbar`)."""

    def __init__(self):
        super().__init__()
        self.verbose, self.epochs, self.target = 1, 1, None
        self._bar: Progbar | None = None
        self._training = False
        self._seen = 0

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose in ("auto", True) else int(verbose)
        self.epochs, self.target = params.get("epochs") or 1, params.get("steps")

    def _begin(self) -> None:
        self._bar, self._seen = Progbar(self.target, verbose=self.verbose, stateless_metrics=()), 0

    def _done(self, batch: int, logs: Logs | None) -> None:
        self._seen = batch + 1
        if self.verbose == 1:
            self._bar.update(self._seen, list((logs or {}).items()), finalize=False)

    def _end(self, logs: Logs | None) -> None:
        if self.target is None:
            self.target = self._bar.target = self._seen
        self._bar.update(self._seen or self.target, list((logs or {}).items()), finalize=True)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._training = True  # a validation within it is not shown

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._training = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._begin()
        if self.verbose and self.epochs > 1:
            print_message(f"Epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._done(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._end(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._begin()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._training:
            self._done(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._end(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._done(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end(None)


__all__ = ["CSVLogger", "History", "LambdaCallback", "ProgbarLogger", "TerminateOnNaN"]

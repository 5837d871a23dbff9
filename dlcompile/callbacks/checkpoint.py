"""Callbacks that write the model to files."""
from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from dlcompile.callbacks.base import Callback, Logs
from dlcompile.callbacks.monitor import MonitorCallback
from dlcompile.errors import ArgumentError
from dlcompile.progress.messages import print_message


class _Frequency:
    """When something is due that is done every so many batches."""

    def __init__(self, batches: int):
        self.batches, self._since, self._last = batches, 0, -1

    def due(self, batch: int) -> bool:
        self._since += batch + 1 if batch <= self._last else batch - self._last  # numbers begin anew with each epoch
        self._last = batch
        if self._since < self.batches:
            return False
        self._since = 0
        return True


def _frequency(save_freq: Any) -> _Frequency | None:
    if save_freq == "epoch":
        return None
    if isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1:
        raise ArgumentError(f"save_freq is 'epoch', or a number of batches, not {save_freq!r}")
    return _Frequency(save_freq)


class ModelCheckpoint(MonitorCallback):
    """Writes the model, with what its optimizer keeps, or where `save_weights_only` its weights, after each epoch or every `save_freq` batches.

    filepath:       may have fields for the epoch, the batch and values of the logs: "model-{epoch:02d}-{val_loss:.3f}.keras".
    save_best_only: only when the value `monitor` is better than all before, and than `initial_value_threshold`.
    """

    def __init__(self, filepath: str | os.PathLike, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
                 save_weights_only: bool = False, mode: str = "auto", save_freq: str | int = "epoch", initial_value_threshold: float | None = None):
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only, self.save_freq = save_best_only, save_weights_only, save_freq
        self._batches = _frequency(save_freq)
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches is not None and self._batches.due(batch):
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._batches is None:
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs | None) -> None:
        path = self._path(epoch, batch, logs)
        if self.save_best_only:
            current = self.value(logs)
            if current is not None and not self.is_improvement(current, self.best):
                if self.verbose:
                    print_message(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
                return
            if current is not None:
                if self.verbose:
                    before = "None" if self.best is None else f"{self.best:.5f}"
                    print_message(f"\nEpoch {epoch + 1}: {self.monitor} improved from {before} to {current:.5f}, saving model to {path}")
                self.best = current
        elif self.verbose:
            print_message(f"\nEpoch {epoch + 1}: saving model to {path}")
        if os.path.isdir(path):
            raise ArgumentError(f"ModelCheckpoint writes files, but {path} is a directory")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)

    def _path(self, epoch: int, batch: int | None, logs: Logs | None) -> str:
        fields = {**(logs or {}), "epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1})}
        try:
            return self.filepath.format(**fields)
        except (KeyError, IndexError, ValueError) as error:
            raise ArgumentError(f"the path {self.filepath!r} of ModelCheckpoint cannot be filled in: {error}; there are the fields "
                                f"{', '.join(fields)}") from None


class BackupAndRestore(Callback):
    """Keeps the state of a training in a directory, so that `fit`, called again after the process was interrupted, goes on from the last epoch that
    was finished (or the last `save_freq` batches); when the training ends the state is removed, and the directory if nothing else is in it."""

    def __init__(self, backup_dir: str | os.PathLike, save_freq: str | int = "epoch", double_checkpoint: bool = False, delete_checkpoint: bool = True):
        super().__init__()
        if not os.fspath(backup_dir):
            raise ArgumentError("BackupAndRestore needs a directory")
        self.directory, self.delete_checkpoint = Path(backup_dir), delete_checkpoint
        self._batches = _frequency(save_freq)
        self._epoch = 0

    @property
    def _file(self) -> Path:
        return self.directory / "latest.state"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self._file.exists():
            self.model._initial_epoch = self.model.load_training_state(self._file)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch + 1
        if self._batches is None:
            self._save()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches is not None and self._batches.due(batch):
            self._save()

    def _save(self) -> None:
        self.model.save_training_state(self._file, self._epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            self._file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others have files there, or it never came to be
                self.directory.rmdir()


__all__ = ["BackupAndRestore", "ModelCheckpoint"]

"""`Callback`: what is called on the way; `CallbackList`: those that are, one after the other."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcompile import tree
from dlcompile.errors import ArgumentError
from dlcompile.variables import Variable

Logs = Mapping[str, Any]


class Callback:
    """What is done on the way. A class of one's own defines the methods that it needs.

    `model` is the model, `params` a dictionary with "epochs", "steps" and "verbose". `logs` has the loss and the metrics so far; at the end of an epoch
    those of the validation too, as val_NAME. Setting `model.stop_training = True` ends the training after the batch or epoch.
    """

    def __init__(self):
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    @property
    def model(self) -> Any:
        return self.__dict__.get("_model")

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, the first of which is 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch, and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """`on_train_batch_begin` by an older name."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """`on_train_batch_end` by an older name."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of the training."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of the training."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, or a validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation, or a validation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction, `logs` being {"outputs": what is predicted}."""


def plain_logs(logs: Logs | None) -> dict[str, Any]:
    """Logs by their names in order, scalars as Python's numbers, dictionaries among the values as what is in them."""
    found: dict[str, Any] = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, Mapping):
            found.update(plain_logs(value))
        elif isinstance(value, (Variable, np.ndarray, np.generic)):
            array = np.asarray(value)
            found[name] = array.item() if array.ndim == 0 else array
        else:
            found[name] = value
    return found


class CallbackList(Callback):
    """Callbacks that are called one after the other, in order.

    callbacks: one, or lists of them. add_history, add_progbar: add a `History` and a `ProgbarLogger` where there is none. params: see `Callback`.
    """

    def __init__(self, callbacks: Any = None, add_history: bool = False, add_progbar: bool = False, model: Any = None, **params):
        from dlcompile.callbacks.logging import History, ProgbarLogger  # which are callbacks themselves

        super().__init__()
        self.callbacks: list[Callback] = [c for c in tree.flatten(callbacks) if c is not None]
        for callback in self.callbacks:
            if not hasattr(callback, "on_epoch_end") or isinstance(callback, type):
                raise ArgumentError(f"a callback is an object of a class that extends Callback, not {callback!r}")
        for wanted, kind in ((add_history, History), (add_progbar, ProgbarLogger)):
            if wanted and not any(isinstance(c, kind) for c in self.callbacks):
                self.callbacks.append(kind())
        self.history = next((c for c in self.callbacks if isinstance(c, History)), None)
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def append(self, callback: Callback) -> None:
        self.callbacks.append(callback)

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)


def _for_all(name: str, numbered: bool):
    """The method of that name, called on each callback."""
    def numbered_call(self: CallbackList, number: int, logs: Logs | None = None) -> None:
        plain = plain_logs(logs)
        for callback in self.callbacks:
            getattr(callback, name)(number, plain)

    def call(self: CallbackList, logs: Logs | None = None) -> None:
        plain = plain_logs(logs)
        for callback in self.callbacks:
            getattr(callback, name)(plain)

    function = numbered_call if numbered else call
    function.__name__, function.__doc__ = name, getattr(Callback, name).__doc__
    return function


for _name in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(CallbackList, _name, _for_all(_name, "batch" in _name or "epoch" in _name))


__all__ = ["Callback", "CallbackList", "Logs", "plain_logs"]

"""When which method is called, and with what."""
from __future__ import annotations

import csv
import logging

import numpy as np
import pytest

from dlcompile import callbacks, metrics
from dlcompile.callbacks.base import plain_logs
from dlcompile.errors import ArgumentError, ExecutionError
from dlcompile.utils import disable_interactive_logging, enable_interactive_logging
from tests.callbacks.helpers import X, Y


class Recorder(callbacks.Callback):
    """Notes all calls: their names, and numbers of epochs and batches."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _noting(name):
    def method(self, *args, **kwargs):
        self.calls.append((name, *(a for a in args if isinstance(a, int))))

    return method


for _name in [name for name in vars(callbacks.Callback) if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end")]:
    setattr(Recorder, _name, _noting(_name))


def test_the_order_of_calls(model):
    recorder = Recorder()
    model.fit(X, Y, batch_size=6, epochs=2, validation_data=(X, Y), validation_batch_size=12, verbose=0, callbacks=[recorder])
    batches = [call for i in range(2) for call in (("on_train_batch_begin", i), ("on_train_batch_end", i))]
    checked = [("on_test_begin",), ("on_test_batch_begin", 0), ("on_test_batch_end", 0), ("on_test_end",)]
    expected = [("on_train_begin",)]
    for epoch in range(2):
        expected += [("on_epoch_begin", epoch), *batches, *checked, ("on_epoch_end", epoch)]
    assert recorder.calls == [*expected, ("on_train_end",)]
    assert recorder.model is model and recorder.params == {"verbose": 0, "epochs": 2, "steps": 2}
    recorder.calls.clear()
    model.evaluate(X, Y, verbose=0, callbacks=[recorder])
    model.predict(X, verbose=0, callbacks=recorder)
    assert recorder.calls == [*checked, ("on_predict_begin",), ("on_predict_batch_begin", 0), ("on_predict_batch_end", 0), ("on_predict_end",)]


def test_logs(model):
    seen = {}
    callback = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.setdefault("batch", []).append(dict(logs)),
                                        on_epoch_end=lambda epoch, logs: seen.update(epoch=dict(logs)),
                                        on_test_end=lambda logs: seen.update(test=dict(logs)))
    history = model.fit(X, Y, batch_size=6, validation_data=(X, Y), verbose=0, callbacks=[callback])
    assert [list(logs) for logs in seen["batch"]] == [["loss", "mae"]] * 2
    assert list(seen["epoch"]) == ["loss", "mae", "val_loss", "val_mae"] and all(type(v) is float for v in seen["epoch"].values())
    assert seen["test"]["loss"] == seen["epoch"]["val_loss"] and history.history["loss"] == [seen["epoch"]["loss"]]
    assert seen["batch"][-1]["loss"] == seen["epoch"]["loss"]  # the mean of the epoch so far


def test_values_of_logs_are_plain():
    found = plain_logs({"b": {"z": np.float32(1), "y": np.zeros(2)}, "a": np.float64(3), "c": 4})
    assert list(found) == ["a", "y", "z", "c"] and type(found["z"]) is type(found["a"]) is float and found["y"].shape == (2,)


def test_a_callback_can_end_the_training(model):
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    assert model.fit(X, Y, batch_size=2, epochs=5, verbose=0, callbacks=[Stop()]).epoch == [0]
    assert int(model.optimizer.iterations) == 2
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_older_names(model):
    seen = []

    class Old(callbacks.Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch))

    model.fit(X, Y, batch_size=6, verbose=0, callbacks=[Old()])
    assert seen == [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)]


def test_a_list_of_callbacks_is_called_as_one(model):
    first, second = Recorder(), Recorder()
    together = callbacks.CallbackList([first, [second]], model=model, add_history=True, epochs=3)
    together.append(callbacks.LambdaCallback())
    together.on_train_begin()
    together.on_train_batch_end(4, {"loss": np.float32(1)})
    assert first.calls == second.calls == [("on_train_begin",), ("on_train_batch_end", 4)]
    assert model.history is together.history and first.params == {"epochs": 3}
    assert model.fit(X, Y, epochs=2, callbacks=together) is together.history


def test_no_callback():
    for wrong in (callbacks.History, "history", 5):
        with pytest.raises(ArgumentError, match="extends Callback"):
            callbacks.CallbackList([wrong])


# -- what is noted and told ---------------------------------------------------------------------------------------------------
def test_csv(model, tmp_path):
    path = tmp_path / "log.csv"
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(path)])
    history = model.fit(X, Y, epochs=1, verbose=0, validation_data=(X, Y), callbacks=[callbacks.CSVLogger(path, append=True)]).history
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "0"] and list(rows[0]) == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert rows[0]["val_loss"] == "NA" and float(rows[2]["val_loss"]) == history["val_loss"][0]
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[callbacks.CSVLogger(path, separator=";")])
    assert path.read_text().splitlines()[0] == "epoch;loss;mae;val_loss;val_mae" and len(path.read_text().splitlines()) == 2


def test_losses_that_are_not_numbers(model, capsys):
    bad = X.copy()
    bad[7] = np.nan
    history = model.fit(bad, Y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert history.epoch == [0] and int(model.optimizer.iterations) == 2
    assert "Batch 1: Invalid loss, terminating training" in capsys.readouterr().out
    with pytest.raises(ExecutionError, match="the loss is nan after batch 0"):
        model.fit(bad, Y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 4), ("auto", 4), (2, 4), (True, 4)])
def test_a_line_for_each_epoch_where_there_is_no_terminal(model, capsys, verbose, lines):
    model.fit(X, Y, batch_size=4, epochs=2, verbose=verbose, validation_data=(X, Y))
    out = capsys.readouterr().out.splitlines()
    assert len(out) == lines
    if lines:
        assert out[0] == "Epoch 1/2" and out[1].startswith("3/3 - ") and "/step - loss: " in out[1] and " - val_mae: " in out[1]
    model.evaluate(X, Y, verbose=verbose, batch_size=6)
    model.predict(X, verbose=verbose, batch_size=6)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == (2 if lines else 0) and all(line.startswith("2/2 - ") for line in out)


def test_a_number_of_batches_that_nobody_knows(model, capsys):
    model.fit(iter([(X, Y)] * 3), verbose=1)
    assert capsys.readouterr().out.startswith("3/3 - ")


def test_what_is_said_can_go_to_the_log(model, capsys, caplog):
    disable_interactive_logging()
    try:
        with caplog.at_level(logging.INFO, "dlcompile"):
            model.fit(X, Y, verbose=2)
    finally:
        enable_interactive_logging()
    assert not capsys.readouterr().out and caplog.records[-1].getMessage().startswith("1/1 - ")


def test_a_metric_with_several_values(model):
    model.compile("sgd", "mse", metrics=[metrics.R2Score(None)])
    assert model.fit(X, Y, verbose=2).history["r2_score"][0].shape == (1,)

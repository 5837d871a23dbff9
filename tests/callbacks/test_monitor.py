"""Callbacks that look at a value."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import callbacks, metrics, optimizers
from dlcompile.errors import ArgumentError
from dlcompile.optimizers import schedules
from tests.callbacks.helpers import Scripted, X, Y

LOSSES = [5.0, 4.0, 4.5, 4.2, 3.0, 3.5, 3.4, 3.3, 2.0]


@pytest.mark.parametrize(("arguments", "epochs", "weights"), [
    ({"patience": 0}, 3, 2), ({"patience": 2}, 4, 3), ({"patience": 3}, 8, 7), ({"patience": 4}, 9, 8), ({"patience": 3, "restore_best_weights": True}, 8, 4),
    ({"patience": 2, "start_from_epoch": 3}, 7, 6), ({"patience": 1, "min_delta": 1.5}, 2, 1), ({"patience": 2, "baseline": 1.0}, 3, 2),
    ({"patience": 1, "mode": "max"}, 2, 1), ({"patience": 9, "restore_best_weights": True}, 9, 8)])
def test_early_stopping(scripted, arguments, epochs, weights):
    stopping = callbacks.EarlyStopping("val_loss", **arguments)
    assert len(scripted.run(stopping, val_loss=LOSSES)) == epochs
    assert scripted.weights_now == weights


def test_early_stopping_says_so_and_begins_anew(scripted, capsys):
    stopping = callbacks.EarlyStopping("val_loss", patience=2, verbose=1, restore_best_weights=True)
    scripted.run(stopping, val_loss=LOSSES)
    out = capsys.readouterr().out
    assert "Epoch 4: early stopping" in out and "best epoch: 2." in out
    other = Scripted()
    assert len(other.run(stopping, val_loss=[9.0, 8.0, 7.0])) == 3 and stopping.best == 7.0


def test_early_stopping_of_a_model(model):
    stopping = callbacks.EarlyStopping("mae", patience=2, min_delta=10.0)
    assert model.fit(X, Y, epochs=9, verbose=0, callbacks=[stopping]).epoch == [0, 1, 2]


@pytest.mark.parametrize(("metric", "name", "sign"), [(metrics.AUC(), "val_auc", 1), (metrics.MeanAbsoluteError(), "mean_absolute_error", -1),
                                                      (None, "loss", -1), (None, "val_yes_loss", -1)])
def test_which_way_is_better(scripted, metric, name, sign):
    if metric is not None:
        metric.name = name.removeprefix("val_")
        scripted.metrics = [metric]
    monitor = callbacks.EarlyStopping(name)
    monitor.set_model(scripted)
    assert monitor.sign() == sign


def test_which_way_is_better_that_nobody_knows(scripted):
    with pytest.raises(ArgumentError, match="whether a larger other is a better one; mode='max' or mode='min' does"):
        scripted.run(callbacks.EarlyStopping("other"), other=[1.0, 2.0])
    with pytest.raises(ArgumentError, match="mode is one of"):
        callbacks.EarlyStopping(mode="maximum")


def test_a_value_that_is_not_there(scripted):
    for callback in (callbacks.EarlyStopping("val_loss"), callbacks.ReduceLROnPlateau("val_loss")):
        with pytest.warns(UserWarning, match="looks at val_loss, which is not there; there are .*loss"):
            assert len(scripted.run(callback, loss=[1.0, 2.0])) == 2
    with pytest.raises(ArgumentError, match="no number but an array"):
        scripted.run(callbacks.EarlyStopping("val_loss"), val_loss=[np.zeros(2)])


@pytest.mark.parametrize(("arguments", "rates"), [
    ({"patience": 2, "factor": 0.5}, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
    ({"patience": 1, "factor": 0.5}, [1, 1, 0.5, 0.25, 0.25, 0.125, 0.0625, 0.03125, 0.03125]),
    ({"patience": 1, "factor": 0.5, "min_lr": 0.2}, [1, 1, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]),
    ({"patience": 1, "factor": 0.5, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
    ({"patience": 2, "factor": 0.5, "min_delta": 2.5}, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125])])
def test_a_smaller_learning_rate_on_a_plateau(arguments, rates):
    model, found = Scripted(1.0), []

    class Noting(callbacks.ReduceLROnPlateau):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            found.append(float(self.model.optimizer.learning_rate))

    model.run(Noting("val_loss", **arguments), val_loss=LOSSES)
    np.testing.assert_allclose(found, rates, rtol=1e-6)


def test_the_learning_rate_is_in_the_history(model, capsys):
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100, verbose=1)])
    np.testing.assert_allclose(history.history["learning_rate"], [0.125, 0.125, 0.0625])
    assert "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.0625." in capsys.readouterr().out
    with pytest.raises(ArgumentError, match="factor is a number between 0 and 1"):
        callbacks.ReduceLROnPlateau(factor=1.0)


@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate / 2, lambda epoch: 0.125 * 0.5**(epoch + 1)])
def test_a_schedule_of_epochs(model, schedule, capsys):
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[callbacks.LearningRateScheduler(schedule, verbose=1)])
    np.testing.assert_allclose(history.history["learning_rate"], [0.0625, 0.03125, 0.015625])
    assert "Epoch 3: LearningRateScheduler setting learning rate to 0.015625." in capsys.readouterr().out


def test_a_learning_rate_that_cannot_be_set(model):
    with pytest.raises(ArgumentError, match="returns a number"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: [0.1, 0.2])])
    model.compile(optimizers.SGD(schedules.ExponentialDecay(0.1, 1, 0.5)), "mse")
    with pytest.raises(ArgumentError, match="comes from ExponentialDecay"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.1)])


def test_averages_while_it_is_evaluated(model):
    model.compile(optimizers.SGD(0.125, use_ema=True, ema_momentum=0.5), "mse")
    seen = {}

    class Look(callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            seen["test"] = self.model.layers[0].kernel.numpy()

        def on_epoch_end(self, epoch, logs=None):
            seen["epoch"] = self.model.layers[0].kernel.numpy()

    start = model.layers[0].kernel.numpy()
    plain = type(model).from_config(model.get_config())
    plain.set_weights(model.get_weights())
    plain.compile(optimizers.SGD(0.125), "mse")
    steps = []
    for _ in range(2):
        plain.fit(X, Y, verbose=0, batch_size=12)
        steps.append(plain.layers[0].kernel.numpy())
    model.fit(X, Y, epochs=2, batch_size=12, validation_data=(X, Y), verbose=0, callbacks=[callbacks.SwapEMAWeights(), Look()])
    average = 0.5 * steps[0] + 0.5 * steps[1]
    np.testing.assert_allclose(seen["test"], average, rtol=1e-5)
    np.testing.assert_allclose(seen["epoch"], steps[1], rtol=1e-5)
    np.testing.assert_allclose(model.layers[0].kernel.numpy(), average, rtol=1e-5)  # at the end they stay
    assert not np.allclose(start, average)
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="use_ema=True"):
        model.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[callbacks.SwapEMAWeights()])

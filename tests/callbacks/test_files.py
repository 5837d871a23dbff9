"""Callbacks that write files: models, the state of a training, events for TensorBoard."""
from __future__ import annotations

import struct
import sys

import numpy as np
import pytest

from dlcompile import callbacks, layers, optimizers
from dlcompile.errors import ArgumentError
from dlcompile.models import Sequential, load_model
from dlcompile.utils import set_random_seed
from tests.callbacks.helpers import X, Y


def weights(model):
    return [v.numpy() for v in model.weights]


def test_models_of_epochs(model, tmp_path, capsys):
    path = tmp_path / "deep" / "model-{epoch:02d}-{loss:.3f}.keras"
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.ModelCheckpoint(path, verbose=1)])
    names = sorted(p.name for p in (tmp_path / "deep").iterdir())
    assert names == [f"model-{i + 1:02d}-{loss:.3f}.keras" for i, loss in enumerate(history.history["loss"])]
    read = load_model(tmp_path / "deep" / names[-1])
    for a, b in zip(weights(read), weights(model)):
        np.testing.assert_array_equal(a, b)
    assert int(read.optimizer.iterations) == 2 and "Epoch 2: saving model to" in capsys.readouterr().out


def test_the_best_alone(model, tmp_path, capsys):
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", "val_mae", save_best_only=True, verbose=1, mode="min")
    checkpoint.set_model(model)
    for epoch, value in enumerate([3.0, 4.0, 2.0]):
        checkpoint.on_epoch_end(epoch, {"val_mae": value})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.keras", "3.keras"]
    out = capsys.readouterr().out
    assert "improved from None to 3.00000" in out and "did not improve from 3.00000" in out and "improved from 3.00000 to 2.00000" in out
    with pytest.warns(UserWarning, match="val_mae, which is not there"):
        checkpoint.on_epoch_end(5, {"mae": 1.0})
    assert (tmp_path / "6.keras").exists()
    late = callbacks.ModelCheckpoint(tmp_path / "late.keras", "val_mae", save_best_only=True, initial_value_threshold=1.0, mode="min")
    late.set_model(model)
    late.on_epoch_end(0, {"val_mae": 2.0})
    assert not (tmp_path / "late.keras").exists()


def test_weights_every_few_batches(model, tmp_path):
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=2)
    model.fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[checkpoint])  # 3 batches an epoch
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-2.weights.h5", "2-1.weights.h5", "2-3.weights.h5", "3-2.weights.h5"]
    model.load_weights(tmp_path / "2-3.weights.h5")


@pytest.mark.parametrize(("make", "says"), [
    (lambda path: callbacks.ModelCheckpoint(path / "a.keras", save_freq="batch"), "save_freq is 'epoch'"),
    (lambda path: callbacks.ModelCheckpoint(path / "{accuracy}.keras"), "cannot be filled in: 'accuracy'; there are the fields loss, mae, epoch"),
    (lambda path: callbacks.ModelCheckpoint(path), "is a directory"), (lambda path: callbacks.BackupAndRestore(""), "needs a directory")])
def test_wrong_paths(model, tmp_path, make, says):
    with pytest.raises(ArgumentError, match=says):
        model.fit(X, Y, verbose=0, callbacks=[make(tmp_path)])


# -- going on where it was interrupted ----------------------------------------------------------------------------------------
def dropped():
    set_random_seed(2)
    made = Sequential([layers.Input((2,)), layers.Dense(4), layers.Dropout(0.5), layers.Dense(1)])
    made.compile(optimizers.Adam(0.01), "mse")
    return made


class Break(callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_with_the_same_bits(tmp_path):
    whole = dropped()
    history = whole.fit(X, Y, batch_size=5, epochs=5, shuffle=False, verbose=0)
    first = dropped()
    with pytest.raises(KeyboardInterrupt):
        first.fit(X, Y, batch_size=5, epochs=5, shuffle=False, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path / "backup"), Break(3)])
    second = dropped()
    rest = second.fit(X, Y, batch_size=5, epochs=5, shuffle=False, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path / "backup")])
    assert rest.epoch == [3, 4] and rest.history["loss"] == history.history["loss"][3:]
    for a, b in zip(whole.variables, second.variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not (tmp_path / "backup").exists()


def test_the_end_of_a_training_removes_nothing_but_its_own_state(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_state_of_another_model(model, tmp_path):
    dropped().save_training_state(tmp_path / "state", 3)
    with pytest.raises(ArgumentError, match="the state of another model"):
        model.load_training_state(tmp_path / "state")


# -- TensorBoard --------------------------------------------------------------------------------------------------------------
def events(directory):
    """What the event files of a directory hold: records of (length, its checksum, data, its checksum), the data being protocol buffers."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted(directory.glob("events.out.tfevents*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(event_pb2.Event.FromString(data[12:12 + length]))
            data = data[16 + length:]
    return found


def scalars(directory):
    return {(value.tag, event.step): value.simple_value for event in events(directory) for value in event.summary.value if value.HasField("simple_value")}


def test_tensorboard(model, tmp_path):
    pytest.importorskip("tensorboardX")
    board = callbacks.TensorBoard(tmp_path, histogram_freq=1, update_freq=2, write_steps_per_second=True)
    history = model.fit(X, Y, batch_size=4, epochs=2, validation_data=(X, Y), verbose=0, callbacks=[board]).history
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    for epoch in range(2):
        assert train["epoch_loss", epoch] == pytest.approx(history["loss"][epoch]) and train["epoch_mae", epoch] == pytest.approx(history["mae"][epoch])
        assert validation["epoch_loss", epoch] == pytest.approx(history["val_loss"][epoch])
        assert train["epoch_learning_rate", epoch] == 0.125 and train["epoch_steps_per_second", epoch] > 0
    assert {step for tag, step in train if tag == "batch_loss"} == {2, 4, 6}
    assert {step for tag, step in validation if tag == "evaluation_mae_vs_iterations"} == {3, 6}
    written = events(tmp_path / "train")
    assert sum(value.HasField("histo") for event in written for value in event.summary.value) == 4
    assert sum(bool(event.graph_def) for event in written) == 1


def test_tensorboard_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ArgumentError, match=r"pip install dlcompile\[tensorboard\]"):
        callbacks.TensorBoard()


@pytest.mark.parametrize("arguments", [{"profile_batch": 2}, {"write_images": True}, {"embeddings_freq": 1}, {"update_freq": "step"}])
def test_what_tensorboard_is_not_told(arguments):
    with pytest.raises(ArgumentError, match="is not supported|update_freq is"):
        callbacks.TensorBoard(**arguments)

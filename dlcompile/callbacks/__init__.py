"""Callbacks, by the names and with the arguments of Keras: what is done between the batches and epochs of `fit`, `evaluate` and `predict`.

    model.fit(x, y, epochs=100, validation_split=0.1,
              callbacks=[callbacks.EarlyStopping(patience=5, restore_best_weights=True), callbacks.ModelCheckpoint("best.keras", save_best_only=True)])
"""
from __future__ import annotations

from dlcompile.callbacks.base import Callback, CallbackList
from dlcompile.callbacks.checkpoint import BackupAndRestore, ModelCheckpoint
from dlcompile.callbacks.logging import CSVLogger, History, LambdaCallback, ProgbarLogger, TerminateOnNaN
from dlcompile.callbacks.monitor import EarlyStopping, LearningRateScheduler, MonitorCallback, ReduceLROnPlateau, SwapEMAWeights
from dlcompile.callbacks.tensorboard import TensorBoard

__all__ = ["BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
           "ModelCheckpoint", "MonitorCallback", "ProgbarLogger", "ReduceLROnPlateau", "SwapEMAWeights", "TensorBoard", "TerminateOnNaN"]

"""Data for a small model, and what stands for one."""
from __future__ import annotations

import numpy as np

from dlcompile import optimizers

X = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
Y = X.sum(1, keepdims=True)


class Scripted:
    """As much of a model as callbacks look at; `run` goes through epochs with given values."""

    def __init__(self, rate=0.1):
        self.optimizer = optimizers.SGD(rate)
        self.metrics, self.stop_training, self.weights_now = [], False, 0.0

    def get_weights(self):
        return [np.float64(self.weights_now)]

    def set_weights(self, weights):
        self.weights_now = float(weights[0])

    def run(self, callback, **values):
        """The numbers of the epochs that were run."""
        callback.set_model(self)
        callback.on_train_begin()
        done = []
        for epoch in range(len(next(iter(values.values())))):
            self.weights_now = float(epoch)
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, {name: series[epoch] for name, series in values.items()})
            done.append(epoch)
            if self.stop_training:
                break
        callback.on_train_end()
        return done

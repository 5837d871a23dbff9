"""Event files that TensorBoard shows."""
from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dlcompile.callbacks.base import Callback, Logs
from dlcompile.errors import ArgumentError, Error


class TensorBoard(Callback):
    """Writes what TensorBoard shows to `log_dir`/train and `log_dir`/validation: `tensorboard --logdir logs`. It needs `pip install
    dlcompile[tensorboard]`.

    histogram_freq: epochs between two times that the weights' distributions are written; 0: never. write_graph: the model's graph, where it has one
    before training. write_steps_per_second: how fast batches are. update_freq: "epoch", "batch", or how many batches lie between two times that the
    values of batches are written. write_images, profile_batch and embeddings are not supported.
    """

    def __init__(self, log_dir: str | os.PathLike = "logs", histogram_freq: int = 0, write_graph: bool = True, write_images: bool = False,
                 write_steps_per_second: bool = False, update_freq: str | int = "epoch", profile_batch: int = 0, embeddings_freq: int = 0,
                 embeddings_metadata: Any = None):
        super().__init__()
        for what, value in (("write_images", write_images), ("profile_batch", profile_batch), ("embeddings_freq", embeddings_freq)):
            if value:
                raise ArgumentError(f"TensorBoard: {what} is not supported; for how long each part of a model takes there is CompiledModel.profile")
        if update_freq not in ("epoch", "batch") and (isinstance(update_freq, bool) or not isinstance(update_freq, int) or update_freq < 1):
            raise ArgumentError(f"update_freq is 'epoch', 'batch' or a number of batches, not {update_freq!r}")
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ArgumentError("TensorBoard needs the package tensorboardX: pip install dlcompile[tensorboard]") from None
        self._make, self._writers = SummaryWriter, {}
        self.log_dir, self.histogram_freq, self.write_graph = Path(log_dir), histogram_freq, write_graph
        self.write_steps_per_second, self.update_freq = write_steps_per_second, 1 if update_freq == "batch" else update_freq
        self._batches = self._tested = 0
        self._epoch_start, self._batches_before = 0.0, 0

    def _writer(self, name: str) -> Any:
        if name not in self._writers:
            self._writers[name] = self._make(str(self.log_dir / name))
        return self._writers[name]

    def _scalar(self, where: str, tag: str, value: Any, step: int) -> None:
        if np.ndim(value) == 0:
            self._writer(where).add_scalar(tag, float(value), step)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches = self._tested = 0
        if self.write_graph:
            self._write_graph()

    def _write_graph(self) -> None:
        """The model as an ONNX graph; nothing for one whose shapes are not known yet, or that ONNX has no words for."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "model.onnx")
            try:
                self.model.export(path)
            except (Error, NotImplementedError):
                return
            self._writer("train").add_onnx_graph(str(path))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.update_freq != "epoch" and self._batches % self.update_freq == 0:
            for name, value in (logs or {}).items():
                self._scalar("train", f"batch_{name}", value, self._batches)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tested += 1

    def on_test_end(self, logs: Logs | None = None) -> None:
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            for name, value in (logs or {}).items():
                self._scalar("validation", f"evaluation_{name}_vs_iterations", value, int(np.asarray(optimizer.iterations)))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_start, self._batches_before = time.monotonic(), self._batches

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            where, tag = ("validation", name.removeprefix("val_")) if name.startswith("val_") else ("train", name)
            self._scalar(where, f"epoch_{tag}", value, epoch)
        if self.model.optimizer is not None and "learning_rate" not in (logs or {}):
            self._scalar("train", "epoch_learning_rate", np.asarray(self.model.optimizer.learning_rate), epoch)
        if self.write_steps_per_second:
            seconds = max(time.monotonic() - self._epoch_start, 1e-9)
            self._scalar("train", "epoch_steps_per_second", (self._batches - self._batches_before) / seconds, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for variable in self.model.weights:
                if variable.dtype.kind == "f":
                    self._writer("train").add_histogram(f"{variable.path}/histogram", variable.numpy(), epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


__all__ = ["TensorBoard"]

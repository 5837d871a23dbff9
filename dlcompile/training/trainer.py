"""`Trainer`: what a model is trained, evaluated and asked with, by the names of Keras.

    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=10, validation_split=0.1)
    model.evaluate(x_test, y_test, return_dict=True)
    model.predict(x_new)

A step of the training, from the batch to the variables' new values, is one graph and one call of a library (see `training.step`).
"""
from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile import config, ops, optimizers, tree
from dlcompile.autodiff import gradients
from dlcompile.callbacks import CallbackList, History
from dlcompile.callbacks.base import plain_logs
from dlcompile.data.batches import unpack_x_y_sample_weight
from dlcompile.data.sources import as_arrays, source, split
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor, as_dtype
from dlcompile.metrics import Mean, Metric
from dlcompile.registry import deserialize, serialize
from dlcompile.training.outputs import OutputLosses, OutputMetrics
from dlcompile.training.step import Step
from dlcompile.variables import Variable

Logs = dict[str, Any]


class Trainer:
    """The part of a model that has to do with training. A class of one's own may define `train_step(self, data)`, `test_step`, `predict_step`,
    `compute_loss` and `compute_metrics`; these are traced, so they are written with layers and `dlcompile.ops`:

        def train_step(self, data):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            loss = self.compute_loss(x, y, self(x, training=True), sample_weight)
            self.optimizer.apply(keras.gradients(loss, self.trainable_variables), self.trainable_variables)
            return {"loss": loss}
    """

    def init_training(self) -> None:
        """Set the attributes that there are before `compile`."""
        self.compiled = False
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: Any = None
        self.stop_training = False
        self.history: History | None = None
        self.steps_per_execution = 1
        self.jit_compile, self.run_eagerly = True, False
        self._losses_of_outputs: OutputLosses | None = None
        self._metrics_of_outputs: OutputMetrics | None = None
        self._loss_tracker: Mean | None = None
        self._compile_arguments: dict[str, Any] = {}
        self._initial_epoch: int | None = None
        self._steps: dict[str, Step] = {}
        self._trained: list[int] | None = None  # which variables the last fit has trained

    # -- compiling ------------------------------------------------------------------------------------------------------------
    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None, weighted_metrics: Any = None,
                run_eagerly: bool = False, steps_per_execution: int = 1, jit_compile: Any = "auto", auto_scale_loss: bool = True) -> None:
        """Say how the model is trained.

        optimizer: a name, a configuration or an `Optimizer`. loss: a name, a function (y_true, y_pred) → losses or a `Loss`, or for several outputs a
        list or dictionary of them. loss_weights: what they are multiplied by before they are added. metrics, weighted_metrics: lists of names,
        functions and metrics, or for several outputs a list or dictionary of lists; weights of samples count in the latter alone.
        run_eagerly, steps_per_execution, jit_compile and auto_scale_loss are there for scripts that give them: steps are always compiled, one by one.
        """
        if run_eagerly:
            warnings.warn("run_eagerly=True has no effect: a step is always one compiled graph; dlcompile.config.set_backend('numpy') has it "
                          "interpreted", stacklevel=2)
        self.optimizer = optimizers.get(optimizer)
        self.loss = loss
        self._losses_of_outputs = None if loss is None else OutputLosses(loss, loss_weights)
        self._metrics_of_outputs = OutputMetrics(metrics, weighted_metrics) if metrics is not None or weighted_metrics is not None else None
        self._loss_tracker = Mean(name="loss")
        self.run_eagerly, self.steps_per_execution, self.jit_compile = run_eagerly, steps_per_execution, jit_compile
        self.stop_training = False
        self._steps, self._trained = {}, None
        self._compile_arguments = {"optimizer": self.optimizer, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
                                   "weighted_metrics": weighted_metrics}
        self.compiled = True

    def get_compile_config(self) -> Logs | None:
        """The arguments of `compile` as JSON can hold them; None before it was called."""
        return {name: serialize(value) for name, value in self._compile_arguments.items()} if self.compiled else None

    def compile_from_config(self, config: Mapping[str, Any]) -> None:  # noqa: F811  the name that Keras has for the argument
        """`compile` with what `get_compile_config` has returned, and the optimizer built for the variables."""
        self.compile(**{name: deserialize(value) for name, value in config.items()})
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def _require_compiled(self, what: str) -> None:
        if not self.compiled:
            raise ArgumentError(f"model {self.name!r}: compile(optimizer, loss) comes before {what}")

    # -- losses and metrics ---------------------------------------------------------------------------------------------------
    @property
    def metrics(self) -> list[Metric]:
        """The mean loss, the means of the losses of several outputs, the metrics that `compile` was given, and those that are attributes of the model
        or of its layers."""
        found: list[Metric] = [] if self._loss_tracker is None else [self._loss_tracker]
        for part in (self._metrics_of_outputs, self._losses_of_outputs):
            found += part.metrics if part is not None else []
        return [*found, *self._own_metrics()]

    def _own_metrics(self) -> list[Metric]:
        kept = {"_loss_tracker", "_losses_of_outputs", "_metrics_of_outputs", "_compile_arguments", "loss"}
        found: dict[int, Metric] = {}
        for layer in self.flatten_layers():
            for name, value in vars(layer).items():
                if not (isinstance(layer, Trainer) and name in kept):
                    found.update((id(leaf), leaf) for leaf in tree.flatten(value) if isinstance(leaf, Metric))
        return list(found.values())

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Count from the beginning in all metrics."""
        for metric in self.metrics:
            metric.reset_state()

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True) -> Tensor:
        """The loss of a batch: those that `compile` was given, and what layers and regularizers add."""
        names = getattr(self, "output_names", None) if getattr(self, "_network", None) is not None else None
        total = None if self._losses_of_outputs is None else self._losses_of_outputs(y, y_pred, sample_weight, names)
        for loss in self.losses:
            part = ops.reduce_sum(ops.cast(ops.as_tensor(loss), as_dtype(config.floatx())))
            total = part if total is None else total + part
        if total is None:
            raise ArgumentError(f"model {self.name!r} has no loss: compile(loss=…) gives it one, or a layer's add_loss()")
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Logs:
        """Count a batch in the metrics that `compile` was given; the values of all metrics."""
        if self._metrics_of_outputs is not None:
            names = self.output_names if getattr(self, "_network", None) is not None else None
            self._metrics_of_outputs.update_state(y, y_pred, sample_weight, names)
        return self.get_metrics_result()

    def get_metrics_result(self) -> Logs:
        """{name: value} of all metrics."""
        of_outputs = self._metrics_of_outputs
        known = {id(metric) for metric in of_outputs.metrics} if of_outputs is not None else set()
        found: Logs = {}
        for metric in self.metrics:
            if id(metric) in known:
                continue
            value = metric.result()
            found.update(value if isinstance(value, Mapping) else {metric.name: value})
        if of_outputs is not None:
            found.update(of_outputs.result())
        return found

    # -- steps ----------------------------------------------------------------------------------------------------------------
    def _loss_of(self, data: Any, training: bool) -> tuple[Tensor, Any, Any, Any, Any]:
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=training)
        more = {"training": training} if "training" in inspect.signature(self.compute_loss).parameters else {}
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **more)
        samples = next((leaf.shape[0] for leaf in tree.flatten(x) if leaf is not None), 1)
        self._loss_tracker.update_state(loss, ops.dim_scalar(samples))
        return loss, x, y, y_pred, sample_weight

    def train_step(self, data: Any) -> Logs:
        """Train with a batch (x, y, sample_weight) of tensors: the loss, its derivatives, the optimizer's step; the values of the metrics."""
        loss, x, y, y_pred, sample_weight = self._loss_of(data, training=True)
        variables = self.trainable_variables
        if not variables:
            warnings.warn(f"model {self.name!r} has no variables that are trained", stacklevel=2)
        elif self.optimizer is not None:
            self.optimizer.apply(gradients(self.optimizer.scale_loss(loss), variables), variables)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> Logs:
        """The values of the metrics with a batch."""
        _, x, y, y_pred, sample_weight = self._loss_of(data, training=False)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """What the model makes of a batch."""
        return self(unpack_x_y_sample_weight(data)[0], training=False)

    def _step(self, name: str, function: Callable[[Any], Any]) -> Step:
        """The compiled form of one of these; made anew by `compile`."""
        if name not in self._steps:
            self._steps[name] = Step(f"{self.name}_{name}", function, ("x", "y", "sample_weight"))
        return self._steps[name]

    def make_train_function(self, force: bool = False) -> Callable[[Any], Logs]:
        """What `fit` calls with each batch; `force`: traced again, as after `compile`."""
        if force:
            self._steps.pop("train", None)
        return self._step("train", self._whole_train_step)

    def make_test_function(self, force: bool = False) -> Callable[[Any], Logs]:
        if force:
            self._steps.pop("test", None)
        return self._step("test", self.test_step)

    def make_predict_function(self, force: bool = False) -> Callable[[Any], Any]:
        if force:
            self._steps.pop("predict", None)
        return self._step("predict", self.predict_step)

    def _whole_train_step(self, data: Any) -> Logs:
        return self.train_step(data)

    # -- fit, evaluate, predict -----------------------------------------------------------------------------------------------
    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: Any = "auto", callbacks: Any = None,
            validation_split: float = 0.0, validation_data: Any = None, shuffle: bool | str = True, class_weight: Mapping[int, float] | None = None,
            sample_weight: Any = None, initial_epoch: int = 0, steps_per_epoch: int | None = None, validation_steps: int | None = None,
            validation_batch_size: int | None = None, validation_freq: int | Sequence[int] = 1) -> History:
        """Train the model, and return the `History` of the epochs.

        x, y:              arrays, or lists or dictionaries of arrays; or x alone: a generator, a `PyDataset`, or any iterable of batches (x, y) or
                           (x, y, sample_weight).
        batch_size:        samples in a batch, 32 by default. epochs: the number of the last epoch; initial_epoch: that of the first.
        verbose:           0: silent, 1 or "auto": a progress bar, 2: a line for each epoch.
        validation_split:  the share of the samples, from the end, that is not trained with but evaluated after each epoch.
        validation_data:   (x, y), (x, y, sample_weight), or an iterable of batches, for the same.
        shuffle:           whether samples come in another order each epoch; "batch": batches.
        class_weight:      {class: weight}. sample_weight: the weight of each sample in the loss and in weighted metrics.
        steps_per_epoch, validation_steps: batches in an epoch, and in an evaluation.
        validation_freq:   every how many epochs there is an evaluation, or after which (the first is 1).

        An interrupt (Ctrl-C) leaves the model as it was after the last whole step.
        """
        self._require_compiled("fit")
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split(x, y, sample_weight, validation_split)
        batches = source(x, y, sample_weight, batch_size=batch_size, steps=steps_per_epoch, shuffle=shuffle, class_weight=class_weight)
        checked = None
        if validation_data is not None:
            parts = validation_data if isinstance(validation_data, tuple) else (validation_data,)
            checked = source(*unpack_x_y_sample_weight(parts), batch_size=validation_batch_size or (batch_size if len(parts) > 1 else None),
                             steps=validation_steps, what="validation_data")
        steps = make_callbacks(callbacks, self, history=True, verbose=verbose, epochs=epochs, steps=batches.steps)
        step = self.make_train_function()
        if self._trained not in (None, [id(v) for v in self.trainable_variables]):
            warnings.warn(f"model {self.name!r}: layers have become trainable, or are no longer, since the last fit(); that takes effect with the next "
                          "compile()", stacklevel=2)
        self.stop_training = False
        self._initial_epoch = None
        logs: Logs = {}
        steps.on_train_begin()
        for epoch in range(self._initial_epoch or initial_epoch, epochs):
            self.reset_metrics()
            steps.on_epoch_begin(epoch)
            number = -1
            for number, batch in enumerate(batches.epoch()):  # noqa: B007  how many there were is asked below
                steps.on_train_batch_begin(number)
                logs = plain_logs(step(batch))
                steps.on_train_batch_end(number, logs)
                if self.stop_training:
                    break
            batches.epoch_ended()
            if number < 0:
                if epoch == initial_epoch:
                    raise ArgumentError("x has no batches")
                warnings.warn(f"the data ran out before epoch {epoch + 1}; a generator has to yield as many batches as all epochs have together, "
                              "with steps_per_epoch to tell them apart", stacklevel=2)
                break
            logs = dict(logs)
            if checked is not None and due(epoch, validation_freq):
                found = self._evaluated(checked, steps)
                logs.update({f"val_{name}": value for name, value in found.items()})
            steps.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        if self.optimizer is not None and self.optimizer.built:
            self.optimizer.finalize_variable_values(self.trainable_variables)
        self._trained = [id(v) for v in self.trainable_variables]
        steps.on_train_end(logs)
        return self.history

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto", sample_weight: Any = None,
                 steps: int | None = None, callbacks: Any = None, return_dict: bool = False, **kwargs) -> Any:
        """The loss and the metrics for data as `fit` takes them: a list in the order of `metrics`, one number where there is only a loss, or where
        `return_dict` a dictionary."""
        if kwargs:
            raise ArgumentError(f"evaluate has no argument {next(iter(kwargs))!r}")
        self._require_compiled("evaluate")
        batches = source(x, y, sample_weight, batch_size=batch_size, steps=steps)
        called = make_callbacks(callbacks, self, verbose=verbose, epochs=1, steps=batches.steps)
        return self._told(self._evaluated(batches, called), return_dict)

    def _evaluated(self, batches: Any, steps: CallbackList) -> Logs:
        step = self.make_test_function()
        self.reset_metrics()
        steps.on_test_begin()
        logs, number = {}, -1
        for number, batch in enumerate(batches.epoch()):  # noqa: B007
            steps.on_test_batch_begin(number)
            logs = plain_logs(step(batch))
            steps.on_test_batch_end(number, logs)
        batches.epoch_ended()
        if number < 0:
            raise ArgumentError("there are no batches to evaluate")
        steps.on_test_end(logs)
        return logs

    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None, callbacks: Any = None) -> Any:
        """What the model makes of data: arrays in the structure of its outputs, the batches one after the other."""
        batches = source(x, batch_size=batch_size, steps=steps)
        called = make_callbacks(callbacks, self, verbose=verbose, epochs=1, steps=batches.steps)
        step = self.make_predict_function()
        called.on_predict_begin()
        parts = []
        for number, batch in enumerate(batches.epoch()):
            called.on_predict_batch_begin(number)
            parts.append(step(without_labels(batch)))
            called.on_predict_batch_end(number, {"outputs": parts[-1]})
        called.on_predict_end()
        if not parts:
            raise ArgumentError("there are no batches to predict from")
        return parts[0] if len(parts) == 1 else tree.map_structure(lambda *leaves: np.concatenate(leaves), *parts)

    def memory_usage(self) -> dict[str, int]:
        """Bytes by what they are for: "variables" of the model, "optimizer", and for each of "train", "test" and "predict" that has been compiled the arena
        of its step: what is computed on the way, planned so that what is not needed at the same time shares its place, for the largest batch so far.
        An arena stays as it is from step to step. Batches and results come on top.
        """
        def held(variables: Sequence[Variable]) -> int:
            return sum(variable._array.nbytes for variable in variables)

        optimizer = {} if self.optimizer is None else {"optimizer": held(self.optimizer.variables)}
        return {"variables": held(self.weights), **optimizer, **{name: step.arena_bytes for name, step in self._steps.items()}}

    # -- single batches -------------------------------------------------------------------------------------------------------
    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Mapping[int, float] | None = None,
                       return_dict: bool = False) -> Any:
        """Train with one batch; the loss and the metrics since they were last reset, as `evaluate` returns them."""
        self._require_compiled("train_on_batch")
        if class_weight is not None and sample_weight is not None:
            raise ArgumentError("a batch has class_weight or sample_weight, not both")
        return self._told(plain_logs(self.make_train_function()(self._one(x, y, sample_weight, class_weight))), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and the metrics with one batch, since they were last reset."""
        self._require_compiled("test_on_batch")
        return self._told(plain_logs(self.make_test_function()(self._one(x, y, sample_weight))), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """What the model makes of one batch."""
        return self.make_predict_function()((as_arrays(x, "x"),))

    def _one(self, x: Any, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None = None) -> Any:
        """The arrays as one batch of all their samples."""
        whole = source(x, y, sample_weight, batch_size=2**62, class_weight=class_weight)
        return next(iter(whole.epoch()))

    def _told(self, logs: Logs, as_dict: bool) -> Any:
        """Logs as a dictionary, or in order: the metrics' as they are, then others by name."""
        if as_dict:
            return logs
        names = ["loss"]
        if self._metrics_of_outputs is not None:
            names += [name for name, _, _, _ in self._metrics_of_outputs.named or ()]
        if self._losses_of_outputs is not None:
            names += [metric.name for metric in self._losses_of_outputs.metrics]
        names = [name for name in names if name in logs]
        values = [logs[name] for name in (*names, *sorted(set(logs) - set(names)))]
        return values[0] if len(values) == 1 else values


def make_callbacks(callbacks: Any, model: Any, *, history: bool = False, verbose: Any, epochs: int, steps: int | None) -> CallbackList:
    """The callbacks as a list, with a progress bar unless it is to be silent."""
    if verbose not in ("auto", 0, 1, 2, True, False):
        raise ArgumentError(f"verbose is 0, 1, 2 or 'auto', not {verbose!r}")
    if isinstance(callbacks, CallbackList):
        return callbacks
    return CallbackList(callbacks, add_history=history, add_progbar=verbose != 0, model=model, verbose=verbose, epochs=epochs, steps=steps)


def due(epoch: int, frequency: int | Sequence[int]) -> bool:
    """Whether an evaluation follows on an epoch, counted from 0."""
    if isinstance(frequency, int) and not isinstance(frequency, bool) and frequency > 0:
        return (epoch + 1) % frequency == 0
    if isinstance(frequency, Sequence):
        return epoch + 1 in frequency
    raise ArgumentError(f"validation_freq is a whole number from 1 on, or a list of epochs, not {frequency!r}")


def without_labels(batch: Any) -> Any:
    """A batch for a prediction: labels are no part of it."""
    return (batch[0],)


__all__ = ["Trainer"]

"""A model's training as a library for C: one step of it and the prediction, compiled, with all variables that they have (see `codegen.trainer`)."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcompile import losses, tree
from dlcompile.codegen import Project, model_identifier
from dlcompile.codegen.trainer import Part, Range, Stored, Trainer, generate_trainer
from dlcompile.compiler import lower
from dlcompile.errors import ArgumentError, ToolchainError
from dlcompile.graph import Tensor, TensorType, distinct_names, symbol
from dlcompile.kernels.target import Target, resolve_target
from dlcompile.models.export import _output_names
from dlcompile.runtime.model import save_library
from dlcompile.toolchain.build import Progress, build
from dlcompile.toolchain.cache import user_cache
from dlcompile.training.outputs import CROSSENTROPY, Outputs, is_guessed
from dlcompile.training.step import BATCH, Step, Traced, common_extent
from dlcompile.variables import Variable

if TYPE_CHECKING:
    from dlcompile.models.model import Model


def export_training(model: Model, path: str | os.PathLike, batch: int | None = None, name: str | None = None, target: str | Target = "native", *,
                    like: Any = None, progress: Progress | None = None) -> Path:
    """Write a library with which the model trains from C, and its header beside it; returns the path. See "Training" in docs/c_api.md.

    batch:  how many samples a step takes; None: any number, which is a parameter then. Predictions take any number wherever they can.
    name:   the prefix of the library's functions; the file's stem, made an identifier, by default.
    target: the machine it is for, as for `dlcompile.compile`.
    like:   a batch (x, y) or (x, y, sample_weight) as `train_on_batch` takes it, whose shapes and types those in C have, whatever its number of
            samples. By default x is the inputs of the model; y is for each output with a loss an array like the output, or of int64 without the axis
            of classes for losses of integer labels; there are no weights of samples.

    The library begins with the values that variables have now. ArgumentError before `compile(optimizer, loss)`, while shapes are not known, and
    where the step needs a number of samples and there is none. LibraryError where the files cannot be written.
    """
    path = Path(path)
    project = training_project(model, batch, name or model_identifier(path.stem), target, like=like)
    store = user_cache()
    try:
        with tempfile.TemporaryDirectory(prefix="dlcompile-") as directory:
            library = build(project, Path(directory, f"{project.name}.so"), progress, objects=store.objects if store else None)
            with open(library, "rb") as file:
                return save_library(file.fileno(), project.header, path)
    except OSError as error:
        raise ToolchainError(f"{project.name}: there is no room for temporary files: {error.strerror or error}") from error


def training_project(model: Model, batch: int | None = None, name: str | None = None, target: str | Target = "native", *,
                     like: Any = None) -> Project:
    """The C project of the library that `export_training` writes."""
    model._require_compiled("export_training")
    name = name or model_identifier(model.name)
    if model_identifier(name) != name:
        raise ArgumentError(f"name={name!r} cannot be the prefix of C functions; {model_identifier(name)!r} can")
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise ArgumentError(f"batch is a positive integer, or None for any, not {batch!r}")
    target = resolve_target(target)
    given = (_inputs_of(model), None, None) if like is None else _types(model, like)
    predict = _traced(Step(f"{model.name}_predict", model.predict_step, ("x",)), (given[0],), None, batch)
    if like is None:
        given = (given[0], _labels_of(model, predict), None)
    step = _traced(Step(f"{model.name}_train", model.train_step, ("x", "y", "sample_weight")), given, batch, batch)
    logs = [_joined(path) for path, leaf in tree.flatten_with_path(step.structure) if isinstance(leaf, (Tensor, Variable))]
    for log, type_ in zip(logs, step.results):
        if not all(isinstance(d, int) for d in type_.shape):
            raise ArgumentError(f"{step.graph.name}: log {log} is {type_}, whose size is not known; batch= may give it")
    variables = _in_order(model, step, predict)
    numbers = {variable: i for i, variable in enumerate(variables)}
    trained = {id(v) for v in model.trainable_variables}
    stored = tuple(Stored(path, v.numpy(), id(v) in trained) for path, v in zip(distinct_names([v.path for v in variables]), variables))
    parts = [_part(traced, f"{name}_{what}_model", target, results, numbers)
             for traced, what, results in ((step, "step", logs), (predict, "predict", _output_names(model, predict.structure)))]
    return generate_trainer(Trainer(name, *parts, stored, tuple(_resets(model, numbers))), target)


# -- what a batch is ------------------------------------------------------------------------------------------------------------
def _inputs_of(model: Model) -> Any:
    """The types of x, with a symbol for the number of samples."""
    return tree.map_structure(lambda t: t.type, next(iter(model.symbolic_arguments().values())))


def _types(model: Model, like: Any) -> tuple[Any, Any, Any]:
    """The types of a batch that is like one."""
    if not isinstance(like, tuple) or not 1 <= len(like) <= 3:
        raise ArgumentError(f"like is a tuple (x, y) or (x, y, sample_weight), not {type(like).__name__}")
    batch = model._one(*(*like, None, None)[:3])
    if common_extent(tree.flatten(batch)) is None:
        raise ArgumentError("like: the arrays of a batch have the same number of samples")
    return tree.map_structure(lambda leaf: None if leaf is None else TensorType(leaf.dtype, (symbol(BATCH), *leaf.shape[1:])), batch)


def _labels_of(model: Model, predict: Traced) -> Any:
    """The types of the labels that the losses take; of several outputs a dictionary of those that have one."""
    if model.loss is None:
        return None
    names = model.output_names if model._network is not None else None
    outputs = Outputs(predict.structure, names)
    several = isinstance(model.loss, (list, tuple)) and len(outputs) == 1  # losses of one output, which compare it with the same labels
    given = [list(model.loss)] if several else outputs.spread("loss", model.loss)
    types = {}
    for name, item, leaf in zip(outputs.names, given, outputs.leaves):
        first = next((one for one in (item if isinstance(item, (list, tuple)) else [item]) if one is not None), None)
        if first is not None:
            types[name] = _label_type(first, leaf.type)
    return next(iter(types.values()), None) if len(outputs) == 1 else types


def _label_type(item: Any, output: TensorType) -> TensorType:
    """What a loss compares an output with: an array like it, or integers that leave out the axis of the classes."""
    if is_guessed(item, CROSSENTROPY):
        raise ArgumentError(f"loss={item!r} takes labels of several forms: like=(x, y) says which those in C have")
    loss = losses.get(item)
    if not getattr(loss, "whole_labels", False):
        return output
    axis = getattr(loss, "arguments", {}).get("axis", -1) % output.rank
    return TensorType(np.dtype(np.int64), (*output.shape[:axis], *output.shape[axis + 1:]))


# -- tracing --------------------------------------------------------------------------------------------------------------------
def _traced(step: Step, types: Any, batch: int | None, otherwise: int | None) -> Traced:
    """A step for batches of some number of samples, or of any; `otherwise`: the number where it cannot be any."""
    for path, type_ in tree.flatten_with_path(types):
        unknown = [] if type_ is None else [d for d in type_.shape[1:] if not isinstance(d, int)]
        if unknown or type_ is not None and not type_.rank:
            raise ArgumentError(f"{'_'.join(map(str, Traced._named(path, step.parts)))} is {type_}: all sizes but the number of samples have to be "
                                "known; like=(x, y) gives an example")
    reason: Exception | None = None
    if batch is None:
        try:
            traced = _with_samples(step, types, None)
            if not traced.graph.constraints:
                return traced
        except Exception as error:  # of whatever kind: a function may use the number of samples as it likes
            reason = error
        if otherwise is None:
            _with_samples(step, types, 2)  # what is wrong for a number too is an error of its own
            raise ArgumentError(f"{step.name} cannot be compiled for any number of samples; batch= gives one") from reason
    return _with_samples(step, types, batch or otherwise)


def _with_samples(step: Step, types: Any, samples: int | None) -> Traced:
    """Traced for arrays that are nothing but shapes."""
    leaves = [None if t is None else np.broadcast_to(np.zeros((), t.dtype), (samples or 1, *t.shape[1:])) for t in tree.flatten(types)]
    return Traced(step, types, leaves, None if samples else symbol(BATCH))


def _in_order(model: Model, step: Traced, predict: Traced) -> list[Variable]:
    """The variables that are read or written: those of the model first, in its order."""
    used = dict.fromkeys([*step.read, *predict.read])
    first = [v for v in model.variables if v in used]
    return list(dict.fromkeys([*first, *used]))


def _part(traced: Traced, name: str, target: Target, results: Sequence[str], numbers: Mapping[Variable, int]) -> Part:
    """A traced function, compiled to a program over the variables of these numbers."""
    graph = traced.graph
    count, arrays = len(traced.results), len(graph.inputs) - len(traced.read)
    for result, type_ in zip(results, traced.results):
        if {s.name for d in type_.shape if not isinstance(d, int) for s in d.symbols} - {BATCH}:
            raise ArgumentError(f"{graph.name}: {result} is {type_}, whose size only a run knows")
    updates = dict(zip(graph.output_names[count:], (traced.input_names[v] for v in traced.written)))
    program = lower(graph, name=model_identifier(name), target=target, updates=updates)[1]
    names = tuple(n.removeprefix("batch_") for n in graph.input_names[:arrays])
    return Part(program, names, tuple(results), tuple(numbers[v] for v in traced.read), tuple(numbers[v] for v in traced.written),
                tuple(Range(check.place, check.count, check.ignored, check.what) for check in traced.checks))


def _resets(model: Model, numbers: Mapping[Variable, int]) -> list[tuple[int, np.ndarray]]:
    """The variables of metrics, and what they are when the metrics begin anew; they are left as they are."""
    variables = [v for metric in model.metrics for v in metric.variables if v in numbers]
    before = [v._array for v in variables]
    try:
        model.reset_metrics()
        return [(numbers[v], v.numpy()) for v in dict.fromkeys(variables)]
    finally:
        for variable, array in zip(variables, before):
            variable._array = array


def _joined(path: tuple) -> str:
    return "_".join(map(str, path)) or "log"


__all__ = ["export_training", "training_project"]

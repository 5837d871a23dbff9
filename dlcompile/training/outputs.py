"""Losses and metrics of a model's outputs: which of those that `compile` is given belongs to which."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile import config, losses, metrics, ops, tree
from dlcompile.errors import ArgumentError, Error
from dlcompile.graph import Tensor, as_dtype
from dlcompile.registry import suggestion


class Outputs:
    """The outputs of a model, one after the other, with their names.

    structure: nested tensors. names: of the leaves, in order; those of dictionaries are their keys.
    """

    def __init__(self, structure: Any, names: Sequence[str] | None):
        self.leaves = tree.flatten(structure)
        paths = ["_".join(map(str, path)) for path, _ in tree.flatten_with_path(structure)]
        keyed = isinstance(structure, Mapping)
        if not keyed and names is not None and len(names) == len(self.leaves):
            self.names = list(names)
        else:
            self.names = paths if keyed else [f"output_{path}" for path in paths]
        self.structure = tree.map_structure(lambda leaf: None, structure)

    def __len__(self) -> int:
        return len(self.leaves)

    def spread(self, what: str, given: Any, default: Any = None, one_for_all: bool = True) -> list[Any]:
        """One of `given` for each output: by names, in the structure of the outputs, in a list of their number, or one for all. ArgumentError where it
        is none of these."""
        if isinstance(given, Mapping):
            known = set(self.names)
            if isinstance(self.structure, Mapping) and not set(given) <= known and set(given) <= set(self.structure):
                return tree.flatten({key: given.get(key, tree.map_structure(lambda _: default, inner)) for key, inner in self.structure.items()})
            unknown = [key for key in given if key not in known]
            if unknown:
                raise ArgumentError(f"{what}: there is no output {unknown[0]!r}{suggestion(str(unknown[0]), self.names)}")
            return [given.get(name, default) for name in self.names]
        if isinstance(given, (list, tuple)):
            if len(given) == len(self):
                return list(given)
            try:
                tree.assert_same_structure(self.structure, tree.map_structure(lambda leaf: None, given))
                return tree.flatten(given)
            except ArgumentError:
                raise ArgumentError(f"{what}: {len(given)} are given for the {len(self)} outputs {', '.join(self.names)}") from None
        if one_for_all or len(self) == 1:
            return [given] * len(self)
        raise ArgumentError(f"{what}: one is given for the {len(self)} outputs {', '.join(self.names)}")


def guessed(kind: str, y_true: Any, y_pred: Tensor) -> str:
    """"binary", "sparse" or "categorical": what a word like "accuracy" means for labels and scores of these shapes."""
    if y_pred.shape[-1:] == (1,):
        return "binary"
    if y_true.rank < y_pred.rank or y_true.shape[-1:] == (1,) and y_pred.shape[-1:] != (1,):
        return "sparse"
    return "categorical"


ACCURACY, CROSSENTROPY = ("accuracy", "acc"), ("crossentropy", "ce")
ACCURACIES = {"binary": metrics.BinaryAccuracy, "sparse": metrics.SparseCategoricalAccuracy, "categorical": metrics.CategoricalAccuracy}
CROSSENTROPIES = {"binary": losses.binary_crossentropy, "sparse": losses.sparse_categorical_crossentropy,
                  "categorical": losses.categorical_crossentropy}


def loss_for(identifier: Any, y_true: Tensor, y_pred: Tensor) -> losses.Loss | None:
    """The loss that is meant; "crossentropy" is one that goes with the shapes."""
    if is_guessed(identifier, CROSSENTROPY):
        return losses.LossFunctionWrapper(CROSSENTROPIES[guessed("loss", y_true, y_pred)], name=identifier)
    found = losses.get(identifier)
    if found is None or isinstance(found, losses.Loss):
        return found
    name = identifier if isinstance(identifier, str) else getattr(found, "__name__", None)
    return losses.LossFunctionWrapper(found, name=name)


def metric_for(identifier: Any, y_true: Tensor, y_pred: Tensor) -> metrics.Metric:
    """The metric that is meant, called what the user calls it; "accuracy" is one that goes with the shapes."""
    if is_guessed(identifier, ACCURACY):
        return ACCURACIES[guessed("metric", y_true, y_pred)](name=identifier)
    made = metrics.as_metric(identifier)
    if made is None:
        raise ArgumentError("a metric is a name, a function or a Metric, not None")
    if isinstance(identifier, str):
        made.name = identifier
    return made


def is_guessed(identifier: Any, words: Sequence[str]) -> bool:
    """Whether a loss or a metric is given as one of the words whose meaning depends on the shapes."""
    return isinstance(identifier, str) and identifier.lower() in words


class OutputLosses:
    """The losses of a model's outputs: what `compile` is given, and once outputs are known a list of losses for each."""

    def __init__(self, loss: Any, loss_weights: Any = None):
        self.loss, self.loss_weights = loss, loss_weights
        self.each: list[list[losses.Loss]] | None = None
        self.weights: list[list[float | None]] = []
        self.trackers: list[metrics.Mean | None] = []
        wrong = [w for w in tree.flatten(loss_weights) if w is not None and (isinstance(w, bool) or not isinstance(w, (int, float, np.number)))]
        if wrong:
            raise ArgumentError(f"loss_weights are numbers, not {wrong[0]!r}")
        for leaf in tree.flatten(loss):
            if isinstance(leaf, str) and not is_guessed(leaf, CROSSENTROPY):
                losses.get(leaf)  # a name that is none is an error now, not in the first step

    @property
    def metrics(self) -> list[metrics.Metric]:
        """The means of the losses of single outputs, where there are several."""
        return [tracker for tracker in self.trackers if tracker is not None]

    def build(self, y_true: Any, outputs: Outputs) -> None:
        several = isinstance(self.loss, (list, tuple)) and len(outputs) == 1 and len(self.loss) > 1  # all of them for one output
        given = [list(self.loss)] if several else outputs.spread("loss", self.loss)
        truths = labels_of(y_true, outputs, [item is not None for item in given])
        self.each = []
        for item, truth, leaf in zip(given, truths, outputs.leaves):
            items = item if isinstance(item, (list, tuple)) else [item]
            self.each.append([made for made in (loss_for(i, truth, leaf) for i in items) if made is not None])
        if self.loss_weights is None:
            weights = [None] * len(outputs)
        elif several:
            weights = [list(self.loss_weights)]
        else:
            weights = outputs.spread("loss_weights", self.loss_weights)
        self.weights = [list(w) if isinstance(w, (list, tuple)) else [w] * len(made) for w, made in zip(weights, self.each)]
        self.trackers = [metrics.Mean(name=f"{name}_loss") if made and len(outputs) > 1 else None for name, made in zip(outputs.names, self.each)]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any, names: Sequence[str] | None) -> Tensor | None:
        """The sum of all losses, times their weights; None where there is none."""
        outputs = Outputs(y_pred, names)
        if self.each is None:
            self.build(y_true, outputs)
        wanted = [bool(made) for made in self.each]
        truths = labels_of(y_true, outputs, wanted)
        weights = weights_of(sample_weight, outputs)
        dtype, total = as_dtype(config.floatx()), None
        for name, leaf, truth, weight, each, factors, tracker in zip(outputs.names, outputs.leaves, truths, weights, self.each, self.weights,
                                                                     self.trackers):
            for loss, factor in zip(each, factors):
                try:
                    value = ops.cast(loss(truth, leaf, weight), dtype)
                except Error as error:
                    raise type(error)(f"{error} (loss of output {name!r})" if len(outputs) > 1 else str(error)) from None
                if tracker is not None:
                    tracker.update_state(value, ops.dim_scalar(leaf.shape[0]))
                value = value if factor is None else value * float(factor)
                total = value if total is None else total + value
        return total


class OutputMetrics:
    """The metrics of a model's outputs: what `compile` is given, and once outputs are known a list of metrics for each."""

    def __init__(self, given: Any, weighted: Any):
        for what, value in (("metrics", given), ("weighted_metrics", weighted)):
            if value is not None and not isinstance(value, (list, tuple, Mapping)):
                raise ArgumentError(f"{what} are a list or a dictionary, not {type(value).__name__} {value!r}")
            for leaf in tree.flatten(value):
                if isinstance(leaf, str) and not is_guessed(leaf, ACCURACY):
                    metrics.FAMILY.find(leaf)
        self.given, self.weighted = given, weighted
        self.named: list[tuple[str, metrics.Metric, int, bool]] | None = None

    @property
    def metrics(self) -> list[metrics.Metric]:
        return [metric for _, metric, _, _ in self.named or ()]

    def build(self, y_true: Any, outputs: Outputs) -> None:
        """Find out which metric belongs to which output, and what its value is called in logs."""
        found: list[tuple[metrics.Metric, int, bool]] = []
        for what, given, weighted in (("metrics", self.given, False), ("weighted_metrics", self.weighted, True)):
            if not given:
                continue
            each = [tree.flatten(given)] if len(outputs) == 1 else outputs.spread(what, given, one_for_all=False)
            truths = labels_of(y_true, outputs, [item is not None for item in each])
            for place, (items, truth, leaf) in enumerate(zip(each, truths, outputs.leaves)):
                for item in items if isinstance(items, (list, tuple)) else [items] if items is not None else []:
                    found.append((metric_for(item, truth, leaf), place, weighted))
        self.named, taken = [], {}
        for metric, place, weighted in found:
            prefix = f"{outputs.names[place]}_" if len(outputs) > 1 else ""
            name = f"{prefix}{metric.name}"
            if name in taken and weighted and f"{prefix}weighted_{metric.name}" not in taken:
                name = f"{prefix}weighted_{metric.name}"
            taken[name] = taken.get(name, 0) + 1
            self.named.append((name if taken[name] == 1 else f"{name}_{taken[name] - 1}", metric, place, weighted))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any, names: Sequence[str] | None) -> None:
        outputs = Outputs(y_pred, names)
        if self.named is None:
            self.build(y_true, outputs)
        wanted = [any(place == i for _, _, place, _ in self.named) for i in range(len(outputs))]
        truths, weights = labels_of(y_true, outputs, wanted), weights_of(sample_weight, outputs)
        for _, metric, place, weighted in self.named:
            more = {"sample_weight": weights[place]} if weighted else {}
            metric.update_state(truths[place], outputs.leaves[place], **more)

    def result(self) -> dict[str, Any]:
        """{name: value}, what a metric gives as a dictionary by its own names."""
        found: dict[str, Any] = {}
        for name, metric, _, _ in self.named or ():
            value = metric.result()
            found.update(value if isinstance(value, Mapping) else {name: value})
        return found


def labels_of(y_true: Any, outputs: Outputs, wanted: Sequence[bool]) -> list[Any]:
    """The labels of each output; where there are fewer than outputs, those of the outputs that are `wanted`. ArgumentError for others."""
    if isinstance(y_true, Mapping):
        missing = [name for name, want in zip(outputs.names, wanted) if want and name not in y_true]
        if missing and isinstance(outputs.structure, Mapping) and set(y_true) == set(outputs.structure):
            tree.assert_same_structure(outputs.structure, tree.map_structure(lambda leaf: None, y_true))
            return tree.flatten(y_true)
        if missing:
            raise ArgumentError(f"there are no labels for output {missing[0]!r}; there are some for {', '.join(map(str, y_true)) or 'none'}")
        return [y_true.get(name) for name in outputs.names]
    leaves = tree.flatten(y_true)
    if len(leaves) == len(outputs):
        return leaves
    if len(leaves) == sum(wanted):
        given = iter(leaves)
        return [next(given) if want else None for want in wanted]
    raise ArgumentError(f"the model has {len(outputs)} outputs ({', '.join(outputs.names)}), the labels are {len(leaves)} arrays")


def weights_of(sample_weight: Any, outputs: Outputs) -> list[Any]:
    """The weights of each output's samples; one array is for all."""
    if sample_weight is None:
        return [None] * len(outputs)
    return outputs.spread("sample_weight", sample_weight)


__all__ = ["CROSSENTROPY", "OutputLosses", "OutputMetrics", "Outputs", "is_guessed", "loss_for", "metric_for"]

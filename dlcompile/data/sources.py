"""Where batches come from: arrays, in batches of any order; iterators and generators; data sets that have batches by number.

Each source yields (x, y, sample_weight) with NumPy arrays, or nested ones, for None where there is nothing.
"""
from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dlcompile import config, tree
from dlcompile.data.batches import unpack_x_y_sample_weight
from dlcompile.data.datasets import PyDataset
from dlcompile.errors import ArgumentError
from dlcompile.graph import DTYPES, as_dtype

Batch = tuple[Any, Any, Any]

DEFAULT_BATCH = 32


class Source:
    """Batches, epoch after epoch. steps: how many an epoch has, None where nobody knows."""

    steps: int | None = None

    def epoch(self) -> Iterator[Batch]:
        """The batches of the next epoch."""
        raise NotImplementedError

    def epoch_ended(self) -> None:
        """What is done after an epoch."""


def source(x: Any, y: Any = None, sample_weight: Any = None, *, batch_size: int | None = None, steps: int | None = None, shuffle: bool | str = False,
           class_weight: Mapping[int, float] | None = None, what: str = "x") -> Source:
    """Where the batches of `fit`, `evaluate` and `predict` come from. ArgumentError for arguments that do not go together."""
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
        raise ArgumentError(f"batch_size is a whole number from 1 on, not {batch_size!r}")
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1):
        raise ArgumentError(f"a number of steps is a whole number from 1 on, not {steps!r}")
    if isinstance(x, Source):
        return x
    if is_array_data(x, y):
        made: Source = Arrays(x, y, sample_weight, batch_size or DEFAULT_BATCH, shuffle)
    else:
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ArgumentError(f"{name} cannot be given beside {what} of type {type(x).__name__}, whose batches are (x, y, sample_weight)")
        if batch_size is not None:
            warnings.warn(f"batch_size says nothing of {what} of type {type(x).__name__}, which comes in batches", stacklevel=4)
        if isinstance(x, PyDataset):
            made = Numbered(x, bool(shuffle))
        elif isinstance(x, Iterable):
            made = Iterated(x, steps)
        else:
            raise ArgumentError(f"{what} is an array, a list or dictionary of arrays, a generator or another iterable of batches, not {type(x).__name__}")
    if class_weight is not None:
        made = Weighted(made, class_weight)
    if steps is not None:
        made = Limited(made, int(steps))
    return made


def is_array_data(x: Any, y: Any = None) -> bool:
    """Whether it is arrays: one, or nested ones; lists of batches are none, and neither are lists that the caller means to be iterated over."""
    if isinstance(x, PyDataset):
        return False
    leaves = tree.flatten(x)
    if isinstance(x, (list, tuple)) and y is None and x and all(isinstance(item, tuple) and len(item) <= 3 for item in x):
        return False  # batches (x, y)
    return bool(leaves) and all(leaf is None or hasattr(leaf, "__array__") or isinstance(leaf, (int, float, bool)) for leaf in leaves)


# -- arrays -------------------------------------------------------------------------------------------------------------------
def as_arrays(data: Any, what: str) -> Any:
    """Nested arrays: floats of 64 bits as `floatx`, everything else as it is; lists of numbers are arrays. ArgumentError for what no model takes."""
    if isinstance(data, (list, tuple)) and data and all(isinstance(leaf, (int, float, np.generic)) for leaf in tree.flatten(data)):
        data = np.asarray(data)

    def converted(leaf: Any) -> Any:
        if leaf is None:
            return None
        array = np.asarray(leaf)
        if array.dtype == np.float64:
            return array.astype(as_dtype(config.floatx()))
        if array.dtype == object or array.dtype not in DTYPES:
            raise ArgumentError(f"{what} is an array of {array.dtype}, which a model cannot take; it takes numbers")
        return array

    return tree.map_structure(converted, data)


def _lengths(data: Any, what: str) -> dict[str, int]:
    """{name of an array: the number of samples}. ArgumentError for a scalar."""
    found = {}
    for path, leaf in tree.flatten_with_path(data):
        if leaf is not None:
            name = what + "".join(f"[{key!r}]" for key in path)
            if leaf.ndim == 0:
                raise ArgumentError(f"{name} is a number; the first axis of an array is that of the samples")
            found[name] = len(leaf)
    return found


class Arrays(Source):
    """Nested arrays of the same number of samples, in batches; in another order each epoch where `shuffle`, or the batches alone where "batch"."""

    def __init__(self, x: Any, y: Any, sample_weight: Any, batch_size: int, shuffle: bool | str = False):
        self.data = tuple(as_arrays(part, what) for part, what in ((x, "x"), (y, "y"), (sample_weight, "sample_weight")))
        lengths: dict[str, int] = {}
        for part, what in zip(self.data, ("x", "y", "sample_weight")):
            lengths.update(_lengths(part, what))
        if len(set(lengths.values())) > 1:
            raise ArgumentError("arrays have different numbers of samples: " + ", ".join(f"{name} {count}" for name, count in lengths.items()))
        self.samples = next(iter(lengths.values()), 0)
        if not self.samples:
            raise ArgumentError("x has no samples")
        if shuffle not in (True, False, None, "batch"):
            raise ArgumentError(f"shuffle is True, False or 'batch', not {shuffle!r}")
        self.batch_size, self.shuffle = min(batch_size, self.samples), shuffle
        self.steps = math.ceil(self.samples / self.batch_size)

    def epoch(self) -> Iterator[Batch]:
        order = np.random.permutation(self.samples) if self.shuffle is True else None
        starts = range(0, self.samples, self.batch_size)
        for start in np.random.permutation(starts) if self.shuffle == "batch" else starts:
            part: Any = slice(start, start + self.batch_size)
            if order is not None:
                part = order[part]
            yield tuple(tree.map_structure(lambda leaf: None if leaf is None else leaf[part], data) for data in self.data)  # noqa: B023


def split(x: Any, y: Any, sample_weight: Any, share: float) -> tuple[Batch, Batch]:
    """(what is trained with, what is validated with): the last `share` of the samples are the latter. ArgumentError for data that are no arrays."""
    if not 0 < share < 1:
        raise ArgumentError(f"validation_split is a number between 0 and 1, not {share!r}")
    if not is_array_data(x, y):
        raise ArgumentError(f"validation_split divides arrays; x is {type(x).__name__}. Give validation_data instead")
    whole = Arrays(x, y, sample_weight, 1)
    cut = math.floor(whole.samples * (1 - share))
    if not 0 < cut < whole.samples:
        raise ArgumentError(f"validation_split={share} of {whole.samples} samples leaves none for one of the two")
    return tuple(tuple(tree.map_structure(lambda leaf: None if leaf is None else leaf[part], data) for data in whole.data)  # noqa: B023
                 for part in (slice(None, cut), slice(cut, None)))


# -- what comes in batches ----------------------------------------------------------------------------------------------------
def as_batch(item: Any) -> Batch:
    """What an iterable of batches yields, as (x, y, sample_weight) of arrays."""
    x, y, weight = unpack_x_y_sample_weight(item)
    return as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(weight, "sample_weight")


class Iterated(Source):
    """An iterable of batches. One that begins anew each time it is iterated over is an epoch; of one that does not, such as a generator, each epoch is
    the next `steps` batches, or all of it."""

    def __init__(self, batches: Iterable[Any], steps: int | None):
        self.batches = batches
        self.running: Iterator[Any] | None = None
        self.once = iter(batches) is batches
        if not self.once and steps is None and hasattr(batches, "__len__"):
            self.steps = len(batches)

    def epoch(self) -> Iterator[Batch]:
        if self.once:
            self.running = self.running or iter(self.batches)
        for item in self.running if self.once else self.batches:
            yield as_batch(item)


class Numbered(Source):
    """A `PyDataset`: batches by number."""

    def __init__(self, dataset: PyDataset, shuffle: bool):
        self.dataset, self.shuffle = dataset, shuffle
        self.steps = dataset.num_batches

    def epoch(self) -> Iterator[Batch]:
        self.dataset.on_epoch_begin()
        count = self.dataset.num_batches
        number = 0
        order = np.random.permutation(count) if self.shuffle and count is not None else None
        while count is None or number < count:
            yield as_batch(self.dataset[number if order is None else int(order[number])])
            number += 1

    def epoch_ended(self) -> None:
        self.dataset.on_epoch_end()


class Limited(Source):
    """Epochs of a given number of batches, whatever those of the source have: where one ends before, the next begins."""

    def __init__(self, inner: Source, steps: int):
        self.inner, self.steps = inner, steps
        self.running: Iterator[Batch] | None = None

    def epoch(self) -> Iterator[Batch]:
        for _ in range(self.steps):
            batch = None if self.running is None else next(self.running, None)
            if batch is None:
                self.running = self.inner.epoch()
                batch = next(self.running, None)
            if batch is None:
                warnings.warn(f"the data ran out: an epoch has {self.steps} batches, and there are fewer; a generator has to yield as many as all "
                              "epochs have together", stacklevel=3)
                return
            yield batch

    def epoch_ended(self) -> None:
        self.inner.epoch_ended()


class Weighted(Source):
    """Batches whose samples have the weights of their classes, times those that they have."""

    def __init__(self, inner: Source, class_weight: Mapping[int, float]):
        if not isinstance(class_weight, Mapping) or any(not isinstance(c, (int, np.integer)) or c < 0 for c in class_weight):
            raise ArgumentError(f"class_weight is a dictionary from classes, whole numbers from 0 on, to weights, not {class_weight!r}")
        self.inner, self.steps = inner, inner.steps
        self.table = np.ones(max(class_weight, default=0) + 1, as_dtype(config.floatx()))
        for c, weight in class_weight.items():
            self.table[c] = weight

    def epoch(self) -> Iterator[Batch]:
        for x, y, weight in self.inner.epoch():
            yield x, y, self.weights(y, weight)

    def weights(self, y: Any, weight: Any) -> np.ndarray:
        """The weight of each sample, by its label: a whole number, or a vector that is largest at the class; 1 for classes that have none."""
        if not isinstance(y, np.ndarray):
            raise ArgumentError("class_weight is for models with one output, whose labels are one array")
        labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y)) if y.ndim > 1 else y
        labels = labels.astype(np.int64)
        found = np.where((labels >= 0) & (labels < len(self.table)), self.table[np.clip(labels, 0, len(self.table) - 1)], 1)
        found = found.astype(self.table.dtype)
        return found if weight is None else found * np.asarray(weight).reshape(found.shape)

    def epoch_ended(self) -> None:
        self.inner.epoch_ended()


__all__ = ["Arrays", "Source", "as_arrays", "as_batch", "is_array_data", "source", "split"]

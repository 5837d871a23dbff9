"""A Python function of a batch, made one graph and compiled: all variables that it reads go in, all that it assigns come out.

    step = Step("train", lambda batch: model.train_step(batch))
    logs = step((x, y))                       # traced and compiled the first time

The first batch's number of samples is compiled for, as most batches have it: code for one size is faster. When another comes the number stays a symbol,
if the function can be traced so: then batches of all other sizes are one library. A step happens as a whole or, if it fails or is interrupted,
not at all.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcompile import config, tree
from dlcompile.eager import without_identities
from dlcompile.graph import DimLike, Graph, Tensor, TensorType, distinct_names, graphs_in, make_input, substitute, symbol
from dlcompile.operators import evaluate
from dlcompile.training.checks import Check, checks_of, noting_labels
from dlcompile.training.exchange import commit, own_arrays
from dlcompile.variables import Variable, tracing

if TYPE_CHECKING:
    from dlcompile.runtime import CompiledModel

BATCH = "batch"
"""the symbol for the number of samples"""

Arrays = Sequence[np.ndarray]
Run = Callable[[Arrays, int], Arrays]
"""(arrays of the batch, number of samples) → the results; variables are assigned"""

Made = tuple[Run, "CompiledModel | None"]


class Step:
    """A function of nested arrays (None among them) that returns nested tensors, as a compiled function of arrays.

    name: what graphs and libraries are called. function: what is traced. parts: what messages call the items of a batch that is a tuple.
    """

    def __init__(self, name: str, function: Callable[[Any], Any], parts: Sequence[str] = ()):
        self.name, self.function, self.parts = name, function, tuple(parts)
        self._compiled: dict[tuple, Compiled] = {}
        self._seen: set[tuple] = set()  # forms of which a size has been compiled for
        self._of_one_size: set[tuple] = set()

    def __call__(self, data: Any) -> Any:
        """The result for a batch, as arrays; variables have their new values afterwards."""
        leaves = [None if leaf is None else np.asarray(leaf) for leaf in tree.flatten(data)]
        samples = common_extent(leaves)
        types = tuple(None if leaf is None else (leaf.dtype, leaf.shape) for leaf in leaves)
        anysize = types if samples is None else tuple(None if t is None else (t[0], (BATCH, *t[1][1:])) for t in types)
        form = (config.backend(), *(path for path, _ in tree.flatten_with_path(data)))
        key = next((key for key in ((form, types), (form, anysize)) if key in self._compiled), None)
        if key is None:
            key = self._compile(form, types, anysize, data, leaves)
        return self._compiled[key]([leaf for leaf in leaves if leaf is not None], samples or 0)

    @property
    def arena_bytes(self) -> int:
        """What all libraries of this step have as arenas, each for the largest batch that it has been given (see `Compiled.arena_bytes`)."""
        return sum(compiled.arena_bytes or 0 for compiled in self._compiled.values())

    def _compile(self, form: tuple, types: tuple, anysize: tuple, data: Any, leaves: Sequence[np.ndarray | None]) -> tuple:
        """Compile for batches of this size, or, if it is not the first, of any size, where the function can be traced so; returns the key."""
        again = form[0] not in SPECIALISED or (form, anysize) in self._seen
        if again and anysize is not types and (form, anysize) not in self._of_one_size:
            try:
                traced = Traced(self, data, leaves, symbol(BATCH))
            except Exception:  # of whatever kind: a function may use the number of samples as it likes
                traced = None
            if traced is not None and not traced.graph.constraints:  # a number that has to be another one may be so for one size alone
                self._compiled[form, anysize] = Compiled(traced, form[0])
                return form, anysize
            self._of_one_size.add((form, anysize))
        self._compiled[form, types] = Compiled(Traced(self, data, leaves, None), form[0])
        self._seen.add((form, anysize))
        return form, types


def common_extent(leaves: Sequence[np.ndarray | None]) -> int | None:
    """The first dimension, if all arrays have the same."""
    extents = {leaf.shape[:1] for leaf in leaves if leaf is not None}
    return extents.pop()[0] if len(extents) == 1 and extents != {()} else None


class Traced:
    """The graph of a step for batches of one form. samples: what stands for the first dimension of all arrays; None: its number."""

    def __init__(self, step: Step, data: Any, leaves: Sequence[np.ndarray | None], samples: DimLike | None):
        paths = ["_".join(["batch", *map(str, self._named(path, step.parts))]) for path, _ in tree.flatten_with_path(data)]
        tensors = [None if leaf is None else make_input(path, leaf.dtype, leaf.shape if samples is None else (samples, *leaf.shape[1:]))
                   for path, leaf in zip(paths, leaves)]
        with tracing() as trace, noting_labels() as labels:
            self.structure = step.function(tree.pack_sequence_as(data, tensors))
        made = tree.flatten(self.structure)
        self.places = [i for i, leaf in enumerate(made) if isinstance(leaf, (Tensor, Variable))]
        outputs = [trace.value(made[i]) if isinstance(made[i], Variable) else made[i] for i in self.places]
        self.read, self.written = list(trace.read), list(trace.written)
        self.results: list[TensorType] = [tensor.type for tensor in outputs]
        inputs = [tensor for tensor in tensors if tensor is not None]
        names = distinct_names([*(t.name for t in inputs), *(v.path for v in self.read)], taken=("out",))  # an argument of every call
        self.input_names = dict(zip(self.read, names[len(inputs):]))
        graph = Graph(step.name, [*inputs, *trace.read.values()], [*outputs, *trace.written.values()], input_names=names,
                      output_names=distinct_names([*(f"result_{i}" for i in range(len(outputs))), *(v.path for v in self.written)]))
        self.graph = without_identities(graph)
        self.checks: list[Check] = checks_of(self.graph, inputs, labels)

    @staticmethod
    def _named(path: tuple, parts: Sequence[str]) -> tuple:
        return (parts[path[0]], *path[1:]) if path and isinstance(path[0], int) and path[0] < len(parts) else path

    def arguments(self, arrays: Arrays) -> list[np.ndarray]:
        """What the graph takes: the batch, and the arrays of the variables."""
        return [*arrays, *(variable._array for variable in self.read)]

    def new_results(self, samples: int) -> list[np.ndarray] | None:
        """Arrays for the results; None where only a run tells how large one is."""
        shapes = [tuple(substitute(d, {BATCH: samples}) for d in t.shape) for t in self.results]
        if not all(isinstance(d, int) for shape in shapes for d in shape):
            return None
        return [np.empty(shape, t.dtype) for shape, t in zip(shapes, self.results)]


class Compiled:
    """A step for batches of one form, run by one backend. `library` is what it is compiled to, None where it is interpreted."""

    def __init__(self, traced: Traced, backend: str):
        self.traced = traced
        self._run, self.library = BACKENDS[backend](traced)
        self._most_samples = 0

    @property
    def arena_bytes(self) -> int | None:
        """Bytes that a run of the library needs beside the arrays that go in and come out, for the largest batch so far. None where that is not
        known beforehand, or nothing is compiled."""
        return None if self.library is None else self.library.arena_bytes(**dict.fromkeys(self.library.symbols, self._most_samples))

    def __call__(self, arrays: Arrays, samples: int) -> Any:
        for check in self.traced.checks:
            check(arrays[check.place])
        self._most_samples = max(self._most_samples, samples)
        leaves = tree.flatten(self.traced.structure)
        for place, array in zip(self.traced.places, self._run(arrays, samples)):
            leaves[place] = array
        return tree.pack_sequence_as(self.traced.structure, leaves)


def _interpreted(step: Traced) -> Made:
    """The interpreter: nothing is compiled."""
    def run(arrays: Arrays, samples: int) -> Arrays:
        values = evaluate(step.graph, step.arguments(arrays))
        commit(step.written, values[len(step.results):])
        return values[:len(step.results)]

    return run, None


def _in_a_library(step: Traced) -> Made:
    """A library that writes the new values of variables over the old ones; where a run can fail on its way, it writes to new arrays."""
    from dlcompile.compiler import compile  # noqa: A004  which imports all that compiles
    from dlcompile.runtime.arguments import Vouched

    if step.new_results(1) is None or any(graph.definitions or graph.constraints for graph in graphs_in(step.graph)):
        model = compile(step.graph)
        return _with_new_arrays(step, model), model
    updates = dict(zip(step.graph.output_names[len(step.results):], (step.input_names[v] for v in step.written)))
    model = compile(step.graph, updates=updates)
    storages = [None if port.dtype == port.storage else port.storage for port in model.outputs]
    looked_at = False

    def run(arrays: Arrays, samples: int) -> Arrays:
        nonlocal looked_at
        results = step.new_results(samples)
        out = (*results, *own_arrays(step.written))
        if looked_at:
            out = Vouched(a if storage is None else a.view(storage) for a, storage in zip(out, storages))
        model(*step.arguments(arrays), out=out)
        looked_at = True
        return results

    return run, model


def _with_new_arrays(step: Traced, model: Callable[..., Any]) -> Run:
    """The variables get the arrays that a run makes, if it comes to its end: memory for what only a run knows may be wanting, or a size another one."""
    def run(arrays: Arrays, samples: int) -> Arrays:
        values = model(*step.arguments(arrays))
        values = values if isinstance(values, tuple) else (values,)
        commit(step.written, values[len(step.results):])
        return values[:len(step.results)]

    return run


BACKENDS: dict[str, Callable[[Traced], Made]] = {"c": _in_a_library, "numpy": _interpreted}
"""setting `backend` → what makes a function that runs a step, and the library that it runs"""


SPECIALISED = frozenset({"c"})
"""those that are faster for a size that is known"""


__all__ = ["BACKENDS", "Compiled", "Step", "Traced", "common_extent"]

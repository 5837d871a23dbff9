"""What runs a traced function: compiled C, or the interpreter."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dlcompile import config
from dlcompile.compiler import compile as compile_graph
from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph
from dlcompile.kernels.target import Target
from dlcompile.operators import evaluate

Run = Callable[[Sequence[np.ndarray]], "tuple[np.ndarray, ...]"]


@dataclass(frozen=True)
class CompileOptions:
    """Those of `dlcompile.compile` that a function may be given."""

    target: str | Target = "native"
    precision: str = "default"
    threads: int | None = None


def _compiled(graph: Graph, options: CompileOptions) -> Run:
    model = compile_graph(graph, target=options.target, precision=options.precision, threads=options.threads)

    def run(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        results = model(*arrays)
        return results if isinstance(results, tuple) else (results,)

    return run


def _interpreted(graph: Graph, options: CompileOptions) -> Run:
    def run(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        results = evaluate(graph, arrays)
        return tuple(np.array(r) if t.producer is None else r for r, t in zip(results, graph.outputs))  # nobody else's

    return run


BACKENDS: dict[str, Callable[[Graph, CompileOptions], Run]] = {"c": _compiled, "numpy": _interpreted}
"""name → (graph, options) → arrays to arrays: "c" compiles, "numpy" evaluates each operator by its definition"""

def default_backend() -> str:
    """The backend of functions that do not name one: the setting `backend` (see `config`)."""
    return config.backend()


def set_default_backend(name: str) -> None:
    """Make `name` ("c" or "numpy") the backend of functions that do not name one. ArgumentError for another name."""
    config.set_backend(checked_backend(name))


def checked_backend(name: str) -> str:
    """The name, if a backend has it. ArgumentError otherwise."""
    if name not in BACKENDS:
        raise ArgumentError(f"backend {name!r}; expected {' or '.join(map(repr, BACKENDS))}")
    return name

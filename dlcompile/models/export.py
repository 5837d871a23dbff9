"""Models as graphs, and from there as ONNX or compiled libraries."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcompile import tree
from dlcompile.compiler import compile_library
from dlcompile.errors import ArgumentError
from dlcompile.frontends.onnx import export_onnx
from dlcompile.graph import Graph, Tensor, TensorType, distinct_names, make_constant, make_input, substitute
from dlcompile.variables import tracing, untraced

if TYPE_CHECKING:
    from dlcompile.models.model import Model

FORMATS = {".onnx": "onnx", ".so": "library", ".dylib": "library", ".dll": "library"}
"""the end of a file's name → what is written to it"""


def graph_of(model: Model, batch: int | None = None, training: bool = False) -> Graph:
    """A model as a graph, with its weights as constants.

    batch: how many samples it takes; None: any number, a dimension `batch`. training: as it computes in training; what it would assign to
    variables then, and the next random numbers, are no part of the graph. ArgumentError for a model that has not been told the shapes of
    its inputs.
    """
    arguments = {name: tree.map_structure(lambda t: make_input(t.name, t.type.dtype, _with_batch(t.type, batch).shape), structure)
                 for name, structure in model.symbolic_arguments().items()}
    with untraced(), tracing() as trace:
        result = model(**arguments, training=training)
    leaves = [leaf for leaf in tree.flatten(result) if isinstance(leaf, Tensor)]
    given = [tensor for structure in arguments.values() for tensor in tree.flatten(structure)]
    names = distinct_names([t.name for t in given])
    graph = Graph(model.name, [*given, *trace.read.values()], leaves, output_names=distinct_names(_output_names(model, result)),
                  input_names=distinct_names([*names, *(variable.path for variable in trace.read)]))
    return graph.bound({tensor: make_constant(variable.numpy(), name=variable.path) for variable, tensor in trace.read.items()})


def _with_batch(type_: TensorType, batch: int | None) -> TensorType:
    if batch is None:
        return type_
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ArgumentError(f"batch is a positive integer, or None for any, not {batch!r}")
    return TensorType(type_.dtype, tuple(substitute(d, {"batch": batch}) for d in type_.shape))


def _output_names(model: Model, result: Any) -> list[str]:
    """Names for the outputs: the keys of a dictionary, the layers they come from, or numbers."""
    leaves = [(path, leaf) for path, leaf in tree.flatten_with_path(result) if isinstance(leaf, Tensor)]
    if isinstance(result, Mapping):
        return ["_".join(map(str, path)) for path, _ in leaves]
    if model._network is not None and len(model.output_names) == len(leaves):
        return model.output_names
    return [f"output_{i}" for i in range(len(leaves))]


def export_model(model: Model, filepath: str | os.PathLike, format: str | None = None, *, batch: int | None = None,  # noqa: A002
                 verbose: bool = False, **kwargs) -> Path:
    """Write a model as ONNX, or as a library with its header, and return the path.

    format: "onnx" or "library"; by default what the end of the name says (.onnx; .so, .dylib, .dll). batch: as for `graph_of`. Further
    arguments are those of `export_onnx` or `compile_library`. `verbose` is there for scripts that give it.
    """
    path = Path(filepath)
    format = format or FORMATS.get(path.suffix.lower())  # noqa: A001
    if format not in FORMATS.values():
        raise ArgumentError(f"{path}: a model is exported to a file whose name ends with {', '.join(FORMATS)}, or with a format that is 'onnx' or "
                            f"'library', not {format!r}")
    graph = graph_of(model, batch)
    if format == "onnx":
        export_onnx(graph, path, **kwargs)
        return path
    return compile_library(graph, path, **kwargs)


__all__ = ["export_model", "graph_of"]

"""From a Python function to a graph: it is called once with symbolic tensors, and what it does to them is recorded."""
from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dlcompile import ops
from dlcompile.errors import ArgumentError, Error
from dlcompile.functional import tree
from dlcompile.functional.specs import TensorSpec, as_array, is_numbers, spec_of
from dlcompile.functional.tree import Structure
from dlcompile.graph import Graph, Tensor, distinct_names, make_input, symbol, symbols_in, topological_order, unknowns_beside


def trace(fn: Callable, *specs: Any, name: str | None = None) -> Graph:
    """The graph of `fn` for arguments of the given specs: `TensorSpec`s, arrays (their shape and type count, not their values), and
    tuples, lists and dicts of those.

        >>> graph = trace(lambda x, w: x @ w + 1.0, TensorSpec(("n", 3)), TensorSpec((3, 2)), name="affine")
        >>> graph.input_names, str(graph.outputs[0].type)
        (('x', 'w'), 'float32[n, 2]')

    Inputs and outputs are named by their place: an argument `params` that is {"w": …} is the input params_w, a result {"loss": …} the
    output loss, the second of two results output_1. ArgumentError names the argument or result that cannot be taken.
    """
    label = name or label_of(fn)
    leaves, structure = tree.flatten(tuple(specs), is_numbers)
    found = [_spec(value, label, place) for value, place in zip(leaves, places(fn, structure))]
    return traced(lambda *args: fn(*args), label, found, structure, input_roots(fn, structure)).graph


def label_of(fn: Callable) -> str:
    """What errors call a function, and its graph."""
    found = getattr(fn, "__name__", type(fn).__name__)
    return found if found.isidentifier() else "function"


def _spec(value: Any, label: str, place: str) -> TensorSpec:
    try:
        return spec_of(value)
    except TypeError as error:
        raise ArgumentError(f"{label}: argument {place}: {error}; expected a TensorSpec or an array") from None


# -- places -----------------------------------------------------------------------------------------------------------------
def parameter_names(fn: Callable, count: int) -> list[str]:
    """The names of the first positional parameters; those of *args are numbered."""
    names: list[str] = []
    with contextlib.suppress(TypeError, ValueError):  # what has no signature
        for parameter in inspect.signature(fn).parameters.values():
            if parameter.kind == parameter.VAR_POSITIONAL:
                names += [f"{parameter.name}_{i}" for i in range(count - len(names))]
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                names.append(parameter.name)
    return [*names, *(f"argument_{i}" for i in range(len(names), count))][:count]


def places(fn: Callable, structure: Structure, keywords: Structure | None = None) -> list[str]:
    """Where each leaf of the arguments is, as errors say it: params['w'][0]."""
    names = parameter_names(fn, len(structure.children))
    positional = [names[i] + tree.spelled(path) for i, child in enumerate(structure.children) for path in tree.paths(child)]
    return positional + [f"{key}{tree.spelled(path)}" for key, *path in (tree.paths(keywords) if keywords else ())]


def input_roots(fn: Callable, structure: Structure, keywords: Structure | None = None) -> list[str]:
    """What the inputs for the leaves are called: params_w_0."""
    names = parameter_names(fn, len(structure.children))
    positional = [tree.name((names[i], *path)) for i, child in enumerate(structure.children) for path in tree.paths(child)]
    return positional + [tree.name(path) for path in (tree.paths(keywords) if keywords else ())]


# -- tracing ----------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Traced:
    """A function's graph, and the tree that its outputs are the leaves of."""

    graph: Graph
    structure: Structure


def traced(fn: Callable, label: str, specs: Sequence[TensorSpec], structure: Structure, names: Sequence[str]) -> Traced:
    """`fn(*args)` recorded, where args is the tree of the given structure; `names` are those of the inputs whose specs have none."""
    names = distinct_names([spec.name or given for spec, given in zip(specs, names)])
    inputs = _inputs(specs, names)
    with unknowns_beside(Graph(label, inputs, ())), _named(label):
        result = fn(*tree.unflatten(structure, inputs))
        leaves, out = tree.flatten(result, is_numbers)
        outputs = [_output(leaf, path) for leaf, path in zip(leaves, tree.paths(out))]
        _check_closed(inputs, outputs)
    graph = Graph(label, inputs, outputs, input_names=names, output_names=distinct_names([tree.name(path, "output") for path in tree.paths(out)]))
    return Traced(graph, out)


def _inputs(specs: Sequence[TensorSpec], names: Sequence[str]) -> list[Tensor]:
    taken = {s.name for spec in specs for s in symbols_in(tuple(d for d in spec.shape if d is not None))}
    inputs = []
    for spec, given in zip(specs, names):
        shape = []
        for axis, dim in enumerate(spec.shape):
            if dim is None:
                own = f"{given}_{axis}"
                while own in taken:
                    own += "_"
                taken.add(own)
                dim = symbol(own)
            shape.append(dim)
        inputs.append(make_input(given, spec.dtype, shape))
    return inputs


@contextlib.contextmanager
def _named(label: str) -> Iterator[None]:
    """Errors of the graph's operators say in which function they happened."""
    try:
        yield
    except Error as error:
        if str(error).startswith(f"{label}: "):
            raise
        raise type(error)(f"{label}: {error}") from error


def _output(value: Any, path: tuple) -> Tensor:
    try:
        return value if isinstance(value, Tensor) else ops.as_tensor(as_array(value))
    except TypeError as error:
        place = f" {tree.spelled(path)}" if path else ""
        raise ArgumentError(f"the result{place}: {error}; expected a tensor, an array or a number") from None


def _check_closed(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """ArgumentError for a tensor of another function's trace among those that results are computed from."""
    for tensor in leaves_of(outputs):
        if tensor not in inputs:
            raise ArgumentError(f"it uses {tensor!r} of another trace, which it must be given as an argument")


def leaves_of(outputs: Sequence[Tensor]) -> list[Tensor]:
    """The inputs that tensors depend on."""
    found = (t for node in topological_order(outputs) for t in node.inputs)
    return [t for t in dict.fromkeys((*found, *outputs)) if t.producer is None and not t.is_constant]


def is_traced(values: Sequence[Any]) -> bool:
    """Whether any of the values is a symbolic tensor: whatever is computed of it belongs to a trace."""
    return any(isinstance(v, Tensor) for v in values)

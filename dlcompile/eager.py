"""Functions of tensors, called with arrays: traced, evaluated by the interpreter, and given back as arrays.

A function that is written with `dlcompile.ops` builds a graph. With `eager` around it, it also is what NumPy's functions are: where no trace is
open and no argument is a tensor, the graph is evaluated there and then, and the variables that it assigns have their new values afterwards.

    @eager
    def mean_squared_error(y_true, y_pred): ...

    mean_squared_error(np.zeros(3), np.ones(3))          # 1.0
    mean_squared_error(y, model(x))                      # tensors: another tensor
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from dlcompile import tree
from dlcompile.graph import DTYPES, Graph, Tensor, make_input
from dlcompile.masks import mask_of, set_mask
from dlcompile.operators import evaluate
from dlcompile.ops.overrides import overriding
from dlcompile.variables import Variable, is_tracing, tracing

Function = TypeVar("Function", bound=Callable[..., Any])


def eager(function: Function) -> Function:
    """The function, evaluated at once where it is called with arrays outside of a trace."""
    @functools.wraps(function)
    def call(*args, **kwargs):
        taker = overriding((*args, *kwargs.values()))
        if taker is not None:
            return taker.__tensor_function__(call, args, kwargs)
        if is_symbolic(args, kwargs):
            return function(*args, **kwargs)
        return evaluated(function, *args, **kwargs)

    return call  # type: ignore[return-value]


def is_symbolic(*structures: Any) -> bool:
    """Whether a call with these arguments builds a graph: in a trace, or with a tensor among them."""
    return is_tracing() or any(isinstance(leaf, Tensor) for leaf in tree.flatten(structures))


def evaluated(function: Callable[..., Any], *args, **kwargs) -> Any:
    """function(*args, **kwargs) by the interpreter: arrays among the arguments become inputs, tensors and variables of the result arrays. Masks
    go with them.

    What is neither tensor nor variable is handed on as it is, both ways.
    """
    inputs: list[Tensor] = []
    arrays: list[np.ndarray] = []

    def taken(leaf: Any) -> Any:
        if not _is_array(leaf):
            return leaf
        arrays.append(np.asarray(leaf))
        inputs.append(make_input(f"input{len(inputs)}", arrays[-1].dtype, arrays[-1].shape))
        tensor, mask = inputs[-1], mask_of(leaf)
        if mask is not None:
            set_mask(tensor, taken(mask))
        return tensor

    args, kwargs = (tree.map_structure(taken, structure) for structure in (args, kwargs))
    with tracing() as trace:
        result = function(*args, **kwargs)
        result = tree.map_structure(lambda leaf: leaf.value if isinstance(leaf, Variable) else leaf, result)
    leaves = tree.flatten(result)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    masks = {i: mask_of(leaves[i]) for i in places if isinstance(mask_of(leaves[i]), Tensor)}
    outputs = [*(leaves[i] for i in places), *masks.values(), *trace.written.values()]
    graph = Graph("eager", [*inputs, *trace.read.values()], outputs, input_names=[f"i{i}" for i in range(len(inputs) + len(trace.read))],
                  output_names=[f"o{i}" for i in range(len(outputs))])
    values = evaluate(without_identities(graph), [*arrays, *(np.asarray(variable) for variable in trace.read)])
    for variable, value in zip(trace.written, values[len(places) + len(masks):]):
        variable.assign(value)
    for place, value in zip(places, values):
        leaves[place] = value[()] if value.ndim == 0 else value
    for place, value in zip(masks, values[len(places):]):
        if isinstance(leaves[place], np.ndarray):
            set_mask(leaves[place], value)
    return tree.pack_sequence_as(result, leaves)


IDENTITIES = ("stop_gradient", "alias")
"""composites that mean something to derivatives alone"""


def without_identities(graph: Graph) -> Graph:
    """A graph without what was there for derivatives, which have been taken when it was traced."""
    return graph.rebuild(lambda node, operands: operands if node.op in IDENTITIES else None)


def _is_array(leaf: Any) -> bool:
    """Whether it is an array of something that tensors can be of (or has one, as other libraries' tensors do)."""
    if isinstance(leaf, Variable):
        return False
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype in DTYPES and leaf.dtype != object
    return hasattr(leaf, "__array__") and not isinstance(leaf, type)


__all__ = ["eager", "evaluated", "is_symbolic", "without_identities"]

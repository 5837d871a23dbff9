"""Dimensions known only when the model runs: symbols defined by the value of an int64 scalar.

`Reshape` to a shape that is computed, the number of nonzero elements, the length of a loop's result: a node `define_dim(x; symbol=k)` says that
k is the value of x from here on. Types and attributes then use k like any other dimension. Nothing is read through the node's output;
what mentions k comes after it in the order of the graph (`topological_order`), and a run learns k there.
"""
from __future__ import annotations

import contextlib
import contextvars
import itertools
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from dlcompile.errors import DTypeError
from dlcompile.graph.dim import Dim, DimLike, Symbol, symbol
from dlcompile.graph.operator import Operator, register
from dlcompile.graph.tensor import Node, Tensor, TensorType, apply, symbols_in

if TYPE_CHECKING:
    from dlcompile.graph.graph import Graph

DEFINE = "define_dim"
SCALAR = TensorType(np.dtype(np.int64), ())

_names: contextvars.ContextVar[Iterator[str] | None] = contextvars.ContextVar("dlcompile_unknown_names", default=None)
_outside = (f"u{i}" for i in itertools.count())


def unknown(value: Tensor) -> Dim:
    """A new symbol whose value is that of `value`, an int64 scalar that must not be negative when the model runs."""
    tensor = apply(DEFINE, value, symbol=symbol(next(_names.get() or _outside)))
    (atom,) = symbols = tensor.producer.attributes["symbol"].symbols
    assert len(symbols) == 1
    made = symbol(atom.name, source=tensor)
    tensor.known = np.array(made, dtype=object).reshape(())
    return made


def later() -> Dim:
    """A new symbol for a result whose node does not exist yet; `define` says then what it is."""
    return symbol(next(_names.get() or _outside))


def define(dim: Dim, value: Tensor) -> None:
    """From here on `dim`, made by `later`, is the value of the int64 scalar `value`."""
    (atom,) = dim.symbols
    object.__setattr__(atom, "source", apply(DEFINE, value, symbol=symbol(atom.name)))


@contextlib.contextmanager
def unknown_names(taken: Collection[str] = ()) -> Iterator[None]:
    """Inside, unknown dimensions are called u0, u1, … from the start, without the names `taken`: the same model gives the same names."""
    token = _names.set(name for name in (f"u{i}" for i in itertools.count()) if name not in taken)
    try:
        yield
    finally:
        _names.reset(token)


@contextlib.contextmanager
def unknowns_beside(graph: Graph) -> Iterator[None]:
    """Inside, unknown dimensions get names that neither `graph` nor a graph in it has: what is taken apart may define some."""
    if _names.get() is not None:  # a graph inside of that one
        yield
        return
    with unknown_names(_names_in(graph)):
        yield


@contextlib.contextmanager
def unknowns_apart(graph: Graph) -> Iterator[None]:
    """Inside, unknown dimensions get names that neither `graph`, nor a graph in it, nor anything else that was made on its own has."""
    if _names.get() is not None:
        yield
        return
    taken = _names_in(graph)
    token = _names.set(name for name in _outside if name not in taken)
    try:
        yield
    finally:
        _names.reset(token)


def _names_in(graph: Graph) -> set[str]:
    found = {s.name for t in graph.inputs for s in symbols_in(t.shape)}
    for node in graph.nodes:
        found |= {s.name for s in symbols_in([t.shape for t in node.outputs])}
        if node.op == DEFINE:
            found.add(defined_symbol(node).name)
        for value in node.attributes.values():
            found |= {s.name for s in symbols_in(value)}
            if hasattr(value, "nodes"):
                found |= _names_in(value)
    return found


def defined_symbol(node: Node) -> Symbol:
    """The symbol a `define_dim` node defines."""
    (atom,) = node.attributes["symbol"].symbols
    return atom


def _infer(types: tuple[TensorType, ...], attributes) -> TensorType:
    if types != (SCALAR,):
        raise DTypeError(f"a dimension is defined by an int64 scalar, not by {', '.join(map(str, types))}")
    return SCALAR


def _no_flops(inputs, outputs, attributes) -> DimLike:
    return 0


register(Operator(DEFINE, "definition", infer=_infer, evaluate=lambda attributes, value: value, flops=_no_flops))

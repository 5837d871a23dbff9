"""The pipeline: which transforms run, in which order, and why in that order."""
from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence

import numpy as np

from dlcompile.graph import Graph, Node, Symbol, Tensor, apply, unknowns_beside, verify
from dlcompile.transforms.algebra import ALGEBRA, ROUNDING
from dlcompile.transforms.attention import ATTENTION
from dlcompile.transforms.convolution import CONVOLUTION
from dlcompile.transforms.cse import common_subexpressions
from dlcompile.transforms.dead import remove_dead_code
from dlcompile.transforms.decompose import decompose
from dlcompile.transforms.fold import affordable, folding
from dlcompile.transforms.layout import LAYOUT, PUSH_DOWN
from dlcompile.transforms.loops import LOOPS, differentiated_recurrences, merge_scans
from dlcompile.transforms.matmul import MATMUL, merge_siblings
from dlcompile.transforms.movement import MOVEMENT
from dlcompile.transforms.narrow import NARROW
from dlcompile.transforms.normalization import NORMALIZATION
from dlcompile.transforms.operands import OPERANDS
from dlcompile.transforms.pin import pin_defined
from dlcompile.transforms.quantized import QUANTIZED
from dlcompile.transforms.rewrite import Table, rewrite
from dlcompile.transforms.scales import SCALES
from dlcompile.transforms.scans import SCANS

KEPT = frozenset({"attention", "lstm", "gru", "rnn"})
"""Composites that stay whole by default: those with a kernel of their own, which computes in float32."""

FLOAT64 = np.dtype(np.float64)

Phase = tuple[str, Callable[[Graph], Graph]]


def optimize(graph: Graph, *, precision: str = "default", keep: Collection[str] = KEPT,
             check: bool | None = None, within: Collection[Symbol] = ()) -> Graph:
    """The same model in the form that scheduling wants. Inputs and outputs keep their names, types and order.

    precision: "strict" leaves out what moves a rounding (folding of batch normalisation and scales, merging of
    constants, square roots
               for powers); "default" allows it. Neither changes what NaN and infinities mean.
    keep:      composites that stay whole, but for float64; all others are decomposed.
    check:     verify the graph after every phase; by default where the environment variable DLCOMPILE_VERIFY is set and not 0.
    within:    symbols of the graph around this one, where it is a body.

    Applying it twice changes nothing more.
    """
    if precision not in ("default", "strict"):
        raise ValueError(f'precision is "default" or "strict", not {precision!r}')
    if check is None:
        check = os.environ.get("DLCOMPILE_VERIFY", "0") not in ("", "0")
    with unknowns_beside(graph):
        for _, phase in phases(precision == "strict", frozenset(keep), folding(affordable(graph))):
            graph = phase(graph)
            if check:
                verify(graph, within)
        graph = map_bodies(graph, lambda body: optimize(body, precision=precision, keep=keep, check=check, within=body.free_symbols))
        if (simpler := rewrite(graph, LOOPS)) is not graph:  # a simpler body may hand on what it seemed to compute
            return optimize(simpler, precision=precision, keep=keep, check=check, within=within)
    return remove_dead_code(graph)


def map_bodies(graph: Graph, function: Callable[[Graph], Graph]) -> Graph:
    """loop(…; body) → loop(…; function(body)), for every graph in an attribute of a node."""
    def replace(node: Node, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        bodies = {name: function(value) for name, value in node.attributes.items() if isinstance(value, Graph)}
        if all(new is node.attributes[name] for name, new in bodies.items()):
            return None
        made = apply(node.op, *inputs, **{**node.attributes, **bodies})
        return made if isinstance(made, tuple) else (made,)

    return graph.rebuild(replace)


def phases(strict: bool, keep: frozenset[str], fold: Table) -> tuple[Phase, ...]:
    """The phases of the pipeline, by name, in order; `fold` is the graph's own table of constant folding."""
    exact: tuple[Table, ...] = (fold, ALGEBRA, OPERANDS, MOVEMENT, NARROW, LOOPS, SCANS)
    simple = exact if strict else (*exact, ROUNDING, NORMALIZATION)
    scaled = simple if strict else (*simple, SCALES)

    def until_stable(*tables: Table) -> Callable[[Graph], Graph]:
        return lambda graph: common_subexpressions(rewrite(common_subexpressions(graph), *tables))

    return (
        # while their bodies are made of the same tensors
        ("loops computed twice", lambda graph: merge_scans(common_subexpressions(differentiated_recurrences(graph)))),
        # before weights become floats
        ("quantised products", lambda graph: graph if strict else rewrite(graph, QUANTIZED)),
        ("simplify", until_stable(*simple)),
        # a shape that looked like data may have turned out to be constant
        ("known dimensions", pin_defined),
        # attention is easiest to see while softmax is whole and no axis has been moved
        ("recognise attention", until_stable(*simple, ATTENTION)),
        ("decompose", lambda graph: decompose(graph, lambda node: node.op in keep and all(t.dtype != FLOAT64 for t in node.inputs))),
        ("recognise attention in primitives", until_stable(*simple, ATTENTION)),
        # scales fold into weights before layout takes the weights apart
        ("fold scales", until_stable(*scaled)),
        ("channels last", until_stable(*scaled, LAYOUT, PUSH_DOWN)),
        ("products", until_stable(*scaled, LAYOUT, PUSH_DOWN, MATMUL, CONVOLUTION)),
        ("siblings", merge_siblings),
        ("simplify again", until_stable(*scaled, LAYOUT, PUSH_DOWN, MATMUL, CONVOLUTION)),
    )

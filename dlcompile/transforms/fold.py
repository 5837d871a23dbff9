"""Constant folding: what depends on constants only is computed now, by the operators' own definition."""
from __future__ import annotations

import functools

import numpy as np

from dlcompile import ops
from dlcompile.graph import OPERATORS, Dim, Graph, Node, Tensor, apply, evaluate, is_integer, make_constant, symbols_of
from dlcompile.operators.interpreter import evaluate_node
from dlcompile.transforms.rewrite import ANY, ELEMENTWISE, Answer, Table, made_by

SMALL = 1 << 18  # bytes that a folded constant may always have
GROWTH = 8       # times the bytes of its operands that a larger one may have: widening eight-bit weights takes that
WIDEST = 16      # times the bytes of all constants that the graph came with: packed weights of two bits as float32
MOST_WORK = 1 << 32  # operations that are done here, but for products of weights: none in a window as large as memory
REPEATING = ("broadcast_to", "iota", "pad")  # repeat what is there: cheaper to compute again than to store


def fold_constants(node: Node, most: int) -> Answer:
    """f(constants) → constant, unless that makes a small constant into a large one, of more than `most` bytes in any case."""
    if not all(t.is_constant for t in node.inputs) or OPERATORS[node.op].family in ("random", "control"):
        return None
    if not _is_affordable(node, most) or any(_has_symbols(v) for v in node.attributes.values()):
        return None
    values = evaluate_node(node, *(t.value for t in node.inputs))
    return tuple(make_constant(value, t.dtype) for value, t in zip(values, node.outputs, strict=True))


def fold_empty(node: Node) -> Answer:
    """f(x) of no elements → a constant of none, whatever f is."""
    if OPERATORS[node.op].family == "control" or not all(0 in t.shape and t.type.is_static for t in node.outputs):
        return None
    return tuple(make_constant(np.zeros(t.shape, t.dtype)) for t in node.outputs)


def fold_known(node: Node) -> Answer:
    """A small integer tensor whose value shape arithmetic has found → a constant, or `dims` where the value has symbols
    in it."""
    if not all(t.known is not None and t.type.is_static for t in node.outputs):
        return None
    if all(_is_number(t) for t in node.outputs):
        return tuple(make_constant(t.known.astype(t.dtype).reshape(t.shape)) for t in node.outputs)
    if len(node.outputs) == 1 and is_integer(node.output.dtype) and not _is_dims(node.output):
        values = ops.cast(ops.shape_vector(tuple(node.output.known.ravel())), node.output.dtype)
        return ops.reshape(values, node.output.shape)
    return None


def fold_into_table(node: Node) -> Answer:
    """f(gather(table, i), c) → gather(f(table, c), i) for a constant table with no more elements than are read of it: what
    follows an embedding of few symbols is computed once for each symbol."""
    lookups = [t.producer for t in node.inputs if not t.is_constant]
    if not lookups or any(n is None or n.op != "gather" or not n.inputs[0].is_constant for n in lookups):
        return None
    table, indices = lookups[0].inputs
    if any(n.attributes["axis"] != 0 or n.inputs[1] is not indices or n.inputs[0].rank != table.rank for n in lookups):
        return None
    constants = [t for t in node.inputs if t.is_constant]
    read = evaluate(node.output.type.size, {s.name: 1 for s in symbols_of(node.output.type.size)})
    if any(t.rank >= table.rank for t in constants) or table.value.size > read:
        return None
    operands = [t if t.is_constant else made_by(t, "gather").inputs[0] for t in node.inputs]
    return ops.gather(apply(node.op, *operands, **node.attributes), indices, 0)


def _is_affordable(node: Node, most: int) -> bool:
    size = sum(t.type.nbytes for t in node.outputs) if all(t.type.is_static for t in node.outputs) else None
    if size is None:
        return False
    operator = OPERATORS[node.op]
    work = operator.flops(tuple(t.type for t in node.inputs), tuple(t.type for t in node.outputs), node.attributes) if operator.flops else 0
    if operator.family != "contraction" and not (isinstance(work, int) and work <= MOST_WORK):
        return False
    growth = 1 if node.op in REPEATING else GROWTH
    return size <= min(max(SMALL, growth * sum(t.type.nbytes for t in set(node.inputs))), most)


def _has_symbols(attribute) -> bool:
    """Whether an attribute depends on the model's symbolic dimensions."""
    if isinstance(attribute, (tuple, list)):
        return any(_has_symbols(v) for v in attribute)
    return isinstance(attribute, Dim)


def _is_number(tensor: Tensor) -> bool:
    return not any(isinstance(v, Dim) for v in tensor.known.flat)


def _is_dims(tensor: Tensor) -> bool:
    """Is this `dims` already, in another type or shape perhaps?"""
    node = tensor.producer
    return node is not None and (node.op == "dims" or node.op in ("cast", "reshape") and _is_dims(node.inputs[0]))


def affordable(graph: Graph) -> int:
    """The bytes that a constant of a graph may be folded into: a chain of nodes that each double it ends there."""
    return max(SMALL, WIDEST * sum(t.type.nbytes for t in graph.constants))


def folding(most: int = SMALL) -> Table:
    """The rules, with the bytes that a folded constant has at most."""
    return (
        (ANY, fold_empty),
        (ANY, fold_known),
        (ANY, functools.wraps(fold_constants)(functools.partial(fold_constants, most=most))),
        (ELEMENTWISE, fold_into_table),
    )

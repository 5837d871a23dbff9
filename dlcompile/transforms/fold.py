"""Constant folding: what depends on constants only is computed now, by the operators' own definition."""
from __future__ import annotations

from dlcompile import ops
from dlcompile.graph import OPERATORS, Dim, Node, Tensor, is_integer, make_constant
from dlcompile.operators.interpreter import evaluate_node
from dlcompile.transforms.rewrite import ANY, Answer, Table

SMALL = 1 << 18  # bytes that a folded constant may always have
GROWTH = 8       # times the bytes of its operands that a larger one may have: widening eight-bit weights takes that
REPEATING = ("broadcast_to", "iota", "pad")  # repeat what is there: cheaper to compute again than to store


def fold_constants(node: Node) -> Answer:
    """f(constants) → constant, unless that makes a small constant into a large one."""
    if not all(t.is_constant for t in node.inputs) or OPERATORS[node.op].family in ("random", "control"):
        return None
    if not _is_affordable(node) or any(_has_symbols(v) for v in node.attributes.values()):
        return None
    values = evaluate_node(node, *(t.value for t in node.inputs))
    return tuple(make_constant(value, t.dtype) for value, t in zip(values, node.outputs, strict=True))


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


def _is_affordable(node: Node) -> bool:
    size = sum(t.type.nbytes for t in node.outputs) if all(t.type.is_static for t in node.outputs) else None
    if size is None:
        return False
    growth = 1 if node.op in REPEATING else GROWTH
    return size <= max(SMALL, growth * sum(t.type.nbytes for t in node.inputs))


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


FOLD: Table = (
    (ANY, fold_known),
    (ANY, fold_constants),
)

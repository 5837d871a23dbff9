"""Operands of elementwise operators in one form: constants on the right and as small as broadcasting allows, nothing broadcast for show."""
from __future__ import annotations

import numpy as np

from dlcompile.graph import Node, Tensor, apply, make_constant
from dlcompile.transforms.rewrite import ELEMENTWISE, Answer, Table, made_by
from dlcompile.transforms.shapes import splat

COMMUTATIVE = ("add", "mul", "maximum", "minimum", "and", "or", "xor", "eq", "ne")


def constant_to_the_right(node: Node) -> Answer:
    """op(c, x) → op(x, c) for commutative operators, so that other rules need to look in one place."""
    left, right = node.inputs
    if left.is_constant and not right.is_constant:
        return apply(node.op, right, left)
    return None


def small_constant_operand(node: Node) -> Answer:
    """op(x, c) → op(x, c') where c' is c without leading axes of extent 1, and a scalar where all elements are one value."""
    inputs = tuple(_smallest(t) for t in node.inputs)
    if inputs == node.inputs:
        return None
    return apply(node.op, *inputs, **node.attributes)


def broadcast_operand(node: Node) -> Answer:
    """op(broadcast_to(x), y) → op(x, y) where y alone has the shape of the result."""
    for position, tensor in enumerate(node.inputs):
        broadcast = tensor.producer
        if broadcast is None or broadcast.op != "broadcast_to":
            continue
        inputs = list(node.inputs)
        inputs[position] = broadcast.inputs[0]
        answer = apply(node.op, *inputs, **node.attributes)
        if answer.type == node.output.type:
            made_by(tensor, "broadcast_to")
            return apply(node.op, *inputs, **node.attributes)
    return None


def _smallest(tensor: Tensor) -> Tensor:
    if not tensor.is_constant or tensor.rank == 0:
        return tensor
    value = tensor.value
    if value.size and value.flat[0] == value.flat[-1] and (scalar := splat(tensor)) is not None:
        return make_constant(np.asarray(scalar, tensor.dtype))
    lead = 0
    while lead < value.ndim and value.shape[lead] == 1:
        lead += 1
    return make_constant(value.reshape(value.shape[lead:])) if lead else tensor


OPERANDS: Table = (
    (COMMUTATIVE, constant_to_the_right),
    (ELEMENTWISE, small_constant_operand),
    (ELEMENTWISE, broadcast_operand),
)

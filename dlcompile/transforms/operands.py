"""Operands of elementwise operators in one form: constants on the right, nothing larger than it has to be."""
from __future__ import annotations

import numpy as np

from dlcompile.graph import Node, Shape, Tensor, apply, make_constant
from dlcompile.transforms.rewrite import ELEMENTWISE, Answer, Table, made_by

COMMUTATIVE = ("add", "mul", "maximum", "minimum", "and", "or", "xor", "eq", "ne")


def constant_to_the_right(node: Node) -> Answer:
    """op(c, x) → op(x, c) for commutative operators, so that other rules need to look in one place."""
    left, right = node.inputs
    if left.is_constant and not right.is_constant:
        return apply(node.op, right, left)
    return None


def small_constant_operand(node: Node) -> Answer:
    """op(x, c) → op(x, c') where c' is c without repetition: extent 1 along axes on which it repeats and x does not, no
    leading axes of extent 1, and a scalar where all elements are one value."""
    inputs = tuple(_smallest(t, node.output.shape, [o.shape for o in node.inputs if o is not t]) for t in node.inputs)
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


def _smallest(tensor: Tensor, result: Shape, others: list[Shape]) -> Tensor:
    if not tensor.is_constant or tensor.rank == 0 or tensor.value.size == 0:
        return tensor
    value = tensor.value
    for axis in range(value.ndim):
        end = axis - value.ndim  # the axis, counted from the last one
        supplied = any(len(other) >= -end and other[end] == result[end] for other in others)
        if value.shape[axis] > 1 and supplied and _repeats(value, axis):
            value = value.take([0], axis)
    lead = 0
    while lead < value.ndim and value.shape[lead] == 1:
        lead += 1
    return tensor if value is tensor.value and not lead else make_constant(value.reshape(value.shape[lead:]))


def _repeats(value: np.ndarray, axis: int) -> bool:
    """Is the array the same, bit for bit, at every index along an axis? (Its ends are compared first: most arrays
    differ there.)"""
    bits = value.view(f"u{value.itemsize}")
    first, last = bits.take(0, axis), bits.take(-1, axis)
    if first.flat[0] != last.flat[0] or not np.array_equal(first, last):
        return False
    return bool(np.all(bits == np.expand_dims(first, axis)))


OPERANDS: Table = (
    (COMMUTATIVE, constant_to_the_right),
    (ELEMENTWISE, small_constant_operand),
    (ELEMENTWISE, broadcast_operand),
)

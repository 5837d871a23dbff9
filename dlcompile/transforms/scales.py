"""Batch normalisation and other per-channel scales and shifts, folded into the weights of the product next to them.

The products are `conv_general` and `dot_general` with constant weights. Every rule here moves a rounding, so none of
them runs under `precision="strict"`; none is taken where a folded weight would not be finite.
"""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import Node, Tensor, apply, is_float, make_constant
from dlcompile.transforms.matmul import axes_of
from dlcompile.transforms.rewrite import Answer, Table, made_by, uses
from dlcompile.transforms.shapes import all_finite

PRODUCTS = ("conv_general", "dot_general")


# -- after the product ------------------------------------------------------------------------------------------------------
def scale_after(node: Node) -> Answer:
    """product(x, w) * s → product(x, w*s), and / s alike, where s has a value per output channel (or one for all)."""
    y, s = node.inputs
    product = _owned_product(y) if s.is_constant else None
    factor = _reciprocal(node, s.value) if product else None
    scaled = _scale_outputs(product, factor) if factor is not None else None
    if scaled is None:
        return None
    made_by(y, *PRODUCTS)
    return apply(product.op, product.inputs[0], make_constant(scaled), **product.attributes)


def scale_after_shift(node: Node) -> Answer:
    """(product(x, w) + b) * s → product(x, w) * s + b*s, and / s alike, where `scale_after` can then take s."""
    y, s = node.inputs
    add = y.producer
    if not s.is_constant or add is None or add.op != "add" or not add.inputs[1].is_constant or uses(y) != 1:
        return None
    product = _owned_product(add.inputs[0])
    factor = _reciprocal(node, s.value) if product else None
    if factor is None or _scale_outputs(product, factor) is None:
        return None
    shift = _finite(add.inputs[1].value.astype(np.float64) * factor, s.dtype)
    if shift is None:
        return None
    made_by(y, "add")
    return ops.add(apply(node.op, add.inputs[0], s), make_constant(shift))


# -- before the product -----------------------------------------------------------------------------------------------------
def scale_before(node: Node) -> Answer:
    """product(x * s, w) → product(x, w*s), and / s alike, where s has a value per input channel (or one for all) and
    nothing else reads the scaled x."""
    inner = _constant_operation(node, ("mul", "div"))
    factor = _reciprocal(inner, inner.inputs[1].value) if inner else None
    per_row = _per_input(node, factor) if factor is not None else None
    w = node.inputs[1]
    scaled = None if per_row is None else _finite(w.value.astype(np.float64) * per_row, w.dtype)
    if scaled is None:
        return None
    made_by(node.inputs[0], "mul", "div")
    return apply(node.op, inner.inputs[0], make_constant(scaled), **node.attributes)


def shift_before(node: Node) -> Answer:
    """product(x + t, w) → product(x, w) + (w summed over its inputs, times t), where t has a value per input channel
    (or one for all) and a convolution pads nothing: in padding there is no t."""
    inner = _constant_operation(node, ("add",))
    if inner is None:
        return None
    w = node.inputs[1]
    if node.op == "dot_general" and len(axes_of(node, 1)[1]) != 1:
        return None  # a product with a vector has no axis of outputs
    if node.op == "conv_general" and any(p != 0 for pair in node.attributes["padding"] for p in pair):
        return None
    if node.op == "conv_general" and any(d != 1 for d in node.attributes["lhs_dilation"]):
        return None
    per_row = _per_input(node, inner.inputs[1].value)
    if per_row is None:
        return None
    axis, rank = _output_axis(node)
    weighted = w.value.astype(np.float64) * per_row
    total = weighted.sum(axis=tuple(a for a in range(w.rank) if a != axis))
    shift = _finite(total, w.dtype)
    if shift is None:
        return None
    made_by(node.inputs[0], "add")
    channel = _channel(node)
    shift = shift.reshape([-1 if a == channel else 1 for a in range(node.output.rank)])
    return ops.add(apply(node.op, inner.inputs[0], w, **node.attributes), make_constant(shift))


GATE_PAYS = 2  # rows of the product for each of its columns from which on weights are the fewer


def _is_bounded(g: Tensor) -> bool:
    """Whether a tensor has bounds on both sides, as a gate has: no factor of it makes an infinity."""
    if g.op in ("logistic", "tanh"):
        return True
    sides = set()
    while g.op in ("minimum", "maximum") and any(t.is_constant and all_finite(t.value) for t in g.producer.inputs):
        sides.add(g.op)
        g = next((t for t in g.producer.inputs if not t.is_constant), g.producer.inputs[0])
    return len(sides) == 2


def gate_before(node: Node) -> Answer:
    """dot(x * g, w) → dot(x, g*w) for a gate g that a run computes, one factor for each input channel: what squeeze and excitation multiplies a
    feature map with goes to the few weights behind it. Taken where the weights are fewer than what they are multiplied with."""
    x, w = node.inputs
    inner = x.producer
    if node.op != "dot_general" or inner is None or inner.op != "mul" or uses(x) != 1 or not w.is_constant or node.attributes["batch"][0]:
        return None
    (left, right) = node.attributes["contracting"]
    g = next((t for t in inner.inputs if _is_bounded(t) and t.rank == x.rank and all(n == 1 for a, n in enumerate(t.shape) if a not in left)), None)
    if g is None or len(left) != 1 or w.rank != 2 or g.shape[left[0]] != x.shape[left[0]] or not is_float(w.dtype):
        return None
    features = next(t for t in inner.inputs if t is not g)
    size, columns = node.output.type.size, w.shape[1 - right[0]]
    if features.shape != x.shape or not isinstance(size, int) or size < GATE_PAYS * columns**2:
        return None
    made_by(x, "mul")
    along = [w.shape[a] if a == right[0] else 1 for a in range(2)]
    return apply("dot_general", features, ops.mul(w, ops.reshape(g, along)), **node.attributes)


# -- where channels are -----------------------------------------------------------------------------------------------------
def _owned_product(y: Tensor) -> Node | None:
    """The product that makes y, when its weights are constant and nothing else reads y."""
    node = y.producer
    if node is None or node.op not in PRODUCTS or uses(y) != 1:
        return None
    if not node.inputs[1].is_constant or not is_float(y.dtype):
        return None
    if node.op == "dot_general" and len(axes_of(node, 1)[1]) != 1:
        return None
    return node


def _constant_operation(node: Node, ops: tuple[str, ...]) -> Node | None:
    """The operation with a constant that makes the left operand of a product with constant weights, when nothing else
    reads it."""
    x, w = node.inputs
    inner = x.producer
    if inner is None or inner.op not in ops or not inner.inputs[1].is_constant or not w.is_constant or uses(x) != 1:
        return None
    return inner if inner.inputs[0].shape == x.shape and is_float(w.dtype) else None


def _output_axis(node: Node) -> tuple[int, int]:
    """(the axis of the weights that counts output channels, the rank of the weights)."""
    rank = node.inputs[1].rank
    if node.op == "dot_general":
        return axes_of(node, 1)[1][0], rank
    return (0 if node.attributes["layout"] == "channels_first" else rank - 1), rank


def _channel(node: Node) -> int:
    """The axis of a product's result that counts output channels."""
    if node.op == "conv_general" and node.attributes["layout"] == "channels_first":
        return 1
    return node.output.rank - 1


def _along(value: np.ndarray, rank: int, axis: int) -> np.ndarray | None:
    """A constant operand of a tensor of that rank as a vector along `axis` (of one element if it is the same
    everywhere)."""
    if value.ndim > rank:
        return None
    shape = (1,) * (rank - value.ndim) + value.shape
    return value.reshape(-1) if all(n == 1 for a, n in enumerate(shape) if a != axis) else None


def _scale_outputs(node: Node, factor: np.ndarray) -> np.ndarray | None:
    """The weights of a product whose results are multiplied by `factor`."""
    vector = _along(factor, node.output.rank, _channel(node))
    if vector is None:
        return None
    axis, rank = _output_axis(node)
    if vector.size not in (1, node.inputs[1].shape[axis]):
        return None
    weights = node.inputs[1].value
    scale = vector.astype(np.float64).reshape([-1 if a == axis else 1 for a in range(rank)])
    return _finite(weights * scale, weights.dtype)


def _per_input(node: Node, value: np.ndarray) -> np.ndarray | None:
    """A constant that meets the left operand of a product channel by channel, as something to multiply the weights
    with."""
    x, w = node.inputs
    value = value.astype(np.float64)
    if node.op == "dot_general":
        lefts, rights = node.attributes["contracting"]
        if len(lefts) != 1 or node.attributes["batch"][0]:
            return None
        (left,), (right,) = lefts, rights
        vector = _along(value, x.rank, left)
        return None if vector is None else vector.reshape([-1 if a == right else 1 for a in range(w.rank)])
    first = node.attributes["layout"] == "channels_first"
    vector = _along(value, x.rank, 1 if first else x.rank - 1)
    if vector is None:
        return None
    if vector.size == 1:
        return vector.reshape((1,) * w.rank)
    groups = node.attributes["groups"]
    outputs = w.shape[0] if first else w.shape[-1]
    table = np.repeat(vector.reshape(groups, -1), outputs // groups, axis=0)  # [O, C/groups]
    taps = (1,) * (w.rank - 2)
    return table.reshape(*table.shape, *taps) if first else table.T.reshape(*taps, *table.T.shape)


def _reciprocal(node: Node, value: np.ndarray) -> np.ndarray | None:
    """What results are multiplied by: the constant, or its inverse for a division."""
    value = value.astype(np.float64)
    if node.op == "mul":
        return value
    return 1 / value if np.all(value != 0) else None


def _finite(value: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    with np.errstate(all="ignore"):
        result = value.astype(dtype)
    return result if all_finite(result) else None


SCALES: Table = (
    (("mul", "div"), scale_after),
    (("mul", "div"), scale_after_shift),
    (PRODUCTS, scale_before),
    (PRODUCTS, shift_before),
)

GATES: Table = (("dot_general", gate_before),)
"""apart from the others, for graphs and bodies of a single sample: a batch has as many gates as samples"""

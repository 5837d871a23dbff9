"""Channels-last layout: convolutions move to channels-last, and the transpositions that this inserts are pushed down
through the graph until they meet and cancel, so that only those at inputs, outputs and unavoidable reshapes are left.

Pushing down is one idea for many operators: f(transpose(x, p)) → transpose(f'(x), p'), where f' is f with its axes
renamed. A reshape that only moves axes of extent 1 counts as the transposition that it is.
"""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile import ops
from dlcompile.graph import Node, Shape, Tensor, absorb, apply, make_constant
from dlcompile.transforms.rewrite import ELEMENTWISE, Answer, Table, made_by
from dlcompile.transforms.shapes import Groups, compose, factor_reshape, inverse, is_identity, is_view, permute

REDUCTIONS = ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "argmax", "argmin")


# -- into channels-last -----------------------------------------------------------------------------------------------------
def convolution_channels_last(node: Node) -> Answer:
    """conv(x, w; channels_first) → transpose(conv(transpose(x), transpose(w); channels_last))."""
    if node.attributes["layout"] != "channels_first":
        return None
    x, w = node.inputs
    last = (0, *range(2, x.rank), 1)
    weights = (*range(2, w.rank), 1, 0)
    attributes = {**node.attributes, "layout": "channels_last"}
    y = ops.conv_general(ops.transpose(x, last), ops.transpose(w, weights), **attributes)
    return ops.transpose(y, inverse(last))


# -- what counts as a transposition -----------------------------------------------------------------------------------------
def as_transpose(tensor: Tensor) -> tuple[Tensor, tuple[int, ...]] | None:
    """(x, p) with tensor = transpose(x, p): made by a transposition, or by a reshape that only moves axes of extent
    1."""
    node = tensor.producer
    if node is None:
        return None
    if node.op == "transpose":
        return node.inputs[0], node.attributes["permutation"]
    if node.op == "reshape" and (p := _moved_units(node.inputs[0].shape, tensor.shape)):
        return node.inputs[0], p
    return None


def _moved_units(old: Shape, new: Shape) -> tuple[int, ...] | None:
    """The permutation, not the identity, that takes `old` to `new` when they differ by the places of extents 1 only."""
    if len(old) != len(new) or old == new or [d for d in old if d != 1] != [d for d in new if d != 1]:
        return None
    wide = iter([axis for axis, d in enumerate(old) if d != 1])
    unit = iter([axis for axis, d in enumerate(old) if d == 1])
    return tuple(next(unit) if d == 1 else next(wide) for d in new)


def undo(tensor: Tensor, p: Sequence[int]) -> Tensor | None:
    """An x with transpose(x, p) = tensor that costs nothing (a tensor of lower rank counts as one with leading extents
    1).

    Scalars stand for themselves. None where a copy would have to be made.
    """
    if tensor.rank == 0:
        return tensor
    if (found := as_transpose(tensor)) and len(found[1]) == len(p) and is_identity(compose(found[1], inverse(p))):
        absorb(tensor.producer)
        return found[0]
    shape = (1,) * (len(p) - tensor.rank) + tensor.shape
    if tensor.is_constant:
        return make_constant(tensor.value.reshape(shape).transpose(inverse(p)))
    if is_view(shape, inverse(p)):
        return ops.reshape(tensor, permute(shape, inverse(p)))
    return None


def _undo_all(tensors: Sequence[Tensor], p: Sequence[int], tensor: Tensor) -> list[Tensor] | None:
    """`undo` of every operand, where p is how `tensor` (one of them) is transposed. For a reshape that only counts as a
    transposition there must be more of them to take away than to put in, or they would wander from operand to operand
    for ever."""
    undone = [undo(t, p) for t in tensors]
    if any(t is None for t in undone):
        return None
    if tensor.op == "reshape":
        changed = [(new, old) for new, old in zip(undone, tensors) if new is not old and not new.is_constant]
        inserted = sum(new.op == "reshape" and new.producer.inputs[0] is old for new, old in changed)
        if 2 * inserted >= len(changed):
            return None
    return undone


def _redo(y: Tensor, p: Sequence[int], tensor: Tensor) -> Tensor | None:
    """transpose(y, p), below an operator that had `tensor` = transpose(x, p) above it. None where `tensor` was a mere
    reshape and this one would not be: the operator has made an axis longer than 1 that changes its place. (From
    channels-last to channels-first that is welcome: convolutions on either side take it away again.)"""
    return ops.transpose(y, p) if tensor.op == "transpose" or is_view(y.shape, p) or _is_channels_first(p) else None


def _is_channels_first(p: Sequence[int]) -> bool:
    """Is p what `convolution_channels_last` puts below a convolution with two or more spatial axes?"""
    return len(p) >= 4 and tuple(p) == (0, len(p) - 1, *range(1, len(p) - 1))


def _single(node: Node) -> tuple[Tensor, tuple[int, ...]] | None:
    """`as_transpose` of the first operand."""
    found = as_transpose(node.inputs[0])
    if found:
        absorb(node.inputs[0].producer)
    return found


# -- pushing down -----------------------------------------------------------------------------------------------------------
def through_elementwise(node: Node) -> Answer:
    """f(transpose(x, p), transpose(y, p), c) → transpose(f(x, y, c'), p), where c' is a constant or a view of c
    transposed back."""
    rank = node.output.rank
    for tensor in node.inputs:
        found = as_transpose(tensor)
        if not found or (tensor.shape != node.output.shape and not _is_channels_first(found[1])):
            continue
        p = found[1]
        operands = _undo_all(node.inputs, p, tensor) if len(p) == rank else None
        if operands is not None:
            return _redo(apply(node.op, *operands, **node.attributes), p, tensor)
    return None


def through_reduction(node: Node) -> Answer:
    """reduce(transpose(x, p), axes) → transpose(reduce(x, p[axes]), what p does to the axes that are left)."""
    found = _single(node)
    if not found:
        return None
    x, p = found
    attributes = dict(node.attributes)
    single = "axis" in attributes
    axes = (attributes["axis"],) if single else attributes["axes"]
    moved = tuple(sorted(p[axis] for axis in axes))
    attributes["axis" if single else "axes"] = moved[0] if single else moved
    y = apply(node.op, x, **attributes)
    if attributes["keepdims"]:
        return ops.transpose(y, p)
    left = [axis for axis in range(x.rank) if axis not in moved]
    return ops.transpose(y, tuple(left.index(axis) for axis in p if axis not in moved))


PER_AXIS = {
    "reduce_window": ("window", "strides", "padding", "dilation"),
    "pad": ("low", "high"),
    "slice": ("start", "limit", "strides"),
}
"""operator → its attributes that have an entry for each axis"""


def through_per_axis(node: Node) -> Answer:
    """f(transpose(x, p); a) → transpose(f(x; a transposed back), p) for operators with an attribute entry per axis."""
    found = _single(node)
    if not found:
        return None
    x, p = found
    moved = {name: permute(node.attributes[name], inverse(p)) for name in PER_AXIS[node.op]}
    return _redo(apply(node.op, x, *node.inputs[1:], **{**node.attributes, **moved}), p, node.inputs[0])


def through_reverse(node: Node) -> Answer:
    """reverse(transpose(x, p), axes) → transpose(reverse(x, p[axes]), p)."""
    found = _single(node)
    if not found:
        return None
    x, p = found
    return ops.transpose(ops.reverse(x, tuple(sorted(p[axis] for axis in node.attributes["axes"]))), p)


def through_concatenate(node: Node) -> Answer:
    """concatenate(transpose(x, p), transpose(y, p); axis) → transpose(concatenate(x, y; p[axis]), p)."""
    for tensor in node.inputs:
        if found := as_transpose(tensor):
            p = found[1]
            parts = _undo_all(node.inputs, p, tensor)
            if parts is not None:
                return _redo(ops.concatenate(parts, p[node.attributes["axis"]]), p, tensor)
    return None


def through_gather(node: Node) -> Answer:
    """gather(transpose(x, p), i; axis) → transpose(gather(x, i; p[axis]), p) for a 1-D i."""
    found = _single(node)
    if not found or node.inputs[1].rank != 1:
        return None
    x, p = found
    return _redo(ops.gather(x, node.inputs[1], p[node.attributes["axis"]]), p, node.inputs[0])


def through_broadcast(node: Node) -> Answer:
    """broadcast_to(transpose(x, p), s) → transpose(broadcast_to(x, s transposed back), p), new axes staying in
    front."""
    found = _single(node)
    if not found:
        return None
    x, p = found
    new = node.output.rank - x.rank
    p = (*range(new), *(axis + new for axis in p))
    return _redo(ops.broadcast_to(x, permute(node.output.shape, inverse(p))), p, node.inputs[0])


def through_cumulative(node: Node) -> Answer:
    """cumsum(transpose(x, p); axis) → transpose(cumsum(x; p[axis]), p)."""
    found = _single(node)
    if not found:
        return None
    x, p = found
    return ops.transpose(apply(node.op, x, **{**node.attributes, "axis": p[node.attributes["axis"]]}), p)


def through_reshape(node: Node) -> Answer:
    """reshape(transpose(x, p), s) → transpose(reshape(x, s'), q), where p moves whole groups of axes that the reshape
    merges or splits."""
    found = as_transpose(node.inputs[0])
    if not found or node.inputs[0].op != "transpose":
        return None
    x, p = found
    groups = factor_reshape(node.inputs[0].shape, node.output.shape)
    if groups is None:
        return None
    lead, solid = _attach_units(groups)
    wide = [[p[a] for a in old if x.shape[p[a]] != 1] for old, _ in solid]
    order = sorted(range(len(solid)), key=lambda group: wide[group][-1])
    in_order = [axis for group in order for axis in wide[group]]
    if in_order != sorted(in_order):
        return None
    absorb(node.inputs[0].producer)
    axes = (*lead, *(a for group in order for a in solid[group][1]))
    return ops.transpose(ops.reshape(x, permute(node.output.shape, axes)), inverse(axes))


def _attach_units(groups: Groups) -> tuple[tuple[int, ...], Groups]:
    """The groups of a reshape that have two sides, new axes of extent 1 joined to the group before them; and those
    before all groups."""
    lead: tuple[int, ...] = ()
    solid: Groups = []
    for old, new in groups:
        if old and new:
            solid.append((old, new))
        elif solid:
            solid[-1] = (solid[-1][0], solid[-1][1] + new)
        else:
            lead += new
    return lead, solid


def reshape_below_elementwise(node: Node) -> Answer:
    """f(reshape(x), reshape(y), scalars) → reshape(f(x, y, scalars)) for x and y of one shape: the elementwise operator joins what makes
    them."""
    wide = [i for i, t in enumerate(node.inputs) if not (t.is_constant and t.rank == 0)]
    if not wide or any(node.inputs[i].op != "reshape" or node.inputs[i].shape != node.output.shape for i in wide):
        return None
    if len({node.inputs[i].producer.inputs[0].shape for i in wide}) != 1:
        return None
    inner = {i: made_by(node.inputs[i], "reshape").inputs[0] for i in wide}
    return ops.reshape(apply(node.op, *(inner.get(i, t) for i, t in enumerate(node.inputs)), **node.attributes), node.output.shape)


def transpose_of_reshape_of_transpose(node: Node) -> Answer:
    """transpose(reshape(transpose(x, p), s), q) → reshape(transpose(x, p'), s') where q moves whole groups of the
    reshape."""
    reshape = node.inputs[0].producer
    if reshape is None or reshape.op != "reshape" or reshape.inputs[0].op != "transpose":
        return None
    groups = factor_reshape(reshape.inputs[0].shape, reshape.output.shape)
    if groups is None:
        return None
    q = node.attributes["permutation"]
    position = {axis: place for place, axis in enumerate(q)}
    wide = [(old, [axis for axis in new if reshape.output.shape[axis] != 1]) for old, new in groups if old and new]
    for _, new in wide:  # the axes of a group stay neighbours, axes of extent 1 aside
        places = [position[axis] for axis in new]
        between = [q[place] for place in range(places[0], places[-1] + 1)] if places else []
        if [axis for axis in between if reshape.output.shape[axis] != 1] != new:
            return None
    made_by(node.inputs[0], "reshape")
    x = made_by(reshape.inputs[0], "transpose").inputs[0]
    p = reshape.inputs[0].producer.attributes["permutation"]
    order = sorted(wide, key=lambda group: position[group[1][0]] if group[1] else -1)
    placed = [a for old, _ in order for a in old]
    rest = [a for a in range(len(p)) if a not in placed]  # axes of extent 1
    return ops.reshape(ops.transpose(x, tuple(p[a] for a in (*placed, *rest))), node.output.shape)


LAYOUT: Table = (
    ("conv_general", convolution_channels_last),
)

PUSH_DOWN: Table = (
    (ELEMENTWISE, through_elementwise),
    (ELEMENTWISE, reshape_below_elementwise),
    (REDUCTIONS, through_reduction),
    (tuple(PER_AXIS), through_per_axis),
    ("reverse", through_reverse),
    ("concatenate", through_concatenate),
    ("gather", through_gather),
    ("broadcast_to", through_broadcast),
    (("cumsum", "cumprod"), through_cumulative),
    ("reshape", through_reshape),
    ("transpose", transpose_of_reshape_of_transpose),
)

"""Identities of operators that only move data."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.graph import DimLike, Node, Tensor, at_least, nothing_of
from dlcompile.transforms.rewrite import Answer, Table, made_by
from dlcompile.transforms.shapes import compose, is_identity, is_splat, is_view


# -- reshape, transpose, broadcast_to, reverse ------------------------------------------------------------------------------
def reshape_to_itself(node: Node) -> Answer:
    """reshape(x, its own shape) → x."""
    return node.inputs[0] if node.inputs[0].shape == node.output.shape else None


def reshape_of_reshape(node: Node) -> Answer:
    """reshape(reshape(x, s), t) → reshape(x, t)."""
    inner = made_by(node.inputs[0], "reshape")
    return ops.reshape(inner.inputs[0], node.output.shape) if inner else None


def transpose_by_identity(node: Node) -> Answer:
    """transpose(x, (0, 1, …)) → x."""
    return node.inputs[0] if is_identity(node.attributes["permutation"]) else None


def transpose_of_transpose(node: Node) -> Answer:
    """transpose(transpose(x, p), q) → transpose(x, p∘q)."""
    inner = made_by(node.inputs[0], "transpose")
    if not inner:
        return None
    return ops.transpose(inner.inputs[0], compose(inner.attributes["permutation"], node.attributes["permutation"]))


def transpose_that_is_reshape(node: Node) -> Answer:
    """transpose(x, p) → reshape(x) where only axes of extent 1 change places."""
    x = node.inputs[0]
    return ops.reshape(x, node.output.shape) if is_view(x.shape, node.attributes["permutation"]) else None


def broadcast_to_itself(node: Node) -> Answer:
    """broadcast_to(x, its own shape) → x."""
    return node.inputs[0] if node.inputs[0].shape == node.output.shape else None


def broadcast_of_broadcast(node: Node) -> Answer:
    """broadcast_to(broadcast_to(x, s), t) → broadcast_to(x, t)."""
    inner = made_by(node.inputs[0], "broadcast_to")
    return ops.broadcast_to(inner.inputs[0], node.output.shape) if inner else None


def broadcast_that_is_reshape(node: Node) -> Answer:
    """broadcast_to(x, (1, …, 1, *x.shape)) → reshape(x)."""
    x, shape = node.inputs[0], node.output.shape
    lead = len(shape) - x.rank
    return ops.reshape(x, shape) if shape[lead:] == x.shape and all(d == 1 for d in shape[:lead]) else None


def broadcast_of_reshape(node: Node) -> Answer:
    """broadcast_to(reshape(x, (1, …, 1, *x.shape)), t) → broadcast_to(x, t)."""
    inner = made_by(node.inputs[0], "reshape")
    if not inner:
        return None
    x, shape = inner.inputs[0], inner.output.shape
    lead = len(shape) - x.rank
    is_lead = lead > 0 and shape[lead:] == x.shape and all(d == 1 for d in shape[:lead])
    return ops.broadcast_to(x, node.output.shape) if is_lead else None


def reverse_nothing(node: Node) -> Answer:
    """reverse(x, axes of extent 1) → x."""
    x = node.inputs[0]
    return x if all(x.shape[axis] == 1 for axis in node.attributes["axes"]) else None


def reverse_of_reverse(node: Node) -> Answer:
    """reverse(reverse(x, a), b) → reverse(x, a xor b)."""
    inner = made_by(node.inputs[0], "reverse")
    if not inner:
        return None
    axes = set(inner.attributes["axes"]) ^ set(node.attributes["axes"])
    return ops.reverse(inner.inputs[0], tuple(sorted(axes))) if axes else inner.inputs[0]


# -- slice ------------------------------------------------------------------------------------------------------------------
def full_slice(node: Node) -> Answer:
    """slice(x, everything) → x."""
    x = node.inputs[0]
    return x if x.shape == node.output.shape and all(s == 0 for s in node.attributes["start"]) and _unit(node) else None


def slice_of_slice(node: Node) -> Answer:
    """slice(slice(x, a, ·, s), b, ·, t) → slice(x, a + b*s, ·, s*t)."""
    inner = made_by(node.inputs[0], "slice")
    if not inner or 0 in node.output.shape:
        return None
    first, second = inner.attributes, node.attributes
    start = tuple(a + b * s for a, b, s in zip(first["start"], second["start"], first["strides"]))
    strides = tuple(s * t for s, t in zip(first["strides"], second["strides"]))
    limit = tuple(a + _span(n, s) for a, n, s in zip(start, node.output.shape, strides))
    return ops.slice(inner.inputs[0], start, limit, strides)


def slice_of_concatenate(node: Node) -> Answer:
    """slice(concatenate(x, y, …)) → slice(y), shifted, where the slice lies within y."""
    inner = made_by(node.inputs[0], "concatenate")
    if not inner:
        return None
    axis = inner.attributes["axis"]
    start, limit = node.attributes["start"], node.attributes["limit"]
    offset: DimLike = 0
    for part in inner.inputs:
        end = offset + part.shape[axis]
        if at_least(start[axis], offset) and at_least(end, limit[axis]):
            move = [offset if a == axis else 0 for a in range(part.rank)]
            return ops.slice(part, tuple(s - m for s, m in zip(start, move)), tuple(e - m for e, m in zip(limit, move)),
                             node.attributes["strides"])
        offset = end
    return None


def _unit(node: Node) -> bool:
    return all(s == 1 for s in node.attributes["strides"])


def _span(count: DimLike, stride: int) -> DimLike:
    """How far a slice of `count` elements reaches."""
    return count if stride == 1 else (count - 1) * stride + 1


# -- pad --------------------------------------------------------------------------------------------------------------------
def pad_nothing(node: Node) -> Answer:
    """pad(x, v, nothing) → x."""
    return node.inputs[0] if all(p == 0 for p in (*node.attributes["low"], *node.attributes["high"])) else None


def pad_of_pad(node: Node) -> Answer:
    """pad(pad(x, v, a), v, b) → pad(x, v, a + b)."""
    inner = made_by(node.inputs[0], "pad")
    if not inner or not _same_value(inner.inputs[1], node.inputs[1]):
        return None
    amounts = [*inner.attributes["low"], *inner.attributes["high"], *node.attributes["low"], *node.attributes["high"]]
    if not all(at_least(p, 0) for p in amounts):  # a negative amount crops what the other one has added
        return None
    low, high = (tuple(a + b for a, b in zip(inner.attributes[k], node.attributes[k])) for k in ("low", "high"))
    return ops.pad(inner.inputs[0], node.inputs[1], low, high)


def pad_into_convolution(node: Node) -> Answer:
    """conv(pad(x, 0, a), w; padding=b) → conv(x, w; padding=a+b), for padding of spatial axes."""
    x, w = node.inputs
    inner = made_by(x, "pad")
    spatial = range(1, x.rank - 1) if node.attributes["layout"] == "channels_last" else range(2, x.rank)
    if not inner or not is_splat(inner.inputs[1], 0) or any(d != 1 for d in node.attributes["lhs_dilation"]):
        return None
    low, high = inner.attributes["low"], inner.attributes["high"]
    if any(low[axis] != 0 or high[axis] != 0 for axis in range(x.rank) if axis not in spatial):
        return None
    padding = tuple((a + low[axis], b + high[axis]) for axis, (a, b) in zip(spatial, node.attributes["padding"]))
    if not all(isinstance(p, int) and p >= 0 for pair in (*padding, *node.attributes["padding"]) for p in pair):
        return None
    return ops.conv_general(inner.inputs[0], w, **{**node.attributes, "padding": padding})


def _same_value(a: Tensor, b: Tensor) -> bool:
    if a is b or not (a.is_constant and b.is_constant):
        return a is b
    return np.array_equal(a.value, b.value, equal_nan=a.dtype.kind == "f")


# -- concatenate ------------------------------------------------------------------------------------------------------------
MOST_PARTS = 512


def concatenate_one(node: Node) -> Answer:
    """concatenate(x) → x."""
    return node.inputs[0] if len(node.inputs) == 1 else None


def concatenate_of_concatenate(node: Node) -> Answer:
    """concatenate(…, concatenate(x, y), …) → concatenate(…, x, y, …) along the same axis. Not where the inner one is there
    several times, nor beyond MOST_PARTS: values joined to themselves again and again have exponentially many parts."""
    axis = node.attributes["axis"]
    parts: list[Tensor] = []
    for tensor in node.inputs:
        inner = tensor.producer
        if inner is not None and inner.op == "concatenate" and inner.attributes["axis"] == axis and node.inputs.count(tensor) == 1:
            parts += made_by(tensor, "concatenate").inputs
        else:
            parts.append(tensor)
    return ops.concatenate(parts, axis) if len(node.inputs) < len(parts) <= MOST_PARTS else None


def concatenate_nothing(node: Node) -> Answer:
    """concatenate(…, x of extent 0, …) → concatenate(…)."""
    axis = node.attributes["axis"]
    parts = [t for t in node.inputs if t.shape[axis] != 0]
    return ops.concatenate(parts, axis) if 0 < len(parts) < len(node.inputs) else None


def concatenate_of_slices(node: Node) -> Answer:
    """concatenate(x[a:b], x[b:c]) → x[a:c]: a split that is put together again."""
    axis = node.attributes["axis"]
    slices = [t.producer for t in node.inputs]
    if len(slices) < 2 or any(s is None or s.op != "slice" or not _unit(s) for s in slices):
        return None
    if any(s.inputs[0] is not slices[0].inputs[0] for s in slices):
        return None
    first = slices[0].attributes
    others = [a for a in range(len(first["start"])) if a != axis]
    for before, after in zip(slices, slices[1:]):
        if before.attributes["limit"][axis] != after.attributes["start"][axis]:
            return None
        if any(before.attributes[k][a] != after.attributes[k][a] for k in ("start", "limit") for a in others):
            return None
    for tensor in node.inputs:
        made_by(tensor, "slice")
    limit = tuple(slices[-1].attributes["limit"][a] if a == axis else e for a, e in enumerate(first["limit"]))
    return ops.slice(slices[0].inputs[0], first["start"], limit)


# -- gather -----------------------------------------------------------------------------------------------------------------
def gather_of_range(node: Node) -> Answer:
    """gather(x, [a, a+s, a+2s, …], axis) → slice(x, a, ·, s), reversed for a negative s; a scalar index drops the
    axis."""
    x, indices = node.inputs
    axis = node.attributes["axis"]
    if not indices.is_constant or indices.value.size == 0 or not isinstance(x.shape[axis], int):
        return None
    flat = indices.value.reshape(-1).astype(np.int64)
    step = int(flat[1] - flat[0]) if flat.size > 1 else 1
    if step == 0 or np.any(np.diff(flat) != step) or flat.min() < 0 or flat.max() >= x.shape[axis]:
        return None
    start = tuple(int(flat.min()) if a == axis else 0 for a in range(x.rank))
    limit = tuple(int(flat.max()) + 1 if a == axis else d for a, d in enumerate(x.shape))
    part = ops.slice(x, start, limit, tuple(abs(step) if a == axis else 1 for a in range(x.rank)))
    part = ops.reverse(part, (axis,)) if step < 0 else part
    return ops.reshape(part, node.output.shape)


def gather_of_one(node: Node) -> Answer:
    """gather(x of extent 1 along the axis, i) → broadcast_to(reshape(x)): indices out of range are clamped, so all of
    them are 0."""
    x, indices = node.inputs
    axis = node.attributes["axis"]
    if x.shape[axis] != 1:
        return None
    flat = ops.reshape(x, (*x.shape[:axis], *(1,) * indices.rank, *x.shape[axis + 1:]))
    return ops.broadcast_to(flat, node.output.shape)


def gather_of_nothing(node: Node) -> Answer:
    """gather(x without elements, i) → 0: there is nothing that an index could be clamped to."""
    x, y = node.inputs[0], node.output
    if x.type.size != 0 or y.type.size == 0:
        return None
    return ops.broadcast_to(nothing_of(y.dtype), y.shape)


MOVEMENT: Table = (
    ("reshape", reshape_to_itself),
    ("reshape", reshape_of_reshape),
    ("transpose", transpose_by_identity),
    ("transpose", transpose_of_transpose),
    ("transpose", transpose_that_is_reshape),
    ("broadcast_to", broadcast_to_itself),
    ("broadcast_to", broadcast_of_broadcast),
    ("broadcast_to", broadcast_that_is_reshape),
    ("broadcast_to", broadcast_of_reshape),
    ("reverse", reverse_nothing),
    ("reverse", reverse_of_reverse),
    ("slice", full_slice),
    ("slice", slice_of_slice),
    ("slice", slice_of_concatenate),
    ("pad", pad_nothing),
    ("pad", pad_of_pad),
    ("conv_general", pad_into_convolution),
    ("concatenate", concatenate_one),
    ("concatenate", concatenate_of_concatenate),
    ("concatenate", concatenate_nothing),
    ("concatenate", concatenate_of_slices),
    ("gather", gather_of_one),
    ("gather", gather_of_nothing),
    ("gather_nd", gather_of_nothing),
    ("take_along_axis", gather_of_nothing),
    ("gather", gather_of_range),
)

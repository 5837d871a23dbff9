"""Reshaping, reordering, slicing, padding, joining."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx import cutting, dynamic
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.shapes import as_axes, as_axis, assume_equal, axes_of, clamp
from dlcompile.graph import (
    DimLike,
    Tensor,
    at_least,
    ceildiv,
    dim_max,
    dim_min,
    floordiv,
    known_dims,
    make_constant,
    nothing_of,
    product,
)


@importer("Identity")
def identity(node: OnnxNode, x: Tensor) -> Tensor:
    return x


@importer("Reshape")
def reshape(node: OnnxNode, x: Tensor, shape: Tensor) -> Tensor:
    """0 copies a dimension (unless `allowzero`), -1 is what is left over."""
    if shape.known is None:
        return ops.reshape(x, dynamic.reshaped(x, shape, bool(node["allowzero"])))
    target = list(known_dims(shape, "target shape"))
    if not node["allowzero"]:
        for axis, dim in enumerate(target):
            if isinstance(dim, int) and dim == 0:
                if axis >= x.rank:
                    raise ShapeError(f"the shape {target} copies dimension {axis} of {x.type}, which has none")
                target[axis] = x.shape[axis]
    return ops.reshape(x, infer_dimension(x, target))


def infer_dimension(x: Tensor, target: list[DimLike]) -> tuple[DimLike, ...]:
    """`target` with its -1 replaced by the number of elements that are left."""
    unknown = [axis for axis, dim in enumerate(target) if isinstance(dim, int) and dim == -1]
    if len(unknown) > 1 or any(isinstance(d, int) and d < -1 for d in target):
        raise ShapeError(f"cannot reshape {x.type} to {target}: at most one dimension can be -1, none can be below")
    if unknown:
        (axis,) = unknown
        rest = product(target[:axis] + target[axis + 1:])
        if isinstance(rest, int) and rest == 0:
            raise ShapeError(f"cannot reshape {x.type} to {target}: -1 beside a dimension of 0 could be anything")
        if isinstance(x.type.size, int) and isinstance(rest, int) and x.type.size % rest:
            raise ShapeError(
                f"cannot reshape {x.type} to {target}: {x.type.size} elements are not a multiple of {rest}"
            )
        target = [*target[:axis], leftover(x.shape, target[:axis] + target[axis + 1:]), *target[axis + 1:]]
    return tuple(target)


def leftover(shape: tuple[DimLike, ...], rest: list[DimLike]) -> DimLike:
    """prod(shape) / prod(rest), where dimensions that are in both cancel first."""
    left, divisor = list(shape), []
    for dim in rest:
        if dim in left:
            left.remove(dim)
        else:
            divisor.append(dim)
    return floordiv(product(left), product(divisor))


@importer("Flatten")
def flatten(node: OnnxNode, x: Tensor) -> Tensor:
    axis = node["axis"] if node["axis"] == x.rank else as_axis(node["axis"], x.rank) if x.rank else 0
    return ops.reshape(x, (product(x.shape[:axis]), product(x.shape[axis:])))


@importer("Transpose")
def transpose(node: OnnxNode, x: Tensor) -> Tensor:
    permutation = node.get("perm", tuple(reversed(range(x.rank))))
    if sorted(permutation) != list(range(x.rank)):
        raise InvalidModelError(f"perm {list(permutation)} is no permutation of the {x.rank} axes of {x.type}")
    return ops.transpose(x, permutation)


@importer("Squeeze")
def squeeze_by_attribute(node: OnnxNode, x: Tensor) -> Tensor:
    return _squeeze(x, node["axes"])


@importer("Squeeze", since=13)
def squeeze(node: OnnxNode, x: Tensor, axes: Tensor | None = None) -> Tensor:
    if not dynamic.known_axes(axes):
        return ops.reshape(x, dynamic.squeezed(x, axes))
    return _squeeze(x, axes_of(axes))


def _squeeze(x: Tensor, axes) -> Tensor:
    """Without axes those of one element go. The rank of a result is known when a model is compiled, so that a dimension only a run knows stays,
    one or not."""
    if axes is None:
        axes = [a for a, d in enumerate(x.shape) if isinstance(d, int) and d == 1]
    axes = as_axes(axes, x.rank)
    for axis in axes:
        if x.shape[axis] != 1 and isinstance(x.shape[axis], int):
            raise ShapeError(f"axis {axis} of {x.type} cannot be squeezed: it is {x.shape[axis]}, not 1")
    return ops.reshape(x, tuple(d for a, d in enumerate(x.shape) if a not in axes))


@importer("Unsqueeze")
def unsqueeze_by_attribute(node: OnnxNode, x: Tensor) -> Tensor:
    return _unsqueeze(x, node["axes"])


@importer("Unsqueeze", since=13)
def unsqueeze(node: OnnxNode, x: Tensor, axes: Tensor) -> Tensor:
    if not dynamic.known_axes(axes):
        return ops.reshape(x, dynamic.unsqueezed(x, axes))
    return _unsqueeze(x, axes_of(axes))


def _unsqueeze(x: Tensor, axes) -> Tensor:
    places = as_axes(axes, x.rank + len(axes))
    dims = iter(x.shape)
    return ops.reshape(x, tuple(1 if a in places else next(dims) for a in range(x.rank + len(places))))


@importer("Expand")
def expand(node: OnnxNode, x: Tensor, shape: Tensor) -> Tensor:
    """Broadcasting in both directions: a 1 in `shape` keeps the dimension of `x`."""
    if shape.known is None:
        return dynamic.broadcast_to(x, dynamic.expanded(x, shape))
    target = known_dims(shape, "target shape")
    rank = max(x.rank, len(target))
    own = (1,) * (rank - x.rank) + x.shape
    wanted = (1,) * (rank - len(target)) + target
    return dynamic.broadcast_to(x, tuple(a if b == 1 else b for a, b in zip(own, wanted)))


@importer("Tile")
def tile(node: OnnxNode, x: Tensor, repeats: Tensor) -> Tensor:
    counts = dynamic.where_known(*dynamic.entries_of(repeats, "number of repeats"))
    if len(counts) != x.rank:
        raise ShapeError(f"{len(counts)} repeats for the {x.rank} axes of {x.type}")
    if any(isinstance(c, int) and c < 0 for c in counts):
        raise ShapeError(f"repeats {list(counts)}: none can be negative")
    apart = [d for n, c in zip(x.shape, counts) for d in (1, n)]
    wide = [d for n, c in zip(x.shape, counts) for d in (c, n)]
    return ops.reshape(
        ops.broadcast_to(ops.reshape(x, tuple(apart)), tuple(wide)), tuple(n * c for n, c in zip(x.shape, counts))
    )


# -- slices ------------------------------------------------------------------------------------------------------------
@importer("Slice")
def slice_by_attributes(node: OnnxNode, x: Tensor) -> Tensor:
    return _slice(x, node["starts"], node["ends"], node["axes"], None)


@importer("Slice", since=10)
def slice_(
    node: OnnxNode, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    if dynamic.is_known(starts) and dynamic.is_known(ends) and dynamic.known_axes(axes) and dynamic.known_axes(steps):
        strides = None if steps is None else known_dims(steps)
        return _slice(x, known_dims(starts), known_dims(ends), axes_of(axes), strides)
    steps = make_constant(np.ones(starts.shape, np.int64)) if steps is None and starts.type.is_static else steps
    bounds = [cutting.positions(*dynamic.entries_of(t, f"list of {what}"))
              for t, what in ((starts, "starts"), (ends, "ends"), (steps, "steps"))]
    bounds[2] = [step if isinstance(step, int) else cutting.as_scalar(step) for step in bounds[2]]
    if not dynamic.known_axes(axes):
        _check_lengths(*bounds, dynamic.entries_of(axes, "list of axes")[1])
        bounds = [cutting.for_all_axes(ops.cast(t, np.int64), axes, x.rank, otherwise)
                  for t, otherwise in ((starts, 0), (ends, cutting.END), (steps, 1))]
        axes = None
    places = as_axes(range(len(bounds[0])) if axes is None else axes_of(axes), x.rank)
    _check_lengths(*bounds, places)
    known = []
    for axis, *row in zip(places, *bounds):
        if any(isinstance(p, Tensor) for p in row):
            x = cutting.slice_axis(x, axis, *row)
        else:
            known.append((axis, *row))
    if not known:
        return x
    places, starts, ends, steps = zip(*known)
    return _slice(x, starts, ends, places, steps)


def _check_lengths(starts, ends, steps, axes) -> None:
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ShapeError(
            f"{len(starts)} starts, {len(ends)} ends, {len(axes)} axes and {len(steps)} steps; expected as many of each"
        )


BEYOND_ANY_AXIS = 2**48  # larger steps do no more than this one, and their products would not fit 64 bits


def _slice(x: Tensor, starts, ends, axes, steps) -> Tensor:
    axes = as_axes(range(len(starts)) if axes is None else axes, x.rank)
    steps = (1,) * len(starts) if steps is None else steps
    _check_lengths(starts, ends, steps, axes)
    start, limit, strides = [0] * x.rank, list(x.shape), [1] * x.rank
    backwards = []
    for axis, first, last, step in zip(axes, starts, ends, steps):
        size = x.shape[axis]
        if not isinstance(step, int) or step == 0:
            raise InvalidModelError(f"the step {step} of a slice must be a constant other than 0")
        step = max(min(step, BEYOND_ANY_AXIS), -BEYOND_ANY_AXIS)
        if step > 0:
            low, high = _bound(first, size, 0), _bound(last, size, 0)
        else:  # size-1 down to first element reached, forwards
            backwards.append(axis)
            top, bottom = _bound(first, size, -1), _bound(last, size, -1)
            count = ceildiv(dim_max(top - bottom, 0), -step)
            low, high = dim_max(top + (count - 1) * step, 0), top + 1
            if not at_least(count, 1):
                low = dim_min(low, high)  # of no elements there is no first one
        start[axis], limit[axis], strides[axis] = low, dim_max(low, high), abs(step)
    y = ops.slice(x, tuple(start), tuple(limit), tuple(strides))
    return ops.reverse(y, tuple(sorted(backwards))) if backwards else y


def _bound(position: DimLike, size: DimLike, lowest: int) -> DimLike:
    """Where a slice begins or ends: positions below 0 count from the end; what lies outside is cut to [lowest, size +
    lowest]."""
    if isinstance(position, int):
        if position <= -(10**9):  # what exporters write for "to the start"
            return lowest
        if position < 0:
            position = position + size
    elif not at_least(position, 0) and at_least(-position, 1):
        position = (
            position + size
        )  # where it may be of either sign it is taken as a position, which is what shapes are computed for
    return clamp(position, lowest, size + lowest)


@importer("Split")
def split_by_attribute(node: OnnxNode, x: Tensor) -> tuple[Tensor, ...]:
    return _split(node, x, node["split"])


@importer("Split", since=13)
def split(node: OnnxNode, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    if sizes is None:
        return _split(node, x, None)
    vector, known = dynamic.entries_of(sizes, "sizes of the parts")
    extent = x.shape[as_axis(node["axis"], x.rank)]
    if known.count(None) == 1:  # what the others leave
        index = known.index(None)
        given = [d for d in known if d is not None]
        told = ops.dim_of(dynamic.entry(vector, index))
        known[index] = assume_equal(extent - sum(given), told, "sizes of the parts:")
    if None not in known:
        return _split(node, x, known)
    assume_equal(ops.dim_of(ops.reduce_sum(vector, (0,))), extent, "sizes of the parts:")
    parts = []
    for index, dim in enumerate(known):  # none is longer than what is left: before all are known nothing else is read
        left = ops.dim_scalar(extent - sum(parts))
        parts.append(ops.dim_of(ops.minimum(dynamic.entry(vector, index), left)) if dim is None else dim)
    return _split(node, x, parts)


def _split(node: OnnxNode, x: Tensor, sizes) -> tuple[Tensor, ...]:
    axis, count = as_axis(node["axis"], x.rank), len(node.proto.output)
    if node["num_outputs"] not in (None, count):
        raise InvalidModelError(f"num_outputs is {node['num_outputs']}; the node has {count} outputs")
    if sizes is None:
        if node["num_outputs"] is None and isinstance(x.shape[axis], int) and x.shape[axis] % count:
            raise ShapeError(f"axis {axis} of {x.type} does not split into {count} equal parts")
        part = ceildiv(x.shape[axis], count)
        sizes = [part] * (count - 1) + [x.shape[axis] - part * (count - 1)]
    total = sum(sizes)
    if len(sizes) != count or (isinstance(total, int) and isinstance(x.shape[axis], int) and total != x.shape[axis]):
        raise ShapeError(f"axis {axis} of {x.type} does not split into {list(sizes)} for {count} outputs")
    parts, low = [], 0
    for size in sizes:
        start, limit = [0] * x.rank, list(x.shape)
        start[axis], limit[axis] = low, low + size
        parts.append(ops.slice(x, tuple(start), tuple(limit)))
        low = low + size
    return tuple(parts)


@importer("Concat")
def concat(node: OnnxNode, *parts: Tensor) -> Tensor:
    return ops.concatenate(parts, as_axis(node["axis"], parts[0].rank))


# -- padding -----------------------------------------------------------------------------------------------------------
@importer("Pad")
def pad_by_attributes(node: OnnxNode, x: Tensor) -> Tensor:
    return _pad(x, node["mode"], node["pads"], make_constant(np.asarray(node["value"], x.dtype)), range(x.rank))


@importer("Pad", since=11)
def pad(node: OnnxNode, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
    value = make_constant(nothing_of(x.dtype)) if value is None else ops.reshape(value, ())
    amounts = cutting.positions(*dynamic.entries_of(pads, "padding"))
    if not dynamic.known_axes(axes):
        count = len(dynamic.entries_of(axes, "list of axes")[1])
        _check_pads(x, amounts, count)
        sides = (ops.slice(ops.cast(pads, np.int64), (low,), (low + count,)) for low in (0, count))
        amounts = [p for side in sides for p in cutting.for_all_axes(side, axes, x.rank, 0)]
        axes = None
    return _pad(x, node["mode"], amounts, value, range(x.rank) if axes is None else axes_of(axes))


def _check_pads(x: Tensor, pads, count: int) -> None:
    if len(pads) != 2 * count:
        raise ShapeError(f"{len(pads)} pads for {count} axes of {x.type}; expected {2 * count}")


def _pad(x: Tensor, mode: str, pads, value: Tensor, axes) -> Tensor:
    """`pads` are dimensions, or scalars where they are data; before each of `axes`, then after each."""
    axes = as_axes(axes, x.rank)
    _check_pads(x, pads, len(axes))
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise InvalidModelError(f"the mode {mode!r} of padding is not one of constant, reflect, edge, wrap")
    low, high = [0] * x.rank, [0] * x.rank
    for axis, before, after in zip(axes, pads, pads[len(axes):]):
        if isinstance(before, Tensor) or isinstance(after, Tensor):
            if mode == "constant":
                x = cutting.pad_axis(x, axis, before, after, value)
            else:
                x = cutting.extend_axis(x, axis, before, after, mode)
        elif mode == "constant" or all(isinstance(n, int) and n <= 0 for n in (before, after)):
            low[axis], high[axis] = before, after
        else:
            x = cutting.extend_axis(x, axis, before, after, mode)
    return ops.pad(x, value, tuple(low), tuple(high))


@importer("CenterCropPad", since=18)
def center_crop_pad(node: OnnxNode, x: Tensor, shape: Tensor) -> Tensor:
    axes = as_axes(range(x.rank) if node["axes"] is None else node["axes"], x.rank)
    nothing = make_constant(nothing_of(x.dtype))
    targets = dynamic.where_known(*dynamic.entries_of(shape, "target shape"))
    for axis, target in zip(axes, targets, strict=True):
        x = cutting.fit_axis(x, axis, target, nothing)
    return x


# -- blocks ------------------------------------------------------------------------------------------------------------
@importer("DepthToSpace")
def depth_to_space(node: OnnxNode, x: Tensor) -> Tensor:
    block = _block(node, x)
    if isinstance(x.shape[1], int) and x.shape[1] % (block * block):
        raise ShapeError(f"{x.shape[1]} channels are not a multiple of the block {block} * {block}")
    return ops.depth_to_space(x, blocksize=block, mode=node.get("mode", "DCR"))


@importer("SpaceToDepth")
def space_to_depth(node: OnnxNode, x: Tensor) -> Tensor:
    block = _block(node, x)
    if any(isinstance(d, int) and d % block for d in x.shape[2:]):
        raise ShapeError(f"height and width of {x.type} are not multiples of the block {block}")
    if node.get("mode", "DCR") == "CRD":  # since opset 28: the channels are the outer part
        n, c, h, w = x.shape
        apart = ops.reshape(x, (n, c, floordiv(h, block), block, floordiv(w, block), block))
        return ops.reshape(
            ops.transpose(apart, (0, 1, 3, 5, 2, 4)), (n, c * block * block, floordiv(h, block), floordiv(w, block))
        )
    return ops.space_to_depth(x, blocksize=block)


def _block(node: OnnxNode, x: Tensor) -> int:
    if x.rank != 4 or node["blocksize"] < 1:
        raise ShapeError(
            f"expected [batch, channels, height, width] and a positive blocksize, not {x.type} and {node['blocksize']}"
        )
    return node["blocksize"]

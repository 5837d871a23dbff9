"""What contracts, and how: the analysis behind all forms that are made of tile operations, and how their right operands are packed.

A product of matrices, a batched one, a convolution in channels-last layout and a grouped one are the same thing once it is known how the
address of an element of the left operand depends on each coordinate (`analyse`): rows, columns, contracted dimensions (the innermost is
*last*, up to two more are *taps*), and batch. The right operand is packed, [batch][column block][contracted][columns of a block].
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlcompile.graph import DimLike, Node, Shape, Tensor, product, symbol
from dlcompile.kernels.access import Coordinates, Storage, axes_symbols, delinearize, linear_coefficients, viewed
from dlcompile.kernels.tiling import UNKNOWN

FLOAT32 = np.dtype(np.float32)
MOST_ROWS = 16  # of a tile: more rows in a run fill it no better


@dataclass(frozen=True)
class Run:
    """A dimension of a contraction: its extent and how far apart its elements are in the left operand. `axes` are the extents of the
    tensor's own axes merged in it."""

    extent: DimLike
    stride: DimLike
    axes: Shape
    name: str

    @property
    def symbol(self):
        return symbol(self.name, self.extent)


@dataclass(frozen=True)
class Contraction:
    """How a node contracts. `left` at (batch, rows, contracted) is read at base + Σ coordinate*stride; `result` gives the coordinates of
    the node's output for (batch coordinates, row coordinates, column)."""

    left: Storage
    base: DimLike
    batch: tuple[Run, ...]
    rows: tuple[Run, ...]
    contracted: tuple[Run, ...]
    columns: Shape
    result: Callable[[Coordinates, Coordinates, DimLike], Coordinates]
    depthwise: bool = False

    @property
    def depth(self) -> DimLike:
        return product(run.extent for run in self.contracted)

    @property
    def width(self) -> DimLike:
        return product(self.columns)

    @property
    def row_count(self) -> DimLike:
        return product(run.extent for run in self.rows)


# -- analysis ---------------------------------------------------------------------------------------------------------------
def analyse(node: Node, storage: Callable[[Tensor], Storage | None]) -> Contraction | None:
    """How `node` contracts, its operands being stored as `storage` says (None: not stored); None where no tile operation fits."""
    if any(t.dtype != FLOAT32 for t in (*node.inputs, node.output)):
        return None
    if node.op == "dot_general":
        return _analyse_dot(node, storage)
    if node.op == "conv_general":
        return _analyse_conv(node, storage)
    return None


def _analyse_dot(node: Node, storage) -> Contraction | None:
    lhs, rhs = node.inputs
    (lc, rc), (lb, rb) = node.attributes["contracting"], node.attributes["batch"]
    lhs_free = [a for a in range(lhs.rank) if a not in lc and a not in lb]
    rhs_free = tuple(rhs.shape[a] for a in range(rhs.rank) if a not in rc and a not in rb)
    order = _contracted_order(rhs, rc, storage)
    lc = [lc[i] for i in order]
    at = axes_symbols(lhs.shape, "l")

    def result(batch: Coordinates, rows: Coordinates, column: DimLike) -> Coordinates:
        return (*batch, *rows, *delinearize(column, rhs_free))

    return _contraction(lhs, at, [at[a] for a in lb], [at[a] for a in lhs_free], [at[a] for a in lc],
                        [lhs.shape[a] for a in lb], [lhs.shape[a] for a in lhs_free], [lhs.shape[a] for a in lc],
                        rhs_free, result, storage)


def _analyse_conv(node: Node, storage) -> Contraction | None:
    x, w = node.inputs
    a = node.attributes
    if a["layout"] != "channels_last" or any(d != 1 for d in a["lhs_dilation"]) or any(p != (0, 0) for p in a["padding"]):
        return None
    groups, spatial = a["groups"], x.rank - 2
    kernel, channels, out = w.shape[:spatial], w.shape[-2], w.shape[-1]
    depthwise = groups > 1 and channels == 1 and out == groups
    out_shape = node.output.shape
    rows = axes_symbols(out_shape[:-1], "m")
    taps = axes_symbols(kernel, "k")
    channel = symbol("c", channels) if channels != 1 else 0
    group = symbol("g", groups) if groups > 1 and not depthwise else 0
    where = tuple(m * s + k * d for m, s, k, d in zip(rows[1:], a["strides"], taps, a["rhs_dilation"]))
    per_group = out // groups
    column = symbol("c", groups) if depthwise else group * channels + channel
    coordinates = (rows[0], *where, column)

    def result(batch: Coordinates, at_rows: Coordinates, column: DimLike) -> Coordinates:
        return (*at_rows, (batch[0] * per_group + column) if batch and groups > 1 and not depthwise else column)

    contracted, depth_shape = [*taps, column if depthwise else channel], [*kernel, groups if depthwise else channels]
    if not depthwise:
        order = _contracted_order(w, range(spatial + 1), storage)
        contracted, depth_shape = [contracted[i] for i in order], [depth_shape[i] for i in order]
    found = _contraction(x, coordinates, [group] if groups > 1 and not depthwise else [], list(rows), contracted,
                         [groups] if groups > 1 and not depthwise else [], list(out_shape[:-1]),
                         depth_shape, (out if depthwise else per_group,), result, storage, merge_contracted=not depthwise)
    if found is not None and depthwise:
        if len(found.contracted) != spatial + 1 or found.contracted[-1].stride != 1 or spatial > 2:
            return None
        return replace(found, depthwise=True) if isinstance(out, int) else None
    return found


def _contraction(lhs, at, batch, rows, contracted, batch_shape, row_shape, depth_shape, columns, result, storage,
                 merge_contracted=True) -> Contraction | None:
    base, coordinates = viewed(lhs, at, lambda t: storage(t) is not None)
    stored = storage(base)
    if stored is None:
        return None
    linear = linear_coefficients(stored.index(coordinates), (*batch, *rows, *contracted))
    if linear is None:
        return None
    offset, strides = linear
    batch_strides, rest = strides[: len(batch)], strides[len(batch):]
    batch_runs = tuple(Run(e, s, (e,), f"z{i}") for i, (e, s) in enumerate(zip(batch_shape, batch_strides)))
    row_runs = _runs(row_shape, rest[: len(rows)], "m")
    depth_runs = _runs(depth_shape, rest[len(rows):], "k") if merge_contracted else tuple(
        Run(e, s, (e,), f"k{i}") for i, (e, s) in enumerate(zip(depth_shape, rest[len(rows):])))
    if len(depth_runs) > 3 or not depth_runs:
        return None
    if merge_contracted:
        row_runs, result = _longest_last(row_runs, result)
    return Contraction(stored, offset, batch_runs, row_runs, depth_runs, tuple(columns), result)


def _contracted_order(rhs: Tensor, axes: Sequence[int], storage) -> list[int]:
    """An order of the contracted axes `axes` of a right operand: as they follow one another in memory, so that it can be packed by rows. Sums are in
    any order. Constants are packed when the model is compiled, in the order that they have."""
    given = list(range(len(axes)))
    found = None if rhs.is_constant else _strides(rhs, storage)
    if found is None or not all(isinstance(found[a], int) for a in axes):
        return given
    return sorted(given, key=lambda i: -found[axes[i]])


def _strides(tensor: Tensor, storage) -> list[DimLike] | None:
    """How far apart the elements of a tensor are along each axis, where it is a strided array."""
    at = axes_symbols(tensor.shape, "r")
    base, coordinates = viewed(tensor, at, lambda t: storage(t) is not None)
    stored = storage(base)
    linear = linear_coefficients(stored.index(coordinates), at) if stored is not None else None
    return None if linear is None else list(linear[1])


def _longest_last(rows: tuple[Run, ...], result) -> tuple[tuple[Run, ...], Callable[[Coordinates, Coordinates, DimLike], Coordinates]]:
    """The rows with the run last that fills a tile best, which tiles go along, and `result` for that order. Of extents that only a run knows, those
    whose rows are neighbours in memory are taken for long: they are steps or pixels, and what is far apart a batch."""
    def length(run: Run) -> int:
        return run.extent if isinstance(run.extent, int) else UNKNOWN if isinstance(run.stride, int) else 1

    if len(rows) < 2 or length(rows[-1]) >= MOST_ROWS:
        return rows, result
    longest = max(range(len(rows)), key=lambda i: (min(length(rows[i]), MOST_ROWS), i))
    order = [*(i for i in range(len(rows)) if i != longest), longest]
    ends = np.cumsum([0, *(len(rows[i].axes) for i in order)])
    spans = {i: (int(ends[place]), int(ends[place + 1])) for place, i in enumerate(order)}

    def reordered(batch: Coordinates, at: Coordinates, column: DimLike) -> Coordinates:
        return result(batch, tuple(c for i in range(len(rows)) for c in at[spans[i][0]:spans[i][1]]), column)

    return tuple(rows[i] for i in order), reordered


def _runs(shape, strides, prefix: str) -> tuple[Run, ...]:
    """Axes as runs, neighbours merged where stepping the outer one is stepping the inner one its whole extent."""
    runs: list[Run] = []
    for extent, stride in zip(shape, strides):
        if runs and (extent == 1 or runs[-1].extent == 1 or runs[-1].stride == stride * extent):
            last = runs.pop()
            kept = last.stride if extent == 1 else stride
            runs.append(Run(last.extent * extent, kept, (*last.axes, extent), last.name))
        else:
            runs.append(Run(extent, stride, (extent,), f"{prefix}{len(runs)}"))
    return tuple(runs)


# -- packing ----------------------------------------------------------------------------------------------------------------
def pack_constant(node: Node, value: np.ndarray, width: int) -> np.ndarray:
    """A constant right operand as [batch][ceil(columns / width)][contracted][width], zeros after the last column."""
    matrix = matrices(node, value)
    batch, depth, columns = matrix.shape
    blocks = -(-columns // width)
    padded = np.zeros((batch, depth, blocks * width), np.float32)
    padded[:, :, :columns] = matrix
    return np.ascontiguousarray(padded.reshape(batch, depth, blocks, width).transpose(0, 2, 1, 3))


def matrices(node: Node, value: np.ndarray) -> np.ndarray:
    """A right operand as [batch, contracted, columns]."""
    if node.op == "conv_general":
        groups = node.attributes["groups"]
        *kernel, channels, out = value.shape
        depth = int(np.prod(kernel)) * channels
        return value.reshape(depth, groups, out // groups).transpose(1, 0, 2)
    (_, rc), (_, rb) = node.attributes["contracting"], node.attributes["batch"]
    free = [a for a in range(value.ndim) if a not in rc and a not in rb]
    moved = value.transpose(*rb, *rc, *free)
    shape = [int(np.prod([value.shape[a] for a in axes])) for axes in (rb, rc, free)]
    return moved.reshape(shape)


@dataclass(frozen=True)
class Packing:
    """How a right operand that is not constant is packed at run time: read at base + what batch, contracted runs and columns add."""

    source: Storage
    base: DimLike
    batch: tuple[Run, ...]
    depth: tuple[Run, ...]
    columns: tuple[Run, ...]

    def is_packed(self, contraction: Contraction, width: int) -> bool:
        """Whether it lies as if packed in one panel of `width` columns already."""
        whole, apart = contraction.depth * width, []
        for run in reversed(self.batch):
            apart.append(run.stride == whole or run.extent == 1)
            whole = whole * run.extent
        return contraction.width == width and [r.stride for r in self.depth] == [width] and [r.stride for r in self.columns] == [1] and all(apart)


def analyse_packing(node: Node, storage: Callable[[Tensor], Storage | None]) -> Packing | None:
    """How to read the right operand of `node` for packing; None where it is not a strided array of matrices."""
    rhs = node.inputs[1]
    at = axes_symbols(rhs.shape, "r")
    if node.op == "conv_general":
        rb, rc, free = (), tuple(range(rhs.rank - 1)), (rhs.rank - 1,)
    else:
        (_, rc), (_, rb) = node.attributes["contracting"], node.attributes["batch"]
        free = tuple(a for a in range(rhs.rank) if a not in rc and a not in rb)
    base, coordinates = viewed(rhs, at, lambda t: storage(t) is not None)
    stored = storage(base)
    if stored is None:
        return None
    rc = tuple(rc[i] for i in _contracted_order(rhs, rc, storage))
    order = (*rb, *rc, *free)
    linear = linear_coefficients(stored.index(coordinates), [at[a] for a in order])
    if linear is None:
        return None
    offset, strides = linear
    by_axis = dict(zip(order, strides))
    depth = _runs([rhs.shape[a] for a in rc], [by_axis[a] for a in rc], "k")
    columns = _runs([rhs.shape[a] for a in free], [by_axis[a] for a in free], "n")
    batch = tuple(Run(rhs.shape[a], by_axis[a], (rhs.shape[a],), f"z{i}") for i, a in enumerate(rb))
    if node.op == "conv_general" and node.attributes["groups"] != 1:  # its columns are those of one group after another
        (column,), groups = columns, node.attributes["groups"]
        each = rhs.shape[-1] // groups
        batch, columns = (Run(groups, each * column.stride, (groups,), "z0"),), (replace(column, extent=each, axes=(each,)),)
    return Packing(stored, offset, batch, depth, columns)

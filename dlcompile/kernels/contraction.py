"""The contraction and convolution forms: one tile operation in loops, with an epilogue on its result.

A product of matrices, a batched one, a convolution in channels-last layout and a grouped one are the same thing once it is known how the
address of an element of the left operand depends on each coordinate (`analyse`): rows, columns, contracted dimensions (the innermost is
read contiguously, up to two more are *taps*), and batch. The right operand is packed, [batch][column block][contracted][columns of a
block]; what follows the product (bias, activation, residual) is evaluated on the tile while it is in the nearest cache.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dlcompile.graph import DimLike, Node, Shape, Symbol, Tensor, ceildiv, dim_min, product, substitute, symbol
from dlcompile.kernels.access import (
    VIEWS,
    CannotFuse,
    Coordinates,
    Storage,
    axes_symbols,
    delinearize,
    forward_through,
    linear_coefficients,
    viewed,
)
from dlcompile.kernels.emit import INT64, Emitter, Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, forward, worth_sharing
from dlcompile.kernels.ir import Expression, Index, Let, Load, LocalBuffer, Statement, Store, Tile
from dlcompile.kernels.nest import Axis, Block, collapse, merge, nest, split
from dlcompile.kernels.target import Target
from dlcompile.kernels.tiling import UNKNOWN, choose_tile

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

    contracted = [*taps, column if depthwise else channel]
    found = _contraction(x, coordinates, [group] if groups > 1 and not depthwise else [], list(rows), contracted,
                         [groups] if groups > 1 and not depthwise else [], list(out_shape[:-1]),
                         [*kernel, groups if depthwise else channels], (out if depthwise else per_group,), result, storage,
                         merge_contracted=not depthwise)
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
    if depth_runs[-1].stride != 1 and len(depth_runs) > 1 and merge_contracted:
        return None
    if merge_contracted:
        row_runs, result = _longest_last(row_runs, result)
    return Contraction(stored, offset, batch_runs, row_runs, depth_runs, tuple(columns), result)


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
    """How a right operand that is not constant is packed at run time: read at base + batch, k, n strides."""

    source: Storage
    base: DimLike
    batch: tuple[Run, ...]
    k_stride: DimLike
    n_stride: DimLike


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
    order = (*rb, *rc, *free)
    linear = linear_coefficients(stored.index(coordinates), [at[a] for a in order])
    if linear is None:
        return None
    offset, strides = linear
    by_axis = dict(zip(order, strides))
    depth = _runs([rhs.shape[a] for a in rc], [by_axis[a] for a in rc], "k")
    columns = _runs([rhs.shape[a] for a in free], [by_axis[a] for a in free], "n")
    if len(depth) != 1 or len(columns) > 1:
        return None
    batch = tuple(Run(rhs.shape[a], by_axis[a], (rhs.shape[a],), f"z{i}") for i, a in enumerate(rb))
    n_stride = columns[0].stride if columns else 1
    if node.op == "conv_general" and node.attributes["groups"] != 1:  # its columns are those of one group after another
        groups = node.attributes["groups"]
        batch = (Run(groups, rhs.shape[-1] // groups * n_stride, (groups,), "z0"),)
    return Packing(stored, offset, batch, depth[0].stride, n_stride)


# -- lowering ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plan:
    """A contraction with the tile chosen for it and the right operand packed for that tile (depthwise: as it lies)."""

    contraction: Contraction
    rows: int
    vectors: int
    packed: Storage

    def width(self, target: Target) -> int:
        return self.vectors * target.lanes


def plan_tile(contraction: Contraction, target: Target) -> tuple[int, int]:
    """(rows, vectors) of the tile."""
    tile_rows = contraction.rows[-1].extent if contraction.rows else 1
    if contraction.depthwise:
        count = ceildiv(contraction.width, target.lanes)
        vectors = min(range(1, 5 if target.registers > 16 else 3), key=lambda v: (ceildiv(count, v) * (v + 1), -v))
        most = 8 if target.registers > 16 else 6
        return most if not isinstance(tile_rows, int) else _even_split(tile_rows, most), vectors
    return choose_tile(target, tile_rows, contraction.width, contraction.depth)


def _even_split(extent: int, most: int) -> int:
    """The number of rows, at most `most`, that covers an extent with equal tiles as nearly as possible."""
    tiles = -(-extent // most)
    return -(-extent // tiles)


def lower_contraction(group: Group, context: Context, plan: Plan) -> Lowered:
    """Loops over tiles; in each the tile operation, then the epilogue row by row."""
    (node,) = group.anchors
    c, width, target = plan.contraction, plan.width(context.target), context.target
    parameters = Parameters()
    left = parameters.read(c.left.argument, FLOAT32)
    right = parameters.read(plan.packed.argument, FLOAT32)

    rows = c.rows[-1] if c.rows else Run(1, 0, (), "m0")
    row_blocks, column_blocks = ceildiv(rows.extent, plan.rows), ceildiv(c.width, width)
    rb, nb = (symbol(n, e) if e != 1 else 0 for n, e in (("rb", row_blocks), ("nb", column_blocks)))
    m = symbol("m", rows.extent) if rows.extent != 1 else 0
    i = symbol("i", plan.rows) if plan.rows != 1 else 0
    j = symbol("j", width)
    batch_at = tuple(run.symbol if run.extent != 1 else 0 for run in c.batch)
    outer_rows = c.rows[:-1]
    row_at: Coordinates = ()
    for run, coordinate in ((*((r, r.symbol if r.extent != 1 else 0) for r in outer_rows), (rows, m))):
        row_at += delinearize(coordinate, run.axes)
    column = nb * width + j
    if c.width == 1:
        column = 0
    at = c.result(batch_at, row_at, column)

    lets, store = epilogue(group, context, parameters, at, Load("tile", i * width + j, FLOAT32), "j", c.width)

    a_index = c.base
    for run, coordinate in zip(c.batch, batch_at):
        a_index = coordinate * run.stride + a_index
    for run in outer_rows:
        a_index = (run.symbol if run.extent != 1 else 0) * run.stride + a_index
    a_index = rb * plan.rows * rows.stride + a_index
    taps = tuple((run.extent, run.stride) for run in c.contracted[:-1])
    taps = ((1, 0),) * (2 - len(taps)) + taps
    last = c.contracted[-1]
    if c.depthwise:
        a_index, b_index, b_row = nb * width + a_index, plan.packed.offset + nb * width, c.width
    else:
        matrix: DimLike = 0
        for run, coordinate in zip(c.batch, batch_at):
            matrix = matrix * run.extent + coordinate
        b_index, b_row = plan.packed.offset + (matrix * column_blocks + nb) * (c.depth * width), width
    valid_rows = dim_min(plan.rows, rows.extent - rb * plan.rows)
    valid_columns = _valid_columns(c.width, width, nb)
    tile = Tile("depthwise" if c.depthwise else "contract", "tile", plan.rows, width, left, a_index, rows.stride, last.stride, taps,
                1 if c.depthwise else last.extent, right, b_index, b_row, valid_rows, valid_columns, _ahead(c, width, context.target))

    row_axes = (Axis("i", valid_rows),) if i != 0 else ()
    bound: tuple[Statement, ...] = (Let("m", Index(rb * plan.rows + i, INT64)),) if m != 0 else ()
    inner = (*bound, *lets, store)
    after = nest((*row_axes, Axis("j", valid_columns)), inner, parallel=False)
    statements: Block = (LocalBuffer("tile", FLOAT32, plan.rows * width), tile, *after)
    outer = [Axis(run.name, run.extent) for run in c.batch]
    row_loops = [Axis(run.name, run.extent) for run in outer_rows] + [Axis("rb", row_blocks)]
    column_loop = [Axis("nb", column_blocks)]
    outer += row_loops + column_loop if _rows_first(c, target) else column_loop + row_loops
    axes = tuple(a for a in outer if a.extent != 1)
    axes, statements = split(axes, statements)
    axes, statements = merge(axes, statements)
    work = 2 * product((*(r.extent for r in c.batch), c.row_count, 1 if c.depthwise else c.width, c.depth)) + cost(group.nodes - {node})
    parallel = worth_sharing(work, 100_000) and bool(axes)
    loops = _share(axes, statements, parallel)
    return finish(parameters, loops, "convolution" if node.op == "conv_general" else "contraction", parallel)


def _share(axes: tuple[Axis, ...], statements: Block, parallel: bool) -> Block:
    """Loops over tiles; the outer ones as one parallel loop, long enough that any number of threads gets an even share."""
    if parallel and len(axes) > 1:
        axes, statements = collapse(axes, statements, keep=0)
    return nest(axes, statements, parallel=parallel, vector=False)


def _ahead(c: Contraction, width: int, target: Target) -> DimLike:
    """How far ahead of its panel a tile fetches: the next panel, where panels come from beyond the second-level cache."""
    panel = c.depth * width
    if c.depthwise or not isinstance(panel, int) or not isinstance(c.width, int) or c.depth * c.width * 4 <= target.l2_bytes // 2:
        return 0
    return panel


def _valid_columns(columns: DimLike, width: int, block: DimLike) -> DimLike:
    """How many columns of a block exist; a constant where it is the same for all blocks."""
    if isinstance(columns, int) and (columns <= width or columns % width == 0):
        return min(columns, width)
    return dim_min(width, columns - block * width)


def _rows_first(c: Contraction, target: Target) -> bool:
    """Whether the column blocks of a row block follow each other: right where the packed operand stays in the second-level cache."""
    size = c.depth * c.width * 4
    return isinstance(size, int) and size <= target.l2_bytes // 2


def epilogue(group: Group, context: Context, parameters: Parameters, at: Coordinates, element: Expression, column: str,
             width: DimLike) -> tuple[list[Let], Store]:
    """What a group stores for the element at coordinates `at` of its anchor's result, whose value is the expression `element`: the variables that
    have to be bound before, and the store. `column`: the variable that counts the `width` columns. CannotFuse where the group uses the
    result at other coordinates."""
    (node,) = group.anchors
    body, views = group.body_and_views()
    emitter = Emitter(parameters, context.readable(group.root), group.shared())

    def value_at(where: Coordinates) -> Expression:
        if where != at:
            raise CannotFuse(f"the result of {node.op} is used at other coordinates")
        return element

    emitter.overrides[node.output] = value_at
    body_at = carry_forward(group, node.output, at, body)
    value = emitter.value(body, body_at)
    root = context.stored(group.root)
    store = Store(parameters.write(root.argument, group.root.dtype), root.index(forward(views, body_at)), value)
    check_stored(store.index, column, width, node)
    return emitter.lets, store


SCATTERED_COLUMNS = 16  # that a kernel stores one by one rather than leave it to a transposition of its own


def check_stored(index: DimLike, column: str, width: DimLike, node: Node) -> None:
    """CannotFuse where neighbouring columns of a result would be stored far from each other, each in a cache line of its own. `column`: the
    name of the variable that counts them. Where they are neighbours in runs (as pixels of a block are), that is as good."""
    if isinstance(width, int) and width < SCATTERED_COLUMNS:
        return
    apart = substitute(index, {column: 1}) - substitute(index, {column: 0})
    if apart not in (0, 1) and (isinstance(apart, int) or all(isinstance(atom, Symbol) for monomial in apart.terms for atom in monomial)):
        raise CannotFuse(f"the columns of {node.op} would be stored one by one")


def carry_forward(group: Group, start: Tensor, at: Coordinates, end: Tensor) -> Coordinates:
    """Coordinates of `start` as coordinates of `end`, carried through elementwise nodes of its shape and views that rearrange."""
    carried = {start: at}
    waiting = True
    while waiting and end not in carried:
        waiting = False
        for node in group.nodes:
            tensor = node.outputs[0]
            source = next((t for t in node.inputs if t in carried), None)
            if source is None or tensor in carried:
                continue
            moved = forward_through(node, carried[source])
            if moved is None and source.shape == tensor.shape and node.op not in VIEWS:
                moved = carried[source]
            if moved is not None:
                carried[tensor] = moved
                waiting = True
    if end not in carried:
        raise CannotFuse(f"what follows {start.op} has another shape")
    return carried[end]

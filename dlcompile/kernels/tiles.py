"""Loops over tiles: how a contraction becomes a kernel, a tile operation at a time, with an epilogue on its result.

What follows the product (bias, activation, residual, a transposition) is evaluated on the tile while it is in the nearest cache, and stored where it
belongs.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dlcompile.graph import DimLike, Node, Symbol, Tensor, ceildiv, dim_min, product, substitute, symbol
from dlcompile.kernels.access import VIEWS, CannotFuse, Coordinates, Storage, delinearize, forward_through
from dlcompile.kernels.contraction import FLOAT32, Contraction, Run
from dlcompile.kernels.emit import INT64, Emitter, Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, forward, worth_sharing
from dlcompile.kernels.ir import Expression, Index, Let, Load, LocalBuffer, Store, Tile
from dlcompile.kernels.nest import Axis, Block, collapse, merge, nest, split
from dlcompile.kernels.target import Target
from dlcompile.kernels.tiling import choose_tile


@dataclass(frozen=True)
class Plan:
    """A contraction with the tile chosen for it and the right operand packed for that tile (depthwise: as it lies)."""

    contraction: Contraction
    rows: int
    vectors: int
    packed: Storage

    def width(self, target: Target) -> int:
        return self.vectors * target.lanes


@dataclass(frozen=True)
class Tiles:
    """What the tiles of a plan have in common: the coordinates of rows, columns and batch in terms of loop variables.

    rb, nb: which tile of rows, which panel of columns; i, j: the row and the column in it; m: the row of the last run of rows."""

    plan: Plan
    width: int
    rb: DimLike
    nb: DimLike
    batch_at: Coordinates
    at: Coordinates

    @staticmethod
    def of(plan: Plan, target: Target, rb: DimLike | None = None, nb: DimLike | None = None) -> Tiles:
        """`rb` and `nb`: where they are not loop variables of their own."""
        c, width = plan.contraction, plan.width(target)
        rows = last_rows(c)
        if rb is None:
            rb = _variable("rb", ceildiv(rows.extent, plan.rows))
        if nb is None:
            nb = _variable("nb", ceildiv(c.width, width))
        batch_at = tuple(_variable(run.name, run.extent) for run in c.batch)
        row_at: Coordinates = ()
        for run, coordinate in (*((r, _variable(r.name, r.extent)) for r in c.rows[:-1]), (rows, _variable("m", rows.extent))):
            row_at += delinearize(coordinate, run.axes)
        column = nb * width + symbol("j", width) if c.width != 1 else 0
        return Tiles(plan, width, rb, nb, batch_at, c.result(batch_at, row_at, column))

    @property
    def left(self) -> DimLike:
        """Where the left operand begins for the first row of a tile and the first term."""
        c = self.plan.contraction
        index = c.base
        for run, coordinate in zip(c.batch, self.batch_at):
            index = coordinate * run.stride + index
        for run in c.rows[:-1]:
            index = _variable(run.name, run.extent) * run.stride + index
        return self.rb * self.plan.rows * last_rows(c).stride + index

    @property
    def right(self) -> DimLike:
        """Where the packed panel begins."""
        c = self.plan.contraction
        matrix: DimLike = 0
        for run, coordinate in zip(c.batch, self.batch_at):
            matrix = matrix * run.extent + coordinate
        return self.plan.packed.offset + (matrix * ceildiv(c.width, self.width) + self.nb) * (c.depth * self.width)

    @property
    def valid_rows(self) -> DimLike:
        return dim_min(self.plan.rows, last_rows(self.plan.contraction).extent - self.rb * self.plan.rows)

    @property
    def valid_columns(self) -> DimLike:
        return _valid_columns(self.plan.contraction.width, self.width, self.nb)

    def finished(self, lets: list[Let], store: Store) -> Block:
        """Loops over a tile's rows and columns, in which the epilogue stores them."""
        row_axes = (Axis("i", self.valid_rows),) if self.plan.rows != 1 else ()
        m = last_rows(self.plan.contraction).extent != 1
        bound: Block = (Let("m", Index(self.rb * self.plan.rows + _variable("i", self.plan.rows), INT64)),) if m else ()
        return nest((*row_axes, Axis("j", self.valid_columns)), (*bound, *lets, store), parallel=False)


def last_rows(c: Contraction) -> Run:
    """The rows that tiles go along."""
    return c.rows[-1] if c.rows else Run(1, 0, (), "m0")


def axes_of_runs(runs: Iterable[Run]) -> list[Axis]:
    """Loops over runs."""
    return [Axis(run.name, run.extent) for run in runs]


def _variable(name: str, extent: DimLike) -> DimLike:
    return symbol(name, extent) if extent != 1 else 0


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
    c, target = plan.contraction, context.target
    parameters = Parameters()
    left = parameters.read(c.left.argument, FLOAT32)
    right = parameters.read(plan.packed.argument, FLOAT32)
    tiles = Tiles.of(plan, target)
    width, rows = tiles.width, last_rows(c)
    lets, store = epilogue(group, context, parameters, tiles.at, Load("tile", _variable("i", plan.rows) * width + symbol("j", width), FLOAT32), "j", c.width)

    taps = tuple((run.extent, run.stride) for run in c.contracted[:-1])
    taps = ((1, 0),) * (2 - len(taps)) + taps
    last = c.contracted[-1]
    a_index, b_index, b_row = tiles.left, tiles.right, width
    if c.depthwise:
        a_index, b_index, b_row = tiles.nb * width + a_index, plan.packed.offset + tiles.nb * width, c.width
    tile = Tile("depthwise" if c.depthwise else "contract", "tile", plan.rows, width, left, a_index, rows.stride, last.stride, taps,
                1 if c.depthwise else last.extent, right, b_index, b_row, tiles.valid_rows, tiles.valid_columns, _ahead(c, width, target))
    statements: Block = (LocalBuffer("tile", FLOAT32, plan.rows * width), tile, *tiles.finished(lets, store))
    row_loops = [*axes_of_runs(c.rows[:-1]), Axis("rb", ceildiv(rows.extent, plan.rows))]
    column_loop = [Axis("nb", ceildiv(c.width, width))]
    loops = [*axes_of_runs(c.batch), *(row_loops + column_loop if _rows_first(c, target) else column_loop + row_loops)]
    axes, statements = merge(*split(tuple(a for a in loops if a.extent != 1), statements))
    work = 2 * product((*(r.extent for r in c.batch), c.row_count, 1 if c.depthwise else c.width, c.depth)) + cost(group.nodes - {node})
    parallel = worth_sharing(work, 100_000) and bool(axes)
    return finish(parameters, _share(axes, statements, parallel), "convolution" if node.op == "conv_general" else "contraction", parallel)


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

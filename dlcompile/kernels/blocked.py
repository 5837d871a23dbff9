"""Sums of many terms in blocks of terms: what a tile reads stays in the caches where the operands of a whole sum do not.

The plain form takes a tile from its first term to its last, so that the rows of the left operand are read again for every panel of the right one,
and a panel for every tile of rows; with many terms both come from a distant cache, or from memory. Here a *chunk* of tiles, `rows` high and
`panels` wide, takes a block of terms at a time (Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"):

    for chunk (shared out over the threads)
        sums[panel][tile] = 0
        for block of terms
            rows = left[chunk][block]
            for panel of the chunk, for tile of the chunk
                sums[panel][tile] += rows[tile] · right[panel][block]
        epilogue on sums

The sums of a chunk stay in the second-level cache, and so do the rows of its left operand for the terms of a block. Where these do not lie as a
tile likes to read them they are copied: rows that are some multiple of 4 KiB apart fall into the same set of the nearest cache, which holds fewer
of them than a tile has, and of terms that are not neighbours each comes in a cache line of its own.
"""
from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd

from dlcompile.graph import DimLike, ceildiv, dim_min, product, substitute, symbol
from dlcompile.kernels.contraction import FLOAT32, Contraction, Run
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import Load, Loop, Number, ScratchBuffer, Store, Tile
from dlcompile.kernels.nest import Axis, Block, block_transposed, collapse, nest
from dlcompile.kernels.planes import PLANE_GAP, SEEN_SHARE, time_with_traffic, uneven
from dlcompile.kernels.target import Target
from dlcompile.kernels.tiles import Plan, Tiles, axes_of_runs, epilogue, last_rows, lower_contraction
from dlcompile.kernels.tiling import FAR_BYTES_PER_CYCLE, MEMORY_BYTES_PER_CYCLE, product_time

TERMS = (256, 512)  # of a block: sums are fetched and stored again once for so many
LEAST_TERMS = 512  # of a sum that is worth it
LEFT_SHARE, SUMS_SHARE = 1 / 2, 1 / 4  # of the second-level cache, what a block of the left operand and the sums may fill
LEAST_GAIN = 0.05  # of the estimated time: less is not trusted
CACHE_LINE, SETS, CACHE_WAYS = 64, 64, 8  # of the nearest cache
AWKWARD = 1.3  # times as long takes a tile that does not like how its left operand lies
COPY_COST = 6.0  # cycles to copy a vector of the left operand


@dataclass(frozen=True)
class Blocking:
    """`run`: which of the contracted runs is cut, `terms` of it at a time, the runs before it being taken one by one and those behind it whole;
    a chunk is `rows` tiles high and `panels` wide, and has all of the last `around` runs of rows before that along which tiles go; `copied`:
    whether its left operand is copied block by block."""

    run: int
    terms: int
    rows: int
    panels: int
    around: int
    copied: bool

    def block(self, c: Contraction) -> int:
        """The terms of a block."""
        return self.terms * product(r.extent for r in c.contracted[self.run + 1:])

    def inside(self, c: Contraction) -> tuple[Run, ...]:
        """The runs of rows that a chunk has all of."""
        return c.rows[len(c.rows) - 1 - self.around:-1]

    def outside(self, c: Contraction) -> tuple[Run, ...]:
        """Those of which it has one element."""
        return c.rows[:len(c.rows) - 1 - self.around] if c.rows else ()


# -- whether, and how -------------------------------------------------------------------------------------------------------
def blockings(c: Contraction, target: Target, tile: tuple[int, int]) -> Iterator[tuple[float, Blocking]]:
    """Ways to cut a product of known size, and before each the cycles that it is estimated to take."""
    if c.depthwise or not is_known(c) or c.depth < LEAST_TERMS:
        return
    rows, width = tile[0], tile[1] * target.lanes
    tiles, panels = ceildiv(last_rows(c).extent, rows), ceildiv(c.width, width)
    for terms in TERMS:
        run, length = _cut(c, terms)
        for around, high, wide in itertools.product(range(max(len(c.rows), 1)), _pieces(tiles), _pieces(panels)):
            plan = Blocking(run, length, high, wide, around, is_awkward(c, target, rows))
            inside = plan.inside(c)
            left = left_bytes(replace(c, batch=(), rows=(*inside, replace(last_rows(c), extent=rows * high)), contracted=(
                replace(c.contracted[run], extent=length), *c.contracted[run + 1:])))
            sums = rows * high * width * wide * 4 * product(r.extent for r in inside)
            if left <= target.l2_bytes * LEFT_SHARE and sums <= target.l2_bytes * SUMS_SHARE:
                yield blocked_time(c, target, tile, plan), plan


def is_awkward(c: Contraction, target: Target, rows: int) -> bool:
    """Whether the left operand lies as a tile of so many rows does not like to read it."""
    stride = last_rows(c).stride
    if c.contracted[-1].stride != 1:
        return stride != 1
    if not isinstance(stride, int) or stride * 4 % CACHE_LINE:
        return False
    return rows > CACHE_WAYS * max(1, SETS // gcd(stride * 4 // CACHE_LINE, SETS)) * 3 / 4


def is_known(c: Contraction) -> bool:
    """Whether all sizes are known, and something is to be done."""
    return all(isinstance(n, int) and n > 0 for n in (*(r.extent for r in (*c.batch, *c.rows, *c.contracted)), c.width))


def _pieces(count: int) -> list[int]:
    """The sizes of the larger pieces when so many are cut into 1, 2, … pieces as evenly as can be."""
    return sorted({ceildiv(count, pieces) for pieces in range(1, min(count, 32) + 1)}, reverse=True)


def _cut(c: Contraction, terms: int) -> tuple[int, int]:
    """Which run to cut, and into what lengths, for blocks of about so many terms."""
    inner = 1
    for run in reversed(range(len(c.contracted))):
        extent = c.contracted[run].extent
        if inner * extent > terms or run == 0:
            blocks = ceildiv(extent * inner, terms)
            return run, ceildiv(extent, min(blocks, extent))
        inner *= extent
    raise AssertionError("a contraction has a contracted run")


def awkwardness(c: Contraction, target: Target, rows: int) -> float:
    """How many times as long tiles of so many rows take because of how the left operand lies."""
    return AWKWARD if isinstance(c.depth, int) and c.depth >= LEAST_TERMS and is_awkward(c, target, rows) else 1.0


def blocked_time(c: Contraction, target: Target, tile: tuple[int, int], plan: Blocking) -> float:
    """The cycles that a product is estimated to take in blocks of terms."""
    width, outer, outside = tile[1] * target.lanes, product(r.extent for r in (*c.batch, *c.rows[:-1])), plan.outside(c)
    tiles, panels = ceildiv(last_rows(c).extent, tile[0]), ceildiv(c.width, width)
    high, wide = ceildiv(tiles, plan.rows), ceildiv(panels, plan.panels)
    block = plan.block(c)
    compute = outer * ceildiv(c.depth, block) * product_time(target, last_rows(c).extent, c.width, block, tile)
    compute += outer * wide * last_rows(c).extent * c.depth / target.lanes * COPY_COST if plan.copied else 0
    left, right = left_bytes(c), c.depth * c.width * 4 * product(r.extent for r in c.batch)
    chunks = product(r.extent for r in outside)
    again = left_bytes(replace(c, rows=(*plan.inside(c), last_rows(c)))) * chunks * wide - left + right * (high * chunks - 1)
    stream = again / FAR_BYTES_PER_CYCLE + (left + right) / MEMORY_BYTES_PER_CYCLE
    return max(compute + SEEN_SHARE * stream, stream) * uneven(chunks * product(r.extent for r in c.batch) * high * wide)


def plain_time(c: Contraction, target: Target, tile: tuple[int, int]) -> float:
    """The cycles that the same is estimated to take with every sum from its first term to its last, if its left operand lies well."""
    outer = product(r.extent for r in (*c.batch, *c.rows[:-1]))
    panels, batch = ceildiv(c.width, tile[1] * target.lanes), product(r.extent for r in c.batch)
    compute = outer * product_time(target, last_rows(c).extent, c.width, c.depth, tile)
    pieces = outer * panels * ceildiv(last_rows(c).extent, tile[0])
    right, panel = c.depth * c.width * 4, c.depth * tile[1] * target.lanes * 4
    blocks = 1 if panel <= target.l2_bytes // 2 else ceildiv(c.row_count, tile[0])  # how often the right operand is read
    return batch * time_with_traffic(target, compute / batch, left_bytes(c) // batch, right, blocks, panels) * uneven(pieces)


def left_bytes(c: Contraction) -> int:
    """The bytes of the left operand that a product reads, each counted once."""
    runs = (*c.batch, *c.rows, *c.contracted)
    whole = product(r.extent for r in runs)
    if all(isinstance(r.stride, int) for r in runs):
        return 4 * min(whole, 1 + sum((r.extent - 1) * abs(r.stride) for r in runs))
    return 4 * whole


# -- lowering ---------------------------------------------------------------------------------------------------------------
def lower_direct(group: Group, context: Context, plan: Plan, blocking: Blocking | None) -> Lowered:
    """The sum as it is defined, cut as `blocking` says or not at all."""
    return lower_contraction(group, context, plan) if blocking is None else lower_blocked(group, context, plan, blocking)


def lower_blocked(group: Group, context: Context, plan: Plan, blocking: Blocking) -> Lowered:
    """Chunks of tiles; in each the blocks of terms, then the epilogue of all its tiles."""
    (node,) = group.anchors
    c, target, width = plan.contraction, context.target, plan.width(context.target)
    parameters = Parameters()
    left, right = parameters.read(c.left.argument, FLOAT32), parameters.read(plan.packed.argument, FLOAT32)
    rc, nc = _Cut("rc", "rb", ceildiv(last_rows(c).extent, plan.rows), blocking.rows), _Cut("nc", "nb", ceildiv(c.width, width), blocking.panels)
    tiles = Tiles.of(plan, target, rc.first + rc.inside, nc.first + nc.inside)
    which: DimLike = 0  # of the rows that a chunk has all of
    for run in blocking.inside(c):
        which = which * run.extent + (run.symbol if run.extent != 1 else 0)
    place = ((which * blocking.panels + nc.inside) * blocking.rows + rc.inside) * (plan.rows * width)
    i, j = symbol("i", plan.rows) if plan.rows != 1 else 0, symbol("j", width)
    lets, store = epilogue(group, context, parameters, tiles.at, Load("sums", place + i * width + j, FLOAT32), "j", c.width)

    block = _Terms(plan, blocking, rc)
    inside = axes_of_runs(blocking.inside(c))
    summed = nest(_longer(nc.loop, rc.loop), (block.tile(tiles, left, right, place),), parallel=False, vector=False)
    sums = blocking.rows * blocking.panels * plan.rows * width * product(axis.extent for axis in inside)
    rows = block.pitch * blocking.rows * plan.rows if blocking.copied else 0
    zero = Loop("z", sums, (Store("sums", symbol("z", sums), Number(0.0, FLOAT32)),), "vector")
    copy = block.copy(tiles, left) if blocking.copied else ()
    finished = nest(_longer(*inside, nc.loop, rc.loop), tiles.finished(lets, store), parallel=False, vector=False)
    body = (zero, *nest(_longer(*block.loops(), *inside), (*copy, *summed), parallel=False, vector=False), *finished)

    axes = _longer(*axes_of_runs((*c.batch, *blocking.outside(c))), rc.chunks, nc.chunks)
    work = 2 * product((*(r.extent for r in c.batch), c.row_count, c.width, c.depth)) + cost(group.nodes - {node})
    parallel = worth_sharing(work, 100_000) and bool(axes)
    if parallel and len(axes) > 1:
        axes, body = collapse(axes, body, keep=0)
    scratch = (ScratchBuffer("sums", FLOAT32, 0, sums), *((ScratchBuffer("rows", FLOAT32, sums, rows),) if rows else ()))
    return finish(parameters, (*scratch, *nest(axes, body, parallel=parallel, vector=False)), "blocked", parallel, 4 * (sums + rows))


def _longer(*axes: Axis) -> tuple[Axis, ...]:
    """Those axes that are loops."""
    return tuple(axis for axis in axes if axis.extent != 1)


@dataclass(frozen=True)
class _Cut:
    """`count` tiles or panels in chunks of `size`: a variable that counts the chunks, and one that counts what is inside of one."""

    chunk: str
    item: str
    count: int
    size: int

    @property
    def chunks(self) -> Axis:
        return Axis(self.chunk, ceildiv(self.count, self.size))

    @property
    def first(self) -> DimLike:
        """The first item of a chunk."""
        return self.chunks.symbol * self.size if self.chunks.extent != 1 else 0

    @property
    def inside(self) -> DimLike:
        """The number of an item in its chunk."""
        return symbol(self.item, self.size) if self.size != 1 else 0

    @property
    def loop(self) -> Axis:
        return Axis(self.item, dim_min(self.size, self.count - self.first))


class _Terms:
    """A block of terms: those of a piece of the run that is cut, for one value of each run before it and all of those behind it."""

    def __init__(self, plan: Plan, blocking: Blocking, rc: _Cut):
        c = plan.contraction
        self.plan, self.copied, self.rc, self.before, self.cut = plan, blocking.copied, rc, c.contracted[:blocking.run], c.contracted[blocking.run]
        self.blocks = Axis("kb", ceildiv(self.cut.extent, blocking.terms))
        self.start = self.blocks.symbol * blocking.terms if self.blocks.extent != 1 else 0
        self.runs = (replace(self.cut, extent=dim_min(blocking.terms, self.cut.extent - self.start)), *c.contracted[blocking.run + 1:])
        self.pitch = blocking.block(c) + PLANE_GAP  # of rows that are copied

    def loops(self) -> list[Axis]:
        """The loops over blocks."""
        return [*axes_of_runs(self.before), self.blocks]

    def _first(self) -> tuple[DimLike, DimLike]:
        """Where the block begins: in the left operand, and among the terms in the order in which they are packed."""
        index, term = 0, 0
        for run, at in (*((r, r.symbol if r.extent != 1 else 0) for r in self.before), (self.cut, self.start)):
            index, term = index + at * run.stride, term * run.extent + at
        return index, term * product(run.extent for run in self.runs[1:])

    def copy(self, tiles: Tiles, left: str) -> Block:
        """rows[row of the chunk][term of the block] = left"""
        rows, (index, _) = last_rows(self.plan.contraction), self._first()
        extent = dim_min(self.rc.size * self.plan.rows, rows.extent - self.rc.first * self.plan.rows)
        r = symbol("r", self.rc.size * self.plan.rows) if rows.extent != 1 else 0
        source, place = substitute(tiles.left, {self.rc.item: 0}) + r * rows.stride + index, 0
        for run in self.runs:
            at = run.symbol if run.extent != 1 else 0
            source, place = source + at * run.stride, place * run.extent + at
        axes = _longer(Axis("r", extent), *axes_of_runs(self.runs))
        axes, statements = block_transposed(axes, (Store("rows", r * self.pitch + place, Load(left, source, FLOAT32)),))
        return nest(axes, statements, parallel=False)

    def tile(self, tiles: Tiles, left: str, right: str, place: DimLike) -> Tile:
        """What a block adds to a tile."""
        index, term = self._first()
        *taps, last = self.runs
        a, a_index, a_row, a_column, terms = left, tiles.left + index, last_rows(self.plan.contraction).stride, last.stride, last.extent
        steps = ((1, 0),) * (2 - len(taps)) + tuple((run.extent, run.stride) for run in taps)
        if self.copied:
            a, a_index, a_row, a_column = "rows", self.rc.inside * self.plan.rows * self.pitch, self.pitch, 1
            steps, terms = ((1, 0), (1, 0)), product(run.extent for run in self.runs)
        return Tile("contract", "sums", self.plan.rows, tiles.width, a, a_index, a_row, a_column, steps, terms, right,
                    tiles.right + term * tiles.width, tiles.width, tiles.valid_rows, tiles.valid_columns, result_index=place, accumulate=True)

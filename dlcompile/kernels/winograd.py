"""Winograd's convolution: filters of 3, 5 or 7 taps along an axis by fewer multiplications (csrc/dlc_winograd.h has the formulas).

Along an axis F(m, r) makes m results of r taps with a = m + r - 1 multiplications; an axis with one tap is left alone. Tiles of results are taken in
blocks that stay in the second-level cache. A thread transforms the tiles of a block once, then goes through blocks of columns: a product for
each of the a×a positions of a transformed tile, all on one tile operation; then each tile is transformed back, and the epilogue (bias,
activation, residual) is evaluated on its results while they are in the nearest cache:

    for block of tiles, for block of columns
        V[position][tile][channel] = input transform                (where the thread has not transformed this block already)
        M[position][tile][column] = V[position] · U[position]        U: the filters, transformed and packed when the model is compiled
        for tile: results[m][m][column] = output transform of M; epilogue

Which is faster, this or the sum over all taps, is estimated beforehand (`direct_time`, `plans`). The roundings of F(4×4, 3×3) are some ten times
those of the plain sum, those of F(6×6, 3×3) some twenty times (1e-5 to 2e-5 of the largest result), and a NaN or an infinity reaches the whole of
its tile.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dlcompile.graph import DimLike, Node, ceildiv, dim_min, floordiv, mod, product, symbol
from dlcompile.kernels.access import CannotFuse, Coordinates, Storage, axes_symbols, strided
from dlcompile.kernels.contraction import FLOAT32, Contraction
from dlcompile.kernels.emit import INT64, Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import (Address, Apply, Assign, Declare, Index, Invoke, Let, Load, Local, LocalBuffer, Loop, Number, ScratchBuffer,
                                  Statement, When)
from dlcompile.kernels.nest import Axis, nest
from dlcompile.kernels.planes import PLANE_GAP, THREADS, Planes, loop, products, time_with_traffic, uneven
from dlcompile.kernels.target import Target
from dlcompile.kernels.tiles import epilogue
from dlcompile.kernels.tiling import UNKNOWN, choose_tile, product_time

BOOL = np.dtype(np.bool_)
PLACES = {4: (0, 1, -1), 6: (0, 1, -1, 2, -2), 8: (0, 1, -1, 2, -2, 1 / 2, -1 / 2)}  # where polynomials are evaluated, besides at infinity, by a
TAPS = (1, 3, 5, 7)
INTO_COST = {1: 0.0, 4: 5.0, 6: 10.8, 8: 18.0}  # cycles to transform a vectors of channels along an axis
OUT_OF_COST = {1: 0.0, 4: 5.0, 6: 9.0, 8: 14.3}  # the same of results
BLOCK_SHARE = 1 / 4  # of the second-level cache, what a block of tiles and its sums fill: filters and pixels pass through it meanwhile
LEAST_WORK = 1_000_000  # operations of a convolution: what a smaller one could gain is not worth a longer kernel
BLOCKS = (1, 2, 4)  # blocks to choose from, in that measure
FEW_BLOCKS = 4


@dataclass(frozen=True)
class Winograd:
    """How a convolution is computed: F(m×m, r×r) with m results and r `taps` of each axis, `tiles` in a block, `rows` × `vectors` the tile of the
    products."""

    m: tuple[int, int]
    taps: tuple[int, int]
    tiles: int
    rows: int
    vectors: int

    def width(self, target: Target) -> int:
        return self.vectors * target.lanes

    @property
    def side(self) -> tuple[int, int]:
        """Rows and columns of the input that a tile is computed from."""
        return tuple(m + r - 1 for m, r in zip(self.m, self.taps))

    @property
    def planes(self) -> int:
        """Positions of a transformed tile."""
        return product(self.side)


# -- whether, and how -------------------------------------------------------------------------------------------------------
def applies(node: Node) -> bool:
    """Whether a node is a convolution of one or two axes with constant filters of so many taps, dilated or not, at every pixel, and large enough."""
    if node.op != "conv_general" or any(t.dtype != FLOAT32 for t in (*node.inputs, node.output)):
        return False
    x, w = node.inputs
    a = node.attributes
    size, taps = node.output.type.size, w.shape[:-2]
    steps = (*a["strides"], *a["lhs_dilation"], a["groups"])
    return (w.is_constant and len(taps) <= 2 and all(r in TAPS for r in taps) and product(taps) > 1 and a["layout"] == "channels_last"
            and all(s == 1 for s in steps) and all(p == (0, 0) for p in a["padding"])
            and (not isinstance(size, int) or 2 * product(w.shape[:-1]) * size >= LEAST_WORK))


def _two(axes: Sequence, missing) -> tuple:
    """What belongs to the axes of an image, with `missing` for the rows of a sequence, which has only columns."""
    return (*(missing,) * (2 - len(axes)), *axes)


def _sizes(taps: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The m of both axes, the largest first."""
    for a in sorted(PLACES, reverse=True):
        m = tuple(a - r + 1 if r > 1 else 1 for r in taps)
        if all(n > 1 for n, r in zip(m, taps) if r > 1):
            yield m


def direct_time(node: Node, contraction: Contraction, target: Target, tile: tuple[int, int]) -> float:
    """The cycles that the sum over all taps is estimated to take."""
    batch, height, width = _known(node)
    *taps, channels, columns = node.inputs[1].shape
    depth = product(taps) * channels
    compute = batch * height * product_time(target, width, columns, depth, tile)
    return time_with_traffic(target, compute, batch * height * width * channels * 4, depth * columns * 4, 1, ceildiv(columns, tile[1] * target.lanes))


def plans(node: Node, contraction: Contraction, target: Target) -> Iterator[tuple[float, Winograd]]:
    """The best plan for each m, and the cycles that it is estimated to take."""
    batch, *extents, columns = node.output.shape
    *taps, channels, _ = node.inputs[1].shape
    taps, dilation = _two(taps, 1), _two(node.attributes["rhs_dilation"], 1)
    for m in _sizes(taps):
        known = _tile_count(m, dilation, *_known(node))
        made = [(_time(plan, known, channels, columns, target), plan)
                for plan in _plans(m, taps, _tile_count(m, dilation, batch, *_two(extents, 1)), channels, columns, target)]
        yield min(made, key=lambda pair: pair[0])


def _known(node: Node) -> list[int]:
    """Batch, height and width of the result, symbolic ones as something usual."""
    batch, *extents, _ = node.output.shape
    return [n if isinstance(n, int) else assumed for n, assumed in zip((batch, *_two(extents, 1)), (1, UNKNOWN, UNKNOWN))]


def _tile_count(m: tuple[int, int], dilation: tuple[int, int], batch: DimLike, height: DimLike, width: DimLike) -> DimLike:
    """Tiles of all images. With a dilation d every d-th row and column make an image of their own, a phase."""
    return batch * product(d * ceildiv(ceildiv(extent, d), n) for n, extent, d in zip(m, (height, width), dilation))


def _plans(m: tuple[int, int], taps: tuple[int, int], tiles: DimLike, channels: int, columns: int, target: Target) -> Iterator[Winograd]:
    """F(m×m, r×r) with blocks that fill the cache, and with larger ones, for which the filters are read less often."""
    padded = ceildiv(channels, target.lanes) * target.lanes
    rows, vectors = choose_tile(target, symbol("tiles"), columns, channels)
    planes = Winograd(m, taps, 1, rows, vectors).planes
    most = max(4, int(target.l2_bytes * BLOCK_SHARE) // (planes * (padded + vectors * target.lanes) * 4))
    for times in BLOCKS:
        if isinstance(tiles, int) and tiles <= FEW_BLOCKS * most * times:  # alike, for the last one of them would be a large part of the work
            block = ceildiv(tiles, ceildiv(tiles, most * times))
            yield Winograd(m, taps, block, *choose_tile(target, block, columns, channels))
        else:
            yield Winograd(m, taps, max(1, most * times // rows) * rows, rows, vectors)


def _time(plan: Winograd, tiles: int, channels: int, columns: int, target: Target) -> float:
    """Cycles, as far as they can be told beforehand. Work is in pieces of a block and a panel, and a block that several threads work on is
    transformed by each of them."""
    blocks, rest = divmod(tiles, plan.tiles)
    tile, panels = (plan.rows, plan.vectors), ceildiv(columns, plan.width(target))
    compute = blocks * product_time(target, plan.tiles, columns, channels, tile) + (product_time(target, rest, columns, channels, tile) if rest else 0)
    blocks += rest > 0
    left, right = plan.planes * channels * plan.tiles * 4, plan.planes * channels * columns * 4
    (down, across), (m, _) = plan.side, plan.m
    into = tiles * ceildiv(channels, target.lanes) * (down * INTO_COST[across] + across * INTO_COST[down])
    out_of = tiles * ceildiv(columns, target.lanes) * (m * OUT_OF_COST[across] + across * OUT_OF_COST[down])
    multiplied = time_with_traffic(target, plan.planes * compute, left, right, blocks, panels)
    return (multiplied + out_of) * uneven(blocks * panels) + into * (1 + (THREADS - 1) / blocks)


# -- filters ----------------------------------------------------------------------------------------------------------------
def filter_transform(m: int, taps: int) -> np.ndarray:
    """G [a, taps]: row i has the powers of the i-th place, divided by its differences from the other places; the last one is the place at infinity.
    (Where the place 0 would have a negative divisor, csrc/dlc_winograd.h changes the sign in B.)"""
    if taps == 1:
        return np.ones((1, 1))
    places = PLACES[m + taps - 1]
    rows = []
    for i, p in enumerate(places):
        divisor = np.prod([float(p - q) for j, q in enumerate(places) if j != i])
        rows.append(np.array([float(p) ** power for power in range(taps)]) / (abs(divisor) if p == 0 else divisor))
    return np.stack([*rows, np.eye(taps)[-1]])


def pack_filters(w: np.ndarray, m: tuple[int, int], width: int) -> np.ndarray:
    """Filters [taps, (taps,) C, O] as U = G w G', [ceil(O / width)][a·a][C][width], zeros after the last column."""
    w = w.reshape(*_two(w.shape[:-2], 1), *w.shape[-2:])
    down, across = (filter_transform(n, r) for n, r in zip(m, w.shape))
    u = np.einsum("pi,qj,ijco->pqco", down, across, w.astype(np.float64)).astype(np.float32)
    planes, (channels, columns) = len(down) * len(across), w.shape[2:]
    blocks = -(-columns // width)
    padded = np.zeros((planes, channels, blocks * width), np.float32)
    padded[..., :columns] = u.reshape(planes, channels, columns)
    return np.ascontiguousarray(padded.reshape(planes, channels, blocks, width).transpose(2, 0, 1, 3))


# -- lowering ---------------------------------------------------------------------------------------------------------------
def lower_winograd(group: Group, context: Context, plan: Winograd, filters: Storage) -> Lowered:
    """The loops that the module's docstring shows."""
    (node,) = group.anchors
    target, (m_down, m_across), planes, width = context.target, plan.m, plan.planes, plan.width(context.target)
    batch, *extents, _ = node.output.shape
    height, breadth = _two(extents, 1)
    in_height, in_breadth = _two(node.inputs[0].shape[1:-1], 1)
    channels, columns = node.inputs[1].shape[-2:]  # numbers, where those of the image may be symbols that are to be equal
    apart, beside = _two(node.attributes["rhs_dilation"], 1)
    down, across = ceildiv(ceildiv(height, apart), m_down), ceildiv(ceildiv(breadth, beside), m_across)  # tiles of a phase
    count = _tile_count(plan.m, (apart, beside), batch, height, breadth)
    blocks, panels = ceildiv(count, plan.tiles), ceildiv(columns, width)
    padded = ceildiv(channels, target.lanes) * target.lanes
    v_plane, m_plane = plan.tiles * padded + PLANE_GAP, plan.tiles * width + PLANE_GAP

    parameters = Parameters()
    pixels = axes_symbols(node.inputs[0].shape, "l")
    read = strided(node.inputs[0], pixels, pixels, context.stored)
    if read is None or (pixels[-1] != 0 and read[2][-1] != 1):
        raise CannotFuse("the input of a convolution is no strided array")
    source, base, (per_sample, *steps, _) = read
    row_step, column_step = _two(steps, 0)
    x, u = parameters.read(source.argument, FLOAT32), parameters.read(filters.argument, FLOAT32)
    block, panel = (symbol(name, extent) if extent != 1 else 0 for name, extent in (("block", blocks), ("nb", panels)))
    here = dim_min(plan.tiles, count - block * plan.tiles)  # tiles of this block
    counted = () if isinstance(here, int) else (Let("here", Index(here, INT64)),)
    here = symbol("here", plan.tiles + 1) if counted else here
    n, py, px, ty, tx = (symbol(name, extent) if extent != 1 else 0 for name, extent in (
        ("n", batch), ("py", apart), ("px", beside), ("ty", down), ("tx", across)))
    top, left = py + ty * (m_down * apart), px + tx * (m_across * beside)  # of a tile
    t = symbol("t", plan.tiles) if here != 1 else 0

    which: list[Statement] = []
    position = block * plan.tiles + t
    for coordinate, extent in reversed(((n, batch), (py, apart), (px, beside), (ty, down), (tx, across))):
        if coordinate != 0:
            which.insert(0, Let(str(coordinate), Index(mod(position, extent) if coordinate is not n else position, INT64)))
        position = floordiv(position, extent)

    # into V
    corner = base + n * per_sample + top * row_step + left * column_step
    transform = Invoke("dlc_winograd_input", (
        *plan.side, m_across, Address(x, corner), apart * row_step, beside * column_step, ceildiv(in_height - top, apart), ceildiv(in_breadth - left, beside), channels,
        Address("v", t * padded), v_plane), "dlc_winograd.h")
    fill: tuple[Statement, ...] = (*loop("t", here, (*which, transform)), Assign("held", Index(block, INT64)))
    stale = Apply("ne", (Local("held", INT64), Index(block, INT64)), BOOL)

    # into M
    far = planes * channels * columns * 4 > target.l2_bytes // 2
    plane = channels * width
    summed = products(Planes("v", 0, v_plane, padded), Planes(u, filters.offset + panel * planes * plane, plane, width), Planes("sums", 0, m_plane, width),
                      planes=planes, tile=plan.rows, rows=here, depth=channels, fetch=far)

    # out of M
    y, x_in_tile, j = symbol("y", m_down) if m_down != 1 else 0, symbol("x", m_across) if m_across != 1 else 0, symbol("j", width)
    column = panel * width + j if columns != 1 else 0
    pixel = (top + y * apart if height != 1 else 0, left + x_in_tile * beside if breadth != 1 else 0)
    at: Coordinates = (n, *pixel[2 - len(extents):], column)
    lets, store = epilogue(group, context, parameters, at, Load("tile", (y * m_across + x_in_tile) * width + j, FLOAT32), "j", columns)
    inside = (Axis("y", dim_min(m_down, ceildiv(height - top, apart))), Axis("x", dim_min(m_across, ceildiv(breadth - left, beside))),
              Axis("j", dim_min(width, columns - panel * width)))
    back = (*which, LocalBuffer("tile", FLOAT32, m_down * m_across * width),
            Invoke("dlc_winograd_output", (*plan.m, *plan.side, width, Address("sums", t * width), m_plane, Address("tile")), "dlc_winograd.h"),
            *nest(inside, (*lets, store), parallel=False))

    where = [Let(str(c), Index(v, INT64)) for c, v in ((block, floordiv(symbol("p"), panels)), (panel, mod(symbol("p"), panels))) if c != 0]
    statements = (*where, *counted, When(stale, fill), *summed, *loop("t", here, back))
    work = 2 * product(node.inputs[1].shape[:-1]) * product(node.output.shape) + cost(group.nodes - {node})
    parallel = worth_sharing(work, 100_000) and not (blocks == 1 and panels == 1)
    loops = (ScratchBuffer("v", FLOAT32, 0, planes * v_plane), ScratchBuffer("sums", FLOAT32, planes * v_plane, planes * m_plane),
             Declare("held", Number(-1, INT64)), Loop("p", blocks * panels, statements, "parallel" if parallel else "serial"))
    return finish(parameters, loops, "winograd", parallel, 4 * planes * (v_plane + m_plane))

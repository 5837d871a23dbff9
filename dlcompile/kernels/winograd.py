"""Winograd's convolution: 3×3 filters by fewer multiplications, F(m×m, 3×3) for m = 2, 4 and 6 (csrc/dlc_winograd.h has the formulas).

Tiles of m×m results are taken in blocks that stay in the second-level cache. A thread transforms the tiles of a block once, then goes
through blocks of columns: (m+2)² products, one for each position of a transformed tile, all on one tile operation; then each tile is
transformed back, and the epilogue (bias, activation, residual) is evaluated on its m×m results while they are in the nearest cache:

    for block of tiles, for block of columns
        V[position][tile][channel] = input transform                (where the thread has not transformed this block already)
        M[position][tile][column] = V[position] · U[position]        U: the filters, transformed and packed when the model is compiled
        for tile: results[m][m][column] = output transform of M; epilogue

Which is faster, this or the sum over nine taps, is estimated beforehand (`direct_time`, `plans`). The roundings of F(4×4) are some ten times those of the plain sum,
those of F(6×6) some twenty times (1e-5 to 2e-5 of the largest result), and a NaN or an infinity reaches the whole of its tile.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlcompile.graph import DimLike, Node, ceildiv, dim_min, floordiv, mod, product, symbol
from dlcompile.kernels.access import CannotFuse, Coordinates, Storage, axes_symbols, strided
from dlcompile.kernels.contraction import FLOAT32, Contraction, epilogue
from dlcompile.kernels.emit import INT64, Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import (Address, Apply, Assign, Declare, Index, Invoke, Let, Load, Local, LocalBuffer, Loop, Number, ScratchBuffer,
                                  Statement, When)
from dlcompile.kernels.nest import Axis, nest
from dlcompile.kernels.planes import PLANE_GAP, THREADS, Planes, loop, products, time_with_traffic, uneven
from dlcompile.kernels.target import Target
from dlcompile.kernels.tiling import UNKNOWN, choose_tile, product_time

BOOL = np.dtype(np.bool_)
SIZES = (6, 4, 2)  # m
INPUT_COST = {2: 40.0, 4: 130.0, 6: 290.0}  # cycles to transform a vector of channels of a tile of the input
OUTPUT_COST = {2: 30.0, 4: 90.0, 6: 200.0}  # the same of a tile of results
BLOCK_SHARE = 1 / 4  # of the second-level cache, what a block of tiles and its sums fill: filters and pixels pass through it meanwhile
LEAST_WORK = 1_000_000  # operations of a convolution: what a smaller one could gain is not worth a longer kernel
BLOCKS = (1, 2, 4)  # blocks to choose from, in that measure
FEW_BLOCKS = 4

_G = {2: [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
      6: [[1, 0, 0], [-2 / 9, -2 / 9, -2 / 9], [-2 / 9, 2 / 9, -2 / 9], [1 / 90, 1 / 45, 2 / 45], [1 / 90, -1 / 45, 2 / 45],
          [32 / 45, 16 / 45, 8 / 45], [32 / 45, -16 / 45, 8 / 45], [0, 0, 1]],
      4: [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]}


@dataclass(frozen=True)
class Winograd:
    """How a convolution is computed: F(m×m, 3×3), `tiles` in a block, `rows` × `vectors` the tile of the products."""

    m: int
    tiles: int
    rows: int
    vectors: int

    def width(self, target: Target) -> int:
        return self.vectors * target.lanes

    @property
    def planes(self) -> int:
        """Positions of a transformed tile."""
        return (self.m + 2) ** 2


# -- whether, and how -------------------------------------------------------------------------------------------------------
def applies(node: Node) -> bool:
    """Whether a node is a convolution of constant 3×3 filters, dilated or not, at every pixel, and large enough."""
    if node.op != "conv_general" or any(t.dtype != FLOAT32 for t in (*node.inputs, node.output)):
        return False
    x, w = node.inputs
    a = node.attributes
    size = node.output.type.size
    steps = (*a["strides"], *a["lhs_dilation"], a["groups"])
    return (w.is_constant and w.shape[:-2] == (3, 3) and a["layout"] == "channels_last" and all(s == 1 for s in steps)
            and all(p == (0, 0) for p in a["padding"]) and (not isinstance(size, int) or 2 * 9 * w.shape[-2] * size >= LEAST_WORK))


def direct_time(node: Node, contraction: Contraction, target: Target, tile: tuple[int, int]) -> float:
    """The cycles that the sum over nine taps is estimated to take."""
    batch, height, width = _known(node)
    columns, channels = node.output.shape[-1], node.inputs[1].shape[-2]
    depth = 9 * channels
    compute = batch * height * product_time(target, width, columns, depth, tile)
    return time_with_traffic(target, compute, batch * height * width * channels * 4, depth * columns * 4, 1, ceildiv(columns, tile[1] * target.lanes))


def plans(node: Node, contraction: Contraction, target: Target) -> Iterator[tuple[float, Winograd]]:
    """The best plan for each m, and the cycles that it is estimated to take."""
    *extents, columns = node.output.shape
    channels, dilation = node.inputs[1].shape[-2], node.attributes["rhs_dilation"]
    for m in SIZES:
        made = [(_time(plan, _tile_count(m, dilation, *_known(node)), channels, columns, target), plan)
                for plan in _plans(m, _tile_count(m, dilation, *extents), channels, columns, target)]
        yield min(made, key=lambda pair: pair[0])


def _known(node: Node) -> list[int]:
    """Batch, height and width of the result, symbolic ones as something usual."""
    return [n if isinstance(n, int) else assumed for n, assumed in zip(node.output.shape, (1, UNKNOWN, UNKNOWN))]


def _tile_count(m: int, dilation: tuple[int, int], batch: DimLike, height: DimLike, width: DimLike) -> DimLike:
    """Tiles of all images. With a dilation d every d-th row and column make an image of their own, a phase."""
    return batch * product(d * ceildiv(ceildiv(extent, d), m) for extent, d in zip((height, width), dilation))


def _plans(m: int, tiles: DimLike, channels: int, columns: int, target: Target) -> Iterator[Winograd]:
    """F(m×m) with blocks that fill the cache, and with larger ones, for which the filters are read less often."""
    padded = ceildiv(channels, target.lanes) * target.lanes
    rows, vectors = choose_tile(target, symbol("tiles"), columns, channels)
    most = max(4, int(target.l2_bytes * BLOCK_SHARE) // ((m + 2) ** 2 * (padded + vectors * target.lanes) * 4))
    for times in BLOCKS:
        if isinstance(tiles, int) and tiles <= FEW_BLOCKS * most * times:  # alike, for the last one of them would be a large part of the work
            block = ceildiv(tiles, ceildiv(tiles, most * times))
            yield Winograd(m, block, *choose_tile(target, block, columns, channels))
        else:
            yield Winograd(m, max(1, most * times // rows) * rows, rows, vectors)


def _time(plan: Winograd, tiles: int, channels: int, columns: int, target: Target) -> float:
    """Cycles, as far as they can be told beforehand. Work is in pieces of a block and a panel, and a block that several threads work on is
    transformed by each of them."""
    blocks, rest = divmod(tiles, plan.tiles)
    tile, panels = (plan.rows, plan.vectors), ceildiv(columns, plan.width(target))
    compute = blocks * product_time(target, plan.tiles, columns, channels, tile) + (product_time(target, rest, columns, channels, tile) if rest else 0)
    blocks += rest > 0
    left, right = plan.planes * channels * plan.tiles * 4, plan.planes * channels * columns * 4
    into = tiles * ceildiv(channels, target.lanes) * INPUT_COST[plan.m]
    out_of = tiles * ceildiv(columns, target.lanes) * OUTPUT_COST[plan.m]
    multiplied = time_with_traffic(target, plan.planes * compute, left, right, blocks, panels)
    return (multiplied + out_of) * uneven(blocks * panels) + into * (1 + (THREADS - 1) / blocks)


# -- filters ----------------------------------------------------------------------------------------------------------------
def pack_filters(w: np.ndarray, m: int, width: int) -> np.ndarray:
    """Filters [3, 3, C, O] as U = G w G', [ceil(O / width)][(m+2)²][C][width], zeros after the last column."""
    g = np.array(_G[m])
    u = np.einsum("pi,qj,ijco->pqco", g, g, w.astype(np.float64)).astype(np.float32)
    planes, (channels, columns) = (m + 2) ** 2, w.shape[2:]
    blocks = -(-columns // width)
    padded = np.zeros((planes, channels, blocks * width), np.float32)
    padded[..., :columns] = u.reshape(planes, channels, columns)
    return np.ascontiguousarray(padded.reshape(planes, channels, blocks, width).transpose(2, 0, 1, 3))


# -- lowering ---------------------------------------------------------------------------------------------------------------
def lower_winograd(group: Group, context: Context, plan: Winograd, filters: Storage) -> Lowered:
    """The loops that the module's docstring shows."""
    (node,) = group.anchors
    target, m, planes, width = context.target, plan.m, plan.planes, plan.width(context.target)
    batch, height, breadth, _ = node.output.shape
    _, in_height, in_breadth, _ = node.inputs[0].shape
    channels, columns = node.inputs[1].shape[-2:]  # numbers, where those of the image may be symbols that are to be equal
    apart, beside = node.attributes["rhs_dilation"]
    down, across = ceildiv(ceildiv(height, apart), m), ceildiv(ceildiv(breadth, beside), m)  # tiles of a phase
    count = _tile_count(m, (apart, beside), batch, height, breadth)
    blocks, panels = ceildiv(count, plan.tiles), ceildiv(columns, width)
    padded = ceildiv(channels, target.lanes) * target.lanes
    v_plane, m_plane = plan.tiles * padded + PLANE_GAP, plan.tiles * width + PLANE_GAP

    parameters = Parameters()
    pixels = axes_symbols(node.inputs[0].shape, "l")
    read = strided(node.inputs[0], pixels, pixels, context.stored)
    if read is None or (pixels[-1] != 0 and read[2][-1] != 1):
        raise CannotFuse("the input of a convolution is no strided array")
    source, base, strides = read
    x, u = parameters.read(source.argument, FLOAT32), parameters.read(filters.argument, FLOAT32)
    block, panel = (symbol(name, extent) if extent != 1 else 0 for name, extent in (("block", blocks), ("nb", panels)))
    here = dim_min(plan.tiles, count - block * plan.tiles)  # tiles of this block
    counted = () if isinstance(here, int) else (Let("here", Index(here, INT64)),)
    here = symbol("here", plan.tiles + 1) if counted else here
    n, py, px, ty, tx = (symbol(name, extent) if extent != 1 else 0 for name, extent in (
        ("n", batch), ("py", apart), ("px", beside), ("ty", down), ("tx", across)))
    top, left = py + ty * (m * apart), px + tx * (m * beside)  # of a tile
    t = symbol("t", plan.tiles) if here != 1 else 0

    which: list[Statement] = []
    position = block * plan.tiles + t
    for coordinate, extent in reversed(((n, batch), (py, apart), (px, beside), (ty, down), (tx, across))):
        if coordinate != 0:
            which.insert(0, Let(str(coordinate), Index(mod(position, extent) if coordinate is not n else position, INT64)))
        position = floordiv(position, extent)

    # into V
    corner = base + n * strides[0] + top * strides[1] + left * strides[2]
    transform = Invoke("dlc_winograd_input", (
        m, Address(x, corner), apart * strides[1], beside * strides[2], ceildiv(in_height - top, apart), ceildiv(in_breadth - left, beside), channels,
        Address("v", t * padded), v_plane), "dlc_winograd.h")
    fill: tuple[Statement, ...] = (*loop("t", here, (*which, transform)), Assign("held", Index(block, INT64)))
    stale = Apply("ne", (Local("held", INT64), Index(block, INT64)), BOOL)

    # into M
    far = planes * channels * columns * 4 > target.l2_bytes // 2
    plane = channels * width
    summed = products(Planes("v", 0, v_plane, padded), Planes(u, filters.offset + panel * planes * plane, plane, width), Planes("sums", 0, m_plane, width),
                      planes=planes, tile=plan.rows, rows=here, depth=channels, fetch=far)

    # out of M
    y, x_in_tile, j = symbol("y", m), symbol("x", m), symbol("j", width)
    column = panel * width + j if columns != 1 else 0
    at: Coordinates = (n, top + y * apart if height != 1 else 0, left + x_in_tile * beside if breadth != 1 else 0, column)
    lets, store = epilogue(group, context, parameters, at, Load("tile", (y * m + x_in_tile) * width + j, FLOAT32), "j", columns)
    inside = (Axis("y", dim_min(m, ceildiv(height - top, apart))), Axis("x", dim_min(m, ceildiv(breadth - left, beside))), Axis("j", dim_min(width, columns - panel * width)))
    back = (*which, LocalBuffer("tile", FLOAT32, m * m * width),
            Invoke("dlc_winograd_output", (m, width, Address("sums", t * width), m_plane, Address("tile")), "dlc_winograd.h"),
            *nest(inside, (*lets, store), parallel=False))

    where = [Let(str(c), Index(v, INT64)) for c, v in ((block, floordiv(symbol("p"), panels)), (panel, mod(symbol("p"), panels))) if c != 0]
    statements = (*where, *counted, When(stale, fill), *summed, *loop("t", here, back))
    work = 2 * 9 * channels * product(node.output.shape) + cost(group.nodes - {node})
    parallel = worth_sharing(work, 100_000) and not (blocks == 1 and panels == 1)
    loops = (ScratchBuffer("v", FLOAT32, 0, planes * v_plane), ScratchBuffer("sums", FLOAT32, planes * v_plane, planes * m_plane),
             Declare("held", Number(-1, INT64)), Loop("p", blocks * panels, statements, "parallel" if parallel else "serial"))
    return finish(parameters, loops, "winograd", parallel, 4 * planes * (v_plane + m_plane))

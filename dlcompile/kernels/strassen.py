"""Strassen's product of matrices: seven products of quarters in place of eight, in Winograd's form (csrc/dlc_strassen.h has the formulas).

One call maps the left operand: for each row of the upper half and its counterpart in the lower half the left operands of the seven products. The other
goes through blocks of such pairs of rows and panels of columns: seven products on the tile operation, then for each pair the results in both
halves of rows and of columns, and the epilogue on them.

    V[7][pair][K/2] = of the left operand
    for block of pairs, for panel of columns
        sums[7][pair][column] = V[q] · U[q]                  U: of the right operand, made and packed when the model is compiled
        for pair: results[2][2][column] of sums; epilogue

An odd number of rows is no difficulty: the halves share the middle one, which is stored once. Roundings are some times those of the plain
sum, a few millionths of the largest result; an infinity or a NaN does not stay in its row or column.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlcompile.graph import Node, ceildiv, dim_min, floordiv, mod, symbol
from dlcompile.kernels.access import CannotFuse, Coordinates, Storage, delinearize, linear_coefficients
from dlcompile.kernels.contraction import FLOAT32, Contraction, matrices
from dlcompile.kernels.emit import INT64, Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import Address, Index, Invoke, Let, Load, LocalBuffer, Loop, ScratchBuffer
from dlcompile.kernels.nest import Axis, nest
from dlcompile.kernels.planes import CACHE_SHARE, PLANE_GAP, THREADS, Planes, loop, products, time_with_traffic, uneven
from dlcompile.kernels.target import Target
from dlcompile.kernels.tiles import epilogue
from dlcompile.kernels.tiling import choose_tile, product_time

PLANES = 7
LEFT_COST = 5.0  # cycles to map a vector of the left operand
RESULT_COST = 4.0  # cycles that a vector of results costs beside the products
MOST_BLOCKS = 64
LEAST = 32  # rows, columns and terms: quarters of less are no products worth having


@dataclass(frozen=True)
class Strassen:
    """How a product [M, K] · [K, N] is computed: `pairs` of rows in all, `block` of them at a time; `half` columns in the left half, a multiple
    of a panel's; `rows` × `vectors` the tile of the products."""

    pairs: int
    block: int
    half: int
    rows: int
    vectors: int

    def width(self, target: Target) -> int:
        return self.vectors * target.lanes


# -- whether, and how -------------------------------------------------------------------------------------------------------
def applies(node: Node, contraction: Contraction) -> bool:
    """Whether a node is a product of one large matrix of known size with a constant one."""
    c = contraction
    if c.depthwise or c.batch or len(c.rows) != 1 or len(c.contracted) != 1 or c.contracted[0].stride != 1 or not node.inputs[1].is_constant:
        return False
    return all(isinstance(d, int) and d >= LEAST for d in (c.row_count, c.width, c.depth)) and c.depth % 2 == 0


def direct_time(node: Node, contraction: Contraction, target: Target, tile: tuple[int, int]) -> float:
    """The cycles that the plain sum is estimated to take."""
    m, n, k = contraction.row_count, contraction.width, contraction.depth
    panels = ceildiv(n, tile[1] * target.lanes)
    compute = product_time(target, m, n, k, tile)
    return time_with_traffic(target, compute, m * k * 4, k * n * 4, 1, panels) * uneven(panels * ceildiv(m, tile[0]))


def plans(node: Node, contraction: Contraction, target: Target) -> Iterator[tuple[float, Strassen]]:
    """The pairs of rows in more and more blocks, until one stays in the cache, and before each the cycles that it is estimated to take."""
    m, n, k = contraction.row_count, contraction.width, contraction.depth
    pairs, depth = ceildiv(m, 2), k // 2
    rows, vectors = choose_tile(target, pairs, ceildiv(n, 2), depth)
    width = vectors * target.lanes
    panels = ceildiv(ceildiv(n, 2), width)
    for count in range(1, MOST_BLOCKS + 1):
        plan = Strassen(pairs, ceildiv(pairs, count), panels * width, rows, vectors)
        blocks = ceildiv(pairs, plan.block)
        compute = PLANES * blocks * product_time(target, plan.block, plan.half, depth, (rows, vectors)) + m * n / target.lanes * RESULT_COST
        left, right = PLANES * depth * plan.block * 4, PLANES * depth * plan.half * 4
        yield time_with_traffic(target, compute, left, right, blocks, panels) * uneven(blocks * panels) + m * k / target.lanes * LEFT_COST, plan
        if left <= target.l2_bytes * CACHE_SHARE and blocks * panels >= 2 * THREADS:
            break


# -- the right operand ------------------------------------------------------------------------------------------------------
def pack_right(node: Node, value: np.ndarray, plan: Strassen, width: int) -> np.ndarray:
    """A constant right operand as U, [half / width][7][K/2][width]; columns that the right half lacks are zero."""
    (b,) = matrices(node, value)
    depth = b.shape[0] // 2
    whole = np.zeros((b.shape[0], 2 * plan.half), np.float64)
    whole[:, : b.shape[1]] = b
    b11, b12, b21, b22 = (whole[i * depth:(i + 1) * depth, j * plan.half:(j + 1) * plan.half] for i in (0, 1) for j in (0, 1))
    t1, t3 = b12 - b11, b22 - b12
    t2 = b22 - t1
    u = np.stack([b11, b21, b22, t2 - b21, t1, t2, t3]).astype(np.float32)
    return np.ascontiguousarray(u.reshape(PLANES, depth, plan.half // width, width).transpose(2, 0, 1, 3))


# -- lowering ---------------------------------------------------------------------------------------------------------------
def mapped_shape(contraction: Contraction, plan: Strassen) -> tuple[int, int]:
    """The shape of V in memory: planes, and elements of each, with the gap to the next one."""
    return PLANES, plan.pairs * (contraction.depth // 2) + PLANE_GAP


def lower_left(contraction: Contraction, plan: Strassen, mapped: Storage) -> Lowered:
    """The call that makes V."""
    parameters = Parameters()
    (row,), depth = contraction.rows, contraction.depth // 2
    a, v = parameters.read(contraction.left.argument, FLOAT32), parameters.write(mapped.argument, FLOAT32)
    pair = symbol("t", plan.pairs)
    call = Invoke("dlc_strassen_left", (
        Address(a, contraction.base + pair * row.stride), Address(a, contraction.base + (pair + (row.extent - plan.pairs)) * row.stride), depth,
        Address(v, mapped.offset + pair * depth), mapped_shape(contraction, plan)[1]), "dlc_strassen.h")
    parallel = worth_sharing(row.extent * contraction.depth)
    return finish(parameters, nest((Axis("t", plan.pairs),), (call,), parallel=parallel, vector=False), "strassen_left", parallel)


def lower_strassen(group: Group, context: Context, contraction: Contraction, plan: Strassen, mapped: Storage, right: Storage) -> Lowered:
    """The products and what follows them."""
    (node,) = group.anchors
    c, target, width, depth = contraction, context.target, plan.width(context.target), contraction.depth // 2
    (rows,) = c.rows
    blocks, panels, columns = ceildiv(plan.pairs, plan.block), plan.half // width, c.width
    parameters = Parameters()
    v, u = parameters.read(mapped.argument, FLOAT32), parameters.read(right.argument, FLOAT32)
    block, panel = (symbol(name, extent) if extent != 1 else 0 for name, extent in (("block", blocks), ("nb", panels)))
    here = dim_min(plan.block, plan.pairs - block * plan.block)
    t, first = symbol("t", plan.block) if plan.block != 1 else 0, block * plan.block
    s_plane, u_plane = plan.block * width + PLANE_GAP, depth * width
    summed = products(Planes(v, mapped.offset + first * depth, mapped_shape(c, plan)[1], depth), Planes(u, right.offset + panel * PLANES * u_plane, u_plane, width),
                      Planes("sums", 0, s_plane, width), planes=PLANES, tile=plan.rows, rows=here, depth=depth,
                      fetch=PLANES * u_plane * panels * 4 > target.l2_bytes // 2)

    m, h, g, j = symbol("m", rows.extent), symbol("h", 2), symbol("g", 2), symbol("j", width)
    column = g * plan.half + panel * width + j
    at: Coordinates = c.result((), delinearize(m, rows.axes), column)
    lets, store = epilogue(group, context, parameters, at, Load("tile", (h * 2 + g) * width + j, FLOAT32), "j", columns)
    if linear_coefficients(store.index, (j,)) is None:
        raise CannotFuse(f"panels of {node.op} do not fit what its columns are taken apart to")
    row = Let("m", Index(first + t + h * (rows.extent - plan.pairs), INT64))
    halves = 2 if rows.extent % 2 == 0 else dim_min(2, first + t + 1)  # the lower row of the first pair is the upper row of the last one
    inside = (Axis("h", halves), Axis("g", 2), Axis("j", dim_min(width, columns - (column - j))))
    result = (LocalBuffer("tile", FLOAT32, 4 * width),
              Invoke("dlc_strassen_result", (width, Address("sums", t * width), s_plane, Address("tile")), "dlc_strassen.h"),
              *nest(inside, (row, *lets, store), parallel=False))

    where = [Let(str(d), Index(value, INT64)) for d, value in ((block, floordiv(symbol("p"), panels)), (panel, mod(symbol("p"), panels))) if d != 0]
    statements = (*where, *summed, *loop("t", here, result))
    work = 2 * c.row_count * columns * c.depth + cost(group.nodes - {node})
    parallel = worth_sharing(work, 100_000) and blocks * panels > 1
    loops = (ScratchBuffer("sums", FLOAT32, 0, PLANES * s_plane),
             Loop("p", blocks * panels, statements, "parallel" if parallel else "serial"))
    return finish(parameters, loops, "strassen", parallel, 4 * PLANES * s_plane)

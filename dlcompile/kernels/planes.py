"""What algorithms have in common that trade multiplications for additions: linear maps of both operands, products in *planes*, a linear map back.

Winograd's convolutions and Strassen's products are such. The right operand is a constant and mapped when the model is compiled. A block of the left
one, mapped, is V[plane][row][depth]; a panel of the right one, packed, U[plane][depth][width]; their products are sums[plane][row][width].
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcompile.graph import DimLike, ceildiv, dim_min, symbol
from dlcompile.kernels.ir import Loop, Statement, Tile
from dlcompile.kernels.target import Target
from dlcompile.kernels.tiling import FAR_BYTES_PER_CYCLE, MEMORY_BYTES_PER_CYCLE

PLANE_GAP = 16  # floats between planes, lest all of them fall into the same set of a cache
CACHE_SHARE = 3 / 4  # of the second-level cache, what a block of the left operand may fill if it is to stay there
THREADS = 4  # what estimates are made for
SEEN_SHARE = 0.2  # of the time that traffic with the distant caches takes, what is seen although arithmetic goes on meanwhile


def may_round(w: np.ndarray) -> bool:
    """Whether a product with these weights may be computed in another way than it is defined. With integers it may not: those of quantised
    models come as floats that hold every sum exactly, as long as nothing else is summed."""
    return bool(np.isfinite(w).all() and not np.array_equal(w, np.rint(w)))


def time_with_traffic(target: Target, compute: float, left: int, right: int, blocks: int, panels: int) -> float:
    """Cycles of `blocks` of a left operand (of so many bytes each) times `panels` of a right one (bytes in all). The right one comes from memory
    once, since a run has read all other weights in between, and from a distant cache for every other block; a block comes from there for
    each panel; unless they stay in the second-level cache."""
    far = right * (blocks - 1) if right > target.l2_bytes // 4 else 0
    far += left * blocks * panels if left > target.l2_bytes * CACHE_SHARE else 0
    stream = far / FAR_BYTES_PER_CYCLE + right / MEMORY_BYTES_PER_CYCLE
    return max(compute + SEEN_SHARE * stream, stream)


def uneven(pieces: int) -> float:
    """How much longer the work takes because it is in so many pieces."""
    return ceildiv(pieces, THREADS) * THREADS / pieces


@dataclass(frozen=True)
class Planes:
    """Where rows in planes lie: from element `start` of a buffer on, planes and rows so many elements apart."""

    buffer: str
    start: DimLike
    plane: DimLike
    row: DimLike


def products(v: Planes, u: Planes, sums: Planes, *, planes: int, tile: int, rows: DimLike, depth: int, fetch: bool) -> tuple[Statement, ...]:
    """sums = V · U in every plane, by tiles of so many rows. U's rows are as wide as a panel. `fetch`: a plane of U comes from afar, so that the
    next one is asked for early."""
    blocks, q = ceildiv(rows, tile), symbol("q", planes)
    rb = symbol("rb", blocks) if blocks != 1 else 0
    first = rb * tile
    product = Tile("contract", sums.buffer, tile, u.row, v.buffer, v.start + q * v.plane + first * v.row, v.row, 1, ((1, 0), (1, 0)), depth,
                   u.buffer, u.start + q * u.plane, u.row, dim_min(tile, rows - first), u.row, u.plane if fetch else 0,
                   sums.start + q * sums.plane + first * sums.row)
    return loop("q", planes, loop("rb", blocks, (product,)))


def loop(name: str, extent: DimLike, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """A loop; only its body where there is one turn."""
    return body if extent == 1 else (Loop(name, extent, body),)

"""Which tile: the cost model of the contraction form.

A tile of MR rows × NV vectors keeps MR*NV accumulators in registers; every step of the contracted dimension loads NV vectors of the packed
operand, broadcasts MR elements of the other, and does MR*NV multiply-adds. What a step costs is the largest of what the arithmetic units
need, what the load ports need, what the cache that holds the packed operand delivers, and what the latency of a multiply-add allows when
there are few accumulators. Rows that are left over make a smaller tile (csrc/dlc_contract.h).
"""
from __future__ import annotations

from functools import lru_cache

from dlcompile.graph import DimLike
from dlcompile.kernels.target import Target

FMA_PER_CYCLE = 2  # vector multiply-adds a core starts in a cycle
LOADS_PER_CYCLE = 2  # vector loads (or broadcasts) in a cycle
FMA_LATENCY = 4  # cycles until a multiply-add's result can be added to
L1_BYTES_PER_CYCLE, L2_BYTES_PER_CYCLE, FAR_BYTES_PER_CYCLE = 128, 40, 12  # what the caches and what lies beyond them deliver
MEMORY_BYTES_PER_CYCLE = 5  # what memory delivers to a core while others read as well
STORE_COST = 3.0  # cycles a vector of the result costs after the contraction: spilled, read again, epilogue, stored
TILE_OVERHEAD = 12.0  # cycles a tile costs whatever its size
REST_OVERHEAD = 40.0  # cycles that a tile of left-over rows costs beyond that: it is called, not inlined
DELIVERY_SHARE = 0.15  # of the time the packed operand takes to arrive, what is seen although arithmetic goes on meanwhile
UNKNOWN = 256  # what a symbolic extent is taken for


def tile_candidates(target: Target) -> tuple[tuple[int, int], ...]:
    """(MR, NV) whose accumulators and packed vectors fit the registers, with one for the broadcast where it cannot be an operand in memory
    (only AVX-512 has such operands)."""
    broadcast = 0 if target.lanes == 16 else 1
    return tuple((mr, nv) for nv in range(1, 9) for mr in range(1, 16) if mr * nv + nv + broadcast <= target.registers)


@lru_cache(maxsize=4096)
def ranked_tiles(target: Target, rows: DimLike, columns: DimLike, depth: DimLike) -> tuple[tuple[int, int], ...]:
    """Tiles (MR, NV) by their estimated time for rows × columns results of `depth` terms each; of equal ones first those whose smallest tile, the
    one of the rows left over, is the largest."""
    def key(tile: tuple[int, int]):
        smallest = rows % tile[0] or tile[0] if isinstance(rows, int) else tile[0]
        return round(product_time(target, rows, columns, depth, tile)), -smallest * tile[1], -tile[0] * tile[1], -tile[1]

    return tuple(sorted((tile for tile in tile_candidates(target) if not isinstance(rows, int) or tile[0] <= max(rows, 1)), key=key))


def choose_tile(target: Target, rows: DimLike, columns: DimLike, depth: DimLike) -> tuple[int, int]:
    """The tile (MR, NV) with the least estimated time for rows × columns results of `depth` terms each."""
    return ranked_tiles(target, rows, columns, depth)[0]


def product_time(target: Target, rows: DimLike, columns: DimLike, depth: DimLike, tile: tuple[int, int]) -> float:
    """The cycles that rows × columns results of `depth` terms take with a tile (MR, NV)."""
    mr, nv = tile
    terms, width = depth if isinstance(depth, int) else UNKNOWN, nv * target.lanes
    blocks = -(-columns // width) if isinstance(columns, int) else UNKNOWN / width + 0.5
    if not isinstance(rows, int):
        return blocks * UNKNOWN / mr * _tile_time(target, mr, nv, terms)
    full, rest = divmod(rows, mr)
    return blocks * (full * _tile_time(target, mr, nv, terms) + (_tile_time(target, rest, nv, terms) + REST_OVERHEAD if rest else 0.0))


def _tile_time(target: Target, mr: int, nv: int, depth: int) -> float:
    panel = depth * nv * target.lanes * 4
    near = L1_BYTES_PER_CYCLE if panel <= target.l1_bytes // 2 else L2_BYTES_PER_CYCLE
    delivered = nv * target.lanes * 4 / (near if panel <= target.l2_bytes * 3 // 4 else FAR_BYTES_PER_CYCLE)
    chains = max(mr * nv, 8 if mr <= 3 else 0)  # the microkernel splits the sums of a tile with few rows
    step = max(mr * nv / FMA_PER_CYCLE, (mr + nv) / LOADS_PER_CYCLE, delivered, mr * nv * FMA_LATENCY / chains)
    return depth * (step + DELIVERY_SHARE * delivered) + mr * nv * STORE_COST + TILE_OVERHEAD

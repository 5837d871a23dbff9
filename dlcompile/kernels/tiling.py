"""Which tile: the cost model of the contraction form.

A tile of MR rows × NV vectors keeps MR*NV accumulators in registers; every step of the contracted dimension loads NV vectors of the packed
operand, broadcasts MR elements of the other, and does MR*NV multiply-adds. What a step costs is the larger of what the arithmetic
units and what the load ports need, and no less than the latency of one multiply-add allows when there are few accumulators.
"""
from __future__ import annotations

from functools import lru_cache

from dlcompile.graph import DimLike
from dlcompile.kernels.target import Target

FMA_PER_CYCLE = 2  # vector multiply-adds a core starts in a cycle
LOADS_PER_CYCLE = 2  # vector loads (or broadcasts) in a cycle
FMA_LATENCY = 4  # cycles until a multiply-add's result can be added to
STORE_COST = 3.0  # cycles a vector of the result costs after the contraction: spilled, read again, epilogue, stored
TILE_OVERHEAD = 12.0  # cycles a tile costs whatever its size
UNKNOWN = 256  # what a symbolic extent is taken for


def tile_candidates(target: Target) -> tuple[tuple[int, int], ...]:
    """(MR, NV) whose accumulators, operand vectors and one broadcast fit the registers."""
    return tuple((mr, nv) for nv in range(1, 9) for mr in range(1, 17) if mr * nv + nv + 1 <= target.registers)


@lru_cache(maxsize=4096)
def choose_tile(target: Target, rows: DimLike, columns: DimLike, depth: DimLike) -> tuple[int, int]:
    """The tile (MR, NV) with the least estimated time for rows × columns results of `depth` terms each."""
    terms = depth if isinstance(depth, int) else UNKNOWN

    def time(tile: tuple[int, int]) -> float:
        mr, nv = tile
        width = nv * target.lanes
        blocks = -(-columns // width) if isinstance(columns, int) else UNKNOWN / width + 0.5
        if not isinstance(rows, int):
            return blocks * UNKNOWN / mr * _tile_time(mr, nv, terms)
        full, rest = divmod(rows, mr)
        return blocks * (full * _tile_time(mr, nv, terms) + (_tile_time(rest, nv, terms) if rest else 0.0))

    return min(tile_candidates(target), key=lambda tile: (time(tile), -tile[0] * tile[1], -tile[1]))


def _tile_time(mr: int, nv: int, depth: int) -> float:
    chains = mr * nv if mr > 3 else 8  # the microkernel splits the contraction of a tile with few rows into several sums
    step = max(mr * nv / FMA_PER_CYCLE, (mr + nv) / LOADS_PER_CYCLE, mr * nv * FMA_LATENCY / max(mr * nv, chains) / FMA_PER_CYCLE)
    if mr * nv < FMA_LATENCY * FMA_PER_CYCLE and mr > 3:
        step = max(step, float(FMA_LATENCY))
    return depth * step + mr * nv * STORE_COST + TILE_OVERHEAD

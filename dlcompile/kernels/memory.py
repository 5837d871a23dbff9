"""The arena's plan: where each buffer lies, from sizes and lifetimes that are known at compile time."""
from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from dlcompile.kernels.program import ALIGNMENT


def plan_arena(sizes: Sequence[int], lifetimes: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], int]:
    """(offset of each buffer, bytes of the arena) for buffers of the given bytes, each needed from call `first` to call `last` inclusive.

    The largest first, each in the tightest gap left between those that live at the same time and are placed already: the greedy by size of
    Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020). `dlc_plan_arena` in csrc/dlc_plan.h does the
    same, step by step, when dimensions are symbolic.
    """
    offsets = [0] * len(sizes)
    placed: list[tuple[int, int, int]] = []  # (offset, order of placing, buffer), sorted
    total = 0
    for buffer in sorted(range(len(sizes)), key=lambda b: -sizes[b]):
        if sizes[buffer] == 0:
            continue
        needed = _aligned(sizes[buffer])
        first, last = lifetimes[buffer]
        end, best, best_gap = 0, None, None
        for offset, _, other in placed:
            if lifetimes[other][1] < first or lifetimes[other][0] > last:
                continue
            gap = offset - end
            if gap >= needed and (best is None or gap < best_gap):
                best, best_gap = end, gap
            end = max(end, offset + _aligned(sizes[other]))
        offsets[buffer] = end if best is None else best
        total = max(total, offsets[buffer] + needed)
        insort(placed, (offsets[buffer], len(placed), buffer))
    return tuple(offsets), total


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT

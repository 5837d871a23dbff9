"""Questions about constants, permutations and shapes that rules ask."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcompile.graph import DimLike, Shape, Tensor, floordiv


# -- constants --------------------------------------------------------------------------------------------------------------
def splat(tensor: Tensor) -> np.generic | None:
    """The one value that all elements of a constant have (compared by bits, so that -0.0 is not 0.0); None where there
    is none."""
    if not tensor.is_constant or tensor.value.size == 0:
        return None
    flat = np.ascontiguousarray(tensor.value).reshape(-1)
    bits = flat.view(f"u{flat.itemsize}")
    return flat[0] if np.all(bits == bits[0]) else None


def is_splat(tensor: Tensor, value: float) -> bool:
    """Is every element of the constant `value`? (Both zeros count as 0.)"""
    if not tensor.is_constant or tensor.value.size == 0 or tensor.value.flat[0] != value:
        return False
    return bool(np.all(tensor.value == tensor.value.flat[0]))


def all_finite(array: np.ndarray) -> bool:
    """No NaN and no infinity (integers have none)."""
    if array.dtype.kind in "iub":
        return True
    return bool(np.isfinite(array.astype(np.float32) if array.dtype.itemsize < 4 else array).all())


# -- permutations -----------------------------------------------------------------------------------------------------------
def compose(p: Sequence[int], q: Sequence[int]) -> tuple[int, ...]:
    """The permutation r with transpose(transpose(x, p), q) = transpose(x, r)."""
    return tuple(p[axis] for axis in q)


def inverse(p: Sequence[int]) -> tuple[int, ...]:
    """The permutation q with transpose(transpose(x, p), q) = x."""
    return tuple(int(axis) for axis in np.argsort(p))


def is_identity(p: Sequence[int]) -> bool:
    return tuple(p) == tuple(range(len(p)))


def is_view(shape: Shape, permutation: Sequence[int]) -> bool:
    """Does the transposition leave the order of elements alone, because only axes of extent 1 change places?"""
    moving = [axis for axis in permutation if shape[axis] != 1]
    return moving == sorted(moving)


def permute(items: Sequence, permutation: Sequence[int]) -> tuple:
    """items[permutation[0]], items[permutation[1]], …"""
    return tuple(items[axis] for axis in permutation)


# -- reshapes ---------------------------------------------------------------------------------------------------------------
Groups = list[tuple[tuple[int, ...], tuple[int, ...]]]


def factor_reshape(old: Shape, new: Shape) -> Groups | None:
    """The finest split of a reshape into independent ones: pairs (axes of `old`, axes of `new`) of equal products, in
    order.

    Axes of extent 1 have no partner: they form groups with an empty side. None where an extent is 0 or the split cannot
    be seen.
    """
    if any(isinstance(d, int) and d == 0 for d in (*old, *new)):
        return None
    groups: Groups = []
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and old[i] == 1:
            groups.append(((i,), ()))
            i += 1
            continue
        if j < len(new) and new[j] == 1:
            groups.append(((), (j,)))
            j += 1
            continue
        left, right = [], []
        a: DimLike = 1
        b: DimLike = 1
        while not left or not right or a != b:
            grow_left = not left or (bool(right) and _is_multiple(b, a))
            if not grow_left and right and not _is_multiple(a, b):
                return None
            axes, shape, position = (left, old, i) if grow_left else (right, new, j)
            if position >= len(shape):
                return None
            axes.append(position)
            if grow_left:
                a, i = a * shape[i], i + 1
            else:
                b, j = b * shape[j], j + 1
        groups.append((tuple(left), tuple(right)))
    return groups


def _is_multiple(larger: DimLike, smaller: DimLike) -> bool:
    """Can factors be multiplied to `smaller` until it is `larger`? (For integers: is it not larger already?)"""
    if isinstance(larger, int) and isinstance(smaller, int):
        return larger >= smaller
    return floordiv(larger, smaller) * smaller == larger

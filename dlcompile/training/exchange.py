"""How the arrays of variables change: in place, or all at once."""
from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from itertools import repeat

import numpy as np

from dlcompile.variables import Variable


def commit(variables: Sequence[Variable], arrays: Sequence[np.ndarray]) -> None:
    """Give variables other arrays, all of them at once: Python handles no signal, such as Ctrl-C, between two of them, for none of this is Python."""
    deque(map(setattr, variables, repeat("_array"), arrays), maxlen=0)


def own_arrays(variables: Sequence[Variable]) -> list[np.ndarray]:
    """The arrays of variables, to be written over: one that somebody else has, who was given the value, is left to them, and the variable gets a copy."""
    arrays = [v._array for v in variables]
    shared = [v for v, array, count in zip(variables, arrays, _references(arrays))
              if count != _ALONE or not (array.flags.c_contiguous and array.flags.owndata and array.flags.writeable)]
    if shared:
        commit(shared, [np.array(v._array, order="C") for v in shared])
        arrays = [v._array for v in variables]
    return arrays


def _references(arrays: list[np.ndarray]) -> list[int]:
    """How often each array of a list is referred to."""
    return [sys.getrefcount(array) for array in arrays]


def _alone() -> int:
    """How often an array is referred to that nobody else than a variable has."""
    variable = Variable(np.zeros(1))
    return _references([variable._array])[0]


_ALONE = _alone()

__all__ = ["commit", "own_arrays"]

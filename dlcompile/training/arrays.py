"""How the arrays of variables change: in place, or all of them at once for others."""
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


def writable_arrays(variables: Sequence[Variable]) -> list[np.ndarray]:
    """The arrays of variables, to be written to. A variable whose array somebody else has as well, who was given its value, or whose array cannot be
    written to as it lies, gets a copy of its own first."""
    arrays = [v._array for v in variables]
    for i, count in enumerate(_references(arrays)):
        array = arrays[i]
        if count > _OWN or not array.flags.carray or not array.flags.owndata:
            arrays[i] = variables[i]._array = array.copy()
    return arrays


def _references(arrays: list[np.ndarray]) -> list[int]:
    """How often each array of a list is referred to."""
    return [sys.getrefcount(array) for array in arrays]


class _Owner:
    def __init__(self, array: np.ndarray):
        self._array = array


_owner = _Owner(np.empty(0))
_OWN = _references([_owner._array])[0]
"""how often one is that a variable alone has, beside the list"""

__all__ = ["commit", "writable_arrays"]

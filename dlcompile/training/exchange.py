"""How the arrays of variables change: all at once, and without copies."""
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


class SpareArrays:
    """A second array for each of some variables, to write their next values to. After the first step nothing is allocated."""

    def __init__(self, variables: Sequence[Variable]):
        self.variables = list(variables)
        self._spare: list[np.ndarray] | None = None

    @property
    def arrays(self) -> list[np.ndarray]:
        """Arrays that nobody else has, of the variables' shapes and types."""
        if self._spare is None:
            self._spare = [np.empty(v.shape, v.dtype) for v in self.variables]
        return self._spare

    def exchange(self) -> None:
        """The spare arrays become those of the variables, and the other way round. One that somebody else still has, who was given the value that a
        variable had before, is left to them."""
        before, after = [v._array for v in self.variables], self.arrays
        self._spare = None  # whatever interrupts what follows, an array of a variable is no spare one
        commit(self.variables, after)
        self._spare = [array if count == _ALONE and array.flags.c_contiguous and array.flags.owndata else np.empty(array.shape, array.dtype)
                       for array, count in zip(before, _references(before))]


def _references(arrays: list[np.ndarray]) -> list[int]:
    """How often each array of a list is referred to."""
    return [sys.getrefcount(array) for array in arrays]


_ALONE = _references([np.empty(0)])[0]
"""how often one is that nobody else has"""

__all__ = ["SpareArrays", "commit"]

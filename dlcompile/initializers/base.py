"""What all initializers have in common."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import config
from dlcompile.graph import as_dtype
from dlcompile.registry import Configurable


class Initializer(Configurable):
    """A function (shape, dtype) → array. A class of one's own defines `__call__(self, shape, dtype=None)`, and `get_config` where it has
    arguments."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(self, shape, dtype=None)")

    def clone(self) -> Initializer:
        """An initializer like this one; one without a seed draws other numbers."""
        return self.from_config(self.get_config())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.get_config().items())})"


def value_type(dtype: Any) -> np.dtype:
    """The type that is asked for, or `floatx`."""
    return as_dtype(dtype or config.floatx())


__all__ = ["Initializer", "value_type"]

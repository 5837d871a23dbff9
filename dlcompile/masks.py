"""Which steps of a sequence count: a mask, bool [batch, steps], that goes with a tensor from layer to layer.

A mask belongs to one object, a tensor or an array, and is gone when that is.

    y = model(x)
    mask_of(y)          # None where all steps count
"""
from __future__ import annotations

import weakref
from typing import Any

_masks: dict[int, tuple[weakref.ref, Any]] = {}
"""id of a tensor or array → itself, and its mask; an array has no hash"""


def mask_of(value: Any) -> Any:
    """The mask of a tensor or array, None where it has none."""
    found = _masks.get(id(value))
    return None if found is None or found[0]() is not value else found[1]


def set_mask(value: Any, mask: Any) -> None:
    """Give a tensor or array a mask; None takes it away."""
    key = id(value)
    if mask is None:
        _masks.pop(key, None)
        return
    _masks[key] = (weakref.ref(value, lambda gone: _masks.pop(key, None) if _masks.get(key, (None,))[0] is gone else None), mask)


__all__ = ["mask_of", "set_mask"]

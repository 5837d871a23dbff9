"""Names that nobody has given: dense, dense_1, dense_2, … in the order in which things are made."""
from __future__ import annotations

from collections import Counter

from dlcompile.errors import ArgumentError
from dlcompile.registry import snake_case

_taken: Counter[str] = Counter()


def auto_name(prefix: str) -> str:
    """A name that this function has not given since the last `clear_session`.

    >>> clear_session()
    >>> auto_name("conv2d"), auto_name("conv2d"), auto_name("dense")
    ('conv2d', 'conv2d_1', 'dense')
    """
    count = _taken[prefix]
    _taken[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def class_name(kind: type) -> str:
    """What an object of a class is called: its words in small letters. (Conv2D: conv2d, PReLU: p_re_lu)"""
    return snake_case(kind.__name__).lstrip("_") or "layer"


def checked_name(name: str) -> str:
    """A name that a user gives. ArgumentError where it is no text, or cannot be part of a path."""
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"a name is a text that is not empty, not {name!r}")
    if "/" in name:
        raise ArgumentError(f"the name {name!r} has a '/', which separates the names of a path")
    return name


def clear_session(free_memory: bool = True) -> None:
    """Begin the numbers of names anew. `free_memory` is there for scripts that give it: nothing else is kept between models."""
    _taken.clear()


__all__ = ["auto_name", "checked_name", "class_name", "clear_session"]

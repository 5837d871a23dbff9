"""Nested structures: lists, tuples (named ones too) and dictionaries of anything; what is none of these is a leaf.

Dictionaries go by their keys in order, so that two with the same keys are alike whatever order they were written in.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dlcompile.errors import ArgumentError


def is_nested(structure: Any) -> bool:
    """Whether it is a list, a tuple or a dictionary.

    >>> is_nested([1]), is_nested("text")
    (True, False)
    """
    return isinstance(structure, (list, tuple, Mapping))


def _children(structure: Any) -> list[Any]:
    return [structure[key] for key in _keys(structure)] if isinstance(structure, Mapping) else list(structure)


def _keys(structure: Mapping) -> list[Any]:
    try:
        return sorted(structure)
    except TypeError:  # keys of several kinds have no order but the one they come in
        return list(structure)


def flatten(structure: Any) -> list[Any]:
    """The leaves, from left to right.

    >>> flatten({"b": (1, [2]), "a": 0})
    [0, 1, 2]
    """
    if not is_nested(structure):
        return [structure]
    return [leaf for child in _children(structure) for leaf in flatten(child)]


def flatten_with_path(structure: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """(path, leaf) for each leaf, a path being the keys and positions that lead to it.

    >>> flatten_with_path({"a": [3, 4]})
    [(('a', 0), 3), (('a', 1), 4)]
    """
    if not is_nested(structure):
        return [(path, structure)]
    keys = _keys(structure) if isinstance(structure, Mapping) else range(len(structure))
    return [found for key in keys for found in flatten_with_path(structure[key], (*path, key))]


def pack_sequence_as(structure: Any, leaves: Iterable[Any]) -> Any:
    """A structure like the given one with other leaves. ArgumentError where there are too few or too many.

    >>> pack_sequence_as({"a": 0, "b": (0, 0)}, "xyz")
    {'a': 'x', 'b': ('y', 'z')}
    """
    leaves = list(leaves)
    count = len(flatten(structure))
    if count != len(leaves):
        raise ArgumentError(f"a structure with {count} leaves cannot be made of {len(leaves)}")
    return _packed(structure, iter(leaves))


def _packed(structure: Any, leaves: Iterator[Any]) -> Any:
    if not is_nested(structure):
        return next(leaves)
    children = [_packed(child, leaves) for child in _children(structure)]
    if isinstance(structure, Mapping):
        made = dict(zip(_keys(structure), children))
        return {key: made[key] for key in structure}
    return type(structure)(*children) if hasattr(structure, "_fields") else type(structure)(children)


def map_structure(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """A structure like the first one, each leaf being `function` of the leaves at its place. ArgumentError where the others have no such
    place.

    >>> map_structure(lambda a, b: a * b, {"x": 2, "y": (3,)}, {"x": 5, "y": (7,)})
    {'x': 10, 'y': (21,)}
    """
    for other in others:
        assert_same_structure(structure, other)
    return pack_sequence_as(structure, [function(*leaves) for leaves in zip(flatten(structure), *(flatten(other) for other in others))])


def assert_same_structure(a: Any, b: Any, path: str = "") -> None:
    """ArgumentError naming the place where two structures differ; a list and a tuple do not."""
    where = f" at {path}" if path else ""
    if is_nested(a) != is_nested(b) or isinstance(a, Mapping) != isinstance(b, Mapping):
        raise ArgumentError(f"two structures differ{where}: {type(a).__name__} and {type(b).__name__}")
    if not is_nested(a):
        return
    if isinstance(a, Mapping):
        if set(a) != set(b):
            raise ArgumentError(f"two structures differ{where}: keys {', '.join(map(str, _keys(a)))} and {', '.join(map(str, _keys(b)))}")
        keys: Iterable[Any] = _keys(a)
    else:
        if len(a) != len(b):
            raise ArgumentError(f"two structures differ{where}: {len(a)} and {len(b)} items")
        keys = range(len(a))
    for key in keys:
        assert_same_structure(a[key], b[key], f"{path}[{key!r}]")


__all__ = ["assert_same_structure", "flatten", "flatten_with_path", "is_nested", "map_structure", "pack_sequence_as"]

"""Trees of values: tuples, lists, dicts and named tuples in one another, and None, which is a tree without leaves. All else is a leaf.

    >>> leaves, structure = flatten({"w": [1, 2], "b": (3, None)})
    >>> leaves
    [3, 1, 2]
    >>> unflatten(structure, ["c", "a", "b"])
    {'b': ('c', None), 'w': ['a', 'b']}

A dict's entries are in the order of its sorted keys.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Structure:
    """What a tree is without its leaves; equal for trees of the same form.

    kind: the type of the node (tuple, list, dict, a named tuple's own class), NoneType, or None for a leaf. keys: those of a dict, the
    fields of a named tuple, the positions in the others.
    """

    kind: type | None = None
    keys: tuple = ()
    children: tuple[Structure, ...] = ()

    @property
    def size(self) -> int:
        """The number of leaves."""
        return 1 if self.kind is None else sum(child.size for child in self.children)

    def __str__(self) -> str:
        if self.kind is None:
            return "*"
        inner = [str(child) for child in self.children]
        if self.kind is dict:
            return "{" + ", ".join(f"{key!r}: {text}" for key, text in zip(self.keys, inner)) + "}"
        if _is_named(self.kind):
            return f"{self.kind.__name__}({', '.join(f'{key}={text}' for key, text in zip(self.keys, inner))})"
        if self.kind is list:
            return f"[{', '.join(inner)}]"
        return "None" if self.kind is type(None) else f"({', '.join(inner)}{',' if len(inner) == 1 else ''})"


def _is_named(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def _parts(tree: Any) -> tuple[tuple, list] | None:
    """(keys, children) of a node of a tree; None for a leaf. TypeError for a dict whose keys have no order."""
    if tree is None:
        return (), []
    if type(tree) is dict:
        keys = tuple(sorted(tree))
        return keys, [tree[key] for key in keys]
    if type(tree) in (tuple, list):
        return tuple(range(len(tree))), list(tree)
    if _is_named(type(tree)):
        return type(tree)._fields, list(tree)
    return None


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list, Structure]:
    """The leaves of a tree, in order, and its structure. What `is_leaf` says of a node of the tree holds."""
    parts = None if is_leaf is not None and is_leaf(tree) else _parts(tree)
    if parts is None:
        return [tree], Structure()
    keys, children = parts
    flat = [flatten(child, is_leaf) for child in children]
    return [leaf for leaves, _ in flat for leaf in leaves], Structure(type(tree), keys, tuple(s for _, s in flat))


def unflatten(structure: Structure, leaves: Sequence) -> Any:
    """The tree of the given structure with these leaves. ValueError where there are more or fewer than it has."""
    if len(leaves) != structure.size:
        raise ValueError(f"{len(leaves)} leaves for a tree of {structure.size}: {structure}")
    return _build(structure, iter(leaves))


def _build(structure: Structure, leaves: Iterator) -> Any:
    if structure.kind is None:
        return next(leaves)
    children = [_build(child, leaves) for child in structure.children]
    if structure.kind is dict:
        return dict(zip(structure.keys, children))
    if structure.kind is type(None):
        return None
    return structure.kind(*children) if _is_named(structure.kind) else structure.kind(children)


def leaves(tree: Any) -> list:
    """The leaves of a tree, in order."""
    return flatten(tree)[0]


def map(function: Callable, tree: Any, *rest: Any) -> Any:  # noqa: A001
    """The tree of `function(leaf, *leaves at the same place of the other trees)`. ValueError where a tree has another structure."""
    first, structure = flatten(tree)
    columns = [first]
    for other in rest:
        column, found = flatten(other)
        if found != structure:
            raise ValueError(f"trees of different structures: {structure} and {found}")
        columns.append(column)
    return unflatten(structure, [function(*row) for row in zip(*columns)])


def paths(structure: Structure) -> list[Path]:
    """Where each leaf is: the keys and positions that lead to it."""
    if structure.kind is None:
        return [()]
    return [(key, *path) for key, child in zip(structure.keys, structure.children) for path in paths(child)]


def spelled(path: Path) -> str:
    """A path as Python writes it: `['w'][0]`."""
    return "".join(f"[{key!r}]" for key in path)


def name(path: Path, root: str = "") -> str:
    """A path as an identifier: `w_0`; parts that begin with a digit follow the `root`."""
    parts = ["".join(c if c.isalnum() and c.isascii() else "_" for c in str(key)) for key in path]
    if root and (not parts or not parts[0][:1].isalpha()):
        parts.insert(0, root)
    return "_".join(part for part in parts if part)

"""What belongs to a layer: the variables and layers among its attributes, and in lists, tuples, dictionaries and sets that are attributes.

Nothing is noted when an attribute is assigned; what there is is looked up when it is asked for. So a list may grow, and an attribute may
go.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dlcompile.random import SeedGenerator
from dlcompile.variables import Variable

if TYPE_CHECKING:
    from dlcompile.layers.base import Layer


def attributes(owner: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) of the attributes that are looked at, in the order in which they were first assigned."""
    return ((name, value) for name, value in vars(owner).items() if name not in owner.untracked)


def found_in(value: Any, kinds: type | tuple[type, ...], path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """(path, object) of the objects of some classes in a value: itself, or what containers hold."""
    if isinstance(value, kinds):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from found_in(item, kinds, (*path, key))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield from found_in(item, kinds, (*path, index))


def owned(owner: Any, kinds: type | tuple[type, ...]) -> list[tuple[str, Any]]:
    """(path, object) of what the attributes hold, each object once: "kernel", "blocks/0"."""
    found: dict[int, tuple[str, Any]] = {}
    for name, value in attributes(owner):
        for path, item in found_in(value, kinds, (name,)):
            found.setdefault(id(item), ("/".join(map(str, path)), item))
    return list(found.values())


def own_variables(layer: Layer) -> list[Variable]:
    """The variables of a layer itself, in order: first those that are trainable, or would be if the layer were."""
    found = unique([*layer._added, *(variable for _, variable in owned(layer, Variable))])
    meant = {id(variable) for variable in layer._frozen}
    return sorted(found, key=lambda variable: not variable.trainable and id(variable) not in meant)


def seed_states(layer: Layer) -> list[Variable]:
    """The variables of a layer's own generators of random numbers."""
    return [generator.state for _, generator in owned(layer, SeedGenerator)]


def unique(items: list) -> list:
    """Each object once, in order."""
    return list({id(item): item for item in items}.values())


__all__ = ["attributes", "found_in", "own_variables", "owned", "seed_states", "unique"]

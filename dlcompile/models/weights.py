"""The weights of a model in a file, by names that do not depend on how layers happen to be numbered.

    dense/kernel, dense/bias, dense_1/kernel, …        layers of a functional or sequential model: their class, counted in that model
    encoder/dense/kernel, blocks/0/kernel              layers that are attributes: the attribute

The states of random number generators are there too, as random/…; a model that has others, or none, takes the weights all the same.
"""
from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from dlcompile.errors import InvalidModelError
from dlcompile.layers.base import Layer
from dlcompile.layers.tracking import own_variables, owned, seed_states, unique
from dlcompile.models.files import pack_tensors, read_archive, read_whole, unpack_tensors, write_whole
from dlcompile.naming import class_name
from dlcompile.variables import Variable

if TYPE_CHECKING:
    from dlcompile.models.model import Model

RANDOM = "random/"
WEIGHTS = "weights.safetensors"
"""the part of a whole model's file that has its weights"""


def named_variables(layer: Layer) -> dict[str, Variable]:
    """The variables of a layer and of those in it, by the names that files have for them; each variable once."""
    found: dict[str, Variable] = {}
    taken: set[int] = set()
    seen: set[int] = set()

    def add(name: str, variable: Variable) -> None:
        if id(variable) in taken:
            return
        taken.add(id(variable))
        number = 0
        while (unused := f"{name}_{number}" if number else name) in found:
            number += 1
        found[unused] = variable

    def visit(layer: Layer, prefix: str) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        for variable in own_variables(layer):
            add(prefix + variable.name, variable)
        for state in seed_states(layer):
            add(RANDOM + prefix + state.name, state)
        for name, inner in _children(layer):
            visit(inner, f"{prefix}{name}/")

    visit(layer, "")
    return found


def _children(layer: Layer) -> list[tuple[str, Layer]]:
    """(name, layer) of the layers inside: connected ones by their class, attributes by the attribute."""
    connected = [inner for inner in layer.layers_inside if id(inner) not in {id(item) for _, item in owned(layer, Layer)}]
    counts: Counter[str] = Counter()
    named = []
    for inner in unique(connected):
        kind = class_name(type(inner))
        named.append((f"{kind}_{counts[kind]}" if counts[kind] else kind, inner))
        counts[kind] += 1
    return [*named, *((path.lstrip("_"), inner) for path, inner in owned(layer, Layer))]


def pack_weights(model: Layer) -> bytes:
    """The weights of a model as the bytes of a file."""
    return pack_tensors({name: variable.numpy() for name, variable in named_variables(model).items()})


def unpack_weights(model: Layer, data: bytes, where: str, skip_mismatch: bool = False) -> None:
    """Give a model the weights of a file: all of them or, where something does not fit, none.

    InvalidModelError naming what is missing, what the model does not have, and what has another shape; with `skip_mismatch` that is left
    out.
    """
    arrays, variables = unpack_tensors(data, where), named_variables(model)
    if not model.built:
        raise InvalidModelError(f"model {model.name!r} has no weights yet: build it, or call it once, before weights are loaded")
    fitting = {name: variable for name, variable in variables.items() if name in arrays and arrays[name].shape == variable.shape}
    if not skip_mismatch:
        complaints = _complaints(arrays, variables)
        if complaints:
            raise InvalidModelError(f"the weights in {where} are not those of model {model.name!r}: {'; '.join(complaints)}")
    for name, variable in fitting.items():
        variable.assign(arrays[name].astype(variable.dtype))


def _complaints(arrays: dict[str, np.ndarray], variables: dict[str, Variable]) -> list[str]:
    missing = [name for name in variables if name not in arrays and not name.startswith(RANDOM)]
    unknown = [name for name in sorted(arrays) if name not in variables and not name.startswith(RANDOM)]
    others = [f"{name} has shape {arrays[name].shape} there and {variable.shape} in the model" for name, variable in variables.items()
              if name in arrays and arrays[name].shape != variable.shape]
    return [*([f"missing there: {_some(missing)}"] if missing else []), *([f"not in the model: {_some(unknown)}"] if unknown else []),
            *others[:5], *([f"and {len(others) - 5} more of other shapes"] if len(others) > 5 else [])]


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def save_weights(model: Model, path: str | os.PathLike, overwrite: bool = True) -> None:
    """Write the weights of a model to a file in the format safetensors, whatever its name is."""
    if not model.built:
        raise InvalidModelError(f"model {model.name!r} has no weights yet: build it, or call it once, before they are saved")
    write_whole(path, pack_weights(model), overwrite)


def load_weights(model: Model, path: str | os.PathLike, skip_mismatch: bool = False) -> None:
    """Give a model the weights of a file of weights, or of that of a whole model."""
    data = read_whole(path)
    if data[:2] == b"PK":
        part = read_archive(data, str(path))(WEIGHTS)
        if part is None:
            raise InvalidModelError(f"{path} is no file of a model with weights: there is no {WEIGHTS} in it")
        data = part
    unpack_weights(model, data, str(path), skip_mismatch)


__all__ = ["WEIGHTS", "load_weights", "named_variables", "pack_weights", "save_weights", "unpack_weights"]

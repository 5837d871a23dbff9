"""How a model is trained, and what its optimizer keeps: further parts of a model's file, and the state from which an interrupted training goes on.

    training.json            the arguments of `compile`
    optimizer.safetensors    the optimizer's variables
"""
from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dlcompile.errors import ArgumentError, InvalidModelError
from dlcompile.models.files import pack_tensors, read_whole, unpack_tensors, write_whole
from dlcompile.models.weights import named_variables

if TYPE_CHECKING:
    from dlcompile.models.model import Model

TRAINING, OPTIMIZER = "training.json", "optimizer.safetensors"


def training_parts(model: Model, include_optimizer: bool = True) -> dict[str, bytes]:
    """The parts of a model's file; none for a model that was not compiled. What `compile` was given and a file cannot name is left out, with a
    warning."""
    try:
        config = model.get_compile_config()
    except ArgumentError as error:
        warnings.warn(f"model {model.name!r} is saved without what compile() was given: {error}", stacklevel=4)
        return {}
    if config is None:
        return {}
    parts = {TRAINING: json.dumps(config, indent=1).encode()}
    if include_optimizer and model.optimizer is not None and model.optimizer.built:
        store: dict[str, np.ndarray] = {}
        model.optimizer.save_own_variables(store)
        parts[OPTIMIZER] = pack_tensors(store)
    return parts


def take_training_parts(model: Model, read: Callable[[str], bytes | None], compile: bool = True) -> None:  # noqa: A002
    """Compile a model as it was when `training_parts` were written, and give its optimizer the variables it had."""
    config = read(TRAINING)
    if not compile or config is None:
        return
    try:
        model.compile_from_config(json.loads(config))
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, ArgumentError):
            raise ArgumentError(f"{error}; compile=False reads the model alone") from None
        raise InvalidModelError(f"{TRAINING} does not say how a model is compiled: {error}") from error
    state = read(OPTIMIZER)
    if state is not None and model.optimizer is not None:
        if not model.optimizer.built:
            warnings.warn(f"model {model.name!r} is not built, so its optimizer begins anew", stacklevel=4)
        else:
            model.optimizer.load_own_variables(unpack_tensors(state, OPTIMIZER))


def save_training_state(model: Model, path: str | os.PathLike, epoch: int) -> None:
    """Write all that a training needs to go on: variables of the model, random numbers, the optimizer, and how many epochs there were."""
    arrays = {f"model/{name}": variable.numpy() for name, variable in named_variables(model).items()}
    if model.optimizer is not None and model.optimizer.built:
        arrays.update({f"optimizer/{i}": variable.numpy() for i, variable in enumerate(model.optimizer.variables)})
    write_whole(path, pack_tensors({**arrays, "epoch": np.int64(epoch).reshape(())}))


def load_training_state(model: Model, path: str | os.PathLike) -> int:
    """Take back what `save_training_state` has written; returns the number of epochs. ArgumentError where it is of another model."""
    arrays = unpack_tensors(read_whole(path), str(path))
    variables = named_variables(model)
    stored = {name.removeprefix("model/"): array for name, array in arrays.items() if name.startswith("model/")}
    if variables.keys() != stored.keys() or any(stored[name].shape != variable.shape for name, variable in variables.items()):
        raise ArgumentError(f"{path} is the state of another model than {model.name!r}")
    kept = [array for name, array in sorted(((name, array) for name, array in arrays.items() if name.startswith("optimizer/")),
                                            key=lambda pair: int(pair[0].partition("/")[2]))]
    if kept and model.optimizer is not None:
        model.optimizer.build(model.trainable_variables)
        model.optimizer.set_weights(kept)
    for name, variable in variables.items():
        variable.assign(stored[name])
    return int(arrays["epoch"])


__all__ = ["load_training_state", "save_training_state", "take_training_parts", "training_parts"]

"""Models: layers put together, with the names of Keras.

    from dlcompile.models import Model, Sequential

`Sequential` is a list of layers, `Model(inputs, outputs)` what is between symbolic tensors, a subclass of `Model` anything.
"""
from __future__ import annotations

from dlcompile.models.cloning import clone_model
from dlcompile.models.model import Model
from dlcompile.models.saving import load_model, model_from_json, save_model
from dlcompile.models.sequential import Sequential
from dlcompile.registry import Family

FAMILY = Family("models")
FAMILY.add(Model, Sequential, Functional=Model)

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

"""Models in files, and the names that files may use: the module `keras.saving`."""
from __future__ import annotations

from dlcompile.models import Model, load_model, save_model
from dlcompile.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from dlcompile.registry import deserialize as deserialize_keras_object
from dlcompile.registry import serialize as serialize_keras_object

load_weights, save_weights = Model.load_weights, Model.save_weights

__all__ = ["CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects", "get_registered_name",
           "get_registered_object", "load_model", "load_weights", "register_keras_serializable", "save_model", "save_weights",
           "serialize_keras_object"]

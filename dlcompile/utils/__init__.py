"""What is useful beside: drawings of models, arrays in the form that models take, names of one's own classes."""
from __future__ import annotations

from dlcompile.data.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from dlcompile.data.datasets import PyDataset, Sequence
from dlcompile.layers import KerasTensor
from dlcompile.naming import clear_session
from dlcompile.progress import Progbar, disable_interactive_logging, enable_interactive_logging, is_interactive_logging_enabled
from dlcompile.random import set_random_seed
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
from dlcompile.utils.arrays import normalize, pad_sequences, to_categorical
from dlcompile.utils.plotting import plot_model


def is_keras_tensor(x: object) -> bool:
    """Whether it is a symbolic tensor."""
    return isinstance(x, KerasTensor)


__all__ = ["CustomObjectScope", "Progbar", "PyDataset", "Sequence", "clear_session", "custom_object_scope", "deserialize_keras_object",
           "disable_interactive_logging", "enable_interactive_logging", "get_custom_objects", "get_registered_name", "get_registered_object",
           "is_interactive_logging_enabled", "is_keras_tensor", "normalize", "pack_x_y_sample_weight", "pad_sequences", "plot_model",
           "register_keras_serializable", "serialize_keras_object", "set_random_seed", "to_categorical", "unpack_x_y_sample_weight"]

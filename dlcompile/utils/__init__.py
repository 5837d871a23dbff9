"""What scripts need around models, by the names of Keras: labels as vectors, seeds, progress bars, names of one's own objects."""
from dlcompile.naming import clear_session
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
from dlcompile.utils.arrays import normalize, pack_x_y_sample_weight, pad_sequences, to_categorical, unpack_x_y_sample_weight
from dlcompile.utils.datasets import PyDataset, Sequence
from dlcompile.utils.messages import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
    print_message,
)
from dlcompile.utils.progress import Progbar

__all__ = ["CustomObjectScope", "Progbar", "PyDataset", "Sequence", "clear_session", "custom_object_scope", "deserialize_keras_object", "disable_interactive_logging",
           "enable_interactive_logging", "get_custom_objects", "get_registered_name", "get_registered_object", "is_interactive_logging_enabled",
           "normalize", "pack_x_y_sample_weight", "pad_sequences", "print_message", "register_keras_serializable", "serialize_keras_object",
           "set_random_seed", "to_categorical", "unpack_x_y_sample_weight"]

"""`Model`: layers put together, with the names and the behaviour of Keras.

    model = Model(inputs, outputs)           # functional: symbolic tensors, and what was made of them

    class MyModel(Model):                    # or a class with `call`
        def __init__(self):
            super().__init__()
            self.hidden, self.out = Dense(32, activation="relu"), Dense(10)

        def call(self, x, training=False):
            return self.out(self.hidden(x))
"""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcompile import tree
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor, TensorType, symbol
from dlcompile.layers.base import Layer, map_shapes
from dlcompile.layers.symbolic import KerasTensor
from dlcompile.layers.tracking import owned, unique
from dlcompile.models.configuration import network_config, network_of
from dlcompile.models.network import Network
from dlcompile.models.state import load_training_state, save_training_state, take_training_parts, training_parts
from dlcompile.models.summary import print_summary
from dlcompile.models.weights import load_weights, save_weights
from dlcompile.naming import auto_name, class_name
from dlcompile.registry import custom_object_scope, serialize, suggestion
from dlcompile.training import Trainer

if TYPE_CHECKING:
    from dlcompile.graph import Graph


class Model(Trainer, Layer):
    """Layers put together. Model(inputs, outputs) is what is between symbolic tensors; a class of one's own defines `call`.

    How it is trained, evaluated and asked is said in `training.trainer`: `compile`, `fit`, `evaluate`, `predict`.
    """

    untracked = Layer.untracked | {"_network"}
    is_chain = False
    """whether its layers are one behind the other by its kind"""

    def __new__(cls, *args, **kwargs):
        model = super().__new__(cls, *args, **kwargs)
        model._network, model._build_types = None, None
        model.init_training()
        return model

    def __init__(self, *args, **kwargs):
        ends = dict(zip(("inputs", "outputs", "name"), args))
        if len(args) > 3 or ends.keys() & kwargs.keys():
            raise ArgumentError(f"{type(self).__name__}(inputs, outputs, name) is given {len(args)} arguments")
        ends.update({key: kwargs.pop(key) for key in ("inputs", "outputs") if key in kwargs})
        name = ends.pop("name", kwargs.pop("name", None))
        if ends and ends.keys() != {"inputs", "outputs"}:
            raise ArgumentError(f"{type(self).__name__} is given {' and '.join(ends)} alone; a functional model has inputs and outputs")
        if name is None and ends and type(self) is Model:
            name = auto_name("functional")
        super().__init__(name=auto_name(class_name(type(self))) if name is None else name, **kwargs)
        if ends:
            self._network, self.built = Network(ends["inputs"], ends["outputs"]), True
        if self.trainable is False:
            self.trainable = False  # of the layers too

    # -- what it consists of --------------------------------------------------------------------------------------------------
    @property
    def layers_inside(self) -> list[Layer]:
        return unique([*(self._network.layers if self._network is not None else ()), *(layer for _, layer in owned(self, Layer))])

    @property
    def layers(self) -> list[Layer]:
        """The layers of the model, those of layers in it not among them."""
        return self.layers_inside

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name, or of an index in `layers`. ArgumentError where there is none."""
        if (name is None) == (index is None):
            raise ArgumentError("get_layer takes either a name or an index")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ArgumentError(f"model {self.name!r} has {len(layers)} layers; there is no layer {index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ArgumentError(f"model {self.name!r} has no layer {name!r}{suggestion(str(name), [layer.name for layer in layers])}")

    def _ends(self) -> Network:
        if self._network is None:
            raise ArgumentError(f"model {self.name!r} has no symbolic inputs and outputs: it is not functional"
                                + ("" if self.built else ", or has not been told the shape of its input"))
        return self._network

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs of a functional model."""
        return self._ends().inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        return self._ends().outputs

    @property
    def input(self) -> Any:
        """The symbolic inputs in the structure in which the model takes them."""
        return self._ends().inputs_structure if self._network is not None else super().input

    @property
    def output(self) -> Any:
        return self._ends().outputs_structure if self._network is not None else super().output

    @property
    def input_names(self) -> list[str]:
        return self._ends().input_names

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that the outputs come from."""
        return self._ends().output_names

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or a list of the shapes of several."""
        return _one_or_list([t.shape for t in self.inputs])

    @property
    def output_shape(self) -> Any:
        return _one_or_list([t.shape for t in self.outputs])

    @property
    def input_spec(self) -> Any:
        """What the inputs must be like; of a functional model what its symbolic inputs are."""
        return self._network.input_spec if self._input_spec is None and self._network is not None else self._input_spec

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        self._input_spec = value

    # -- calling --------------------------------------------------------------------------------------------------------------
    @property
    def converts_inputs(self) -> bool:
        return self._network is None and self.autocast

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """What the model computes; a class of one's own that is not functional defines it."""
        if self._network is None:
            raise NotImplementedError(f"{type(self).__name__} does not define call(self, inputs), and is not made of inputs and outputs")
        return self._network.run(inputs, mask)

    def remember_inputs(self, tensors: Mapping[str, Any]) -> None:
        super().remember_inputs(tensors)
        self._build_types = {name: tree.map_structure(lambda leaf: leaf.type if isinstance(leaf, Tensor) else None, value)
                             for name, value in tensors.items()}

    def symbolic_arguments(self) -> dict[str, Any]:
        """{argument of `call`: symbolic tensors, in its structure}: the inputs of a functional model; for any other those that are like
        what it was first called with, for any number of samples. ArgumentError before that is known."""
        if self._network is not None:
            return {next(iter(self.call_signature.names)): self._network.inputs_structure}
        if not self._build_types:
            raise ArgumentError(f"model {self.name!r} has not been called or built, so the shapes of its inputs are not known")
        made = {}
        for argument, structure in self._build_types.items():
            named = [("_".join([argument, *map(str, path)]), leaf) for path, leaf in tree.flatten_with_path(structure)]
            made[argument] = tree.pack_sequence_as(structure, [KerasTensor((), name=name, type=_for_any_batch(leaf)) for name, leaf in named])
        return made

    @property
    def builds_in_call(self) -> bool:
        return type(self).build is Model.build

    def build(self, input_shape: Any = None) -> None:
        """Make the variables of a model that is a class, by tracing `call` for inputs of the given shape (or list or dictionary of
        shapes)."""
        if self.built or self._network is not None:
            return
        if input_shape is None:
            raise ArgumentError(f"model {self.name!r} is built for the shape of an input: build(input_shape)")
        self.compute_output_spec(map_shapes(lambda shape: KerasTensor(shape, self.compute_dtype), input_shape))

    # -- looking --------------------------------------------------------------------------------------------------------------
    def summary(self, line_length: int | None = None, positions: Sequence[float] | None = None, print_fn: Callable | None = None,
                expand_nested: bool = False, show_trainable: bool = False, layer_range: Sequence[str] | None = None) -> None:
        """Print a table of the layers: the shapes of their outputs, how many weights they have, and what they are connected to.

        line_length: the width in characters. print_fn: what is called with the text, instead of printing it. expand_nested: the layers of
        models in the model too. show_trainable: a column that says which layers are trained. layer_range: (first, last) name of the layers
        to show, as regular expressions. `positions` is there for scripts that give it: columns are as wide as what is in them.
        """
        print_summary(self, line_length=line_length, print_fn=print_fn, expand_nested=expand_nested, show_trainable=show_trainable,
                      layer_range=layer_range)

    # -- configuration --------------------------------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """Of a functional model its layers and how they are connected, of a class of one's own the arguments it was made with."""
        if self._network is not None and type(self).__init__ is Model.__init__:
            return {**self.base_config(), **network_config(self._network)}
        return {**self.base_config(), **(self.given_config() if type(self).get_config is Model.get_config else {})}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The model of what `get_config` has returned: the same layers, with new weights."""
        with custom_object_scope(custom_objects or {}):
            if {"layers", "input_layers", "output_layers"} <= config.keys():
                config = dict(config)
                inputs, outputs = network_of(*(config.pop(key) for key in ("layers", "input_layers", "output_layers")))
                return cls(inputs=inputs, outputs=outputs, **config)
            return super().from_config(config)

    def to_json(self, **kwargs) -> str:
        """The configuration as JSON, without the weights. Arguments are those of `json.dumps`."""
        return json.dumps(serialize(self), **kwargs)

    # -- files ----------------------------------------------------------------------------------------------------------------
    def save_weights(self, filepath: str | os.PathLike, overwrite: bool = True) -> None:
        """Write the weights to a file in the format safetensors (see `models.weights`)."""
        save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike, skip_mismatch: bool = False) -> None:
        """Read the weights that `save_weights` has written, from a file of its own or from that of a whole model.

        InvalidModelError where the file is damaged, or where it does not have the weights of this model; with `skip_mismatch` what does not
        fit is left as it is.
        """
        load_weights(self, filepath, skip_mismatch)

    def save(self, filepath: str | os.PathLike, overwrite: bool = True, zipped: bool | None = None, **kwargs) -> None:
        """Write the model to one file: configuration and weights (see `models.saving`)."""
        from dlcompile.models.saving import save_model  # which makes models

        save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def parts_to_save(self, include_optimizer: bool = True) -> dict[str, bytes]:
        """Further parts of the model's file, by name: how it is trained, and what its optimizer keeps."""
        return training_parts(self, include_optimizer)

    def take_saved_parts(self, read: Callable[[str], bytes | None], compile: bool = True) -> None:  # noqa: A002
        """Take back what `parts_to_save` has given: read(name) is a part, None where the file has none of that name."""
        take_training_parts(self, read, compile)

    def save_training_state(self, filepath: str | os.PathLike, epoch: int = 0) -> None:
        """Write all that a training needs to go on as if it had not been interrupted (see `models.state`)."""
        save_training_state(self, filepath, epoch)

    def load_training_state(self, filepath: str | os.PathLike) -> int:
        """Take back what `save_training_state` has written; returns the number of epochs that there were."""
        return load_training_state(self, filepath)

    # -- compiling ------------------------------------------------------------------------------------------------------------
    def graph(self, batch: int | None = None, training: bool = False) -> Graph:
        """The model as a graph with its weights as constants, which `dlcompile.compile` takes (see `models.export`)."""
        from dlcompile.models.export import graph_of  # which imports the compiler

        return graph_of(self, batch, training)

    def export(self, filepath: str | os.PathLike, format: str | None = None, **kwargs) -> Path:  # noqa: A002
        """Write the model as ONNX (.onnx) or compiled to a library (.so), with its weights (see `models.export`)."""
        from dlcompile.models.export import export_model  # which imports the compiler

        return export_model(self, filepath, format, **kwargs)

    def export_training(self, filepath: str | os.PathLike, batch: int | None = None, name: str | None = None, target: Any = "native",
                        **kwargs) -> Path:
        """Write a library with which the model trains from C, and its header (see `models.training_library`)."""
        from dlcompile.models.training_library import export_training  # which imports the compiler

        return export_training(self, filepath, batch, name, target, **kwargs)


def _for_any_batch(type_: TensorType) -> TensorType:
    return TensorType(type_.dtype, (symbol("batch"), *type_.shape[1:])) if type_.rank else type_


def _one_or_list(items: list) -> Any:
    return items[0] if len(items) == 1 else items


__all__ = ["Model"]

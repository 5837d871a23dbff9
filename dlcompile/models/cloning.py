"""Models like another, with layers of their own."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dlcompile import tree
from dlcompile.errors import ArgumentError
from dlcompile.layers.base import Layer
from dlcompile.layers.input_layer import InputLayer
from dlcompile.layers.symbolic import KerasTensor, Operation, OpsFunction
from dlcompile.models.model import Model
from dlcompile.models.network import Network
from dlcompile.models.sequential import Sequential


def clone_model(model: Model, input_tensors: Any = None, clone_function: Callable[[Layer], Layer] | None = None,
                call_function: Callable[..., Any] | None = None, recursive: bool = False) -> Any:
    """A model like the given one with new layers, and so new weights.

    clone_function: layer → layer, instead of one with the same configuration. input_tensors: symbolic tensors for the new model to begin
    with. call_function: (layer, *args, **kwargs) → result, instead of calling the layer. recursive: models in the model are cloned the same
    way.
    """
    def copied(layer: Layer) -> Layer:
        if isinstance(layer, Model) and recursive and layer._network is not None:
            return clone_model(layer, None, clone_function, call_function, True)
        return layer.from_config(layer.get_config()) if clone_function is None else clone_function(layer)

    if isinstance(model, Sequential):
        layers = [copied(layer) for layer in model.layers]
        first = tree.flatten(input_tensors)[:1]
        if input_tensors is None:
            first = [layer.from_config(layer.get_config()) for layer in model._layers[:1] if isinstance(layer, InputLayer)]
        return Sequential([*first, *layers], name=model.name, trainable=model.trainable)
    if model._network is None:
        if clone_function is not None or input_tensors is not None:
            raise ArgumentError(f"model {model.name!r} is a class of its own: it has layers, but what is between them only its call() knows")
        return model.from_config(model.get_config())
    inputs, outputs = _connected(model._network, copied, input_tensors, call_function)
    kind = type(model) if type(model).__init__ is Model.__init__ else Model
    return kind(inputs=inputs, outputs=outputs, name=model.name, trainable=model.trainable)


def _connected(network: Network, copied: Callable[[Layer], Layer], input_tensors: Any, call_function: Callable | None) -> tuple[Any, Any]:
    """Inputs and outputs of new layers, connected as the layers of a network are."""
    if input_tensors is None:
        begin = [t.history[0].operation.from_config(t.history[0].operation.get_config()).output for t in network.inputs]
    else:
        begin = tree.flatten(input_tensors)
        if len(begin) != len(network.inputs) or not all(isinstance(t, KerasTensor) for t in begin):
            raise ArgumentError(f"input_tensors are {len(network.inputs)} symbolic tensors")
    values: Mapping[KerasTensor, Any] = dict(zip(network.inputs, begin))
    made: dict[Operation, Operation] = {}
    for call in network.calls:
        old = call.operation
        if isinstance(old, InputLayer):
            continue
        if old not in made:
            made[old] = OpsFunction(old.function, old.name) if isinstance(old, OpsFunction) else copied(old)
        args, kwargs = call.arguments(values)
        result = made[old](*args, **kwargs) if call_function is None else call_function(made[old], *args, **kwargs)
        values.update(zip(call.outputs, tree.flatten(result)))
    return (tree.pack_sequence_as(network.inputs_structure, begin), tree.map_structure(values.__getitem__, network.outputs_structure))


__all__ = ["clone_model"]

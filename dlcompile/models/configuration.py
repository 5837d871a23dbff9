"""The configuration of a functional model: its layers, and for each the calls that were made of it. The form is Keras's.

    {"layers": [{"module", "class_name", "config", "name", "inbound_nodes": [{"args": […], "kwargs": {…}}]}, …],
     "input_layers": ["input_layer", 0, 0], "output_layers": …}

A symbolic tensor is written as {"class_name": "__keras_tensor__", "config": {"keras_history": [layer, call, output]}}, and [layer, call,
output] where nothing else can stand. Slices, tuples and the like, which JSON does not have, are objects with a class name too.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcompile import tree
from dlcompile.errors import InvalidModelError
from dlcompile.layers.symbolic import Call, KerasTensor, Operation
from dlcompile.models.network import Network
from dlcompile.registry import deserialize, serialize

TENSOR, TUPLE, SLICE, ELLIPSIS = "__keras_tensor__", "__tuple__", "__slice__", "__ellipsis__"


# -- writing ------------------------------------------------------------------------------------------------------------------
def network_config(network: Network) -> dict[str, Any]:
    """The configuration of a network. ArgumentError for a layer, function or argument that a file cannot hold."""
    numbers: dict[Call, int] = {}
    calls_of: dict[Operation, list[Call]] = {operation: [] for operation in network.operations}
    for call in [*(t.history[0] for t in network.inputs), *network.calls]:
        if call not in numbers:
            numbers[call] = len(calls_of[call.operation])
            calls_of[call.operation].append(call)

    def place(tensor: KerasTensor) -> list:
        call, index = tensor.history
        return [call.operation.name, numbers[call], index]

    layers = []
    for operation in network.operations:
        nodes = [] if not calls_of[operation][0].inputs and not calls_of[operation][0].args else [
            {"args": _written(list(call.args), place), "kwargs": _written(call.kwargs, place)} for call in calls_of[operation]]
        layers.append({**serialize(operation), "name": operation.name, "inbound_nodes": nodes})
    return {"layers": layers, "input_layers": tree.map_structure(place, network.inputs_structure),
            "output_layers": tree.map_structure(place, network.outputs_structure)}


def _written(value: Any, place) -> Any:
    """An argument of a call as JSON can hold it."""
    if isinstance(value, KerasTensor):
        return {"class_name": TENSOR, "config": {"shape": list(value.shape), "dtype": value.dtype, "keras_history": place(value)}}
    if isinstance(value, tuple):
        return {"class_name": TUPLE, "config": [_written(item, place) for item in value]}
    if isinstance(value, list):
        return [_written(item, place) for item in value]
    if isinstance(value, slice):
        return {"class_name": SLICE, "config": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"class_name": ELLIPSIS, "config": {}}
    if isinstance(value, Mapping):
        return {str(key): _written(item, place) for key, item in value.items()}
    if isinstance(value, np.ndarray) and not value.ndim:
        return {"class_name": "__numpy__", "config": {"value": value.item(), "dtype": value.dtype.name}}
    return serialize(value)


# -- reading ------------------------------------------------------------------------------------------------------------------
def network_of(layers: Any, input_layers: Any, output_layers: Any) -> tuple[Any, Any]:
    """Inputs and outputs of a model with the layers of a configuration. InvalidModelError where they are not connected as it says."""
    made: dict[str, Operation] = {}
    waiting: dict[str, list[Mapping[str, Any]]] = {}
    for told in layers:
        name = told.get("name", told["config"].get("name"))
        operation = deserialize({key: value for key, value in told.items() if key != "inbound_nodes"})
        if not isinstance(operation, Operation):
            raise InvalidModelError(f"{name!r} of a model's configuration is no layer but a {type(operation).__name__}")
        made[name], waiting[name] = operation, list(told.get("inbound_nodes", ()))
    # files of Keras count the calls of a functional model in a model from 1: the first is that of the model itself
    first = {told.get("name"): 1 for told in layers if told.get("class_name") == "Functional" and str(told.get("module")).startswith("keras")}

    def tensor(place: Any) -> KerasTensor | None:
        """The symbolic tensor [layer, call, output]; None where that call has not been made yet."""
        name, call, index = place
        if name not in made:
            raise InvalidModelError(f"a model's configuration mentions a layer {name!r}, which it does not have")
        calls, number = made[name]._calls, call - first.get(name, 0)
        return calls[number].outputs[index] if number < len(calls) else None

    while any(waiting.values()):
        before = sum(map(len, waiting.values()))
        for name, nodes in waiting.items():
            while nodes:
                arguments = _read({"args": nodes[0].get("args", []), "kwargs": nodes[0].get("kwargs", {})}, tensor)
                if arguments is None:
                    break
                made[name](*arguments["args"], **arguments["kwargs"])
                nodes.pop(0)
        if sum(map(len, waiting.values())) == before:
            left = ", ".join(repr(name) for name, nodes in waiting.items() if nodes)
            raise InvalidModelError(f"the layers {left} of a model's configuration depend on each other, or on calls that it does not have")
    return _ends(input_layers, tensor), _ends(output_layers, tensor)


def _ends(structure: Any, tensor) -> Any:
    """The symbolic tensors of a structure whose leaves are [layer, call, output]."""
    if isinstance(structure, Mapping):
        return {key: _ends(value, tensor) for key, value in structure.items()}
    if len(structure) == 3 and isinstance(structure[0], str):
        found = tensor(structure)
        if found is None:
            raise InvalidModelError(f"a model's configuration mentions call {structure[1]} of {structure[0]!r}, which was not made")
        return found
    return [_ends(value, tensor) for value in structure]


def _read(value: Any, tensor) -> Any:
    """The arguments that were written; None where they need a tensor that is not there yet."""
    missing: list[Any] = []

    def read(item: Any) -> Any:
        if isinstance(item, list):
            return [read(child) for child in item]
        if not isinstance(item, Mapping):
            return item
        kind, config = item.get("class_name"), item.get("config")
        if kind == TENSOR:
            found = tensor(config["keras_history"])
            missing.extend([] if found is not None else [config])
            return found
        if kind == TUPLE:
            return tuple(read(child) for child in config)
        if kind == SLICE:
            return slice(*config)
        if kind == ELLIPSIS:
            return Ellipsis
        if kind is not None and config is not None:
            return deserialize(item)
        return {key: read(child) for key, child in item.items()}

    made = read(value)
    return None if missing else made


__all__ = ["network_config", "network_of"]

"""The graph of a functional model: calls of layers between symbolic tensors, in an order in which they can be made."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dlcompile import ops, tree
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor
from dlcompile.layers.base import Layer
from dlcompile.layers.input_layer import Input, InputLayer
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.symbolic import Call, KerasTensor, Operation, shape_of
from dlcompile.masks import mask_of, set_mask


class Network:
    """What is between `inputs` and `outputs`, symbolic tensors or structures of them.

    calls:      the calls that the outputs depend on, each after those that it depends on.
    operations: the layers and functions that are called, by the length of the longest way to an output, the longest first.
    """

    def __init__(self, inputs: Any, outputs: Any):
        for what, structure in (("inputs", inputs), ("outputs", outputs)):
            for leaf in tree.flatten(structure):
                if not isinstance(leaf, KerasTensor):
                    raise ArgumentError(f"{what} of a model are symbolic tensors, that come from Input() and from layers called with such, not "
                                        f"{type(leaf).__name__} {leaf!r}")
        repeated = tree.flatten(inputs)
        if len(set(repeated)) != len(repeated):
            raise ArgumentError(f"an input of a model is given twice: {', '.join(t.name for t in repeated)}")
        if not all(_is_input(t) for t in tree.flatten(inputs)):
            inputs, outputs = _with_own_inputs(inputs, outputs)
        self.inputs_structure, self.outputs_structure = inputs, outputs
        self.inputs: list[KerasTensor] = tree.flatten(inputs)
        self.outputs: list[KerasTensor] = tree.flatten(outputs)
        self.calls, self.operations = _ordered(self.inputs, self.outputs)
        names = [operation.name for operation in self.operations]
        for name in names:
            if names.count(name) > 1:
                raise ArgumentError(f"{names.count(name)} layers of a model are called {name!r}; names in a model are unique")

    @property
    def layers(self) -> list[Layer]:
        """The operations that are layers."""
        return [operation for operation in self.operations if isinstance(operation, Layer)]

    @property
    def input_names(self) -> list[str]:
        return [_origin(t).operation.name for t in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that the outputs come from."""
        return [_origin(t).operation.name for t in self.outputs]

    @property
    def input_spec(self) -> list[InputSpec]:
        """What the inputs are like, by their names or the keys of a dictionary; the batch may be of any size."""
        own = self.inputs_structure
        names: Sequence[str | None] = self.input_names
        if isinstance(own, Mapping):
            names = sorted(own) if not any(tree.is_nested(value) for value in own.values()) else [None] * len(self.inputs)
        return [InputSpec(shape=(None, *t.shape[1:]), allow_last_axis_squeeze=True, name=name, optional=_origin(t).operation.optional)
                for name, t in zip(names, self.inputs)]

    def run(self, inputs: Any, mask: Any = None) -> Any:
        """The outputs for inputs in the same structure, or for a list of them, or a dictionary by their names."""
        given = self._in_order(inputs)
        masks = [None] * len(given) if mask is None else tree.flatten(mask)
        values: dict[KerasTensor, Any] = {}
        for symbolic, value, its_mask in zip(self.inputs, given, masks):
            values[symbolic] = None if value is None else _as_declared(symbolic, value)
            if its_mask is not None and value is not None:
                set_mask(values[symbolic], its_mask)
        for call in self.calls:
            if isinstance(call.operation, InputLayer):
                continue
            args, kwargs = call.arguments(values)
            results = tree.flatten(call.operation(*args, **kwargs))
            if len(results) != len(call.outputs):
                raise ArgumentError(f"layer {call.operation.name!r} returns {len(results)} values, {len(call.outputs)} when the model was made")
            values.update((symbolic, value) for symbolic, value in zip(call.outputs, results) if isinstance(symbolic, KerasTensor))
        return tree.map_structure(values.__getitem__, self.outputs_structure)

    def _in_order(self, inputs: Any) -> list[Any]:
        """The inputs in the order of `self.inputs`."""
        own = self.inputs_structure
        if isinstance(inputs, Mapping) and not isinstance(own, Mapping):
            return [inputs.get(name) for name in self.input_names]
        if isinstance(own, Mapping) and isinstance(inputs, Mapping):
            return [inputs.get(key) for key in sorted(own)] if set(own) != set(inputs) else tree.flatten(inputs)
        given = tree.flatten(inputs)
        if len(given) != len(self.inputs):
            raise ArgumentError(f"the model takes {len(self.inputs)} inputs ({', '.join(self.input_names)}), {len(given)} are given")
        return given


def _as_declared(symbolic: KerasTensor, value: Tensor) -> Tensor:
    """An input with the type and number of axes of the model's; an axis of extent 1 at the end comes or goes."""
    given, rank = ops.cast(value, symbolic.dtype), len(symbolic.shape)
    if given.rank == rank + 1 and given.shape[-1] == 1:
        given = ops.squeeze(given, -1)
    elif given.rank == rank - 1 and symbolic.shape[-1] == 1:
        given = ops.expand_dims(given, -1)
    if given.rank != rank:
        raise ShapeError(f"input {symbolic.name!r} has shape {symbolic.shape}, what is given {shape_of(value)}")
    if given is not value and mask_of(value) is not None:
        set_mask(given, mask_of(value))
    return given


def _origin(tensor: KerasTensor) -> Call:
    if tensor.history is None:
        raise ArgumentError(f"{tensor!r} comes from no layer; an input of a model is made by Input()")
    return tensor.history[0]


def _is_input(tensor: KerasTensor) -> bool:
    return isinstance(_origin(tensor).operation, InputLayer)


# -- order --------------------------------------------------------------------------------------------------------------------
def _ordered(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> tuple[list[Call], list[Operation]]:
    """The calls, in an order in which they can be made, and the operations. ArgumentError where an output depends on another input.

    Operations are ordered as in Keras, which the order of a model's weights follows: by depth, the number of calls on the longest way from
    an operation to an output, and where that is the same, by when a search from the outputs meets them first.
    """
    calls, met = _reached(outputs)
    declared = dict.fromkeys(_origin(t) for t in inputs)
    for call in calls:
        if isinstance(call.operation, InputLayer) and call not in declared:
            raise _undeclared(call, inputs)
    depth: dict[Call, int] = {}
    deepest: dict[Operation, int] = {}
    for call in reversed(calls):
        own = max(depth.get(call, 0), deepest.get(call.operation, 0))
        depth[call] = deepest[call.operation] = own
        for parent in call.parents:
            depth[parent] = max(own + 1, depth.get(parent, 0))
    for call in declared:
        if call.operation not in deepest:  # an input that no output depends on
            deepest[call.operation], met[call.operation] = 0, -1
    operations = sorted(deepest, key=lambda operation: (-deepest[operation], met[operation]))
    return calls, operations


def _reached(outputs: list[KerasTensor], begin: Collection[KerasTensor] = ()) -> tuple[list[Call], dict[Operation, int]]:
    """The calls between the tensors `begin` (by default the inputs of all) and some outputs, parents first, and the number of each
    operation in the order in which a search from the outputs, depth first, meets it."""
    calls: list[Call] = []
    state: dict[Call, bool] = {}  # False while on the stack, True when done
    met: dict[Operation, int] = {}
    for output in outputs:
        stack = [(_origin(output), False)] if output not in begin else []
        while stack:
            call, leaving = stack.pop()
            if leaving:
                state[call] = True
                calls.append(call)
                continue
            if call in state:
                continue
            state[call] = False
            met.setdefault(call.operation, len(met))
            stack.append((call, True))
            stack.extend((_origin(t), False) for t in reversed(call.inputs) if t not in begin)
    return calls, met


def _undeclared(call: Call, inputs: list[KerasTensor]) -> ArgumentError:
    return ArgumentError(f"an output of the model depends on the input {call.operation.name!r}, which is not among its inputs "
                         f"({', '.join(t.name for t in inputs)})")


def _with_own_inputs(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """Inputs and outputs of a model that begins in the middle of another: at new inputs, on which the calls behind are made again."""
    fresh = {t: t if _is_input(t) else Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in tree.flatten(inputs)}
    values: dict[KerasTensor, Any] = dict(fresh)
    for call in _reached(tree.flatten(outputs), set(fresh))[0]:
        if isinstance(call.operation, InputLayer):
            raise _undeclared(call, list(fresh))
        args, kwargs = call.arguments(values)
        made = tree.flatten(call.operation.symbolic_call(*args, **kwargs))
        values.update(pair for pair in zip(call.outputs, made) if pair[0] not in values)
    return tree.map_structure(fresh.__getitem__, inputs), tree.map_structure(values.__getitem__, outputs)


__all__ = ["Network"]

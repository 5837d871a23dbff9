"""`Sequential`: layers one after the other."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dlcompile.errors import ArgumentError
from dlcompile.layers.base import Layer, is_shape
from dlcompile.layers.calling import inside
from dlcompile.layers.core import Embedding
from dlcompile.layers.input_layer import Input, InputLayer
from dlcompile.layers.symbolic import KerasTensor
from dlcompile.models.model import Model
from dlcompile.models.network import Network
from dlcompile.registry import custom_object_scope, deserialize, serialize


class Sequential(Model):
    """Layers one after the other, each with one input and one output.

        model = Sequential([Input((28, 28, 1)), Flatten(), Dense(10)])

    The weights are made as soon as the shape of the input is known: from an `Input` at the beginning, by `build(input_shape)`, or from what
    the model is first called with.
    """

    untracked = Model.untracked | {"_layers"}
    is_chain = True

    def __init__(self, layers: Iterable[Layer] | None = None, trainable: bool = True, name: str | None = None, **kwargs):
        self._layers: list[Layer] = []
        super().__init__(trainable=trainable, name=name, **kwargs)
        for layer in layers or ():
            self._append(layer)
        self._connect()
        if not trainable:
            self.trainable = False

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Put a layer at the end. ArgumentError for what is no layer, a name that is taken, or an input that is not at the beginning."""
        self._append(layer)
        if not rebuild:
            return
        try:
            if self._network is None:
                self._connect()
            else:
                self._extend(self._network.inputs[0], self._network.outputs[0], self._layers[-1:])
        except Exception:
            self._layers.pop()
            raise

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer away."""
        if not self._layers:
            raise ArgumentError(f"model {self.name!r} has no layer that could be taken away")
        layer = self._layers.pop()
        if rebuild:
            self._connect()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor):  # what Input() returns
            if layer.history is None or not isinstance(layer.history[0].operation, InputLayer):
                raise ArgumentError(f"model {self.name!r} consists of layers; {layer!r} is a result of one")
            layer = layer.history[0].operation
        if not isinstance(layer, Layer):
            raise ArgumentError(f"model {self.name!r} consists of layers, not of {type(layer).__name__} {layer!r}"
                                + (f"; an object of the class is made by {layer.__name__}(…)" if isinstance(layer, type) else ""))
        if isinstance(layer, InputLayer) and self._layers:
            raise ArgumentError(f"model {self.name!r} begins with {self._layers[0].name!r}; an input comes before all others")
        if any(other.name == layer.name for other in self._layers):
            raise ArgumentError(f"model {self.name!r} has a layer {layer.name!r} already; names in a model are unique")
        if not self._layers and layer.first_shape is not None and not isinstance(layer, InputLayer):
            self._layers.append(InputLayer(layer.first_shape, dtype=layer.dtype))
        self._layers.append(layer)

    def _connect(self) -> None:
        """Make the functional model, if the shape of the input is known."""
        self._network, self.built = None, False
        first = self._layers[0] if self._layers else None
        if isinstance(first, InputLayer) and len(self._layers) > 1:
            self._extend(first.output, first.output, self.layers)
        elif isinstance(first, Model) and first._network is not None and len(first.inputs) == 1:
            begin = Input(batch_shape=first.inputs[0].shape, dtype=first.inputs[0].dtype)
            self._extend(begin, begin, self.layers)

    def _extend(self, begin: KerasTensor, x: KerasTensor, layers: Sequence[Layer]) -> None:
        """Make the functional model from `begin` to what the layers make of x."""
        with inside(self):
            for layer in layers:
                x = layer(x)
                if not isinstance(x, KerasTensor):
                    raise ArgumentError(f"layer {layer.name!r} of the sequential model {self.name!r} has more than one output")
        self._network, self.built = Network(begin, x), True

    @property
    def layers_inside(self) -> list[Layer]:
        return self.layers

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the weights, for inputs of the given shape, batch included."""
        if self._network is not None:
            return
        if not self.layers:
            raise ArgumentError(f"model {self.name!r} has no layers")
        if not input_shape or not is_shape(input_shape):
            raise ArgumentError(f"a sequential model is built for one input, of one shape, not {input_shape!r}")
        x = Input(batch_shape=(None, *tuple(input_shape)[1:]), dtype=self._input_type())
        self._layers.insert(0, x.history[0].operation)
        try:
            self._extend(x, x, self.layers)
        except Exception:
            del self._layers[0]
            raise

    def _input_type(self) -> str:
        """What the first layer takes: integers, if it looks things up."""
        first = self.layers[0]
        while isinstance(first, Sequential) and first.layers:
            first = first.layers[0]
        return "int32" if isinstance(first, Embedding) else self.compute_dtype

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self._network is None:
            raise ArgumentError(f"model {self.name!r} has no layers")
        return super().call(inputs, training, mask)

    def get_config(self) -> dict[str, Any]:
        return {**Layer.get_config(self), "layers": [serialize(layer) for layer in self._layers]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        config = dict(config)
        config.pop("build_input_shape", None)
        with custom_object_scope(custom_objects or {}):
            layers = [deserialize(layer) for layer in config.pop("layers")]
            return cls(layers, **config)


__all__ = ["Sequential"]

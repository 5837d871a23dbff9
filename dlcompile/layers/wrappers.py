"""Layers around a layer: the same for each step, and in both directions."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlcompile import ops, tree
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import one_of
from dlcompile.layers.tracking import own_variables
from dlcompile.loops import scan
from dlcompile.registry import deserialize, serialize


class Wrapper(Layer):
    """A layer around another one, which it has as `layer`."""

    def __init__(self, layer: Layer, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ArgumentError(f"layer {self.name!r} is put around a layer, not around {type(layer).__name__} {layer!r}")
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built and not self.layer.builds_in_call:
            self.layer.build(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        config = dict(config)
        return cls(deserialize(config.pop("layer")), **config)


class TimeDistributed(Wrapper):
    """A layer applied to each step of its input: [batch, steps, …] → [batch, steps, …].

    All steps are handed to the layer at once, as if they were samples; in training, a layer that keeps statistics is given one step after
    the other.
    """

    def __init__(self, layer: Layer, **kwargs):
        super().__init__(layer, **kwargs)
        self.supports_masking = True
        self.input_spec = InputSpec(min_ndim=3)

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Any:
        arguments = {} if training is None or not self.layer.call_signature.training else {"training": training}
        masked = mask is not None and "mask" in self.layer.call_signature.names
        if mask is not None and (mask.rank < 2 or any(isinstance(m, int) and isinstance(n, int) and m != n for m, n in zip(mask.shape[:2],
                                                                                                                           inputs.shape))):
            raise ShapeError(f"layer {self.name!r}: a mask is [batch, steps, …], for an input {inputs.type} not {mask.type}")
        if training and any(not v.trainable for inner in self.layer.flatten_layers() if inner.trainable for v in own_variables(inner)):
            return self._one_by_one(inputs, mask if masked else None, arguments)
        batch, steps = inputs.shape[:2]
        if masked:
            arguments["mask"] = ops.reshape(mask, (batch * steps, *mask.shape[2:]))
        result = self.layer(ops.reshape(inputs, (batch * steps, *inputs.shape[2:])), **arguments)
        return tree.map_structure(lambda y: ops.reshape(y, (batch, steps, *y.shape[1:])), result)

    def _one_by_one(self, inputs: Tensor, mask: Any, arguments: dict[str, Any]) -> Any:
        """A scan over the steps, so that what the layer keeps goes from step to step."""
        def first(x: Tensor) -> Tensor:
            return ops.transpose(x, (1, 0, *range(2, x.rank)))

        steps = [first(inputs), *(() if mask is None else (first(mask),))]
        _, result = scan(lambda _, x: ((), self.layer(x[0], **arguments, **({} if mask is None else {"mask": x[1]}))), (), steps)
        return tree.map_structure(first, result)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


MERGE_MODES = ("sum", "mul", "ave", "concat", None)


class Bidirectional(Layer):
    """A recurrent layer from the first step to the last, and one from the last to the first, on the same sequences.

    layer: the first; the second is one like it, or `backward_layer`. merge_mode: what becomes of the two outputs: "concat", "sum", "mul",
    "ave" (the mean), or None for both of them. With return_state the states of the first come first.
    """

    def __init__(self, layer: Layer, merge_mode: str | None = "concat", weights: Sequence[Any] | None = None,
                 backward_layer: Layer | None = None, **kwargs):
        super().__init__(**kwargs)
        for what in (layer, *(() if backward_layer is None else (backward_layer,))):
            if not isinstance(what, Layer) or not hasattr(what, "go_backwards"):
                raise ArgumentError(f"layer {self.name!r} goes over sequences by a recurrent layer, not by {type(what).__name__}")
        self.merge_mode = one_of(f"layer {self.name!r}", "merge_mode", merge_mode, MERGE_MODES)
        self.forward_layer = _like(layer, f"forward_{layer.name.removeprefix('forward_')}")
        self.backward_layer = backward_layer or _like(layer, f"backward_{layer.name.removeprefix('backward_')}",
                                                      go_backwards=not layer.go_backwards)
        self._given_backward = backward_layer is not None
        self._check()
        self.return_sequences, self.return_state, self.stateful = layer.return_sequences, layer.return_state, layer.stateful
        for each in (self.forward_layer, self.backward_layer):
            if hasattr(each, "zero_output_for_mask"):  # what is left out has the same place in both
                each.zero_output_for_mask = each.return_sequences
        self.supports_masking = True
        self.input_spec = layer.input_spec
        self._initial_weights = None if weights is None else list(weights)

    def _check(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ArgumentError(f"layer {self.name!r}: both layers have go_backwards={forward.go_backwards}, so they go in the same direction")
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise ArgumentError(f"layer {self.name!r}: {name} is {getattr(forward, name)} in the first layer and {getattr(backward, name)} "
                                    "in the second")

    def build(self, sequences_shape: Sequence[int | None], initial_state_shape: Any = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._initial_weights is not None:
            self.set_weights(self._initial_weights)

    def call(self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        states: list[Any] = [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            if len(initial_state) != 2 * half:
                raise ArgumentError(f"layer {self.name!r} takes the states of both layers, {len(initial_state)} are given")
            states = [initial_state[:half], initial_state[half:]]
        results = []
        for layer, state in zip((self.forward_layer, self.backward_layer), states):
            arguments = {"initial_state": state, "mask": mask, "training": training}
            results.append(layer(sequences, **{n: v for n, v in arguments.items() if v is not None and n in layer.call_signature.names}))
        last = [state for result in results for state in result[1:]] if self.return_state else []
        y, back = (result[0] if self.return_state else result for result in results)
        if self.return_sequences:
            back = ops.reverse(back, 1)
        merged = self._merged(y, back)
        if not self.return_state:
            return merged
        return (*merged, *last) if self.merge_mode is None else (merged, *last)

    def _merged(self, y: Tensor, back: Tensor) -> Any:
        match self.merge_mode:
            case "concat":
                return ops.concatenate([y, back], -1)
            case "sum":
                return ops.add(y, back)
            case "mul":
                return ops.mul(y, back)
            case "ave":
                return ops.mul(ops.add(y, back), scalar(y, 0.5))
        return y, back

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        mask = tree.flatten(previous_mask)[0]
        output = mask if self.return_sequences else None
        outputs = [output, output] if self.merge_mode is None else [output]
        if not self.return_state:
            return outputs if self.merge_mode is None else output
        return [*outputs, *(None for layer in (self.forward_layer, self.backward_layer) for _ in tree.flatten(layer.state_size))]

    def reset_state(self) -> None:
        """Of layers that keep their states: begin with zeros again."""
        for layer in (self.forward_layer, self.backward_layer):
            layer.reset_state()

    reset_states = reset_state

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "merge_mode": self.merge_mode, "layer": serialize(self.forward_layer)}
        if self._given_backward:
            config["backward_layer"] = serialize(self.backward_layer)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Bidirectional:
        config = dict(config)
        layers = {name: deserialize(config.pop(name)) for name in ("layer", "backward_layer") if config.get(name) is not None}
        return cls(**layers, **config)


def _like(layer: Layer, name: str, **changes: Any) -> Layer:
    """A layer with the same configuration under another name."""
    told = serialize(layer)
    return deserialize({**told, "config": {**told["config"], "name": name, **changes}})


__all__ = ["Bidirectional", "TimeDistributed", "Wrapper"]

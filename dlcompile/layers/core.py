"""Dense layers, activations as layers, lookups, and what wraps a function or a layer."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor, as_dtype
from dlcompile.layers.base import Layer
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import last_extent, options_of, positive, take, told, weight
from dlcompile.registry import custom_object, deserialize, function_name, serialize


class Dense(Layer):
    """activation(x kernel + bias) along the last axis: x [batch, …, in] → [batch, …, units].

    Weights: kernel [in, units], bias [units].
    """

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        positive(self.name, units=units)
        take(self, units=int(units), activation=activation, use_bias=use_bias, kernel_initializer=kernel_initializer,
             bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
             kernel_constraint=kernel_constraint, bias_constraint=bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        width = last_extent(self, input_shape)
        self.kernel = weight(self, "kernel", (width, self.units))
        self.bias = weight(self, "bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: width})

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.matmul(ops.cast(inputs, self.compute_dtype), self.kernel)
        return self.activation(x if self.bias is None else ops.add(x, self.bias))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "units", "activation", "use_bias", *options_of("kernel", "bias"))}


class Activation(Layer):
    """A function applied to each element, or along an axis: a name such as "relu", or a function of a tensor."""

    def __init__(self, activation: Any, **kwargs):
        super().__init__(**kwargs)
        take(self, activation=activation)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "activation")}


class Identity(Layer):
    """What it is given."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


class Embedding(Layer):
    """Rows of a table: integers x [batch, …] in [0, input_dim) → [batch, …, output_dim].

    mask_zero: 0 stands for nothing, and the mask says where that is.
    Weight: embeddings [input_dim, output_dim].
    """

    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform", embeddings_regularizer: Any = None,
                 embeddings_constraint: Any = None, mask_zero: bool = False, weights: Any = None, **kwargs):
        kwargs.pop("input_length", None)  # scripts for Keras 2 give it; the length is that of the input
        super().__init__(**kwargs)
        positive(self.name, input_dim=input_dim, output_dim=output_dim)
        take(self, input_dim=int(input_dim), output_dim=int(output_dim), embeddings_initializer=embeddings_initializer,
             embeddings_regularizer=embeddings_regularizer, embeddings_constraint=embeddings_constraint, mask_zero=mask_zero)
        self.supports_masking = mask_zero
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, (list, tuple)) else [weights])

    @property
    def converts_inputs(self) -> bool:
        return False

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self.embeddings = weight(self, "embeddings", (self.input_dim, self.output_dim))

    def call(self, inputs: Tensor) -> Tensor:
        whole = inputs.dtype if inputs.dtype in (np.int32, np.int64) else as_dtype(np.int32)
        return ops.gather(self.embeddings, ops.cast(inputs, whole), 0)

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> Tensor | None:
        return ops.ne(inputs, 0) if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "input_dim", "output_dim", *options_of("embeddings"), "mask_zero")}


class Masking(Layer):
    """x [batch, steps, features] with the mask of the steps in which not all features are `mask_value`; what they are elsewhere is made
    0."""

    def __init__(self, mask_value: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> Tensor:
        return ops.reduce_or(ops.ne(inputs, np.asarray(self.mask_value, inputs.dtype)), -1)

    def call(self, inputs: Tensor) -> Tensor:
        steps = ops.expand_dims(self.compute_mask(inputs), -1)
        return ops.select(steps, inputs, np.zeros((), inputs.dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}


class Lambda(Layer):
    """A function of tensors as a layer.

    function: of the inputs, and of `mask` and `training` where it has such arguments; arguments: further ones. mask: a mask, or a function
    (inputs, mask) → mask. output_shape is there for scripts that give it: the shape is seen from the function. A file names the function,
    and it is found by that name among `custom_objects` or what is registered; a lambda has none and cannot be saved.
    """

    def __init__(self, function: Callable, output_shape: Any = None, mask: Any = None, arguments: Mapping[str, Any] | None = None, **kwargs):
        super().__init__(**kwargs)
        if not callable(function):
            raise ArgumentError(f"layer {self.name!r}: its function is {function!r}, which cannot be called")
        self.function, self.mask, self.arguments = function, mask, dict(arguments or {})
        self.supports_masking = mask is not None
        names = _argument_names(function)
        self._passes = [name for name in ("mask", "training") if name in names]

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        known = {"mask": mask, "training": training}
        return self.function(inputs, **{name: known[name] for name in self._passes}, **self.arguments)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        config = {"function": function_name(self.function), "arguments": serialize(self.arguments)}
        if self.mask is not None:
            config["mask"] = function_name(self.mask) if callable(self.mask) else serialize(self.mask)
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Lambda:
        config = dict(config)
        for name in ("function", "mask"):
            if isinstance(config.get(name), (str, Mapping)):
                config[name] = _named_function(config[name], config.get("name"))
        config["arguments"] = deserialize(config.get("arguments"))
        return cls(**config)


def _argument_names(function: Callable) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _named_function(told: Any, layer: Any) -> Callable:
    """The function that a file names."""
    name = told.get("config") if isinstance(told, Mapping) else told
    found = custom_object(name) if isinstance(name, str) else None
    if found is None:
        raise ArgumentError(f"layer {layer!r}: its function {name!r} is not known; hand it over as custom_objects={{{name!r}: …}}, or decorate it "
                            "with register_keras_serializable. Code in a file is not executed")
    return found


__all__ = ["Activation", "Dense", "Embedding", "Identity", "Lambda", "Masking"]

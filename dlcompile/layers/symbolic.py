"""The functional API: symbolic tensors, and the calls that they come from.

    x = Input((3,))                  # a KerasTensor: shape (None, 3), no values
    y = Dense(2)(x)                  # another one, whose history is this call

A `KerasTensor` has a type with symbolic dimensions, as tensors of a graph do, so that what a layer makes of it is found by tracing the
layer once. Functions of `dlcompile.ops` and Python's operators work on it too: they become operations of the model (`OpsFunction`).
"""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile import activations, ops, tree
from dlcompile.errors import ArgumentError
from dlcompile.graph import Dim, DimLike, Tensor, TensorType, as_dtype, dtype_name, make_input, symbol
from dlcompile.naming import auto_name, checked_name, class_name
from dlcompile.ops.methods import install
from dlcompile.variables import tracing, untraced

Shape = tuple[int | None, ...]


def shape_of(value: Any) -> Shape:
    """The shape of a tensor or array, with None for a dimension that is not known."""
    return tuple(None if isinstance(d, Dim) or d is None else int(d) for d in value.shape)


class KerasTensor:
    """A tensor without values: what a functional model is made of.

    shape: its dimensions, None where they are not known. dtype: the name of its type. name: how messages and graphs call it.
    `type` is the same with symbols in place of None: `batch` for the first dimension, one of its own for each other.
    `history`: the call that it comes from, and which of that call's results it is; None for one that comes from nowhere.
    """

    __array_ufunc__ = None  # an array on the left leaves the operation to this one

    def __init__(self, shape: Sequence[int | None], dtype: Any = "float32", name: str | None = None, *, type: TensorType | None = None,
                 history: tuple[Call, int] | None = None):
        self.name = name or auto_name("keras_tensor")
        self.type = type or TensorType(as_dtype(dtype), tuple(_dimension(d, axis, self.name) for axis, d in enumerate(shape)))
        self.history = history

    @property
    def shape(self) -> Shape:
        return shape_of(self.type)

    @property
    def dtype(self) -> str:
        return dtype_name(self.type.dtype)

    @property
    def rank(self) -> int:
        return self.type.rank

    ndim = rank

    def __tensor_function__(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """A function of `ops` with this among its arguments."""
        return OpsFunction(function).symbolic_call(*args, **kwargs)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        raise ArgumentError(f"{self!r} has no values: it stands for what a model will be given. What is computed from it has to be a layer, or a "
                            "function of dlcompile.ops")

    def __bool__(self) -> bool:
        raise ArgumentError(f"{self!r} has no values, so a program cannot decide by it")

    def __len__(self) -> int:
        raise ArgumentError(f"{self!r} has no length that a program could use; see its shape")

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


install(KerasTensor)


def _dimension(d: int | None, axis: int, name: str) -> DimLike:
    """A dimension, or the symbol that stands for one that is not known."""
    if d is None:
        return symbol("batch") if axis == 0 else symbol(re.sub(r"\W", "_", f"{name if name[:1].isalpha() else '_' + name}_{axis}"))
    return d if isinstance(d, Dim) else int(d)


def has_symbols(*structures: Any) -> bool:
    """Whether there is a symbolic tensor among the leaves."""
    return any(isinstance(leaf, KerasTensor) for leaf in tree.flatten(structures))


class Call:
    """An operation applied to symbolic tensors: an edge of a functional model.

    inputs: the symbolic tensors among the arguments. outputs: the leaves of the result, symbolic tensors as a rule; `result` has their
    structure.
    """

    def __init__(self, operation: Operation, args: tuple, kwargs: Mapping[str, Any], result: Any):
        self.operation, self.args, self.kwargs, self.result = operation, args, dict(kwargs), result
        self.inputs = [leaf for leaf in tree.flatten((args, self.kwargs)) if isinstance(leaf, KerasTensor)]
        self.outputs = tree.flatten(result)
        for index, tensor in enumerate(self.outputs):
            if isinstance(tensor, KerasTensor):
                tensor.history = (self, index)
        operation._calls.append(self)

    @property
    def parents(self) -> list[Call]:
        """The calls that the inputs come from."""
        return list(dict.fromkeys(t.history[0] for t in self.inputs if t.history is not None))

    def arguments(self, values: Mapping[KerasTensor, Any]) -> tuple[tuple, dict[str, Any]]:
        """The arguments with other things in place of the symbolic tensors."""
        return tree.map_structure(lambda leaf: values[leaf] if isinstance(leaf, KerasTensor) else leaf, (self.args, self.kwargs))


class Operation:
    """What a functional model applies: a layer, or a function of `dlcompile.ops`."""

    def __init__(self, name: str | None = None):
        self.name = auto_name(class_name(type(self))) if name is None else checked_name(name)
        self._calls: list[Call] = []

    def symbolic_call(self, *args, **kwargs) -> Any:
        """The result for symbolic tensors: it knows that it comes from this call."""
        return Call(self, args, kwargs, self.compute_output_spec(*args, **kwargs)).result

    def compute_output_spec(self, *args, **kwargs) -> Any:
        raise NotImplementedError

    @property
    def input(self) -> Any:
        """The symbolic tensors of its first call, in their structure."""
        call = self._first_call()
        return call.args[0] if len(call.args) == 1 and not call.kwargs else call.inputs[0] if len(call.inputs) == 1 else call.inputs

    @property
    def output(self) -> Any:
        """The result of its first call with symbolic tensors."""
        return self._first_call().result

    def _first_call(self) -> Call:
        if not self._calls:
            raise ArgumentError(f"{self.name} has not been called with symbolic tensors, so there is nothing that it is connected to")
        return self._calls[0]


def placeholders(*structures: Any) -> Any:
    """Structures with an input of a graph in place of each symbolic tensor."""
    made: dict[KerasTensor, Tensor] = {}

    def place(leaf: Any) -> Any:
        if not isinstance(leaf, KerasTensor):
            return leaf
        if leaf not in made:
            made[leaf] = make_input(leaf.name, leaf.type.dtype, leaf.type.shape)
        return made[leaf]

    return tree.map_structure(place, structures)


def specs(structure: Any) -> Any:
    """A structure with a symbolic tensor of the same type in place of each tensor."""
    return tree.map_structure(lambda leaf: KerasTensor((), type=leaf.type) if isinstance(leaf, Tensor) else leaf, structure)


class OpsFunction(Operation):
    """A function of `dlcompile.ops` or `dlcompile.activations` as an operation of a functional model."""

    def __init__(self, function: Callable, name: str | None = None):
        super().__init__(auto_name(function.__name__) if name is None else name)
        self.function = function

    def __call__(self, *args, **kwargs) -> Any:
        return self.symbolic_call(*args, **kwargs) if has_symbols(args, kwargs) else self.function(*args, **kwargs)

    def compute_output_spec(self, *args, **kwargs) -> Any:
        with untraced(), tracing():
            positional, named = placeholders(args, kwargs)
            result = self.function(*positional, **named)
        if not all(isinstance(leaf, Tensor) for leaf in tree.flatten(result)):
            raise ArgumentError(f"{self.function.__name__} does not return tensors, so it cannot be applied to symbolic ones")
        return specs(result)

    def get_config(self) -> dict[str, Any]:
        """The name of the function. ArgumentError for one that is neither of `dlcompile.ops` nor of `dlcompile.activations`."""
        for module, functions in _tables().items():
            for name, function in functions.items():
                if function is self.function:
                    return {"name": self.name, "function": f"{module}.{name}"}
        raise ArgumentError(f"{self.name}: {self.function.__name__} is no function of dlcompile.ops, so a file cannot name it")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> OpsFunction:
        module, _, name = str(config["function"]).partition(".")
        function = _tables().get(module, {}).get(name)
        if function is None:
            raise ArgumentError(f"there is no function {config['function']!r} that a model could apply")
        return cls(function, config.get("name"))


def _tables() -> dict[str, dict[str, Callable]]:
    """The functions that files may name."""
    return {"ops": {**{name: getattr(ops, name) for name in ops.__all__}, "getitem": Tensor.__getitem__},
            "activations": {name: f for name, f in activations.ACTIVATIONS.objects.items() if callable(f)}}


__all__ = ["Call", "KerasTensor", "OpsFunction", "Operation", "has_symbols", "placeholders", "shape_of", "specs"]

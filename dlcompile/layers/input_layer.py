"""Where a functional model begins: `Input`, and the layer behind it."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlcompile import config
from dlcompile.errors import ArgumentError
from dlcompile.layers.base import Layer
from dlcompile.layers.calling import type_name
from dlcompile.layers.symbolic import Call, KerasTensor, Shape


class InputLayer(Layer):
    """The layer that an input of a model comes from: it has no inputs, and one output.

    shape: of one sample, None for what is not known; batch_size: how many samples there are. Or batch_shape: of all of them. dtype: of the
    elements, `config.floatx` by default. optional: whether None may be given for it. input_tensor: a symbolic tensor to be the input.
    """

    def __init__(self, shape: Sequence[int | None] | None = None, batch_size: int | None = None, dtype: Any = None,
                 sparse: bool | None = None, ragged: bool | None = None, batch_shape: Sequence[int | None] | None = None,
                 input_tensor: KerasTensor | None = None, optional: bool = False, name: str | None = None, **kwargs):
        if "input_shape" in kwargs:
            shape = kwargs.pop("input_shape")
        if sparse or ragged:
            raise ArgumentError("sparse and ragged inputs are not supported: a tensor has all of its elements")
        if input_tensor is not None:
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
        super().__init__(name=name, dtype=dtype or config.floatx(), **kwargs)
        if (shape is None) == (batch_shape is None):
            raise ArgumentError(f"input {self.name!r}: either the shape of one sample is given (shape), or that of a batch (batch_shape)")
        self.batch_shape: Shape = _checked_shape(self.name,
                                                 (batch_size, *_sequence(shape)) if batch_shape is None else _sequence(batch_shape))
        if not self.batch_shape:
            raise ArgumentError(f"input {self.name!r}: the first axis is that of the batch, so a shape () of all samples is none")
        self.optional, self.built = optional, True
        tensor = KerasTensor(self.batch_shape, type_name(self.dtype), self.name)
        Call(self, (), {}, tensor)

    @property
    def converts_inputs(self) -> bool:
        return False

    def call(self) -> None:
        """Nothing: its output is what a model is given."""

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": list(self.batch_shape), "dtype": self.dtype, "sparse": False, "ragged": False, "name": self.name,
                "optional": self.optional}


def _sequence(shape: Any) -> tuple:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _checked_shape(name: str, shape: tuple) -> Shape:
    for d in shape:
        if d is not None and (isinstance(d, bool) or not hasattr(d, "__index__") or int(d) < 0):
            raise ArgumentError(f"input {name!r}: a shape has integers that are not negative, or None, not {d!r}")
    return tuple(None if d is None else int(d) for d in shape)


def Input(shape: Sequence[int | None] | None = None, batch_size: int | None = None, dtype: Any = None, sparse: bool | None = None,  # noqa: N802
          ragged: bool | None = None, batch_shape: Sequence[int | None] | None = None, name: str | None = None,
          tensor: KerasTensor | None = None, optional: bool = False) -> KerasTensor:
    """A symbolic tensor to begin a model with. The arguments are those of `InputLayer`.

    >>> Input((28, 28, 1), name="image")
    <KerasTensor shape=(None, 28, 28, 1), dtype=float32, name=image>
    """
    return InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name).output


__all__ = ["Input", "InputLayer"]

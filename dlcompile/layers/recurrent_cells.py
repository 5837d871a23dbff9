"""One step of a recurrent layer: cells, functions of an input and of states that give an output and new states.

A cell of one's own is a layer with `state_size` (an integer, or a list of such), `call(inputs, states)` → (output, new states), and where
the output has another width than the first state, `output_size`.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dlcompile import initializers, ops, random, tree
from dlcompile.errors import ArgumentError
from dlcompile.graph import DimLike, Tensor, as_dtype
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.options import last_extent, options_of, positive, take, told, weight
from dlcompile.random import SeedGenerator
from dlcompile.registry import deserialize, serialize

Masks = tuple[Tensor | None, Tensor | None]
"""what dropout multiplies the inputs and the state with, the same at each step; None: nothing"""


def zeros(batch_size: DimLike, width: int, dtype: str) -> Any:
    """Zeros [batch, width]: an array where the batch is a number."""
    return np.zeros((batch_size, width), as_dtype(dtype)) if isinstance(batch_size, int) else ops.full((batch_size, width), 0,
                                                                                                       as_dtype(dtype))


def split(x: Any, count: int) -> list[Tensor]:
    """A tensor [..., count * n] as `count` tensors [..., n]."""
    width = x.shape[-1] // count
    start = (0,) * (len(x.shape) - 1)
    return [ops.slice(x, (*start, i * width), (*x.shape[:-1], (i + 1) * width)) for i in range(count)]


class GatedCell(Layer):
    """A cell with `gates` products of its input and of its state, each of `units` elements.

    project(x) is what the input adds to the gates, for all steps at once if need be; advance(projected, states) is the rest of a step.
    dropout, recurrent_dropout: shares of the input and of the state that are 0 in training, the same ones at each step.
    Weights: kernel [in, gates * units], recurrent_kernel [units, gates * units], bias [gates * units].
    """

    gates = 1

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
                 recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
                 recurrent_regularizer: Any = None, bias_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 seed: int | None = None, **kwargs):
        kwargs.pop("implementation", None)  # how Keras groups the products
        super().__init__(**kwargs)
        positive(self.name, units=units)
        take(self, units=int(units), activation=activation, use_bias=use_bias, kernel_initializer=kernel_initializer,
             recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
             recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
             recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint)
        self.dropout, self.recurrent_dropout, self.seed = (min(max(dropout, 0.0), 1.0), min(max(recurrent_dropout, 0.0), 1.0), seed)
        if self.dropout or self.recurrent_dropout:
            self.seed_generator = SeedGenerator(seed)
        self._masks: Masks | None = None

    @property
    def state_size(self) -> int | list[int]:
        return self.units

    @property
    def output_size(self) -> int:
        return self.units

    def build(self, input_shape: Sequence[int | None]) -> None:
        width = last_extent(self, input_shape)
        self.kernel = weight(self, "kernel", (width, self.gates * self.units))
        self.recurrent_kernel = weight(self, "recurrent_kernel", (self.units, self.gates * self.units), options="recurrent")
        self.bias = self.build_bias() if self.use_bias else None

    def build_bias(self) -> Any:
        return weight(self, "bias", (self.gates * self.units,))

    def get_initial_state(self, batch_size: DimLike) -> list[Any]:
        return [zeros(batch_size, n, self.compute_dtype) for n in tree.flatten(self.state_size)]

    # -- a step ---------------------------------------------------------------------------------------------------------------
    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        with self.drawn(inputs.shape[0], training) as (of_input, _):
            x = ops.cast(inputs, self.compute_dtype)
            return self.advance(self.project(x if of_input is None else ops.mul(x, of_input)), tree.flatten(states))

    def project(self, x: Tensor) -> Tensor:
        """x [..., in] → [..., gates * units]: the product with the kernel, and the bias."""
        y = ops.matmul(x, self.kernel)
        return y if self.bias is None else ops.add(y, self.bias)

    def advance(self, projected: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The output of a step and the new states."""
        raise NotImplementedError

    def remembered(self, state: Tensor) -> Tensor:
        """The state as the gates see it: without what dropout leaves out."""
        mask = None if self._masks is None else self._masks[1]
        return state if mask is None else ops.mul(state, mask)

    @contextlib.contextmanager
    def drawn(self, batch: DimLike, training: bool | None) -> Iterator[Masks]:
        """A context in which dropout leaves out the same elements at each step; what it multiplies inputs and states with."""
        if self._masks is not None:
            yield self._masks
            return
        rates = (self.dropout, self.recurrent_dropout) if training else (0.0, 0.0)
        widths = (self.kernel.shape[0], self.units)
        self._masks = tuple(random.dropout(ops.full((batch, width), 1, as_dtype(self.compute_dtype)), rate, seed=self.seed_generator)
                            if rate else None for rate, width in zip(rates, widths))
        try:
            yield self._masks
        finally:
            self._masks = None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "units", "activation", "use_bias", *options_of("kernel", "recurrent", "bias"),
                                               "dropout", "recurrent_dropout", "seed")}


class SimpleRNNCell(GatedCell):
    """h = activation(x kernel + h recurrent_kernel + bias)"""

    def advance(self, projected: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h = self.activation(ops.add(projected, ops.matmul(self.remembered(states[0]), self.recurrent_kernel)))
        return h, [h]


class LSTMCell(GatedCell):
    """i, f, o = recurrent_activation(…),  c = f⊙c + i⊙activation(…),  h = o⊙activation(c); gates in the order i, f, c, o (Hochreiter &
    Schmidhuber 1997).

    unit_forget_bias: the bias of f begins with 1.
    """

    gates = 4

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
                 unit_forget_bias: bool = True, kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None,
                 dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None, **kwargs):
        super().__init__(units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
                         recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
                         recurrent_dropout, seed, **kwargs)
        take(self, recurrent_activation=recurrent_activation, unit_forget_bias=unit_forget_bias)

    @property
    def state_size(self) -> list[int]:
        return [self.units, self.units]

    def build_bias(self) -> Any:
        if not self.unit_forget_bias:
            return super().build_bias()
        return self.add_weight(shape=(4 * self.units,), initializer=self._initial_bias, regularizer=self.bias_regularizer,
                               constraint=self.bias_constraint, name="bias")

    def _initial_bias(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        begin = initializers.get(self.bias_initializer)
        n = self.units
        return np.concatenate([np.asarray(begin((n,), dtype=dtype)), np.ones((n,), dtype), np.asarray(begin((2 * n,), dtype=dtype))])

    def advance(self, projected: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        i, f, g, o = split(ops.add(projected, ops.matmul(self.remembered(h), self.recurrent_kernel)), 4)
        c = ops.add(ops.mul(self.recurrent_activation(f), c), ops.mul(self.recurrent_activation(i), self.activation(g)))
        h = ops.mul(self.recurrent_activation(o), self.activation(c))
        return h, [h, c]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "recurrent_activation", "unit_forget_bias")}


class GRUCell(GatedCell):
    """z, r = recurrent_activation(…),  h = z⊙h + (1 - z)⊙activation(x kernel + r⊙(h recurrent_kernel)); gates in the order z, r, h (Cho et
    al. 2014).

    reset_after: r is applied after the product with the recurrent kernel, as written; otherwise before, to h. The bias is then [2, 3 *
    units], of the inputs' products and of the states'.
    """

    gates = 3

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None,
                 kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, reset_after: bool = True, seed: int | None = None, **kwargs):
        super().__init__(units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
                         recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
                         recurrent_dropout, seed, **kwargs)
        take(self, recurrent_activation=recurrent_activation, reset_after=reset_after)

    def build_bias(self) -> Any:
        return weight(self, "bias", (2, 3 * self.units) if self.reset_after else (3 * self.units,))

    def biases(self) -> list[Any]:
        """The bias of the inputs' products, and that of the states'; None where there is none."""
        if self.bias is None or not self.reset_after:
            return [self.bias, None]
        width = 3 * self.units
        return [ops.reshape(ops.slice(self.bias, (row, 0), (row + 1, width)), (width,)) for row in (0, 1)]

    def project(self, x: Tensor) -> Tensor:
        y, bias = ops.matmul(x, self.kernel), self.biases()[0]
        return y if bias is None else ops.add(y, bias)

    def advance(self, projected: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, seen, n = states[0], self.remembered(states[0]), self.units
        xz, xr, xh = split(projected, 3)
        if self.reset_after:
            products, bias = ops.matmul(seen, self.recurrent_kernel), self.biases()[1]
            hz, hr, hh = split(products if bias is None else ops.add(products, bias), 3)
            z, r = self.recurrent_activation(ops.add(xz, hz)), self.recurrent_activation(ops.add(xr, hr))
            candidate = self.activation(ops.add(xh, ops.mul(r, hh)))
        else:
            gates = ops.slice(self.recurrent_kernel, (0, 0), (n, 2 * n))
            hz, hr = split(ops.matmul(seen, gates), 2)
            z, r = self.recurrent_activation(ops.add(xz, hz)), self.recurrent_activation(ops.add(xr, hr))
            last = ops.slice(self.recurrent_kernel, (0, 2 * n), (n, 3 * n))
            candidate = self.activation(ops.add(xh, ops.matmul(ops.mul(r, seen), last)))
        h = ops.add(ops.mul(z, h), ops.mul(ops.sub(scalar(z, 1), z), candidate))
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, "recurrent_activation", "reset_after")}


# -- several cells, one behind the other --------------------------------------------------------------------------------------
def state_sizes(cell: Any) -> list[Any]:
    """`state_size` of a cell as a list."""
    size = getattr(cell, "state_size", None)
    if size is None:
        raise ArgumentError(f"a cell has a `state_size`, the width of its state or a list of widths; {type(cell).__name__} has none")
    return list(size) if isinstance(size, (list, tuple)) else [size]


def output_width(cell: Any) -> int:
    """The width of what a cell puts out: `output_size`, or the width of its first state."""
    size = getattr(cell, "output_size", None)
    return tree.flatten(state_sizes(cell))[0] if size is None else size


def initial_state(cell: Any, batch_size: DimLike, dtype: str) -> list[Any]:
    """The states before the first step: what the cell says, or zeros."""
    if hasattr(cell, "get_initial_state"):
        state = cell.get_initial_state(batch_size=batch_size)
        return list(state) if isinstance(state, (list, tuple)) else [state]
    return [tree.map_structure(lambda n: zeros(batch_size, n, dtype), size) for size in state_sizes(cell)]


def call_cell(cell: Any, inputs: Tensor, states: list[Any], training: bool | None) -> tuple[Tensor, list[Any]]:
    """A step of any cell; the new states as a list."""
    takes = cell.call_signature.training if isinstance(cell, Layer) else False
    step = cell if callable(cell) else cell.call
    output, new = step(inputs, states, **({"training": training} if takes else {}))
    return output, list(new) if isinstance(new, (list, tuple)) else [new]


class StackedRNNCells(Layer):
    """Cells of which each takes the output of the one before. Its states are a list of those of its cells."""

    def __init__(self, cells: Sequence[Any], **kwargs):
        super().__init__(**kwargs)
        if not cells:
            raise ArgumentError(f"layer {self.name!r}: a stack has at least one cell")
        for cell in cells:
            state_sizes(cell)
            if not hasattr(cell, "call"):
                raise ArgumentError(f"layer {self.name!r}: a cell has a method `call`; {type(cell).__name__} has none")
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        return output_width(self.cells[-1])

    def get_initial_state(self, batch_size: DimLike) -> list[Any]:
        return [initial_state(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape: Sequence[int | None]) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], output_width(cell))

    def call(self, inputs: Tensor, states: Sequence[Any], training: bool = False) -> tuple[Tensor, list[Any]]:
        new_states = []
        for cell, state in zip(self.cells, states, strict=True):
            inputs, new = call_cell(cell, inputs, list(state) if isinstance(state, (list, tuple)) else [state], training)
            new_states.append(new)
        return inputs, new_states

    @contextlib.contextmanager
    def drawn(self, batch: DimLike, training: bool | None) -> Iterator[None]:
        """A context in which dropout leaves out the same elements at each step."""
        with contextlib.ExitStack() as stack:
            for cell in self.cells:
                if hasattr(cell, "drawn"):
                    stack.enter_context(cell.drawn(batch, training))
            yield

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": [serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: Any) -> StackedRNNCells:
        config = dict(config)
        return cls([deserialize(cell) for cell in config.pop("cells")], **config)


__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"]

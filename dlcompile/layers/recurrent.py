"""Recurrent layers: a cell applied to each step of sequences [batch, steps, …], its states going from step to step.

LSTM, GRU and SimpleRNN as they are by default are one operator for all steps; everything else is a scan.
"""
from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcompile import activations, ops, tree
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import DimLike, Tensor, TensorType, make_input
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import told
from dlcompile.layers.recurrent_cells import (
    GatedCell,
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    call_cell,
    initial_state,
    split,
    state_sizes,
)
from dlcompile.loops import scan
from dlcompile.registry import deserialize, serialize
from dlcompile.variables import Variable, tracing, untraced


class RNN(Layer):
    """A cell, or a list of cells one behind the other, applied to each step of sequences [batch, steps, …] → [batch, width].

    return_sequences: the outputs of all steps, [batch, steps, width]. return_state: the last states too. go_backwards: from the last step
    to the first; outputs are in that order. stateful: the states at the end are those at the beginning of the next call, sample by sample;
    the number of samples is fixed then. zero_output_for_mask: at a step that a mask leaves out the output is 0, and not the one before.
    `unroll` is there for scripts that give it.
    """

    untracked = Layer.untracked | {"states"}

    def __init__(self, cell: Any, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
                 stateful: bool = False, unroll: bool = False, zero_output_for_mask: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        if not hasattr(self.cell, "call"):
            raise ArgumentError(f"layer {self.name!r}: a cell has a method `call`; {type(cell).__name__} has none")
        self.state_size = state_sizes(self.cell)
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.stateful, self.unroll, self.zero_output_for_mask = stateful, unroll, zero_output_for_mask
        self.supports_masking = True
        self.input_spec = InputSpec(min_ndim=3)
        self.states: list[Variable] | None = None

    def build(self, sequences_shape: Sequence[int | None], initial_state_shape: Any = None) -> None:
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
        if self.stateful:
            if sequences_shape[0] is None:
                raise ArgumentError(f"layer {self.name!r} keeps its states, so the number of samples must be known: Input(batch_shape=…)")
            begin = self.get_initial_state(sequences_shape[0])
            self.states = [Variable(np.asarray(value), trainable=False, name=f"state_{i}") for i, value in enumerate(tree.flatten(begin))]

    def get_initial_state(self, batch_size: DimLike) -> list[Any]:
        """The states before the first step."""
        return initial_state(self.cell, batch_size, self.compute_dtype)

    def reset_state(self) -> None:
        """Of a layer that keeps its states: begin with zeros again."""
        for variable in self.states or ():
            variable.assign(np.zeros(variable.shape, variable.dtype))

    reset_states = reset_state

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        mask = tree.flatten(previous_mask)[0] if self.return_sequences else None
        return [mask, *(None for _ in tree.flatten(self.state_size))] if self.return_state else mask

    # -- calling --------------------------------------------------------------------------------------------------------------
    def call(self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        batch = sequences.shape[0]
        structure = self.get_initial_state(batch)
        if initial_state is not None:
            begin = self._given_states(initial_state, structure)
        elif self.stateful:
            if batch != self.states[0].shape[0]:
                raise ShapeError(f"layer {self.name!r} keeps the states of {self.states[0].shape[0]} samples, {batch} are given")
            begin = tree.pack_sequence_as(structure, [variable.value for variable in self.states])
        else:
            begin = None
        with self.cell.drawn(batch, training) if hasattr(self.cell, "drawn") else contextlib.nullcontext():
            output, states = self.all_steps(sequences, begin, mask, training)
        for variable, state in zip(self.states or (), tree.flatten(states)):
            variable.assign(state)
        return (output, *states) if self.return_state else output

    def _given_states(self, given: Any, structure: list[Any]) -> list[Any]:
        leaves, wanted = tree.flatten(given), tree.flatten(structure)
        if len(leaves) != len(wanted):
            raise ArgumentError(f"layer {self.name!r} has {len(wanted)} states, {len(leaves)} are given")
        return tree.pack_sequence_as(structure, [ops.cast(leaf, self.compute_dtype) for leaf in leaves])

    def all_steps(self, sequences: Tensor, begin: list[Any] | None, mask: Any, training: bool | None) -> tuple[Tensor, list[Any]]:
        """The output, of the last step or of all, and the last states, from the states `begin` (None: the initial ones)."""
        begin = self.get_initial_state(sequences.shape[0]) if begin is None else begin
        steps = _time_first(sequences)
        if isinstance(self.cell, GatedCell):  # the products of the inputs for all steps at once
            of_input = self.cell._masks[0]
            steps = ops.cast(steps, self.cell.compute_dtype)
            steps = self.cell.project(steps if of_input is None else ops.mul(steps, of_input))

        def step(x: Tensor, states: list[Any]) -> tuple[Tensor, list[Any]]:
            return self.cell.advance(x, states) if isinstance(self.cell, GatedCell) else call_cell(self.cell, x, states, training)

        if mask is None:
            states, outputs = scan(lambda carry, x: step(x, carry)[::-1], begin, steps, reverse=self.go_backwards)
        else:
            states, outputs = self._masked(step, begin, steps, _time_first(ops.cast(mask, bool)))
        if self.go_backwards:
            outputs = ops.reverse(outputs, 0)
        return (_time_first(outputs) if self.return_sequences else outputs[-1]), states

    def _masked(self, step: Any, begin: list[Any], steps: Tensor, mask: Tensor) -> tuple[list[Any], Tensor]:
        """The scan in which a step that the mask leaves out changes nothing."""
        if mask.rank != 2:
            raise ShapeError(f"layer {self.name!r}: a mask is [batch, steps], it has {mask.rank} axes")
        output = _type_of_output(step, steps, begin)

        def masked(carry: tuple, x: tuple) -> tuple:
            (states, previous), (inputs, counted) = carry, x
            y, new = step(inputs, states)
            y = ops.select(_as_wide(counted, y), y, scalar(y, 0) if self.zero_output_for_mask else previous)
            kept = [ops.select(_as_wide(counted, after), after, before) for after, before in zip(tree.flatten(new), tree.flatten(states))]
            return (tree.pack_sequence_as(states, kept), y), y

        (states, _), outputs = scan(masked, (begin, ops.full(output.shape, 0, output.dtype)), (steps, mask), reverse=self.go_backwards)
        return states, outputs

    # -- configuration --------------------------------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **told(self, *OPTIONS, "zero_output_for_mask"), "cell": serialize(self.cell)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        config = dict(config)
        if "cell" in config:
            return cls(deserialize(config.pop("cell")), **config)
        return super().from_config(config)


OPTIONS = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")


def _time_first(x: Tensor) -> Tensor:
    """[batch, steps, …] → [steps, batch, …], and back."""
    return ops.transpose(x, (1, 0, *range(2, x.rank)))


def _as_wide(counted: Tensor, x: Tensor) -> Tensor:
    """[batch] with axes of extent 1 at the end, as many as x has."""
    return ops.reshape(counted, (counted.shape[0], *(1,) * (x.rank - 1)))


def _type_of_output(step: Any, steps: Tensor, begin: list[Any]) -> TensorType:
    """The type of what a cell puts out: found by tracing a step, for nothing else."""
    with untraced(), tracing():
        x = make_input("x", steps.dtype, steps.shape[1:])
        states = tree.map_structure(lambda t: make_input("state", t.dtype, t.shape), begin)
        return step(x, states)[0].type


class _Gated(RNN):
    """A recurrent layer with a cell of its own, whose arguments it has too. `kind`: the operator that does all steps, in the layout of
    ONNX."""

    kind = ""
    cell_type: type[GatedCell]

    def __init__(self, units: int, *, layer: Mapping[str, Any], kwargs: dict[str, Any], **cell: Any):
        kwargs.pop("use_cudnn", None)  # which of its ways Keras takes
        shared = {name: kwargs[name] for name in ("dtype", "trainable") if name in kwargs}
        if "implementation" in kwargs:
            kwargs.pop("implementation")
        self.cell_arguments = tuple(cell)
        super().__init__(self.cell_type(units, **cell, **shared), **layer, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """The arguments of the cell are attributes of the layer, too."""
        if not name.startswith("_") and "cell" in vars(self) and (name == "units" or name in vars(self)["cell_arguments"]):
            return getattr(self.cell, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def all_steps(self, sequences: Tensor, begin: list[Any] | None, mask: Any, training: bool | None) -> tuple[Tensor, list[Any]]:
        of_input, of_state = self.cell._masks
        if mask is not None or of_state is not None or not self.is_plain():
            return super().all_steps(sequences, begin, mask, training)
        x = ops.cast(sequences, self.compute_dtype)
        x = _time_first(x if of_input is None else ops.mul(x, ops.expand_dims(of_input, 1)))
        w, r, b = (None if t is None else ops.expand_dims(t, 0) for t in self.operands())
        optional = {"b": b, **dict(zip(("initial_h", "initial_c"), () if begin is None else (ops.expand_dims(t, 0) for t in begin)))}
        optional = {name: t for name, t in optional.items() if t is not None}
        y, *states = getattr(ops, self.kind)(x, w, r, *optional.values(), present=tuple(optional),
                                             direction="reverse" if self.go_backwards else "forward", **self.attributes())
        states = [ops.squeeze(t, 0) for t in states]
        if not self.return_sequences:
            return states[0], states
        y = _time_first(ops.squeeze(y, 1))
        return ops.reverse(y, 1) if self.go_backwards else y, states

    def is_plain(self) -> bool:
        """Whether the cell computes what the operator does."""
        gates = getattr(self.cell, "recurrent_activation", activations.sigmoid)
        return self.cell.activation is activations.tanh and gates is activations.sigmoid

    def operands(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """The weights as the operator has them: w [gates * units, in], r [gates * units, units], b [2 * gates * units] or None."""
        bias = self.cell.bias
        both = None if bias is None else ops.concatenate([bias, np.zeros(bias.shape, bias.dtype)])
        return ops.transpose(self.cell.kernel), ops.transpose(self.cell.recurrent_kernel), both

    def attributes(self) -> dict[str, Any]:
        """Further arguments of the operator."""
        return {}

    def get_config(self) -> dict[str, Any]:
        cell = self.cell.get_config()
        return {**Layer.get_config(self), **told(self, *OPTIONS, "zero_output_for_mask"),
                **{name: cell[name] for name in ("units", *self.cell_arguments)}}


class SimpleRNN(_Gated):
    """h = activation(x kernel + h recurrent_kernel + bias) at each step of sequences [batch, steps, in] → [batch, units].

    Weights: kernel [in, units], recurrent_kernel [units, units], bias [units].
    """

    kind, cell_type = "rnn", SimpleRNNCell

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
                 recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
                 recurrent_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
                 stateful: bool = False, unroll: bool = False, seed: int | None = None, **kwargs):
        super().__init__(units, layer={"return_sequences": return_sequences, "return_state": return_state, "go_backwards": go_backwards,
                                       "stateful": stateful, "unroll": unroll, "activity_regularizer": activity_regularizer}, kwargs=kwargs,
                         activation=activation, use_bias=use_bias, kernel_initializer=kernel_initializer,
                         recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
                         recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
                         recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint, dropout=dropout,
                         recurrent_dropout=recurrent_dropout, seed=seed)


class LSTM(_Gated):
    """Long short-term memory: sequences [batch, steps, in] → [batch, units]. Its states are h and c (see `LSTMCell`).

    Weights, with gates in the order i, f, c, o: kernel [in, 4 * units], recurrent_kernel [units, 4 * units], bias [4 * units].
    """

    kind, cell_type = "lstm", LSTMCell

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
                 unit_forget_bias: bool = True, kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 seed: int | None = None, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
                 stateful: bool = False, unroll: bool = False, use_cudnn: Any = "auto", **kwargs):
        super().__init__(units, layer={"return_sequences": return_sequences, "return_state": return_state, "go_backwards": go_backwards,
                                       "stateful": stateful, "unroll": unroll, "activity_regularizer": activity_regularizer}, kwargs=kwargs,
                         activation=activation, recurrent_activation=recurrent_activation, use_bias=use_bias,
                         kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
                         unit_forget_bias=unit_forget_bias, kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
                         bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint, recurrent_constraint=recurrent_constraint,
                         bias_constraint=bias_constraint, dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed)

    def operands(self) -> tuple[Tensor, Tensor, Tensor | None]:
        w, r, b = (None if t is None else _reordered(t) for t in (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias))
        return ops.transpose(w), ops.transpose(r), None if b is None else ops.concatenate([b, np.zeros(b.shape, b.dtype)])


def _reordered(x: Any) -> Tensor:
    """Gates i, f, c, o along the last axis in ONNX's order i, o, f, c."""
    i, f, c, o = split(x, 4)
    return ops.concatenate([i, o, f, c], -1)


class GRU(_Gated):
    """Gated recurrent unit: sequences [batch, steps, in] → [batch, units] (see `GRUCell`).

    Weights, with gates in the order z, r, h: kernel [in, 3 * units], recurrent_kernel [units, 3 * units], bias [2, 3 * units], or [3 *
    units] with reset_after=False.
    """

    kind, cell_type = "gru", GRUCell

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
                 bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None,
                 return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False, stateful: bool = False,
                 unroll: bool = False, reset_after: bool = True, use_cudnn: Any = "auto", **kwargs):
        super().__init__(units, layer={"return_sequences": return_sequences, "return_state": return_state, "go_backwards": go_backwards,
                                       "stateful": stateful, "unroll": unroll, "activity_regularizer": activity_regularizer}, kwargs=kwargs,
                         activation=activation, recurrent_activation=recurrent_activation, use_bias=use_bias,
                         kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
                         kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer,
                         kernel_constraint=kernel_constraint, recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
                         dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed, reset_after=reset_after)

    def operands(self) -> tuple[Tensor, Tensor, Tensor | None]:
        if self.cell.bias is None or not self.cell.reset_after:
            return super().operands()
        return ops.transpose(self.cell.kernel), ops.transpose(self.cell.recurrent_kernel), ops.reshape(self.cell.bias,
                                                                                                       (6 * self.cell.units,))

    def attributes(self) -> dict[str, Any]:
        return {"linear_before_reset": self.cell.reset_after}


__all__ = ["GRU", "LSTM", "RNN", "SimpleRNN"]

"""Dense layers over any axes, by the subscripts of an Einstein sum."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

from dlcompile import ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor
from dlcompile.initializers import VarianceScaling
from dlcompile.layers.base import Layer
from dlcompile.layers.input_spec import InputSpec
from dlcompile.layers.options import options_of, take, told, weight

DOTS = "..."


@dataclass(frozen=True)
class Terms:
    """The letters of "abc,cd->abd" for an input of some rank, with letters in place of an ellipsis; `elided` are those."""

    inputs: str
    kernel: str
    output: str
    elided: str
    dots_first: bool

    @staticmethod
    def of(layer: str, equation: str, rank: int) -> Terms:
        """ArgumentError for an equation that is not one of "X,Y->Z", "...X,Y->...Z", "X...,Y->Z..."."""
        text = equation.replace(" ", "")
        left, _, output = text.partition("->")
        inputs, _, kernel = left.partition(",")
        plain = [term.replace(DOTS, "") for term in (inputs, kernel, output)]
        places = [(term.startswith(DOTS), term.endswith(DOTS), term.count(DOTS)) for term in (inputs, output)]
        if (not all(plain) or not all(c in ascii_letters for term in plain for c in term) or DOTS in kernel or places[0][2] != places[1][2]
                or places[0][2] > 1 or places[0][2] == 1 and (places[0] != places[1] or not (places[0][0] or places[0][1]))):
            raise ArgumentError(f"layer {layer!r}: an equation is written as 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...', not as {equation!r}")
        count = rank - len(plain[0])
        if count < 0 or count and not places[0][2]:
            raise ShapeError(f"layer {layer!r}: the equation {equation!r} is for an input of {len(plain[0])} axes, not of {rank}")
        spare = "".join(c for c in ascii_letters if c not in text)[:count]
        first = places[0][0]
        inputs, output = (spare + term if first else term + spare for term in (plain[0], plain[2]))
        return Terms(inputs, plain[1], output, spare, first)

    @property
    def equation(self) -> str:
        return f"{self.inputs},{self.kernel}->{self.output}"


class EinsumDense(Layer):
    """activation(einsum(equation, x, kernel) + bias): "abc,cde->abde" is a dense layer from the last axis to two.

    output_shape: the extents of the output's axes, without the batch and those that an ellipsis stands for; None for one that is as in the
    input. bias_axes: the letters of the output that the bias has.
    Weights: kernel, of the shape that the second term says, bias.
    """

    def __init__(self, equation: str, output_shape: int | Sequence[int | None], activation: Any = None, bias_axes: str | None = None,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
                 bias_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs):
        kwargs.pop("gptq_unpacked_column_size", None)
        super().__init__(**kwargs)
        self.equation, self.bias_axes = equation, bias_axes
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        take(self, activation=activation, kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
             kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
             bias_constraint=bias_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        terms = Terms.of(self.name, self.equation, len(input_shape))
        given = dict(zip(terms.inputs, input_shape))
        extents = self._output_extents(terms, given)
        unknown = [c for c in terms.kernel if {**given, **extents}.get(c) is None]
        if unknown:
            raise ArgumentError(f"layer {self.name!r}: the extent {unknown[0]!r} of the kernel in {self.equation!r} is not known, for an input of shape "
                                f"{tuple(input_shape)} and output_shape {self.partial_output_shape}")
        shape = [extents[c] if c in extents else given[c] for c in terms.kernel]
        initializer = self.kernel_initializer
        if isinstance(initializer, VarianceScaling) and initializer.input_axes is None and initializer.output_axes is None:
            initializer = initializer.from_config({**initializer.get_config(),
                                                   "input_axes": [i for i, c in enumerate(terms.kernel) if c not in terms.output],
                                                   "output_axes": [i for i, c in enumerate(terms.kernel) if c in terms.output]})
        self.kernel = self.add_weight(shape=shape, initializer=initializer, regularizer=self.kernel_regularizer,
                                      constraint=self.kernel_constraint, name="kernel")
        self.bias = weight(self, "bias", self._bias_shape(terms, extents)) if self.bias_axes else None
        self.input_spec = InputSpec(ndim=len(input_shape), axes={i: given[c] for i, c in enumerate(terms.inputs) if c in terms.kernel})

    def _output_extents(self, terms: Terms, given: dict[str, int | None]) -> dict[str, int | None]:
        """The extents of the output by letter."""
        own = [c for c in terms.output if c not in terms.elided]
        own = own if terms.dots_first and terms.elided else own[1:]
        if len(own) != len(self.partial_output_shape):
            raise ArgumentError(f"layer {self.name!r}: output_shape of {self.equation!r} has {len(own)} entries, not {len(self.partial_output_shape)}")
        extents = {c: given.get(c) for c in terms.output}
        for c, extent in zip(own, self.partial_output_shape):
            if c in given and None not in (extent, given[c]) and extent != given[c]:
                raise ShapeError(f"layer {self.name!r}: {c!r} of {self.equation!r} is {given[c]} in the input and {extent} in output_shape")
            extents[c] = extent if extent is not None else given.get(c)
        return extents

    def _bias_shape(self, terms: Terms, extents: dict[str, int | None]) -> list[int]:
        """The extents of the output from the first letter of the bias on, 1 for those it does not have."""
        if not all(c in terms.output for c in self.bias_axes):
            raise ArgumentError(f"layer {self.name!r}: bias_axes {self.bias_axes!r} are letters of the output of {self.equation!r}")
        begin = min(terms.output.index(c) for c in self.bias_axes)
        shape = [extents[c] if c in self.bias_axes else 1 for c in terms.output[begin:]]
        if None in shape:
            raise ArgumentError(f"layer {self.name!r}: the extents {self.bias_axes!r} of the bias in {self.equation!r} must be known")
        return shape

    def call(self, inputs: Tensor) -> Tensor:
        terms = Terms.of(self.name, self.equation, inputs.rank)
        y = ops.einsum(terms.equation, ops.cast(inputs, self.compute_dtype), self.kernel)
        return self.activation(y if self.bias is None else ops.add(y, self.bias))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_shape": list(self.partial_output_shape),
                **told(self, "equation", "activation", "bias_axes", *options_of("kernel", "bias"))}


__all__ = ["EinsumDense"]

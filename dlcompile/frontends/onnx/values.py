"""What an ONNX value can be beside a tensor: a sequence of tensors, or an optional value. Both are made of tensors here.

A sequence whose items are known one by one is just these (`Items`). Any other is two arrays (`Packed`): the items' elements one after the other,
and their shapes, a row for each item; so all that can be done to it is indexing and concatenation with sizes that a run knows, and it passes
through branches, loops and the model's interface as tensors do. Its items have one rank. An optional value is a flag and the value.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Union

import numpy as np
import onnx

from dlcompile import ops
from dlcompile.errors import UnsupportedOperatorError
from dlcompile.frontends.onnx.reader import element_type
from dlcompile.frontends.onnx.shapes import assume_equal
from dlcompile.graph import DimLike, Tensor, make_constant


class SequenceValue:
    """A sequence of tensors: `data` [elements of all items], `shapes` int64 [items, rank]. `rank` is None while nobody has said it, as in a
    sequence made empty."""

    data: Tensor
    shapes: Tensor

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def rank(self) -> DimLike | None:
        return self.shapes.shape[1]

    @property
    def length(self) -> DimLike:
        """The number of items."""
        return self.shapes.shape[0]


@dataclass(eq=False)
class Packed(SequenceValue):
    """A sequence as two arrays."""

    data: Tensor
    shapes: Tensor


@dataclass(eq=False)
class Items(SequenceValue):
    """A sequence of which each item is known; `element` is the element type."""

    items: tuple[Tensor, ...]
    element: np.dtype

    @property
    def dtype(self) -> np.dtype:
        return self.element

    @property
    def rank(self) -> DimLike | None:
        return self.items[0].rank if self.items else None

    @property
    def length(self) -> DimLike:
        return len(self.items)

    @cached_property
    def data(self) -> Tensor:
        if not self.items:
            return make_constant(np.zeros(0, self.element))
        return ops.concatenate([ops.reshape(t, (t.type.size,)) for t in self.items])

    @cached_property
    def shapes(self) -> Tensor:
        if not self.is_uniform:
            raise UnsupportedOperatorError("a sequence of tensors of different ranks, of which the run decides which one is read")
        if not self.items:
            return make_constant(np.zeros((0, 0), np.int64))
        return ops.stack([ops.shape_of(t) for t in self.items])

    @property
    def is_uniform(self) -> bool:
        """Whether the items have one rank, so that it can be two arrays."""
        return len({t.rank for t in self.items}) <= 1

    def made_of(self, tensors: Mapping[Tensor, Tensor]) -> Items:
        """The same, made of other tensors; its two arrays, where they are among them, are not made anew."""
        made = Items(tuple(tensors.get(t, t) for t in self.items), self.element)
        if self.is_uniform:
            made.__dict__.update((name, tensors[t]) for name, t in (("data", self.data), ("shapes", self.shapes)) if t in tensors)
        return made

    def of_rank(self, rank: int) -> SequenceValue:
        """The same, an empty one with items of the given rank."""
        return self if self.items else Packed(self.data, make_constant(np.zeros((0, rank), np.int64)))


@dataclass(eq=False)
class OptionalValue:
    """A value that is there where the bool scalar `present` says so. `value` is None where it is never there and nobody has said what it
    would be."""

    present: Tensor
    value: Tensor | SequenceValue | None


@dataclass(eq=False)
class MapsValue:
    """A sequence of maps that have the same keys, as a classifier's probabilities by label: `values` [maps, keys]. A result, and nothing else."""

    keys: tuple[str | int, ...]
    values: Tensor


@dataclass(eq=False)
class MapValue:
    """A map: its keys, each there once, in any order [n], and their values [n]. An input, and nothing else."""

    keys: Tensor
    values: Tensor


Value = Union[Tensor, SequenceValue, OptionalValue, MapsValue, MapValue]


def tensors_of(value: Value | None) -> list[Tensor]:
    """The tensors that a value is made of."""
    if isinstance(value, OptionalValue):
        return [value.present, *tensors_of(value.value)]
    if isinstance(value, SequenceValue):
        return [value.data, value.shapes]
    if isinstance(value, MapsValue):
        return [value.values]
    if isinstance(value, MapValue):
        return [value.keys, value.values]
    return [] if value is None else [value]


def rebuilt(value: Value | None, tensors: Iterator[Tensor]) -> Value | None:
    """A value like `value`, made of other tensors."""
    if isinstance(value, OptionalValue):
        return OptionalValue(next(tensors), rebuilt(value.value, tensors))
    if isinstance(value, SequenceValue):
        return Packed(next(tensors), next(tensors))
    if isinstance(value, MapsValue):
        return MapsValue(value.keys, next(tensors))
    if isinstance(value, MapValue):
        return MapValue(next(tensors), next(tensors))
    return None if value is None else next(tensors)


def alike(a: Value | None, b: Value | None) -> tuple[Value | None, Value | None]:
    """The two values in one form, so that a branch or loop can yield either: what one of them leaves open is taken from the other."""
    if isinstance(a, OptionalValue) or isinstance(b, OptionalValue):
        a, b = as_optional(a), as_optional(b)
        left, right = alike(a.value if a.value is not None else absent(b.value), b.value if b.value is not None else absent(a.value))
        return OptionalValue(a.present, left), OptionalValue(b.present, right)
    if isinstance(a, SequenceValue) and isinstance(b, SequenceValue):
        a = of_rank(a, b.rank) if isinstance(b.rank, int) else a
        b = of_rank(b, a.rank) if isinstance(a.rank, int) else b
    return a, b


def of_rank(sequence: SequenceValue, rank: int) -> SequenceValue:
    """The sequence, its items known to have a rank."""
    if isinstance(sequence, Items):
        return sequence.of_rank(rank)
    assume_equal(sequence.rank, rank, "the rank of the items of a sequence is")
    return Packed(sequence.data, ops.reshape(sequence.shapes, (sequence.length, rank)))


def as_optional(value: Value | None) -> OptionalValue:
    """The value as an optional one."""
    return value if isinstance(value, OptionalValue) else OptionalValue(make_constant(np.bool_(value is not None)), value)


def absent(value: Tensor | SequenceValue | None) -> Tensor | SequenceValue | None:
    """What stands for a value that is not there: of its type and rank, with no elements (one for a scalar)."""
    if value is None:
        return None
    if isinstance(value, SequenceValue):
        return Items((), value.dtype)
    return make_constant(np.zeros((0,) * value.rank, value.dtype))


def value_of_type(proto: onnx.TypeProto, what: str) -> Tensor | SequenceValue | None:
    """What stands for an absent value of an ONNX type."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        rank = len(proto.tensor_type.shape.dim)
        return make_constant(np.zeros((0,) * rank, element_type(proto.tensor_type.elem_type, what)))
    if kind == "sequence_type" and proto.sequence_type.elem_type.HasField("tensor_type"):
        return Items((), element_type(proto.sequence_type.elem_type.tensor_type.elem_type, what))
    raise UnsupportedOperatorError(f"{what} is of the type {kind}")

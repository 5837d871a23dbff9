"""Layers with several inputs and one output: sums, products, one beside the other."""
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcompile import ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor
from dlcompile.layers.base import Layer, scalar
from dlcompile.layers.symbolic import shape_of


class _Merge(Layer):
    """A function of a list of tensors that broadcast: one with fewer axes gets axes of extent 1 behind the batch."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Sequence[Tensor], mask: Any = None) -> Tensor:
        given = self.checked(inputs)
        rank = max(x.rank for x in given)
        given = [ops.reshape(x, (*x.shape[:1], *(1,) * (rank - x.rank), *x.shape[1:])) if 0 < x.rank < rank else x for x in given]
        return self.merged(given, mask if mask is not None else [None] * len(given))

    def checked(self, inputs: Any) -> list[Tensor]:
        """The inputs. ArgumentError where they are no list, ShapeError where they do not broadcast."""
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ArgumentError(f"layer {self.name!r} takes a list of inputs, not {'an empty one' if isinstance(inputs, (list, tuple)) else 'one'}")
        shapes = [shape_of(x) for x in inputs]
        batches = {shape[0] for shape in shapes if shape} - {None, 1}
        if len(batches) > 1:
            raise ShapeError(f"layer {self.name!r}: its inputs have different numbers of samples: shapes {', '.join(map(str, shapes))}")
        return list(inputs)

    def merged(self, inputs: list[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        return functools.reduce(self.pair, inputs)

    def pair(self, a: Tensor, b: Tensor) -> Tensor:
        """What is made of two inputs, or of what was made of some and the next one."""
        raise NotImplementedError

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Tensor | None:
        """The steps that count in any of the inputs; all, where one has no mask."""
        if previous_mask is None or any(m is None for m in previous_mask):
            return None
        return functools.reduce(ops.logical_or, previous_mask)


class Add(_Merge):
    """The sum of its inputs."""

    pair = staticmethod(ops.add)


class Subtract(_Merge):
    """The first of its two inputs minus the second."""

    pair = staticmethod(ops.sub)

    def merged(self, inputs: list[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        if len(inputs) != 2:
            raise ArgumentError(f"layer {self.name!r} takes 2 inputs, {len(inputs)} are given")
        return super().merged(inputs, masks)


class Multiply(_Merge):
    """The product of its inputs. What a mask leaves out counts as 1; where it is left out of all of them, the product is 0."""

    pair = staticmethod(ops.mul)

    def merged(self, inputs: list[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        wide = [None if m is None else ops.broadcast_to(_with_axes(m, x.rank), x.shape) for x, m in zip(inputs, masks)]
        y = super().merged([x if m is None else ops.select(m, x, scalar(x, 1)) for x, m in zip(inputs, wide)], masks)
        return y if any(m is None for m in wide) else ops.select(functools.reduce(ops.logical_or, wide), y, scalar(y, 0))


class Average(_Merge):
    """The arithmetic mean of its inputs."""

    pair = staticmethod(ops.add)

    def merged(self, inputs: list[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
        total = super().merged(inputs, masks)
        return ops.mul(total, scalar(total, 1 / len(inputs)))


class Maximum(_Merge):
    """The largest of its inputs, element by element."""

    pair = staticmethod(ops.maximum)


class Minimum(_Merge):
    """The smallest of its inputs, element by element."""

    pair = staticmethod(ops.minimum)


def _with_axes(mask: Tensor, rank: int) -> Tensor:
    """A mask with axes of extent 1 at the end, so that it has as many as its tensor."""
    return ops.reshape(mask, (*mask.shape, *(1,) * (rank - mask.rank)))


class Concatenate(_Merge):
    """Its inputs one after the other along an axis; all other extents are equal."""

    def __init__(self, axis: int = -1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Sequence[Tensor], mask: Any = None) -> Tensor:
        return ops.concatenate(self.checked(inputs), self.axis)

    def checked(self, inputs: Any) -> list[Tensor]:
        if not isinstance(inputs, (list, tuple)) or not inputs:
            return super().checked(inputs)
        shapes = [shape_of(x) for x in inputs]
        rank = len(shapes[0])
        if not -rank <= self.axis < rank:
            raise ShapeError(f"layer {self.name!r}: inputs of shape {shapes[0]} have no axis {self.axis}")
        rest = [shape[:self.axis % rank] + shape[self.axis % rank + 1:] for shape in shapes]
        if any(len(a) != len(rest[0]) or any(m != n and None not in (m, n) for m, n in zip(a, rest[0])) for a in rest):
            raise ShapeError(f"layer {self.name!r}: shapes {', '.join(map(str, shapes))} differ in more than axis {self.axis}")
        return list(inputs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Tensor | None:
        """The masks one after the other; along the axis of features a step counts where it does in any input."""
        if previous_mask is None or all(m is None for m in previous_mask):
            return None
        whole = [ops.full(x.shape, True, np.bool_) if m is None else ops.broadcast_to(_with_axes(m, x.rank), x.shape)
                 for x, m in zip(inputs, previous_mask)]
        return ops.reduce_or(ops.concatenate(whole, self.axis), -1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class Dot(_Merge):
    """Sums of products of its two inputs along an axis of each, sample by sample: [batch, a…, k, b…] and [batch, c…, k, d…] → [batch, a…,
    b…, c…, d…]. Of vectors [batch, 1].

    axes: the axis, or those of the first and of the second input. normalize: both are divided by their norms along it before.
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(axes, int) and (not isinstance(axes, (list, tuple)) or len(axes) != 2 or not all(isinstance(a, int) for a in axes)):
            raise ArgumentError(f"layer {self.name!r}: axes is an axis, or two, one of each input, not {axes!r}")
        self.axes, self.normalize = axes if isinstance(axes, int) else tuple(axes), normalize

    def call(self, inputs: Sequence[Tensor], mask: Any = None) -> Tensor:
        given = self.checked(inputs)
        if len(given) != 2:
            raise ArgumentError(f"layer {self.name!r} takes 2 inputs, {len(given)} are given")
        axes = [ops.axis_index(a, x.rank) for a, x in zip((self.axes,) * 2 if isinstance(self.axes, int) else self.axes, given)]
        if 0 in axes:
            raise ShapeError(f"layer {self.name!r}: axis 0 is that of the samples, which are not added up")
        extents = [x.shape[a] for x, a in zip(given, axes)]
        if all(isinstance(d, int) for d in extents) and extents[0] != extents[1]:
            raise ShapeError(f"layer {self.name!r}: shapes {' and '.join(str(shape_of(x)) for x in given)} have extents {extents[0]} and "
                             f"{extents[1]} along axes {axes[0]} and {axes[1]}")
        if self.normalize:
            given = [_normalized(x, a) for x, a in zip(given, axes)]
        y = ops.dot_general(*given, contracting=((axes[0],), (axes[1],)), batch=((0,), (0,)))
        return ops.reshape(y, (y.shape[0], 1)) if y.rank == 1 else y

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes if isinstance(self.axes, int) else list(self.axes), "normalize": self.normalize}


def _normalized(x: Tensor, axis: int) -> Tensor:
    """x / |x| along an axis, 0 where that is 0."""
    square = ops.reduce_sum(ops.mul(x, x), axis, keepdims=True)
    return ops.mul(x, ops.rsqrt(ops.maximum(square, scalar(x, 1e-12))))


# -- as functions -------------------------------------------------------------------------------------------------------------
def add(inputs: Sequence[Any], **kwargs) -> Any:
    """The layer `Add`, made and called."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs) -> Any:
    """The layer `Subtract`, made and called."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs) -> Any:
    """The layer `Multiply`, made and called."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs) -> Any:
    """The layer `Average`, made and called."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs) -> Any:
    """The layer `Maximum`, made and called."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs) -> Any:
    """The layer `Minimum`, made and called."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs) -> Any:
    """The layer `Concatenate`, made and called."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs) -> Any:
    """The layer `Dot`, made and called."""
    return Dot(axes=axes, **kwargs)(inputs)


__all__ = ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract", "add", "average", "concatenate", "dot",
           "maximum", "minimum", "multiply", "subtract"]

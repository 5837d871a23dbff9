"""`Loss`: what gives one number for a batch; and how the numbers of its samples become one."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcompile import config, ops, tree
from dlcompile.eager import eager
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import Tensor, as_dtype, definitely_different, dtype_name
from dlcompile.losses.operands import floats, safe_div, same_rank
from dlcompile.masks import mask_of
from dlcompile.naming import auto_name, class_name
from dlcompile.registry import Configurable, deserialize, serialize

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss(Configurable):
    """A function (y_true, y_pred, sample_weight) → one number. A class of one's own defines `call(self, y_true, y_pred)`, which gives a number for
    each sample.

    reduction: "sum_over_batch_size" or "mean": the mean over all that `call` gives; "sum"; "mean_with_sample_weight": the sum divided by that of
               the weights; "none" or None: no reduction.
    dtype:     the type it is computed in, `config.floatx` by default.

    The weights of samples, [batch] or of the shape of what `call` gives, multiply that. Where `y_pred` has a mask, only the steps that it leaves
    count.
    """

    whole_labels = False
    """whether `call` takes integers for y_true, rather than floats"""

    def __init__(self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None):
        if reduction not in REDUCTIONS:
            raise ArgumentError(f"reduction is one of {', '.join(map(repr, REDUCTIONS))}, not {reduction!r}")
        self.name = name or auto_name(class_name(type(self)))
        self.reduction = reduction
        self.dtype = dtype_name(as_dtype(dtype or config.floatx()))

    @eager
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        mask = mask_of(y_pred)
        y_pred = _as_floats(y_pred, self.dtype)
        y_true = tree.map_structure(_as_labels, _whole(y_true)) if self.whole_labels else _as_floats(y_true, self.dtype)
        values = self.call(y_true, y_pred)
        inner = mask_of(values)
        if mask is not None and inner is not None:
            mask = ops.logical_and(*same_rank(_as_bool(mask), _as_bool(inner)))
        return reduce_weighted_values(values, sample_weight, inner if mask is None else mask, self.reduction, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """A number for each sample; to be defined by each class."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(self, y_true, y_pred)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a loss like this one."""
        return {"name": self.name, "reduction": self.reduction}


def _whole(value: Any) -> Any:
    """Lists of numbers are arrays here; only tuples and dictionaries, and lists of arrays, are structures."""
    if isinstance(value, (list, tuple)) and all(isinstance(leaf, (int, float, np.generic)) for leaf in tree.flatten(value)):
        return ops.as_tensor(value)
    return value


def _as_floats(structure: Any, dtype: str) -> Any:
    return tree.map_structure(lambda leaf: floats(leaf, dtype), _whole(structure))


def _as_labels(leaf: Any) -> Tensor:
    return ops.as_tensor(leaf)


def _as_bool(mask: Any) -> Tensor:
    return ops.cast(ops.as_tensor(mask), bool)


class LossFunctionWrapper(Loss):
    """The loss that a function (y_true, y_pred, **arguments) gives, a number for each sample."""

    def __init__(self, fn: Callable[..., Any], reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None, **kwargs):
        super().__init__(name, reduction, dtype)
        self.fn, self.arguments = fn, kwargs
        self.whole_labels = getattr(fn, "whole_labels", False)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if not self.whole_labels and isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self.arguments)

    def get_config(self) -> dict[str, Any]:
        own = {"fn": serialize(self.fn)} if type(self) is LossFunctionWrapper else {}
        return {**super().get_config(), **own, **serialize(self.arguments)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        return cls(**deserialize(config))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments.items())})>"


# -- from samples to a number -------------------------------------------------------------------------------------------------
def reduce_weighted_values(values: Any, sample_weight: Any = None, mask: Any = None, reduction: str | None = "sum_over_batch_size",
                           dtype: Any = None) -> Tensor:
    """The values, weighted and reduced as `Loss` says. Where there is a mask, a mean is one over what it leaves. ShapeError for weights that do
    not go with the values."""
    values = floats(values, dtype)
    weight = None
    if mask is not None:
        kept = _as_bool(mask)
        weight = ops.cast(kept, values.dtype)
        if reduction in ("mean", "sum_over_batch_size"):
            count = ops.cast(ops.reduce_prod(ops.shape_of(kept)), values.dtype)
            weight = weight * safe_div(count, ops.reduce_sum(weight))
    if sample_weight is not None:
        given = floats(sample_weight, values.dtype)
        if weight is not None:
            weight, given = same_rank(weight, given)
            given = given * _spread(weight, given) if given.rank >= weight.rank else _spread(given, weight) * weight
        weight = given
    if weight is not None:
        values, weight = same_rank(values, weight)
        weight = _spread(weight, values)
        values = values * weight
    if reduction in ("none", None) or values.rank == 0:
        return values
    if reduction == "sum" or 0 in values.shape:
        return ops.reduce_sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return safe_div(ops.reduce_sum(values), ops.reduce_sum(weight))
    return ops.reduce_mean(values)


def _spread(weight: Tensor, values: Tensor) -> Tensor:
    """Weights with axes of one behind them, so that [batch] goes with [batch, steps]."""
    if weight.rank < values.rank:
        weight = ops.expand_dims(weight, tuple(range(weight.rank, values.rank)))
    if values.rank and any(w != 1 and definitely_different(w, v) for w, v in zip(weight.shape, values.shape)):
        raise ShapeError(f"sample weights {weight.type} do not go with the losses {values.type}: they have their shape, or [batch]")
    return weight


__all__ = ["REDUCTIONS", "Loss", "LossFunctionWrapper", "reduce_weighted_values"]

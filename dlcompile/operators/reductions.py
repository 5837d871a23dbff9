"""Reductions, positions of extremes, and running sums."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import Operator, TensorType, dim_max, dim_min, is_float, is_half, is_number, is_ordered, register

BOOL = np.dtype(np.bool_)


def reduced_shape(shape, axes, keepdims: bool) -> tuple:
    """The shape that is left when `axes` are reduced."""
    return tuple(1 if i in axes else d for i, d in enumerate(shape) if keepdims or i not in axes)


def _check(x: TensorType, accepts: Callable[[np.dtype], bool]) -> None:
    if not accepts(x.dtype):
        raise DTypeError(f"the operand must be of {ACCEPTED[accepts]} type; it is {x}")


def _is_bool(dtype: np.dtype) -> bool:
    return dtype == BOOL


ACCEPTED = {is_number: "number", is_ordered: "real", _is_bool: "bool"}


def _infer(accepts: Callable[[np.dtype], bool]):
    def infer(types, attributes):
        (x,), axes = types, attributes["axes"]
        if any(not 0 <= a < x.rank for a in axes):
            raise ShapeError(f"reduction of {x} over axes {axes}")
        _check(x, accepts)
        return TensorType(x.dtype, reduced_shape(x.shape, axes, attributes["keepdims"]))

    return infer


def widened(x):
    """A 16-bit float as float32, in which it is computed; anything else as it is."""
    return x.astype(np.float32) if is_half(x.dtype) else x


def _evaluate(function, empty, known=None):
    """`function(array, axis=, keepdims=)`, in float32 for 16-bit floats; `empty(dtype)` is the value of an empty reduction."""
    def evaluate(attributes, x):
        axes, keepdims = tuple(attributes["axes"]), attributes["keepdims"]
        if x.dtype == object:
            return np.asarray(np.apply_over_axes(lambda a, axis: np.expand_dims(np.frompyfunc(known, 2, 1).reduce(a, axis), axis), x, axes)
                              if axes else x, dtype=object).reshape(reduced_shape(x.shape, axes, keepdims))
        shape = reduced_shape(x.shape, axes, keepdims)
        if x.size == 0:
            return np.full(shape, empty(x.dtype), x.dtype)
        with np.errstate(all="ignore"):
            return np.asarray(function(widened(x), axis=axes, keepdims=keepdims)).astype(x.dtype).reshape(shape)

    return evaluate


def _lowest(dtype):
    return False if dtype == BOOL else -np.inf if is_float(dtype) else np.iinfo(dtype).min


def _highest(dtype):
    return True if dtype == BOOL else np.inf if is_float(dtype) else np.iinfo(dtype).max


ROWS = {
    "reduce_sum": (np.sum, lambda d: 0, lambda a, b: a + b, is_number, "sum"),
    "reduce_prod": (np.prod, lambda d: 1, lambda a, b: a * b, is_number, "sum"),
    "reduce_max": (np.max, _lowest, lambda a, b: dim_max(a, b), is_ordered, "exact"),
    "reduce_min": (np.min, _highest, lambda a, b: dim_min(a, b), is_ordered, "exact"),
    "reduce_and": (np.all, lambda d: True, lambda a, b: a and b, _is_bool, "exact"),
    "reduce_or": (np.any, lambda d: False, lambda a, b: a or b, _is_bool, "exact"),
}
for _name, (_function, _empty, _known, _accepts, _accuracy) in ROWS.items():
    register(Operator(_name, "reduction", infer=_infer(_accepts), evaluate=_evaluate(_function, _empty, _known),
                      flops=lambda inputs, outputs, attributes: inputs[0].size, accuracy=_accuracy, shape_arithmetic=True))


def _infer_position(types, attributes):
    (x,), axis = types, attributes["axis"]
    if not 0 <= axis < x.rank or x.shape[axis] == 0:
        raise ShapeError(f"the position of an extreme along axis {axis} of {x}")
    _check(x, is_ordered)
    return TensorType(np.dtype(np.int64), reduced_shape(x.shape, (axis,), attributes["keepdims"]))


def _position(function):
    def evaluate(attributes, x):
        axis, keepdims = attributes["axis"], attributes["keepdims"]
        if not x.shape[axis]:  # as symbolic axes may turn out to be: the position is 0, as in the compiled model
            return np.zeros(reduced_shape(x.shape, (axis,), keepdims), np.int64)
        if attributes["select_last_index"]:
            return x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis, keepdims=keepdims)
        return np.asarray(function(x, axis=axis, keepdims=keepdims))

    return evaluate


for _name, _function in (("argmax", np.argmax), ("argmin", np.argmin)):
    register(Operator(_name, "reduction", infer=_infer_position, evaluate=_position(_function),
                      flops=lambda inputs, outputs, attributes: inputs[0].size))


def _cumulative(function, start):
    def evaluate(attributes, x):
        axis = attributes["axis"]
        y = np.flip(x, axis) if attributes["reverse"] else x
        total = function(widened(y), axis=axis).astype(x.dtype)
        if attributes["exclusive"]:
            total = np.roll(total, 1, axis)
            total[tuple(slice(0, 1) if a == axis else slice(None) for a in range(x.ndim))] = start
        return np.ascontiguousarray(np.flip(total, axis) if attributes["reverse"] else total)

    return evaluate


def _infer_cumulative(types, attributes):
    (x,), axis = types, attributes["axis"]
    if not 0 <= axis < x.rank:
        raise ShapeError(f"running sum of {x} along axis {axis}")
    _check(x, is_number)
    return x


for _name, _function, _start in (("cumsum", np.cumsum, 0), ("cumprod", np.cumprod, 1)):
    register(Operator(_name, "reduction", infer=_infer_cumulative, evaluate=_cumulative(_function, _start),
                      flops=lambda inputs, outputs, attributes: inputs[0].size, accuracy="sum"))

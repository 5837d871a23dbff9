"""Sorting and the k largest.

NaN counts as larger than everything, as in NumPy; equal elements keep their order in both directions, and -0 equals 0.
An axis has less than 2**32 elements.
"""
from __future__ import annotations

import numpy as np

from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import Operator, TensorType, at_least, definitely_different, dim_min, is_float, register, unify


def check_ordered(x: TensorType) -> None:
    """DTypeError for elements that are not put in order: complex numbers, integers of less than 8 bits, strings."""
    if x.dtype.kind not in "iub" and not is_float(x.dtype):
        raise DTypeError(f"{x}: only real numbers of at least 8 bits are put in order")


def _order(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """Indices that sort, stable in both directions."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)


def _work(inputs, outputs, attributes):
    return inputs[0].size * 16


def _infer_sort(types, attributes):
    check_ordered(types[0])
    return types[0]


register(Operator("sort", "order", infer=_infer_sort, flops=_work,
                  evaluate=lambda a, x: np.take_along_axis(x, _order(x, a["axis"], a["descending"]), a["axis"])))


def _infer_top_k(types, attributes):
    (x,), axis, k = types, attributes["axis"], attributes["k"]
    check_ordered(x)
    if isinstance(k, int) and k < 0 or definitely_different(k, x.shape[axis]) and at_least(k, x.shape[axis]):
        raise ShapeError(f"the {k} largest along axis {axis} of {x}")
    if not at_least(x.shape[axis], k):
        unify(dim_min(k, x.shape[axis]), k, "k and what there is of it")
    shape = tuple(k if i == axis else d for i, d in enumerate(x.shape))
    return TensorType(x.dtype, shape), TensorType(np.dtype(np.int64), shape)


def _top_k(attributes, x):
    axis = attributes["axis"]
    order = _order(x, axis, attributes["largest"])
    order = np.take(order, np.arange(attributes["k"]), axis=axis)
    return np.take_along_axis(x, order, axis), order.astype(np.int64)


register(Operator("top_k", "order", infer=_infer_top_k, evaluate=_top_k, flops=_work, multiple_outputs=True))

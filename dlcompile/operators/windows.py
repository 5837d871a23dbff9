"""Reductions over sliding windows, with an entry for each axis, as `jax.lax.reduce_window`."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import ShapeError
from dlcompile.graph import Operator, TensorType, floordiv, is_float, product, register
from dlcompile.operators.reductions import widened

KINDS = {
    "max": (np.maximum, lambda d: -np.inf if is_float(d) else np.iinfo(d).min),
    "min": (np.minimum, lambda d: np.inf if is_float(d) else np.iinfo(d).max),
    "sum": (np.add, lambda d: 0),
}
"""kind → how elements combine, and the neutral element that padding counts for"""


def _infer(types, attributes):
    (x,) = types
    rows = [attributes[n] for n in ("window", "strides", "padding", "dilation")]
    if any(len(row) != x.rank for row in rows) or attributes["kind"] not in KINDS:
        raise ShapeError(f"reduce_window of {x}: every axis needs a window, stride, padding and dilation")
    shape = []
    for extent, window, stride, (low, high), dilation in zip(x.shape, *rows):
        span = extent + low + high - ((window - 1) * dilation + 1)
        if isinstance(span, int) and span < 0 and (window != 1 or span < -1):  # an empty axis has no elements, not too few
            raise ShapeError(f"reduce_window of {x}: a window of {window} is larger than the padded axis of {extent}")
        shape.append(floordiv(span, stride) + 1)
    return TensorType(x.dtype, shape)


def _evaluate(attributes, x):
    combine, neutral = KINDS[attributes["kind"]]
    window, strides, dilation = attributes["window"], attributes["strides"], attributes["dilation"]
    wide = widened(x)
    padded = np.pad(wide, attributes["padding"], constant_values=neutral(x.dtype))
    out = [(e - ((k - 1) * d + 1)) // s + 1 for e, k, d, s in zip(padded.shape, window, dilation, strides)]
    result = np.full(out, neutral(x.dtype), wide.dtype)
    with np.errstate(all="ignore"):
        for tap in np.ndindex(*window):
            result = combine(result, padded[tuple(slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilation, out, strides))])
    return result.astype(x.dtype)


register(Operator("reduce_window", "window", infer=_infer, evaluate=_evaluate, accuracy="sum",
                  flops=lambda i, o, a: o[0].size * product(a["window"])))

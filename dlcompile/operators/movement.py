"""Primitives that move elements and compute nothing: views, padding, concatenation, and sources of shapes as data."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import Operator, TensorType, Undecided, at_least, ceildiv, dim_max, dim_min, dtype_name, product, register, unify


def _row(name: str, infer, evaluate, **more) -> None:
    register(Operator(name, "movement", infer=infer, evaluate=evaluate, flops=lambda i, o, a: 0, shape_arithmetic=True, **more))


def _laid_out(x: np.ndarray) -> np.ndarray:
    """`x` in row-major order (a scalar stays one, which `np.ascontiguousarray` would not leave)."""
    return np.asarray(x, order="C")


def _reshape(types, attributes):
    (x,), shape = types, attributes["shape"]
    if any(isinstance(d, int) and d < 0 for d in shape):
        raise ShapeError(f"reshape to {shape}: negative dimensions")
    unify(x.size, product(shape), f"reshape of {x} to [{', '.join(map(str, shape))}]: sizes")
    return TensorType(x.dtype, shape)


_row("reshape", _reshape, lambda attributes, x: x.reshape(attributes["shape"]))


def _transpose(types, attributes):
    (x,), permutation = types, attributes["permutation"]
    if sorted(permutation) != list(range(x.rank)):
        raise ShapeError(f"{permutation} is no permutation of the axes of {x}")
    return TensorType(x.dtype, tuple(x.shape[p] for p in permutation))


_row("transpose", _transpose, lambda attributes, x: _laid_out(x.transpose(attributes["permutation"])))


def _broadcast_to(types, attributes):
    (x,), shape = types, attributes["shape"]
    if len(shape) < x.rank:
        raise ShapeError(f"{x} cannot be broadcast to [{', '.join(map(str, shape))}]: it has more axes")
    result = list(shape)
    for axis, extent in enumerate(x.shape, len(shape) - x.rank):
        if extent != 1:
            result[axis] = unify(extent, shape[axis], f"broadcast axis {axis}:")
    return TensorType(x.dtype, shape)


_row("broadcast_to", _broadcast_to, lambda attributes, x: _laid_out(np.broadcast_to(x, attributes["shape"])))


def _slice(types, attributes):
    (x,) = types
    start, limit, strides = attributes["start"], attributes["limit"], attributes["strides"]
    if not len(start) == len(limit) == len(strides) == x.rank:
        raise ShapeError(f"slice of {x}: start, limit and strides need {x.rank} entries")
    shape = []
    for axis, (begin, end, stride) in enumerate(zip(start, limit, strides)):
        if at_least(-1, begin) or stride < 1 or at_least(end - 1, x.shape[axis]) or at_least(begin - 1, end):
            raise ShapeError(f"slice {begin}:{end}:{stride} does not fit axis {axis} of {x}")
        for low, high in ((0, begin), (begin, end), (end, dim_max(begin, x.shape[axis]))):  # what has no elements may begin anywhere
            unify(dim_min(low, high), low, f"slice {begin}:{end}:{stride} of axis {axis} of {x}:")
        shape.append(ceildiv(end - begin, stride))
    return TensorType(x.dtype, shape)


def _evaluate_slice(attributes, x):
    bounds = zip(attributes["start"], attributes["limit"], attributes["strides"])
    return _laid_out(x[tuple(slice(*b) for b in bounds)])


_row("slice", _slice, _evaluate_slice)
_row("reverse", lambda types, attributes: types[0], lambda attributes, x: _laid_out(np.flip(x, attributes["axes"])))


def _pad(types, attributes):
    x, value = types
    low, high = attributes["low"], attributes["high"]
    if value.rank != 0 or value.dtype != x.dtype:
        raise DTypeError(f"pad of {x}: the value must be a {dtype_name(x.dtype)} scalar, not {value}")
    if len(low) != x.rank or len(high) != x.rank:
        raise ShapeError(f"pad of {x}: low and high need {x.rank} entries")
    if any(isinstance(n, int) and n < 0 for n in (*low, *high)):
        raise ShapeError(f"pad of {x} by {low}, {high}: negative amounts")
    return TensorType(x.dtype, tuple(d + a + b for d, a, b in zip(x.shape, low, high)))


def _evaluate_pad(attributes, x, value):
    return np.pad(x, tuple(zip(attributes["low"], attributes["high"])), constant_values=value.reshape(())[()])


_row("pad", _pad, _evaluate_pad)


def _concatenate(types, attributes):
    axis = attributes["axis"]
    first = types[0]
    shape = list(first.shape)
    for other in types[1:]:
        if other.dtype != first.dtype:
            raise DTypeError(f"concatenation of {first} and {other}: element types differ")
        if other.rank != first.rank:
            raise ShapeError(f"concatenation of {first} and {other}: ranks differ")
        for i in range(first.rank):
            shape[i] = shape[i] + other.shape[i] if i == axis else unify(shape[i], other.shape[i], f"concatenation, axis {i}:")
    return TensorType(first.dtype, shape)


_row("concatenate", _concatenate, lambda attributes, *xs: np.concatenate(xs, attributes["axis"]))


# -- sources ----------------------------------------------------------------------------------------------------------------
def _evaluate_iota(attributes):
    shape, axis = attributes["shape"], attributes["axis"]
    if any(not isinstance(d, (int, np.integer)) for d in shape):
        raise Undecided
    line = np.arange(shape[axis], dtype=np.int64).astype(attributes["dtype"])
    return _laid_out(np.broadcast_to(line.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape))


def _infer_iota(types, attributes):
    shape, axis = attributes["shape"], attributes["axis"]
    if not 0 <= axis < len(shape):
        raise ShapeError(f"iota along axis {axis} of [{', '.join(map(str, shape))}]")
    return TensorType(attributes["dtype"], shape)


register(Operator("iota", "movement", infer=_infer_iota, evaluate=_evaluate_iota, flops=lambda i, o, a: 0))

register(Operator("dims", "movement", infer=lambda types, attributes: TensorType(np.dtype(np.int64), (len(attributes["values"]),)),
                  evaluate=lambda attributes: _dims_array(attributes["values"]), flops=lambda i, o, a: 0, shape_arithmetic=True))


def _dims_array(values) -> np.ndarray:
    if all(isinstance(v, (int, np.integer)) for v in values):
        return np.array(values, dtype=np.int64)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array

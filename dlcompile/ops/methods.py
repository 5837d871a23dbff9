"""Python's operators and NumPy-like methods of `Tensor`. `==` and `!=` stay identity, so that tensors can be keys; use `ops.eq`."""
from __future__ import annotations

import builtins

import numpy as np

from dlcompile.errors import ShapeError
from dlcompile.graph import Dim, DimLike, Tensor, at_least, dim_max, dim_min
from dlcompile.ops import elementwise
from dlcompile.ops.arithmetic import floor_divide, floor_mod
from dlcompile.ops.core import (
    argmax,
    argmin,
    as_tensor,
    cast,
    cumsum,
    expand_dims,
    gather,
    matmul,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_sum,
    reshape,
    reverse,
    slice,
    squeeze,
    transpose,
)
from dlcompile.ops.overrides import overridable

_BINARY = {"add": elementwise.add, "sub": elementwise.sub, "mul": elementwise.mul, "truediv": elementwise.div, "pow": elementwise.pow,
           "floordiv": floor_divide, "mod": floor_mod, "matmul": matmul, "and": elementwise.logical_and, "or": elementwise.logical_or,
           "xor": elementwise.logical_xor, "lshift": elementwise.shift_left, "rshift": elementwise.shift_right}
_COMPARISONS = {"lt": elementwise.lt, "le": elementwise.le, "gt": elementwise.gt, "ge": elementwise.ge}
_UNARY = {"neg": elementwise.neg, "abs": elementwise.abs, "invert": elementwise.logical_not}


def _arguments(given: tuple):
    """Both f(1, 2) and f((1, 2)) → (1, 2)"""
    return given[0] if len(given) == 1 and not isinstance(given[0], (int, Dim)) else given


def _bounds(index: builtins.slice, extent: DimLike, what: str) -> tuple[DimLike, DimLike, int]:
    """(start, limit, stride) of a Python slice on an axis, with a stride > 0: start <= limit, both within the axis."""
    stride = 1 if index.step is None else index.step
    if not isinstance(stride, int) or stride == 0:
        raise ShapeError(f"{what}: the step {stride} is not an integer other than 0")

    def inside(value: DimLike | None, default: DimLike) -> DimLike:
        if value is None:
            return default
        value = value + extent if isinstance(value, int) and value < 0 else value
        return dim_max(dim_min(value, extent), 0)

    start, limit = inside(index.start, 0), inside(index.stop, extent)
    return start, limit if at_least(limit, start) else dim_max(limit, start), stride


def getitem(x: Tensor, index) -> Tensor:
    """Basic indexing: integers, slices with a positive step (or `::-1`), `...`, None for a new axis; or one integer tensor: rows of axis 0."""
    if isinstance(index, (Tensor, np.ndarray, list)):
        return gather(x, index, 0, normalize=True)
    x = as_tensor(x)
    items = list(index) if isinstance(index, tuple) else [index]
    used = builtins.sum(item is not None and item is not Ellipsis for item in items)
    if used > x.rank or items.count(Ellipsis) > 1:
        raise ShapeError(f"{index} has too many indices for {x.type}")
    if Ellipsis not in items:
        items.append(Ellipsis)
    place = items.index(Ellipsis)
    items[place:place + 1] = [builtins.slice(None)] * (x.rank - used)
    start, limit, strides, shape, turned, axis = [], [], [], [], [], 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        extent = x.shape[axis]
        if isinstance(item, builtins.slice):
            if item == builtins.slice(None, None, -1):
                turned.append(axis)
                item = builtins.slice(None)
            begin, end, stride = _bounds(item, extent, f"slice of {x.type}, axis {axis}")
            if stride < 0:
                raise ShapeError(f"slice of {x.type}, axis {axis}: a negative step needs the whole axis")
            shape.append((end - begin + stride - 1) // stride)
        else:
            begin = item + extent if isinstance(item, int) and item < 0 else item
            if isinstance(begin, int) and (begin < 0 or isinstance(extent, int) and begin >= extent):
                raise ShapeError(f"index {item} is out of range for axis {axis} of {x.type}")
            end, stride = begin + 1, 1
        start.append(begin)
        limit.append(end)
        strides.append(stride)
        axis += 1
    if (tuple(start), tuple(limit)) != ((0,) * x.rank, x.shape) or any(s != 1 for s in strides):
        x = slice(x, start, limit, strides)
    if turned:
        x = reverse(x, turned)
    return x if tuple(shape) == x.shape else reshape(x, shape)


def no_truth(x: Tensor) -> bool:
    """What `bool(tensor)` is: a TypeError."""
    raise TypeError(f"whether {x!r} is true is not known before the graph is run; use ops.select, ops.cond or ops.while_loop")


def _each_overridable(table: dict) -> list[tuple]:
    return [(name, overridable(function)) for name, function in table.items()]


_REDUCTIONS = {"sum": reduce_sum, "prod": reduce_prod, "max": reduce_max, "min": reduce_min, "mean": reduce_mean}
_METHODS = {"astype": cast, "expand_dims": expand_dims, "argmax": argmax, "argmin": argmin, "cumsum": cumsum}


def install(kind: type) -> None:
    """Give `Tensor`, or what stands for one, Python's operators and NumPy's methods."""
    for name, function in _each_overridable(_BINARY):
        setattr(kind, f"__{name}__", lambda self, other, f=function: f(self, other))
        setattr(kind, f"__r{name}__", lambda self, other, f=function: f(other, self))
    for name, function in _each_overridable({**_UNARY, **_COMPARISONS}):
        setattr(kind, f"__{name}__", function)
    for name, function in _each_overridable(_REDUCTIONS):
        setattr(kind, name, lambda self, axis=None, keepdims=False, f=function: f(self, axis, keepdims))
    for name, function in _each_overridable(_METHODS):
        setattr(kind, name, function)
    kind.__getitem__ = overridable(getitem)
    kind.__iter__ = None  # type: ignore[assignment]  # a symbolic value is no sequence
    kind.reshape = lambda self, *shape: overridable(reshape)(self, _arguments(shape))
    kind.transpose = lambda self, *axes: overridable(transpose)(self, _arguments(axes) or None)
    kind.T = property(overridable(transpose))
    kind.squeeze = lambda self, axis=None: overridable(squeeze)(self, axis)

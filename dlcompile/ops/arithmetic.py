"""Small arithmetic that is no operator of its own: remainders, squares, ranges, one-hot vectors, and filled tensors."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcompile.graph import DimLike, Tensor, as_dtype, at_least, is_float, make_constant
from dlcompile.ops.core import (
    TensorLike,
    as_tensor,
    as_tensors,
    axis_index,
    broadcast_to,
    cast,
    expand_dims,
    iota,
    reshape,
    shape_vector,
    wrap_indices,
)
from dlcompile.ops.elementwise import add, div, eq, logical_and, lt, mul, ne, rem, round, select, sub


def floor_mod(a: TensorLike, b: TensorLike) -> Tensor:
    """The remainder of a / b with the sign of the divisor, as Python's %."""
    a, b = as_tensors(a, b)
    rest = rem(a, b)
    below = _rounded_up(a, b, rest)
    return rest if below is None else select(below, add(rest, b), rest)


def floor_divide(a: TensorLike, b: TensorLike) -> Tensor:
    """a / b rounded down, as Python's //. Of floats it is what goes with the remainder: 1.0 // 0.1 is 9. A float by 0 is infinite or nan."""
    a, b = as_tensors(a, b)
    rest = rem(a, b)
    whole = div(a, b)
    if is_float(a.dtype):
        whole = select(eq(b, as_tensor(0, b.dtype)), whole, round(div(sub(a, rest), b)))
    below = _rounded_up(a, b, rest)
    return whole if below is None else sub(whole, cast(below, whole.dtype))


def _rounded_up(a: Tensor, b: Tensor, rest: Tensor) -> Tensor | None:
    """Where a / b rounded towards 0 is larger than it is, the remainder being `rest`: there the signs differ. None: nowhere."""
    if a.dtype.kind == "u" or _never_negative(a) and _never_negative(b):
        return None
    zero = as_tensor(0, a.dtype)
    return logical_and(ne(rest, zero), ne(lt(rest, zero), lt(b, zero)))


def _never_negative(x: Tensor) -> bool:
    """Whether shape arithmetic knows that."""
    return x.known is not None and all(at_least(v, 0) for v in x.known.flat)


def square(x: TensorLike) -> Tensor:
    """x * x."""
    x = as_tensor(x)
    return mul(x, x)


def full(shape: Sequence[DimLike], value: TensorLike, dtype=None) -> Tensor:
    """A tensor with the scalar `value` everywhere."""
    return broadcast_to(as_tensor(value, dtype), tuple(shape))


def arange(length: DimLike, start: TensorLike = 0, step: TensorLike = 1, dtype=np.int64) -> Tensor:
    """start, start + step, … : a vector of `length` elements."""
    dtype = as_dtype(dtype)
    line = iota(dtype, (length,), 0)
    if not (isinstance(step, int) and step == 1):
        line = mul(line, as_tensor(step, dtype))
    return line if isinstance(start, int) and start == 0 else add(line, as_tensor(start, dtype))


def one_hot(indices: TensorLike, depth: DimLike, on: TensorLike = 1.0, off: TensorLike = 0.0, axis: int = -1, dtype=np.float32) -> Tensor:
    """`on` where the new axis `axis`, of extent `depth`, is at the index, `off` elsewhere. Indices in [-depth, depth); `off` for any other."""
    indices = cast(as_tensor(indices), np.int64)
    axis = axis_index(axis, indices.rank + 1)
    place = iota(np.int64, (*indices.shape[:axis], depth, *indices.shape[axis:]), axis)
    return select(eq(expand_dims(wrap_indices(indices, depth), axis), place), as_tensor(on, dtype), as_tensor(off, dtype))


def dim_scalar(dim: DimLike, dtype=np.int64) -> Tensor:
    """A dimension as a scalar tensor."""
    if isinstance(dim, int):
        return make_constant(np.asarray(dim, as_dtype(dtype)))
    return cast(reshape(shape_vector((dim,)), ()), dtype)

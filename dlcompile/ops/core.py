"""Turning what a caller writes into tensors, and the primitives as functions."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import numpy as np

from dlcompile.errors import ShapeError
from dlcompile.graph import (
    Dim,
    DimLike,
    Tensor,
    apply,
    as_dtype,
    at_least,
    broadcast_shapes,
    dim_max,
    dim_min,
    floordiv,
    is_float,
    is_integer,
    make_constant,
    product,
    unknown,
)
from dlcompile.ops.exact import exact_integers

TensorLike = Union[Tensor, np.ndarray, int, float, bool, Sequence]


def as_tensor(value: TensorLike, dtype=None) -> Tensor:
    """The value as a tensor: tensors as they are, what stands for one (`__tensor__`) as that, anything else as a constant of the given dtype
    (default: NumPy's). TypeError for what is no array of numbers or text."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "__tensor__"):
        return value.__tensor__()
    array = np.asarray(value, dtype=None if dtype is None else as_dtype(dtype))
    if array.dtype == object and not all(isinstance(item, (str, bytes)) for item in array.flat):
        raise TypeError(f"expected a tensor, not {type(value).__name__}")
    return make_constant(array)


def as_tensors(*values: TensorLike) -> tuple[Tensor, ...]:
    """The values as tensors; Python numbers take the dtype of the first operand that has one."""
    dtype = next((v.dtype for v in values if isinstance(v, (Tensor, np.ndarray, np.generic)) or hasattr(v, "__tensor__")), None)
    return tuple(as_tensor(v, dtype if isinstance(v, (bool, int, float)) else None) for v in values)


def axis_index(axis: int, rank: int) -> int:
    """A non-negative axis. ShapeError for one that a tensor of this rank does not have."""
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} is out of range for a tensor of rank {rank}")
    return axis % rank if rank else 0


def axis_indices(axes: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Sorted non-negative axes; None means all."""
    if axes is None:
        return tuple(range(rank))
    found = [axis_index(a, rank) for a in ((axes,) if isinstance(axes, int) else axes)]
    if len(set(found)) != len(found):
        raise ShapeError(f"axes {tuple(axes)} name an axis twice")
    return tuple(sorted(found))


# -- movement ---------------------------------------------------------------------------------------------------------------
def cast(x: TensorLike, dtype) -> Tensor:
    """`x` converted to `dtype`: floats to integers truncate, anything to bool is != 0."""
    x, dtype = as_tensor(x), as_dtype(dtype)
    if x.dtype == dtype:
        return x
    if is_float(x.dtype) and is_integer(dtype) and not x.is_constant:
        found = exact_integers(x)
        if found is not None and any(isinstance(v, Dim) for v in found.flat):
            return cast(reshape(shape_vector(found.ravel().tolist()), found.shape), dtype)
    return apply("cast", x, dtype=dtype)


def bitcast(x: TensorLike, dtype) -> Tensor:
    """The bits of each element as an element of `dtype`, which has the same size."""
    return apply("bitcast", as_tensor(x), dtype=as_dtype(dtype))


def reshape(x: TensorLike, shape: Sequence[DimLike]) -> Tensor:
    """`x` with another shape of the same size, row-major; one entry may be -1."""
    x, shape = as_tensor(x), list(shape)
    unknown = [i for i, d in enumerate(shape) if isinstance(d, int) and d == -1]
    if len(unknown) > 1:
        raise ShapeError(f"reshape to {tuple(shape)}: only one dimension may be -1")
    if unknown:
        rest = product(d for i, d in enumerate(shape) if i != unknown[0])
        if rest == 0:
            raise ShapeError(f"reshape of {x.type} to {tuple(shape)}: -1 has no meaning beside 0")
        shape[unknown[0]] = floordiv(x.type.size, rest)
    return apply("reshape", x, shape=tuple(shape))


def transpose(x: TensorLike, permutation: Sequence[int] | None = None) -> Tensor:
    """Axis `permutation[i]` of `x` becomes axis i; default: all axes reversed."""
    x = as_tensor(x)
    permutation = tuple(reversed(range(x.rank))) if permutation is None else tuple(axis_index(int(p), x.rank) for p in permutation)
    return apply("transpose", x, permutation=permutation)


def broadcast_to(x: TensorLike, shape: Sequence[DimLike]) -> Tensor:
    """`x` repeated along axes of extent 1, and along new leading axes, to `shape`."""
    x = as_tensor(x)
    return x if x.shape == tuple(shape) else apply("broadcast_to", x, shape=tuple(shape))


def slice(x: TensorLike, start: Sequence[DimLike], limit: Sequence[DimLike], strides: Sequence[int] | None = None) -> Tensor:  # noqa: A001
    """x[start:limit:strides] with an entry for each axis; 0 <= start <= limit <= extent, strides >= 1."""
    x = as_tensor(x)
    return apply("slice", x, start=tuple(start), limit=tuple(limit), strides=tuple(strides) if strides is not None else (1,) * x.rank)


def reverse(x: TensorLike, axes: int | Sequence[int]) -> Tensor:
    """`x` back to front along `axes`."""
    x = as_tensor(x)
    return apply("reverse", x, axes=axis_indices(axes, x.rank))


def pad(x: TensorLike, value: TensorLike, low: Sequence[DimLike], high: Sequence[DimLike]) -> Tensor:
    """`x` with `value` (a scalar) before and after it along each axis; negative amounts cut off, from the padding where nothing else is left."""
    x = as_tensor(x)
    value = as_tensor(value, x.dtype)
    start, limit, low, high = [0] * x.rank, list(x.shape), list(low), list(high)
    for axis, (d, before, after) in enumerate(zip(x.shape, low, high)):
        cuts = [-n if isinstance(n, int) and n < 0 else 0 for n in (before, after)]
        if cuts == [0, 0]:
            continue
        begin, kept, first = cuts[0], d - sum(cuts), before + cuts[0]
        if not at_least(d, sum(cuts)) and any(isinstance(n, Dim) or n > 0 for n in (before, after)):
            begin, kept, first = dim_min(begin, d), dim_max(kept, 0), dim_min(first, d + before + after)
        start[axis], limit[axis] = begin, begin + kept
        low[axis], high[axis] = first, d + before + after - kept - first
    if any(n != 0 for n in start) or tuple(limit) != x.shape:
        x = slice(x, start, limit)
    return apply("pad", x, value, low=tuple(low), high=tuple(high)) if any(n != 0 for n in (*low, *high)) else x


def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """The tensors one after the other along `axis`; all other extents equal."""
    parts = as_tensors(*tensors)
    return apply("concatenate", *parts, axis=axis_index(axis, parts[0].rank))


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """The tensors along a new axis."""
    parts = as_tensors(*tensors)
    return concatenate([expand_dims(t, axis) for t in parts], axis)


def expand_dims(x: TensorLike, axes: int | Sequence[int]) -> Tensor:
    """New axes of extent 1 at the given positions of the result."""
    x = as_tensor(x)
    wanted = (axes,) if isinstance(axes, int) else tuple(axes)
    places = set(axis_indices(wanted, x.rank + len(wanted)))
    own = iter(x.shape)
    return reshape(x, tuple(1 if i in places else next(own) for i in range(x.rank + len(places))))


def squeeze(x: TensorLike, axes: int | Sequence[int] | None = None) -> Tensor:
    """`x` without the given axes of extent 1; default: without all of them. ShapeError for one of another extent."""
    x = as_tensor(x)
    gone = tuple(i for i, d in enumerate(x.shape) if d == 1) if axes is None else axis_indices(axes, x.rank)
    for axis in gone:
        if isinstance(x.shape[axis], int) and x.shape[axis] != 1:
            raise ShapeError(f"squeeze of axis {axis} of {x.type}: its extent is not 1")
    return reshape(x, tuple(d for i, d in enumerate(x.shape) if i not in gone))


def tile(x: TensorLike, repeats: Sequence[DimLike]) -> Tensor:
    """`x` repeated `repeats[i]` times along axis i."""
    x = as_tensor(x)
    apart = [d for n in x.shape for d in (1, n)]
    wide = [d for n, r in zip(x.shape, repeats, strict=True) for d in (r, n)]
    return reshape(broadcast_to(reshape(x, apart), wide), tuple(n * r for n, r in zip(x.shape, repeats)))


# -- indexing ---------------------------------------------------------------------------------------------------------------
def gather(x: TensorLike, indices: TensorLike, axis: int = 0, *, normalize: bool = False) -> Tensor:
    """Slices of `x` along `axis` at integer `indices`: shape x[:axis] + indices + x[axis+1:]. Indices are in [0, extent), or with
    `normalize` in [-extent, extent)."""
    x, indices = as_tensor(x), as_tensor(indices)
    axis = axis_index(axis, x.rank)
    return apply("gather", x, wrap_indices(indices, x.shape[axis]) if normalize else indices, axis=axis)


def wrap_indices(indices: Tensor, extent: DimLike) -> Tensor:
    """Indices in [-extent, extent) as ones in [0, extent)."""
    if indices.dtype.kind == "u":
        return indices
    size = cast(reshape(shape_vector((extent,)), ()), indices.dtype)
    return apply("select", apply("lt", indices, make_constant(np.zeros((), indices.dtype))), apply("add", indices, size), indices)


def gather_nd(x: TensorLike, indices: TensorLike, batch_dims: int = 0) -> Tensor:
    """Slices of `x` at index tuples, the last axis of `indices`; the first `batch_dims` axes go together."""
    return apply("gather_nd", as_tensor(x), as_tensor(indices), batch_dims=batch_dims)


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int) -> Tensor:
    """y[i…, j, k…] = x[i…, indices[i…, j, k…], k…] along `axis`, as NumPy."""
    x = as_tensor(x)
    return apply("take_along_axis", x, as_tensor(indices), axis=axis_index(axis, x.rank))


def scatter_nd(x: TensorLike, indices: TensorLike, updates: TensorLike, reduction: str = "none") -> Tensor:
    """`x` with slices at index tuples replaced by (reduction: none, add, mul, max, min: combined with) `updates`."""
    return apply("scatter_nd", as_tensor(x), as_tensor(indices), as_tensor(updates), reduction=reduction)


def scatter_elements(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = 0, reduction: str = "none") -> Tensor:
    """`x` with elements at `indices` along `axis` replaced by (or combined with) `updates`."""
    x = as_tensor(x)
    return apply("scatter_elements", x, as_tensor(indices), as_tensor(updates), axis=axis_index(axis, x.rank), reduction=reduction)


def iota(dtype, shape: Sequence[DimLike], axis: int = 0) -> Tensor:
    """Each element is its index along `axis`."""
    return apply("iota", dtype=as_dtype(dtype), shape=tuple(shape), axis=axis_index(axis, len(tuple(shape))))


def shape_vector(values: Sequence[DimLike]) -> Tensor:
    """The dimensions as an int64 vector: a constant where all are static."""
    values = tuple(values)
    if all(isinstance(v, (int, np.integer)) for v in values):
        return make_constant(np.array(values, dtype=np.int64))
    return apply("dims", values=values)


def shape_of(x: TensorLike) -> Tensor:
    """The shape of `x` as an int64 vector."""
    return shape_vector(as_tensor(x).shape)


def dim_of(x: TensorLike) -> DimLike:
    """The integer in `x` (one element) as a dimension: where it is computed from data, one that is known only when the model runs. It must
    not be negative then; where it may be in the model, `x` is to be made so first (`maximum(x, 0)`)."""
    x = as_tensor(x)
    if x.known is not None:
        return x.known.item()
    return unknown(reshape(cast(x, np.int64), ()))


MOST_DIMS = 1024


def dims_of(x: TensorLike) -> tuple[DimLike, ...]:
    """The integers in a vector of static length as dimensions, as `dim_of`. ShapeError where they are more than any array has."""
    x = as_tensor(x)
    if x.known is not None:
        return tuple(x.known.tolist())
    if x.shape[0] > MOST_DIMS:
        raise ShapeError(f"a shape of {x.shape[0]} dimensions")
    return tuple(dim_of(slice(x, (i,), (i + 1,))) for i in range(x.shape[0]))


# -- reductions -------------------------------------------------------------------------------------------------------------
def _reduction(name: str, doc: str):
    def reduce(x: TensorLike, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        x = as_tensor(x)
        return apply(name, x, axes=axis_indices(axes, x.rank), keepdims=bool(keepdims))

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = f"{doc} over `axes` (default: all), which are kept with extent 1 where `keepdims`."
    return reduce


reduce_sum = _reduction("reduce_sum", "The sum")
reduce_prod = _reduction("reduce_prod", "The product")
reduce_max = _reduction("reduce_max", "The maximum (NaN where there is one)")
reduce_min = _reduction("reduce_min", "The minimum (NaN where there is one)")
reduce_and = _reduction("reduce_and", "Whether all are true")
reduce_or = _reduction("reduce_or", "Whether any is true")


def reduce_mean(x: TensorLike, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over `axes`: the sum divided by the number of elements."""
    x = as_tensor(x)
    axes = axis_indices(axes, x.rank)
    count = product(x.shape[a] for a in axes)
    total = reduce_sum(x, axes, keepdims)
    if isinstance(count, int):
        return apply("div", total, make_constant(np.asarray(count, x.dtype)))
    return apply("div", total, cast(reshape(shape_vector((count,)), ()), x.dtype))


def argmax(x: TensorLike, axis: int, keepdims: bool = False, select_last_index: bool = False) -> Tensor:
    """Index (int64) of the largest element along `axis`; the first of equals, or the last."""
    x = as_tensor(x)
    return apply("argmax", x, axis=axis_index(axis, x.rank), keepdims=bool(keepdims), select_last_index=bool(select_last_index))


def argmin(x: TensorLike, axis: int, keepdims: bool = False, select_last_index: bool = False) -> Tensor:
    """Index (int64) of the smallest element along `axis`; the first of equals, or the last."""
    x = as_tensor(x)
    return apply("argmin", x, axis=axis_index(axis, x.rank), keepdims=bool(keepdims), select_last_index=bool(select_last_index))


def cumsum(x: TensorLike, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Running sums along `axis`; without the element itself where `exclusive`, from the end where `reverse`."""
    x = as_tensor(x)
    return apply("cumsum", x, axis=axis_index(axis, x.rank), exclusive=bool(exclusive), reverse=bool(reverse))


def cumprod(x: TensorLike, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Running products along `axis`, as `cumsum`."""
    x = as_tensor(x)
    return apply("cumprod", x, axis=axis_index(axis, x.rank), exclusive=bool(exclusive), reverse=bool(reverse))


# -- contractions and windows -----------------------------------------------------------------------------------------------
def dot_general(lhs: TensorLike, rhs: TensorLike, *, contracting, batch=((), ())) -> Tensor:
    """Sum of products over the `contracting` axes (of lhs, of rhs), `batch` axes going together: [batch…, lhs free…, rhs free…]."""
    lhs, rhs = as_tensors(lhs, rhs)
    pairs = [tuple(tuple(axis_index(a, t.rank) for a in axes) for axes, t in zip(pair, (lhs, rhs))) for pair in (contracting, batch)]
    return apply("dot_general", lhs, rhs, contracting=pairs[0], batch=pairs[1])


def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """The matrix product with NumPy's rules: leading axes broadcast, a vector is a row on the left and a column on the right."""
    a, b = as_tensors(a, b)
    if a.rank == 0 or b.rank == 0:
        raise ShapeError(f"matmul of {a.type} and {b.type}: scalars have no matrix product")
    if b.rank <= 2 or a.rank == 1 and b.rank == 1:
        if b.rank == 2 or b.rank == 1:
            return dot_general(a, b, contracting=((a.rank - 1,), (0,)))
    if a.rank == 1:
        y = matmul(reshape(a, (1, *a.shape)), b)
        return reshape(y, (*y.shape[:-2], y.shape[-1]))
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = broadcast_to(a, (*lead, *a.shape[-2:])), broadcast_to(b, (*lead, *b.shape[-2:]))
    axes = tuple(range(len(lead)))
    return dot_general(a, b, contracting=((a.rank - 1,), (b.rank - 2,)), batch=(axes, axes))


def conv_general(x: TensorLike, w: TensorLike, *, strides=None, padding=None, lhs_dilation=None, rhs_dilation=None, groups: int = 1,
                 layout: str = "channels_first") -> Tensor:
    """Convolution (cross-correlation). channels_first: x [N, C, *S], w [O, C/groups, *K]; channels_last: x [N, *S, C], w [*K, C/groups, O].
    `padding` is (before, after) for each spatial axis; `lhs_dilation` spreads the input, `rhs_dilation` the kernel."""
    x, w = as_tensors(x, w)
    ones = (1,) * (x.rank - 2)
    return apply("conv_general", x, w, strides=tuple(strides or ones), padding=tuple(tuple(p) for p in padding or ((0, 0),) * len(ones)),
                 lhs_dilation=tuple(lhs_dilation or ones), rhs_dilation=tuple(rhs_dilation or ones), groups=groups, layout=layout)


def reduce_window(x: TensorLike, kind: str, window, strides=None, padding=None, dilation=None) -> Tensor:
    """The max, min or sum (`kind`) of each window; an entry for each axis of `x`. What padding adds counts for nothing."""
    x = as_tensor(x)
    ones = (1,) * x.rank
    return apply("reduce_window", x, kind=kind, window=tuple(window), strides=tuple(strides or ones),
                 padding=tuple(tuple(p) for p in padding or ((0, 0),) * x.rank), dilation=tuple(dilation or ones))


def sort(x: TensorLike, axis: int = -1, descending: bool = False) -> Tensor:
    """The elements along `axis` in order."""
    x = as_tensor(x)
    return apply("sort", x, axis=axis_index(axis, x.rank), descending=descending)


def top_k(x: TensorLike, k: DimLike, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest (or smallest) elements along `axis`, in order, and their indices (int64); of equals the first."""
    x = as_tensor(x)
    return apply("top_k", x, k=k, axis=axis_index(axis, x.rank), largest=bool(largest))

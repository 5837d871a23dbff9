"""Values made from nothing, from shapes and from random numbers."""
from __future__ import annotations

from functools import reduce

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx import dynamic
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.reader import element_type
from dlcompile.frontends.onnx.shapes import as_axis, assume_equal
from dlcompile.graph import Tensor, at_least, ceildiv, dim_max, is_float, known_dims, make_constant, nothing_of

_VALUES = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64,
           "value_string": object, "value_strings": object}


@importer("Constant")
def constant(node: OnnxNode) -> Tensor:
    for name in ("value", "sparse_value"):
        if name in node.attribute_protos:
            return make_constant(node[name])
    for name, dtype in _VALUES.items():
        if name in node.attribute_protos:
            return make_constant(np.asarray(node[name], dtype))
    raise UnsupportedOperatorError(
        f"a constant given by {', '.join(node.attribute_protos) or 'nothing'} is not supported"
    )


@importer("ConstantOfShape", since=9)
def constant_of_shape(node: OnnxNode, shape: Tensor) -> Tensor:
    value = node["value"]
    if value is None:
        value = np.zeros(1, np.float32)
    if value.size != 1:
        raise InvalidModelError(f"the value has {value.size} elements; expected one")
    return ops.broadcast_to(make_constant(value.reshape(())), dynamic.where_known(*dynamic.entries_of(shape, "shape")))


@importer("Shape")
def shape(node: OnnxNode, x: Tensor) -> Tensor:
    """The dimensions `start` to `end` (since opset 15), positions below 0 counting from the end."""
    end = node["end"]
    return ops.shape_vector(x.shape[slice(node.get("start", 0), x.rank if end is None else end)])


@importer("Size")
def size(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.reshape(ops.shape_vector((x.type.size,)), ())


@importer("Range", since=11)
def range_(node: OnnxNode, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """start, start + delta, ... below limit: max(ceil((limit - start) / delta), 0) elements."""
    if all(t.known is not None for t in (start, limit, delta)) and isinstance(delta.known.item(), int):
        (first,), (last,), (step,) = known_dims(start), known_dims(limit), known_dims(delta)
        if step == 0:
            raise InvalidModelError("the delta of a range must not be 0")
        distance = last - first if step > 0 else first - last
        count = ceildiv(distance, abs(step)) if at_least(distance, 0) else dim_max(ceildiv(distance, abs(step)), 0)
        if all(isinstance(n, int) for n in (first, last)) and count <= 1024:  # known, so that shape arithmetic goes on
            return make_constant(np.asarray([first + step * i for i in range(count)], start.dtype).reshape(count))
    elif all(constant_value(t) is not None for t in (start, limit, delta)):
        first, last, step = (constant_value(t).item() for t in (start, limit, delta))
        if step == 0:
            raise InvalidModelError("the delta of a range must not be 0")
        count = max(int(np.ceil((last - first) / step)), 0)
    else:
        count = ops.dim_of(_steps(*(ops.reshape(t, ()) for t in (start, limit, delta))))
    return ops.add(ops.mul(ops.iota(start.dtype, (count,), 0), ops.reshape(delta, ())), ops.reshape(start, ()))


def _steps(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """max(ceil((limit - start) / delta), 0) as an int64 scalar, of floats computed in float64; -1, which is no
    dimension, where that is no number."""
    none, wrong = make_constant(np.int64(0)), make_constant(np.int64(-1))
    if is_float(start.dtype):
        start, limit, delta = (ops.cast(t, np.float64) for t in (start, limit, delta))
        steps = ops.ceil(ops.div(ops.sub(limit, start), delta))
        finite = ops.lt(ops.abs(steps), make_constant(np.float64(2**62)))
        count = ops.cast(ops.select(finite, steps, make_constant(np.float64(-1))), np.int64)
        return ops.select(finite, ops.maximum(count, none), wrong)
    start, limit, delta = (ops.cast(t, np.int64) for t in (start, limit, delta))
    forward = ops.gt(delta, none)
    distance = ops.select(forward, ops.sub(limit, start), ops.sub(start, limit))
    one = make_constant(np.int64(1))
    count = ops.select(ops.gt(distance, none), ops.add(ops.div(ops.sub(distance, one), ops.abs(delta)), one), none)
    return ops.select(ops.eq(delta, none), wrong, count)


@importer("EyeLike", since=9)
def eye_like(node: OnnxNode, x: Tensor) -> Tensor:
    dtype = x.dtype if node["dtype"] is None else element_type(node["dtype"], "dtype")
    if x.rank != 2:
        raise ShapeError(f"expected a matrix, not {x.type}")
    row, column = (ops.iota(np.int64, x.shape, axis) for axis in (0, 1))
    return ops.cast(ops.eq(ops.add(row, make_constant(np.int64(node["k"]))), column), dtype)


@importer("OneHot", since=9)
def one_hot(node: OnnxNode, indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    """values[1] where the new axis is at the index, values[0] elsewhere; indices below 0 count from `depth`."""
    assume_equal(depth.type.size, 1, "the depth must be one number:")
    known = None if depth.known is not None else constant_value(depth)
    count = ops.dim_of(depth) if known is None else int(known.item())
    axis = as_axis(node["axis"], indices.rank + 1)
    shape = (*indices.shape[:axis], count, *indices.shape[axis:])
    index = indices if indices.dtype == np.int64 else ops.cast(indices, np.int64)
    index = ops.select(
        ops.lt(index, make_constant(np.int64(0))), ops.add(index, ops.reshape(ops.shape_vector((count,)), ())), index
    )
    index = ops.reshape(index, (*indices.shape[:axis], 1, *indices.shape[axis:]))
    hit = ops.eq(index, ops.iota(np.int64, shape, axis))
    off, on = (ops.reshape(ops.slice(values, (i,), (i + 1,)), ()) for i in (0, 1))
    return ops.select(hit, on, off)


@importer("Trilu", since=14)
def trilu(node: OnnxNode, x: Tensor, k: Tensor | None = None) -> Tensor:
    """The upper or lower triangle of the last two axes, from the diagonal `k` on; zeros, or empty texts, elsewhere."""
    if x.rank < 2:
        raise ShapeError(f"expected at least two axes, not {x.type}")
    known = 0 if k is None else constant_value(k)
    if known is not None:
        return ops.trilu(x, int(np.asarray(known).reshape(())), upper=bool(node["upper"]))
    offset = ops.reshape(k, ())
    row, column = (ops.iota(np.int64, x.shape[-2:], axis) for axis in (0, 1))
    diagonal = ops.add(row, offset)
    keep = ops.ge(column, diagonal) if node["upper"] else ops.le(column, diagonal)
    return ops.select(keep, x, nothing_of(x.dtype))


MOST_COMPUTED = 1 << 24  # elements of a window that is computed now rather than when the model runs

# -- windows of signals ------------------------------------------------------------------------------------------------
def _window(coefficients):
    """sum of c[i] * cos(2*pi*i*n / N), N the size of a periodic window, one less of a symmetric one."""
    def row(node: OnnxNode, size: Tensor) -> Tensor:
        dtype = element_type(node["output_datatype"], "output_datatype")
        (count,) = dynamic.where_known(*dynamic.entries_of(size, "size of the window"))
        if isinstance(count, int) and count <= MOST_COMPUTED:
            n = np.arange(count) * (2 * np.pi / max(count if node["periodic"] else count - 1, 1))
            return make_constant(sum(c * np.cos(i * n) for i, c in enumerate(coefficients)).astype(dtype))
        period = ops.dim_scalar(dim_max(count if node["periodic"] else count - 1, 1), np.float64)
        n = ops.div(ops.mul(ops.iota(np.float64, (count,), 0), np.float64(2 * np.pi)), period)
        terms = [ops.mul(ops.cos(ops.mul(n, np.float64(i))), np.float64(c)) for i, c in enumerate(coefficients) if i]
        return ops.cast(ops.add(reduce(ops.add, terms), np.float64(coefficients[0])), dtype)
    return row


importer("HannWindow", since=17)(_window((0.5, -0.5)))
importer("HammingWindow", since=17)(_window((25 / 46, -21 / 46)))
importer("BlackmanWindow", since=17)(_window((0.42, -0.5, 0.08)))

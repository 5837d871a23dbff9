"""What the reference evaluator of the onnx package gets wrong, and what the standard says instead.

Each function here replaces the evaluator for the operators named above it: it is called with the evaluator (for cases it gets
right), the node, the arrays and the opset, and returns the outputs, or None to let the evaluator do it. Its docstring says what is wrong.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import ml_dtypes
import numpy as np
import onnx
from onnx import helper
from onnx.reference.ops._quant_utils import reshape_input

from tests.random_models import values as v

CORRECTED: dict[tuple[str, str], Callable] = {}


def correction(*names: str, domain: str = ""):
    def declare(function: Callable) -> Callable:
        for name in names:
            CORRECTED[domain, name] = function
        return function
    return declare


def attributes_of(node: onnx.NodeProto) -> dict:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


# -- elementwise ------------------------------------------------------------------------------------------------------------------
@correction("Erf")
def erf(evaluate, node, arrays, opset):
    """Rounds to float32, whatever the type."""
    return [_erf(arrays[0].astype(np.float64)).astype(arrays[0].dtype)]


def _erf(x: np.ndarray) -> np.ndarray:
    return np.array([math.erf(v) for v in x.ravel()], np.float64).reshape(x.shape)


@correction("Gelu")
def gelu(evaluate, node, arrays, opset):
    """Is computed by way of `Erf`, and with constants of float32."""
    x = arrays[0].astype(np.float64)
    if attributes_of(node).get("approximate", b"none") == b"tanh":
        inner = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    else:
        inner = _erf(x / np.sqrt(2))
    return [(0.5 * x * (1 + inner)).astype(arrays[0].dtype)]


@correction("HardSwish")
def hard_swish(evaluate, node, arrays, opset):
    """Rounds 1/6 to float32."""
    x = arrays[0].astype(np.float64)
    return [(x * np.clip(x / 6 + 0.5, 0, 1)).astype(arrays[0].dtype)]


@correction("PRelu")
def prelu(evaluate, node, arrays, opset):
    """Multiplies 0 by the slope, which may be infinite."""
    x, slope = arrays
    return [np.where(x < 0, slope * x, x).astype(x.dtype)]


@correction("LogSoftmax")
def log_softmax(evaluate, node, arrays, opset):
    """Takes the logarithm of a softmax, of whose small elements few bits are left, or none."""
    x, axis = arrays[0].astype(np.float64), attributes_of(node).get("axis", -1)
    if not x.size:
        return None
    with np.errstate(all="ignore"):
        x = x - x.max(axis=axis, keepdims=True)
        return [(x - np.log(np.exp(x).sum(axis=axis, keepdims=True))).astype(arrays[0].dtype)]


@correction("Sum", "Mean", "Softmax", "ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp")
def in_16_bits(evaluate, node, arrays, opset):
    """Computes each step in 16 bits, where sums overflow and small exponentials vanish."""
    if arrays[0].dtype.itemsize != 2 or arrays[0].dtype.kind in "iu":
        return None
    return [r.astype(arrays[0].dtype) for r in evaluate(node, [a.astype(np.float64) if a is not None and v.is_float(a.dtype) else a for a in arrays], opset)]


@correction("ScatterElements", "ScatterND")
def scatter(evaluate, node, arrays, opset):
    """A NaN is the larger, or is not, as it comes first or last."""
    if attributes_of(node).get("reduction", b"none") in (b"max", b"min") and any(np.isnan(a).any() for a in (arrays[0], arrays[2]) if v.is_float(a.dtype)):
        raise ValueError("the largest of numbers and NaN")
    return None


@correction("Adam", domain="ai.onnx.preview.training")
def adam(evaluate, node, arrays, opset):
    """Makes float64 of float32."""
    dtype = arrays[0].dtype
    rate, step, x, gradient, mean, square = (a.astype(np.float64) for a in arrays)
    given = attributes_of(node)
    alpha, beta = given["alpha"], given["beta"]
    gradient = gradient + given.get("norm_coefficient", 0.0) * x
    rate = rate * np.sqrt(1 - beta**step) / (1 - alpha**step) if step > 0 else rate
    mean, square = alpha * mean + (1 - alpha) * gradient, beta * square + (1 - beta) * gradient**2
    return [a.astype(dtype) for a in (x - rate * mean / (np.sqrt(square) + given["epsilon"]), mean, square)]


# -- reductions and normalisations --------------------------------------------------------------------------------------------------
@correction("ReduceSum", "ReduceProd", "ReduceSumSquare", "ReduceL1")
def reduce(evaluate, node, arrays, opset):
    """Gives NumPy's type of the sum of small integers, not that of the input."""
    if arrays[0].dtype.itemsize == 2 and v.is_float(arrays[0].dtype):
        return in_16_bits(evaluate, node, arrays, opset)
    return None if arrays[0].dtype.kind not in "iu" else _reduce_integers(node, arrays, opset)


def _reduce_integers(node, arrays, opset):
    attributes, x = attributes_of(node), arrays[0]
    axes = attributes.get("axes") if len(arrays) < 2 or arrays[1] is None else arrays[1].tolist()
    if not axes and attributes.get("noop_with_empty_axes", 0):
        axes = ()
    elif not axes:
        axes = None
    before = {"ReduceSumSquare": np.square, "ReduceL1": np.abs}.get(node.op_type, lambda values: values)
    function = np.prod if node.op_type == "ReduceProd" else np.sum
    return [np.asarray(function(before(x), axis=axes if axes is None else tuple(axes), keepdims=bool(attributes.get("keepdims", 1)))).astype(x.dtype)]


@correction("LpNormalization")
def lp_normalization(evaluate, node, arrays, opset):
    """Takes no absolute values."""
    attributes, x = attributes_of(node), arrays[0] if arrays[0].dtype.itemsize > 2 else arrays[0].astype(np.float64)
    p = attributes.get("p", 2)
    norm = (np.abs(x) ** p).sum(axis=attributes.get("axis", -1), keepdims=True) ** (1 / p)
    return [np.where(norm == 0, 0, x / norm).astype(arrays[0].dtype)]


@correction("LRN")
def lrn(evaluate, node, arrays, opset):
    """Sums as many channels as there are images."""
    attributes, x = attributes_of(node), arrays[0].astype(np.float64)
    size, channels = attributes["size"], x.shape[1]
    low, high = (size - 1) // 2, math.ceil((size - 1) / 2)
    sums = np.stack([np.square(x[:, max(0, c - low):c + high + 1]).sum(1) for c in range(channels)], 1)
    scale = attributes.get("bias", 1.0) + attributes.get("alpha", float(np.float32(1e-4))) / size * sums
    return [(x / scale ** attributes.get("beta", 0.75)).astype(arrays[0].dtype)]


@correction("BatchNormalization")
def batch_normalization(evaluate, node, arrays, opset):
    """Takes the statistics of the batch before opset 14, where nothing but the number of outputs says training."""
    if attributes_of(node).get("training_mode", 0):
        return None
    x, *parameters = (a.astype(np.float64) for a in arrays)
    scale, bias, mean, variance = (p.reshape(-1, *(1,) * (x.ndim - 2)) for p in parameters)
    return [(scale * (x - mean) / np.sqrt(variance + attributes_of(node).get("epsilon", float(np.float32(1e-5)))) + bias).astype(arrays[0].dtype)]


@correction("OneHot")
def one_hot(evaluate, node, arrays, opset):
    """Computes off + 1 * (on - off), which is not always on."""
    indices, depth, (off, on) = arrays
    depth, axis = int(np.ravel(depth)[0]), attributes_of(node).get("axis", -1) % (indices.ndim + 1)
    chosen = np.expand_dims(np.where(indices < 0, indices + depth, indices), axis)
    return [np.where(chosen == np.arange(depth).reshape(-1, *(1,) * (indices.ndim - axis)), on, off)]


# -- movement -----------------------------------------------------------------------------------------------------------------------
@correction("Shape")
def shape(evaluate, node, arrays, opset):
    """Counts an end below -rank from the end a second time."""
    attributes, rank = attributes_of(node), arrays[0].ndim
    start, end = (min(max(n + rank if n < 0 else n, 0), rank) for n in (attributes.get("start", 0), attributes.get("end", rank)))
    return [np.array(arrays[0].shape[start:end], np.int64)]


@correction("Pad")
def pad(evaluate, node, arrays, opset):
    """Knows no negative amounts, which cut off."""
    x, amounts, *rest = arrays
    if attributes_of(node).get("mode", b"constant") != b"constant" or amounts.min(initial=0) >= 0:
        return None
    axes = range(x.ndim) if len(rest) < 2 or rest[1] is None else rest[1].tolist()
    amounts = amounts.copy()
    for i, axis in enumerate(axes):
        low, high, extent = int(amounts[i]), int(amounts[i + len(axes)]), x.shape[axis]
        if extent + min(low, 0) + min(high, 0) < 0:  # the padding is cut too
            if extent + low + high < 0:
                raise ValueError("less than nothing is left")
            amounts[i], amounts[i + len(axes)] = low, high = -extent, extent + low + high
        x = np.take(x, range(max(-low, 0), x.shape[axis] - max(-high, 0)), axis)
    return evaluate(node, [x, np.maximum(amounts, 0), *rest], opset)


# -- control flow and selections ----------------------------------------------------------------------------------------------------
def restacked(node: onnx.NodeProto, results: list) -> list:
    """Loop: the evaluator puts what the iterations collect one behind the other, on the first axis, not on a new one."""
    body = next(a.g for a in node.attribute if a.name == "body")
    for i in range(len(node.input) - 2, len(results)):
        item = [d.dim_value for d in body.output[1 + i].type.tensor_type.shape.dim]
        results[i] = np.asarray(results[i]).reshape(-1, *item)
    return results


@correction("Unique")
def unique(evaluate, node, arrays, opset):
    """Unsorted, loses the order or takes parts of the wrong axis."""
    attributes = attributes_of(node)
    values, first, inverse, counts = np.unique(arrays[0], True, True, True, axis=attributes.get("axis"))
    inverse = inverse.reshape(-1)
    if not attributes.get("sorted", 1):
        order = np.argsort(first)
        values, first, counts = np.take(values, order, axis=attributes.get("axis")), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return [values, *(a.astype(np.int64) for a in (first, inverse, counts))][:len(node.output)]


# -- quantised numbers --------------------------------------------------------------------------------------------------------------
@correction("QuantizeLinear")
def quantize(evaluate, node, arrays, opset):
    """Makes an int32 of what is too large for one, before it saturates."""
    x, scale, zero = [*arrays, None][:3]
    zero = np.zeros(scale.shape, np.uint8) if zero is None else zero
    attributes = attributes_of(node)
    try:
        limits = ml_dtypes.iinfo(zero.dtype)
    except ValueError:
        return None  # narrow floats
    if "output_dtype" in attributes or "precision" in attributes:
        return None
    scale, zero = (reshape_input(t, x.shape, attributes.get("axis", 1), attributes.get("block_size", 0)) for t in (scale, zero))
    rounded = np.rint(x / scale) + zero.astype(np.float64)
    return [np.clip(rounded, int(limits.min), int(limits.max)).astype(zero.dtype)]


@correction("QLinearMatMul")
def qlinear_matmul(evaluate, node, arrays, opset):
    """Rounds after the zero point is added, so that ties go to the wrong side."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = arrays
    product = (a.astype(np.int64) - a_zero) @ (b.astype(np.int64) - b_zero)
    return [_requantized(product, a_scale * b_scale / y_scale, y_zero)]


@correction("QLinearConv")
def qlinear_conv(evaluate, node, arrays, opset):
    """The same."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *bias = arrays
    w_zero = w_zero.reshape(-1, *(1,) * (w.ndim - 1)) if w_zero.ndim else w_zero
    plain = helper.make_node("Conv", ["x", "w"], ["y"])
    plain.attribute.extend(node.attribute)
    sums, = evaluate(plain, [x.astype(np.float64) - x_zero, w.astype(np.float64) - w_zero], opset)
    along = (1, -1, *(1,) * (w.ndim - 2))
    if bias and bias[0] is not None:
        sums = sums + bias[0].reshape(along)
    return [_requantized(np.rint(sums), x_scale * (w_scale.reshape(along) if w_scale.ndim else w_scale) / y_scale, y_zero)]


def _requantized(sums: np.ndarray, factor: np.ndarray, zero: np.ndarray) -> np.ndarray:
    limits = np.iinfo(zero.dtype)
    return np.clip(np.rint(sums * factor.astype(np.float64)) + zero, limits.min, limits.max).astype(zero.dtype)


# -- windows ------------------------------------------------------------------------------------------------------------------------
@correction("GlobalMaxPool")
def global_max_pool(evaluate, node, arrays, opset):
    """Reduces the wrong axes where there are not two of them."""
    return [arrays[0].max(axis=tuple(range(2, arrays[0].ndim)), keepdims=True)]


@correction("GlobalLpPool")
def global_lp_pool(evaluate, node, arrays, opset):
    """Is not there."""
    x, p = arrays[0].astype(np.float64), attributes_of(node).get("p", 2)
    return [((np.abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True) ** (1 / p)).astype(arrays[0].dtype)]


@correction("ConvTranspose")
def conv_transpose(evaluate, node, arrays, opset):
    """Keeps one channel of each group, and adds the first group's bias to all."""
    attributes = attributes_of(node)
    groups = attributes.get("group", 1)
    if groups == 1:
        return None
    single = onnx.NodeProto()
    single.CopyFrom(node)
    next(a for a in single.attribute if a.name == "group").i = 1
    parts = zip(np.split(arrays[0], groups, 1), np.split(arrays[1], groups, 0),
                np.split(arrays[2], groups) if len(arrays) > 2 and arrays[2] is not None else [None] * groups)
    return [np.concatenate([evaluate(single, part, opset)[0] for part in parts], 1)]


@correction("MaxPool", "AveragePool", "LpPool")
def pool(evaluate, node, arrays, opset):
    """Leaves dilations out of the size where padding is automatic, and has other sizes with ceil_mode."""
    attributes, x = attributes_of(node), arrays[0]
    kernel, spatial = attributes["kernel_shape"], x.shape[2:]
    dims = len(kernel)
    strides, dilations = attributes.get("strides", [1] * dims), attributes.get("dilations", [1] * dims)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    sizes, pads = zip(*(_extent(attributes, i, dims, *each) for i, each in enumerate(zip(spatial, reach, strides))))
    result = np.empty((*x.shape[:2], *sizes), x.dtype)
    places = np.zeros((*x.shape[:2], *sizes), np.int64)
    flat = np.arange(x.size).reshape(x.shape)
    if attributes.get("storage_order", 0):
        columns = np.arange(math.prod(spatial)).reshape(spatial[::-1]).transpose()
        flat = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * dims) * math.prod(spatial) + columns
    for at in itertools.product(*map(range, sizes)):
        first = [i * s - low for i, s, (low, _) in zip(at, strides, pads)]
        rows = [[f + j * d for j in range(k)] for f, k, d in zip(first, kernel, dilations)]
        inside = [[r for r in axis if 0 <= r < e] for axis, e in zip(rows, spatial)]
        padded = math.prod(sum(-low <= r < e + high for r in axis) for axis, e, (low, high) in zip(rows, spatial, pads))
        if not all(inside):
            raise ValueError("a window without an element")
        count = math.prod(map(len, inside))
        picked = x[np.ix_(range(x.shape[0]), range(x.shape[1]), *inside)].reshape(*x.shape[:2], count)
        spot = (slice(None), slice(None), *at)
        if node.op_type == "MaxPool":
            result[spot] = picked.max(-1)
            window = flat[np.ix_(range(x.shape[0]), range(x.shape[1]), *inside)].reshape(*x.shape[:2], count)
            places[spot] = np.take_along_axis(window, picked.argmax(-1)[..., None], -1)[..., 0]
        elif node.op_type == "AveragePool":
            divisor = padded if attributes.get("count_include_pad", 0) else count
            result[spot] = (picked.astype(np.float64).sum(-1) / divisor).astype(x.dtype)
        else:
            p = attributes.get("p", 2)
            result[spot] = ((np.abs(picked.astype(np.float64)) ** p).sum(-1) ** (1 / p)).astype(x.dtype)
    return [result, places][:len(node.output)]


def _extent(attributes: dict, axis: int, dims: int, extent: int, reach: int, stride: int) -> tuple[int, tuple[int, int]]:
    """The number of windows along an axis, and its padding."""
    automatic = attributes.get("auto_pad", b"NOTSET")
    if automatic in (b"SAME_UPPER", b"SAME_LOWER"):
        count = -(-extent // stride)
        total = max((count - 1) * stride + reach - extent, 0)
        half = total // 2
        return count, (half, total - half) if automatic == b"SAME_UPPER" else (total - half, half)
    pads = attributes.get("pads", [0] * 2 * dims) if automatic == b"NOTSET" else [0] * 2 * dims
    low, high = pads[axis], pads[axis + dims]
    span = extent + low + high - reach
    if not attributes.get("ceil_mode", 0) or automatic == b"VALID":
        return span // stride + 1, (low, high)
    count = -(-span // stride) + 1
    return count - ((count - 1) * stride >= extent + low), (low, high)

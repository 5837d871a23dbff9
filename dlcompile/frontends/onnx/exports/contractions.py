"""dot_general and conv_general as ONNX writes them."""
from __future__ import annotations

import string

import numpy as np

from dlcompile.frontends.onnx.exports.movement import pad_axes, reverse_axes, slice_axes
from dlcompile.frontends.onnx.writer import Writer, exporter
from dlcompile.graph import Node, is_float


@exporter("dot_general")
def dot_general(writer: Writer, node: Node, a: str, b: str) -> str:
    """A MatMul of the operands with their axes in its order; an Einsum where several axes are contracted, or batches go
    along with vectors."""
    (left, right), (left_batch, right_batch) = node.attributes["contracting"], node.attributes["batch"]
    lhs, rhs = node.inputs
    left_free = [axis for axis in range(lhs.rank) if axis not in (*left, *left_batch)]
    right_free = [axis for axis in range(rhs.rank) if axis not in (*right, *right_batch)]
    plain = len(left) == 1 and not left_batch and len(left_free) >= 1 and len(right_free) == 1
    batched = len(left) == 1 and len(left_batch) >= 1 and len(left_free) == len(right_free) == 1
    if plain or batched:
        a = writer.transpose(a, [*left_batch, *left_free, *left])
        b = writer.transpose(b, [*right_batch, *right, *right_free])
        return writer.emit("MatMul", [a, b])
    letters = iter(string.ascii_letters)
    names = {("l", axis): next(letters) for axis in range(lhs.rank)}
    names |= {("r", r): names["l", axis] for axis, r in zip((*left, *left_batch), (*right, *right_batch))}
    names |= {("r", axis): next(letters) for axis in right_free}
    terms = ["".join(names[side, axis] for axis in range(t.rank)) for side, t in (("l", lhs), ("r", rhs))]
    result = "".join(
        [*(names["l", axis] for axis in (*left_batch, *left_free)), *(names["r", axis] for axis in right_free)]
    )
    return writer.emit("Einsum", [a, b], equation=f"{terms[0]},{terms[1]}->{result}")


@exporter("conv_general")
def conv_general(writer: Writer, node: Node, x: str, w: str) -> str:
    """Conv, or ConvTranspose where the input is spread; channels-last operands are transposed around it."""
    a, (data, weights) = node.attributes, node.inputs
    n = data.rank - 2
    shape, kernel = list(data.shape), list(weights.shape)
    last = a["layout"] == "channels_last"
    if last:
        x, shape = writer.transpose(x, [0, n + 1, *range(1, n + 1)]), [shape[0], shape[n + 1], *shape[1:n + 1]]
        order = [n + 1, n, *range(n)]
        kernel = [kernel[axis] for axis in order]
        w = writer.constant(weights.value.transpose(order)) if weights.is_constant else writer.transpose(w, order)
    dtype = data.dtype
    if not is_float(dtype):  # ONNX convolves floats only; in float32 sums of small integers are exact
        x, w = writer.cast(x, np.float32), writer.cast(w, np.float32)
    if any(d != 1 for d in a["lhs_dilation"]):
        y = _transposed(writer, node, x, w, shape, kernel)
    else:
        y = _convolution(writer, node, x, w, shape, a["padding"])
    if not is_float(dtype):
        y = writer.cast(writer.emit("Round", [y]), dtype)
    return writer.transpose(y, [0, *range(2, n + 2), 1]) if last else y


def _convolution(writer: Writer, node: Node, x: str, w: str, shape, padding) -> str:
    a, n = node.attributes, len(padding)
    if any(not isinstance(side, int) or side < 0 for pair in padding for side in pair):
        x = _padded(writer, x, shape, padding, node)
        padding = ((0, 0),) * n
    bias = writer.bias(node) if is_float(node.inputs[0].dtype) else []
    return writer.emit(
        "Conv",
        [x, w, *bias],
        strides=list(a["strides"]),
        dilations=list(a["rhs_dilation"]),
        group=a["groups"],
        pads=[low for low, _ in padding] + [high for _, high in padding],
    )


def _padded(writer: Writer, x: str, shape, padding, node: Node) -> str:
    """Padding in front of the convolution; ONNX's Pad cuts off where an amount is negative."""
    low, high = zip(*padding)
    zero = writer.constant(np.zeros((), node.inputs[0].dtype if is_float(node.inputs[0].dtype) else np.float32))
    return pad_axes(writer, x, (0, 0, *low), (0, 0, *high), zero)


def _transposed(writer: Writer, node: Node, x: str, w: str, shape, kernel) -> str:
    """A convolution of the input spread by s is ConvTranspose with strides s of the weights turned round, where that
    can have its padding; otherwise the input is spread by padding each element."""
    a = node.attributes
    spread, dilations, groups = a["lhs_dilation"], a["rhs_dilation"], a["groups"]
    pads, extras = [], []
    fits = all(s == 1 for s in a["strides"]) and all(isinstance(d, int) for d in kernel)
    for (low, high), k, s, d in zip(a["padding"], kernel[2:], spread, dilations):
        if not fits or not isinstance(low, int) or not isinstance(high, int):
            fits = False
            break
        span = d * (k - 1)
        extra = max(0, high - span)
        pads.append((span - low, span - high + extra))
        extras.append(extra)
        fits = low <= span and (extra == 0 or extra < max(s, d))
    if not fits:
        x, shape = _spread(writer, node, x, shape)
        return _convolution(writer, node, x, w, shape, a["padding"])
    out, per_group = kernel[0], kernel[1]
    weights = node.inputs[1]
    if weights.is_constant:
        array = weights.value
        if a["layout"] == "channels_last":
            array = np.moveaxis(array, (-1, -2), (0, 1))
        array = np.flip(array, tuple(range(2, array.ndim))).reshape(groups, out // groups, per_group, *kernel[2:])
        array = np.swapaxes(array, 1, 2).reshape(groups * per_group, out // groups, *kernel[2:])
        w = writer.constant(np.ascontiguousarray(array if is_float(array.dtype) else array.astype(np.float32)))
    else:
        w = reverse_axes(writer, w, list(range(2, len(kernel))))
        w = writer.reshape(w, (groups, out // groups, per_group, *kernel[2:]))
        w = writer.transpose(w, [0, 2, 1, *range(3, len(kernel) + 1)])
        w = writer.reshape(w, (groups * per_group, out // groups, *kernel[2:]))
    bias = writer.bias(node) if is_float(node.inputs[0].dtype) else []
    return writer.emit(
        "ConvTranspose",
        [x, w, *bias],
        strides=list(spread),
        dilations=list(dilations),
        group=groups,
        pads=[low for low, _ in pads] + [high for _, high in pads],
        output_padding=extras if any(extras) else None,
    )


def _spread(writer: Writer, node: Node, x: str, shape) -> tuple[str, list]:
    """d - 1 zeros between the elements of each spatial axis: a new axis of 1, padded to d, merged, and cut after the
    last element."""
    shape = list(shape)
    zero = writer.constant(np.zeros((), node.inputs[0].dtype if is_float(node.inputs[0].dtype) else np.float32))
    for axis, d in enumerate(node.attributes["lhs_dilation"], 2):
        if d == 1:
            continue
        before, size, after = shape[:axis], shape[axis], shape[axis + 1:]
        x = writer.reshape(x, (*before, size, 1, *after))
        x = pad_axes(
            writer,
            x,
            (0,) * (len(shape) + 1),
            tuple(d - 1 if i == axis + 1 else 0 for i in range(len(shape) + 1)),
            zero,
        )
        x = writer.reshape(x, (*before, size * d, *after))
        limit = [*before, (size - 1) * d + 1, *after]
        x = slice_axes(writer, x, [*before, size * d, *after], (0,) * len(shape), limit, (1,) * len(shape))
        shape = limit
    return x, shape

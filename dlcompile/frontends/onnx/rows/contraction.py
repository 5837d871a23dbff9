"""Matrix products and convolutions."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.frontends.onnx.rows.elementwise import scalar
from dlcompile.frontends.onnx.windows import Window
from dlcompile.graph import DimLike, Tensor, dim_max, floordiv, make_constant


@importer("MatMul")
def matmul(node: OnnxNode, a: Tensor, b: Tensor) -> Tensor:
    return ops.matmul(a, b)


@importer("FusedMatMul", domain="com.microsoft")
def fused_matmul(node: OnnxNode, a: Tensor, b: Tensor) -> Tensor:
    y = ops.matmul(_swapped(a, node.get("transA", 0)), _swapped(b, node.get("transB", 0)))
    alpha = node.get("alpha", 1.0)
    return y if alpha == 1 else ops.mul(y, scalar(alpha, y))


def _swapped(x: Tensor, swap: int) -> Tensor:
    """The last two axes in the other order."""
    return ops.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2)) if swap else x


@importer("Gemm")
def gemm(node: OnnxNode, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """alpha * a' b' + beta * c."""
    if a.rank != 2 or b.rank != 2:
        raise ShapeError(f"the operands are {a.type} and {b.type}; expected matrices")
    y = ops.dot_general(a, b, contracting=((0 if node["transA"] else 1,), (1 if node["transB"] else 0,)))
    if node["alpha"] != 1:
        y = ops.mul(y, scalar(node["alpha"], y))
    if c is None or node["beta"] == 0:
        return y
    if node["beta"] != 1:
        c = ops.mul(c, scalar(node["beta"], c))
    return ops.add(y, c)


@importer("Einsum", since=12)
def einsum(node: OnnxNode, *operands: Tensor) -> Tensor:
    return ops.einsum(node["equation"], *operands)


@importer("MatMulInteger", since=10)
def matmul_integer(
    node: OnnxNode, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    """The product in int32 of the operands less their zero points (one for each row of a, for each column of b)."""
    if a_zero is not None and a_zero.rank == 1 and a.rank > 1:
        a_zero = ops.reshape(a_zero, (*a_zero.shape, 1))
    return ops.matmul(centred(a, a_zero), centred(b, b_zero))


def centred(x: Tensor, zero: Tensor | None) -> Tensor:
    """x - zero in int32."""
    x = ops.cast(x, np.int32)
    return x if zero is None else ops.sub(x, ops.cast(zero, np.int32))


# -- convolutions ------------------------------------------------------------------------------------------------------
@importer("Conv")
def conv(node: OnnxNode, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Channels first: x [n, c, *s], w [o, c/group, *k]."""
    y = convolution(node, x, w)
    return y if b is None else ops.add(y, per_channel(b, y.rank))


def convolution(node: OnnxNode, x: Tensor, w: Tensor) -> Tensor:
    """The convolution a node's attributes describe, without its bias."""
    if x.rank < 3 or w.rank != x.rank:
        raise ShapeError(f"the operands are {x.type} and {w.type}; expected two of one rank, at least 3")
    window = Window.of(node, x.shape[2:], _kernel(node, w))
    return ops.conv_general(
        x, w, strides=window.strides, padding=window.padding, rhs_dilation=window.dilations, groups=node["group"]
    )


def _kernel(node: OnnxNode, w: Tensor) -> tuple[DimLike, ...]:
    given = node["kernel_shape"]
    if given is not None and any(isinstance(k, int) and k != g for g, k in zip(given, w.shape[2:], strict=True)):
        raise ShapeError(f"kernel_shape is {list(given)}; the weights are {w.type}")
    return w.shape[2:]


def per_channel(values: Tensor, rank: int) -> Tensor:
    """A vector along axis 1 of a tensor of that rank."""
    shape = (*values.shape, *(1,) * (rank - 2))
    return (
        make_constant(values.value.reshape(shape), name=values.name)
        if values.is_constant
        else ops.reshape(values, shape)
    )


@importer("ConvInteger", since=10)
def conv_integer(
    node: OnnxNode, x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None
) -> Tensor:
    if w_zero is not None and w_zero.rank:
        w_zero = ops.reshape(w_zero, (*w_zero.shape, *(1,) * (w.rank - 1)))
    return convolution(node, centred(x, x_zero), centred(w, w_zero))


@importer("ConvTranspose")
def conv_transpose(node: OnnxNode, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """out = stride*(in - 1) + output_padding + dilation*(k - 1) + 1 - pads; weights [c, o/group, *k]."""
    if x.rank < 3 or w.rank != x.rank:
        raise ShapeError(f"the operands are {x.type} and {w.type}; expected two of one rank, at least 3")
    n, groups = x.rank - 2, node["group"]
    kernel = _kernel(node, w)
    if groups < 1 or (isinstance(w.shape[0], int) and w.shape[0] % groups):
        raise ShapeError(f"{w.shape[0]} channels are not a multiple of {groups} groups")
    strides, dilations = node.get("strides", (1,) * n), node.get("dilations", (1,) * n)
    extra, pads, shape = node.get("output_padding", (0,) * n), node.get("pads", (0,) * 2 * n), node["output_shape"]
    if (
        not len(strides) == len(dilations) == len(extra) == n
        or len(pads) != 2 * n
        or (shape is not None and len(shape) < n)
    ):
        raise InvalidModelError(
            f"strides, dilations, output_padding, pads or output_shape do not have an entry for each of {n} axes"
        )
    if any(step < 1 for step in (*strides, *dilations)) or any(e < 0 for e in extra):
        raise InvalidModelError(f"strides {list(strides)} and dilations {list(dilations)} must be positive, output_padding {list(extra)} not negative")
    padding = []
    for axis in range(n):
        span = dilations[axis] * (kernel[axis] - 1)
        full = strides[axis] * (x.shape[2 + axis] - 1) + extra[axis] + span + 1
        low, high = pads[axis], pads[n + axis]
        if shape is not None or node["auto_pad"] in ("SAME_UPPER", "SAME_LOWER"):
            target = shape[len(shape) - n + axis] if shape is not None else x.shape[2 + axis] * strides[axis]
            total = dim_max(full - target, 0)
            small = floordiv(total, 2)
            low = small if node["auto_pad"] == "SAME_UPPER" else total - small
            high = full - target - low
        elif node["auto_pad"] == "VALID":
            low = high = 0
        padding.append((low, high))
    y = ops.conv_transpose(
        x, w, strides=strides, padding=padding, output_padding=extra, dilations=dilations, groups=groups
    )
    return y if b is None else ops.add(y, per_channel(b, y.rank))

"""Sums of products: dot_general and conv_general, as `jax.lax` has them."""
from __future__ import annotations

import math

import numpy as np

from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import Operator, TensorType, dtype_name, floordiv, is_number, product, register, unify
from dlcompile.operators.reductions import widened


def _check_types(what: str, a: TensorType, b: TensorType) -> None:
    if a.dtype != b.dtype:
        raise DTypeError(f"{what}: element types differ")
    if not is_number(a.dtype):
        raise DTypeError(f"{what}: there are no products of {dtype_name(a.dtype)}")


def _infer_dot(types, attributes):
    lhs, rhs = types
    (lc, rc), (lb, rb) = attributes["contracting"], attributes["batch"]
    _check_types(f"product of {lhs} and {rhs}", lhs, rhs)
    for pairs, what in ((zip(lc, rc, strict=True), "contracted"), (zip(lb, rb, strict=True), "batch")):
        for a, b in pairs:
            unify(lhs.shape[a], rhs.shape[b], f"product of {lhs} and {rhs}: {what} dimensions")
    free = [lhs.shape[a] for a in range(lhs.rank) if a not in lc and a not in lb]
    free += [rhs.shape[a] for a in range(rhs.rank) if a not in rc and a not in rb]
    return TensorType(lhs.dtype, (*(lhs.shape[a] for a in lb), *free))


def _dot(attributes, lhs, rhs):
    (lc, rc), (lb, rb) = attributes["contracting"], attributes["batch"]
    left = [a for a in range(lhs.ndim) if a not in lc and a not in lb]
    right = [a for a in range(rhs.ndim) if a not in rc and a not in rb]
    def sizes(array, axes):
        return [array.shape[a] for a in axes]
    batch = sizes(lhs, lb)
    a = widened(lhs).transpose(*lb, *left, *lc).reshape(*batch, int(np.prod(sizes(lhs, left))), int(np.prod(sizes(lhs, lc))))
    b = widened(rhs).transpose(*rb, *rc, *right).reshape(*batch, int(np.prod(sizes(rhs, rc))), int(np.prod(sizes(rhs, right))))
    with np.errstate(all="ignore"):
        return (a @ b).astype(lhs.dtype).reshape((*batch, *sizes(lhs, left), *sizes(rhs, right)))


register(Operator("dot_general", "contraction", infer=_infer_dot, evaluate=_dot, accuracy="sum",
                  flops=lambda i, o, a: 2 * o[0].size * product(i[0].shape[c] for c in a["contracting"][0])))


def _parts(types, attributes):
    """(batch, input channels, spatial extents, kernel extents, channels a group, output channels) of a convolution."""
    x, w = types
    if x.rank != w.rank or x.rank < 3:
        raise ShapeError(f"convolution of {x} with {w}: ranks must be equal and at least 3")
    if attributes["layout"] == "channels_last":
        return x.shape[0], x.shape[-1], x.shape[1:-1], w.shape[:-2], w.shape[-2], w.shape[-1]
    return x.shape[0], x.shape[1], x.shape[2:], w.shape[2:], w.shape[1], w.shape[0]


def _infer_conv(types, attributes):
    batch, channels, spatial, kernel, per_group, out = _parts(types, attributes)
    x, w = types
    groups = attributes["groups"]
    _check_types(f"convolution of {x} with {w}", x, w)
    unify(channels, per_group * groups, f"convolution of {x} with {w} in {groups} groups: channels")
    if groups < 1 or isinstance(out, int) and out % groups:
        raise ShapeError(f"convolution of {x} with {w}: {out} output channels in {groups} groups")
    if not all(len(attributes[name]) == len(spatial) for name in ("strides", "padding", "lhs_dilation", "rhs_dilation")):
        raise ShapeError(f"convolution of {x}: strides, padding and dilations need {len(spatial)} entries")
    if any(step < 1 for name in ("strides", "lhs_dilation", "rhs_dilation") for step in attributes[name]):
        raise ShapeError(f"convolution of {x}: strides and dilations must be positive")
    extents = []
    for extent, k, stride, (low, high), spread, dilation in zip(spatial, kernel, *(attributes[n] for n in (
            "strides", "padding", "lhs_dilation", "rhs_dilation"))):
        span = (extent - 1) * spread + 1 + low + high - ((k - 1) * dilation + 1)
        if isinstance(span, int) and span < 0:
            raise ShapeError(f"convolution of {x} with {w}: the kernel is larger than the padded input")
        extents.append(floordiv(span, stride) + 1)
    if attributes["layout"] == "channels_last":
        return TensorType(x.dtype, (batch, *extents, out))
    return TensorType(x.dtype, (batch, out, *extents))


def _conv(attributes, x, w):
    last = attributes["layout"] == "channels_last"
    n = x.ndim - 2
    if last:
        x, w = np.moveaxis(x, -1, 1), w.transpose(n + 1, n, *range(n))
    dtype, x, w = x.dtype, widened(x), widened(w)
    spread = attributes["lhs_dilation"]
    if any(d != 1 for d in spread):
        wide = np.zeros((*x.shape[:2], *((e - 1) * d + 1 if e else 0 for e, d in zip(x.shape[2:], spread))), x.dtype)
        wide[(slice(None), slice(None), *(slice(None, None, d) for d in spread))] = x
        x = wide
    padding = attributes["padding"]
    x = np.pad(x, ((0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in padding)))
    x = x[(slice(None), slice(None), *(slice(max(-a, 0), e - max(-b, 0)) for (a, b), e in zip(padding, x.shape[2:])))]
    strides, dilation, groups = attributes["strides"], attributes["rhs_dilation"], attributes["groups"]
    kernel = w.shape[2:]
    out = [(e - ((k - 1) * d + 1)) // s + 1 for e, k, d, s in zip(x.shape[2:], kernel, dilation, strides)]
    per_in, per_out = w.shape[1], w.shape[0] // groups
    y = np.zeros((groups, per_out, x.shape[0], *out), np.result_type(x.dtype))
    for tap in np.ndindex(*kernel):
        window = x[(slice(None), slice(None), *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilation, out, strides)))]
        window = window.reshape(x.shape[0], groups, per_in, *out)
        weights = w[(slice(None), slice(None), *tap)].reshape(groups, per_out, per_in)
        columns = window.transpose(1, 2, 0, *range(3, 3 + n)).reshape(groups, per_in, x.shape[0] * math.prod(out))
        y += (weights @ columns).reshape(y.shape)
    y = y.reshape(w.shape[0], x.shape[0], *out).swapaxes(0, 1).astype(dtype)
    return np.ascontiguousarray(np.moveaxis(y, 1, -1) if last else y)


register(Operator("conv_general", "contraction", infer=_infer_conv, evaluate=_conv, accuracy="sum",
                  flops=lambda i, o, a: 2 * o[0].size * product(_parts(i, a)[3]) * _parts(i, a)[4]))

"""Transforms of signals, the windows they are cut out with, and determinants."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.reader import element_type
from dlcompile.frontends.onnx.shapes import as_axis, assume_equal
from dlcompile.graph import DimLike, Tensor, dim_max, floordiv


def _complex(x: Tensor) -> Tensor:
    """A signal [..., 1 or 2] as one of real and imaginary parts."""
    if x.shape[-1] == 2:
        return x
    if x.shape[-1] != 1:
        raise ShapeError(f"the last axis of {x.type} must have one or two elements: a real number, or its real and imaginary part")
    return ops.concatenate([x, ops.mul(x, np.zeros((), x.dtype))], x.rank - 1)


def _resized(x: Tensor, axis: int, length: DimLike) -> Tensor:
    """The first elements along an axis, zeros where there are none."""
    extent = x.shape[axis]
    if extent == length:
        return x
    if isinstance(extent, int) and isinstance(length, int) and length < extent:
        return _first(x, axis, length)
    high = tuple(length if a == axis else 0 for a in range(x.rank))
    longer = ops.pad(x, np.zeros((), x.dtype), (0,) * x.rank, high)
    return _first(longer, axis, length)


def _first(x: Tensor, axis: int, count: DimLike) -> Tensor:
    return ops.slice(x, (0,) * x.rank, tuple(count if a == axis else d for a, d in enumerate(x.shape)))


def transformed(x: Tensor, axis: int, length: DimLike, inverse: bool, onesided: bool) -> Tensor:
    """The transform of a signal cut or filled up to a length; `onesided`: half of it, or back from half of one to real numbers."""
    if onesided and inverse:
        half = floordiv(length, 2) + 1
        x = _resized(_complex(x), axis, half)
        # the other half is the conjugate of this one, backwards
        rest = tuple(length - half if a == axis else d for a, d in enumerate(x.shape))
        start = tuple(1 if a == axis else 0 for a in range(x.rank))
        mirrored = ops.reverse(ops.slice(x, start, tuple(s + d for s, d in zip(start, rest))), (axis,))
        signs = np.array([1, -1], x.dtype)
        y = ops.dft(ops.concatenate([x, ops.mul(mirrored, signs)], axis), axis, inverse=True)
        return _first(y, y.rank - 1, 1)
    y = ops.dft(_resized(_complex(x), axis, length), axis, inverse=inverse)
    return _first(y, axis, floordiv(length, 2) + 1) if onesided else y


def _length(x: Tensor, axis: int, given: Tensor | None, inverse_half: bool) -> DimLike:
    if given is not None:
        return ops.dim_of(ops.reshape(ops.cast(given, np.int64), ()))
    return (x.shape[axis] - 1) * 2 if inverse_half else x.shape[axis]


@importer("DFT", since=17)
def dft_by_attribute(node: OnnxNode, x: Tensor, length: Tensor | None = None) -> Tensor:
    return _dft(node, x, length, node.get("axis", 1))


@importer("DFT", since=20)
def dft(node: OnnxNode, x: Tensor, length: Tensor | None = None, axis: Tensor | None = None) -> Tensor:
    """The axis is an input; where only a run knows it, the signal is looked at as [before, axis, after, 2]."""
    known = np.array(-2) if axis is None else constant_value(axis)
    if known is not None:
        return _dft(node, x, length, int(known.reshape(())))
    place = ops.reshape(ops.cast(axis, np.int64), ())
    place = ops.select(ops.lt(place, np.int64(0)), ops.add(place, np.int64(x.rank)), place)
    numbers, sizes = np.arange(x.rank - 1), ops.shape_vector(x.shape[:-1])
    one = np.int64(1)
    before, middle, after = (ops.dim_of(ops.reduce_prod(ops.select(test(numbers, place), sizes, one))) for test in (ops.lt, ops.eq, ops.gt))
    inverse, onesided = bool(node.get("inverse", 0)), bool(node.get("onesided", 0))
    whole = ops.reshape(x, (before, middle, after, x.shape[-1]))
    y = transformed(whole, 1, _length(whole, 1, length, inverse and onesided), inverse, onesided)
    shape = ops.dims_of(ops.select(ops.eq(numbers, place), ops.reshape(ops.shape_vector((y.shape[1],)), ()), sizes))
    return ops.reshape(y, (*shape, y.shape[-1]))


def _dft(node: OnnxNode, x: Tensor, length: Tensor | None, axis: int) -> Tensor:
    axis = as_axis(axis, x.rank)
    if axis == x.rank - 1:
        raise InvalidModelError("the last axis holds real and imaginary parts; it cannot be transformed")
    inverse, onesided = bool(node.get("inverse", 0)), bool(node.get("onesided", 0))
    return transformed(x, axis, _length(x, axis, length, inverse and onesided), inverse, onesided)


@importer("STFT", since=17)
def stft(node: OnnxNode, signal: Tensor, step: Tensor, window: Tensor | None = None, length: Tensor | None = None) -> Tensor:
    """signal [batch, samples, 1 or 2] → [batch, frames, bins, 2]: transforms of frames that begin `step` samples apart. A signal
    [batch, samples], which PyTorch's exporter writes and ONNX Runtime takes, is of real numbers."""
    if signal.rank == 2:
        signal = ops.reshape(signal, (*signal.shape, 1))
    stride = ops.dim_of(ops.reshape(ops.cast(step, np.int64), ()))
    assume_equal(dim_max(stride, 1), stride, "the step from frame to frame:")
    if length is not None:
        size = ops.dim_of(ops.reshape(ops.cast(length, np.int64), ()))
    elif window is not None:
        size = window.shape[0]
    else:
        size = signal.shape[1]
    frames = floordiv(signal.shape[1] - size, stride) + 1
    where = ops.add(ops.mul(ops.iota(np.int64, (frames, size), 0), ops.reshape(ops.shape_vector((stride,)), ())), ops.iota(np.int64, (frames, size), 1))
    cut = ops.gather(signal, where, 1)  # [batch, frames, size, parts]
    if window is not None:
        cut = ops.mul(cut, ops.reshape(ops.cast(window, cut.dtype), (size, 1)))
    return transformed(cut, 2, size, False, bool(node.get("onesided", 1)))


@importer("MelWeightMatrix", since=17)
def mel_weight_matrix(node: OnnxNode, bins: Tensor, length: Tensor, rate: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """[length // 2 + 1, bins]: triangles evenly spaced on the mel scale, 2595·log10(1 + f/700), from the frequency `low` to `high`."""
    dtype = element_type(node.get("output_datatype", 1), "output_datatype")
    wide = np.float64
    count = ops.dim_of(ops.reshape(ops.cast(bins, np.int64), ()))
    spectrum = floordiv(ops.dim_of(ops.reshape(ops.cast(length, np.int64), ())), 2) + 1
    low, high = (ops.mul(ops.div(ops.log(ops.add(ops.div(ops.cast(ops.reshape(f, ()), wide), wide(700)), wide(1))), wide(np.log(10))), wide(2595))
                 for f in (low, high))
    step = ops.div(ops.sub(high, low), ops.cast(ops.reshape(ops.shape_vector((count + 2,)), ()), wide))
    mel = ops.add(ops.mul(ops.cast(ops.iota(np.int64, (count + 2,)), wide), step), low)
    hertz = ops.mul(ops.sub(ops.exp(ops.mul(ops.div(mel, wide(2595)), wide(np.log(10)))), wide(1)), wide(700))
    samples, speed = (ops.cast(ops.reshape(t, ()), wide) for t in (length, rate))
    edges = ops.floor(ops.div(ops.mul(ops.add(samples, wide(1)), hertz), speed))
    lower, centre, upper = (ops.reshape(ops.slice(edges, (k,), (count + k,)), (1, count)) for k in range(3))
    place = ops.cast(ops.iota(np.int64, (spectrum, count), 0), wide)
    one, zero = wide(1), wide(0)

    def ramp(distance: Tensor, span: Tensor) -> Tensor:
        return ops.div(distance, ops.select(ops.eq(span, zero), one, span))

    rising, falling = ops.sub(centre, lower), ops.sub(upper, centre)
    up = ops.select(ops.logical_and(ops.ge(place, lower), ops.le(place, centre)), ramp(ops.sub(place, lower), rising), zero)
    up = ops.select(ops.logical_and(ops.eq(rising, zero), ops.eq(place, centre)), one, up)
    down = ops.select(ops.logical_and(ops.ge(place, centre), ops.lt(place, upper)), ramp(ops.sub(upper, place), falling), up)
    return ops.cast(down, dtype)


@importer("Det", since=11)
def det(node: OnnxNode, x: Tensor) -> Tensor:
    return ops.det(x)

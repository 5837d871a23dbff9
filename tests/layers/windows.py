"""Windows written out in NumPy, channels last: what convolutions and pooling are compared with."""
from __future__ import annotations

import itertools
import math

import numpy as np


def pads(padding: str, size: int, k: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """What "valid", "same" and "causal" add to an axis."""
    reach = (k - 1) * dilation + 1
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach - 1, 0
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def windows(x: np.ndarray, size, strides, padding: str, dilation=None, fill: float = 0.0):
    """(place in the result, the window of all images there: [N, *size, C]) for each window over the spatial axes of x [N, *S, C]."""
    dilation = dilation or (1,) * len(size)
    amounts = [pads(padding, n, k, s, d) for n, k, s, d in zip(x.shape[1:-1], size, strides, dilation)]
    wide = np.pad(x, [(0, 0), *amounts, (0, 0)], constant_values=fill)
    counts = [(n - ((k - 1) * d + 1)) // s + 1 for n, k, s, d in zip(wide.shape[1:-1], size, strides, dilation)]
    for place in itertools.product(*map(range, counts)):
        yield place, wide[(slice(None), *(slice(p * s, p * s + (k - 1) * d + 1, d) for p, s, k, d in zip(place, strides, size, dilation)))]


def gathered(found: dict) -> np.ndarray:
    """[N, *places, …] of {place: [N, …]}."""
    counts = [max(axis) + 1 for axis in zip(*found)]
    first = next(iter(found.values()))
    result = np.zeros((first.shape[0], *counts, *first.shape[1:]), first.dtype)
    for place, value in found.items():
        result[(slice(None), *place)] = value
    return result


def convolution(x, kernel, strides, padding: str = "valid", dilation=None, groups: int = 1) -> np.ndarray:
    """x [N, *S, C] with a kernel [*K, C/groups, F], as sums over windows."""
    size, (per_group, filters) = kernel.shape[:-2], kernel.shape[-2:]
    parts = []
    for group in range(groups):
        channels = x[..., group * per_group:(group + 1) * per_group].astype(np.float64)
        own = kernel[..., group * filters // groups:(group + 1) * filters // groups]
        parts.append(gathered({place: np.tensordot(window, own, axes=len(size) + 1) for place, window in windows(channels, size, strides,
                                                                                                                 padding, dilation)}))
    return np.concatenate(parts, -1)


def depthwise(x, kernel, strides, padding: str = "valid", dilation=None) -> np.ndarray:
    """x [N, *S, C] with a kernel [*K, C, M]: each channel by itself, → [N, *S', C*M]."""
    parts = [convolution(x[..., c:c + 1], kernel[..., c:c + 1, :], strides, padding, dilation) for c in range(x.shape[-1])]
    return np.concatenate(parts, -1)


def transposed(x, kernel, strides, dilation=None) -> np.ndarray:
    """x [N, *S, C] with a kernel [*K, F, C]: every element adds its copy of the kernel. All of the result, nothing cut off."""
    size, n = kernel.shape[:-2], kernel.ndim - 2
    dilation = dilation or (1,) * n
    extents = [(m - 1) * s + (k - 1) * d + 1 for m, s, k, d in zip(x.shape[1:-1], strides, size, dilation)]
    y = np.zeros((x.shape[0], *extents, kernel.shape[-2]))
    for place in itertools.product(*map(range, x.shape[1:-1])):
        copy = np.tensordot(x[(slice(None), *place)].astype(np.float64), kernel, axes=(1, n + 1))
        y[(slice(None), *(slice(p * s, p * s + (k - 1) * d + 1, d) for p, s, k, d in zip(place, strides, size, dilation)))] += copy
    return y


def first(x: np.ndarray) -> np.ndarray:
    """Channels first instead of last."""
    return np.moveaxis(x, -1, 1)

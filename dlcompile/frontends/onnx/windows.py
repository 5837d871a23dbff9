"""Kernels that slide over spatial axes: strides, dilations and the padding that attributes describe in four ways."""
from __future__ import annotations

from dataclasses import dataclass

from dlcompile.errors import InvalidModelError
from dlcompile.frontends.onnx.node import OnnxNode
from dlcompile.graph import DimLike, ceildiv, dim_max, dim_min, floordiv


@dataclass(frozen=True)
class Window:
    """kernel, strides, dilations and padding ((before, after) pairs), an entry for each spatial axis.

    With `ceil_mode`, `padding` is as much longer at the end as the last window reaches over it; `given` is the padding
    without that.
    """

    kernel: tuple[DimLike, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[tuple[DimLike, DimLike], ...]
    given: tuple[tuple[DimLike, DimLike], ...]

    @staticmethod
    def of(node: OnnxNode, sizes: tuple[DimLike, ...], kernel: tuple[DimLike, ...], ceil_mode: bool = False) -> Window:
        """The window that a node's attributes describe on an input with the spatial `sizes`."""
        n = len(sizes)
        strides, dilations = node.get("strides", (1,) * n), node.get("dilations", (1,) * n)
        pads, auto_pad = node.get("pads", (0,) * 2 * n), node.get("auto_pad", "NOTSET")
        if not len(kernel) == len(strides) == len(dilations) == n or len(pads) != 2 * n:
            raise InvalidModelError(
                f"kernel_shape {list(kernel)}, strides {list(strides)}, dilations {list(dilations)} and "
                f"pads {list(pads)} "
                f"do not fit {n} spatial axes"
            )
        if any(s < 1 for s in (*strides, *dilations)) or any(isinstance(k, int) and k < 1 for k in kernel):
            raise InvalidModelError(
                f"kernel_shape {list(kernel)}, strides {list(strides)} and dilations {list(dilations)} must be positive"
            )
        given = tuple(_padding(auto_pad, *row) for row in zip(sizes, kernel, strides, dilations, pads[:n], pads[n:]))
        padding = given
        if ceil_mode and auto_pad in ("NOTSET", ""):
            padding = tuple(_up_to_ceiling(*row) for row in zip(sizes, kernel, strides, dilations, given))
        return Window(tuple(kernel), tuple(strides), tuple(dilations), padding, given)


def _padding(
    auto_pad: str, size: DimLike, kernel: DimLike, stride: int, dilation: int, low: int, high: int
) -> tuple[DimLike, DimLike]:
    """SAME: as much as makes ceil(size / stride) windows, the odd one at the end (UPPER) or the beginning (LOWER)."""
    if auto_pad in ("NOTSET", ""):
        return low, high
    if auto_pad == "VALID":
        return 0, 0
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise InvalidModelError(f"auto_pad {auto_pad!r} is not one of NOTSET, SAME_UPPER, SAME_LOWER, VALID")
    reach = (kernel - 1) * dilation + 1
    total = dim_max((ceildiv(size, stride) - 1) * stride + reach - size, 0)
    small = floordiv(total, 2)
    return (small, total - small) if auto_pad == "SAME_UPPER" else (total - small, small)


def _up_to_ceiling(size: DimLike, kernel: DimLike, stride: int, dilation: int,
                   pads: tuple[DimLike, DimLike]) -> tuple[DimLike, DimLike]:
    """Padding with which rounding down gives as many windows as ceil_mode asks for: those that begin inside the input
    or its left padding."""
    low, high = pads
    reach = (kernel - 1) * dilation + 1
    count = ceildiv(size + low + high - reach, stride) + 1
    count = dim_min(count, floordiv(size + low - 1, stride) + 1)  # no window begins in the right padding
    return low, dim_max((count - 1) * stride + reach - size - low, 0)

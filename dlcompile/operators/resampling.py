"""Moving depth into space and back."""
from __future__ import annotations

from dlcompile import ops
from dlcompile.graph import Tensor, floordiv
from dlcompile.operators.composite import composite


@composite("depth_to_space")
def depth_to_space(attributes, x: Tensor) -> Tensor:
    """[N, C*b*b, H, W] → [N, C, H*b, W*b]; mode DCR takes the channels as [b, b, C], CRD as [C, b, b]"""
    b = attributes["blocksize"]
    n, depth, h, w = x.shape
    c = floordiv(depth, b * b)
    if attributes["mode"] == "DCR":
        y = ops.transpose(ops.reshape(x, (n, b, b, c, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        y = ops.transpose(ops.reshape(x, (n, c, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(y, (n, c, h * b, w * b))


@composite("space_to_depth")
def space_to_depth(attributes, x: Tensor) -> Tensor:
    """[N, C, H*b, W*b] → [N, b*b*C, H, W]"""
    b = attributes["blocksize"]
    n, c, h, w = x.shape
    y = ops.reshape(x, (n, c, floordiv(h, b), b, floordiv(w, b), b))
    return ops.reshape(ops.transpose(y, (0, 3, 5, 1, 2, 4)), (n, c * b * b, floordiv(h, b), floordiv(w, b)))

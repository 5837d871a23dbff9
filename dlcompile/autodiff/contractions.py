"""Derivatives of sums of products: an operand's cotangent is the result's times the other operand."""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile import ops
from dlcompile.autodiff.rules import part, rule, zeros
from dlcompile.graph import DimLike, Node, Tensor, at_least, ceildiv, dim_max, floordiv, mod


@rule("dot_general")
def _dot_general(node: Node, c: Tensor) -> list[Tensor | None]:
    """The result is [batch…, lhs free…, rhs free…]: an operand's cotangent is c times the other, over that one's free axes."""
    (lhs_contracting, rhs_contracting), (lhs_batch, rhs_batch) = node.attributes["contracting"], node.attributes["batch"]
    lhs, rhs = node.inputs
    lhs_free = [i for i in range(lhs.rank) if i not in (*lhs_contracting, *lhs_batch)]
    rhs_free = [i for i in range(rhs.rank) if i not in (*rhs_contracting, *rhs_batch)]
    count = len(lhs_batch)
    batch, left = range(count), range(count, count + len(lhs_free))
    right = range(count + len(lhs_free), c.rank)

    def times(other: Tensor, other_batch, other_free, other_contracting, over, own_batch, own_free, own_contracting) -> Tensor:
        """c times the other operand, in whichever order needs no transposition behind it, if there is one."""
        pairs = dict(zip(other_contracting, own_contracting))
        kept = [pairs[i] for i in sorted(other_contracting)]
        if [*own_batch, *kept, *own_free] == list(range(len(own_batch) + len(kept) + len(own_free))):
            return ops.dot_general(other, c, contracting=(tuple(other_free), tuple(over)), batch=(tuple(other_batch), tuple(batch)))
        made = ops.dot_general(c, other, contracting=(tuple(over), tuple(other_free)), batch=(tuple(batch), tuple(other_batch)))
        axes = [*own_batch, *own_free, *kept]  # [batch…, own free…, other's contracting in its order…] → the operand's order
        return ops.transpose(made, [axes.index(i) for i in range(len(axes))])

    return [times(rhs, rhs_batch, rhs_free, rhs_contracting, right, lhs_batch, lhs_free, lhs_contracting),
            times(lhs, lhs_batch, lhs_free, lhs_contracting, left, rhs_batch, rhs_free, rhs_contracting)]


# -- convolution ------------------------------------------------------------------------------------------------------------
# Along one axis y[o] = Σ_k x'[o·s + k·e] w[k], x' being x spread by d and padded by (a, b): x[i] is at x'[i·d + a].
#
#   cotangent of x[i]    Σ_k c'[i·d + a - k·e] w[k]      a convolution of c' (c spread by s) with w turned round, spread by e, at steps d
#   cotangent of w[k]    Σ_o c[o] x'[o·s + k·e]          a convolution of x' with c as its filter, spread by s, at steps e
@rule("conv_general")
def _conv_general(node: Node, c: Tensor) -> list[Tensor]:
    (x, w), last = node.inputs, node.attributes["layout"] == "channels_last"
    if last:  # channels first from here on: what is moved is moved back by the transform that decides about layouts
        x, w, c = _channels_first(x), ops.transpose(w, (w.rank - 1, w.rank - 2, *range(w.rank - 2))), _channels_first(c)
    dx, dw = _of_input(node, x, w, c), _of_filters(node, x, w, c)
    if last:
        spatial = range(2, x.rank)
        dx, dw = ops.transpose(dx, (0, *spatial, 1)), ops.transpose(dw, (*spatial, 1, 0))
    return [dx, dw]


def _channels_first(x: Tensor) -> Tensor:
    return ops.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1)))


def _spans(node: Node, x: Tensor, w: Tensor, c: Tensor) -> list[tuple]:
    """For each spatial axis: extents of x, w and c, stride, (before, after), spread of x, spread of w."""
    a = node.attributes
    return list(zip(x.shape[2:], w.shape[2:], c.shape[2:], *(a[n] for n in ("strides", "padding", "lhs_dilation", "rhs_dilation"))))


def _rest(n: DimLike, k: DimLike, stride: int, padding: tuple[DimLike, DimLike], spread: int, dilation: int) -> DimLike:
    """How many elements at the end of the padded input no window reaches."""
    return mod((n - 1) * spread + 1 + padding[0] + padding[1] - ((k - 1) * dilation + 1), stride)


def _of_input(node: Node, x: Tensor, w: Tensor, c: Tensor) -> Tensor:
    if _is_empty(x, w, c):
        return zeros(x)
    groups, strides = node.attributes["groups"], node.attributes["strides"]
    padding = []
    for n, k, _, stride, pad, spread, dilation in _spans(node, x, w, c):
        reach = (k - 1) * dilation
        padding.append((reach - pad[0], reach - pad[1] + _rest(n, k, stride, pad, spread, dilation)))
    c, padding = _cut(c, padding, strides)
    if _is_empty(c):
        return zeros(x)
    turned = ops.reverse(w, tuple(range(2, w.rank)))  # [g·O, C, …] → [g·C, O, …]
    apart = ops.reshape(turned, (groups, floordiv(w.shape[0], groups), *w.shape[1:]))
    filters = ops.reshape(ops.transpose(apart, (0, 2, 1, *range(3, apart.rank))), (groups * w.shape[1], apart.shape[1], *w.shape[2:]))
    a = node.attributes
    return ops.conv_general(c, filters, strides=a["lhs_dilation"], padding=padding, lhs_dilation=strides, rhs_dilation=a["rhs_dilation"],
                            groups=groups)


def _of_filters(node: Node, x: Tensor, w: Tensor, c: Tensor) -> Tensor:
    if _is_empty(x, w, c):
        return zeros(w)
    groups, a = node.attributes["groups"], node.attributes
    padding = []
    for n, k, _, stride, pad, spread, dilation in _spans(node, x, w, c):
        padding.append((pad[0], pad[1] - _rest(n, k, stride, pad, spread, dilation)))
    x, padding = _cut(x, padding, a["lhs_dilation"])
    if _is_empty(x):
        return zeros(w)
    # images are summed over, as channels are: [N, g·C, …] → [C, g·N, …], and c [N, O, …] → [O, N, …]
    apart = ops.reshape(x, (x.shape[0], groups, w.shape[1], *x.shape[2:]))
    images = ops.reshape(ops.transpose(apart, (2, 1, 0, *range(3, apart.rank))), (w.shape[1], groups * x.shape[0], *x.shape[2:]))
    filters = ops.transpose(c, (1, 0, *range(2, c.rank)))
    made = ops.conv_general(images, filters, strides=a["rhs_dilation"], padding=padding, lhs_dilation=a["lhs_dilation"],
                            rhs_dilation=a["strides"], groups=groups)
    return ops.transpose(made, (1, 0, *range(2, made.rank)))


def _is_empty(*tensors: Tensor) -> bool:
    return any(t.type.size == 0 for t in tensors)


def _cut(x: Tensor, padding: Sequence[tuple[DimLike, DimLike]], strides: Sequence[int]) -> tuple[Tensor, list[tuple[DimLike, DimLike]]]:
    """`x` without what negative padding of it, spread by the strides, would cut off; and the padding that is left, none of it negative."""
    start, length, left = [0, 0], list(x.shape[:2]), []
    for extent, sides, stride in zip(x.shape[2:], padding, strides):
        gone = [ceildiv(dim_max(-side, 0), stride) if not at_least(side, 0) else 0 for side in sides]
        start.append(gone[0])
        length.append(dim_max(extent - gone[0] - gone[1], 0))
        left.append(tuple(side + n * stride for side, n in zip(sides, gone)))
    return part(x, start, length), left

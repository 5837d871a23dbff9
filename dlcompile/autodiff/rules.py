"""The table of derivatives, and what its rows are written with.

A rule says what an operator's operands get of the cotangents of its results: cᵀ·∂y/∂x, as a graph written with `ops`. The file of each
family has its rows; an operator without a row is one of

    a composite       differentiated as what it is made of
    FLAT              its results do not change with its operands, but for jumps: nothing goes back through it
    NO_DERIVATIVE     none that would mean something; UnsupportedOperatorError where one is asked for
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dlcompile import ops
from dlcompile.graph import DimLike, Node, Tensor, at_least, dim_max, is_half, make_constant

Cotangents = Sequence["Tensor | None"]
Rule = Callable[[Node, Cotangents, Sequence[bool]], Cotangents]

RULES: dict[str, Rule] = {}
"""operator → (node, cotangents of its results, None for those that have none; for each operand whether its cotangent is wanted)
→ cotangents of its operands, None for those that have no influence"""

FLAT = frozenset({
    "sign", "floor", "ceil", "round", "eq", "ne", "lt", "le", "gt", "ge", "is_nan", "is_inf", "argmax", "argmin",  # steps
    "not", "and", "or", "xor", "shift_left", "shift_right", "reduce_and", "reduce_or",  # of bits and truth
    "iota", "dims", "define_dim", "random_bits", "mt19937", "make_strings",  # no numbers go in
    "flatnonzero", "unique", "non_max_suppression",  # positions come out
    "string_concat", "string_count", "string_split", "replace_characters", "automaton_match", "lookup", "count_ngrams",  # of text
    "stop_gradient",  # what it is for
})
"""operators whose results do not change with their operands, but for jumps"""

NO_DERIVATIVE = {"bitcast": "the bits of a number are no numbers that move with it"}
"""operator → why it has none"""


def rule(*names: str) -> Callable:
    """Declare the derivative of operators with one result: (node, its cotangent) → those of the operands."""
    def declare(function: Callable[[Node, Tensor], Cotangents]) -> Callable:
        RULES.update(dict.fromkeys(names, lambda node, cotangents, wanted: function(node, cotangents[0])))
        return function
    return declare


def rule_of_results(*names: str) -> Callable[[Rule], Rule]:
    """Declare the derivative of operators with several results, or one that depends on what is wanted."""
    def declare(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function
    return declare


# -- what rules are written with --------------------------------------------------------------------------------------------
def number(value: float, like: Tensor) -> Tensor:
    """A constant of the type of `like`."""
    return make_constant(np.asarray(value, like.dtype))


def zeros(like: Tensor) -> Tensor:
    """Zeros of the shape and type of a tensor."""
    return ops.broadcast_to(number(0, like), like.shape)


def shaped(x: Tensor, shape: Sequence[DimLike]) -> Tensor:
    """`x` with a shape that is the same one, though it may be written in another way."""
    return x if x.shape == tuple(shape) else ops.reshape(x, shape)


def in_float32(x: Tensor) -> Tensor:
    """A 16-bit float as float32; anything else as it is."""
    return ops.cast(x, np.float32) if is_half(x.dtype) else x


def summed(x: Tensor, shape: Sequence[DimLike]) -> Tensor:
    """The transpose of broadcasting `shape` to that of `x`: the sum over what was repeated."""
    lead = x.rank - len(shape)
    axes = [*range(lead), *(lead + i for i, d in enumerate(shape) if d == 1 and x.shape[lead + i] != 1)]
    return ops.reshape(ops.reduce_sum(x, axes), shape) if axes else x


def chosen(c: Tensor, condition: Tensor, otherwise: bool = False) -> Tensor:
    """`c` where the condition holds (`otherwise`: where it does not), 0 elsewhere."""
    zero = number(0, c)
    return ops.select(condition, zero, c) if otherwise else ops.select(condition, c, zero)


def times(derivative: Tensor, c: Tensor) -> Tensor:
    """derivative * c for a derivative that may be infinite or NaN: 0 where c is, because a branch that is not taken has no influence
    whatever its derivative would be there."""
    if derivative.is_constant and np.isfinite(derivative.value.astype(np.float64)).all():
        return c * derivative
    return ops.mul_no_nan(derivative, c)


def part(x: Tensor, start: Sequence[DimLike], shape: Sequence[DimLike]) -> Tensor:
    """x[start : start + shape] of `x` with zeros all around it: the start may be negative, and what is asked for longer than `x`."""
    low: list[DimLike] = []
    high: list[DimLike] = []
    first: list[DimLike] = []
    for extent, begin, length in zip(x.shape, start, shape):
        before, after = -begin, begin + length - extent
        known = [isinstance(n, int) or at_least(n, 0) or at_least(0, n) for n in (before, after)]
        # where a sign is not known there are more zeros than are needed, and the slice begins behind them
        low.append(dim_max(before, 0))
        first.append(dim_max(begin, 0))
        high.append(dim_max(after, 0) if all(known) else dim_max(begin, 0) + length)
    wide = ops.pad(x, number(0, x), low, high) if any(n != 0 for n in (*low, *high)) else x
    limit = [a + n for a, n in zip(first, shape)]
    return wide if wide.shape == tuple(shape) else ops.slice(wide, first, limit)


def spread_apart(x: Tensor, strides: Sequence[int]) -> Tensor:
    """`x` with stride - 1 zeros behind each element along each axis: extents times strides."""
    apart = [n for d, s in zip(x.shape, strides) for n in ((d,) if s == 1 else (d, 1))]
    behind = [n for s in strides for n in ((0,) if s == 1 else (0, s - 1))]
    if len(apart) == x.rank:
        return x
    wide = ops.pad(ops.reshape(x, apart), number(0, x), [0] * len(apart), behind)
    return ops.reshape(wide, [d * s for d, s in zip(x.shape, strides)])

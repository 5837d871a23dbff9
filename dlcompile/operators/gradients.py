"""Derivatives of graphs by reverse-mode automatic differentiation: new graphs, written with `ops`.

For each primitive a rule gives the cotangents of its operands for those of its results; a composite is differentiated
as what it is made of. Where a function has no derivative (|x| at 0, a maximum of equals) a subgradient is taken, as
other frameworks do.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from dlcompile import ops
from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import OPERATORS, DimLike, Node, Tensor, is_float, make_constant, product
from dlcompile.graph.graph import remake, topological_order

Rule = Callable[[Node, Tensor], "Sequence[Tensor | None]"]

RULES: dict[str, Rule] = {}
"""primitive → (node, cotangent of its result) → cotangents of its operands, None for those that have no influence"""

FLAT = {"sign", "floor", "ceil", "round", "not", "is_nan", "is_inf", "and", "or", "xor", "shift_left", "shift_right", "eq", "ne", "lt", "le",
        "gt", "ge", "iota", "dims", "define_dim", "argmax", "argmin", "random_bits"}
"""primitives whose results do not change with their operands, but for jumps"""


def gradients(y: Tensor, xs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The derivative of the sum of `y` with respect to each tensor of `xs`, of its shape and type; zeros where `y` does
    not depend on it.

    What `y` is computed from is looked at up to the tensors `xs`. UnsupportedOperatorError naming what has no
    derivative here.
    """
    found = _pull_back({y: ops.broadcast_to(np.ones((), y.dtype), y.shape)}, xs)
    return tuple(found[x] if x in found else ops.broadcast_to(np.zeros((), x.dtype), x.shape) for x in xs)


def substituted(y: Tensor, values: dict[Tensor, Tensor]) -> Tensor:
    """`y` computed from other values of some of the tensors it depends on."""
    new = dict(values)
    for node in _between([y], new):
        if any(t in new for t in node.inputs):
            new.update(zip(node.outputs, remake(node, tuple(new.get(t, t) for t in node.inputs)), strict=True))
    return new.get(y, y)


def _between(outputs: Iterable[Tensor], ends: Iterable[Tensor]) -> list[Node]:
    """The nodes that outputs depend on, those before them first, without those behind `ends`."""
    ends = set(ends)
    needed: set[Node] = set()
    stack = [t for t in outputs if t not in ends]
    while stack:
        node = stack.pop().producer
        if node is not None and node not in needed:
            needed.add(node)
            stack += [t for t in node.inputs if t not in ends]
    return [node for node in topological_order(outputs) if node in needed]


def _pull_back(cotangents: dict[Tensor, Tensor], xs: Iterable[Tensor]) -> dict[Tensor, Tensor]:
    """The cotangents of those of `xs` that have an influence, for cotangents of results."""
    xs = set(xs)
    order = _between(cotangents, xs)
    moved = set(xs)  # what changes with them
    for node in order:
        if node.op not in FLAT and any(t in moved for t in node.inputs):
            moved.update(t for t in node.outputs if is_float(t.dtype))
    total = {t: c for t, c in cotangents.items() if t in moved}
    for node in reversed(order):
        given = [total.get(t) if t not in xs else None for t in node.outputs]
        if all(c is None for c in given) or not any(t in moved for t in node.inputs):
            continue
        for tensor, cotangent in zip(node.inputs, _rule(node, given), strict=True):
            if cotangent is not None and tensor in moved:
                total[tensor] = cotangent if tensor not in total else ops.add(total[tensor], cotangent)
    return {t: c for t, c in total.items() if t in xs}


def _rule(node: Node, given: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    operator = OPERATORS[node.op]
    if node.op in RULES:
        return RULES[node.op](node, given[0])
    if not operator.is_composite:
        raise UnsupportedOperatorError(f"{node!r}: the derivative of {node.op} is not supported")
    made = operator.decompose(node.attributes, *node.inputs)
    made = made if isinstance(made, tuple) else (made,)
    found = _pull_back({t: c for t, c in zip(made, given) if c is not None}, node.inputs)
    return [found.get(t) for t in node.inputs]


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declare the derivative of primitives."""
    def declare(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function
    return declare


# -- elementwise
# ------------------------------------------------------------------------------------------------------------
def _number(value: float, like: Tensor) -> Tensor:
    return make_constant(np.asarray(value, like.dtype))


def _summed(x: Tensor, shape: Sequence[DimLike]) -> Tensor:
    """The transpose of broadcasting `shape` to that of `x`: the sum over what was repeated."""
    lead = x.rank - len(shape)
    axes = [*range(lead), *(lead + i for i, d in enumerate(shape) if d == 1 and x.shape[lead + i] != 1)]
    return ops.reshape(ops.reduce_sum(x, axes), shape) if axes else x


UNARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "neg": lambda x, y: _number(-1, x),
    "abs": lambda x, y: ops.sign(x),
    "sqrt": lambda x, y: _number(0.5, x) / y,
    "rsqrt": lambda x, y: _number(-0.5, x) * y / x,
    "exp": lambda x, y: y,
    "expm1": lambda x, y: y + _number(1, x),
    "log": lambda x, y: _number(1, x) / x,
    "log1p": lambda x, y: _number(1, x) / (x + _number(1, x)),
    "sin": lambda x, y: ops.cos(x),
    "cos": lambda x, y: -ops.sin(x),
    "tan": lambda x, y: y * y + _number(1, x),
    "asin": lambda x, y: ops.rsqrt(_number(1, x) - x * x),
    "acos": lambda x, y: -ops.rsqrt(_number(1, x) - x * x),
    "atan": lambda x, y: _number(1, x) / (x * x + _number(1, x)),
    "sinh": lambda x, y: ops.cosh(x),
    "cosh": lambda x, y: ops.sinh(x),
    "tanh": lambda x, y: _number(1, x) - y * y,
    "asinh": lambda x, y: ops.rsqrt(x * x + _number(1, x)),
    "acosh": lambda x, y: ops.rsqrt(x * x - _number(1, x)),
    "atanh": lambda x, y: _number(1, x) / (_number(1, x) - x * x),
    "erf": lambda x, y: _number(2 / math.sqrt(math.pi), x) * ops.exp(-(x * x)),
    "logistic": lambda x, y: y * (_number(1, x) - y),
}
"""f → (x, f(x)) → f'(x)"""

for _name, _derivative in UNARY.items():
    rule(_name)(lambda node, c, f=_derivative: [c * f(node.inputs[0], node.output)])


def _chosen(c: Tensor, condition: Tensor, otherwise: bool = False) -> Tensor:
    zero = _number(0, c)
    return ops.select(condition, zero, c) if otherwise else ops.select(condition, c, zero)


BINARY: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "add": lambda c, a, b, y: (c, c),
    "sub": lambda c, a, b, y: (c, -c),
    "mul": lambda c, a, b, y: (c * b, c * a),
    "div": lambda c, a, b, y: (c / b, -(c * y) / b),
    "rem": lambda c, a, b, y: (c, -c * ops.round((a - y) / b)),
    "maximum": lambda c, a, b, y: (_chosen(c, ops.ge(a, b)), _chosen(c, ops.ge(a, b), True)),
    "minimum": lambda c, a, b, y: (_chosen(c, ops.le(a, b)), _chosen(c, ops.le(a, b), True)),
    "atan2": lambda c, a, b, y: (c * b / (a * a + b * b), -(c * a) / (a * a + b * b)),
}
"""f → (cotangent, a, b, f(a, b)) → cotangents of a and b, before what was broadcast is summed"""

for _name, _derivatives in BINARY.items():
    rule(_name)(lambda node, c, f=_derivatives: [
        _summed(part, t.shape) for part, t in zip(f(c, *node.inputs, node.output), node.inputs)])


@rule("pow")
def _pow(node: Node, c: Tensor) -> list[Tensor | None]:
    a, b = node.inputs
    exponent = ops.cast(b, a.dtype)
    one, zero = _number(1, a), _number(0, a)
    da = _chosen(c * exponent * ops.pow(a, exponent - one), ops.eq(exponent, zero), True)
    if not is_float(b.dtype):
        return [_summed(da, a.shape), None]
    base = ops.select(ops.gt(a, zero), a, one)  # where the base is not positive the exponent cannot move
    return [_summed(da, a.shape), _summed(ops.cast(c * node.output * ops.log(base), b.dtype), b.shape)]


@rule("select")
def _select(node: Node, c: Tensor) -> list[Tensor | None]:
    p, a, b = node.inputs
    return [None, _summed(_chosen(c, p), a.shape), _summed(_chosen(c, p, True), b.shape)]


@rule("cast")
def _cast(node: Node, c: Tensor) -> list[Tensor | None]:
    return [ops.cast(c, node.inputs[0].dtype) if is_float(node.inputs[0].dtype) else None]


# -- movement
# ---------------------------------------------------------------------------------------------------------------
@rule("reshape")
def _reshape(node: Node, c: Tensor) -> list[Tensor]:
    return [ops.reshape(c, node.inputs[0].shape)]


@rule("transpose")
def _transpose(node: Node, c: Tensor) -> list[Tensor]:
    permutation = node.attributes["permutation"]
    return [ops.transpose(c, [permutation.index(i) for i in range(len(permutation))])]


@rule("broadcast_to")
def _broadcast_to(node: Node, c: Tensor) -> list[Tensor]:
    return [_summed(c, node.inputs[0].shape)]


@rule("reverse")
def _reverse(node: Node, c: Tensor) -> list[Tensor]:
    return [ops.reverse(c, node.attributes["axes"])]


@rule("concatenate")
def _concatenate(node: Node, c: Tensor) -> list[Tensor]:
    axis, start, parts = node.attributes["axis"], 0, []
    for t in node.inputs:
        low = [start if i == axis else 0 for i in range(c.rank)]
        high = [start + d if i == axis else d for i, d in enumerate(t.shape)]
        parts.append(ops.slice(c, low, high))
        start = start + t.shape[axis]
    return parts


@rule("slice")
def _slice(node: Node, c: Tensor) -> list[Tensor]:
    x, a = node.inputs[0], node.attributes
    for axis, stride in enumerate(a["strides"]):
        if stride != 1:  # zeros behind each element
            apart = ops.pad(ops.expand_dims(c, axis + 1), _number(0, c), [0] * (c.rank + 1),
                            [(stride - 1) * (i == axis + 1) for i in range(c.rank + 1)])
            c = ops.reshape(apart, [d * stride if i == axis else d for i, d in enumerate(c.shape)])
    high = [d - s - n for d, s, n in zip(x.shape, a["start"], c.shape)]  # less than 0 where the last stride leads out
    keep = [n + h if isinstance(h, int) and h < 0 else n for n, h in zip(c.shape, high)]
    c = ops.slice(c, [0] * c.rank, keep)
    return [ops.pad(c, _number(0, c), a["start"], [0 if isinstance(h, int) and h < 0 else h for h in high])]


@rule("pad")
def _pad(node: Node, c: Tensor) -> list[Tensor | None]:
    x, value = node.inputs
    low = node.attributes["low"]
    inside = ops.slice(c, low, [a + d for a, d in zip(low, x.shape)])
    around = ops.reduce_sum(c) - ops.reduce_sum(inside)
    return [inside, ops.reshape(around, value.shape)]


# -- indexing
# ---------------------------------------------------------------------------------------------------------------
@rule("gather")
def _gather(node: Node, c: Tensor) -> list[Tensor | None]:
    x, indices = node.inputs
    axis = node.attributes["axis"]
    places = range(axis, axis + indices.rank)
    rows = ops.transpose(c, [*places, *(i for i in range(c.rank) if i not in places)])
    first = [x.shape[axis], *(d for i, d in enumerate(x.shape) if i != axis)]
    zeros = ops.broadcast_to(_number(0, x), first)
    made = ops.scatter_nd(zeros, ops.expand_dims(ops.cast(indices, np.int64), indices.rank), rows, "add")
    return [ops.transpose(made, [*range(1, axis + 1), 0, *range(axis + 1, x.rank)]), None]


@rule("take_along_axis")
def _take_along_axis(node: Node, c: Tensor) -> list[Tensor | None]:
    x, indices = node.inputs
    zeros = ops.broadcast_to(_number(0, x), x.shape)
    return [ops.scatter_elements(zeros, indices, c, node.attributes["axis"], "add"), None]


# -- reductions
# -------------------------------------------------------------------------------------------------------------
def _spread(node: Node, t: Tensor) -> Tensor:
    """A tensor of the shape of a reduction's result, repeated along the axes that are gone."""
    x, axes = node.inputs[0], node.attributes["axes"]
    return ops.broadcast_to(ops.reshape(t, [1 if i in axes else d for i, d in enumerate(x.shape)]), x.shape)


@rule("reduce_sum")
def _reduce_sum(node: Node, c: Tensor) -> list[Tensor]:
    return [_spread(node, c)]


@rule("reduce_max", "reduce_min")
def _reduce_extreme(node: Node, c: Tensor) -> list[Tensor]:
    x = node.inputs[0]
    here = ops.cast(ops.eq(x, _spread(node, node.output)), x.dtype)
    return [here * _spread(node, c) / _spread(node, ops.reduce_sum(here, node.attributes["axes"]))]  # shared by equals


@rule("reduce_prod")
def _reduce_prod(node: Node, c: Tensor) -> list[Tensor]:
    x, axes = node.inputs[0], node.attributes["axes"]
    order = [*(i for i in range(x.rank) if i not in axes), *axes]
    moved = ops.transpose(x, order)
    kept = moved.shape[:x.rank - len(axes)]
    flat = ops.reshape(moved, (*kept, product(moved.shape[len(kept):])))
    others = ops.cumprod(flat, len(kept), exclusive=True) * ops.cumprod(flat, len(kept), exclusive=True, reverse=True)
    back = ops.transpose(ops.reshape(others, moved.shape), [order.index(i) for i in range(x.rank)])
    return [back * _spread(node, c)]


@rule("cumsum")
def _cumsum(node: Node, c: Tensor) -> list[Tensor]:
    a = node.attributes
    return [ops.cumsum(c, a["axis"], a["exclusive"], not a["reverse"])]


# -- contractions
# -----------------------------------------------------------------------------------------------------------
@rule("dot_general")
def _dot_general(node: Node, c: Tensor) -> list[Tensor]:
    """The result is [batch…, lhs free…, rhs free…]: an operand's cotangent is c times the other, over that one's free
    axes."""
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
        axes = [*own_batch, *own_free, *kept]
        return ops.transpose(made, [axes.index(i) for i in range(len(axes))])

    return [times(rhs, rhs_batch, rhs_free, rhs_contracting, right, lhs_batch, lhs_free, lhs_contracting),
            times(lhs, lhs_batch, lhs_free, lhs_contracting, left, rhs_batch, rhs_free, rhs_contracting)]


__all__ = ["RULES", "gradients", "substituted"]

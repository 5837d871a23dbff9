"""Identities of elementwise operators and reductions.

`ALGEBRA` holds identities of real arithmetic that keep every value, NaN and infinities included (only the sign of a
zero may change). `ROUNDING` holds those that move a rounding, which `precision="strict"` leaves out.
"""
from __future__ import annotations

import ml_dtypes
import numpy as np

from dlcompile import ops
from dlcompile.graph import Node, apply, integer_range, is_float, is_integer, make_constant
from dlcompile.transforms.rewrite import Answer, Table, made_by, uses
from dlcompile.transforms.shapes import all_finite, is_splat

REDUCTIONS = ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or")
NEUTRAL = {"add": 0, "sub": 0, "mul": 1, "div": 1, "pow": 1}  # the right operand that changes nothing


# -- identities that keep the value -----------------------------------------------------------------------------------------
def neutral_operand(node: Node) -> Answer:
    """x + 0 → x;  x - 0 → x;  x * 1 → x;  x / 1 → x;  x ** 1 → x."""
    x, c = node.inputs
    return x if is_splat(c, NEUTRAL[node.op]) else None


def unbounded_clamp(node: Node) -> Answer:
    """maximum(x, -inf) → x;  minimum(x, inf) → x, and alike with the smallest and largest integer."""
    x, c = node.inputs
    if is_float(x.dtype):
        bound = -np.inf if node.op == "maximum" else np.inf
    elif is_integer(x.dtype):
        bound = np.iinfo(x.dtype).min if node.op == "maximum" else np.iinfo(x.dtype).max
    else:
        return None
    return x if is_splat(c, bound) else None


def zero_times(node: Node) -> Answer:
    """x * 0 → 0, for integers (a float x may be NaN or infinite)."""
    x, c = node.inputs
    if is_integer(x.dtype) and is_splat(c, 0):
        return ops.broadcast_to(make_constant(np.zeros((), x.dtype)), node.output.shape)
    return None


def subtract_constant(node: Node) -> Answer:
    """x - c → x + (-c), for floats."""
    x, c = node.inputs
    return ops.add(x, make_constant(-c.value)) if c.is_constant and is_float(c.dtype) and not x.is_constant else None


def undo_twice(node: Node) -> Answer:
    """-(-x) → x;  not(not(x)) → x."""
    inner = made_by(node.inputs[0], node.op)
    return inner.inputs[0] if inner else None


def once_is_enough(node: Node) -> Answer:
    """f(f(x)) → f(x) for abs, sign, floor, ceil, round."""
    return node.inputs[0] if node.inputs[0].op == node.op else None


def cast_to_itself(node: Node) -> Answer:
    """cast(x, its own type) → x."""
    return node.inputs[0] if node.inputs[0].dtype == node.output.dtype else None


def cast_of_cast(node: Node) -> Answer:
    """cast(cast(x, a), b) → cast(x, b) where a holds every value of x."""
    inner = made_by(node.inputs[0], "cast")
    if inner and _holds(inner.output.dtype, inner.inputs[0].dtype):
        return ops.cast(inner.inputs[0], node.output.dtype)
    return None


def divide_by_power_of_two(node: Node) -> Answer:
    """x / 2^k → x * 2^-k, which rounds alike."""
    x, c = node.inputs
    if not c.is_constant or not is_float(c.dtype) or x.is_constant:
        return None
    value = c.value.astype(np.float64)
    with np.errstate(all="ignore"):
        reciprocal = (1 / value).astype(c.dtype)
    exact = (np.frexp(value)[0] == np.copysign(0.5, value)) & np.isfinite(value)
    tiny = 2.0 ** -14 if c.dtype.itemsize == 2 else 2.0 ** -100
    normal = np.abs(reciprocal.astype(np.float64)) >= tiny
    return ops.mul(x, make_constant(reciprocal)) if np.all(exact & normal) else None


def square(node: Node) -> Answer:
    """x ** 2 → x * x;  1 / x for x ** -1, for floats."""
    x, c = node.inputs
    if is_splat(c, 2) and x.dtype == node.output.dtype:
        return ops.broadcast_to(ops.mul(x, x), node.output.shape)
    if is_splat(c, -1) and is_float(x.dtype) and x.dtype == node.output.dtype:
        return ops.broadcast_to(ops.div(make_constant(np.ones((), x.dtype)), x), node.output.shape)
    return None


def select_known(node: Node) -> Answer:
    """select(true, a, b) → a;  select(false, a, b) → b;  select(p, a, a) → a;  select(not p, a, b) → select(p, b,
    a)."""
    predicate, a, b = node.inputs
    for value, chosen in ((True, a), (False, b)):
        if is_splat(predicate, value):
            return ops.broadcast_to(chosen, node.output.shape)
    if a is b:
        return ops.broadcast_to(a, node.output.shape)
    if inner := made_by(predicate, "not"):
        return ops.select(inner.inputs[0], b, a)
    return None


def same_operands(node: Node) -> Answer:
    """maximum(x, x) → x;  minimum(x, x) → x;  x and x → x;  x or x → x."""
    return node.inputs[0] if node.inputs[0] is node.inputs[1] else None


def clamp_twice(node: Node) -> Answer:
    """maximum(maximum(x, a), b) → maximum(x, maximum(a, b)) for constants; minimum alike."""
    x, c = node.inputs
    inner = made_by(x, node.op) if c.is_constant else None
    if inner and inner.inputs[1].is_constant:
        merge = np.maximum if node.op == "maximum" else np.minimum
        return apply(node.op, inner.inputs[0], make_constant(merge(inner.inputs[1].value, c.value)))
    return None


# -- reductions -------------------------------------------------------------------------------------------------------------
def reduce_unit_axes(node: Node) -> Answer:
    """reduce(x, axes) → reshape(reduce(x, the axes whose extent is not 1))."""
    x, axes, keepdims = node.inputs[0], node.attributes["axes"], node.attributes["keepdims"]
    wide = tuple(a for a in axes if x.shape[a] != 1)
    if len(wide) == len(axes) and axes:
        return None
    if not wide:
        return ops.reshape(x, node.output.shape)
    return ops.reshape(apply(node.op, x, axes=wide, keepdims=keepdims), node.output.shape)


def reduce_of_reduce(node: Node) -> Answer:
    """reduce(reduce(x, a), b) → reduce(x, a ∪ b), both with or both without keepdims, where nothing else reads the
    inner one."""
    inner = made_by(node.inputs[0], node.op)
    if not inner or inner.attributes["keepdims"] != node.attributes["keepdims"] or uses(node.inputs[0]) != 1:
        return None
    first, second = inner.attributes["axes"], node.attributes["axes"]
    if not node.attributes["keepdims"]:
        left = [axis for axis in range(inner.inputs[0].rank) if axis not in first]
        second = tuple(left[axis] for axis in second)
    axes = tuple(sorted({*first, *second}))
    return apply(node.op, inner.inputs[0], axes=axes, keepdims=node.attributes["keepdims"])


# -- identities that move a rounding ----------------------------------------------------------------------------------------
def merge_constants(node: Node) -> Answer:
    """(x + a) + b → x + (a + b);  (x * a) * b → x * (a * b), for finite constants."""
    x, c = node.inputs
    inner = made_by(x, node.op) if c.is_constant and is_float(c.dtype) else None
    if inner and inner.inputs[1].is_constant and not inner.inputs[0].is_constant:
        a = inner.inputs[1].value
        with np.errstate(all="ignore"):
            merged = a + c.value if node.op == "add" else a * c.value
        vanished = node.op == "mul" and np.any(merged == 0)
        if all_finite(merged) and merged.size <= max(a.size, c.value.size) and not vanished:
            return apply(node.op, inner.inputs[0], make_constant(merged, c.dtype))
    return None


def power_by_half(node: Node) -> Answer:
    """x ** 0.5 → sqrt(x);  x ** -0.5 → rsqrt(x);  x ** 3 → x*x*x, for floats (and x above -inf)."""
    x, c = node.inputs
    if not is_float(x.dtype) or x.dtype != node.output.dtype:
        return None
    if is_splat(c, 0.5):
        return ops.broadcast_to(ops.sqrt(x), node.output.shape)
    if is_splat(c, -0.5):
        return ops.broadcast_to(ops.rsqrt(x), node.output.shape)
    if is_splat(c, 3):
        return ops.broadcast_to(ops.mul(ops.mul(x, x), x), node.output.shape)
    return None


def reciprocal_square_root(node: Node) -> Answer:
    """c / sqrt(x) → c * rsqrt(x), for a constant c (1 / sqrt(x) → rsqrt(x))."""
    c, x = node.inputs
    root = made_by(x, "sqrt") if c.is_constant else None
    if not root:
        return None
    inverse = ops.rsqrt(root.inputs[0])
    return ops.broadcast_to(inverse, node.output.shape) if is_splat(c, 1) else ops.mul(inverse, c)


def multiply_by_reciprocal_square_root(node: Node) -> Answer:
    """x * (1 / sqrt(y)) is what x / sqrt(y) becomes where y has fewer elements: x / sqrt(y) → x * rsqrt(y)."""
    x, y = node.inputs
    if x.is_constant or y.rank != x.rank or all(a == b for a, b in zip(x.shape, y.shape)):
        return None
    root = made_by(y, "sqrt")
    return ops.mul(x, ops.rsqrt(root.inputs[0])) if root and x.shape == node.output.shape else None


def sigmoid(node: Node) -> Answer:
    """1 / (1 + exp(-x)) → logistic(x)."""
    one, total = node.inputs
    if not is_splat(one, 1) or not is_float(one.dtype):
        return None
    add = made_by(total, "add")
    if not add or not is_splat(add.inputs[1], 1):
        return None
    exp = made_by(add.inputs[0], "exp")
    negative = made_by(exp.inputs[0], "neg") if exp else None
    return ops.broadcast_to(ops.logistic(negative.inputs[0]), node.output.shape) if negative else None


def window_within_reach(node: Node) -> Answer:
    """reduce_window(x; window, padding) → reduce_window(x; window', padding'), without the taps that lie in the padding wherever the window
    stands: pools larger than what they pool."""
    a, x, out = node.attributes, node.inputs[0], node.output
    window, padding = list(a["window"]), [tuple(pair) for pair in a["padding"]]
    for axis, (extent, count) in enumerate(zip(x.shape, out.shape)):
        step, apart, (low, high) = a["strides"][axis], a["dilation"][axis], padding[axis]
        if not all(isinstance(d, int) for d in (extent, count, low, high)) or extent == 0 or count == 0:
            continue
        first = max(0, -(-(low - (count - 1) * step) // apart))  # the last window reaches back to it
        last = min(window[axis] - 1, (extent - 1 + low) // apart)  # the first window reaches out to it
        before, after = low - first * apart, high - (window[axis] - 1 - last) * apart
        if first <= last and before >= 0 and after >= 0:
            window[axis], padding[axis] = last - first + 1, (before, after)
    if tuple(window) == tuple(a["window"]):
        return None
    return ops.reduce_window(x, a["kind"], tuple(window), a["strides"], tuple(padding), a["dilation"])


def _holds(wide: np.dtype, narrow: np.dtype) -> bool:
    """Does the type `wide` hold every value of `narrow`, infinities, NaN and negative zeros too?"""
    if wide == narrow:
        return True
    if is_float(wide):
        if wide.itemsize == 1:  # none of these has all of that
            return False
        size = ml_dtypes.finfo(wide)
        if is_float(narrow):
            other = ml_dtypes.finfo(narrow)
            return bool(size.nmant >= other.nmant and float(size.max) >= float(other.max)
                        and float(size.smallest_subnormal) <= float(other.smallest_subnormal))
        return narrow.kind == "b" or is_integer(narrow) and integer_range(narrow)[1].bit_length() <= size.nmant + 1
    if not is_integer(wide):
        return False
    if not is_integer(narrow):
        return narrow.kind == "b"
    (low, high), (least, most) = integer_range(wide), integer_range(narrow)
    return low <= least and high >= most


ALGEBRA: Table = (
    (("add", "sub", "mul", "div", "pow"), neutral_operand),
    ("mul", zero_times),
    ("sub", subtract_constant),
    (("neg", "not"), undo_twice),
    (("abs", "sign", "floor", "ceil", "round"), once_is_enough),
    ("cast", cast_to_itself),
    ("cast", cast_of_cast),
    ("div", divide_by_power_of_two),
    ("pow", square),
    ("select", select_known),
    (("maximum", "minimum", "and", "or"), same_operands),
    (("maximum", "minimum"), clamp_twice),
    (("maximum", "minimum"), unbounded_clamp),
    (REDUCTIONS, reduce_unit_axes),
    (REDUCTIONS, reduce_of_reduce),
    ("reduce_window", window_within_reach),
)

ROUNDING: Table = (
    (("add", "mul"), merge_constants),
    ("pow", power_by_half),
    ("div", reciprocal_square_root),
    ("div", multiply_by_reciprocal_square_root),
    ("div", sigmoid),
)

"""Identities of elementwise operators and reductions: each keeps the value and reaches the form it states."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import make_constant, symbol
from dlcompile.transforms import rewrite
from dlcompile.transforms.algebra import ALGEBRA, ROUNDING
from dlcompile.transforms.fold import folding
from dlcompile.transforms.movement import MOVEMENT
from dlcompile.transforms.operands import OPERANDS
from tests.transforms.helpers import assert_same, graph_of, operators, variable, weights

FOLD = folding()

ONE, ZERO, TWO, HALF = (np.float32(v) for v in (1, 0, 2, 0.5))
VECTOR = weights(3)

EXACT = {  # name: (the expression, the operators that are left)
    "x + 0": (lambda x, i, p: ops.add(x, ZERO), []),
    "0 + x": (lambda x, i, p: ops.add(make_constant(ZERO), x), []),
    "x - 0": (lambda x, i, p: ops.sub(x, ZERO), []),
    "x * 1": (lambda x, i, p: ops.mul(x, np.ones((2, 3), np.float32)), []),
    "x / 1": (lambda x, i, p: ops.div(x, ONE), []),
    "x ** 1": (lambda x, i, p: ops.pow(x, ONE), []),
    "i * 0": (lambda x, i, p: ops.mul(i, np.int64(0)), []),
    "x * 0 stays": (lambda x, i, p: ops.mul(x, ZERO), ["mul"]),
    "x - c": (lambda x, i, p: ops.sub(x, VECTOR), ["add"]),
    "-(-x)": (lambda x, i, p: ops.neg(ops.neg(x)), []),
    "not not p": (lambda x, i, p: ops.logical_not(ops.logical_not(p)), []),
    "abs(abs(x))": (lambda x, i, p: ops.abs(ops.abs(x)), ["abs"]),
    "floor(floor(x))": (lambda x, i, p: ops.floor(ops.floor(x)), ["floor"]),
    "cast to itself": (lambda x, i, p: ops.cast(x, np.float32), []),
    "widened and narrowed": (lambda x, i, p: ops.cast(ops.cast(x, np.float64), np.float32), []),
    "narrowed and widened stays": (lambda x, i, p: ops.cast(ops.cast(x, np.float16), np.float32), ["cast", "cast"]),
    "bool through int": (lambda x, i, p: ops.cast(ops.cast(p, np.int64), np.float32), ["cast"]),
    "int64 through float32 stays": (lambda x, i, p: ops.cast(ops.cast(i, np.float32), np.int64), ["cast", "cast"]),
    "x / 4": (lambda x, i, p: ops.div(x, np.float32(4)), ["mul"]),
    "x / 3 stays": (lambda x, i, p: ops.div(x, np.float32(3)), ["div"]),
    "x ** 2": (lambda x, i, p: ops.pow(x, TWO), ["mul"]),
    "x ** -1": (lambda x, i, p: ops.pow(x, -ONE), ["div"]),
    "select(true)": (lambda x, i, p: ops.select(np.True_, x, ops.neg(x)), []),
    "select(false)": (lambda x, i, p: ops.select(np.zeros((2, 3), bool), ops.neg(x), x), []),
    "select(p, x, x)": (lambda x, i, p: ops.select(p, x, x), []),
    "select(not p, x, -x)": (lambda x, i, p: ops.select(ops.logical_not(p), x, ops.neg(x)), ["neg", "select"]),
    "maximum(x, -inf)": (lambda x, i, p: ops.maximum(x, np.float32(-np.inf)), []),
    "minimum(x, inf)": (lambda x, i, p: ops.minimum(x, np.float32(np.inf)), []),
    "maximum(i, 0) stays": (lambda x, i, p: ops.maximum(i, np.int64(0)), ["maximum"]),
    "maximum(x, x)": (lambda x, i, p: ops.maximum(x, x), []),
    "maximum twice": (lambda x, i, p: ops.maximum(ops.maximum(x, ZERO), VECTOR), ["maximum"]),
    "minimum twice": (lambda x, i, p: ops.minimum(ops.minimum(x, VECTOR), ONE), ["minimum"]),
    "clamp stays": (lambda x, i, p: ops.minimum(ops.maximum(x, ZERO), ONE), ["maximum", "minimum"]),
    "sum of a unit axis": (lambda x, i, p: ops.reduce_sum(ops.reshape(x, (2, 1, 3)), (1,)), []),
    "sum over unit and other axes": (lambda x, i, p: ops.reduce_sum(ops.reshape(x, (2, 1, 3)), (1, 2)), ["reshape", "reduce_sum", "reshape"]),
    "sum over nothing": (lambda x, i, p: ops.reduce_sum(x, ()), []),
    "max of max": (lambda x, i, p: ops.reduce_max(ops.reduce_max(x, (1,)), (0,)), ["reduce_max"]),
    "sum of sum, keepdims": (lambda x, i, p: ops.reduce_sum(ops.reduce_sum(i, (1,), keepdims=True), (0,), keepdims=True), ["reduce_sum"]),
    "max of sum stays": (lambda x, i, p: ops.reduce_max(ops.reduce_sum(x, (1,)), (0,)), ["reduce_sum", "reduce_max"]),
}

ROUNDED = {
    "(x + a) + b": (lambda x, i, p: ops.add(ops.add(x, VECTOR), HALF), ["add"]),
    "(x * a) * b": (lambda x, i, p: ops.mul(ops.mul(x, VECTOR), HALF), ["mul"]),
    "x ** 0.5": (lambda x, i, p: ops.pow(ops.abs(x), HALF), ["abs", "sqrt"]),
    "x ** -0.5": (lambda x, i, p: ops.pow(ops.abs(x), -HALF), ["abs", "rsqrt"]),
    "x ** 3": (lambda x, i, p: ops.pow(x, np.float32(3)), ["mul", "mul"]),
    "1 / sqrt(x)": (lambda x, i, p: ops.div(ONE, ops.sqrt(ops.abs(x))), ["abs", "rsqrt"]),
    "2 / sqrt(x)": (lambda x, i, p: ops.div(TWO, ops.sqrt(ops.abs(x))), ["abs", "rsqrt", "mul"]),
    "1 / (1 + exp(-x))": (lambda x, i, p: ops.div(ONE, ops.add(ONE, ops.exp(ops.neg(x)))), ["logistic"]),
    "x / sqrt(row)": (lambda x, i, p: ops.div(x, ops.sqrt(ops.reduce_max(ops.abs(x), (1,), keepdims=True))),
                      ["abs", "reduce_max", "rsqrt", "mul"]),
}


def _build(expression, dims):
    x, i, p = variable("x", dims), variable("i", dims, np.int64), variable("p", dims, np.bool_)
    return graph_of(expression(x, i, p), x, i, p)


@pytest.mark.parametrize("name", EXACT)
def test_exact_identity(name):
    expression, expected = EXACT[name]
    graph = _build(expression, (2, 3))
    after = rewrite(graph, FOLD, ALGEBRA, OPERANDS, MOVEMENT)
    assert operators(after) == expected
    assert_same(graph, after, rtol=1e-6 if "**" in name else 0, special=True)


@pytest.mark.parametrize("name", ROUNDED)
def test_identity_that_moves_a_rounding(name):
    expression, expected = ROUNDED[name]
    graph = _build(expression, (2, 3))
    after = rewrite(graph, FOLD, ALGEBRA, OPERANDS, MOVEMENT, ROUNDING)
    assert operators(after) == expected
    assert_same(graph, after, rtol=1e-5, atol=1e-6, special=True)
    assert operators(rewrite(graph, FOLD, ALGEBRA, OPERANDS, MOVEMENT)) != expected


@pytest.mark.parametrize("name", ["x + 0", "x - c", "max of max", "x / 4", "select(not p, x, -x)", "sum over nothing"])
def test_identities_hold_for_symbolic_dimensions(name):
    expression, expected = EXACT[name]
    graph = _build(expression, (symbol("n"), 3))
    after = rewrite(graph, FOLD, ALGEBRA, OPERANDS, MOVEMENT)
    assert operators(after) == expected
    for n in (1, 5):
        assert_same(graph, after, special=True, n=n)


def test_an_identity_that_would_broadcast_is_not_one():
    x = variable("x", (1, 3))
    graph = graph_of(ops.add(x, np.zeros((4, 3), np.float32)), x)
    after = rewrite(graph, ALGEBRA, OPERANDS)
    assert after.outputs[0].shape == (4, 3)
    assert_same(graph, after)


def test_overflowing_constants_are_not_merged():
    x = variable("x", (2,))
    graph = graph_of(ops.mul(ops.mul(x, np.float32(1e30)), np.float32(1e30)), x)
    assert operators(rewrite(graph, ALGEBRA, ROUNDING)) == ["mul", "mul"]


def test_constants_move_right_and_shrink():
    x = variable("x", (2, 4, 3))
    constant = make_constant(VECTOR.reshape(1, 1, 3))
    graph = graph_of((ops.add(constant, x), ops.mul(x, np.full((2, 4, 3), 0.5, np.float32))), x)
    after = rewrite(graph, OPERANDS)
    assert [node.inputs[1].shape for node in after.nodes] == [(3,), ()]
    assert_same(graph, after)


def test_constants_that_repeat_shrink_where_others_have_the_extent():
    x, y = variable("x", (2, 3, 4)), variable("y", (2, 1, 4))
    row = weights(1, 3, 1) * np.ones((2, 1, 4), np.float32)
    graph = graph_of((ops.add(x, row), ops.add(y, row)), x, y)
    after = rewrite(graph, OPERANDS)
    assert [node.inputs[1].shape for node in after.nodes] == [(3, 1), (3, 1)]
    only = graph_of(ops.add(y, np.ones((2, 3, 4), np.float32)), y)
    assert [node.inputs[1].shape for node in rewrite(only, OPERANDS).nodes] == [(3, 1)]
    assert_same(graph, after)
    assert_same(only, rewrite(only, OPERANDS))


def test_an_operand_that_is_broadcast_for_show():
    x, y = variable("x", (2, 3)), variable("y", (1, 3))
    graph = graph_of(ops.add(x, ops.broadcast_to(y, (2, 3))), x, y)
    after = rewrite(graph, OPERANDS)
    assert operators(after) == ["add"]
    assert_same(graph, after)
    alone = graph_of(ops.add(ops.broadcast_to(y, (2, 3)), np.float32(1)), y)
    assert operators(rewrite(alone, OPERANDS)) == ["broadcast_to", "add"]

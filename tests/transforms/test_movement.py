"""Identities of data movement: each keeps the value and reaches the form it states."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import symbol
from dlcompile.transforms import optimize, rewrite
from dlcompile.transforms.algebra import ALGEBRA
from dlcompile.transforms.fold import SMALL, folding
from dlcompile.transforms.movement import MOVEMENT
from dlcompile.transforms.operands import OPERANDS
from dlcompile.transforms.shapes import compose, factor_reshape, inverse, is_view
from tests.transforms.helpers import assert_same, count, graph_of, operators, variable, weights

FOLD = folding()

ZERO = np.float32(0)
CASES = {  # name: (shape of x, the expression, the operators that are left)
    "reshape to itself": ((2, 3), lambda x: ops.reshape(x, (2, 3)), []),
    "reshape of reshape": ((2, 6), lambda x: ops.reshape(ops.reshape(x, (3, 4)), (4, 3)), ["reshape"]),
    "there and back": ((2, 6), lambda x: ops.reshape(ops.reshape(x, (3, 4)), (2, 6)), []),
    "transpose twice": ((2, 3, 4), lambda x: ops.transpose(ops.transpose(x, (1, 2, 0)), (1, 2, 0)), ["transpose"]),
    "transpose and back": ((2, 3, 4), lambda x: ops.transpose(ops.transpose(x, (1, 2, 0)), (2, 0, 1)), []),
    "transpose of units": ((2, 1, 3, 1), lambda x: ops.transpose(x, (0, 2, 3, 1)), ["reshape"]),
    "broadcast to itself": ((2, 3), lambda x: ops.broadcast_to(x, (2, 3)), []),
    "broadcast twice": ((1, 3), lambda x: ops.broadcast_to(ops.broadcast_to(x, (2, 3)), (4, 2, 3)), ["broadcast_to"]),
    "broadcast of leading ones": ((2, 3), lambda x: ops.broadcast_to(x, (1, 1, 2, 3)), ["reshape"]),
    "broadcast of unsqueezed": ((2, 3), lambda x: ops.broadcast_to(ops.reshape(x, (1, 2, 3)), (4, 2, 3)), ["broadcast_to"]),
    "reverse twice": ((2, 3), lambda x: ops.reverse(ops.reverse(x, (0, 1)), (1,)), ["reverse"]),
    "reverse and back": ((2, 3), lambda x: ops.reverse(ops.reverse(x, (1,)), (1,)), []),
    "reverse of a unit axis": ((1, 3), lambda x: ops.reverse(x, (0,)), []),
    "full slice": ((2, 3), lambda x: ops.slice(x, (0, 0), (2, 3)), []),
    "slice of slice": ((9, 4), lambda x: ops.slice(ops.slice(x, (1, 0), (9, 4), (2, 1)), (1, 1), (4, 3), (2, 1)), ["slice"]),
    "slice of one part": ((4, 3), lambda x: ops.slice(ops.concatenate([ops.exp(x), x], 0), (5, 1), (7, 3)), ["slice"]),
    "slice of two parts stays": ((4, 3), lambda x: ops.slice(ops.concatenate([ops.exp(x), x], 0), (3, 1), (7, 3)),
                                 ["exp", "concatenate", "slice"]),
    "pad nothing": ((2, 3), lambda x: ops.pad(x, ZERO, (0, 0), (0, 0)), []),
    "pad of pad": ((2, 3), lambda x: ops.pad(ops.pad(x, ZERO, (1, 0), (0, 2)), ZERO, (0, 1), (2, 0)), ["pad"]),
    "pad of another pad stays": ((2, 3), lambda x: ops.pad(ops.pad(x, ZERO, (1, 0), (0, 2)), np.float32(1), (0, 1), (2, 0)), ["pad", "pad"]),
    "one part": ((2, 3), lambda x: ops.concatenate([x], 0), []),
    "parts of parts": ((2, 3), lambda x: ops.concatenate([ops.concatenate([x, x], 1), x], 1), ["concatenate"]),
    "the same parts twice stay": ((2, 3), lambda x: (lambda two: ops.concatenate([two, two], 1))(ops.concatenate([x, x], 1)),
                                  ["concatenate", "concatenate"]),
    "parts along another axis stay": ((2, 2), lambda x: ops.concatenate([ops.concatenate([x, x], 0), ops.concatenate([x, x], 0)], 1),
                                      ["concatenate", "concatenate", "concatenate"]),
    "an empty part": ((2, 3), lambda x: ops.concatenate([x, np.zeros((2, 0), np.float32)], 1), []),
    "split and joined": ((2, 6), lambda x: ops.concatenate([ops.slice(x, (0, 0), (2, 2)), ops.slice(x, (0, 2), (2, 5))], 1), ["slice"]),
    "split and swapped stays": ((2, 6), lambda x: ops.concatenate([ops.slice(x, (0, 2), (2, 5)), ops.slice(x, (0, 0), (2, 2))], 1),
                                ["slice", "slice", "concatenate"]),
    "gather of a range": ((5, 3), lambda x: ops.gather(x, np.array([1, 2, 3]), 0), ["slice"]),
    "gather with a step": ((5, 3), lambda x: ops.gather(x, np.array([[0, 2], [4, 6]])[:, :1].ravel(), 0), ["slice"]),
    "gather backwards": ((5, 3), lambda x: ops.gather(x, np.array([3, 1]), 0), ["slice", "reverse"]),
    "gather of one": ((5, 3), lambda x: ops.gather(x, np.array(2), 1), ["slice", "reshape"]),
    "gather of the only one": ((1, 3), lambda x: ops.gather(x, np.array([[0, 0], [0, 0]]), 0), ["broadcast_to"]),
    "gather out of order stays": ((5, 3), lambda x: ops.gather(x, np.array([1, 0, 3]), 0), ["gather"]),
}


@pytest.mark.parametrize("name", CASES)
def test_identity(name):
    shape, expression, expected = CASES[name]
    x = variable("x", shape)
    graph = graph_of(expression(x), x)
    after = rewrite(graph, MOVEMENT)
    assert operators(after) == expected
    assert_same(graph, after, special=True)


def test_symbolic_dimensions():
    n = symbol("n")
    x = variable("x", (n, 3, 1, 4))
    y = ops.reshape(ops.transpose(ops.transpose(x, (0, 2, 3, 1)), (0, 1, 3, 2)), (n, 12))
    y = ops.slice(ops.slice(ops.reshape(y, (n, 12)), (0, 2), (n, 12)), (0, 0), (n, 10))
    graph = graph_of(y, x)
    after = rewrite(graph, MOVEMENT)
    assert operators(after) == ["reshape", "slice"]
    for size in (1, 3):
        assert_same(graph, after, n=size)


def convolution(x, w, **attributes):
    """A channels-first convolution with the attributes that are not given at their neutral values."""
    n = x.rank - 2
    neutral = dict(strides=(1,) * n, padding=((0, 0),) * n, lhs_dilation=(1,) * n, rhs_dilation=(1,) * n, groups=1, layout="channels_first")
    return ops.conv_general(x, w, **{**neutral, **attributes})


@pytest.mark.parametrize("value, expected", [(0, ["conv_general"]), (1, ["pad", "conv_general"])])
def test_padding_joins_the_convolution_when_it_is_zero(value, expected):
    x = variable("x", (1, 2, 5, 6))
    y = convolution(ops.pad(x, np.float32(value), (0, 0, 1, 0), (0, 0, 2, 1)), weights(3, 2, 3, 3), padding=((1, 0), (0, 0)))
    graph = graph_of(y, x)
    after = rewrite(graph, MOVEMENT)
    assert operators(after) == expected
    assert_same(graph, after, rtol=1e-5, atol=1e-5)


def test_padding_of_channels_stays_outside():
    x = variable("x", (1, 2, 5, 6))
    graph = graph_of(convolution(ops.pad(x, ZERO, (0, 0, 0, 0), (0, 1, 0, 0)), weights(3, 3, 3, 3)), x)
    assert operators(rewrite(graph, MOVEMENT)) == ["pad", "conv_general"]


# -- shapes -----------------------------------------------------------------------------------------------------------------
def test_permutations():
    array = np.arange(24).reshape(2, 3, 4)
    p, q = (1, 2, 0), (2, 1, 0)
    assert np.array_equal(array.transpose(p).transpose(q), array.transpose(compose(p, q)))
    assert np.array_equal(array.transpose(p).transpose(inverse(p)), array)
    assert is_view((2, 1, 3), (1, 0, 2)) and not is_view((2, 1, 3), (2, 1, 0))


@pytest.mark.parametrize("old, new, groups", [
    ((2, 3, 4), (6, 4), [((0, 1), (0,)), ((2,), (1,))]),
    ((6, 4), (2, 3, 4), [((0,), (0, 1)), ((1,), (2,))]),
    ((4, 6), (6, 4), [((0, 1), (0, 1))]),
    ((2, 1, 3), (2, 3, 1), [((0,), (0,)), ((1,), ()), ((2,), (1,)), ((), (2,))]),
    ((symbol("n"), 6), (symbol("n"), 2, 3), [((0,), (0,)), ((1,), (1, 2))]),
    ((symbol("n"), symbol("s"), 4), (symbol("n") * symbol("s"), 4), [((0, 1), (0,)), ((2,), (1,))]),
    ((symbol("n") * 4,), (symbol("n"), 4), [((0,), (0, 1))]),
    ((symbol("n"), 3), (symbol("m"), 3), None),
    ((0, 2), (2, 0), None),
    ((), (1,), [((), (0,))]),
])
def test_factor_reshape(old, new, groups):
    assert factor_reshape(old, new) == groups


# -- folding ----------------------------------------------------------------------------------------------------------------
def test_constants_are_computed():
    x = variable("x", (3,))
    graph = graph_of(ops.add(x, ops.exp(ops.reshape(ops.mul(weights(1, 3), np.float32(2)), (3,)))), x)
    after = rewrite(graph, FOLD)
    assert operators(after) == ["add"]
    assert_same(graph, after, rtol=1e-6)


def test_small_constants_are_not_blown_up():
    x = variable("x", (1000, 1000))
    wide = ops.broadcast_to(ops.exp(np.float32(1)), (1000, 1000))
    graph = graph_of(ops.sub(wide, x), x)
    after = rewrite(graph, FOLD, ALGEBRA)
    assert max(t.value.nbytes for t in after.constants) < 100
    assert operators(rewrite(graph, FOLD, ALGEBRA, OPERANDS)) == ["sub"]


def test_no_chain_doubles_a_constant_without_end():
    made = weights(3)
    for _ in range(40):
        made = ops.concatenate([made, ops.neg(made)], 0)
    x = variable("x", ())
    after = optimize(graph_of(ops.mul(made, x), x))
    assert sum(t.value.nbytes for t in after.constants) <= 2 * SMALL


@pytest.mark.parametrize("rows, expected", [(5, ["gather"]), (500, ["gather", "mul", "exp", "add", "mul"])])
def test_what_follows_a_small_table_is_computed_once_a_row(rows, expected):
    i = variable("i", (symbol("b"), 8), np.int32)
    y = ops.mul(ops.gather(weights(rows, 3), i, 0), weights(3))
    y = ops.mul(y, ops.add(ops.exp(y), np.float32(2)))
    graph = graph_of(y, i)
    after = rewrite(graph, FOLD)
    assert operators(after) == expected
    assert_same(graph, after, rtol=1e-6, b=2)


def test_narrow_weights_are_widened():
    x = variable("x", (200, 300))
    narrow = np.ones((200, 300), np.int8)
    graph = graph_of(ops.mul(x, ops.cast(narrow, np.float32)), x)
    assert count(rewrite(graph, FOLD)) == {"mul": 1}

"""Channels-last: where the transpositions end up, and what convolutions become."""
import warnings

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import symbol
from dlcompile.transforms import rewrite
from dlcompile.transforms.algebra import ALGEBRA
from dlcompile.transforms.convolution import CONVOLUTION
from dlcompile.transforms.fold import folding
from dlcompile.transforms.layout import LAYOUT, PUSH_DOWN
from dlcompile.transforms.movement import MOVEMENT
from dlcompile.transforms.operands import OPERANDS
from tests.transforms.helpers import assert_same, count, graph_of, operators, variable, weights
from tests.transforms.test_movement import convolution

FOLD = folding()

SIMPLE = (FOLD, ALGEBRA, OPERANDS, MOVEMENT)
CLOSE = dict(rtol=1e-4, atol=1e-4)
TO_FIRST = (0, 3, 1, 2)


def window(x, kind="max"):
    return ops.reduce_window(x, kind=kind, window=(1, 1, 2, 2), strides=(1, 1, 2, 1), padding=((0, 0), (0, 0), (0, 1), (1, 0)),
                             dilation=(1, 1, 1, 1))


DOWN = {  # name: (what follows the transposition of x [2, 4, 5, 3] to [2, 3, 4, 5], the operators that are left)
    "unary": (lambda x: ops.exp(x), ["exp", "transpose"]),
    "scalar": (lambda x: ops.mul(x, np.float32(2)), ["mul", "transpose"]),
    "channel vector": (lambda x: ops.add(x, weights(3, 1, 1)), ["add", "transpose"]),
    "row vector": (lambda x: ops.add(x, weights(5)), ["add", "transpose"]),
    "full constant": (lambda x: ops.add(x, weights(2, 3, 4, 5)), ["add", "transpose"]),
    "itself": (lambda x: ops.add(x, ops.exp(x)), ["exp", "add", "transpose"]),
    "select": (lambda x: ops.select(ops.gt(x, np.float32(0)), x, weights(3, 1, 1)), ["gt", "select", "transpose"]),
    "gate": (lambda x: ops.mul(x, ops.reduce_max(x, (2, 3), keepdims=True)), ["reduce_max", "mul", "transpose"]),
    "pool": (window, ["reduce_window", "transpose"]),
    "pad": (lambda x: ops.pad(x, np.float32(0), (0, 1, 2, 0), (0, 0, 0, 3)), ["pad", "transpose"]),
    "slice": (lambda x: ops.slice(x, (0, 1, 0, 2), (2, 3, 4, 5), (1, 1, 2, 1)), ["slice", "transpose"]),
    "reverse": (lambda x: ops.reverse(x, (1, 3)), ["reverse", "transpose"]),
    "concatenate": (lambda x: ops.concatenate([x, ops.exp(x), weights(2, 1, 4, 5)], 1), ["exp", "concatenate", "transpose"]),
    "broadcast": (lambda x: ops.broadcast_to(ops.reduce_max(x, (3,), keepdims=True), (6, 2, 3, 4, 5)),
                  ["reduce_max", "broadcast_to", "transpose"]),
    "upsample an image": (lambda x: ops.reshape(ops.broadcast_to(ops.reshape(
        ops.slice(x, (0, 0, 0, 0), (1, 3, 4, 5)), (1, 3, 4, 1, 5)), (1, 3, 4, 2, 5)), (1, 3, 8, 5)),
        ["slice", "reshape", "broadcast_to", "reshape", "transpose"]),
    "upsample": (lambda x: ops.reshape(ops.broadcast_to(ops.reshape(x, (2, 3, 4, 1, 5, 1)), (2, 3, 4, 2, 5, 3)), (2, 3, 8, 15)),
                 ["reshape", "broadcast_to", "reshape", "transpose"]),
    "gather": (lambda x: ops.gather(x, np.array([0, 0, 3, 1]), 2), ["gather", "transpose"]),
    "reduce, keepdims": (lambda x: ops.reduce_sum(x, (1,), keepdims=True), ["reduce_sum", "reshape"]),
    "reduce": (lambda x: ops.reduce_sum(x, (2,)), ["reduce_sum", "transpose"]),
    "reduce spatial": (lambda x: ops.reduce_max(x, (2, 3)), ["reduce_max"]),
    "flatten spatial": (lambda x: ops.reshape(x, (2, 3, 20)), ["reshape", "transpose"]),
    "split channels": (lambda x: ops.reshape(x, (2, 3, 1, 2, 2, 5)), ["reshape", "transpose"]),
    "flatten all stays": (lambda x: ops.reshape(x, (2, 60)), ["transpose", "reshape"]),
    "tokens": (lambda x: ops.transpose(ops.reshape(x, (2, 3, 20)), (0, 2, 1)), ["reshape"]),
    "tokens and back": (lambda x: ops.reshape(ops.transpose(ops.reshape(x, (2, 3, 20)), (0, 2, 1)), (2, 4, 5, 3)), []),
    "pixel shuffle": (lambda x: ops.transpose(ops.reshape(ops.transpose(ops.reshape(
        ops.concatenate([x] * 4, 1), (2, 2, 2, 3, 4, 5)), (0, 3, 4, 1, 5, 2)), (2, 3, 8, 10)), (0, 2, 3, 1)),
        ["concatenate", "reshape", "transpose", "reshape"]),
}


ANY_BATCH = ("unary", "channel vector", "itself", "select", "gate", "pool", "pad", "reverse", "gather", "reduce")


@pytest.mark.parametrize("name, batch", [*((name, 2) for name in DOWN), *((name, symbol("n")) for name in ANY_BATCH)])
def test_a_transposition_moves_down(name, batch):
    expression, expected = DOWN[name]
    x = variable("x", (batch, 4, 5, 3))
    graph = graph_of(expression(ops.transpose(x, TO_FIRST)), x)
    after = rewrite(graph, *SIMPLE, PUSH_DOWN)
    assert operators(after) == expected
    assert_same(graph, after, rtol=1e-6, n=2)


def test_an_operand_that_would_have_to_be_copied_keeps_the_transposition_above():
    x, y = variable("x", (2, 4, 5, 3)), variable("y", (2, 3, 4, 5))
    graph = graph_of(ops.add(ops.transpose(x, TO_FIRST), y), x, y)
    assert operators(rewrite(graph, *SIMPLE, PUSH_DOWN)) == ["transpose", "add"]


def test_upsampling_from_one_pixel_stays_channels_last():
    x = variable("x", (1, 4, 5, 3))
    pooled = ops.reduce_max(ops.transpose(x, TO_FIRST), (2, 3), keepdims=True)
    wide = ops.mul(ops.gather(ops.gather(pooled, np.zeros(4, np.int64), 2), np.zeros(5, np.int64), 3), weights(4, 5))
    y = ops.transpose(ops.concatenate([ops.transpose(x, TO_FIRST), wide], 1), (0, 2, 3, 1))
    graph = graph_of(y, x)
    after = rewrite(graph, *SIMPLE, PUSH_DOWN)
    assert count(after)["transpose"] == 0
    assert_same(graph, after)


def test_reshapes_do_not_wander_between_operands():
    x, y = variable("x", (1, 1, 5, 2)), variable("y", (1, 1, 2, 7))
    z = ops.concatenate([ops.transpose(x, (0, 3, 1, 2)), ops.reshape(y, (1, 2, 1, 7))], 3)
    graph = graph_of((ops.slice(z, (0, 0, 0, 0), (1, 1, 1, 12)), ops.slice(z, (0, 1, 0, 0), (1, 2, 1, 12))), x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(graph, rewrite(graph, *SIMPLE, PUSH_DOWN))


def test_a_chain_of_convolutions_has_transpositions_at_its_ends_only():
    x = variable("x", (1, 3, 8, 8))
    y = ops.maximum(convolution(x, weights(4, 3, 3, 3), padding=((1, 1), (1, 1))), np.float32(0))
    gate = ops.logistic(convolution(ops.reduce_sum(y, (2, 3), keepdims=True), weights(4, 4, 1, 1)))
    z = ops.add(y, ops.mul(convolution(y, weights(4, 1, 3, 3), padding=((1, 1), (1, 1)), groups=4), gate))
    z = window(ops.concatenate([z, y], 1))
    graph = graph_of(convolution(z, weights(2, 8, 2, 2)), x)
    after = rewrite(graph, *SIMPLE, LAYOUT, PUSH_DOWN)
    assert count(after)["transpose"] == 2 and count(after)["reshape"] == 0
    assert after.nodes[0].op == "transpose" and after.nodes[-1].op == "transpose"
    assert_same(graph, after, **CLOSE)


# -- convolutions -----------------------------------------------------------------------------------------------------------
def _lowered(y, *inputs):
    graph = graph_of(y, *inputs)
    return graph, rewrite(graph, *SIMPLE, LAYOUT, PUSH_DOWN, CONVOLUTION)


def test_pointwise():
    x = variable("x", (2, 3, 4, 5))
    graph, after = _lowered(convolution(x, weights(6, 3, 1, 1)), x)
    assert operators(after) == ["transpose", "dot_general", "transpose"]
    assert_same(graph, after, **CLOSE)


@pytest.mark.parametrize("attributes", [{"strides": (2, 2)}, {"padding": ((1, 0), (0, 0))}, {"groups": 3}])
def test_not_pointwise(attributes):
    x = variable("x", (2, 3, 4, 5))
    graph, after = _lowered(convolution(x, weights(6, 3 // attributes.get("groups", 1), 1, 1), **attributes), x)
    assert operators(after) == ["transpose", "conv_general", "transpose"]
    assert_same(graph, after, **CLOSE)


def test_kernel_as_large_as_the_image():
    x = variable("x", (2, 3, 4, 5))
    graph, after = _lowered(convolution(x, weights(6, 3, 4, 5)), x)
    assert operators(after) == ["transpose", "reshape", "dot_general", "reshape"]
    assert_same(graph, after, **CLOSE)


@pytest.mark.parametrize("length", [9, symbol("n")])
def test_one_axis_becomes_two(length):
    x = variable("x", (2, 3, length))
    graph, after = _lowered(convolution(x, weights(4, 3, 3), padding=((1, 2),), strides=(2,), rhs_dilation=(2,)), x)
    assert count(after) == {"transpose": 2, "reshape": 2, "conv_general": 1}
    assert all(n.inputs[0].rank == 4 for n in after.nodes if n.op == "conv_general")
    assert_same(graph, after, **CLOSE, n=9)


@pytest.mark.parametrize("size", [(3, 4), (symbol("h"), symbol("w"))])
def test_transposed_convolution_of_blocks_is_one_product(size):
    x = variable("x", (2, 3, *size))
    graph, after = _lowered(convolution(x, weights(4, 3, 2, 3), lhs_dilation=(2, 3), padding=((1, 1), (2, 2))), x)
    assert count(after) == {"transpose": 2, "dot_general": 1, "reshape": 2}
    assert_same(graph, after, **CLOSE, h=2, w=5)


PHASES = [  # kernel, lhs_dilation, padding (of the dilated input), groups, rhs_dilation, strides
    ((3, 3), (2, 2), ((1, 2), (1, 2)), 1, (1, 1), (1, 1)),
    ((4, 4), (2, 2), ((2, 2), (2, 2)), 1, (1, 1), (1, 1)),
    ((2, 2), (2, 2), ((1, 1), (1, 2)), 1, (1, 1), (1, 1)),
    ((2, 1), (3, 2), ((1, 1), (0, 0)), 1, (1, 1), (1, 1)),
    ((5, 3), (3, 1), ((0, 4), (1, 1)), 1, (1, 1), (1, 1)),
    ((3, 3), (2, 2), ((2, 2), (1, 1)), 3, (1, 1), (1, 1)),
    ((2, 3), (2, 2), ((2, 2), (3, 3)), 1, (2, 1), (1, 1)),
    ((3, 3), (2, 2), ((1, 2), (1, 2)), 1, (1, 1), (2, 1)),
    ((3,), (2,), ((1, 2),), 1, (1,), (1,)),
    ((2, 2, 2), (2, 2, 2), ((1, 1), (1, 1), (1, 1)), 1, (1, 1, 1), (1, 1, 1)),
    ((3, 2, 2), (2, 2, 1), ((1, 1), (1, 1), (0, 1)), 1, (1, 1, 1), (1, 1, 1)),
]


@pytest.mark.parametrize("kernel, dilation, padding, groups, rhs, strides", PHASES)
@pytest.mark.parametrize("symbolic", [False, True])
def test_transposed_convolution_by_phases(kernel, dilation, padding, groups, rhs, strides, symbolic):
    size = tuple(symbol(n) for n in "hwd"[: len(kernel)]) if symbolic else (5, 4, 3)[: len(kernel)]
    x = variable("x", (2, 3, *size))
    y = convolution(x, weights(6, 3 // groups, *kernel), lhs_dilation=dilation, padding=padding, groups=groups, rhs_dilation=rhs, strides=strides)
    graph, after = _lowered(y, x)
    assert not any(d != 1 for n in after.nodes if n.op == "conv_general" for d in n.attributes["lhs_dilation"])
    assert_same(graph, after, **CLOSE, h=5, w=4, d=3)
    if symbolic:
        assert_same(graph, after, **CLOSE, h=3, w=6, d=2)


def test_transposed_convolution_with_computed_weights():
    x, w = variable("x", (2, 3, 4, 5)), variable("w", (6, 3, 3, 3))
    graph, after = _lowered(convolution(x, w, lhs_dilation=(2, 2), padding=((1, 2), (1, 2))), x, w)
    assert not any(d != 1 for n in after.nodes if n.op == "conv_general" for d in n.attributes["lhs_dilation"])
    assert_same(graph, after, **CLOSE)


@pytest.mark.parametrize("q", [(1, 0, 2), (0, 2, 1), (2, 1, 0)])
def test_transpositions_of_two_ranks_meet(q):
    x, y = variable("x", (3, 3, 3, 3)), variable("y", (3, 3, 3))
    p = (2, 0, 1, 3)
    before = graph_of(ops.add(ops.transpose(x, p), ops.transpose(y, q)), x, y)
    assert_same(before, rewrite(before, *SIMPLE, LAYOUT, PUSH_DOWN), **CLOSE)

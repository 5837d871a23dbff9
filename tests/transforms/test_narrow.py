"""Products of small integers in float32: the same numbers, also where sums come close to what float32 can hold."""
import numpy as np
import pytest

import dlcompile
from dlcompile import ops
from dlcompile.graph import Graph, make_constant, make_input, symbol
from dlcompile.operators import evaluate
from dlcompile.transforms import optimize, rewrite
from dlcompile.transforms.narrow import EXACT, NARROW


def centred(name, dtype, shape, zero):
    x = make_input(name, np.dtype(dtype), shape)
    return x, ops.sub(ops.cast(x, np.int32), np.int32(zero))


def products(graph):
    return [n for n in graph.nodes if n.op in ("dot_general", "conv_general")]


def check(y, *inputs, arrays, parts):
    graph = Graph("g", inputs, (y,), output_names=("y",))
    after = rewrite(graph, NARROW)
    assert [n.output.dtype for n in products(after)] == [np.float32] * parts or (parts == 0 and products(after)[0].output.dtype == np.int32)
    (expected,) = evaluate(graph, arrays)
    assert expected.dtype == np.int32
    compiled = dlcompile.compile(graph, cache=False)
    for result in (evaluate(after, arrays)[0], evaluate(optimize(graph), arrays)[0], compiled(*arrays)):
        np.testing.assert_array_equal(result, expected)


def matrix_product(depth, weight, dtype=np.uint8, zero=0):
    x, a = centred("x", dtype, (symbol("n"), depth), zero)
    return x, ops.matmul(a, make_constant(np.full((depth, 3), weight, np.int32)))


@pytest.mark.parametrize("depth, parts", [(1, 1), (EXACT // (255 * 127), 1), (EXACT // (255 * 127) + 1, 2), (3000, 6), (5000, 0)])
def test_sums_at_their_largest(depth, parts):
    """518 times 255 * 127 is an exact sum, 519 times is one that needs two parts; ten parts are not worth it."""
    x, y = matrix_product(depth, 127)
    arrays = [np.full((2, depth), 255, np.uint8)]
    arrays[0][1, ::2] = 254
    check(y, x, arrays=arrays, parts=parts)


def test_zero_points_count():
    """-128 - 127 is as large as 255."""
    depth = EXACT // (255 * 127)
    for at, parts in ((depth, 1), (depth + 1, 2)):
        x, y = matrix_product(at, -127, np.int8, 127)
        check(y, x, arrays=[np.full((1, at), -128, np.int8)], parts=parts)


def test_both_operands_from_the_model():
    a, b = centred("a", np.uint8, (2, 4, 600), 7), centred("b", np.int8, (2, 600, 5), -3)
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (2, 4, 600), np.uint8), rng.integers(-128, 128, (2, 600, 5), np.int8)]
    check(ops.matmul(a[1], b[1]), a[0], b[0], arrays=arrays, parts=2)


@pytest.mark.parametrize("channels, groups, parts", [(8, 1, 1), (8, 8, 1), (200, 1, 2), (8, 2, 1), (400, 2, 0)])
def test_convolutions(channels, groups, parts):
    """A grouped convolution is not taken in parts."""
    x, a = centred("x", np.uint8, (1, channels, 6, symbol("w")), 130)
    rng = np.random.default_rng(1)
    w = rng.choice([-128, 127], (8, channels // groups, 3, 3)).astype(np.int32)
    y = ops.conv_general(a, make_constant(w), strides=(1, 1), padding=((1, 1), (1, 1)), rhs_dilation=(1, 1), groups=groups)
    check(y, x, arrays=[rng.choice([0, 255], (1, channels, 6, 5)).astype(np.uint8)], parts=parts)


def test_other_integers_stay():
    x = make_input("x", np.dtype(np.int32), (2, 3))
    graph = Graph("g", (x,), (ops.matmul(x, make_constant(np.ones((3, 2), np.int32))),), output_names=("y",))
    assert rewrite(graph, NARROW) is graph or products(rewrite(graph, NARROW))[0].output.dtype == np.int32

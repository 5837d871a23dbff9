"""Scales folded into weights, canonical products, siblings."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import symbol
from dlcompile.operators import evaluate
from dlcompile.transforms import decompose, merge_siblings, rewrite
from dlcompile.transforms.algebra import ALGEBRA, ROUNDING
from dlcompile.transforms.fold import folding
from dlcompile.transforms.matmul import MATMUL
from dlcompile.transforms.movement import MOVEMENT
from dlcompile.transforms.operands import OPERANDS
from dlcompile.transforms.scales import GATES, SCALES
from tests.transforms.helpers import assert_same, count, graph_of, operators, variable, weights
from tests.transforms.test_movement import convolution

FOLD = folding()

SIMPLE = (FOLD, ALGEBRA, OPERANDS, MOVEMENT, ROUNDING)
CLOSE = dict(rtol=1e-4, atol=1e-4)


def dense(x, *shape):
    return ops.dot_general(x, weights(*shape), contracting=((x.rank - 1,), (0,)))


def normalise(y, channels, *, axis=1):
    """Batch normalisation as exporters write it out."""
    shape = tuple(channels if a == axis else 1 for a in range(y.rank))
    mean, variance, scale, shift = (weights(*shape) for _ in range(4))
    return ops.add(ops.mul(ops.div(ops.sub(y, mean), np.sqrt(variance ** 2 + np.float32(1e-3))), scale), shift)


# -- scales -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("batch", [2, symbol("n")])
def test_batch_normalisation_folds_into_the_convolution(groups, batch):
    x = variable("x", (batch, 4, 5, 5))
    y = ops.add(convolution(x, weights(8, 4 // groups, 3, 3), groups=groups, padding=((1, 1), (1, 1))), weights(8, 1, 1))
    graph = graph_of(normalise(y, 8), x)
    after = rewrite(graph, *SIMPLE, SCALES)
    assert operators(after) == ["conv_general", "add"]
    assert_same(graph, after, **CLOSE, n=3)


def test_the_batch_normalization_composite_folds():
    x = variable("x", (2, 4, 5, 5))
    y = convolution(x, weights(8, 4, 3, 3))
    y = ops.batch_normalization(y, *(np.abs(weights(8)) for _ in range(4)), epsilon=1e-3)
    graph = graph_of(y, x)
    after = rewrite(decompose(graph), *SIMPLE, SCALES)
    assert operators(after) == ["conv_general", "add"]
    assert_same(graph, after, **CLOSE)


def test_transposed_and_dense_products_take_scales_too():
    x, v = variable("x", (1, 4, 5, 5)), variable("v", (3, 6))
    y = normalise(convolution(x, weights(8, 4, 2, 2), lhs_dilation=(2, 2), padding=((1, 1), (1, 1))), 8)
    z = normalise(ops.add(dense(v, 6, 5), weights(5)), 5)
    graph = graph_of((y, z), x, v)
    after = rewrite(graph, *SIMPLE, SCALES)
    assert count(after) == {"conv_general": 1, "dot_general": 1, "add": 2}
    assert_same(graph, after, **CLOSE)


def gated(x, g, out: int):
    return dense(ops.mul(x, ops.logistic(g)), x.shape[-1], out)


def test_a_gate_goes_to_the_weights_of_a_product():
    x, g = variable("x", (1, 6, 7, 12)), variable("g", (1, 1, 1, 12))
    for y in (gated(x, g, 5), dense(ops.mul(ops.minimum(ops.maximum(g, 0.0), 6.0), x), 12, 5)):
        graph = graph_of(y, x, g)
        after = rewrite(graph, GATES)
        (product,) = (n for n in after.nodes if n.op == "dot_general")
        assert product.inputs[0] is after.inputs[0]
        assert_same(graph, after, **CLOSE)


@pytest.mark.parametrize("name", ["a gate for each sample", "a gate for each pixel", "more weights than pixels", "anything that may be infinite", "what has a bound on one side",
                                  "features that something else reads", "a number of pixels that only a run knows"])
def test_a_gate_that_stays(name):
    batch, pixels, n = (2, 1, 1) if name == "a gate for each sample" else (1, 1, 7) if name == "a gate for each pixel" else (1, 1, 1), 42, 5
    x, g = variable("x", (batch[0], 6, 7, 12)), variable("g", (*batch, 12))
    if name == "more weights than pixels":
        n = pixels
    if name == "a number of pixels that only a run knows":
        x = variable("x", (1, symbol("h"), 7, 12))
    y = (dense(ops.mul(x, g), 12, n),) if name == "anything that may be infinite" else (gated(x, g, n),)
    if name == "what has a bound on one side":
        y = (dense(ops.mul(x, ops.maximum(g, 0.0)), 12, n),)
    if name == "features that something else reads":
        scaled = ops.mul(x, ops.logistic(g))
        y = (dense(scaled, 12, n), ops.exp(scaled))
    graph = graph_of(y, x, g)
    assert rewrite(graph, GATES) is graph


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_scale_before_a_convolution(groups):
    x = variable("x", (1, 4, 5, 5))
    y = convolution(ops.mul(x, weights(4, 1, 1)), weights(8, 4 // groups, 3, 3), groups=groups, padding=((1, 1), (0, 2)))
    graph = graph_of(y, x)
    after = rewrite(graph, *SIMPLE, SCALES)
    assert operators(after) == ["conv_general"]
    assert_same(graph, after, **CLOSE)


@pytest.mark.parametrize("padding, expected", [(0, ["conv_general", "add"]), (1, ["add", "conv_general"])])
def test_shift_before_a_convolution_only_without_padding(padding, expected):
    x = variable("x", (1, 4, 5, 5))
    y = convolution(ops.add(x, weights(4, 1, 1)), weights(8, 2, 3, 3), groups=2, padding=((padding, padding),) * 2)
    graph = graph_of(y, x)
    after = rewrite(graph, *SIMPLE, SCALES)
    assert operators(after) == expected
    assert_same(graph, after, **CLOSE)


def test_a_result_that_others_read_keeps_its_weights():
    x = variable("x", (1, 4, 5, 5))
    y = convolution(x, weights(8, 4, 3, 3))
    graph = graph_of((ops.mul(y, weights(8, 1, 1)), ops.exp(y)), x)
    assert count(rewrite(graph, *SIMPLE, SCALES)) == {"conv_general": 1, "mul": 1, "exp": 1}


def test_a_scale_along_another_axis_stays():
    x = variable("x", (1, 4, 5, 5))
    graph = graph_of(ops.mul(convolution(x, weights(8, 4, 3, 3)), weights(3)), x)
    assert operators(rewrite(graph, *SIMPLE, SCALES)) == ["conv_general", "mul"]


def test_weights_never_become_infinite():
    x = variable("x", (1, 4))
    graph = graph_of(ops.mul(ops.mul(dense(x, 4, 3), np.float32(3e38)), np.array([3e38, 1, 1], np.float32)), x)
    after = rewrite(graph, *SIMPLE, SCALES)
    assert all(np.isfinite(t.value).all() for t in after.constants)


# -- products ---------------------------------------------------------------------------------------------------------------
def product_cases():
    b, s = symbol("b"), symbol("s")

    def transposed_constant(x):
        return ops.dot_general(x, weights(5, 6), contracting=((2,), (1,)))

    def transposed_operand(x):
        return ops.dot_general(x, ops.transpose(ops.exp(x), (0, 2, 1)), contracting=((2,), (1,)), batch=((0,), (0,)))

    def broadcast_weights(x):
        w = ops.broadcast_to(weights(6, 5), (x.shape[0], 6, 5))
        return ops.dot_general(x, w, contracting=((2,), (1,)), batch=((0,), (0,)))

    def reshaped_around(x):
        y = ops.add(dense(ops.reshape(x, (x.shape[0] * x.shape[1], 6)), 6, 5), weights(5))
        return ops.reshape(y, (x.shape[0], x.shape[1], 5))

    for shape in ((2, 4, 6), (b, s, 6)):
        yield shape, transposed_constant, ["dot_general"]
        yield shape, transposed_operand, ["exp", "dot_general"]
        yield shape, broadcast_weights, ["dot_general"]
        yield shape, reshaped_around, ["dot_general", "add"]


@pytest.mark.parametrize("shape, expression, expected", list(product_cases()))
def test_canonical_product(shape, expression, expected):
    x = variable("x", shape)
    graph = graph_of(expression(x), x)
    after = rewrite(graph, ALGEBRA, OPERANDS, MOVEMENT, MATMUL)
    assert operators(after) == expected
    for node in after.nodes:
        if node.op == "dot_general" and node.inputs[1].is_constant:
            assert node.attributes["contracting"][1] == (0,) and node.attributes["batch"] == ((), ())
    assert_same(graph, after, **CLOSE, b=2, s=3)


def test_a_batch_of_one_is_no_batch():
    x, y = variable("x", (1, 3, 4, 5)), variable("y", (1, 3, 5, 6))
    graph = graph_of(ops.dot_general(x, y, contracting=((3,), (2,)), batch=((0, 1), (0, 1))), x, y)
    after = rewrite(graph, *SIMPLE, MATMUL)
    assert [n.attributes["batch"] for n in after.nodes if n.op == "dot_general"] == [((1,), (0,))]
    assert_same(graph, after, **CLOSE)


def test_flattened_channels_last_reorders_the_weights():
    x = variable("x", (2, 3, 4, 5))
    y = dense(ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (2, 60)), 60, 7)
    graph = graph_of(y, x)
    after = rewrite(graph, *SIMPLE, MATMUL)
    assert operators(after) == ["reshape", "dot_general"]
    assert_same(graph, after, **CLOSE)


# -- one-hot rows -----------------------------------------------------------------------------------------------------------
def one_hot(i, n):
    return ops.cast(ops.eq(ops.reshape(i, (*i.shape, 1)), np.arange(n, dtype=i.dtype)), np.float32)


@pytest.mark.parametrize("batch", [2, symbol("b")])
def test_a_product_with_one_hot_rows_is_a_gather(batch):
    i = variable("i", (batch, 8), np.int32)
    graph = graph_of(dense(one_hot(i, 5), 5, 3), i)
    after = rewrite(graph, *SIMPLE, MATMUL)
    assert operators(after) == ["lt", "select", "gather"]
    values = {"i": np.array([[0, 4, 5, -1, 2, 100, -100, 1], [1, 1, 2, 3, 4, 0, 7, -7]], np.int32)}
    (expected,), (actual,) = evaluate(graph, values), evaluate(after, values)
    np.testing.assert_array_equal(actual, expected)


def test_a_product_with_one_hot_rows_and_infinite_weights_stays():
    i = variable("i", (4,), np.int32)
    graph = graph_of(ops.matmul(one_hot(i, 2), np.array([[1, np.inf], [2, 3]], np.float32)), i)
    assert count(rewrite(graph, *SIMPLE, MATMUL))["dot_general"] == 1


# -- siblings ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bias", [(True, True, True), (True, False, True), (False, False, False)])
@pytest.mark.parametrize("batch", [2, symbol("b")])
def test_projections_of_one_tensor_become_one_product(bias, batch):
    x = variable("x", (batch, 4, 6))
    parts = [dense(x, 6, n) for n in (3, 5, 3)]
    parts = [ops.add(p, weights(p.shape[-1])) if has else p for p, has in zip(parts, bias)]
    graph = graph_of(tuple(ops.transpose(p, (0, 2, 1)) for p in parts), x)
    after = merge_siblings(graph)
    assert count(after) == {"dot_general": 1, "slice": 3, "transpose": 3, **({"add": 1} if any(bias) else {})}
    assert_same(graph, after, **CLOSE, b=3)
    assert merge_siblings(after) is after


def test_products_with_work_of_their_own_stay_apart():
    x = variable("x", (2, 4, 6))
    graph = graph_of(ops.mul(ops.exp(dense(x, 6, 5)), dense(x, 6, 5)), x)
    assert merge_siblings(graph) is graph

"""The products of models in the QDQ form as sums of integers: what the operator form, QLinearConv and its like, gives bit by bit."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import Graph, make_constant, make_input
from dlcompile.operators import evaluate
from dlcompile.transforms import optimize, rewrite
from dlcompile.transforms.quantized import QUANTIZED

F = np.float32


def codes(dtype, *shape, seed=0):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, endpoint=True).astype(dtype)


def graph_of(kind, *, bias="exact", relu=False, per_channel=True, x_zero=130):
    """(the graph, what it should give for x) of one quantised product."""
    x = make_input("x", np.dtype(np.uint8), (2, 6) if kind == "dense" else (2, 6, 5, 5))
    w = codes(np.int8, *((6, 4) if kind == "dense" else (4, 6, 3, 3)), seed=1)
    channel = 1 if kind == "dense" else 0
    w_scale = np.linspace(0.01, 0.03, 4).astype(F) if per_channel else F(0.02)
    wide = ops.dequantize_linear(make_constant(w), w_scale, np.zeros(w_scale.shape, np.int8), axis=channel)
    real = ops.dequantize_linear(x, F(0.05), np.uint8(x_zero), axis=0)
    y = ops.matmul(real, wide) if kind == "dense" else ops.conv_general(real, wide, strides=(1, 1), padding=((1, 1), (1, 1)), rhs_dilation=(1, 1))
    unit = F(0.05) * w_scale
    counts = np.array([5000, -700, 33, -1], np.int32)
    outwards = (4,) if kind == "dense" else (4, 1, 1)
    if bias:
        values = counts.astype(F) * unit + (unit * F(0.4) if bias == "between" else F(0))
        y = ops.add(y, make_constant(values.astype(F).reshape(outwards)))
    y = ops.quantize_linear(ops.relu(y) if relu else y, F(0.3), np.uint8(100), axis=1)

    def expected(given):
        centred = given.astype(np.int64) - x_zero
        if kind == "dense":
            sums = centred @ w.astype(np.int64)
        else:
            padded = np.pad(centred, ((0, 0), (0, 0), (1, 1), (1, 1)))
            sums = np.einsum("nchwij,ocij->nohw", np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3)), w.astype(np.int64))
        sums = sums + (counts.reshape(outwards) if bias else 0)
        factor = (unit / F(0.3)).reshape(outwards) if per_channel else unit / F(0.3)
        real = sums.astype(F) * factor
        return np.clip(np.rint(np.maximum(real, F(0)) if relu else real) + 100, 0, 255).astype(np.uint8)

    return Graph("g", (x,), (y,), output_names=("y",)), expected


def products(graph):
    return [n for n in graph.nodes if n.op in ("dot_general", "conv_general")]


def is_exact(graph):
    """Whether every product is one of numbers that are integers."""
    return all(n.inputs[1].is_constant and np.array_equal(n.inputs[1].value, np.rint(n.inputs[1].value)) for n in products(graph))


@pytest.mark.parametrize("kind", ["dense", "convolution"])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [None, "exact"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_sums_are_exact(kind, relu, bias, per_channel):
    graph, expected = graph_of(kind, bias=bias, relu=relu, per_channel=per_channel)
    given = codes(np.uint8, *graph.inputs[0].shape, seed=2)
    after = rewrite(graph, QUANTIZED)
    assert products(after) and is_exact(after)
    for result in (evaluate(after, [given]), evaluate(optimize(graph), [given])):
        np.testing.assert_array_equal(result[0], expected(given))
    far = np.abs(evaluate(graph, [given])[0].astype(int) - expected(given))
    assert far.max() <= 1 and np.mean(far > 0) < 0.02


def test_a_bias_between_two_integers_stays_real():
    graph, _ = graph_of("dense", bias="between")
    assert not any(n.inputs[1].is_constant for n in products(rewrite(graph, QUANTIZED)))


def test_strict_moves_no_rounding():
    """Every value is rounded where the model rounds it."""
    graph, _ = graph_of("convolution")
    given = codes(np.uint8, 2, 6, 5, 5, seed=3)
    np.testing.assert_array_equal(evaluate(optimize(graph, precision="strict"), [given])[0], evaluate(graph, [given])[0])


def test_what_else_reads_the_product_keeps_it():
    graph, _ = graph_of("dense", bias=None)
    product = products(graph)[0].output
    both = Graph("g", graph.inputs, (*graph.outputs, product), output_names=("y", "product"))
    assert rewrite(both, QUANTIZED) is both

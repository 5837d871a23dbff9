"""Composites that are trained, against differences; and their corners, against what the derivative is known to be."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.frontends.onnx import import_onnx
from dlcompile.graph import symbol
from dlcompile.operators import evaluate
from tests.autodiff.helpers import RNG, check, derivative, graph_of, normal, run
from tests.operators.helpers import onnx_model


def positive(*shape):
    return np.abs(normal(*shape)) + 0.5


CASES = {
    "leaky_relu": (lambda x: ops.leaky_relu(x, alpha=0.1), (3, 4)),
    "prelu": (ops.prelu, (3, 4), (4,)),
    "elu": (lambda x: ops.elu(x, alpha=1.3), (3, 4)),
    "celu": (lambda x: ops.celu(x, alpha=1.3), (3, 4)),
    "selu": (ops.selu, (3, 4)),
    "gelu": (ops.gelu, (3, 4)),
    "gelu by tanh": (lambda x: ops.gelu(x, approximate="tanh"), (3, 4)),
    "silu": (lambda x: ops.silu(x, alpha=1.5), (3, 4)),
    "softplus": (ops.softplus, (3, 4)),
    "mish": (ops.mish, (3, 4)),
    "softsign": (ops.softsign, (3, 4)),
    "hard_sigmoid": (ops.hard_sigmoid, (3, 4)),
    "hard_swish": (ops.hard_swish, (3, 4)),
    "thresholded_relu": (lambda x: ops.thresholded_relu(x, alpha=0.3), (3, 4)),
    "shrink": (lambda x: ops.shrink(x, bias=0.2, lambd=0.3), (3, 4)),
    "relu": (ops.relu, (3, 4)),
    "hardmax": (lambda x: ops.hardmax(x) * x, (3, 4)),
    "softmax": (lambda x: ops.softmax(x, 0), (3, 4)),
    "log_softmax": (lambda x: ops.log_softmax(x, 0), (3, 4)),
    "logsumexp": (lambda x: ops.logsumexp(x, (0, 2), True), (3, 4, 2)),
    "logsumexp of all": (ops.logsumexp, (3, 4)),
    "attention": (lambda q, k, v, m: ops.attention(q, k, v, m, causal=True), (2, 3, 4), (2, 3, 4), (2, 3, 5), (3, 3)),
    "layer_normalization": (lambda x, s, b: ops.layer_normalization(x, s, b, axis=1), (3, 4, 2), (4, 2), (4, 2)),
    "rms_normalization": (ops.rms_normalization, (3, 4), (4,)),
    "batch_normalization": (lambda x, s, b, m, v: ops.batch_normalization(x, s, b, m, v * v), (3, 4, 2), (4,), (4,), (4,), (4,)),
    "instance_normalization": (ops.instance_normalization, (3, 4, 5), (4,), (4,)),
    "group_normalization": (lambda x, s, b: ops.group_normalization(x, s, b, num_groups=2), (3, 4, 5), (4,), (4,)),
    "lrn": (lambda x: ops.lrn(x, size=3, alpha=0.5), (2, 5, 3)),
    "lp_normalization 1": (lambda x: ops.lp_normalization(x, p=1), (3, 4)),
    "lp_normalization 2": (lambda x: ops.lp_normalization(x, p=2), (3, 4)),
    "mean_variance_normalization": (lambda x: ops.mean_variance_normalization(x, (0, 2)), (3, 4, 2)),
    "trilu": (lambda x: ops.trilu(x, 1) * x, (4, 4)),
    "depth_to_space": (lambda x: ops.depth_to_space(x, blocksize=2, mode="CRD"), (1, 8, 2, 3)),
    "space_to_depth": (lambda x: ops.space_to_depth(x, blocksize=2), (1, 2, 4, 6)),
    "resize nearest": (lambda x: ops.resize(x, (1, 2, 6, 5)), (1, 2, 4, 3)),
    "resize linear": (lambda x: ops.resize(x, (1, 2, 6, 5), mode="linear"), (1, 2, 4, 3)),
    "resize cubic": (lambda x: ops.resize(x, (1, 2, 6, 5), mode="cubic"), (1, 2, 4, 3)),
    "resize antialiased": (lambda x: ops.resize(x, (1, 2, 3, 2), mode="linear", antialias=True), (1, 2, 6, 4)),
    "grid_sample": (lambda x, g: ops.grid_sample(x, ops.tanh(g)), (1, 2, 4, 5), (1, 3, 3, 2)),
    "grid_sample cubic": (lambda x, g: ops.grid_sample(x, ops.tanh(g) * 1.3, mode="cubic", padding_mode="reflection"), (1, 2, 4, 5), (1, 3, 3, 2)),
    "roi_align": (lambda x: ops.roi_align(x, np.array([[0.3, 0.7, 4.1, 4.9]]), np.array([0]), mode="avg", output_height=2, output_width=2, sampling_ratio=2,
                                          spatial_scale=1.0, coordinate_transformation_mode="half_pixel"), (1, 2, 6, 6)),
    "max_roi_pool": (lambda x: ops.max_roi_pool(x, np.array([[0, 0, 0, 4, 4.0]]), pooled_shape=(2, 2)), (1, 2, 6, 6)),
    "deform_conv": (lambda x, w, o, b, m: ops.deform_conv(x, w, o * 0.3, b, m, group=1, offset_group=1, strides=(1, 1), dilations=(1, 1),
                                                          pads=(0, 0, 0, 0)), (1, 2, 4, 4), (3, 2, 2, 2), (1, 8, 3, 3), (3,), (1, 4, 3, 3)),
    "col2im": (lambda x: ops.col2im(x, image_shape=(4, 4), block_shape=(2, 2), strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0)), (1, 8, 9)),
    "max_unpool": (lambda x: ops.max_unpool(x, np.array([[[[0, 3], [9, 12]]]]), (1, 1, 4, 4)), (1, 1, 2, 2)),
    "dft": (lambda x: ops.dft(x, 0), (6, 2)),
    "det": (ops.det, (2, 3, 3)),
    "dequantize_linear": (lambda s: ops.dequantize_linear(np.arange(6, dtype=np.int8).reshape(2, 3), s, np.zeros(3, np.int8)), (3,)),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_composites(name, order):
    function, *shapes = CASES[name]
    check(function, *(normal(*shape) for shape in shapes), order=order)


@pytest.mark.parametrize("limits", [(-0.4, 0.5), (0.5, -0.4)])
def test_clip(limits):
    check(ops.clip, normal(3, 4), *map(np.float64, limits))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind, gates", [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_recurrent(kind, gates, direction):
    """All results, by inputs, weights, biases and initial states; sequences of different lengths."""
    d, steps, batch, size, hidden = 2 if direction == "bidirectional" else 1, 4, 3, 3, 2
    states = ("initial_h", "initial_c") if kind == "lstm" else ("initial_h",)
    arrays = [normal(steps, batch, size), normal(d, gates * hidden, size), normal(d, gates * hidden, hidden), normal(d, 2 * gates * hidden),
              *(normal(d, batch, hidden) for _ in states)]

    def function(x, w, r, b, *initial):
        made = getattr(ops, kind)(x, w, r, b, np.array([4, 2, 1], np.int32), *initial, present=("b", "sequence_lens", *states), direction=direction)
        return ops.concatenate([ops.reshape(t, (-1,)) for t in made])

    check(function, *arrays)


def test_recurrent_over_any_time():
    t, n = symbol("t"), symbol("n")
    check(lambda x, w, r: ops.lstm(x, w, r)[0], normal(3, 2, 3), normal(1, 8, 3), normal(1, 8, 2), dims={0: (t, n, 3)})
    check(lambda x, w, r: ops.gru(x, w, r, linear_before_reset=True)[1], normal(3, 2, 3), normal(1, 6, 3), normal(1, 6, 2), order=2)


# -- corners --------------------------------------------------------------------------------------------------------------------
INF = np.inf
KNOWN = {
    "relu at 0": (ops.relu, [0.0, 1, -1], [0, 1, 0]),
    "softplus": (ops.softplus, [0.0, 1000, -1000, 800], [0.5, 1, 0, 1]),
    "mish": (ops.mish, [0.0, 1000, -1000], [0.6, 1, 0]),
    "celu": (lambda x: ops.celu(x, alpha=0.5), [0.0, 1000, -1000], [1, 1, 0]),
    "elu": (lambda x: ops.elu(x, alpha=1.0), [1000.0, -1000], [1, 0]),
    "selu": (ops.selu, [1000.0, -1000], [1.05070102214813232421875, 0]),
    "silu": (ops.silu, [0.0, 1000, -1000], [0.5, 1, 0]),
    "gelu": (ops.gelu, [0.0, 1000, -1000], [0.5, 1, 0]),
    "gelu by tanh": (lambda x: ops.gelu(x, approximate="tanh"), [0.0, 1e6, -1e6], [0.5, 1, 0]),
    "clip at its limits": (lambda x: ops.clip(x, -1.0, 1.0), [-1.0, 0, 1, 2], [1, 1, 1, 0]),
    "logsumexp": (ops.logsumexp, [1000.0, 1000, -1000], [0.5, 0.5, 0]),
    "logsumexp with -inf": (ops.logsumexp, [-INF, 0, 0], [0, 0.5, 0.5]),
    "logsumexp of -inf": (ops.logsumexp, [-INF, -INF], [0, 0]),
    "log_softmax": (lambda x: ops.log_softmax(x)[0], [0.0, 1000, -1000], [1, -1, 0]),
    "log_softmax with -inf": (lambda x: ops.log_softmax(x)[0], [0.0, -INF], [0, 0]),
    "softmax": (lambda x: ops.softmax(x)[0], [0.0, 0, -INF], [0.25, -0.25, 0]),
    "norm of nothing, 1": (lambda x: ops.lp_normalization(x, p=1), [0.0, 0], [0, 0]),
    "norm of nothing, 2": (lambda x: ops.lp_normalization(x, p=2), [0.0, 0], [0, 0]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KNOWN)
def test_known_values(name, dtype):
    function, at, expected = KNOWN[name]
    (got,) = derivative(function, np.array(at, dtype))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name, expected", [("softplus", 0.25), ("mish", 0.64)])
def test_second_derivatives_where_a_part_has_a_kink(name, expected):
    """|x| is in what they are made of. softplus'' = σ(1 - σ); mish''(0) = 2 (1 - 0.6²) / 2."""
    (got,) = run(lambda x: gradients(gradients(getattr(ops, name)(x), [x])[0], [x]), np.float64(0))
    np.testing.assert_allclose(got, expected)


def test_a_mask_of_infinities():
    """A masked key gets nothing, and no NaN."""
    q, k, v = normal(3, 4), normal(5, 4), normal(5, 2)
    mask = np.where(np.arange(5) < 3, 0.0, -INF)
    slopes = derivative(lambda q, k, v: ops.attention(q, k, v, mask), q, k, v)
    assert all(np.isfinite(s).all() for s in slopes) and not slopes[1][3:].any() and not slopes[2][3:].any()
    for slope, expected in zip(slopes, derivative(ops.attention, q, k[:3], v[:3])):
        np.testing.assert_allclose(slope[:len(expected)], expected, atol=1e-14)


def test_quantized_values_are_steps():
    (slope,) = derivative(lambda x: ops.dequantize_linear(ops.quantize_linear(x, 0.1, np.uint8(7)), 0.1, np.uint8(7)), normal(5))
    np.testing.assert_array_equal(slope, np.zeros(5))


# -- operators of ONNX that are kept whole ----------------------------------------------------------------------------------------
WHOLE = {
    "ReduceMean": (dict(keepdims=0), (3, 4)),
    "ReduceL1": (dict(keepdims=0), (3, 4)),
    "ReduceL2": (dict(keepdims=1), (3, 4)),
    "ReduceSumSquare": (dict(), (3, 4)),
    "Gemm": (dict(alpha=0.5, beta=2.0, transB=1), (3, 4), (5, 4), (5,)),
    "GlobalAveragePool": (dict(), (2, 3, 4, 5)),
    "GlobalMaxPool": (dict(), (2, 3, 4, 5)),
    "LpPool": (dict(kernel_shape=[2, 2], p=2), (1, 2, 4, 4)),
    "MaxPool": (dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), (1, 2, 7, 6)),
    "AveragePool": (dict(kernel_shape=[2, 2], strides=[2, 2]), (1, 2, 4, 4)),
    "Conv": (dict(strides=[2, 1], pads=[1, 0, 1, 1]), (2, 3, 5, 6), (4, 3, 3, 2), (4,)),
    "ConvTranspose": (dict(strides=[2, 2]), (2, 3, 4, 4), (3, 2, 3, 3)),
    "BatchNormalization": (dict(), (3, 4, 2), (4,), (4,), (4,), (4,)),
    "Reciprocal": (dict(), (3, 4)),
    "Mean": (dict(), (3, 4), (4,)),
    "Einsum": (dict(equation="ij,kj->ik"), (3, 4), (2, 4)),
    "MatMul": (dict(), (2, 3, 4), (4, 5)),
    "LayerNormalization": (dict(axis=-1), (3, 4), (4,), (4,)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_operators_of_onnx(name):
    attributes, *shapes = WHOLE[name]
    arrays = [positive(*shape) for shape in shapes]
    graph = import_onnx(onnx_model(name, arrays, **attributes))
    loss = ops.reduce_sum(ops.mul(graph.outputs[0], RNG.normal(size=graph.outputs[0].shape)))
    total, slopes = graph_of("total", graph.inputs, loss), graph_of("slopes", graph.inputs, *gradients(loss, graph.inputs))
    for i, slope in enumerate(evaluate(slopes, arrays)):
        direction = normal(*slope.shape)
        ahead, behind = (evaluate(total, [a + s * direction if j == i else a for j, a in enumerate(arrays)])[0] for s in (1e-6, -1e-6))
        np.testing.assert_allclose(np.sum(slope * direction), (ahead - behind) / 2e-6, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_losses(reduction):
    """softmax - one-hot, for the classes that are not to be ignored."""
    scores, labels = normal(4, 5), np.array([1, 0, 3, 2])
    graph = import_onnx(onnx_model("SoftmaxCrossEntropyLoss", [scores, labels], reduction=reduction, ignore_index=3))
    (slope,) = evaluate(graph_of("slopes", graph.inputs, *gradients(graph.outputs[0], [graph.inputs[0]])), [scores, labels])
    e = np.exp(scores - scores.max(1, keepdims=True))
    expected = (e / e.sum(1, keepdims=True) - np.eye(5)[labels]) * (labels != 3)[:, None]
    np.testing.assert_allclose(slope, expected / (3 if reduction == "mean" else 1), atol=1e-12)


def test_the_norm_of_nothing():
    graph = import_onnx(onnx_model("ReduceL2", [np.zeros((2, 3))]))
    (slope,) = evaluate(graph_of("slopes", graph.inputs, *gradients(graph.outputs[0], graph.inputs)), [np.zeros((2, 3))])
    np.testing.assert_array_equal(slope, np.zeros((2, 3)))

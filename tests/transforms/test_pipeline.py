"""The whole pipeline on small networks of each kind: same answers, the promised form, nothing left to do twice."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import OPERATORS, apply, make_constant, provenance, symbol
from dlcompile.transforms import KEPT, optimize
from tests.transforms.helpers import assert_same, count, graph_of, variable, weights
from tests.transforms.test_movement import convolution
from tests.transforms.test_products import dense, normalise

CLOSE = dict(rtol=2e-3, atol=2e-4)


def relu(x):
    return ops.maximum(x, np.float32(0))


def convolution_network(batch, size):
    """Convolution with batch normalisation, a depthwise one, a squeeze-and-excitation gate, pooling, upsampling, a
    skip, a dense head."""
    x = variable("x", (batch, 3, *size))
    y = relu(normalise(convolution(x, weights(8, 3, 3, 3), padding=((1, 1), (1, 1))), 8))
    z = relu(normalise(convolution(y, weights(8, 1, 3, 3), padding=((1, 1), (1, 1)), groups=8), 8))
    z = normalise(convolution(z, weights(8, 8, 1, 1)), 8)
    y = ops.add(y, z)
    gate = ops.logistic(convolution(ops.reduce_max(y, (2, 3), keepdims=True), weights(8, 8, 1, 1)))
    y = ops.mul(y, gate)
    pooled = ops.reduce_window(y, kind="max", window=(1, 1, 2, 2), strides=(1, 1, 2, 2), padding=((0, 0),) * 4, dilation=(1, 1, 1, 1))
    up = convolution(pooled, weights(4, 8, 2, 2), lhs_dilation=(2, 2), padding=((1, 1), (1, 1)))
    skip = ops.concatenate([up, y], 1)
    head = ops.reduce_sum(convolution(skip, weights(5, 12, 3, 3), strides=(2, 2)), (2, 3))
    return graph_of((dense(head, 5, 7), ops.logistic(convolution(skip, weights(1, 12, 1, 1)))), x)


def layer_norm(x):
    count = np.float32(1 / x.shape[-1])
    centred = ops.sub(x, ops.mul(ops.reduce_sum(x, (2,), keepdims=True), count))
    variance = ops.mul(ops.reduce_sum(ops.pow(centred, np.float32(2)), (2,), keepdims=True), count)
    y = ops.div(centred, ops.sqrt(ops.add(variance, np.float32(1e-5))))
    return ops.add(ops.mul(y, weights(x.shape[-1])), weights(x.shape[-1]))


def transformer(batch, size):
    """Two post-norm encoder layers over embeddings, with a padding mask."""
    (length,) = size
    ids, keep = variable("ids", (batch, length), np.int64), variable("keep", (batch, length), np.int64)
    x = layer_norm(ops.gather(weights(11, 16), ids, 0))
    mask = ops.select(ops.eq(ops.reshape(keep, (batch, 1, 1, length)), np.int64(0)), np.float32(-3e38), np.float32(0))
    for _ in range(2):
        def split(t):
            return ops.transpose(ops.reshape(t, (batch, length, 4, 4)), (0, 2, 1, 3))

        q, k, v = (split(ops.add(weights(16), dense(x, 16, 16))) for _ in range(3))
        scores = ops.dot_general(q, ops.transpose(k, (0, 1, 3, 2)), contracting=((3,), (2,)), batch=((0, 1), (0, 1)))
        p = ops.softmax(ops.add(ops.div(scores, np.float32(2)), mask), axis=-1)
        y = ops.dot_general(p, v, contracting=((3,), (2,)), batch=((0, 1), (0, 1)))
        y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (batch, length, 16))
        x = layer_norm(ops.add(x, ops.add(dense(y, 16, 16), weights(16))))
        h = ops.add(dense(x, 16, 32), weights(32))
        h = ops.mul(ops.mul(h, ops.add(ops.erf(ops.div(h, np.float32(2 ** 0.5))), np.float32(1))), np.float32(0.5))
        x = layer_norm(ops.add(x, ops.add(dense(h, 32, 16), weights(16))))
    return graph_of(x, ids, keep)


NETWORKS = {
    "convolutions": (convolution_network, (2, (12, 12)), {}),
    "convolutions, any batch and size": (convolution_network, (symbol("n"), (symbol("h"), symbol("w"))), {"n": 2, "h": 8, "w": 10}),
    "transformer": (transformer, (2, (6,)), {}),
    "transformer, batch of one": (transformer, (1, (6,)), {}),
    "transformer, any batch and length": (transformer, (symbol("n"), (symbol("s"),)), {"n": 3, "s": 5}),
}


@pytest.mark.parametrize("precision", ["default", "strict"])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_answers_and_nothing_left_to_do(name, precision):
    build, arguments, dims = NETWORKS[name]
    graph = build(*arguments)
    after = optimize(graph, precision=precision, check=True)
    assert_same(graph, after, **CLOSE, **dims)
    assert not any(OPERATORS[n.op].is_composite and n.op not in KEPT for n in after.nodes)
    again = optimize(after, precision=precision, check=True)
    assert count(again) == count(after) and str(again) == str(after)


def test_convolutions_reach_their_form():
    after = optimize(convolution_network(2, (12, 12)), check=True)
    first, *_, last = (n for n in after.nodes if n.op == "transpose")
    assert first.inputs[0] is after.inputs[0]
    # what is left: the input, and the blocks of the transposed convolution; the one-channel output is a reshape
    assert count(after)["transpose"] == 2 and last.inputs[0].rank == 6
    assert all(n.attributes["layout"] == "channels_last" for n in after.nodes if n.op == "conv_general")
    assert count(after)["div"] == 0 and count(after)["sub"] == 0


def test_transformers_reach_their_form():
    after = optimize(transformer(symbol("n"), (symbol("s"),)), check=True)
    assert count(after)["attention"] == 2
    assert count(after)["dot_general"] == 2 * 4  # one for query, key and value, the output projection, two dense layers
    assert count(after)["div"] == 2 and count(after)["exp"] == 0


def test_strict_keeps_roundings_where_they_are():
    x = variable("x", (1, 3, 5, 5))
    graph = graph_of(normalise(convolution(x, weights(4, 3, 3, 3)), 4), x)
    assert count(optimize(graph, precision="strict"))["mul"] == 1 and count(optimize(graph))["mul"] == 0


@pytest.mark.parametrize("keep", [KEPT, ()])
@pytest.mark.parametrize("length", [5, symbol("t")])
def test_recurrent_networks_whole_and_as_loops(keep, length):
    x, h = variable("x", (length, 2, 3)), variable("h", (2, 2, 4))
    attributes = dict(direction="bidirectional", activations=(), alphas=(), betas=(), clip=0.0, linear_before_reset=1, layout=0)
    y, last = apply("gru", ops.mul(x, np.float32(1)), *(make_constant(weights(2, 12, n)) for n in (3, 4)), make_constant(weights(2, 24)), h,
                    present=("b", "initial_h"), **attributes)
    y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (length, 2, 8))
    graph = graph_of((ops.add(dense(y, 8, 5), weights(5)), last), x, h)
    after = optimize(graph, keep=keep, check=True)
    assert count(after)["gru"] == (1 if keep else 0) and count(after)["scan"] == (0 if keep else 2)
    assert_same(graph, after, **CLOSE, t=4)
    again = optimize(after, keep=keep, check=True)
    assert str(again) == str(after)


def test_float64_has_no_composites():
    """Kernels of whole composites compute in float32."""
    q, k, v = (variable(name, (2, 5, 4), np.float64) for name in "qkv")
    whole = ops.attention(q, k, v)
    scores = ops.dot_general(q, k, contracting=((2,), (2,)), batch=((0,), (0,)))
    spelled = ops.dot_general(ops.softmax(scores, axis=-1), v, contracting=((2,), (1,)), batch=((0,), (0,)))
    w, r = (make_constant(np.ones((1, 4, 4))) for _ in range(2))
    y, _ = apply("rnn", v, w, r, present=(), direction="forward", activations=(), alphas=(), betas=(), clip=0.0, layout=0)
    graph = graph_of((whole, spelled, y), q, k, v)
    after = optimize(graph)
    assert not any(OPERATORS[n.op].is_composite for n in after.nodes)
    assert_same(graph, after, rtol=1e-12, atol=1e-12)


def test_interface_and_provenance():
    x, unused = variable("x", (2, 3)), variable("unused", (4,))
    with provenance("layer"):
        y = ops.add(ops.neg(ops.neg(x)), np.float32(0))
    graph = graph_of((y, ops.exp(y), x), x, unused)
    after = optimize(graph, check=True)
    assert after.input_names == ("x", "unused") and after.outputs[0] is x and after.outputs[2] is x
    assert [n.op for n in after.nodes] == ["exp"]


def test_graphs_with_nothing_in_them():
    x = variable("x", (2, 3))
    assert optimize(graph_of(x, x)).outputs == (x,)


def test_bad_precision():
    x = variable("x", (2,))
    with pytest.raises(ValueError, match="fast"):
        optimize(graph_of(ops.exp(x), x), precision="fast")

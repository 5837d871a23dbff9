"""Attention and dense layers by subscripts, against NumPy."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.graph import verify
from dlcompile.layers import Input, mask_of, set_mask
from tests.layers.helpers import again, check, normal, randomized

Q, V, K = normal(2, 5, 8), normal(2, 6, 7, seed=1), normal(2, 6, 9, seed=2)
VALUE_MASK = np.array([[1, 1, 0, 1, 0, 1], [1, 0, 1, 1, 1, 0]], bool)
QUERY_MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
CAUSAL = np.tril(np.ones((5, 6), bool))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def heads(layer, query, value, key, mask=None):
    """(output, scores [batch, heads, T, S]) of several heads, sample by sample and head by head."""
    weights = {w.path.split("/", 1)[1]: w.numpy() for w in layer.weights}
    outputs, scores = [], []
    for b in range(len(query)):
        total, own = 0.0, []
        for n in range(layer.num_heads):
            q, k, v = (x[b] @ weights[f"{name}/kernel"][:, n] + (weights[f"{name}/bias"][n] if layer.use_bias else 0.0)
                       for name, x in (("query", query), ("key", key), ("value", value)))
            s = q @ k.T / np.sqrt(layer.key_dim)
            s = softmax(s if mask is None else np.where(np.broadcast_to(mask, (len(query), *s.shape))[b], s, -1e9))
            total = total + np.einsum("te,e...->t...", s @ v, weights["attention_output/kernel"][n])
            own.append(s)
        outputs.append(total + (weights["attention_output/bias"] if layer.use_bias else 0.0))
        scores.append(own)
    return np.array(outputs), np.array(scores)


@pytest.mark.parametrize("options", [{}, {"value_dim": 3}, {"use_bias": False}, {"output_shape": 5}, {"output_shape": (3, 2)}], ids=str)
def test_heads(options) -> None:
    layer = randomized(layers.MultiHeadAttention(2, 4, name="heads", **options), (2, 5, 8), (2, 6, 7), (2, 6, 9))
    value_dim = options.get("value_dim", 4)
    out = options.get("output_shape", 8)
    shapes = {"query/kernel": (8, 2, 4), "query/bias": (2, 4), "key/kernel": (9, 2, 4), "key/bias": (2, 4),
              "value/kernel": (7, 2, value_dim), "value/bias": (2, value_dim),
              "attention_output/kernel": (2, value_dim, *np.atleast_1d(out)), "attention_output/bias": tuple(np.atleast_1d(out))}
    assert {w.path: w.shape for w in layer.weights} == {f"heads/{n}": s for n, s in shapes.items() if layer.use_bias or "bias" not in n}
    expected, scores = heads(layer, Q, V, K)
    np.testing.assert_allclose(layer(Q, V, K), expected, rtol=1e-4, atol=1e-4)
    y, found = layer(Q, V, key=K, return_attention_scores=True)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)
    copy = again(layer)
    assert copy(Input((5, 8)), Input((6, 7)), Input((6, 9))).shape == (None, *expected.shape[1:])
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(Q, V, K), layer(Q, V, K))


@pytest.mark.parametrize("arguments, mask", [
    ({"use_causal_mask": True}, CAUSAL), ({"attention_mask": VALUE_MASK[:, None]}, VALUE_MASK[:, None]), ({"value_mask": VALUE_MASK},
                                                                                                          VALUE_MASK[:, None]),
    ({"key_mask": VALUE_MASK, "use_causal_mask": True}, VALUE_MASK[:, None] & CAUSAL), ({"query_mask": QUERY_MASK, "value_mask": VALUE_MASK},
                                                                                       QUERY_MASK[..., None] & VALUE_MASK[:, None])])
def test_masks_of_heads(arguments, mask) -> None:
    layer = randomized(layers.MultiHeadAttention(2, 4), (2, 5, 8), (2, 6, 7))
    expected, scores = heads(layer, Q, V, V, mask)
    counted = np.broadcast_to(mask.any(-1), (2, 5))  # queries with nothing to look at have no meaning
    np.testing.assert_allclose(layer(Q, V, **arguments)[counted], expected[counted], rtol=1e-4, atol=1e-4)
    y, found = layer(Q, V, return_attention_scores=True, **arguments)
    np.testing.assert_allclose(y[counted], expected[counted], rtol=1e-4, atol=1e-4)
    assert (found[~np.broadcast_to(mask if mask.ndim < 3 else mask[:, None], found.shape)] == 0).all()


def test_masks_that_come_with_tensors() -> None:
    layer = layers.MultiHeadAttention(2, 4)
    q, v = Q.copy(), V.copy()
    expected = layer(Q, V, query_mask=QUERY_MASK, value_mask=VALUE_MASK)
    set_mask(q, QUERY_MASK)
    set_mask(v, VALUE_MASK)
    y = layer(q, v)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(mask_of(y), QUERY_MASK)
    ids = np.array([[3, 1, 0, 0, 0], [2, 4, 1, 3, 1]])
    x = Input((None,), dtype="int32")
    e = layers.Embedding(5, 8, mask_zero=True)(x)
    model = models.Model(x, layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 4)(e, e)))
    np.testing.assert_allclose(model(ids)[:1], model(ids[:1, :2]), rtol=1e-4, atol=1e-6)  # what is left out changes nothing


def test_sliding_window_and_gate() -> None:
    layer = randomized(layers.MultiHeadAttention(2, 4, sliding_window=2), (2, 5, 8), (2, 6, 7))
    near = np.abs(np.arange(5)[:, None] - np.arange(6)) < 2
    np.testing.assert_allclose(layer(Q, V), heads(layer, Q, V, V, near)[0], rtol=1e-4, atol=1e-4)
    gated = layers.MultiHeadAttention(2, 4, use_gate=True)
    gated.build((2, 5, 8), (2, 6, 7))
    plain = layers.MultiHeadAttention(2, 4)
    plain.build((2, 5, 8), (2, 6, 7))
    weights = gated.get_weights()
    assert [w.path.split("/")[-2] for w in gated.weights] == ["query", "query", "key", "key", "gate", "gate", "value", "value"] + ["attention_output"] * 2
    weights[4] *= 0
    weights[5] += 100  # a gate that is open
    gated.set_weights(weights)
    plain.set_weights(weights[:4] + weights[6:])
    np.testing.assert_allclose(gated(Q, V), plain(Q, V), rtol=1e-5)


def test_other_axes() -> None:
    x = normal(2, 3, 4, 8)
    rows = layers.MultiHeadAttention(2, 4, attention_axes=2)
    y = rows(x, x)
    for i in range(3):  # each row by itself
        np.testing.assert_allclose(y[:, i], heads(rows, x[:, i], x[:, i], x[:, i])[0], rtol=1e-4, atol=1e-4)
    everything = layers.MultiHeadAttention(2, 4)
    flat = x.reshape(2, 12, 8)
    np.testing.assert_allclose(everything(x, x).reshape(2, 12, 8), heads(everything, flat, flat, flat)[0], rtol=1e-4, atol=1e-4)


def test_dropout_of_scores() -> None:
    layer = again(layers.MultiHeadAttention(2, 4, dropout=0.5, seed=1))
    np.testing.assert_array_equal(layer(Q, V), layer(Q, V, training=False))
    assert not np.array_equal(layer(Q, V, training=True), layer(Q, V, training=True))


def test_penalty_on_projections() -> None:
    layer = again(layers.MultiHeadAttention(2, 4, activity_regularizer="l2"))
    layer(Q, V)
    made = [layer.query_dense(Q), layer.key_dense(V), layer.value_dense(V), layer(Q, V)]
    assert sorted(layer.losses) == pytest.approx(sorted(0.01 * (t**2).sum() / 2 for t in made), rel=1e-4)


def test_heads_are_one_operator() -> None:
    x = Input((5, 8))
    graph = verify(models.Model(x, layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)).graph())
    (node,) = [n for n in graph.nodes if n.op == "attention"]
    assert node.attributes["causal"] is True


def dot_attention(query, value, key, scores, counted=None):
    weights = softmax(scores if counted is None else np.where(np.broadcast_to(counted, scores.shape), scores, -1e9))
    return weights @ value, weights


@pytest.mark.parametrize("use_scale", [False, True])
@pytest.mark.parametrize("mode", ["dot", "concat", "additive"])
def test_attention(mode, use_scale) -> None:
    q, v, k = normal(2, 5, 4), normal(2, 6, 3, seed=1), normal(2, 6, 4, seed=2)
    layer = layers.AdditiveAttention(use_scale) if mode == "additive" else layers.Attention(use_scale, score_mode=mode)
    layer = randomized(layer, [(2, 5, 4), (2, 6, 3), (2, 6, 4)])
    weights = {w.name: w.numpy() for w in layer.weights}
    scale = weights.get("scale", 1.0)
    pairs = q[:, :, None] + k[:, None]
    scores = {"dot": lambda: scale * q @ k.swapaxes(1, 2),
              "concat": lambda: weights["concat_score_weight"] * np.tanh(scale * pairs).sum(-1),
              "additive": lambda: (scale * np.tanh(pairs)).sum(-1)}[mode]()
    expected, wanted = dot_attention(q, v, k, scores)
    check(layer, [q, v, k], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer([q, v, k], return_attention_scores=True)[1], wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer([q, v, k], use_causal_mask=True), dot_attention(q, v, k, scores, CAUSAL)[0], rtol=1e-4, atol=1e-5)
    y = layer([q, v, k], mask=[QUERY_MASK, VALUE_MASK, None])
    np.testing.assert_allclose(y, dot_attention(q, v, k, scores, VALUE_MASK[:, None])[0] * QUERY_MASK[..., None], rtol=1e-4, atol=1e-5)


def test_attention_errors() -> None:
    with pytest.raises(ArgumentError, match=r"takes a list \[query, value\]"):
        layers.Attention()([Q])
    with pytest.raises(ArgumentError, match="score_mode is 'dot' or 'concat'"):
        layers.Attention(score_mode="cosine")
    with pytest.raises(ArgumentError, match="num_heads is a positive integer"):
        layers.MultiHeadAttention(0, 4)
    with pytest.raises(ShapeError, match="differ in more than the last axis"):
        layers.MultiHeadAttention(2, 4)(Q, V, K[:, :5])
    with pytest.raises(ShapeError, match="not between batch and features"):
        layers.MultiHeadAttention(2, 4, attention_axes=2)(Q, V)
    with pytest.raises(ArgumentError, match="missing a required argument: 'value'"):
        layers.MultiHeadAttention(2, 4)(Q)


@pytest.mark.parametrize("equation, output_shape, bias_axes, shape", [("ab,bc->ac", 7, "c", (2, 5)),
                                                                      ("abc,cd->abd", (None, 7), "d", (2, 4, 5)),
                                                                      ("...x,xy->...y", 7, "y", (2, 3, 4, 5)),
                                                                      ("abc,cde->abde", (None, 3, 4), "de", (2, 4, 5)),
                                                                      ("abc,cde->abde", (None, 3, 4), "d", (2, 4, 5)),
                                                                      ("ab...,bc->ac...", 7, "c", (2, 5, 3, 4)),
                                                                      ("abde,dec->abc", (4, 6), None, (2, 4, 3, 5)),
                                                                      ("abc,cd->abd", (4, 6), "bd", (2, 4, 5)),
                                                                      ("abc,bcd->abd", (4, 6), "d", (2, 4, 5))])
def test_einsum_dense(equation, output_shape, bias_axes, shape) -> None:
    layer = randomized(layers.EinsumDense(equation, output_shape, activation="tanh", bias_axes=bias_axes), (None, *shape[1:]))
    x = normal(*shape)
    weights = layer.get_weights()
    plain = np.einsum(equation, x, weights[0])
    if bias_axes:
        output = equation.split("->")[1].replace("...", "")
        trailing = "..." in equation.split(",")[0] and not equation.startswith("...")
        bias = weights[1].reshape([n for n in weights[1].shape if n > 1])
        own = "".join(c for c in output if c in bias_axes)
        extents = dict(zip(own, bias.shape))
        bias = bias.reshape([extents.get(c, 1) for c in output] + [1] * (x.ndim - 2 if trailing else 0))
        plain = plain + bias
    check(layer, x, np.tanh(plain), rtol=1e-4, atol=1e-5)


def test_einsum_dense_begins_as_a_dense_layer_does() -> None:
    layer = layers.EinsumDense("abc,cde->abde", (None, 30, 40), kernel_initializer="glorot_uniform")
    layer.build((None, 4, 50))
    limit = np.sqrt(6 / (50 + 30 * 40))  # by what goes in and what comes out, not by the last two axes
    assert limit * 0.99 < np.abs(layer.get_weights()[0]).max() <= limit


def test_einsum_dense_errors() -> None:
    for equation in ("ab,bc", "ab->ac", "a...b,bc->a...c", "ab,b...->a...", "...ab,bc->ac", "a1,1c->ac"):
        with pytest.raises(ArgumentError, match="an equation is written as"):
            layers.EinsumDense(equation, 3)(normal(2, 5))
    with pytest.raises(ShapeError, match="is for an input of 3 axes, not of 2"):
        layers.EinsumDense("abc,cd->abd", (None, 3))(normal(2, 5))
    with pytest.raises(ArgumentError, match="output_shape of .* has 2 entries, not 1"):
        layers.EinsumDense("abc,cd->abd", 3)(normal(2, 4, 5))
    with pytest.raises(ShapeError, match="'b' of .* is 4 in the input and 3 in output_shape"):
        layers.EinsumDense("abc,cd->abd", (3, 6))(normal(2, 4, 5))
    with pytest.raises(ArgumentError, match="bias_axes 'c' are letters of the output"):
        layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="c")(normal(2, 4, 5))
    with pytest.raises(ArgumentError, match="must be known"):
        layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="bd")(Input((None, 5)))
    with pytest.raises(ArgumentError, match="the extent 'c' of the kernel"):
        layers.EinsumDense("abc,cd->abd", (None, 6))(Input((4, None)))

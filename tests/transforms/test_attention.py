"""Attention is recognised however it is spelled, and only where it is attention."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import symbol
from dlcompile.operators.interpreter import evaluate
from dlcompile.transforms import decompose, rewrite
from dlcompile.transforms.algebra import ALGEBRA, ROUNDING
from dlcompile.transforms.attention import ATTENTION
from dlcompile.transforms.fold import folding
from dlcompile.transforms.movement import MOVEMENT
from dlcompile.transforms.operands import OPERANDS
from tests.transforms.helpers import assert_same, count, graph_of, values_for, variable, weights

FOLD = folding()

TABLES = (FOLD, ALGEBRA, OPERANDS, MOVEMENT, ROUNDING, ATTENTION)
CLOSE = dict(rtol=1e-4, atol=1e-5)
B, S, D = symbol("b"), symbol("s"), symbol("d")
HEADS, DEPTH = 2, 4


def heads(name, length=S):
    """Queries, keys or values as projections give them: [batch, length, heads, depth]."""
    return variable(name, (B, length, HEADS, DEPTH))


def scores(q, k):
    q, k = ops.transpose(q, (0, 2, 1, 3)), ops.transpose(k, (0, 2, 3, 1))
    return ops.dot_general(q, k, contracting=((3,), (2,)), batch=((0, 1), (0, 1)))


def weighted(p, v):
    return ops.dot_general(p, ops.transpose(v, (0, 2, 1, 3)), contracting=((3,), (2,)), batch=((0, 1), (0, 1)))


def softmax_in_primitives(x):
    e = ops.exp(ops.sub(x, ops.reduce_max(x, (3,), keepdims=True)))
    return ops.div(e, ops.reduce_sum(e, (3,), keepdims=True))


MASK = variable("mask", (B, 1, 1, S))
ALLOWED = variable("allowed", (B, 1, S, S), np.bool_)
SPELLINGS = {
    "plain": lambda q, k, v: weighted(ops.softmax(scores(q, k), axis=-1), v),
    "scaled": lambda q, k, v: weighted(ops.softmax(ops.mul(scores(q, k), np.float32(0.3)), axis=-1), v),
    "divided": lambda q, k, v: weighted(ops.softmax(ops.div(scores(q, k), np.float32(3)), axis=3), v),
    "scaled query": lambda q, k, v: weighted(ops.softmax(scores(ops.mul(q, np.float32(0.3)), k), axis=-1), v),
    "both scaled": lambda q, k, v: weighted(ops.softmax(scores(ops.mul(q, np.float32(0.5)), ops.mul(k, np.float32(0.6))), axis=-1), v),
    "masked": lambda q, k, v: weighted(ops.softmax(ops.add(ops.mul(scores(q, k), np.float32(0.3)), MASK), axis=-1), v),
    "mask first": lambda q, k, v: weighted(ops.softmax(ops.add(MASK, scores(q, k)), axis=-1), v),
    "selected": lambda q, k, v: weighted(ops.softmax(ops.select(ALLOWED, scores(q, k), np.float32(-3e38)), axis=-1), v),
    "deselected": lambda q, k, v: weighted(ops.softmax(ops.select(ALLOWED, np.float32(-np.inf), scores(q, k)), axis=-1), v),
    "two masks": lambda q, k, v: weighted(ops.softmax(ops.add(ops.select(ALLOWED, scores(q, k), np.float32(-3e38)), MASK), axis=-1), v),
    "primitives": lambda q, k, v: weighted(softmax_in_primitives(ops.add(scores(q, k), MASK)), v),
    "casts": lambda q, k, v: weighted(ops.cast(ops.softmax(scores(q, k), axis=-1), np.float32), v),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelling(name):
    q, k, v = heads("q"), heads("k"), heads("v")
    graph = graph_of(SPELLINGS[name](q, k, v), q, k, v, MASK, ALLOWED)
    after = rewrite(graph, *TABLES)
    assert count(after)["attention"] == 1 and not count(after)["dot_general"] and not count(after)["softmax"]
    (node,) = (n for n in after.nodes if n.op == "attention")
    assert [t.shape for t in node.inputs[:3]] == [(B, HEADS, S, DEPTH)] * 3
    assert_same(graph, after, **CLOSE, b=2, s=5)
    assert_same(graph, decompose(after), **CLOSE, b=1, s=1)


def guarded(q, k, v):
    p = ops.softmax(ops.select(ALLOWED, scores(q, k), np.float32(-np.inf)), axis=-1)
    return weighted(ops.select(ops.is_nan(p), np.float32(0), p), v)


def test_a_guard_against_rows_that_see_nothing():
    q, k, v = heads("q"), heads("k"), heads("v")
    graph = graph_of(guarded(q, k, v), q, k, v, ALLOWED)
    after = rewrite(graph, *TABLES)
    assert count(after)["attention"] == 1 and not count(after)["is_nan"]
    values = values_for(graph, b=2, s=3)
    values["allowed"][0, 0, 1] = False
    with np.errstate(invalid="ignore"):
        (expected,), (actual,) = evaluate(graph, values), evaluate(after, values)
    assert not expected[0, :, 1].any()
    np.testing.assert_allclose(actual, expected, **CLOSE)


def test_cross_attention_with_keys_of_another_length():
    q, k, v = heads("q"), heads("k", symbol("t")), heads("v", symbol("t"))
    graph = graph_of(SPELLINGS["scaled"](q, k, v), q, k, v)
    after = rewrite(graph, *TABLES)
    assert count(after)["attention"] == 1
    assert_same(graph, after, **CLOSE, b=2, s=3, t=7)


def softmax_over_queries(q, k, v):
    return weighted(ops.softmax(scores(q, k), axis=2), v)


def scores_read_elsewhere(q, k, v):
    p = ops.softmax(scores(q, k), axis=-1)
    return ops.concatenate([weighted(p, v), ops.slice(ops.transpose(p, (0, 1, 2, 3)), (0, 0, 0, 0), (B, HEADS, S, 1))], 3)


def weak_mask(q, k, v):
    return weighted(ops.softmax(ops.select(ALLOWED, scores(q, k), np.float32(-5)), axis=-1), v)


def mask_before_scale(q, k, v):
    return weighted(ops.softmax(ops.mul(ops.add(scores(q, k), MASK), np.float32(0.5)), axis=-1), v)


@pytest.mark.parametrize("build", [softmax_over_queries, scores_read_elsewhere, weak_mask, mask_before_scale])
def test_what_is_not_attention_stays(build):
    q, k, v = heads("q"), heads("k"), heads("v")
    graph = graph_of(build(q, k, v), q, k, v, MASK, ALLOWED)
    after = rewrite(graph, *TABLES)
    assert count(after)["attention"] == 0
    assert_same(graph, after, **CLOSE, b=2, s=3)


def test_constants_as_keys():
    x = variable("x", (3, 4))
    p = ops.softmax(ops.dot_general(x, weights(4, 6), contracting=((1,), (0,))), axis=-1)
    y = ops.dot_general(p, weights(6, 5), contracting=((1,), (0,)))
    graph = graph_of(y, x)
    assert_same(graph, rewrite(graph, *TABLES), **CLOSE)

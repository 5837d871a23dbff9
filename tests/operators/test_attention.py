"""Attention against the formula in float64 and ONNX Runtime's parts."""
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcompile import ops
from dlcompile.graph import OPERATORS, make_input, symbol
from tests.operators.helpers import check, normal, run

FEW = settings(max_examples=25, deadline=None)


def formula(q, k, v, mask=None, scale=None, causal=False):
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = scores + mask
    if causal:
        scores = np.where(np.arange(k.shape[-2]) <= np.arange(q.shape[-2])[:, None], scores, -np.inf)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True) @ v).astype(np.float32)


@FEW
@given(st.data())
def test_formula(data):
    lead = data.draw(st.lists(st.integers(1, 3), max_size=2))
    s, t, d, e = (data.draw(st.integers(1, 6)) for _ in range(4))
    q, k, v = normal(*lead, s, d), normal(*lead, t, d), normal(*lead, t, e)
    causal, scale = data.draw(st.booleans()), data.draw(st.sampled_from([None, 0.3]))
    mask = data.draw(st.sampled_from([None, (s, t), (1, t), (*lead, 1, t), (*lead, s, t)]))
    arrays = [q, k, v] + ([normal(*mask)] if mask else [])
    expected = formula(*arrays, scale=scale, causal=causal)
    check(lambda *ts: ops.attention(*ts, scale=scale if scale else 1 / math.sqrt(d), causal=causal), arrays, expected, rtol=1e-5, atol=1e-5, fixed=None)


def test_symbolic_lengths():
    n, s = symbol("n"), symbol("s")
    q = make_input("q", np.float32, (n, 2, s, 8))
    y = ops.attention(q, q, q)
    assert y.shape == (n, 2, s, 8) and y.producer.attributes["scale"] == 8 ** -0.5 and y.producer.op == "attention"
    x = normal(2, 3, 5, 4)
    check(lambda a, b, c: ops.attention(a, b, c, scale=0.5), [x, x + 1, x - 1], formula(x, x + 1, x - 1, scale=0.5), rtol=1e-5, atol=1e-5)
    check(lambda a, b, c: ops.attention(a, b, c, causal=True), [x, x, x], formula(x, x, x, causal=True), rtol=1e-5, atol=1e-5, fixed=(3,))


def test_masks_of_infinity():
    q, v = normal(2, 3, 4), normal(2, 3, 4)
    mask = np.zeros((3, 3), np.float32)
    mask[:, 2] = -math.inf
    expected = formula(q, q[:, :2], v[:, :2])
    check(ops.attention, [q, q, v, mask], expected, rtol=1e-5, atol=1e-5, fixed=(2,))
    mask[1] = -math.inf
    (y,) = run(ops.attention, q, q, v, mask)
    assert np.isnan(y[:, 1]).all() and not np.isnan(y[:, [0, 2]]).any()


def test_cost():
    n = symbol("n")
    q = make_input("q", np.float32, (n, 5, 8))
    flops = OPERATORS["attention"].flops((q.type,) * 3, (q.type,), {})
    assert flops.evaluate({"n": 1}) >= 2 * 2 * 5 * 5 * 8

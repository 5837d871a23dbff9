"""Loops whose bodies are functions: their graphs are closed, and compute what the loop in Python does."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import Graph, make_input, symbol, verify
from dlcompile.loops import closed, scan
from dlcompile.operators import evaluate
from dlcompile.variables import Variable, tracing

RNG = np.random.default_rng(0)


def run(outputs, inputs, arrays):
    graph = verify(Graph("loop", inputs, outputs, input_names=[f"x{i}" for i in range(len(inputs))],
                         output_names=[f"y{i}" for i in range(len(outputs))]))
    return evaluate(graph, arrays)


@pytest.mark.parametrize("reverse", [False, True])
def test_carry_and_outputs(reverse: bool) -> None:
    x = make_input("x", np.float32, (symbol("t"), symbol("n"), 3))
    carry, ys = scan(lambda c, x: ({"sum": c["sum"] + x, "count": c["count"] + 1}, (x * 2, c["sum"])),
                     {"sum": ops.full((symbol("n"), 3), 0.0, np.float32), "count": np.int64(0)}, x, reverse=reverse)
    array = RNG.normal(size=(4, 2, 3)).astype(np.float32)
    total, count, doubled, before = run([carry["sum"], carry["count"], *ys], [x], [array])
    np.testing.assert_allclose(total, array.sum(0), rtol=1e-5, atol=1e-6)
    assert count == 4
    np.testing.assert_array_equal(doubled, array * 2)
    sums = np.cumsum(array[::-1] if reverse else array, axis=0)
    sums = np.concatenate([np.zeros((1, 2, 3)), sums[:-1]])
    np.testing.assert_allclose(before, sums[::-1] if reverse else sums, rtol=1e-5, atol=1e-6)


def test_what_does_not_change_stays_outside() -> None:
    x, w = make_input("x", np.float32, (5, 3)), make_input("w", np.float32, (3, 3))
    carry, _ = scan(lambda c, x: (ops.tanh(ops.matmul(c, ops.exp(w))) + x, None), ops.full((3,), 0.0, np.float32), x)
    (body,) = [node.attributes["body"] for node in Graph("g", [x, w], [carry]).nodes if node.op == "scan"]
    assert "exp" not in [node.op for node in body.nodes]
    xs, ws = RNG.normal(size=(5, 3)).astype(np.float32), RNG.normal(size=(3, 3)).astype(np.float32)
    expected = np.zeros(3, np.float32)
    for row in xs:
        expected = np.tanh(expected @ np.exp(ws)) + row
    np.testing.assert_allclose(run([carry], [x, w], [xs, ws])[0], expected, rtol=1e-4)


def test_nested_loops_and_length() -> None:
    x = make_input("x", np.float32, (4, 2))
    y = make_input("y", np.float32, (2,))

    def outer(c, row):
        inner, _ = scan(lambda d, _: (d * y + row, None), c, length=3)
        return inner, inner.sum()

    carry, sums = scan(outer, ops.full((2,), 0.0, np.float32), x)
    xs, ys = RNG.normal(size=(4, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32)
    c, expected = np.zeros(2, np.float32), []
    for row in xs:
        for _ in range(3):
            c = c * ys + row
        expected.append(c.sum())
    found = run([carry, sums], [x, y], [xs, ys])
    np.testing.assert_allclose(found[0], c, rtol=1e-4)
    np.testing.assert_allclose(found[1], expected, rtol=1e-4)


def test_variables_that_a_body_assigns_are_carried() -> None:
    counter, weight = Variable(np.int64(0)), Variable(np.float32(2))
    with tracing() as trace:
        def body(c, x):
            counter.assign(counter.value + 1)
            inner, counts = scan(lambda d, _: (counter.assign(counter.value + 10) and d * weight, counter.value), c, length=2)
            return inner + x, counts

        carry, counts = scan(body, np.float32(1), np.arange(3, dtype=np.float32))
    arrays = [variable.numpy() for variable in trace.read]
    found = run([carry, counts, trace.written[counter]], list(trace.read.values()), arrays)
    c, count, expected = 1.0, 0, []
    for x in range(3):
        count += 1
        steps = []
        for _ in range(2):
            count += 10
            c *= 2
            steps.append(count)
        c += x
        expected.append(steps)
    assert found[0] == c and found[2] == count
    np.testing.assert_array_equal(found[1], expected)
    assert weight not in trace.written


def test_sizes_that_data_decide() -> None:
    x = make_input("x", np.float32, (3, 4))
    mask = make_input("mask", np.bool_, (4,))
    kept = ops.compress(mask, x, 1)  # [3, k]

    def body(c, row):
        positive = ops.compress(ops.gt(row, 0), row)  # as many as this row has
        return c + positive.sum() + ops.cast(ops.dim_scalar(kept.shape[1]), np.float32), row

    carry, rows = scan(body, np.float32(0), kept)
    xs, m = RNG.normal(size=(3, 4)).astype(np.float32), np.array([True, False, True, True])
    found = run([carry, rows], [x, mask], [xs, m])
    np.testing.assert_allclose(found[0], np.maximum(xs[:, m], 0).sum() + 9, rtol=1e-5)
    np.testing.assert_array_equal(found[1], xs[:, m])


def test_closed_hands_in_what_is_read() -> None:
    a, b = make_input("a", np.float32, (2,)), make_input("b", np.float32, (2,))
    formal = make_input("formal", np.float32, (2,))
    graph, captured = closed("body", [formal], [formal * ops.exp(a), b])
    assert [t.type for t in captured] == [a.type, b.type] and captured[1] is b and captured[0].op == "exp"
    verify(graph)
    values = [np.array(v, np.float32) for v in ([1, 2], [3, 4], [5, 6])]
    product, other = evaluate(graph, values)
    np.testing.assert_array_equal(product, [3, 8])
    np.testing.assert_array_equal(other, [5, 6])


def test_errors() -> None:
    x = make_input("x", np.float32, (4, 2))
    with pytest.raises(ShapeError, match="length"):
        scan(lambda c, _: (c, None), np.float32(0))
    with pytest.raises(ShapeError, match="steps 4 and 3 differ"):
        scan(lambda c, _: (c, None), np.float32(0), (x, np.zeros(3)))
    with pytest.raises(ShapeError, match="no steps"):
        scan(lambda c, _: (c, None), np.float32(0), np.float32(1))
    with pytest.raises(DTypeError, match="carry 0"):
        scan(lambda c, row: (ops.cast(c, np.int32), None), np.float32(0), x)
    with pytest.raises(ShapeError, match="carry 0"):
        scan(lambda c, row: (row, None), np.zeros(3, np.float32), x)

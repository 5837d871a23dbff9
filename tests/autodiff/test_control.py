"""Branches and loops, in one another, and what takes no part in their derivatives."""
from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import Graph, make_input, symbol, unknown_names, verify
from dlcompile.operators import evaluate
from tests.autodiff.helpers import check, derivative, graph_of, normal, scalar

F64 = np.float64


def vector(name: str, n: int = 3):
    return make_input(name, F64, (n,))


def repeated(step, turns: int):
    """while_loop(step) with a counter: (x, w) → what `step` makes of x after so many turns, and its stacked second result."""
    def function(x, w):
        formal = [[make_input("x", F64, x.shape), scalar("k", np.int64), make_input("w", F64, w.shape)] for _ in range(2)]
        (a, k, b), (c, n, d) = formal
        after, stacked = step(c, d)
        made = ops.while_loop(graph_of("condition", [a, k, b], ops.lt(k, np.int64(turns))),
                              graph_of("body", [c, n, d], after, n + np.int64(1), stacked), x, np.int64(0), w, num_carry=2)
        return made[0], made[2]

    return function


class TestCond:
    def test_a_result_that_only_one_branch_computes(self):
        """An operand that one branch does not read, and a result that is an operand or a constant."""
        def function(flag, x, y):
            a, b, c, d = (vector(n) for n in "abab")
            made = ops.cond(flag, graph_of("then", [a, b], ops.sin(a), b), graph_of("else", [c, d], ops.as_tensor(np.ones(3)), ops.exp(c)), x, y)
            return made[0] * made[1]

        for flag in (True, False):
            check(function, np.bool_(flag), normal(3), normal(3))
            check(function, np.bool_(flag), normal(3), normal(3), order=2)

    def test_only_the_branch_that_is_taken_is_differentiated(self):
        """The square root of a negative number would be NaN."""
        def function(x):
            a, b = scalar("a"), scalar("b")
            return ops.cond(ops.gt(x, 0.0), graph_of("then", [a], ops.sqrt(a)), graph_of("else", [b], b * b), x)[0]

        assert derivative(function, F64(-3))[0] == -6 and derivative(function, F64(4))[0] == 0.25

    def test_results_of_different_sizes(self):
        def function(flag, x):
            a, b = vector("a", 5), vector("b", 5)
            (made,) = ops.cond(flag, graph_of("then", [a], ops.sin(a[:2])), graph_of("else", [b], b * b), x)
            return ops.reduce_sum(made)

        for flag in (True, False):
            check(function, np.bool_(flag), normal(5))

    def test_no_branch_depends_on_it(self):
        def function(x):
            a, b = vector("a"), vector("b")
            return ops.cond(ops.gt(ops.reduce_sum(x), 0.0), graph_of("then", [a], ops.sign(a)), graph_of("else", [b], ops.floor(b)), x)[0]

        np.testing.assert_array_equal(derivative(function, normal(3))[0], np.zeros(3))


class TestScan:
    def function(self, reverse=False, length=None):
        """Two carries that depend on each other, a counter, two scanned, two captured, two stacks."""
        def function(a, b, x, y, w, v):
            h, g, k, row, column, m, n = vector("h"), vector("g"), scalar("k", np.int64), vector("row"), scalar("column"), vector("m"), vector("n")
            turned = ops.sin(h * m + g) + row
            other = ops.tanh(g * column + ops.cast(k, F64) * h) * n
            body = graph_of("body", [h, g, k, row, column, m, n], turned, other, k + np.int64(2), turned * other, ops.reduce_sum(h * row))
            made = ops.scan(body, a, b, np.int64(1), x, y, w, v, num_carry=3, num_scanned=2, length=x.shape[0] if length is None else length,
                            reverse=reverse)
            return ops.reduce_sum(ops.square(made[3]), 1) + made[4] * ops.reduce_sum(made[0] * made[1])

        return function

    def arrays(self, steps):
        return normal(3), normal(3), normal(steps, 3), normal(steps), normal(3), normal(3)

    @pytest.mark.parametrize("order", [1, 2])
    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("steps", [0, 1, 4])
    def test_everything_at_once(self, steps, reverse, order):
        check(self.function(reverse), *self.arrays(steps), order=order)

    def test_any_length(self):
        t = symbol("t")
        check(self.function(), *self.arrays(4), dims={2: (t, 3), 3: (t,)})
        check(self.function(True), *self.arrays(3), dims={2: (t, 3), 3: (t,)}, order=2)

    def test_what_has_no_influence_takes_no_part(self):
        """By the captured weight alone: no cotangent of the scanned rows, and none of the counter."""
        start, rows, w = vector("start"), make_input("rows", F64, (5, 3)), vector("w")
        h, k, row, v = vector("h"), scalar("k", np.int64), vector("row"), vector("v")
        body = graph_of("body", [h, k, row, v], ops.tanh(h * v + row), k + np.int64(1))
        last = ops.scan(body, start, np.int64(0), rows, w, num_carry=2, num_scanned=1, length=5)[0]
        graph = verify(graph_of("g", [start, rows, w], *gradients(last, [w])))
        _, backward = (n for n in graph.nodes if n.op == "scan")
        assert backward.attributes["reverse"] and backward.attributes["num_carry"] == 2  # the state's cotangent and the weight's sum
        assert len(backward.outputs) == 2 and all(t.dtype == F64 for t in backward.inputs)

    def test_a_loop_that_is_linear_is_not_run_again(self):
        """No step needs the states."""
        start, rows, w = vector("start"), make_input("rows", F64, (5, 3)), vector("w")
        h, row, v = vector("h"), vector("row"), vector("v")
        last = ops.scan(graph_of("body", [h, row, v], h * v + row), start, rows, w, num_carry=1, num_scanned=1, length=5)[0]
        graph = graph_of("g", [start, rows, w], *gradients(last, [start, rows]))
        assert [n.op for n in graph.nodes].count("scan") == 1

    def test_sums_without_carries(self):
        """Steps that hand nothing on to each other."""
        def function(x, w):
            row, v = vector("row"), vector("v")
            return ops.scan(graph_of("body", [row, v], ops.sin(row * v)), x, w, num_carry=0, num_scanned=1, length=4)[0]

        check(function, normal(4, 3), normal(3))
        check(function, normal(4, 3), normal(3), order=2)

    def test_a_result_that_is_carried_and_stacked(self):
        def function(x, rows):
            h, row = vector("h"), vector("row")
            after = ops.sin(h) + row
            made = ops.scan(graph_of("body", [h, row], after, after, after), x, rows, num_carry=1, num_scanned=1, length=4)
            return made[0] * ops.reduce_sum(made[1], 0) + ops.reduce_sum(made[2], 0)

        check(function, normal(3), normal(4, 3))


class TestWhile:
    @pytest.mark.parametrize("order", [1, 2])
    @pytest.mark.parametrize("turns", [0, 1, 4])
    def test_turns(self, turns, order):
        def function(x, w):
            last, stacked = repeated(lambda x, w: (ops.sin(x * w), x * x), turns)(x, w)
            return last + ops.reduce_sum(stacked, 0)

        check(function, normal(3), normal(3), order=order)

    def test_as_many_turns_as_the_data_says(self):
        """Newton's square root: the derivative of what it converges to."""
        def function(x):
            (a, b), (c, d) = ((scalar("y"), scalar("x")) for _ in range(2))
            body = graph_of("body", [c, d], (c + d / c) * F64(0.5))
            return ops.while_loop(graph_of("condition", [a, b], ops.gt(ops.abs(a * a - b), 1e-12)), body, F64(1), x, num_carry=1)[0]

        np.testing.assert_allclose(derivative(function, F64(7)), [0.5 / np.sqrt(7)], rtol=1e-6)

    def test_stacks_whose_length_meets_itself(self):
        """The number of turns is one symbol in the loop and another in its derivative."""
        def function(x, w):
            _, stacked = repeated(lambda x, w: (ops.sin(x * w), x * w), 3)(x, w)
            return ops.reduce_sum(ops.cumsum(stacked, 0) * stacked)

        check(function, normal(3), normal(3))

    def test_a_carry_that_grows(self):
        n = symbol("n")
        first, second = make_input("x", F64, (n,)), make_input("x", F64, (n,))
        condition = Graph("condition", [first], [ops.lt(ops.dim_scalar(n), np.int64(20))])
        body = Graph("body", [second], [ops.concatenate([second, ops.sin(second)])])
        x = vector("x")
        made = ops.while_loop(condition, body, x, num_carry=1)[0]
        with pytest.raises(UnsupportedOperatorError, match="while.*size changes"):
            gradients(ops.reduce_sum(made), [x])


class TestNested:
    def function(self, x, w):
        """A scan in a scan in a branch."""
        c, v, u = scalar("c"), scalar("v"), scalar("u")
        inner = graph_of("inner", [c, v, u], ops.sin(c * u + v), c * v)
        c, row, u = scalar("c"), vector("row"), scalar("u")
        made = ops.scan(inner, c, row, u, num_carry=1, num_scanned=1, length=3, reverse=True)
        outer = graph_of("outer", [c, row, u], made[0] * c, ops.reduce_sum(made[1]))
        rows, u = make_input("rows", F64, (4, 3)), scalar("u")
        made = ops.scan(outer, F64(0.7), rows, u, num_carry=1, num_scanned=1, length=4)
        then = graph_of("then", [rows, u], made[0] + ops.reduce_sum(made[1]))
        rows, u = make_input("rows", F64, (4, 3)), scalar("u")
        return ops.cond(ops.gt(w, 0.0), then, graph_of("else", [rows, u], ops.reduce_sum(rows) * u), x, w)[0]

    @pytest.mark.parametrize("order", [1, 2])
    @pytest.mark.parametrize("w", [0.8, -0.8])
    def test_scans_in_a_branch(self, w, order):
        check(self.function, normal(4, 3), F64(w), order=order)

    @pytest.mark.parametrize("order", [1, 2])
    def test_a_branch_in_a_loop_in_a_loop(self, order):
        """Of a scan's rows, each goes through a while loop whose turns take one branch or the other."""
        def step(x, w):
            a, b, c, d = (vector(n) for n in "abcd")
            (made,) = ops.cond(ops.gt(ops.reduce_sum(x), 0.0), graph_of("then", [a, b], ops.sin(a * b)), graph_of("else", [c, d], c + d), x, w)
            return made, x * w

        def function(x, w):
            row, v, h = vector("row"), vector("v"), vector("h")
            last, stacked = repeated(step, 3)(row + h, v)
            body = graph_of("body", [h, row, v], last, ops.reduce_sum(stacked, 0))
            made = ops.scan(body, np.zeros(3), x, w, num_carry=1, num_scanned=1, length=2)
            return made[0] + ops.reduce_sum(made[1], 0)

        check(function, normal(2, 3), normal(3), order=order, rtol=1e-5)


def test_running_products_in_a_loop():
    """A primitive whose derivative is itself a loop."""
    def function(x, rows):
        h, row = vector("h"), vector("row")
        return ops.scan(graph_of("body", [h, row], ops.cumprod(h, 0) + row), x, rows, num_carry=1, num_scanned=1, length=3)[0]

    check(function, normal(3), normal(3, 3))
    check(function, normal(3), normal(3, 3), order=2)


def test_a_loop_around_what_decides_its_own_size():
    """The positive elements of each row."""
    def function(rows):
        h, row = scalar("h"), vector("row", 4)
        total = ops.reduce_sum(ops.exp(ops.compress(ops.gt(row, 0.0), row)))
        return ops.scan(graph_of("body", [h, row], h + total * ops.sin(h)), F64(0.3), rows, num_carry=1, num_scanned=1, length=rows.shape[0])[0]

    check(function, normal(3, 4))


def test_sizes_in_a_derivative_have_names_of_their_own(monkeypatch):
    """Those of a graph that was imported begin with u0, as those of what is made on its own do."""
    monkeypatch.setattr(sys.modules["dlcompile.graph.unknown"], "_outside", (f"u{i}" for i in itertools.count()))
    x, w = vector("x", 5), vector("w")
    with unknown_names():
        size = ops.reduce_sum(ops.exp(ops.compress(ops.gt(x, 0.0), x)))
        last, stacked = repeated(lambda x, w: (ops.sin(x * w), x), 3)(w, w)
        loss = size * ops.reduce_sum(last * ops.reduce_sum(stacked, 0))
    slopes = gradients(loss, [x, w])
    more = gradients(loss * loss, [x, w])
    graph = verify(graph_of("g", [x, w], *slopes, *more))
    assert len({str(n.attributes["symbol"]) for n in graph.nodes if n.op == "define_dim"}) == 4  # two of the model, one for each derivative
    a, b = np.array([0.5, -1, 2, -3, 0.1]), normal(3)
    first = evaluate(graph, [a, b])
    (value,) = evaluate(graph_of("loss", [x, w], loss), [a, b])
    for slope, other in zip(first[:2], first[2:]):
        np.testing.assert_allclose(other, 2 * value * slope)


def test_values_of_the_loop_itself_are_kept():
    """The loss, and its derivatives, of one graph."""
    x, w = vector("x"), vector("w")
    last, stacked = repeated(lambda x, w: (ops.sin(x * w), x), 3)(x, w)
    loss = ops.reduce_sum(last * ops.reduce_sum(stacked, 0))
    a, b = normal(3), normal(3)
    value, *_ = evaluate(verify(graph_of("g", [x, w], loss, *gradients(loss, [x, w]))), [a, b])
    states = [a]
    for _ in range(3):
        states.append(np.sin(states[-1] * b))
    np.testing.assert_allclose(value, np.sum(states[3] * sum(states[:3])))

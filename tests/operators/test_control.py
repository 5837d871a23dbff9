"""Branches and loops against Python's own."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import OPERATORS, Graph, make_input, symbol, verify
from dlcompile.operators import evaluate
from tests.operators.helpers import normal

N = symbol("n")


def graph(name, inputs, *outputs):
    return Graph(name, inputs, outputs, output_names=[f"result{i}" for i in range(len(outputs))])


def scalar(name, dtype=np.float32):
    return make_input(name, dtype, ())


class TestCond:
    def branches(self, shape=(N,)):
        a, b = make_input("a", np.float32, shape), make_input("b", np.float32, shape)
        return graph("then", [a], ops.exp(a), ops.neg(a)), graph("else", [b], b, ops.mul(b, np.float32(2)))

    def test_the_branch_that_is_taken(self):
        p, x = scalar("p", bool), make_input("x", np.float32, (N,))
        whole = verify(Graph("g", [p, x], ops.cond(p, *self.branches(), x)))
        v = normal(4)
        for taken, expected in ((True, (np.exp(v), -v)), (False, (v, v * 2))):
            for result, wanted in zip(evaluate(whole, [np.bool_(taken), v]), expected):
                np.testing.assert_allclose(result, wanted, rtol=1e-6)

    def test_refusals(self):
        p, x = scalar("p", bool), make_input("x", np.float32, (N,))
        then_branch, else_branch = self.branches()
        with pytest.raises(DTypeError, match="predicate must be a bool scalar"):
            ops.cond(x, then_branch, else_branch, x)
        with pytest.raises(ShapeError, match="then_branch takes 1 operands, 2 are given"):
            ops.cond(p, then_branch, else_branch, x, x)
        with pytest.raises(ShapeError, match="2 and 1 results"):
            ops.cond(p, then_branch, graph("one", then_branch.inputs, then_branch.inputs[0]), x)
        with pytest.raises(ShapeError, match=r"result 0 of then_branch is float32\[n\], it must be float32\[3, n\]"):
            ops.cond(p, then_branch, graph("wide", then_branch.inputs, *(ops.broadcast_to(then_branch.inputs[0], (3, N)),) * 2), x)
        with pytest.raises(DTypeError, match="operand 0"):
            ops.cond(p, then_branch, else_branch, ops.cast(x, np.float64))


class TestWhile:
    def collatz(self):
        value, steps, limit = scalar("value", np.int64), scalar("steps", np.int64), scalar("limit", np.int64)
        condition = graph("condition", [value, steps, limit], ops.logical_and(ops.ne(value, 1), ops.lt(steps, limit)))
        v, s, unused = scalar("value", np.int64), scalar("steps", np.int64), scalar("limit", np.int64)
        odd = ops.eq(ops.floor_mod(v, 2), 1)
        return condition, graph("body", [v, s, unused], ops.select(odd, v * 3 + 1, ops.div(v, 2)), s + 1)

    def test_turns(self):
        """The Collatz sequence, at most `limit` (captured) steps of it; the turns are counted too."""
        x, limit = scalar("x", np.int64), scalar("limit", np.int64)
        made = ops.while_loop(*self.collatz(), x, np.int64(0), limit, num_carry=2)
        whole = verify(Graph("g", [x, limit], made))

        def count(value, limit):
            steps = 0
            while value != 1 and steps < limit:
                value, steps = value * 3 + 1 if value % 2 else value // 2, steps + 1
            return value, steps, steps

        for start, most in ((27, 1000), (1, 5), (97, 10), (2**40, 100)):
            assert tuple(int(r) for r in evaluate(whole, [np.int64(start), np.int64(most)])) == count(start, most)

    def test_refusals(self):
        condition, body = self.collatz()
        x = scalar("x", np.int64)
        with pytest.raises(ShapeError, match="takes 3 operands, 2 are given"):
            ops.while_loop(condition, body, x, x, num_carry=2)
        with pytest.raises(ShapeError, match="yields 2 values for 3 carries"):
            ops.while_loop(condition, body, x, x, x, num_carry=3)
        with pytest.raises(DTypeError, match="condition must yield one bool scalar"):
            ops.while_loop(graph("c", condition.inputs, condition.inputs[0]), body, x, x, x, num_carry=2)
        wrong = graph("body", body.inputs, ops.cast(body.outputs[0], np.int32), body.outputs[1])
        with pytest.raises(DTypeError, match="carry 0 after a turn is int32"):
            ops.while_loop(condition, wrong, x, x, x, num_carry=2)


class TestScan:
    def body(self, width=N):
        total, row, weight = (make_input(n, np.float32, (width,)) for n in ("total", "row", "weight"))
        after = total * weight + row
        return graph("body", [total, row, weight], after, ops.reduce_max(after), after)

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("steps", [0, 1, 5])
    def test_steps(self, steps, reverse):
        """A carry, a scanned and a captured operand, two stacked outputs; length and width symbolic."""
        length = symbol("t")
        start, rows, weight = make_input("start", np.float32, (N,)), make_input("rows", np.float32, (length, N)), make_input("w", np.float32, (N,))
        made = ops.scan(self.body(), start, rows, weight, num_carry=1, num_scanned=1, length=length, reverse=reverse)
        assert [t.shape for t in made] == [(N,), (length,), (length, N)]
        whole = verify(Graph("g", [start, rows, weight], made))
        s, r, w = normal(3), normal(steps, 3), normal(3)
        state, tops, states = s, [None] * steps, np.zeros((steps, 3), np.float32)
        for step in reversed(range(steps)) if reverse else range(steps):
            state = state * w + r[step]
            tops[step], states[step] = state.max(), state
        last, maxima, stacked = evaluate(whole, [s, r, w])
        np.testing.assert_array_equal(last, state)
        np.testing.assert_array_equal(maxima, np.array(tops, np.float32))
        np.testing.assert_array_equal(stacked, states)

    def test_a_body_may_use_dimensions_of_the_graph_around_it(self):
        count, ignored = scalar("count"), make_input("x", np.float32, (N,))
        body = graph("body", [count], count + 1.0, ops.broadcast_to(count, (N,)))
        made = ops.scan(body, np.float32(0), num_carry=1, num_scanned=0, length=3)
        total, stacked = evaluate(Graph("g", [ignored], made), [normal(2)])
        assert total == 3 and stacked.tolist() == [[0, 0], [1, 1], [2, 2]]

    def test_nested(self):
        """Factorials: a scan in the body of a scan."""
        product, index = scalar("product", np.int64), scalar("index", np.int64)
        inner = graph("inner", [product, index], product * (index + 1))
        outer_carry, row = scalar("carry", np.int64), make_input("row", np.int64, (4,))
        (made,) = ops.scan(inner, outer_carry, row, num_carry=1, num_scanned=1, length=4)
        outer = graph("outer", [outer_carry, row], made)
        rows = make_input("rows", np.int64, (symbol("k"), 4))
        (result,) = ops.scan(outer, np.int64(1), rows, num_carry=1, num_scanned=1, length=symbol("k"))
        assert evaluate(Graph("g", [rows], [result]), [np.arange(8).reshape(2, 4)])[0] == 40320

    def test_refusals(self):
        start, rows, weight = make_input("start", np.float32, (3,)), make_input("rows", np.float32, (5, 3)), make_input("w", np.float32, (3,))
        for arguments, message in (((start, rows), "takes 3 operands, 2 are given"), ((start, weight, weight), "operand 1"),
                                   ((start, rows, rows), "operand 2")):
            with pytest.raises(ShapeError, match=message):
                ops.scan(self.body(3), *arguments, num_carry=1, num_scanned=1, length=5)
        with pytest.raises(ShapeError, match="5 and 6 differ"):
            ops.scan(self.body(3), start, rows, weight, num_carry=1, num_scanned=1, length=6)

    def test_cost(self):
        rows = make_input("rows", np.float32, (symbol("t"), 3))
        made = ops.scan(self.body(3), np.zeros(3, np.float32), rows, np.ones(3, np.float32), num_carry=1, num_scanned=1, length=symbol("t"))
        node = made[0].producer
        assert OPERATORS["scan"].flops(tuple(t.type for t in node.inputs), (), node.attributes) == 9 * symbol("t")

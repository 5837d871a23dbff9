"""The engine: fixed points, provenance, constraints, what it refuses."""
import warnings

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import Graph, apply, make_constant, provenance, symbol
from dlcompile.transforms import common_subexpressions, remove_dead_code, rewrite
from dlcompile.transforms.algebra import ALGEBRA
from dlcompile.transforms.movement import MOVEMENT
from dlcompile.transforms.rewrite import made_by, uses
from tests.transforms.helpers import assert_same, count, graph_of, operators, variable


def test_nothing_to_do_returns_the_graph_itself():
    x = variable("x", (2, 3))
    graph = graph_of(ops.exp(x), x)
    assert rewrite(graph, ALGEBRA, MOVEMENT) is graph


def test_a_merged_node_comes_from_everything_that_was_merged():
    x = variable("x", (2, 3, 4))
    with provenance("first"):
        y = ops.transpose(x, (1, 0, 2))
    with provenance("second"):
        y = ops.transpose(y, (2, 1, 0))
    after = rewrite(graph_of(y, x), MOVEMENT)
    (node,) = after.nodes
    assert set(node.origin) == {"first", "second"}


def test_a_node_that_was_only_looked_at_in_vain_leaves_no_trace():
    x = variable("x", (2, 3))
    with provenance("exp"):
        y = ops.exp(x)
    with provenance("neg"):
        z = ops.neg(ops.abs(y))
    after = rewrite(graph_of(z, x), ALGEBRA)
    assert [node.origin for node in after.nodes] == [("exp",), ("neg",), ("neg",)]


def test_constraints_survive_the_node_that_had_them():
    n, m = symbol("n"), symbol("m")
    x, y = variable("x", (n,)), variable("y", (m,))
    total = ops.add(x, y)
    zero = ops.sub(total, total)
    graph = graph_of((ops.neg(ops.neg(total)), zero), x, y)
    assert [c[:2] for c in graph.constraints] == [(n, m)]

    def drop(node):
        """x - x → x - y, only to lose the addition."""
        return ops.sub(x, x) if node.op == "sub" and total.shape == x.shape else None

    only = Graph("test", (x, y), (zero,))
    after = rewrite(only, (("sub", drop),))
    assert [c[:2] for c in after.constraints] == [(n, m)]


def test_an_answer_of_another_type_is_not_taken():
    x = variable("x", (2, 1))
    graph = graph_of(ops.exp(x), x)
    assert rewrite(graph, (("exp", lambda node: ops.reshape(node.inputs[0], (2,))),)) is graph


def test_rules_that_go_in_circles_are_stopped_and_named():
    x, y = variable("x", (2,)), variable("y", (2,))

    def swap_operands(node):
        """x + y → y + x."""
        return ops.add(node.inputs[1], node.inputs[0])

    with pytest.warns(UserWarning, match="swap_operands"):
        after = rewrite(graph_of(ops.add(x, y), x, y), (("add", swap_operands),))
    assert_same(graph_of(ops.add(x, y), x, y), after)


def test_uses_count_readers_and_outputs():
    x = variable("x", (2,))
    y = ops.exp(x)
    seen = []

    def look(node):
        seen.append(uses(node.inputs[0]))

    rewrite(graph_of((ops.neg(y), ops.abs(y), y), x), (("neg", look),))
    assert seen == [3]


def test_equal_nodes_become_one():
    x = variable("x", (2, 3))
    constant = np.arange(3, dtype=np.float32)
    y = ops.add(ops.exp(ops.add(x, make_constant(constant))), ops.exp(ops.add(x, make_constant(constant.copy()))))
    graph = graph_of(y, x)
    after = common_subexpressions(graph)
    assert operators(after) == ["add", "exp", "add"] and len(after.constants) == 1
    assert_same(graph, after)


@pytest.mark.parametrize("a, b", [(0.0, -0.0), (1.0, 2.0)])
def test_constants_that_differ_stay_apart(a, b):
    x = variable("x", (2,))
    graph = graph_of(ops.add(ops.mul(x, np.float32(a)), ops.mul(x, np.float32(b))), x)
    assert count(common_subexpressions(graph))["mul"] == 2


def test_attributes_tell_nodes_apart():
    x = variable("x", (2, 2))
    y = ops.add(ops.transpose(x, (1, 0)), ops.reverse(x, (0,)))
    z = ops.add(ops.transpose(x, (1, 0)), ops.reverse(x, (1,)))
    graph = graph_of((y, z), x)
    after = common_subexpressions(graph)
    assert count(after) == {"transpose": 1, "reverse": 2, "add": 2}
    assert_same(graph, after)


def test_dead_parts_of_a_loop_go():
    state, step, weight, unused = (variable(n, (2,)) for n in ("state", "step", "weight", "unused"))
    new = ops.add(state, ops.mul(step, weight))
    body = Graph("body", (state, step, weight, unused), (new, ops.exp(ops.add(new, unused)), ops.neg(new)))
    start, steps, w, u = variable("start", (2,)), variable("steps", (5, 2)), variable("w", (2,)), variable("u", (2,))
    last, _, stacked = apply("scan", start, steps, w, u, body=body, num_carry=1, num_scanned=1, length=5, reverse=False)
    graph = graph_of((last, stacked), start, steps, w, u)
    after = remove_dead_code(graph)
    (node,) = after.nodes
    assert len(node.inputs) == 3 and len(node.outputs) == 2 and count(node.attributes["body"])["exp"] == 0
    assert_same(graph, after)
    assert remove_dead_code(after) is after


def test_no_warning_on_ordinary_graphs():
    x = variable("x", (2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rewrite(graph_of(ops.neg(ops.neg(ops.neg(x))), x), ALGEBRA, MOVEMENT)


def test_made_by_asks_for_operators():
    x = variable("x", (2,))
    y = ops.exp(x)
    with provenance():
        assert made_by(y, "neg", "exp") is y.producer and made_by(y, "neg") is None and made_by(x, "exp") is None

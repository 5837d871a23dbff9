"""The reference interpreter: inputs, symbols, constraints, observation."""
from dataclasses import replace

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import ArgumentError, ExecutionError
from dlcompile.graph import OPERATORS, Graph, make_input, provenance, symbol
from dlcompile.operators import evaluate, evaluate_node
from tests.operators.helpers import normal

N, M = symbol("n"), symbol("m")


def two_inputs(first=(N, 3), second=(2 * N + 1,)):
    a, b = make_input("left", np.float32, first), make_input("right", np.float32, second)
    with provenance("out_node"):
        return Graph("g", [a, b], [ops.reduce_sum(a) + ops.reduce_sum(b), ops.shape_of(b)], output_names=["total", "shape"])


def test_inputs_by_name_or_in_order():
    a, b = normal(2, 3), normal(5)
    for inputs in ([a, b], (a, b), {"right": b, "left": a}):
        total, shape = evaluate(two_inputs(), inputs)
        assert shape.tolist() == [5] and abs(total - a.sum() - b.sum()) < 1e-5


@pytest.mark.parametrize("inputs, message", [
    ({"left": normal(2, 3)}, "inputs are left, right; missing: right"), ({"left": normal(2, 3), "right": normal(5), "x": 1}, "unknown: x"),
    ([normal(2, 3)], "2 inputs expected .*left, right.*, 1 given"), ([normal(2, 3), normal(5, 1)], r"'right' must have 1 axes .*2\*n \+ 1.*, not 2"),
    ([normal(2, 3), normal(5, dtype=np.float64)], "'right' must be float32, not float64"), ([normal(2, 4), normal(5)], "'left': axis 1 must be 3, not 4"),
    ([normal(2, 3), normal(6)], r"'right': axis 0 must be 2\*n \+ 1 = 5, not 6")])
def test_bad_inputs(inputs, message):
    with pytest.raises(ArgumentError, match=message):
        evaluate(two_inputs(), inputs)


def test_symbols_are_solved_for():
    """An axis that is linear in a symbol tells it, also where others must be known first."""
    x, y = make_input("x", np.float32, (3 * N + M, 2 * N)), make_input("y", np.float32, (4,))
    graph = Graph("g", [x, y], [ops.shape_vector((N, M))])
    assert evaluate(graph, [normal(8, 4), normal(4)])[0].tolist() == [2, 2]
    for shape, message in (((8, 5), "cannot be told"), ((5, 4), "cannot be told|axis 0")):
        with pytest.raises(ArgumentError, match=message):
            evaluate(graph, [normal(*shape), normal(4)])
    with pytest.raises(ArgumentError, match="n of axis 0.*cannot be told from the inputs"):
        evaluate(Graph("g", [z := make_input("z", np.float32, (N * N,))], [z]), [normal(4)])


def test_what_was_taken_on_trust_is_checked():
    a, b = make_input("a", np.float32, (N,)), make_input("b", np.float32, (M,))
    with provenance("sum3"):
        graph = Graph("g", [a, b], [ops.add(a, b)])
    assert evaluate(graph, [normal(3), normal(3)])[0].shape == (3,)
    with pytest.raises(ExecutionError, match="n = 3 and m = 4 must be equal .node sum3"):
        evaluate(graph, [normal(3), normal(4)])
    with pytest.raises(ExecutionError):  # handed on by a graph that no longer has the node
        evaluate(Graph("g", [a, b], [a], constraints=graph.constraints), [normal(3), normal(1)])


def test_a_result_of_another_shape_than_promised_is_an_error(monkeypatch):
    monkeypatch.setitem(OPERATORS, "slice", replace(OPERATORS["slice"], evaluate=lambda attributes, x: x[:1]))
    x = make_input("x", np.float32, (N, 4))
    with provenance("head"):
        graph = Graph("g", [x], [ops.slice(x, (1, 0), (3, 4))])
    with pytest.raises(ExecutionError, match=r"slice yields \[1, 4\], its type is float32\[2, 4\] .node head"):
        evaluate(graph, [normal(3, 4)])


def test_observer_sees_every_node():
    graph, seen = two_inputs(), []
    evaluate(graph, [normal(2, 3), normal(5)], observe=lambda node, results: seen.append((node, [r.shape for r in results])))
    assert [n for n, _ in seen] == list(graph.nodes) and all(s == [t.shape for t in n.outputs] for n, s in seen if n.op != "dims")


def test_a_node_alone():
    x = make_input("x", np.float32, (N, 2))
    node = ops.softmax(ops.reshape(x, (2 * N,))).producer
    (y,) = evaluate_node(node, np.zeros(4, np.float32), symbols={"n": 2})
    assert y.tolist() == [0.25] * 4
    (z,) = evaluate_node(node.inputs[0].producer, np.zeros((3, 2), np.float32), symbols={"n": 3})
    assert z.shape == (6,)


def test_outputs_that_nothing_computes():
    x, c = make_input("x", np.float32, (2,)), ops.as_tensor([1, 2])
    v = normal(2)
    for result, wanted in zip(evaluate(Graph("g", [x], [x, c, x]), [v]), (v, [1, 2], v)):
        np.testing.assert_array_equal(result, wanted)


def test_operands_are_not_written_to():
    x, i, u = normal(3, 2), np.array([[0]]), normal(1, 2)
    before = x.copy()
    a, b, c = make_input("x", np.float32, (3, 2)), make_input("i", np.int64, (1, 1)), make_input("u", np.float32, (1, 2))
    evaluate(Graph("g", [a, b, c], [ops.scatter_nd(a, b, c), ops.sort(a), ops.cumsum(a, 0, exclusive=True)]), [x, i, u])
    np.testing.assert_array_equal(x, before)


def test_a_body_that_speaks_of_dimensions_nobody_has():
    state = make_input("state", np.float32, (M,))
    x = make_input("x", np.float32, (N,))
    made = ops.scan(Graph("body", [state], [ops.neg(state)]), x, num_carry=1, num_scanned=0, length=2)
    with pytest.raises(ExecutionError, match="n = 3 and m must be equal"):
        evaluate(Graph("g", [x], made), [normal(3)])

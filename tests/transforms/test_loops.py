"""Loops and branches whose operands are known: against ONNX Runtime where they are compiled, and the operators' definitions."""
import numpy as np
import onnx
import pytest
from onnx import parser

import dlcompile
from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.frontends.onnx import import_onnx
from dlcompile.graph import Graph, make_input, symbol
from dlcompile.transforms import optimize, rewrite
from dlcompile.transforms.loops import LOOPS, merge_scans
from tests.frontends.onnx.helpers import runtime
from tests.transforms.helpers import assert_same, count, graph_of, operators, variable, weights

F = np.float32


def body_of(function, *tensors):
    return Graph("body", tensors, function(*tensors))


def formal(*tensors):
    return [make_input(f"{t.name}_", t.dtype, t.shape) for t in tensors]


@pytest.mark.parametrize("limit", [100, 0])
def test_a_carry_that_does_not_change_is_captured(limit):
    x, w = variable("x", (3,)), variable("w", (3,))
    state = formal(w, x)
    made = ops.while_loop(body_of(lambda w, x: (ops.lt(ops.reduce_sum(ops.abs(x)), F(limit)),), *state),
                          body_of(lambda w, x: (w, ops.add(ops.mul(x, F(2)), w), ops.mul(x, w)), *formal(w, x)), w, x, num_carry=2)
    graph = graph_of((made[0], made[1], made[3]), w, x)
    after = rewrite(graph, LOOPS)
    (loop,) = [n for n in after.nodes if n.op == "while"]
    assert loop.attributes["num_carry"] == 1 and after.outputs[0] is w
    assert_same(graph, after)


def test_of_a_scan():
    x, w, s = variable("x", (symbol("n"), 3)), variable("w", (3,)), variable("s", (3,))
    made = ops.scan(body_of(lambda w, s, x: (w, ops.add(ops.mul(s, w), x), ops.mul(x, w)), *formal(w, s, variable("x", (3,)))), w, s, x,
                    num_carry=2, num_scanned=1, length=symbol("n"))
    graph = graph_of(made, w, s, x)
    after = rewrite(graph, LOOPS)
    (loop,) = [n for n in after.nodes if n.op == "scan"]
    assert loop.attributes["num_carry"] == 1 and [t.name for t in loop.inputs] == ["s", "x", "w"]
    for n in (0, 1, 4):
        assert_same(graph, after, n=n)


def test_carries_that_grow_keep_their_sizes():
    """A carry whose length changes has it in another one; what does not change stands before both."""
    w, x, n = variable("w", (2,)), variable("x", (3,)), symbol("grown")
    inner = [make_input("w_", F, (2,)), make_input("x_", F, (n,))]
    condition = body_of(lambda w, x: (ops.lt(ops.reduce_sum(ops.abs(x)), F(50)),), *inner)
    inner = [make_input("w_", F, (2,)), make_input("x_", F, (n,))]
    made = ops.while_loop(condition, body_of(lambda w, x: (w, ops.concatenate([x, ops.add(ops.mul(w, F(3)), F(1))], 0)), *inner), w, x, num_carry=2)
    graph = graph_of((made[0], ops.reduce_sum(made[1]), made[2]), w, x)
    after = optimize(graph)
    (loop,) = [node for node in after.nodes if node.op == "while"]
    assert loop.attributes["num_carry"] == 2 and loop.attributes["sizes"] == ((n, 1),)
    assert_same(graph, after, rtol=1e-6)


def test_constants_go_into_the_bodies():
    x, p = variable("x", (3,)), variable("p", (), bool)
    w = weights(3)
    branches = [body_of(lambda x, w, f=f: (f(x, w),), *formal(x, variable("w", (3,)))) for f in (ops.mul, ops.sub)]
    chosen = ops.cond(p, *branches, x, w)[0]
    graph = graph_of(chosen, p, x)
    after = rewrite(graph, LOOPS)
    assert operators(after) == ["cond"] and len(after.nodes[0].inputs) == 2
    assert_same(graph, after)


def test_a_carry_that_only_seems_to_change():
    """What the body yields is seen to be its input only when it has been simplified."""
    x, w = variable("x", (3,)), weights(3)
    made = ops.while_loop(body_of(lambda w, x: (ops.lt(ops.reduce_sum(ops.abs(x)), F(100)),), *formal(variable("w", (3,)), x)),
                          body_of(lambda w, x: (ops.neg(ops.neg(w)), ops.add(ops.mul(x, F(2)), w)), *formal(variable("w", (3,)), x)), w, x, num_carry=2)
    graph = graph_of(made[1], x)
    after = optimize(graph)
    (loop,) = [n for n in after.nodes if n.op == "while"]
    assert loop.attributes["num_carry"] == 1 and len(loop.inputs) == 1
    assert_same(graph, after)
    assert count(optimize(after)) == count(after)


@pytest.mark.parametrize("op", ["scan", "while"])
def test_costly_work_on_captured_values_is_done_before(op):
    """A product of what is captured, and what follows it, moves; a sum that needs the turn's state stays; what is only broadcast stays."""
    x, k, s = variable("x", (symbol("n"), 4)), variable("k", (5, 4)), variable("s", (5, 3))
    w = weights(4, 3)

    def step(s, *rest):
        features = ops.tanh(ops.add(ops.matmul(rest[-1], w), weights(3)))
        next = ops.tanh(ops.add(ops.add(s, features), ops.mul(ops.broadcast_to(ops.slice(rest[-1], (0, 0), (1, 3)), (5, 3)), F(0.5))))
        return (next, ops.add(rest[0], np.int64(1))) if op == "while" else (next, ops.mul(ops.reduce_sum(next), rest[0]))

    if op == "scan":
        made = ops.scan(body_of(step, *formal(s, variable("x", (4,)), k)), s, x, k, num_carry=1, num_scanned=1, length=symbol("n"))
    else:
        turn = variable("i", (), np.int64)
        condition = body_of(lambda s, i, k: (ops.lt(i, np.int64(3)),), *formal(s, turn, k))
        made = ops.while_loop(condition, body_of(step, *formal(s, turn, k)), s, turn, k, num_carry=2)
    graph = graph_of(made, *([s, x, k] if op == "scan" else [s, turn, k]))
    after = rewrite(graph, LOOPS)
    (loop,) = [n for n in after.nodes if n.op == op]
    inside = count(loop.attributes["body"])
    assert inside["dot_general"] == 0 and inside["tanh"] == 1 and inside["broadcast_to"] >= 1
    assert count(after)["dot_general"] == 1 and count(after)["tanh"] == 1
    for n in (0, 1, 3):
        assert_same(graph, after, rtol=1e-6, atol=1e-6, n=n)
    assert count(rewrite(after, LOOPS)) == count(after)


def test_what_a_body_relies_on_stays_in_it():
    """Lengths that have to be equal are asked for where the loop turns only if the work on them stays there."""
    k, v, s = variable("k", (symbol("m"), 3)), variable("v", (symbol("n"), 3)), variable("s", (3,))
    made = ops.scan(body_of(lambda s, k, v: (ops.add(s, ops.reduce_sum(ops.add(k, v), (0,))),), *formal(s, k, v)), s, k, v,
                    num_carry=1, num_scanned=0, length=4)
    graph = graph_of(made[0], s, k, v)
    after = rewrite(graph, LOOPS)
    assert operators(after) == ["scan"]


def test_a_loop_in_a_loop():
    k, s = variable("k", (4, 4)), variable("s", (4, 4))
    inner = body_of(lambda s, k: (ops.tanh(ops.add(s, ops.matmul(k, k))),), *formal(s, k))
    outer = body_of(lambda s, k: (ops.scan(inner, s, k, num_carry=1, num_scanned=0, length=3)[0],), *formal(s, k))
    graph = graph_of(ops.scan(outer, s, k, num_carry=1, num_scanned=0, length=2)[0], s, k)
    after = optimize(graph)
    assert count(after)["dot_general"] == 1
    assert_same(graph, after, rtol=1e-5, atol=1e-6)
    assert count(optimize(after)) == count(after)


def test_a_loop_with_its_weights_among_the_carries():
    """As exporters of TensorFlow write recurrent layers."""
    made = parser.parse_model("""<ir_version: 8, opset_import: ["": 17]> g (float[n, 4] x, int64 trips) => (float[n, 4] y, float[4, 4] kept, float[t, n, 4] all)
        <bool go = {1}, float[4, 4] w = {0.5, -0.25, 0.125, 1, 0.75, -0.5, 0.25, -1, 0.1, 0.2, 0.3, 0.4, -0.5, 0.5, -0.5, 0.5}>
        { y, kept, all = Loop (trips, go, x, w) <body: graph = body (int64 i, bool go_in, float[n, 4] s, float[4, 4] v) =>
            (bool go_out, float[n, 4] next, float[4, 4] same, float[n, 4] seen)
            { go_out = Identity (go_in) p = MatMul (s, v) next = Tanh (p) same = Identity (v) seen = Identity (next) }> }""")
    onnx.checker.check_model(made)
    compiled = dlcompile.compile(made, cache=False)
    (loop,) = [n for n in optimize(import_onnx(made)).nodes if n.op in ("while", "scan")]
    assert not any(t.shape == (4, 4) for t in loop.inputs)
    for n, trips in ((3, 5), (1, 0), (0, 2)):
        feeds = {"x": np.random.default_rng(n).standard_normal((n, 4)).astype(F), "trips": np.array(trips)}
        for result, expected in zip(compiled.run(feeds).values(), runtime(made, feeds), strict=True):
            assert result.shape == expected.shape or not trips  # of what no turn has made, ONNX Runtime knows no shape
            result = result.reshape(expected.shape)
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_of_which_nothing_is_left_but_what_is_handed_on():
    """A loop keeps one carry, since its condition needs something to ask."""
    x = variable("x", ())
    made = ops.while_loop(body_of(lambda x: (ops.lt(x, F(0)),), *formal(x)), body_of(lambda x: (x,), *formal(x)), x, num_carry=1)
    graph = graph_of(made[0], x)
    assert operators(rewrite(graph, LOOPS)) == operators(graph)


def test_scans_that_differ_in_what_they_stack_are_one():
    """The loop and its derivative, which needs the loop's states."""
    x, w = variable("x", (symbol("n"), 3)), variable("w", (3,))
    (h, row, factor) = formal(variable("h", (3,)), variable("row", (3,)), w)
    start = np.zeros(3, F)
    made = ops.scan(body_of(lambda h, x, w: (ops.tanh(h * w + x), h * x), h, row, factor), start, x, w, num_carry=1, num_scanned=1, length=symbol("n"))
    loss = ops.reduce_sum(made[0]) + ops.reduce_sum(made[1])
    graph = graph_of((loss, *gradients(loss, [x, w])), x, w)
    merged = merge_scans(graph)
    assert count(graph)["scan"] == 3 and count(merged)["scan"] == 2
    for n in (0, 1, 4):
        assert_same(graph, merged, n=n)
        assert_same(graph, optimize(graph), n=n, rtol=1e-5, atol=1e-6)

"""What all steps of a scan do at once: the same values, fewer products in the loop, and where nothing may be moved."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.graph import Graph, apply, make_input, symbol
from dlcompile.transforms import optimize, rewrite
from dlcompile.transforms.batching import RULES, batched
from dlcompile.transforms.scans import SCANS
from tests.transforms.helpers import assert_same, count, graph_of, variable

F = np.float32
N = symbol("n")


def scan(function, carries, scanned, captured, length, reverse=False):
    """A scan whose body is function(carries…, slices…, captured…) → (next carries…, results…)."""
    formals = [make_input(f"f{i}", t.dtype, t.shape[1:] if len(carries) <= i < len(carries) + len(scanned) else t.shape)
               for i, t in enumerate((*carries, *scanned, *captured))]
    body = Graph("body", formals, function(*formals))
    return ops.scan(body, *carries, *scanned, *captured, num_carry=len(carries), num_scanned=len(scanned), length=length, reverse=reverse)


def inside(graph: Graph) -> dict[str, int]:
    """The operators in the bodies of a graph's scans."""
    return sum((count(n.attributes["body"]) for n in graph.nodes if n.op == "scan"), start=count(Graph("none", [], [])))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [5, N])
def test_a_product_of_what_is_scanned(length, reverse):
    h, x, w, r, b = variable("h", (3, 4)), variable("x", (length, 3, 6)), variable("w", (6, 4)), variable("r", (4, 4)), variable("b", (4,))
    made = scan(lambda h, x, w, r, b: (n := ops.tanh(ops.matmul(x * F(2), w) + b + ops.matmul(h, r)), n), [h], [x], [w, r, b], length, reverse)
    graph = graph_of(made, h, x, w, r, b)
    after = rewrite(graph, SCANS)
    assert inside(after)["dot_general"] == 1 and count(after)["dot_general"] == 1
    for n in (1, 4):
        assert_same(graph, after, rtol=1e-5, atol=1e-6, n=n)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [5, N])
def test_a_sum_of_products(length, reverse):
    """Of what is scanned and of what a step computes; what is added beside them stays."""
    s, h, x, y = variable("s", (6, 4)), variable("h", (3, 4)), variable("x", (length, 3, 6)), variable("y", (length, 3, 4))

    def step(s, h, x, y):
        h = ops.tanh(h + y)
        product = ops.dot_general(x, h, contracting=((0,), (0,)))
        return s + (ops.reduce_sum(h) * F(0.5) + product), h, h * F(3)

    graph = graph_of(scan(step, [s, h], [x, y], [], length, reverse), s, h, x, y)
    after = rewrite(graph, SCANS)
    assert inside(after)["dot_general"] == 0 and count(after)["dot_general"] == 1
    for n in (0, 1, 4):
        assert_same(graph, after, rtol=1e-5, atol=1e-5, n=n)


def test_a_sum_that_is_gone_from_the_loop():
    s, t, h, x = variable("s", (4, 4)), variable("t", (4,)), variable("h", (3, 4)), variable("x", (7, 3, 4))

    def step(s, t, h, x):
        h = ops.tanh(h + x)
        moved = ops.reshape(ops.transpose(ops.dot_general(h, x, contracting=((0,), (0,)))), (4, 4))
        return s - moved, t + ops.reduce_sum(h, 0), h

    def added(s, t, h, x):
        s, t, h = step(s, t, h, x)
        moved = ops.neg(ops.transpose(ops.dot_general(h, x, contracting=((0,), (0,)))))
        return s.producer.inputs[0] + moved, t, h

    graph = graph_of(scan(added, [s, t, h], [x], [], 7), s, t, h, x)
    after = rewrite(graph, SCANS)
    (loop,) = [n for n in after.nodes if n.op == "scan"]
    assert loop.attributes["num_carry"] == 2 and inside(after)["dot_general"] == 0
    assert_same(graph, after, rtol=1e-5, atol=1e-5)


def test_batched_products_are_summed():
    s, x, y = variable("s", (2, 4, 5)), variable("x", (6, 2, 3, 4)), variable("y", (6, 2, 3, 5))
    made = scan(lambda s, x, y: (s + ops.dot_general(x, y, contracting=((1,), (1,)), batch=((0,), (0,))),), [s], [x, y], [], 6)
    graph = graph_of(made, s, x, y)
    after = rewrite(graph, SCANS)
    assert inside(after)["dot_general"] == 0
    assert_same(graph, after, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step", [
    lambda s, h, x, w: (s + ops.matmul(x, w), ops.tanh(h + s)),  # the sum is read
    lambda s, h, x, w: (ops.tanh(s + ops.matmul(h, w)), h),  # it is no sum
    lambda s, h, x, w: (s + s + ops.matmul(h, w), h * F(2)),
    lambda s, h, x, w: (s * F(0.5) + ops.matmul(h, w), h * F(2)),
], ids=["read", "not a sum", "twice", "scaled"])
def test_sums_that_stay(step):
    s, h, x, w = variable("s", (3, 3)), variable("h", (3, 3)), variable("x", (4, 3, 3)), variable("w", (3, 3))
    graph = graph_of(scan(step, [s, h], [x], [w], 4), s, h, x, w)
    after = rewrite(graph, SCANS)
    (loop,) = [n for n in after.nodes if n.op == "scan"]
    assert loop.attributes["num_carry"] == 2
    assert_same(graph, after, rtol=1e-5, atol=1e-5)


# -- recurrent layers -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_layer_and_its_derivative_take_each_step_once(kind):
    """One scan forwards, which the layer is as well, and one back; weights' derivatives are products behind them."""
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind]
    x, w, r, b = variable("x", (5, 2, 3)), variable("w", (1, gates * 4, 3)), variable("r", (1, gates * 4, 4)), variable("b", (1, 2 * gates * 4))
    y, *_ = getattr(ops, kind)(x, w, r, b, present=("b",))
    graph = graph_of((y, *gradients(ops.reduce_sum(y * y), (x, w, r, b))), x, w, r, b)
    after = optimize(graph)
    scans = [n for n in after.nodes if n.op == "scan"]
    assert len(scans) == 2 and count(after)[kind] == 0
    if kind != "gru":  # whose gates are several products
        assert inside(after)["dot_general"] == 2  # the state's, and its cotangent's: the first is kept for the way back
    assert_same(graph, after, rtol=2e-4, atol=1e-5)
    assert count(optimize(graph_of(y, x, w, r, b)))[kind] == 1


# -- one node for all steps -------------------------------------------------------------------------------------------------
def cases():
    x, y, k = variable("x", (3, 4)), variable("y", (3, 4)), variable("k", (4,))
    square, wide = variable("square", (2, 4, 3)), variable("wide", (2, 3, 5))
    yield from (("elementwise", ops.add(x, y), (x, y)), ("elementwise", ops.mul(x, k), (x, k)), ("cast", ops.cast(x, np.float64), (x,)))
    yield from (("reshape", ops.reshape(x, (2, 6)), (x,)), ("broadcast_to", ops.broadcast_to(k, (2, 3, 4)), (k,)))
    yield from (("transpose", ops.transpose(x), (x,)), ("slice", ops.slice(x, (0, 1), (3, 4), (1, 2)), (x,)), ("reverse", ops.reverse(x, (1,)), (x,)))
    yield from ((op, apply(op, x, axes=(1,), keepdims=keep), (x,)) for op in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod") for keep in (False, True))
    yield "pad", ops.pad(x, F(1), (1, 0), (0, 2)), (x,)
    yield "concatenate", ops.concatenate([x, y], 1), (x, y)
    yield "dot_general", ops.dot_general(x, y, contracting=((1,), (1,))), (x, y)
    yield "dot_general", ops.dot_general(square, wide, contracting=((2,), (1,)), batch=((0,), (0,))), (square, wide)


def test_all_rules_have_cases():
    assert {name for name, *_ in cases()} >= set(RULES)


@pytest.mark.parametrize(("node", "operands"), [(made.producer, operands) for _, made, operands in cases()],
                         ids=lambda v: v.op if hasattr(v, "op") else "")
def test_all_steps_at_once(node, operands):
    """For every choice of operands that are stacks: against a scan of the node."""
    for which in range(1, 1 << len(operands)):
        many = [bool(which >> i & 1) for i in range(len(operands))]
        given = [variable(f"x{i}", (5, *t.shape) if m else t.shape) for i, (t, m) in enumerate(zip(operands, many))]
        table = dict(zip(operands, given))
        stacked = [t in operands and many[operands.index(t)] for t in node.inputs]
        made = batched(node, [table.get(t, t) for t in node.inputs], stacked, 5)
        scanned, captured = ([i for i, m in enumerate(many) if m is kind] for kind in (True, False))
        order = [*scanned, *captured]

        def step(*formals, order=order):
            inner = dict(zip((operands[i] for i in order), formals))
            return (apply(node.op, *(inner.get(t, t) for t in node.inputs), **node.attributes),)

        (loop,) = scan(step, [], [given[i] for i in scanned], [given[i] for i in captured], 5)
        assert made is not None and made.type == loop.type
        assert_same(graph_of(loop, *given), graph_of(made, *given), rtol=1e-5, atol=1e-6)

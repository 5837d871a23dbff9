"""Branches, loops, and sizes that only a run knows, compiled: against the interpreter, on every target, with one thread and several."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.codegen import generate
from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph, make_input, symbol, unknown_names, verify
from dlcompile.kernels.schedule import KEPT_COMPOSITES, schedule
from dlcompile.kernels.steps import Call, Loop
from dlcompile.operators.interpreter import evaluate
from dlcompile.runtime import load
from dlcompile.toolchain import build
from dlcompile.transforms import decompose, optimize
from tests.kernels.build import RUNNABLE, close

F, I, B = np.float32, np.int64, np.bool_
N = symbol("n")


def graph(name, inputs, *outputs):
    return Graph(name, inputs, outputs, output_names=[f"y{i}" for i in range(len(outputs))])


def reshaped():
    x, s = make_input("x", F, (3, 4)), make_input("s", I, (2,))
    y = ops.reshape(x * 2.0, ops.dims_of(s + 1))
    return graph("reshaped", [x, s], ops.reduce_sum(y, 0), ops.reshape(y, (12,)) + 1.0, ops.softmax(y, 1))


def large():
    """Work for several threads behind a size from data."""
    x, s = make_input("x", F, (60_000,)), make_input("s", I, ())
    y = ops.reshape(ops.exp(x), (ops.dim_of(s), ops.dim_of(ops.div(np.int64(60_000), ops.maximum(s, np.int64(1))))))
    return graph("large", [x, s], ops.softmax(y, 1), ops.matmul(y, ops.transpose(y)))


def branches():
    p, x, w = make_input("p", B, ()), make_input("x", F, (N, 4)), make_input("w", F, (4, 5))
    a, v = make_input("a", F, (N, 4)), make_input("v", F, (4, 5))
    then = graph("then", [a, v], ops.matmul(a, v), a)
    other = graph("other", [a, v], ops.broadcast_to(ops.reduce_sum(v, 0), (N, 5)), ops.exp(a))
    return graph("branches", [p, x, w], *ops.cond(p, then, other, x + 1.0, w))


def branches_of_other_sizes():
    p, x = make_input("p", B, ()), make_input("x", F, (N, 4))
    a = make_input("a", F, (N, 4))
    then, other = graph("then", [a], ops.slice(a, (0, 1), (N, 3))), graph("other", [a], ops.concatenate([a, a], 0))
    (y,) = ops.cond(p, then, other, x)
    return graph("sizes", [p, x], y, ops.reduce_sum(y, 1), ops.matmul(y, ops.transpose(y)))


def collatz():
    value, steps, limit = (make_input(n, I, ()) for n in ("value", "steps", "limit"))
    condition = graph("condition", [value, steps, limit], ops.logical_and(ops.ne(value, 1), ops.lt(steps, limit)))
    odd = ops.eq(ops.floor_mod(value, 2), 1)
    body = graph("body", [value, steps, limit], ops.select(odd, value * 3 + 1, ops.div(value, 2)), steps + 1, ops.cast(value, F))
    x, most = make_input("x", I, ()), make_input("most", I, ())
    return graph("collatz", [x, most], *ops.while_loop(condition, body, x, np.int64(0), most, num_carry=2))


def growing():
    """A carry that gets longer with every turn, beside one that is used with it."""
    c = symbol("c")
    i, held, total, limit = make_input("i", I, ()), make_input("held", F, (c, 3)), make_input("total", F, (3,)), make_input("limit", I, ())
    condition = graph("condition", [i, held, total, limit], ops.lt(i, limit))
    longer = ops.concatenate([held, ops.reshape(total, (1, 3))], 0)
    body = graph("body", [i, held, total, limit], i + 1, longer, ops.reduce_sum(ops.sin(longer), 0), longer * 2.0)
    x, most = make_input("x", F, (N, 3)), make_input("most", I, ())
    outer = graph("body", body.inputs, *body.outputs[:3], ops.reduce_max(body.outputs[1], 0))
    made = ops.while_loop(condition, outer, np.int64(0), x, np.ones(3, F), most, num_carry=3)
    return graph("growing", [x, most], *made[1:4])


def running_sums():
    total, row, weight = (make_input(n, F, (N,)) for n in ("total", "row", "weight"))
    after = total * weight + row
    body = graph("body", [total, row, weight], after, ops.reduce_max(after), after)
    x, w = make_input("x", F, (7, N)), make_input("w", F, (N,))
    return graph("sums", [x, w], *ops.scan(body, np.zeros((), F) + ops.reduce_sum(x * 0.0, 0), x, w, num_carry=1, num_scanned=1, length=7),
                 *ops.scan(body, w, x, w, num_carry=1, num_scanned=1, length=7, reverse=True))


def nested():
    """A loop in a branch in a loop, reading what is around it."""
    t, row, flag, w = make_input("t", F, (4,)), make_input("row", F, (4,)), make_input("flag", B, ()), make_input("w", F, (4, 4))
    inner_carry, scale = make_input("k", F, (4,)), make_input("scale", F, (4, 4))
    inner = graph("inner", [inner_carry, scale], ops.tanh(ops.matmul(scale, inner_carry)))
    a, v = make_input("a", F, (4,)), make_input("v", F, (4, 4))
    then = graph("then", [a, v], ops.scan(inner, a, v, num_carry=1, num_scanned=0, length=3)[0])
    other = graph("other", [a, v], ops.neg(a))
    (taken,) = ops.cond(flag, then, other, t + row, w)
    body = graph("body", [t, row, flag, w], taken, taken * 2.0)
    x, flags, weights, start = make_input("x", F, (5, 4)), make_input("flags", B, (5,)), make_input("weights", F, (4, 4)), make_input("s", F, (4,))
    return graph("nested", [start, x, flags, weights], *ops.scan(body, start, x, flags, weights, num_carry=1, num_scanned=2, length=5))


def rng(*shape):
    return np.random.default_rng(sum(shape) + 1).standard_normal(shape).astype(F)


CASES = {
    reshaped: [[rng(3, 4), np.array(s)] for s in [(1, 5), (0, 11), (11, 0), (3, 2)]],
    large: [[rng(60_000), I(60)], [rng(60_000), I(1)], [rng(60_000), I(600)]],
    branches: [[B(p), rng(n, 4), rng(4, 5)] for p in (True, False) for n in (1, 300, 0)],
    branches_of_other_sizes: [[B(p), rng(n, 4)] for p in (True, False, True) for n in (2, 130, 1, 0)],
    collatz: [[I(27), I(1000)], [I(1), I(5)], [I(97), I(10)], [I(8), I(0)]],
    growing: [[rng(2, 3), I(4)], [rng(1, 3), I(0)], [rng(0, 3), I(50)], [rng(7, 3), I(1)]],
    running_sums: [[rng(7, n), rng(n)] for n in (3, 1, 20_000)],
    nested: [[rng(4), rng(5, 4), np.array(f), rng(4, 4)] for f in ([True] * 5, [False, True, False, True, True])],
}


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize("target", RUNNABLE, ids=lambda t: t.name)
@pytest.mark.parametrize("make", CASES, ids=lambda f: f.__name__)
def test_the_same_as_the_interpreter(make, target, optimized, tmp_path):
    with unknown_names():
        made = make()
    whole = verify(optimize(made, check=True) if optimized else decompose(made, KEPT_COMPOSITES))
    path = build(generate(schedule(whole, target), target), tmp_path / "model.so")
    for threads in (1, 3):
        model = load(path, threads=threads)
        for arrays in CASES[make] * 2:
            results = model(*arrays)
            for i, (got, wanted) in enumerate(zip(results if isinstance(results, tuple) else (results,), evaluate(made, arrays), strict=True)):
                close(got, wanted, 1e-5, f"{make.__name__}, output {i}")


def test_sizes_that_cannot_be_are_errors(tmp_path):
    target = RUNNABLE[0]
    model = load(build(generate(schedule(optimize(reshaped()), target), target), tmp_path / "model.so"))
    x = rng(3, 4)
    with pytest.raises(ArgumentError, match="needs 12 and u.*u.* to be equal; they are 12 and 18"):
        model(x, np.array([2, 5]))
    with pytest.raises(ArgumentError, match="a dimension is -1"):
        model(x, np.array([-2, 5]))
    assert model(x, np.array([1, 5]))[2].shape == (2, 6)
    with pytest.raises(ArgumentError, match="known only after a run"):
        model(x, np.array([1, 5]), out=(np.zeros(6, F), np.zeros(12, F), np.zeros((2, 6), F)))


def test_what_every_turn_would_pack_is_packed_once():
    """A weight that a loop captures is packed before it, once for all products with it; what a turn computes is not."""
    h, x, w = make_input("h", F, (20, 32)), make_input("x", F, (5, 20, 32)), make_input("w", F, (32, 32))
    a, b, v = (make_input(n, F, s) for n, s in (("a", (20, 32)), ("b", (20, 32)), ("v", (32, 32))))
    body = graph("step", [a, b, v], ops.tanh(ops.matmul(a, v) + ops.matmul(b, ops.transpose(ops.matmul(b, v))) @ v[:20]), ops.matmul(a, v))
    made = ops.scan(body, h, x, w, num_carry=1, num_scanned=1, length=5)
    program = schedule(graph("loop", [h, x, w], *made), "x86-64")
    loops = [s for s in program.steps if isinstance(s, Loop)]
    before = [s.form for s in program.steps if isinstance(s, Call)]
    within = [s.form for s in loops[0].body if isinstance(s, Call)]
    assert len(loops) == 1 and before.count("pack") == 2 and within.count("pack") == 1  # w and its first rows; a product of the turn

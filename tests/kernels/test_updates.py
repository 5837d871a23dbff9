"""Outputs that are the next values of inputs, written over these: against the interpreter, with one array for both and with two."""
from __future__ import annotations

import ctypes

import numpy as np
import pytest

import dlcompile as dlc
from dlcompile import ops
from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph, make_input, symbol
from dlcompile.operators import evaluate

F = np.float32
RNG = np.random.default_rng(11)


def graph(inputs: dict[str, tuple], function) -> Graph:
    """The graph of function(tensors) → {name: tensor}."""
    tensors = {name: make_input(name, F, shape) for name, shape in inputs.items()}
    outputs = function(**tensors)
    return Graph("train", list(tensors.values()), list(outputs.values()), output_names=list(outputs))


def adam(x, w, m, v):
    slope = ops.matmul(ops.transpose(x), ops.matmul(x, w) - 1.0)
    m_next, v_next = m + (slope - m) * F(0.1), v + (slope * slope - v) * F(0.01)
    return {"loss": ops.reduce_sum(slope * slope), "w_next": w - m_next / (ops.sqrt(v_next) + F(1e-3)), "m_next": m_next, "v_next": v_next}


def averaged(w, e):
    w_next = w * F(0.9) + 1.0
    return {"w_next": w_next, "e_next": e + (w_next - e) * F(0.1), "y": ops.reduce_mean(w)}  # read after and before


def loop(w, x):
    body_w, body_x = make_input("a", F, (300,)), make_input("b", F, (300,))
    body = Graph("body", [body_w, body_x], [ops.tanh(body_w + body_x), body_w * F(2)])
    last, stack = ops.scan(body, w, x, num_carry=1, num_scanned=1, length=4)
    return {"w_next": last, "y": ops.reduce_mean(stack, 0) + w}


CASES = {  # name: (inputs, function, updates, how many values are copied at the end)
    "an optimizer's step": ({"x": (40, 300), "w": (300, 70), "m": (300, 70), "v": (300, 70)}, adam, {"w_next": "w", "m_next": "m", "v_next": "v"}, 0),
    "an average": ({"w": (50_000,), "e": (50_000,)}, averaged, {"w_next": "w", "e_next": "e"}, 0),
    "behind a product": ({"x": (64, 90), "w": (90, 48), "b": (64, 48)}, lambda x, w, b: {"b_next": ops.tanh(ops.matmul(x, w)) + b}, {"b_next": "b"}, 0),
    "a product of itself": ({"w": (80, 80)}, lambda w: {"w_next": ops.matmul(w, w) * F(0.01)}, {"w_next": "w"}, 1),
    "transposed": ({"w": (130, 130)}, lambda w: {"w_next": ops.transpose(w) + 1.0}, {"w_next": "w"}, 1),
    "shifted": ({"w": (5000,)}, lambda w: {"w_next": ops.concatenate([w[1:], w[:1]])}, {"w_next": "w"}, 1),
    "normalised": ({"w": (30, 70)}, lambda w: {"w_next": w / ops.reduce_sum(w * w, 1, keepdims=True)}, {"w_next": "w"}, 1),
    "two that change places": ({"a": (20_000,), "b": (20_000,)}, lambda a, b: {"a_next": b + 1.0, "b_next": a * F(2)}, {"a_next": "a", "b_next": "b"}, 1),
    "read behind what it makes": ({"w": (20_000,)}, lambda w: {"w_next": (n := ops.exp(-w)), "y": ops.cumsum(n, 0) + w}, {"w_next": "w"}, 1),
    "handed on": ({"w": (20_000,), "x": (3,)}, lambda w, x: {"w_next": w, "y": ops.reduce_mean(w) + x}, {"w_next": "w"}, 0),
    "the end of a loop": ({"w": (300,), "x": (4, 300)}, loop, {"w_next": "w"}, 0),
    "a number": ({"n": (), "x": (5,)}, lambda n, x: {"n_next": n + 1.0, "y": x * n}, {"n_next": "n"}, 0),
    "nothing": ({"w": (0, 4), "x": (3,)}, lambda w, x: {"w_next": w + 1.0, "y": x * F(2)}, {"w_next": "w"}, 0),
}


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_updates(name, threads):
    inputs, function, updates, copies = CASES[name]
    g = graph(inputs, function)
    model = dlc.compile(g, updates=updates, threads=threads, cache=False)
    values = {n: RNG.standard_normal(shape).astype(F) if n != "v" else RNG.random(shape).astype(F) for n, shape in inputs.items()}
    expected = dict(zip(g.output_names, evaluate(g, values)))
    assert sum("copy" in call.operators for call in model.info.calls) <= copies

    def check(found):
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, rtol=3e-5, atol=3e-5, err_msg=key)

    kept = {n: v.copy() for n, v in values.items()}
    check(model.run(values))
    for n, v in kept.items():
        np.testing.assert_array_equal(values[n], v, err_msg=f"{n} was written to")
    of = {new: old for new, old in updates.items()}
    out = tuple(values[of[n]] if n in of else np.empty(t.shape, F) for n, t in zip(g.output_names, g.outputs))
    made = model(*values.values(), out=out)
    check(dict(zip(g.output_names, made if isinstance(made, tuple) else (made,))))
    assert all(a is b for a, b in zip(out, made if isinstance(made, tuple) else (made,)))


def test_sizes_that_only_a_call_knows():
    n = symbol("n")
    g = graph({"w": (n, 3), "x": (n, 3)}, lambda w, x: {"w_next": w + x})
    model = dlc.compile(g, updates={"w_next": "w"}, cache=False)
    for count in (0, 1, 700):
        w, x = (RNG.standard_normal((count, 3)).astype(F) for _ in range(2))
        expected = w + x
        np.testing.assert_array_equal(model(w, x), expected)
        np.testing.assert_array_equal(model(w, x, out=w), expected)


def test_an_array_that_only_overlaps_is_not_written_in_place():
    g = graph({"w": (100,)}, lambda w: {"w_next": w * F(2)})
    model = dlc.compile(g, updates={"w_next": "w"}, cache=False)
    memory = RNG.standard_normal(101).astype(F)
    expected = memory[1:] * 2
    model(memory[1:], out=memory[:-1])
    np.testing.assert_array_equal(memory[:-1], expected)


def test_from_c(tmp_path):
    """The header says which array may be which, and one pointer for both is enough."""
    g = graph({"w": (1000,), "x": (1000,)}, lambda w, x: {"w_next": w - x, "y": ops.reduce_sum(w)})
    path = dlc.compile(g, updates={"w_next": "w"}, cache=False).save(tmp_path / "train.so")
    assert "the next value of w" in path.with_suffix(".h").read_text()
    library = ctypes.CDLL(str(path))
    library.train_create.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.train_create(None))
    w, x, y = np.arange(1000, dtype=F), np.ones(1000, F), np.zeros((), F)
    pointer = lambda a: ctypes.c_void_p(a.ctypes.data)  # noqa: E731
    for turn in range(3):
        assert library.train_run(context, pointer(w), pointer(x), pointer(w), pointer(y)) == 0
        np.testing.assert_array_equal(w, np.arange(1000, dtype=F) - (turn + 1))
    library.train_destroy(context)


@pytest.mark.parametrize(("updates", "message"), [
    ({"next": "w"}, "no output is called 'next'; the outputs are w_next, y"),
    ({"w_next": "v"}, "no input is called 'v'; the inputs are w, x"),
    ({"y": "w"}, r"y is float32\[\] and cannot be the next value of w, which is float32\[4\]"),
    ({"w_next": "w", "y": "w"}, "y is"),
])
def test_what_is_no_update(updates, message):
    g = graph({"w": (4,), "x": (4,)}, lambda w, x: {"w_next": w + x, "y": ops.reduce_sum(w)})
    with pytest.raises(ArgumentError, match=message):
        dlc.compile(g, updates=updates, cache=False)

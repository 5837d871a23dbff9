"""Optimizers against their formulas, over some steps: at once, and as compiled steps."""
from __future__ import annotations

import numpy as np
import pytest

import dlcompile
from dlcompile import optimizers
from dlcompile.graph import Graph, make_input
from dlcompile.operators import evaluate
from dlcompile.variables import Variable, tracing
from tests.optimizers import reference

RATE = 0.0625  # the same in float32 and in float64
CASES = {
    "sgd": optimizers.SGD(RATE), "momentum": optimizers.SGD(RATE, 0.9), "nesterov": optimizers.SGD(RATE, 0.9, nesterov=True),
    "rmsprop": optimizers.RMSprop(RATE), "rmsprop_centered": optimizers.RMSprop(RATE, 0.8, 0.5, 1e-3, centered=True), "adam": optimizers.Adam(RATE),
    "amsgrad": optimizers.Adam(RATE, 0.5, 0.6, amsgrad=True), "adamw": optimizers.AdamW(RATE), "adamax": optimizers.Adamax(RATE),
    "adagrad": optimizers.Adagrad(RATE), "adadelta": optimizers.Adadelta(RATE), "nadam": optimizers.Nadam(RATE),
    "ftrl": optimizers.Ftrl(RATE, l1_regularization_strength=0.01, l2_regularization_strength=0.02, l2_shrinkage_regularization_strength=0.03, beta=0.1),
    "lion": optimizers.Lion(RATE),
}
STEPS = 6


def gradients(dtype):
    """Gradients of two variables for each step: of changing sign and size, and some 0."""
    rng = np.random.default_rng(2)
    return [[(rng.normal(size=shape) * 10.0**rng.integers(-2, 2) * (rng.uniform(size=shape) > 0.2)).astype(dtype) for shape in ((3, 4), (5,))]
            for _ in range(STEPS)]


def expected(name, dtype):
    """The variables after each step."""
    states, values = [{}, {}], [w.astype(np.float64) for w in start(dtype)]
    for t, grads in enumerate(gradients(dtype), 1):
        values = [getattr(reference, name)(w, g.astype(np.float64), t, s, RATE) for w, g, s in zip(values, grads, states)]
        yield values


def start(dtype):
    rng = np.random.default_rng(3)
    return [rng.normal(size=shape).astype(dtype) for shape in ((3, 4), (5,))]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_at_once(name, dtype):
    optimizer = type(CASES[name]).from_config(CASES[name].get_config())
    variables = [Variable(w) for w in start(dtype)]
    tolerance = {"rtol": 2e-7, "atol": 1e-9} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-5}  # constants are float32 in between
    for grads, values in zip(gradients(dtype), expected(name, dtype)):
        optimizer.apply(grads, variables)
        for variable, value in zip(variables, values):
            np.testing.assert_allclose(variable.numpy(), value, **tolerance)
    assert int(optimizer.iterations) == STEPS


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_as_a_compiled_step(backend):
    """All of them in one graph, whose variables go in and come out."""
    g = [make_input(f"g{i}", np.float32, shape) for i, shape in enumerate(((3, 4), (5,)))]
    made = {name: ([Variable(w) for w in start("float32")], type(o).from_config(o.get_config())) for name, o in CASES.items()}
    with tracing() as trace:
        for variables, optimizer in made.values():
            optimizer.apply_gradients(zip(g, variables))
    written, read = list(trace.written), list(trace.read)
    graph = Graph("step", [*g, *trace.read.values()], [trace.written[v] for v in written], input_names=[f"i{i}" for i in range(2 + len(read))],
                  output_names=[f"o{i}" for i in range(len(written))])
    step = (lambda *a: evaluate(graph, a)) if backend == "numpy" else dlcompile.compile(graph)
    wanted = {name: list(expected(name, "float32")) for name in CASES}
    for t, grads in enumerate(gradients("float32")):
        for variable, value in zip(written, step(*grads, *(v.numpy() for v in read))):
            variable.assign(value)
        for name, (variables, optimizer) in made.items():
            assert int(optimizer.iterations) == t + 1
            for variable, value in zip(variables, wanted[name][t]):
                np.testing.assert_allclose(variable.numpy(), value, rtol=2e-4, atol=2e-5, err_msg=f"{name}, step {t}")

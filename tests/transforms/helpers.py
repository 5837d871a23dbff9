"""What the tests of transforms share: run a graph before and after, and count what is in it."""
from __future__ import annotations

from collections import Counter

import numpy as np

from dlcompile.graph import Graph, Tensor, make_input, verify
from dlcompile.graph import evaluate as evaluate_dim
from dlcompile.operators.interpreter import evaluate

RNG = np.random.default_rng(20240229)


def graph_of(outputs: Tensor | tuple[Tensor, ...], *inputs: Tensor) -> Graph:
    """A checked graph with the given outputs."""
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return verify(Graph("test", inputs, outputs))


def variable(name: str, shape, dtype=np.float32) -> Tensor:
    return make_input(name, dtype, shape)


def weights(*shape: int, dtype=np.float32) -> np.ndarray:
    """Random constants, none of them 0 or 1."""
    return (RNG.uniform(0.25, 0.9, shape) * RNG.choice([-1, 1], shape)).astype(dtype)


def values_for(graph: Graph, *, special: bool = False, **dims: int) -> dict[str, np.ndarray]:
    """Random inputs; symbols have the values of `dims`. With `special`, NaN, infinities and zeros are among them."""
    values = {}
    for name, tensor in zip(graph.input_names, graph.inputs):
        shape = tuple(evaluate_dim(d, dims) for d in tensor.shape)
        if tensor.dtype.kind == "f":
            value = RNG.standard_normal(shape).astype(tensor.dtype)
            if special and value.size:
                chosen = RNG.random(shape) < 0.2
                value[chosen] = RNG.choice(np.array([np.nan, np.inf, -np.inf, 0, -0.0], tensor.dtype), chosen.sum())
        elif tensor.dtype.kind == "b":
            value = RNG.random(shape) < 0.5
        else:
            value = RNG.integers(0, 3, shape).astype(tensor.dtype)
        values[name] = value
    return values


def assert_same(before: Graph, after: Graph, *, rtol: float = 0, atol: float = 0, special: bool = False, **dims: int) -> None:
    """Both graphs are well formed, have the same interface and the same values on random inputs."""
    verify(after)
    assert after.input_names == before.input_names and after.output_names == before.output_names
    assert [t.type for t in after.inputs] == [t.type for t in before.inputs]
    assert [t.type for t in after.outputs] == [t.type for t in before.outputs]
    values = values_for(before, special=special, **dims)
    with np.errstate(all="ignore"):
        results = zip(before.output_names, evaluate(after, values), evaluate(before, values))
    for name, actual, expected in results:
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True, err_msg=name)


def count(graph: Graph) -> Counter[str]:
    """How many nodes of each operator."""
    return Counter(node.op for node in graph.nodes)


def operators(graph: Graph) -> list[str]:
    """The operators in order."""
    return [node.op for node in graph.nodes]

"""What the tests of derivatives share: derivatives against differences of the function itself, in float64 with the interpreter."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dlcompile import ops
from dlcompile.autodiff import gradients
from dlcompile.graph import Graph, Tensor, is_float, make_input, symbol, verify
from dlcompile.operators import evaluate

RNG = np.random.default_rng(20240229)
F64 = np.dtype(np.float64)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def graph_of(name: str, inputs: Sequence[Tensor], *outputs: Tensor) -> Graph:
    return Graph(name, inputs, outputs, output_names=[f"result{i}" for i in range(len(outputs))])


def scalar(name: str, dtype=np.float64) -> Tensor:
    return make_input(name, dtype, ())


def run(function: Callable, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The results of a function of tensors, for arrays."""
    inputs = [make_input(f"x{i}", a.dtype, a.shape) for i, a in enumerate(arrays)]
    made = function(*inputs)
    return evaluate(verify(graph_of("run", inputs, *(made if isinstance(made, (tuple, list)) else (made,)))), arrays)


def derivative(function: Callable, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The derivatives of the sum of a function by its arguments."""
    arrays = tuple(np.asarray(a) for a in arrays)
    return run(lambda *xs: gradients(function(*xs), xs), *arrays)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All elements, one after the other."""
    return ops.concatenate([ops.reshape(t, (t.type.size,)) for t in tensors])


def check(function: Callable, *arrays: np.ndarray, order: int = 1, symbolic: bool = False, dims: Mapping[int, tuple] | None = None,
          step: float = 1e-6, rtol: float = 2e-6, atol: float = 2e-7) -> None:
    """The derivatives of Σ w·f by each float argument, in a random direction, and what a difference of the function gives.

    order 2: of the derivatives of Σ w·f². `symbolic`: each extent above 1 of a float is a symbol, equal ones the same; `dims` gives the shapes of some
    arguments.
    """
    arrays = [np.asarray(a) for a in arrays]
    if order == 2:
        def first(*xs: Tensor) -> Tensor:
            y = function(*xs)
            return flat(gradients(ops.mul(y, y), [x for x in xs if is_float(x.dtype)]))

        return check(first, *arrays, symbolic=symbolic, dims=dims, step=step, rtol=10 * rtol, atol=10 * atol)

    def shape(i: int, a: np.ndarray) -> tuple:
        if dims and i in dims:
            return dims[i]
        return tuple(symbol(f"d{n}") if symbolic and n > 1 and a.dtype == F64 else n for n in a.shape)

    inputs = [make_input(f"x{i}", a.dtype, shape(i, a)) for i, a in enumerate(arrays)]
    y = function(*inputs)
    (value,) = evaluate(Graph("f", inputs, (y,)), arrays)
    weighted = Graph("weighted", inputs, (ops.reduce_sum(ops.mul(y, RNG.normal(size=np.shape(value)))),))
    floats = [i for i, t in enumerate(inputs) if t.dtype == F64]
    found = evaluate(verify(graph_of("derivatives", inputs, *gradients(weighted.outputs[0], [inputs[i] for i in floats]))), arrays)
    for i, derivative_ in zip(floats, found):
        assert derivative_.shape == arrays[i].shape and derivative_.dtype == F64
        direction = RNG.normal(size=arrays[i].shape)
        ahead, behind = (evaluate(weighted, [a + s * direction if j == i else a for j, a in enumerate(arrays)])[0] for s in (step, -step))
        np.testing.assert_allclose(np.sum(derivative_ * direction), (ahead - behind) / (2 * step), rtol=rtol, atol=atol, err_msg=f"argument {i}")

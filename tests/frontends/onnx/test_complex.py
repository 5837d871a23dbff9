"""Complex numbers, where an operator has them: against NumPy, and against the operator on real and imaginary parts."""
import numpy as np
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

import dlcompile
from dlcompile import ops
from dlcompile.errors import DTypeError
from dlcompile.frontends.onnx import import_onnx
from dlcompile.graph import make_input
from dlcompile.operators import evaluate

HEADER = '<ir_version: 10, opset_import: ["" : 22]>\n'
TYPES = [("complex64", np.complex64), ("complex128", np.complex128)]


def numbers(*shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def results(text: str, *arrays: np.ndarray):
    """Of the compiled model, and of the interpreter."""
    proto = onnx.parser.parse_model(HEADER + text)
    compiled = dlcompile.compile(proto, cache=False)(*arrays)
    return (compiled if isinstance(compiled, tuple) else (compiled,)), evaluate(import_onnx(proto), arrays)


@pytest.mark.parametrize("name, dtype", TYPES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample(name, dtype, mode, padding):
    x, grid = numbers(1, 2, 3, 4, dtype=dtype), np.random.default_rng(1).uniform(-1.3, 1.3, (1, 3, 2, 2)).astype(np.float32)
    text = f'g ({{}}[1, 2, 3, 4] x, float[1, 3, 2, 2] grid) => (y) {{{{ y = GridSample<mode = "{mode}", padding_mode = "{padding}">(x, grid) }}}}'
    of_parts = ReferenceEvaluator(onnx.parser.parse_model(HEADER + text.format("double")))
    re, im = (of_parts.run(None, {"x": np.ascontiguousarray(part, np.float64), "grid": grid})[0] for part in (x.real, x.imag))
    for (y,) in results(text.format(name), x, grid):
        assert y.dtype == dtype
        np.testing.assert_allclose(y, re + 1j * im, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name, dtype", TYPES)
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
@pytest.mark.parametrize("in_order", [0, 1])
def test_unique(name, dtype, axis, in_order):
    x = np.random.default_rng(3).choice(np.array([0, 1, 1j, -1, 1 + 1j, 1 - 1j, -1 - 1j], dtype), (4, 3, 2))
    for a in range(3):
        x = np.take(x, [0, 1, 0, *range(1, x.shape[a])], a)
    attributes = f"sorted = {in_order}" + ("" if axis is None else f", axis = {axis}")
    values, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    if not in_order:
        order = np.argsort(first)
        values, first, counts = np.take(values, order, axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    text = f"g ({name}[a, b, c] x) => (y, first, inverse, counts) {{ y, first, inverse, counts = Unique<{attributes}>(x) }}"
    for got in results(text, x):
        for value, wanted in zip(got, (values, first, inverse.reshape(-1), counts), strict=True):
            np.testing.assert_array_equal(value, wanted)


@pytest.mark.parametrize("name, dtype", TYPES)
@pytest.mark.parametrize("reduction, combine", [("add", np.add), ("mul", np.multiply)])
def test_scatter(name, dtype, reduction, combine):
    x, u, index = numbers(3, 4, dtype=dtype), numbers(2, 4, dtype=dtype, seed=1), np.array([[2], [0]])
    expected = x.copy()
    combine.at(expected, index[:, 0], u)
    text = f'g ({name}[3, 4] x, int64[2, 1] i, {name}[2, 4] u) => (y) {{ y = ScatterND<reduction = "{reduction}">(x, i, u) }}'
    for (y,) in results(text, x, index, u):
        np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.complex64, object])
def test_what_has_no_order_or_no_sum(dtype):
    """An error of its type, rather than C that does not compile."""
    x, i = make_input("x", dtype, (3, 4)), make_input("i", np.int64, (3, 4))
    refused = [lambda: ops.lt(x, x), lambda: ops.maximum(x, x), lambda: ops.abs(x), lambda: ops.pow(x, x), lambda: ops.reduce_max(x, 1),
               lambda: ops.argmax(x, 1), lambda: ops.sort(x), lambda: ops.scatter_elements(x, i, x, 0, "max")]
    if dtype is object:
        refused += [lambda: ops.add(x, x), lambda: ops.reduce_sum(x, 1), lambda: ops.cumsum(x, 1), lambda: ops.matmul(x, x),
                    lambda: ops.scatter_elements(x, i, x, 0, "add"), lambda: ops.relu(x)]
    for make in refused:
        with pytest.raises(DTypeError):
            make()

"""Dimensions that are known only when the model runs."""
import numpy as np
import pytest

import dlcompile.operators  # noqa: F401  (fills the table)
from dlcompile import ops
from dlcompile.errors import ExecutionError
from dlcompile.graph import Graph, make_input, unknown_names, verify
from dlcompile.operators.interpreter import evaluate
from dlcompile.transforms import optimize
from dlcompile.transforms.pin import pin, pin_defined


def reshaped() -> Graph:
    """reduce_sum(reshape(2x, s + 1), 0)"""
    x, s = make_input("x", np.float32, (3, 4)), make_input("s", np.int64, (2,))
    with unknown_names():
        y = ops.reduce_sum(ops.reshape(x * 2.0, ops.dims_of(s + 1)), 0)
    return Graph("g", [x, s], [y], output_names=["y"])


@pytest.mark.parametrize("transform", [lambda g: g, lambda g: optimize(g, check=True)])
@pytest.mark.parametrize("shape", [(3, 4), (1, 12), (12, 1), (6, 2)])
def test_a_shape_from_data(shape, transform):
    graph = verify(transform(reshaped()))
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    (y,) = evaluate(graph, {"x": x, "s": np.array(shape) - 1})
    np.testing.assert_array_equal(y, 2 * x.reshape(shape).sum(0))


def test_names_are_the_same_each_time():
    assert str(reshaped()) == str(reshaped())
    assert {*reshaped().definitions} == {"u0", "u1"}


def test_what_cannot_be_is_an_error():
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(ExecutionError, match="u0.u1 = 18 must be equal"):
        evaluate(reshaped(), {"x": x, "s": np.array([2, 5])})
    with pytest.raises(ExecutionError, match="a dimension is -1"):
        evaluate(reshaped(), {"x": x, "s": np.array([-2, 5])})


def test_known_values_are_no_symbols():
    x = make_input("x", np.float32, (3, 4))
    assert ops.dims_of(ops.shape_of(x)) == (3, 4)
    assert ops.dim_of(np.int64(7)) == 7


def test_definitions_that_become_constants_go():
    x = make_input("x", np.float32, (12,))
    count = ops.reduce_sum(np.array([1, 3], np.int64))
    y = ops.reshape(x, (ops.dim_of(count), 3))
    graph = pin_defined(optimize(Graph("g", [x], [y], output_names=["y"])))
    assert not graph.definitions and graph.outputs[0].shape == (4, 3)


def test_a_pinned_definition_is_gone():
    graph = pin(reshaped(), {"u0": 2})
    assert {*graph.definitions} == {"u1"}
    assert str(verify(graph).nodes[-1].inputs[0].type) == "float32[2, u1]"


def test_a_body_takes_symbols_from_around_it():
    """A body that mentions a dimension of the graph around it does not define it."""
    x, s = make_input("x", np.float32, (6,)), make_input("s", np.int64, ())
    k = ops.dim_of(s)
    rows = ops.reshape(x, (k, 2))
    carry, row = make_input("carry", np.float32, (2,)), make_input("row", np.float32, (2,))
    body = Graph("body", [carry, row], [carry + row, ops.broadcast_to(ops.reduce_sum(row), (k,))])
    assert {str(f) for f in body.free_symbols} == {str(k)}
    last, stacked = ops.scan(body, np.zeros(2, np.float32), rows, num_carry=1, num_scanned=1, length=k)
    graph = verify(Graph("g", [x, s], [last, stacked], output_names=["last", "stacked"]))
    data = np.arange(6, dtype=np.float32)
    a, b = evaluate(optimize(graph, check=True), {"x": data, "s": np.int64(3)})
    np.testing.assert_array_equal(a, data.reshape(3, 2).sum(0))
    np.testing.assert_array_equal(b, np.broadcast_to(data.reshape(3, 2).sum(1)[:, None], (3, 3)))

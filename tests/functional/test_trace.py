"""Functions become graphs."""
from __future__ import annotations

import numpy as np
import pytest

import dlcompile as dlc
from dlcompile import ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.functional import TensorSpec, trace
from dlcompile.graph import symbol, verify
from dlcompile.operators import evaluate

F = np.float32


def test_a_graph_with_symbols():
    graph = verify(trace(lambda x, w: ops.softmax(x @ w), TensorSpec(("batch", 3)), TensorSpec((3, 2)), name="classifier"))
    assert graph.name == "classifier" and graph.input_names == ("x", "w") and graph.output_names == ("output",)
    assert graph.outputs[0].shape == (symbol("batch"), 2)
    x, w = np.ones((4, 3), F), np.ones((3, 2), F)
    np.testing.assert_allclose(evaluate(graph, [x, w])[0], np.full((4, 2), 0.5), rtol=1e-6)
    np.testing.assert_allclose(dlc.compile(graph, cache=False)(x, w), np.full((4, 2), 0.5), rtol=1e-6)


def test_dimensions():
    n = symbol("n")
    spec = TensorSpec((2, "n", "2*n + 1", None, n), "float64")
    graph = trace(lambda a, b: (a, b), spec, TensorSpec((None,)))
    assert [str(d) for d in graph.inputs[0].shape] == ["2", "n", "2*n + 1", "a_3", "n"]
    assert [str(d) for d in graph.inputs[1].shape] == ["b_0"]
    assert str(spec) == "TensorSpec(float64[2, n, 2*n + 1, None, n])"


@pytest.mark.parametrize("shape, message", [((-1,), "-1 is no dimension"), ((1.5,), "1.5 is no dimension"), (3, "must be a sequence"), ("n", "must be a seq"),
                                            (("n+",), "not a dimension expression"), ((True,), "True is no dimension")])
def test_shapes_that_are_none(shape, message):
    with pytest.raises(ArgumentError, match=message):
        TensorSpec(shape)


def test_element_types():
    assert TensorSpec((), "bfloat16").dtype.name == "bfloat16" and TensorSpec((2,)).dtype == F
    with pytest.raises(ArgumentError, match="float128|longdouble"):
        TensorSpec((), np.longdouble)


def test_names_by_place():
    def model(params, *rest, scale):
        return {"logits": params["w"][0] * scale, "aux": (rest[0], [rest[1], None])}

    graph = trace(lambda params, *rest: model(params, *rest, scale=2.0), {"w": [np.ones(2, F)], "b": TensorSpec((3,), name="bias")}, F(1), np.int64(2))
    assert graph.input_names == ("bias", "params_w_0", "rest_0", "rest_1")
    assert graph.output_names == ("aux_0", "aux_1_0", "logits")
    assert trace(lambda x: (x, x), F(1)).output_names == ("output_0", "output_1")
    assert trace(lambda x: {"x": x, "y": {"x": x}}, F(1)).output_names == ("x", "y_x")
    assert trace(lambda a_b, a: {"a_b": a["b"], "a": {"b": a_b}}, F(1), {"b": F(1)}).input_names == ("a_b", "a_b_1")


def test_results_that_are_no_tensors():
    graph = trace(lambda x: (np.arange(3), 2.5, [1, 2], x), F(1))
    assert [str(t.type) for t in graph.outputs] == ["int64[3]", "float32[]", "int64[2]", "float32[]"]
    with pytest.raises(ArgumentError, match=r"model: the result \[0\]\['a'\]: object is no array"):
        trace(lambda x: ({"a": object()},), F(1), name="model")


def test_arguments_that_are_none():
    with pytest.raises(ArgumentError, match=r"model: argument params\['w'\]: object is no array; expected a TensorSpec or an array"):
        trace(lambda x, params: x, F(1), {"w": object()}, name="model")


def test_errors_name_the_function():
    def broken(x, y):
        return x + y

    with pytest.raises(ShapeError, match="^broken: add: .*3 and 4 differ"):
        trace(broken, np.ones(3, F), np.ones(4, F))


def test_a_truth_that_is_not_known():
    """An `if` on a tensor cannot be recorded."""
    with pytest.raises(TypeError, match="ops.select, ops.cond"):
        trace(lambda x: x if x > 0.0 else -x, F(1))


def test_a_tensor_of_another_trace():
    def outer(x):
        trace(lambda y: x * y, F(1), name="inner")
        return x

    with pytest.raises(ArgumentError, match="inner: it uses <Tensor x: .*> of another trace"):
        trace(outer, F(1))


def test_bodies_of_loops_are_traced_too():
    def powers(x):
        body = trace(lambda state, factor: (state * factor, state), x, x, name="step")
        return ops.scan(body, ops.full((3,), F(1)), x, num_carry=1, num_scanned=0, length=4)[1]

    graph = verify(trace(powers, TensorSpec((3,))))
    np.testing.assert_allclose(evaluate(graph, [F([1, 2, 3])])[0], np.array([1, 2, 3]) ** np.arange(4)[:, None])


def test_sizes_that_data_decides_have_names_of_their_own():
    graph = verify(trace(lambda x: ops.reduce_sum(ops.compress(x > 0.0, x)), TensorSpec(("u0",))))
    assert evaluate(graph, [F([1, -2, 3])])[0] == 4
    assert set(graph.definitions) == {"u1"}


def test_what_is_exported():
    proto = dlc.export_onnx(trace(lambda x: {"y": ops.relu(x)}, TensorSpec(("n", 3)), name="net"), opset=20)
    assert [i.name for i in proto.graph.input] == ["x"] and [o.name for o in proto.graph.output] == ["y"]


def test_public_names():
    for name in ("trace", "jit", "grad", "value_and_grad", "gradients", "stop_gradient", "custom_vjp", "TensorSpec"):
        assert getattr(dlc, name) is getattr(dlc.functional, name) and name in dlc.__all__

"""Symbolic tensors, and functions and operators on them."""
from __future__ import annotations

import numpy as np
import pytest

from dlcompile import activations, layers, models, ops
from dlcompile.errors import ArgumentError, DTypeError, ShapeError
from dlcompile.layers import Input, InputSpec, KerasTensor
from tests.layers.helpers import normal


def test_input() -> None:
    x = Input((28, None, 1), name="image")
    assert (x.shape, x.dtype, x.name, x.rank) == ((None, 28, None, 1), "float32", "image", 4)
    assert Input((3,), batch_size=8).shape == (8, 3) and Input(batch_shape=(None, 2), dtype="int32").dtype == "int32"
    assert Input(()).shape == (None,)
    assert str(x.type) == "float32[batch, 28, image_2, 1]"
    for arguments in ({}, {"shape": (2,), "batch_shape": (1, 2)}, {"shape": (-1,)}, {"shape": (2.5,)}, {"shape": (2,), "sparse": True},
                      {"batch_shape": ()}):
        with pytest.raises(ArgumentError):
            Input(**arguments)
    with pytest.raises(ArgumentError, match="element type|dtype"):
        Input((2,), dtype="float31")


def test_a_symbolic_tensor_has_no_values() -> None:
    x = Input((3,))
    for use in (lambda: np.asarray(x), lambda: bool(x), lambda: len(x)):
        with pytest.raises(ArgumentError, match="no values|no length"):
            use()
    with pytest.raises(TypeError):
        iter(x)


A, B = normal(4, 3), normal(4, 3, seed=1) + 3

EXPRESSIONS = {"arithmetic": lambda a, b: (a + b) * 2 - a / b, "reflected": lambda a, b: 1 - a + 2 * b, "power": lambda a, b: b ** 2,
               "matmul": lambda a, b: a @ b.T, "indexing": lambda a, b: a[:, 0] + b[..., -1], "slices": lambda a, b: a[1:3, ::2],
               "new axis": lambda a, b: a[:, None] * b, "comparison": lambda a, b: a > 0, "logic": lambda a, b: (a > 0) & ~(b < 3),
               "sum": lambda a, b: a.sum(axis=1), "mean": lambda a, b: b.mean(axis=0), "absolute": lambda a, b: abs(-a), "method": lambda a,
               b: a.reshape(2, 6), "array": lambda a, b: np.ones(3, np.float32) * a,}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_operators_are_layers_of_the_model(name: str) -> None:
    a, b = Input(batch_shape=(4, 3)), Input(batch_shape=(4, 3))
    model = models.Model([a, b], [EXPRESSIONS[name](a, b), a + b])
    np.testing.assert_allclose(model([A, B])[0], EXPRESSIONS[name](A, B), rtol=1e-5)
    copy = models.model_from_json(model.to_json())
    np.testing.assert_array_equal(copy([A, B])[0], model([A, B])[0])


def test_functions_of_ops_are_layers_of_the_model() -> None:
    x = Input((3,))
    y = ops.concatenate([ops.tanh(x), activations.hard_silu(x), ops.select(ops.gt(x, 0), x, 0.5)], axis=-1)
    assert isinstance(y, KerasTensor) and y.shape == (None, 9)
    low, high = ops.top_k(y, 2)
    model = models.Model(x, [y, low, high])
    assert {"tanh", "hard_silu", "concatenate", "top_k", "select"} <= {o.name.rstrip("_0123456789") for o in model._network.operations}
    found, values, places = model(A)
    expected = np.concatenate([np.tanh(A), A * np.clip(A + 3, 0, 6) / 6, np.where(A > 0, A, 0.5)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(places, np.argsort(-found, axis=1, kind="stable")[:, :2])
    copy = models.model_from_json(model.to_json())
    np.testing.assert_array_equal(copy(A)[0], found)


def test_shapes_follow_from_symbols() -> None:
    x = Input((None, 8))
    half = x[:, ::2]
    assert half.shape == (None, None, 8)
    joined = ops.concatenate([half, x[:, ::2]], axis=-1)  # the same unknown length: nothing to check
    assert joined.shape == (None, None, 16) and str(joined.type.shape[1]) == str(half.type.shape[1])


def test_errors_of_functions() -> None:
    x = Input((3,))
    with pytest.raises(ShapeError):
        ops.matmul(x, np.ones((4, 2), np.float32))
    with pytest.raises(ArgumentError, match="does not return tensors"):
        ops.dim_of(x.sum())
    for function in ("ops.system", "os.system", "activations.get_config", "nothing", 3):
        with pytest.raises(ArgumentError, match="no function"):
            layers.OpsFunction.from_config({"name": "f", "function": function})


def test_input_spec() -> None:
    spec = InputSpec(shape=(None, 3), name="x")
    assert spec.complaint(A) is None and "must have shape" in spec.complaint(A[:, :2]) and spec.ndim == 2
    assert InputSpec(min_ndim=3).complaint(A) == "must have at least 3 axes"
    assert InputSpec(max_ndim=1).complaint(A) == "must have at most 1 axes"
    assert InputSpec(ndim=3).complaint(A) == "must have 3 axes"
    assert InputSpec(axes={-1: 4}).complaint(A) == "must have extent 4 along axis -1"
    squeezed = InputSpec(shape=(None, 3, 1), allow_last_axis_squeeze=True)
    assert squeezed.complaint(A) is None and squeezed.complaint(A[..., None]) is None and squeezed.complaint(A[..., None, None]) is None
    assert squeezed.complaint(A[:, :2]) is not None
    layer = layers.Activation("relu", name="strict")
    layer.input_spec = InputSpec(dtype="int32")
    with pytest.raises(DTypeError, match="layer 'strict': the input must be int32"):
        layer(A)
    with pytest.raises(ArgumentError, match="axes"):
        InputSpec(ndim=2, axes={2: 3})
    assert InputSpec.from_config(spec.get_config()).shape == (None, 3)


def test_the_layers_output_and_input() -> None:
    layer = layers.Dense(2)
    with pytest.raises(ArgumentError, match="has not been called with symbolic tensors"):
        layer.output  # noqa: B018
    x = Input((3,))
    y = layer(x)
    assert layer.output is y and layer.input is x

"""Functional models, and models that are classes of one's own: what they compute, what they consist of, how they are written and read."""
from __future__ import annotations

import json

import numpy as np
import pytest

from dlcompile import layers, models
from dlcompile.errors import ArgumentError, InvalidModelError, ShapeError
from dlcompile.layers import Dense, Input
from dlcompile.models import Model
from tests.layers.helpers import normal

A, B = normal(4, 3), normal(4, 3, seed=1)


def dense(layer, x):
    """A dense layer in NumPy."""
    kernel, bias = layer.get_weights()
    return x @ kernel + bias


def two_ends() -> Model:
    """Two inputs, a shared layer, two outputs."""
    a, b = Input((3,), name="a"), Input((3,), name="b")
    shared = Dense(5, name="shared", activation="relu")
    left, right = shared(a), shared(b)
    return Model([a, b], {"sum": Dense(2, name="sum")(left + right), "left": Dense(1, name="left")(left)}, name="ends")


def expected(model: Model):
    shared, total, left = (model.get_layer(n) for n in ("shared", "sum", "left"))
    x, y = np.maximum(dense(shared, A), 0), np.maximum(dense(shared, B), 0)
    return {"sum": dense(total, x + y), "left": dense(left, x)}


def test_structures() -> None:
    model = two_ends()
    wanted = expected(model)
    for inputs in ([A, B], (A, B), {"a": A, "b": B}, {"b": B, "a": A}):
        found = model(inputs)
        assert set(found) == {"sum", "left"}
        for key, value in wanted.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-6)
    assert model.input_names == ["a", "b"] and model.input_shape == [(None, 3), (None, 3)]
    assert model.output_names == ["left", "sum"] and model.output_shape == [(None, 1), (None, 2)]


def test_nested_dictionaries() -> None:
    ends = {"x": [Input((3,), name="x0"), Input((3,), name="x1")], "y": Input((3,), name="y")}
    model = Model(ends, [ends["x"][0] + ends["x"][1], (ends["y"] * 2,)])
    first, (second,) = model({"x": [A, B], "y": A})
    np.testing.assert_allclose(first, A + B, rtol=1e-6)
    np.testing.assert_allclose(second, 2 * A, rtol=1e-6)
    copy = models.model_from_json(model.to_json())
    np.testing.assert_allclose(copy({"x": [A, B], "y": A})[0], A + B, rtol=1e-6)


def test_layers_and_the_order_of_weights() -> None:
    """By depth, the longest way to an output, then in the order in which a search from the outputs meets them: as Keras does."""
    x = Input((3,))
    short = Dense(2, name="short")(x)
    long = Dense(2, name="long2")(Dense(4, name="long1")(x))
    model = Model(x, layers.Activation("relu", name="end")(short + long))
    assert [layer.name for layer in model.layers] == [x.name, "long1", "short", "long2", "end"]
    assert [w.path for w in model.weights][::2] == ["long1/kernel", "short/kernel", "long2/kernel"]
    assert model.get_layer(index=1).name == "long1" and model.get_layer("short").units == 2
    with pytest.raises(ArgumentError, match="has no layer 'shrt'; did you mean short"):
        model.get_layer("shrt")
    with pytest.raises(ArgumentError, match="there is no layer 9"):
        model.get_layer(index=9)


def test_inputs_that_nothing_depends_on() -> None:
    inputs = [Input((2,), name=name) for name in "dbca"]
    model = Model(inputs, inputs[2] * 2.0)
    assert [layer.name for layer in model.layers] == ["c", "d", "b", "a"]
    x = normal(3, 2)
    np.testing.assert_allclose(model([x * 0, x * 0, x, x * 0]), 2 * x, rtol=1e-6)


def test_models_are_layers() -> None:
    inner = two_ends()
    x = Input((3,))
    made = inner([x, x * 2])
    model = Model(x, Dense(1)(made["sum"]))
    assert inner in model.layers and len(model.weights) == 8
    np.testing.assert_allclose(model(A), dense(model.layers[-1], inner([A, 2 * A])["sum"]), rtol=1e-5, atol=1e-6)
    inner.trainable = False
    assert len(model.trainable_weights) == 2 and not inner.get_layer("shared").trainable
    copy = models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(A), model(A))
    assert len(copy.trainable_weights) == 2


def test_a_model_that_begins_in_the_middle() -> None:
    x = Input((3,))
    first, second = Dense(4, name="first"), Dense(2, name="second")
    middle = first(x)
    model = Model(x, second(layers.Activation("relu")(middle)))
    rest = Model(middle, model.output)
    np.testing.assert_allclose(rest(first(A)), model(A), rtol=1e-6)
    assert rest.weights == second.weights
    features = Model(model.inputs, [layer.output for layer in model.layers[1:3]])
    np.testing.assert_allclose(features(A)[1], np.maximum(dense(first, A), 0), rtol=1e-5)


def test_an_axis_of_one_element_comes_and_goes() -> None:
    x = Input((3, 1))
    model = Model(x, layers.Flatten()(x))
    np.testing.assert_array_equal(model(A), A)
    np.testing.assert_array_equal(model(A[..., None]), A)
    with pytest.raises(ShapeError, match=r"must have shape \(None, 3, 1\), it has shape \(4, 2\)"):
        model(A[:, :2])


def test_inputs_are_what_they_are_declared_as() -> None:
    ids = Input((2,), dtype="int32")
    model = Model(ids, layers.Embedding(4, 3)(ids))
    assert model(np.array([[1, 3]], np.int64)).shape == (1, 2, 3) and model(np.array([[1.0, 3.0]])).shape == (1, 2, 3)
    wide = Input((2,), dtype="float64")
    assert Model(wide, wide * 2)(A[:, :2]).dtype == np.float64


def test_an_optional_input() -> None:
    class Either(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    a, b = Input((3,), name="a"), Input((3,), name="b", optional=True)
    model = Model([a, b], Either()(a, b))
    np.testing.assert_array_equal(model([A, None]), A)
    np.testing.assert_allclose(model({"a": A, "b": B}), A + B)


def test_errors() -> None:
    a, b = Input((3,), name="a"), Input((3,), name="b")
    with pytest.raises(ArgumentError, match="depends on the input 'b', which is not among its inputs"):
        Model(a, a + b)
    with pytest.raises(ArgumentError, match="outputs of a model are symbolic tensors"):
        Model(a, A)
    with pytest.raises(ArgumentError, match="twice"):
        Model([a, a], a * 2)
    with pytest.raises(ArgumentError, match="inputs alone"):
        Model(inputs=a)
    with pytest.raises(ArgumentError, match="2 layers of a model are called 'same'"):
        Model(a, Dense(1, name="same")(Dense(2, name="same")(a)))
    model = two_ends()
    with pytest.raises(ArgumentError, match="takes 2 inputs, 1 are given"):
        model(A)
    with pytest.raises(ArgumentError, match="missing: 'b'"):
        model({"a": A})
    with pytest.raises(ShapeError, match=r"layer 'ends': input 'b' must have shape \(None, 3\), it has shape \(4, 2\)"):
        model([A, B[:, :2]])
    with pytest.raises(ArgumentError, match="no symbolic inputs and outputs"):
        Own().inputs  # noqa: B018


class Own(Model):
    """A model with a `call` of its own."""

    def __init__(self, width=4):
        super().__init__()
        self.hidden = Dense(width, activation="relu")
        self.rest = [Dense(3), layers.Dropout(0.5, seed=1), Dense(2)]

    def call(self, x, training=False):
        x = self.hidden(x)
        for layer in self.rest:
            x = layer(x)
        return x


def test_a_class_of_ones_own() -> None:
    model = Own()
    assert not model.built and model.layers == [model.hidden, *model.rest]
    model.build((None, 3))
    assert model.built and [w.shape for w in model.weights] == [(3, 4), (4,), (4, 3), (3,), (3, 2), (2,)]
    wanted = dense(model.rest[2], dense(model.rest[0], np.maximum(dense(model.hidden, A), 0)))
    np.testing.assert_allclose(model(A), wanted, rtol=1e-5, atol=1e-6)
    assert not np.allclose(model(A, training=True), wanted)
    assert model(Input((3,))).shape == (None, 2)
    assert model.compute_output_shape((None, 3)) == (None, 2)
    copy = Own.from_config(model.get_config())
    assert copy.name == model.name and not copy.built
    with pytest.raises(ArgumentError, match="build"):
        Own().build()
    with pytest.raises(NotImplementedError, match="does not define call"):
        Model()(A)


def test_a_class_that_is_functional_too() -> None:
    class Mixed(Model):
        def __init__(self, width):
            x = Input((3,))
            super().__init__(inputs=x, outputs=Dense(width)(x))
            self.scale = 2.0

        def predicted(self, x):
            return self(x) * self.scale

    model = Mixed(2)
    np.testing.assert_allclose(model.predicted(A), 2 * dense(model.layers[1], A), rtol=1e-5)
    assert model.get_config()["width"] == 2


def test_damaged_configurations() -> None:
    config = two_ends().get_config()
    for change in (lambda c: c["layers"].pop(2), lambda c: c.update(output_layers={"y": ["shared", 7, 0]}),
                   lambda c: c["layers"][2]["inbound_nodes"][0]["args"][0]["config"].update(keras_history=["sum", 0, 0])):
        damaged = json.loads(json.dumps(config))
        change(damaged)
        with pytest.raises(InvalidModelError, match="configuration"):
            Model.from_config(damaged)


def test_configurations_that_keras_writes() -> None:
    """The form is the same, so a description of a model is understood; this one was written down by hand after Keras's."""
    def node(name, call=0):
        return {"args": [{"class_name": "__keras_tensor__",
                          "config": {"shape": [None, 4], "dtype": "float32", "keras_history": [name, call, 0]}}],
                "kwargs": {}}

    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    zeros = {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None}
    told = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional", "config": {
        "name": "functional", "trainable": True, "input_layers": [["x", 0, 0]], "output_layers": [["out", 0, 0]], "layers": [
            {"module": "keras.layers", "class_name": "InputLayer", "name": "x", "registered_name": None, "inbound_nodes": [],
             "config": {"batch_shape": [None, 4], "dtype": "float32", "sparse": False, "ragged": False, "name": "x", "optional": False}},
            {"module": "keras.layers", "class_name": "Dense", "name": "out", "registered_name": None, "inbound_nodes": [node("x")],
             "build_config": {"input_shape": [None, 4]},
             "config": {"name": "out", "trainable": True, "dtype": policy, "units": 3, "activation": "softmax", "use_bias": True,
                        "kernel_initializer": zeros, "bias_initializer": zeros, "kernel_regularizer": None, "bias_regularizer": None,
                        "kernel_constraint": None, "bias_constraint": None, "quantization_config": None}}]}}
    model = models.model_from_json(json.dumps(told))
    np.testing.assert_allclose(model([normal(2, 4)])[0], np.full((2, 3), 1 / 3), rtol=1e-6)

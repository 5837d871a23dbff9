"""Models as graphs, as ONNX, and compiled."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import dlcompile
from dlcompile import layers
from dlcompile.errors import ArgumentError
from dlcompile.graph import verify
from dlcompile.layers import Dense, Input
from dlcompile.models import Model, Sequential
from dlcompile.operators import evaluate
from tests.layers.helpers import normal

A, B = normal(5, 4), normal(5, 2)


def functional() -> Model:
    a, b = Input((4,), name="a"), Input((2,), name="b")
    h = layers.Dropout(0.5)(Dense(3, activation="tanh", name="hidden")(a))
    return Model([a, b], {"left": Dense(2, name="out")(h) + b, "right": h}, name="two")


def test_graph() -> None:
    model = functional()
    graph = verify(model.graph())
    assert graph.input_names == ("a", "b") and graph.output_names == ("left", "right")
    assert [str(t.type) for t in graph.inputs] == ["float32[batch, 4]", "float32[batch, 2]"]
    found, wanted = evaluate(graph, [A, B]), model([A, B])
    np.testing.assert_array_equal(found[0], wanted["left"])
    np.testing.assert_array_equal(found[1], wanted["right"])
    assert {origin for node in graph.nodes for origin in node.origin} == {"two", "two/hidden", "two/out"}
    assert [str(t.type) for t in model.graph(batch=3).inputs] == ["float32[3, 4]", "float32[3, 2]"]
    for batch in (0, -1, 2.5, True):
        with pytest.raises(ArgumentError, match="batch is a positive integer"):
            model.graph(batch=batch)


def test_graph_of_training() -> None:
    graph = verify(functional().graph(training=True))
    assert "random_bits" in {node.op for node in graph.nodes}
    assert (evaluate(graph, [A, B])[1] == 0).any()


def test_graph_of_a_class_of_ones_own() -> None:
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.one = Dense(3)

        def call(self, x, extra=None):
            y = self.one(x["left"])
            return (y, y * 2) if extra is None else y + extra

    model = Own()
    with pytest.raises(ArgumentError, match="has not been called or built"):
        model.graph()
    model({"left": A})
    graph = verify(model.graph())
    assert graph.input_names == ("x_left",) and graph.output_names == ("output_0", "output_1")
    np.testing.assert_allclose(evaluate(graph, [A[:2]])[1], 2 * model({"left": A[:2]})[0], rtol=1e-6)


def test_onnx(tmp_path: Path) -> None:
    model = functional()
    path = model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(path)
    found = dict(zip((o.name for o in session.get_outputs()), session.run(None, {"a": A, "b": B})))
    for name, value in model([A, B]).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


def test_library(tmp_path: Path) -> None:
    model = Sequential([Input((4,)), Dense(8, activation="relu"), Dense(3, activation="softmax")], name="classifier")
    path = model.export(tmp_path / "m.so", batch=5)
    assert path == tmp_path / "m.so" and (tmp_path / "m.h").exists()
    np.testing.assert_allclose(dlcompile.load(path)(A), model(A), rtol=1e-5, atol=1e-6)
    with pytest.raises(ArgumentError, match="ends with .onnx, .so"):
        model.export(tmp_path / "m.tflite")


def test_compiled_for_images_of_any_size() -> None:
    x = Input((None, None, 3))
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.MaxPooling2D(3, 2, padding="same")(layers.BatchNormalization()(y))
    y = layers.Conv2D(4, 3, strides=2, padding="same")(layers.UpSampling2D()(layers.Cropping2D(1)(layers.ZeroPadding2D(2)(y))))
    model = Model(x, layers.GlobalAveragePooling2D()(y))
    graph = model.graph()
    assert max(len(str(d)) for node in graph.nodes for t in node.outputs for d in t.shape) < 100  # sizes that can still be read
    compiled = dlcompile.compile(graph)
    for shape in ((2, 17, 23, 3), (1, 32, 9, 3)):
        np.testing.assert_allclose(compiled(normal(*shape)), model(normal(*shape)), rtol=1e-4, atol=1e-5)


def test_compiled_for_sentences_of_any_length() -> None:
    x = Input((None,), dtype="int32")
    y = layers.Embedding(20, 8, mask_zero=True)(x)
    y = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(y)
    model = Model(x, layers.GRU(5)(layers.MultiHeadAttention(2, 4)(y, y)))
    compiled = dlcompile.compile(model.graph())
    for shape in ((2, 7), (3, 4)):
        ids = np.random.default_rng(0).integers(1, 20, shape).astype(np.int32)
        ids[0, -2:] = 0
        np.testing.assert_allclose(compiled(ids), model(ids), rtol=1e-4, atol=1e-5)

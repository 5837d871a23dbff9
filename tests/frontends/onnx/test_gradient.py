"""The Gradient operator: derivatives of the model's own tensors, at the values it is given."""
from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from dlcompile.errors import InvalidModelError
from dlcompile.frontends.onnx import import_onnx
from dlcompile.operators import evaluate

DOMAIN = "ai.onnx.preview.training"


def run(nodes, feeds, outputs):
    infos = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, a.shape) for n, a in feeds.items()]
    graph = helper.make_graph(nodes, "g", infos, [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)], ir_version=10)
    return evaluate(import_onnx(model), feeds)


def gradient(inputs, outputs, **names):
    return helper.make_node("Gradient", inputs, outputs, domain=DOMAIN, **names)


X, W = np.array([[1.0, 2, 3]]), np.array([[0.5], [-1], [2]])
LINEAR = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Mul", ["h", "h"], ["y"])]  # y = (x w)²


def test_at_the_tensors_themselves():
    dx, dw = run([*LINEAR, gradient(["x", "w"], ["dx", "dw"], xs=["x", "w"], y="y")], {"x": X, "w": W}, ["dx", "dw"])
    np.testing.assert_allclose(dx, 2 * (X @ W) * W.T)
    np.testing.assert_allclose(dw, 2 * (X @ W) * X.T)


def test_at_other_values_and_with_tensors_that_are_held():
    other = np.array([[1.0], [1], [1]])
    (dx,) = run([*LINEAR, gradient(["x", "v"], ["dx"], xs=["x"], zs=["w"], y="y")], {"x": X, "w": W, "v": other}, ["dx"])
    np.testing.assert_allclose(dx, 2 * (X @ other) * other.T)


def test_with_respect_to_what_is_computed():
    (dh,) = run([*LINEAR, gradient(["at"], ["dh"], xs=["h"], y="y")], {"x": X, "w": W, "at": np.array([[7.0]])}, ["dh"])
    np.testing.assert_allclose(dh, [[14]])


def test_a_derivative_of_a_derivative():
    nodes = [*LINEAR, gradient(["x"], ["dx"], xs=["x"], y="y"), gradient(["x"], ["ddx"], xs=["x"], y="dx")]
    (ddx,) = run(nodes, {"x": X, "w": W}, ["ddx"])
    np.testing.assert_allclose(ddx, 2 * W.T * W.sum())


def test_inputs_that_do_not_stand_for_the_names():
    with pytest.raises(InvalidModelError, match="1 inputs for the 2 tensors"):
        run([*LINEAR, gradient(["x"], ["dx"], xs=["x", "w"], y="y")], {"x": X, "w": W}, ["dx"])
    with pytest.raises(InvalidModelError, match="input for 'x'"):
        run([*LINEAR, gradient(["w"], ["dx"], xs=["x"], y="y")], {"x": X, "w": W}, ["dx"])
    with pytest.raises(InvalidModelError, match="'nothing'"):
        run([*LINEAR, gradient(["x"], ["dx"], xs=["x"], y="nothing")], {"x": X, "w": W}, ["dx"])

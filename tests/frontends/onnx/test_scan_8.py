"""The first form of Scan: a batch of examples, of the same length or each of its own."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlcompile
from dlcompile.frontends.onnx import import_onnx
from dlcompile.operators import evaluate


def model(directions: list[int], lengths: bool, captured: bool = False) -> onnx.ModelProto:
    """t = s + a (+ a captured k), u = t * b for each step."""
    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.INT64 if name == "lengths" else TensorProto.FLOAT, shape)

    nodes = [helper.make_node("Add", ["s", "a"], ["t0"]), helper.make_node("Add", ["t0", "k"], ["t"]) if captured else
             helper.make_node("Identity", ["t0"], ["t"]), helper.make_node("Mul", ["t", "b"], ["u"])]
    body = helper.make_graph(nodes, "body", [value("s", 2), value("a", 2), value("b", 2)], [value("t", 2), value("u", 2)])
    scan = helper.make_node("Scan", ["lengths" if lengths else "", "s0", "xa", "xb"], ["last", "ys"], body=body, num_scan_inputs=2, directions=directions)
    inputs = [value("s0", "B", 2), value("xa", "B", "T", 2), value("xb", "B", "T", 2)]
    inputs += [value("lengths", "B")] * lengths + [value("k", 2)] * captured
    graph = helper.make_graph([scan], "g", inputs, [value("last", "B", 2), value("ys", "B", "T", 2)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=4)


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("directions", [[0, 0], [1, 0], [0, 1], [1, 1]])
def test_as_onnx_runtime_has_it(directions, lengths, captured):
    onnxruntime = pytest.importorskip("onnxruntime")
    random = np.random.default_rng(directions[0] * 2 + directions[1])
    proto = model(directions, lengths, captured)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    graph, compiled = import_onnx(proto), dlcompile.compile(proto, cache=False, name="m")
    for batch, steps in ((3, 5), (1, 1), (4, 2)):
        given = {"s0": random.standard_normal((batch, 2)), "xa": random.standard_normal((batch, steps, 2)), "xb": random.standard_normal((batch, steps, 2))}
        given = {name: array.astype(np.float32) for name, array in given.items()}
        if lengths:
            given["lengths"] = random.integers(1, steps + 1, batch)
        if captured:
            given["k"] = np.array([0.5, -2], np.float32)
        expected = session.run(None, given)
        for result in (list(compiled.run(given).values()), evaluate(graph, given)):
            for a, b in zip(result, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_lengths_beyond_the_steps_and_none():
    """Read no further than the steps there are; ONNX Runtime refuses these."""
    compiled = dlcompile.compile(model([1, 0], True), cache=False, name="m")
    s, x = np.ones((2, 2), np.float32), np.ones((2, 3, 2), np.float32)
    last, ys = compiled(s, x, x, np.array([0, 3]))
    np.testing.assert_array_equal(last, [[1, 1], [4, 4]])
    np.testing.assert_array_equal(ys[0], np.zeros((3, 2)))
    last, _ = compiled(s, x, x, np.array([2**62, -(2**62)]))
    np.testing.assert_array_equal(last, [[4, 4], [1, 1]])

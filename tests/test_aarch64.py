"""Models compiled for aarch64 and run by qemu: they give what the same models give on this machine.

Skipped where the cross compiler or qemu is missing.
"""
from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import dlcompile as dlc
from tests import onnx_models as models
from tests import qemu

pytestmark = pytest.mark.skipif(not qemu.available(), reason="no cross compiler for aarch64, or no qemu-user, is installed")


@pytest.mark.parametrize("name", ["mlp", "depthwise", "transformer", "lstm"])
def test_models(name: str) -> None:
    proto = models.BUILDERS[name]()
    here = dlc.compile(proto)
    given = models.random_inputs(proto, **{symbol: 3 for symbol in here.info.symbols})
    expected, got = here.run(given), qemu.EmulatedModel(proto).run(given)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=2e-5, atol=2e-6)


def test_a_refusal_is_said_in_words() -> None:
    model = qemu.EmulatedModel(models.mlp())
    with pytest.raises(dlc.ExecutionError, match="wrong shape"):
        model.run({"x": np.zeros((2, 19), np.float32)})


def test_sizes_from_data() -> None:
    """Outputs whose size only a run knows come as the run says."""
    node = helper.make_node("NonZero", ["x"], ["where"])
    graph = helper.make_graph([node], "nonzero", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
                              [helper.make_tensor_value_info("where", TensorProto.INT64, [2, None])])
    model = qemu.EmulatedModel(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    for x in (np.eye(4, 3, dtype=np.float32), np.zeros((2, 3), np.float32), np.zeros((0, 3), np.float32)):
        np.testing.assert_array_equal(model.run({"x": x})["where"], np.array(np.nonzero(x)))


def test_strings() -> None:
    nodes = [helper.make_node("StringConcat", ["x", "y"], ["z"])]
    values = [helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in "xyz"]
    model = qemu.EmulatedModel(helper.make_model(helper.make_graph(nodes, "text", values[:2], values[2:]),
                                                 opset_imports=[helper.make_opsetid("", 20)], ir_version=9))
    got = model.run({"x": np.array(["a", "", "naïve"], object), "y": np.array(["", "", " 数"], object)})["z"]
    assert got.tolist() == ["a", "", "naïve 数"]

"""Digests: what changes them, and external data found without the onnx package."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlcompile.operators  # noqa: F401  (fills the table of operators)
from dlcompile.errors import InvalidModelError
from dlcompile.graph import Graph, apply, make_constant, make_input, provenance, symbol
from dlcompile.toolchain.digest import digest_of, external_locations, graph_digest, onnx_digest


def external(name: str, location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.ones(300, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "1200")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def model() -> onnx.ModelProto:
    """External data as an initializer, in a node's attribute, in a branch, in a function; and a location that is only a string."""
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=external("", "branch.bin"))], "then",
                               [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [300])])
    nodes = [
        helper.make_node("Constant", [], ["a"], value=external("", "größe/attribute.bin")),
        helper.make_node("If", ["p"], ["b"], then_branch=branch, else_branch=branch),
        helper.make_node("Decoy", [], ["d"], location="decoy.bin", text=b"\x0a\x08location\x12\x09decoy.bin"),
    ]
    graph = helper.make_graph(nodes, "g", [], [], [external("w", "weights.bin"), numpy_helper.from_array(np.zeros(9), "plain")])
    body = helper.make_node("Constant", [], ["y"], value=external("", "function.bin"))
    function = helper.make_function("own", "F", [], ["y"], [body], [])
    return helper.make_model(graph, functions=[function])


def test_external_locations(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(model().SerializeToString())
    assert external_locations(path) == {"größe/attribute.bin", "branch.bin", "weights.bin", "function.bin"}


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"not protobuf at all", b"\x3a\xff\xff\xff\xff\x0f", bytes(range(256)) * 10])
def test_what_is_no_protobuf_has_a_digest(tmp_path, data):
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    external_locations(path)
    assert len(onnx_digest(path)) == 64


def test_truncated_models_have_a_digest(tmp_path):
    path, data = tmp_path / "m.onnx", model().SerializeToString()
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        onnx_digest(path)


def test_external_data_counts(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(model().SerializeToString())
    digests = [onnx_digest(path)]
    for content in (b"1", b"2"):
        (tmp_path / "weights.bin").write_bytes(content)
        digests.append(onnx_digest(path))
    (tmp_path / "unrelated.bin").write_bytes(b"3")
    assert len(set(digests)) == 3 and onnx_digest(path) == digests[-1]
    with pytest.raises(InvalidModelError, match="missing.onnx"):
        onnx_digest(tmp_path / "missing.onnx")


def test_parts_do_not_run_together():
    assert digest_of("ab", "c") != digest_of("a", "bc") != digest_of("abc")


def graph(value=1.0, name="n", axis=0, origin="node", dtype=np.float32) -> Graph:
    x = make_input("x", dtype, (symbol(name), 4))
    with provenance(origin):
        y = apply("add", x, make_constant(np.full((1, 4), value, dtype)))
        y = apply("reduce_sum", y, axes=(axis,), keepdims=False)
    return Graph("g", (x,), (y,), output_names=("y",))


def test_graphs():
    first = graph_digest(graph())
    assert graph_digest(graph()) == first
    others = [graph(value=2.0), graph(name="m"), graph(axis=1), graph(origin="other"), graph(dtype=np.float64)]
    assert len({first, *map(graph_digest, others)}) == 6

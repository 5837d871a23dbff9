"""What scheduling refuses, and what it makes of a few graphs."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlcompile
from dlcompile import ops
from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import Graph, make_input, provenance
from dlcompile.kernels.access import CannotFuse
from dlcompile.kernels.ir import Let, Load, Loop, Store, walk, walk_expression
from dlcompile.kernels.schedule import FORMS, schedule


def test_operators_without_a_kernel_are_listed_with_their_nodes(tmp_path, monkeypatch) -> None:
    monkeypatch.delitem(FORMS, "top_k")
    nodes = [helper.make_node("TopK", ["x", "k"], ["values", "places"], name="best"),
             helper.make_node("TopK", ["values", "one"], ["value", "place"], name="very best")]
    outputs = [helper.make_tensor_value_info("value", TensorProto.FLOAT, [2, 1])]
    constants = [helper.make_tensor("k", TensorProto.INT64, [1], [3]), helper.make_tensor("one", TensorProto.INT64, [1], [1])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 9])], outputs, constants)
    path = tmp_path / "ranked.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    with pytest.raises(UnsupportedOperatorError, match=r"ranked\.onnx: .*top_k \(node best, very best\)"):
        dlcompile.compile(path, cache=False)


def test_what_a_kernel_cannot_take_is_said_with_the_node(monkeypatch) -> None:
    def refuse(group, context):
        raise CannotFuse("it is too odd")

    monkeypatch.setitem(FORMS, "top_k", refuse)
    x = make_input("x", np.float32, (2, 9))
    with provenance("best"):
        values, _ = ops.top_k(x, 3, axis=1)
    with pytest.raises(UnsupportedOperatorError, match=r"node 'best' \(top_k\): it is too odd"):
        schedule(Graph("g", [x], [values]), "x86-64")


def test_kernels_that_differ_in_their_arrays_only_are_one() -> None:
    x = make_input("x", np.float32, (4, 32))
    w = [np.full((32, 32), i + 1, np.float32) for i in range(3)]
    y = x
    for weights in w:
        y = ops.maximum(ops.matmul(y, weights), 0.0)
    program = schedule(Graph("g", [x], [y]), "x86-64")
    assert len(program.calls) == 3 and len({call.kernel.name for call in program.calls}) == 1


def test_choices_between_values_read_both() -> None:
    """What one side of a choice reads is read before it, and outside of the loops that it does not depend on; what a condition has to protect is
    read under it."""
    x, y, z = (make_input(name, np.float32, shape) for name, shape in (("x", (8, 40)), ("y", (8, 1)), ("z", (8, 30))))
    chosen = ops.select(ops.gt(x, 0.0), y, ops.pad(z, 0.0, (0, 0), (0, 10)))
    (call,) = schedule(Graph("g", [x, y, z], [chosen]), "x86-64").calls
    statements = list(walk(call.kernel.body.body))
    names = [parameter.name for parameter in call.kernel.body.parameters]
    loaded = [s.value.buffer for s in statements if isinstance(s, Let) and isinstance(s.value, Load)]
    inside = [e.buffer for s in statements if isinstance(s, Store) for e in walk_expression(s.value) if isinstance(e, Load)]
    assert len(names) == 4 and len(loaded) == 1 and len(inside) == 2 and not {*loaded} & {*inside}
    outer = next(s for s in call.kernel.body.body if isinstance(s, Loop))
    assert any(isinstance(s, Let) and isinstance(s.value, Load) for s in outer.body)  # once for a row

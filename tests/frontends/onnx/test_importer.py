"""The walk: names, symbols, order, subgraphs, functions; and what becomes of files that are not what they say."""
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlcompile import ops
from dlcompile.errors import ArgumentError, DTypeError, InvalidModelError, ShapeError, UnsupportedOperatorError
from dlcompile.frontends.onnx import import_onnx
from dlcompile.frontends.onnx.node import constant_value
from dlcompile.graph import Dim, make_constant, symbol, verify
from dlcompile.operators.interpreter import evaluate
from tests.frontends.onnx.helpers import assert_close, check, info, model

F = np.float32


def node(op_type, inputs, outputs, name=None, **attributes):
    return helper.make_node(op_type, inputs, outputs, name=name, **attributes)


def relu_of(shape, **options):
    return model([node("Relu", ["x"], ["y"])], {"x": (F, shape)}, ["y"], **options)


# -- sources -----------------------------------------------------------------------------------------------------------
def test_path_bytes_and_proto_give_the_same_graph(tmp_path):
    made = relu_of([2, 3])
    path = tmp_path / "my model.onnx"
    path.write_bytes(made.SerializeToString())
    graphs = [import_onnx(path), import_onnx(str(path)), import_onnx(made.SerializeToString()), import_onnx(made)]
    assert [g.name for g in graphs] == ["my model", "my model", "model", "model"]
    assert import_onnx(made, name="other").name == "other"
    x = np.array([[-1, 0, 2], [3, -4, np.nan]], F)
    for graph in graphs:
        assert_close(evaluate(graph, {"x": x}), [np.maximum(x, 0)])


@pytest.mark.parametrize("content", [b"", b"this is not a model", b"\x00" * 64, os.urandom(512),
    b"PK\x03\x04" + b"z" * 100])
def test_what_is_no_model_is_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match="broken.onnx"):
        import_onnx(path)


def test_every_truncation_is_refused(tmp_path):
    data = model(
        [node("MatMul", ["x", "w"], ["y"])], {"x": (F, [1, 8])}, ["y"], constants={"w": np.ones((8, 8), F)}
    ).SerializeToString()
    path = tmp_path / "cut.onnx"
    for size in range(0, len(data) - 1, 7):
        path.write_bytes(data[:size])
        with pytest.raises(InvalidModelError, match="cut.onnx"):
            import_onnx(path)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "nothing.onnx", tmp_path):
        with pytest.raises(InvalidModelError, match="cannot be read"):
            import_onnx(path)


def test_opset_of_the_future():
    with pytest.raises(InvalidModelError, match="opset 9999"):
        import_onnx(relu_of([2], opset=9999))


def test_conflicting_opsets():
    made = relu_of([2], imports=[("", 20)])
    with pytest.raises(InvalidModelError, match="more than one version"):
        import_onnx(made)


def test_old_opsets_are_converted():
    old = model(
        [node("Relu", ["x"], ["h"]), node("Dropout", ["h"], ["y"], is_test=1)],
        {"x": (F, [2, 3])},
        ["y"],
        opset=6,
        ir_version=3,
    )
    old.graph.output[0].CopyFrom(info("y", F, [2, 3]))
    x = np.array([[-1, 2, 3], [4, -5, 6]], F)
    assert_close(evaluate(import_onnx(old), {"x": x}), [np.maximum(x, 0)])


# -- names and order ---------------------------------------------------------------------------------------------------
def test_a_slope_for_each_channel_before_opset_7():
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [2, 3, 4, 3]), ("slope", [3]), ("y", [2, 3, 4, 3]))]
    graph = helper.make_graph([helper.make_node("PRelu", ["x", "slope"], ["y"])], "old", values[:2], values[2:])
    old = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)])
    x, slope = np.random.default_rng(0).standard_normal((2, 3, 4, 3)).astype(np.float32), np.array([0.1, 0.2, 0.3], np.float32)
    (y,) = evaluate(import_onnx(old), [x, slope])
    np.testing.assert_array_equal(y, np.where(x < 0, x * slope[:, None, None], x))


def test_names_survive_whatever_they_contain():
    made = model(
        [node("Relu", ['in*/"\n;$(x)'], ["out put"], name="a */ node")], {'in*/"\n;$(x)': (F, [2])}, ["out put"]
    )
    graph = import_onnx(made)
    assert graph.input_names == ('in*/"\n;$(x)',) and graph.output_names == ("out put",)
    assert graph.nodes[0].origin == ("a */ node",)


@pytest.mark.parametrize("name", [b"Relu", b"the input", b"the node"])
def test_names_that_are_no_text(name):
    made = model([node("Relu", ["the input"], ["y"], name="the node")], {"the input": (F, [2])}, ["y"])
    data = made.SerializeToString()
    with pytest.raises(InvalidModelError, match="is not UTF-8 text"):
        import_onnx(data.replace(name, name[:-1] + b"\xff"))


def test_nodes_without_names_are_called_by_operator_and_position():
    graph = import_onnx(model([node("Relu", ["x"], ["h"]), node("Neg", ["h"], ["y"])], {"x": (F, [2])}, ["y"]))
    assert [n.origin for n in graph.nodes] == [("Relu_0",), ("Neg_1",)]


def test_nodes_out_of_order_are_sorted():
    check(model([node("Neg", ["h"], ["y"]), node("Exp", ["x"], ["h"])], {"x": (F, [3])}, ["y"]), {"x": np.ones(3, F)},
          expected=[-np.exp(np.ones(3, F))])


def test_cycle():
    made = model(
        [node("Add", ["x", "b"], ["a"], name="first"), node("Neg", ["a"], ["b"], name="second")], {"x": (F, [3])}, ["b"]
    )
    with pytest.raises(
        InvalidModelError, match="cycle.*'first' \\(Add\\).*'second' \\(Neg\\)|cycle.*'second'.*'first'"
    ):
        import_onnx(made)


def test_missing_values_are_listed():
    made = model(
        [node("Add", ["x", "nowhere"], ["y"], name="adder"), node("Neg", ["gone"], ["z"], name="negator")],
        {"x": (F, [3])},
        ["y"],
    )
    with pytest.raises(
        InvalidModelError, match="'nowhere' of node 'adder' \\(Add\\), 'gone' of node 'negator' \\(Neg\\)"
    ):
        import_onnx(made)


@pytest.mark.parametrize("made, message", [
    (model([node("Relu", ["x"], ["y"])], {"x": (F, [2])}, ["other"]), "output 'other'"),
    (model([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"], name="again")],
     {"x": (F, [2])}, ["y"]), "'again'.*'y' is made more than once"),
    (model([node("Relu", ["x"], ["y"])], {"x": (F, [2])}, ["y", "y"]), "output names are given more than once: 'y'"),
    (model([], {"x": (F, [2])}, []), "no outputs"),
    (model([node("Relu", ["x", "x"], ["y"])], {"x": (F, [2])}, ["y"]), "2 inputs; expected 1"),
    (model([node("LRN", ["x"], ["y"])], {"x": (F, [1, 2, 3, 3])}, ["y"]), "'size' is missing"),
    (model([node("Transpose", ["x"], ["y"], perm=[0, 0])], {"x": (F, [2, 3])}, ["y"]), "perm \\[0, 0\\]"),
    (model([node("Transpose", ["x"], ["y"], perm=[2**62, 1])], {"x": (F, [2, 3])}, ["y"]), "perm"),
    (model([node("Concat", ["x", "x"], ["y"], axis=2**63 - 1)], {"x": (F, [2, 3])}, ["y"]), "axis 9223372036854775807"),
    (model([node("Softmax", ["x"], ["y"], axis="zero")], {"x": (F, [2, 3])}, ["y"]), "'axis' is STRING; expected INT"),
    (model([node("Conv", ["x", "w"], ["y"], strides=[0, 1])],
     {"x": (F, [1, 2, 4, 4]), "w": (F, [2, 2, 3, 3])}, ["y"]), "must be positive"),
    (model([node("MaxPool", ["x"], ["y"], kernel_shape=[2])],
     {"x": (F, [1, 2, 4, 4])}, ["y"]), "do not fit 2 spatial axes"),
    (model([node("Reshape", ["x", "s"], ["y"])],
     {"x": (F, [2, 3]), "s": (np.int64, ["n"])}, ["y"]), "n entries, a number that only a run knows"),
])
def test_models_that_contradict_themselves(made, message):
    with pytest.raises(InvalidModelError, match=message) as caught:
        import_onnx(made)
    assert str(caught.value).startswith("model: ")


def test_graph_without_nodes():
    made = model([], {"x": (F, [2])}, ["x"])
    x = np.ones(2, F)
    assert_close(evaluate(import_onnx(made), {"x": x}), [x])


def test_initializers_win_over_inputs_of_the_same_name():
    made = model(
        [node("Add", ["x", "w"], ["y"])], {"x": (F, [2]), "w": (F, [2])}, ["y"], constants={"w": np.array([5, 6], F)}
    )
    graph = check(made, {"x": np.zeros(2, F)}, expected=[np.array([5, 6], F)])
    assert graph.input_names == ("x",)


# -- unknown operators, wrong types and shapes -------------------------------------------------------------------------
def test_all_unknown_operators_are_listed_at_once():
    inner = helper.make_graph(
        [node("Imaginary", ["x"], ["z"], name="inside")], "branch", [], [onnx.ValueInfoProto(name="z")]
    )
    other = helper.make_graph([node("Neg", ["x"], ["z"])], "branch", [], [onnx.ValueInfoProto(name="z")])
    made = model(
        [
            helper.make_node("Custom", ["x"], ["a"], name="one", domain="my.own"),
            node("Unheard", ["a"], ["b"], name="two"),
            node("If", ["c"], ["y"], then_branch=inner, else_branch=other),
        ],
        {"x": (F, [2]), "c": (np.bool_, [])},
        ["y"],
    )
    with pytest.raises(UnsupportedOperatorError) as caught:
        import_onnx(made)
    for part in ("my.own.Custom (node 'one')", "Unheard (node 'two')", "Imaginary (node 'inside')"):
        assert part in str(caught.value)


def test_an_operator_newer_than_the_opset_is_unknown():
    with pytest.raises(UnsupportedOperatorError, match="HardSwish"):
        import_onnx(model([node("HardSwish", ["x"], ["y"])], {"x": (F, [2])}, ["y"], opset=13))


@pytest.mark.parametrize("a, b, message", [
    (F, np.int64, "input 1 \\(B\\) is int64 where A is float32"),
    (np.bool_, np.bool_, "input 0 \\(A\\) is bool; expected"),
])
def test_wrong_dtypes(a, b, message):
    with pytest.raises(DTypeError, match=f"model: node 'sum' \\(Add\\): {message}"):
        import_onnx(model([node("Add", ["x", "y"], ["z"], name="sum")], {"x": (a, [2]), "y": (b, [2])}, ["z"]))


@pytest.mark.parametrize("dtype", [TensorProto.UNDEFINED, 99])
def test_element_types_that_are_not_supported(dtype):
    made = relu_of([2])
    made.graph.input[0].type.tensor_type.elem_type = dtype
    with pytest.raises(DTypeError, match="input 'x': element type"):
        import_onnx(made)


def test_shapes_that_do_not_go_together():
    with pytest.raises(ShapeError, match="model: .*3 and 4 differ.*\\(node product\\)|model: node 'product'"):
        import_onnx(
            model([node("MatMul", ["x", "y"], ["z"], name="product")], {"x": (F, [2, 3]), "y": (F, [4, 5])}, ["z"])
        )


@pytest.mark.parametrize("shape, message", [([2, -7], "dimension 1 is -7"), (None, "no shape")])
def test_input_shapes(shape, message):
    with pytest.raises(InvalidModelError, match=f"input 'x'.*{message}"):
        import_onnx(relu_of(shape))


def test_declared_outputs_are_not_believed():
    made = relu_of([2, 3])
    made.graph.output[0].CopyFrom(info("y", np.int64, [7, 7, 7]))
    assert str(import_onnx(made).outputs[0].type) == "float32[2, 3]"


# -- symbols -----------------------------------------------------------------------------------------------------------
def shapes_of(*shapes, **options):
    inputs = {f"x{i}": (F, shape) for i, shape in enumerate(shapes)}
    graph = import_onnx(
        model(
            [node("Relu", [n], [f"y{i}"]) for i, n in enumerate(inputs)], inputs, [f"y{i}" for i in range(len(shapes))]
        ),
        **options,
    )
    return [t.shape for t in graph.inputs]


def test_symbols_by_name():
    n = symbol("batch")
    assert shapes_of(["batch", 3], [4, "batch"]) == [(n, 3), (4, n)]


def test_names_that_are_no_identifiers():
    first, second, third = (s[0] for s in shapes_of(["batch size"], ["batch-size"], ["7th"]))
    assert str(first) == "batch_size" and str(second) == "batch_size_2" and str(third) == "d_7th"


@pytest.mark.parametrize("nameless", ["?", "", None, "None", -1])
def test_dimensions_without_a_name_are_different(nameless):
    assert [str(d) for d in shapes_of([2, nameless, nameless])[0]] == ["2", "x0_d1", "x0_d2"]


def test_expressions_of_other_dimensions():
    n = symbol("n")
    assert shapes_of(["n"], ["2*n + 1"], ["m + 1"]) == [(n,), (2 * n + 1,), (symbol("m___1"),)]


def test_dims_pin_and_rename():
    assert shapes_of(["N", "some length"], ["N"], dims={"N": 8, "some length": "length"}) == [
        (8, symbol("length")),
        (8,),
    ]
    assert shapes_of(["a", "b"], dims={"a": "b"}) == [(symbol("b"), symbol("b"))]


@pytest.mark.parametrize("dims", [{"nosuch": 3}, {"n": -1}, {"n": 2.5}, {"n": "not a name"}, {"n": True}])
def test_dims_that_make_no_sense(dims):
    with pytest.raises(ArgumentError, match="dims"):
        shapes_of(["n"], dims=dims)


def test_symbols_that_must_be_equal_become_one():
    made = model([node("Add", ["a", "b"], ["y"])], {"a": (F, ["rows", 4]), "b": (F, ["count", 4])}, ["y"])
    graph = import_onnx(made)
    assert len(graph.symbols) == 1 and graph.inputs[0].shape == graph.inputs[1].shape


def test_a_symbol_that_must_be_a_number_is_one():
    made = model([node("Add", ["a", "b"], ["y"])], {"a": (F, ["n", "m"])}, ["y"], constants={"b": np.ones((5, 1), F)})
    assert import_onnx(made).inputs[0].shape == (5, symbol("m"))


def test_values_fix_inputs():
    branches = {f"{name}_branch": helper.make_graph([node(op, ["x"], ["z"])], name, [], [onnx.ValueInfoProto(name="z")])
                for name, op in (("then", "Neg"), ("else", "Exp"))}
    made = model([node("Greater", ["rate", "limit"], ["c"]), node("If", ["c"], ["y"], **branches)],
                 {"x": (F, [2]), "rate": (np.int64, [])}, ["y"], constants={"limit": np.int64(10000)})
    x = np.ones(2, F)
    for rate, expected in ((16000, -x), (8000, np.exp(x))):
        graph = import_onnx(made, values={"rate": rate})
        assert graph.input_names == ("x",) and len(graph.nodes) == 1
        assert_close(evaluate(graph, {"x": x}), [expected])
        check(made, {"x": x, "rate": np.array(rate)})  # and as a choice when it runs
    for values in ({"nosuch": 1}, {"rate": [1, 2]}, {"rate": 0.5}):
        with pytest.raises(ArgumentError, match="values"):
            import_onnx(made, values=values)


# -- shape arithmetic --------------------------------------------------------------------------------------------------
def test_shape_computations_fold_to_dimensions():
    """What PyTorch writes for x.view(x.size(0), -1, 4, x.size(2) // 4)."""
    constants = {
        "zero": np.int64(0),
        "two": np.int64(2),
        "four": np.int64(4),
        "minus": np.array([-1]),
        "fours": np.array([4]),
        "axis": np.array([0]),
    }
    made = model(
        [
            node("Shape", ["x"], ["s"]),
            node("Gather", ["s", "zero"], ["n"]),
            node("Gather", ["s", "two"], ["w"]),
            node("Div", ["w", "four"], ["q"]),
            node("Unsqueeze", ["n", "axis"], ["n1"]),
            node("Unsqueeze", ["q", "axis"], ["q1"]),
            node("Concat", ["n1", "minus", "fours", "q1"], ["target"], axis=0),
            node("Reshape", ["x", "target"], ["y"]),
        ],
        {"x": (F, ["n", 3, "w"])},
        ["y"],
        constants=constants,
    )
    graph = import_onnx(made)
    assert graph.nodes[-1].op == "reshape" and len(graph.nodes) == 1
    pinned = import_onnx(made, dims={"n": 2, "w": 8})
    assert pinned.outputs[0].shape == (2, 3, 4, 2)
    x = np.arange(48, dtype=F).reshape(2, 3, 8)
    check(made, {"x": x})


def test_the_last_element_of_a_dynamic_axis_is_one():
    constants = {"start": np.array([-1]), "end": np.array([2**63 - 1]), "axes": np.array([1])}
    made = model(
        [node("Slice", ["x", "start", "end", "axes"], ["y"])], {"x": (F, ["n", "t", 4])}, ["y"], constants=constants
    )
    assert import_onnx(made).outputs[0].shape == (symbol("n"), 1, 4)
    check(made, {"x": np.arange(40, dtype=F).reshape(2, 5, 4)})


def test_truncation_of_a_dynamic_axis_is_a_minimum():
    constants = {"start": np.array([0]), "end": np.array([6]), "axes": np.array([0])}
    made = model([node("Slice", ["x", "start", "end", "axes"], ["y"])], {"x": (F, ["n"])}, ["y"], constants=constants)
    for n in (3, 6, 9):
        check(made, {"x": np.arange(n, dtype=F)})


# -- external data -----------------------------------------------------------------------------------------------------
WEIGHTS = np.arange(600, dtype=F).reshape(20, 30)


def write_external(folder, location="weights.bin", offset=0, length=None, name="model.onnx"):
    made = model([node("MatMul", ["x", "w"], ["y"])], {"x": (F, [1, 20])}, ["y"], constants={"w": WEIGHTS})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (
        ("location", location),
        ("offset", str(offset)),
        ("length", str(WEIGHTS.nbytes if length is None else length)),
    ):
        tensor.external_data.add(key=key, value=value)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(made.SerializeToString())
    return folder / name


@pytest.mark.parametrize("offset", [0, 4096, 3])
def test_external_data(tmp_path, offset):
    path = write_external(tmp_path, offset=offset)
    (tmp_path / "weights.bin").write_bytes(b"\xff" * offset + WEIGHTS.tobytes())
    x = np.ones((1, 20), F)
    assert_close(evaluate(import_onnx(path), {"x": x}), [x @ WEIGHTS])


def test_external_data_that_is_not_there(tmp_path):
    with pytest.raises(InvalidModelError, match="'w'.*'weights.bin' is missing"):
        import_onnx(write_external(tmp_path))


@pytest.mark.parametrize("change", [{"offset": 64}, {"length": 10}, {"offset": -4}, {"offset": "x"}, {"length": 2**62}])
def test_external_data_that_is_too_short(tmp_path, change):
    path = write_external(tmp_path, **change)
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(InvalidModelError, match="model.onnx: tensor 'w'"):
        import_onnx(path)


@pytest.mark.parametrize("location", ["../weights.bin", "{folder}/weights.bin", "link.bin", "sub/../../weights.bin",
    "", "a\0b"])
def test_external_data_outside_of_the_folder_is_refused(tmp_path, location):
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    path = write_external(tmp_path / "model", location.format(folder=tmp_path))
    (tmp_path / "model" / "sub").mkdir()
    (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(InvalidModelError, match="must be a file below the model's folder"):
        import_onnx(path)


def test_external_data_needs_a_path(tmp_path):
    path = write_external(tmp_path)
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(InvalidModelError, match="by its path"):
        import_onnx(path.read_bytes())


# -- tensors that lie --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dims, raw", [([2**40, 2**20], b""), ([2, 2], b"\0" * 15), ([-2, 2], b"\0" * 16),
    ([3], b"\0" * 16)])
def test_tensors_that_claim_what_they_have_not(dims, raw):
    made = model([node("Add", ["x", "w"], ["y"])], {"x": (F, [2, 2])}, ["y"])
    made.graph.initializer.append(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=raw))
    with pytest.raises(InvalidModelError, match="tensor 'w'"):
        import_onnx(made)


def test_constants_too_large_to_compute_are_not_computed():
    zero = make_constant(np.float32(0))
    assert constant_value(ops.broadcast_to(zero, (3,))).shape == (3,)
    assert constant_value(ops.broadcast_to(zero, (2**40,))) is None


def test_typed_fields_are_counted():
    made = model([node("Add", ["x", "w"], ["y"])], {"x": (F, [2])}, ["y"])
    made.graph.initializer.append(
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**50], float_data=[1.0, 2.0])
    )
    with pytest.raises(InvalidModelError, match="2 elements in float_data"):
        import_onnx(made)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.uint16, np.int32, np.int64, np.uint64, np.bool_])
@pytest.mark.parametrize("raw", [True, False])
def test_constants_of_every_type(dtype, raw):
    values = np.array([0, 1, 1, 0, 1], dtype)
    proto = numpy_helper.from_array(values, "w")
    if not raw:
        proto = helper.make_tensor("w", proto.data_type, [5], values.tolist())
    made = model([node("Identity", ["w"], ["y"])], {}, ["y"])
    made.graph.initializer.append(proto)
    assert_close(evaluate(import_onnx(made), {}), [values])


def test_four_bit_weights_are_widened():
    values = np.array([[-8, 7, 3], [0, -1, 5]], np.int8)
    proto = helper.make_tensor("w", TensorProto.INT4, [2, 3], values.ravel().tolist())
    made = model([node("DequantizeLinear", ["w", "scale"], ["y"])], {}, ["y"], constants={"scale": F(0.5)})
    made.graph.initializer.append(proto)
    assert_close(evaluate(import_onnx(made), {}), [values.astype(F) * F(0.5)])


# -- functions and subgraphs -------------------------------------------------------------------------------------------
def scaled(op="Mul"):
    """A function y = op(x, alpha), with an optional bias."""
    return helper.make_function("my.own", "Scaled", ["x", "bias"], ["y"], [
        helper.make_node("Constant", [], ["alpha"]), helper.make_node(op, ["x", "alpha"], ["y"])],
        [helper.make_opsetid("", 13)], attributes=["alpha"])


def test_functions_of_the_model_are_expanded():
    function = scaled()
    attribute = function.node[0].attribute.add(name="value_float", type=onnx.AttributeProto.FLOAT)
    attribute.ref_attr_name = "alpha"
    made = model(
        [helper.make_node("Scaled", ["x"], ["y"], name="twice", domain="my.own", alpha=2.0)],
        {"x": (F, [3])},
        ["y"],
        imports=[("my.own", 1)],
        functions=[function],
    )
    graph = check(made, {"x": np.ones(3, F)})
    assert {o for n in graph.nodes for o in n.origin} == {"twice"}


def test_functions_that_call_themselves():
    endless = helper.make_function(
        "my.own",
        "Endless",
        ["x"],
        ["y"],
        [helper.make_node("Endless", ["x"], ["y"], domain="my.own")],
        [helper.make_opsetid("", 21), helper.make_opsetid("my.own", 1)],
    )
    made = model(
        [helper.make_node("Endless", ["x"], ["y"], domain="my.own")],
        {"x": (F, [3])},
        ["y"],
        imports=[("my.own", 1)],
        functions=[endless],
    )
    with pytest.raises(InvalidModelError, match="calls itself"):
        import_onnx(made)


def test_operators_without_a_row_have_their_definition_in_onnx():
    from dlcompile.frontends.onnx.node import find_importer

    assert find_importer("", "NegativeLogLikelihoodLoss", 22) is None
    made = model([node("NegativeLogLikelihoodLoss", ["x", "t"], ["y"], reduction="mean", name="loss")],
                 {"x": (F, [4, 5]), "t": (np.int64, [4])}, ["y"])
    graph = check(made, {"x": np.random.default_rng(0).standard_normal((4, 5)).astype(F), "t": np.array([0, 4, 2, 2])})
    assert {o for n in graph.nodes for o in n.origin} == {"loss"}


def subgraph(name, nodes, inputs, outputs):
    return helper.make_graph(
        nodes, name, [info(n, *t) for n, t in inputs.items()], [onnx.ValueInfoProto(name=n) for n in outputs]
    )


def test_scan_captures_values():
    body = subgraph(
        "body",
        [
            node("Mul", ["s", "factor"], ["scaled"]),
            node("Add", ["scaled", "x_t"], ["new"]),
            node("Identity", ["new"], ["out"]),
        ],
        {"s": (F, [3]), "x_t": (F, [3])},
        ["new", "out"],
    )
    made = model(
        [
            node("Exp", ["f"], ["factor"]),
            node(
                "Scan",
                ["s0", "xs"],
                ["last", "all"],
                body=body,
                num_scan_inputs=1,
                scan_input_axes=[1],
                scan_output_axes=[1],
                scan_input_directions=[1],
            ),
        ],
        {"f": (F, [1]), "s0": (F, [3]), "xs": (F, [3, "time"])},
        ["last", "all"],
    )
    rng = np.random.default_rng(0)
    check(
        made,
        {
            "f": rng.standard_normal(1).astype(F),
            "s0": rng.standard_normal(3).astype(F),
            "xs": rng.standard_normal((3, 6)).astype(F),
        },
    )


@pytest.mark.parametrize("limit", [0, 3])
def test_loop_with_a_trip_count(limit):
    body = subgraph(
        "body",
        [
            node("Identity", ["going"], ["proceed"]),
            node("Cast", ["i"], ["fi"], to=TensorProto.FLOAT),
            node("Add", ["s", "fi"], ["new"]),
            node("Mul", ["new", "w"], ["out"]),
        ],
        {"i": (np.int64, []), "going": (np.bool_, []), "s": (F, [2])},
        ["proceed", "new", "out"],
    )
    made = model(
        [node("Loop", ["m", "", "s0"], ["last", "all"], body=body)],
        {"s0": (F, [2]), "w": (F, [2])},
        ["last", "all"],
        constants={"m": np.int64(limit)},
    )
    check(made, {"s0": np.array([1, 2], F), "w": np.array([3, -1], F)})


def test_loop_that_ends_by_a_condition():
    body = subgraph("body", [node("Add", ["s", "s"], ["new"]), node("ReduceSum", ["new"], ["total"], keepdims=0),
                             node("Less", ["total", "limit"], ["proceed"])],
                    {"i": (np.int64, []), "going": (np.bool_, []), "s": (F, [2])}, ["proceed", "new"])
    made = model([node("Loop", ["", "start", "s0"], ["last"], body=body)], {"s0": (F, [2]), "limit": (F, [])}, ["last"],
                 constants={"start": np.True_})
    for limit in (0, 10, 100):
        check(made, {"s0": np.array([1, 2], F), "limit": np.array(limit, F)})


def test_hostile_attributes_never_crash_the_importer():
    """Random attributes on ordinary operators: an error that names the model, or a graph that is well formed."""
    rng = np.random.default_rng(0)
    values = [-2**63, 2**63 - 1, -1, 0, 1, 3, 2**31]
    names = {
        "Conv": ("strides", "pads", "dilations", "kernel_shape"),
        "MaxPool": ("kernel_shape", "strides", "pads"),
        "Transpose": ("perm",),
        "AveragePool": ("kernel_shape", "strides", "pads"),
        "ReduceMean": ("axes",),
        "Squeeze": ("axes",),
    }
    outcomes = set()
    for _ in range(300):
        op = rng.choice(list(names))
        attributes = {
            a: [int(rng.choice(values)) for _ in range(rng.integers(0, 5))] for a in names[op] if rng.random() < 0.7
        }
        attributes = {k: v for k, v in attributes.items() if v}
        inputs = {"x": (F, [1, 2, 5, "w"])} | ({"w": (F, [3, 2, 3, 3])} if op == "Conv" else {})
        made = model([node(op, list(inputs), ["y"], **attributes)], inputs, ["y"], opset=11)
        try:
            verify(import_onnx(made))
            outcomes.add("graph")
        except InvalidModelError as error:
            assert str(error).startswith("model: ")
            outcomes.add("error")
    assert outcomes == {"graph", "error"}


def test_runtime_agrees_about_a_whole_small_network():
    rng = np.random.default_rng(1)
    constants = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype(F),
        "b": rng.standard_normal(4).astype(F),
        "m": rng.standard_normal((4, 5)).astype(F),
    }
    made = model(
        [
            node("Conv", ["x", "w", "b"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
            node("Relu", ["c"], ["r"]),
            node("GlobalAveragePool", ["r"], ["p"]),
            node("Flatten", ["p"], ["f"]),
            node("MatMul", ["f", "m"], ["l"]),
            node("Softmax", ["l"], ["y"]),
        ],
        {"x": (F, ["n", 3, "h", "w"])},
        ["y"],
        constants=constants,
    )
    graph = check(made, {"x": rng.standard_normal((2, 3, 7, 10)).astype(F)})
    assert isinstance(graph.outputs[0].shape[0], Dim) and graph.outputs[0].shape[1] == 5

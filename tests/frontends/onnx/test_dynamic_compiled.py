"""Operators whose arguments come from data, compiled once and run on many arguments, against ONNX's reference evaluator."""
from functools import cache

import numpy as np
import pytest
from onnx import TensorProto, helper, parser
from onnx.reference import ReferenceEvaluator

import dlcompile
from dlcompile.errors import ArgumentError, Error
from tests.frontends.onnx.helpers import assert_close, model
from tests.frontends.onnx.test_dynamic import data, int64, node

ARGUMENTS = {"axes": 2, "axis": (), "shape": 3, "starts": 3, "ends": 3, "steps": 3, "order": 3, "pads": 6, "margins": 2, "repeats": 3, "place": 1,
             "parts": 2, "wide": 4, "area": 3}
FLOATS = {"scales": 2, "bounds": 3}
NODES = [
    node("ReduceMax", ["x", "axes"], "reduced", keepdims=0), node("ReduceSum", ["x", "axes"], "summed", keepdims=1),
    node("CumSum", ["x", "axis"], "running", reverse=1), node("Reshape", ["x", "shape"], "reshaped"),
    node("Slice", ["x", "starts", "ends", "order", "steps"], "sliced"), node("Slice", ["x", "starts", "ends"], "cut"),
    node("Pad", ["x", "pads", "seven"], "padded"), node("Pad", ["x", "margins", "", "last"], "mirrored", mode="reflect"),
    node("Tile", ["x", "repeats"], "tiled"), node("Unsqueeze", ["x", "place"], "apart"), node("Squeeze", ["apart", "place"], "again"),
    node("Expand", ["column", "wide"], "expanded"), node("Add", ["cut", "one"], "shifted"),
    node("Resize", ["x", "", "scales"], "resized", axes=[1, 2], mode="linear"),
    node("Resize", ["x", "", "", "area"], "antialiased", mode="cubic", antialias=1),
    node("CenterCropPad", ["x", "area"], "framed"), node("Range", ["first", "limit", "delta"], "line"),
    node("Trilu", ["x", "axis"], "triangle"),
]
NODES.append(node("Split", ["x", "parts"], "left", axis=2))
NODES[-1].output.append("right")
OUTPUTS = [name for made in NODES for name in made.output]


@cache
def everything():
    nodes = [node("Split", ["bounds"], "f", axis=0, num_outputs=3)]
    nodes[0].output[:] = ["f", "l", "d"]
    nodes += [node("Squeeze", [short], long) for short, long in (("f", "first"), ("l", "limit"), ("d", "delta"))]
    inputs = {"x": (np.float32, ["a", "b", "c"]), "column": (np.float32, ["b", 1])}
    inputs |= {name: (np.int64, [n] if n else []) for name, n in ARGUMENTS.items()} | {name: (np.float32, [n]) for name, n in FLOATS.items()}
    constants = {"seven": np.float32(7), "last": int64(-1), "one": np.ones(1, np.float32)}
    return model(nodes + NODES, inputs, OUTPUTS, constants=constants, opset=22)


@cache
def compiled(threads):
    return dlcompile.compile(everything(), threads=threads)


def arguments(seed, shape):
    rng = np.random.default_rng(seed)
    x = data(rng, *shape)
    rank, size = len(shape), x.size
    left = int(rng.integers(0, shape[2] + 1))
    given = {
        "x": x, "column": data(rng, shape[1], 1), "axes": rng.permutation(rank)[:2] - rank * rng.integers(0, 2, 2), "axis": rng.integers(-rank, rank),
        "shape": int64(*rng.permutation([shape[0], -1, 1])) if size else int64(0, 0, 0), "starts": rng.integers(-9, 9, rank),
        "ends": rng.integers(-9, 9, rank), "steps": rng.choice([-3, -2, -1, 1, 2, 3], rank), "order": rng.permutation(rank),
        "pads": rng.integers(0, 4, 2 * rank), "margins": rng.integers(0, max(shape[2], 1), 2), "repeats": rng.integers(0, 3, rank),
        "place": rng.integers(-rank - 1, rank + 1, 1), "parts": int64(left, shape[2] - left), "wide": int64(*rng.integers(1, 3, 2), 1, 5),
        "area": rng.integers(1, 9, rank), "scales": rng.choice([0.5, 0.75, 1.25, 2, 2.5], 2).astype(np.float32),
        "bounds": np.array([*rng.integers(-9, 9, 2), rng.choice([-1.5, -1, 0.5, 2])], np.float32),
    }
    return {name: np.asarray(value) for name, value in given.items()}


@pytest.mark.parametrize("threads", [1, 2])
def test_many_arguments(threads):
    run, reference = compiled(threads), ReferenceEvaluator(everything())
    for seed, shape in enumerate([(2, 3, 4), (1, 1, 1), (3, 5, 7), (2, 4, 17), (5, 2, 3), (1, 8, 2), (33, 3, 5)]):
        feeds = arguments(seed, shape)
        expected = dict(zip(OUTPUTS, reference.run(None, feeds)))
        actual = dict(zip(OUTPUTS, run(**feeds)))
        for name in OUTPUTS:
            try:
                assert_close([actual[name]], [np.asarray(expected[name])], 1e-3, 1e-4)
            except AssertionError as error:
                raise AssertionError(f"{name} of {shape} (seed {seed})") from error


@pytest.mark.parametrize("name, value, where", [
    ("axes", int64(0, 0), "reducemax"), ("axis", np.array(3), "cumsum"), ("shape", int64(-1, 5, 1), "reshape"), ("steps", int64(1, 0, 1), "slice"),
    ("order", int64(0, 1, 3), "slice"), ("repeats", int64(1, -1, 1), "tile"), ("parts", int64(1, 1), "split"), ("wide", int64(1, 1, 5, 5), "expand"),
    ("bounds", np.array([0, 1, 0], np.float32), "range"), ("place", int64(4), "unsqueeze")])
def test_arguments_that_make_no_sense(name, value, where):
    with pytest.raises(ArgumentError, match=where):
        compiled(1)(**(arguments(0, (2, 3, 4)) | {name: value}))


@pytest.mark.parametrize("step", [2**62, -(2**62), 2**63 - 1, -(2**63), -(2**63) + 1, 2**48, 2**31 + 1])
def test_steps_beyond_any_axis(step):
    """One element or none; products of the step with a symbolic dimension do not leave 64 bits."""
    cuts = [(0, 2**63 - 1), (-1, -(2**63)), (3, 9), (9, 3)]
    nodes, constants = [], []
    for i, (start, end) in enumerate(cuts):
        nodes.append(helper.make_node("Slice", ["x", f"starts{i}", f"ends{i}", "axes", "steps"], [f"y{i}"]))
        constants += [helper.make_tensor(f"{name}{i}", TensorProto.INT64, [2], values) for name, values in (("starts", [1, start]), ("ends", [9, end]))]
    constants += [helper.make_tensor("axes", TensorProto.INT64, [2], [0, 1]), helper.make_tensor("steps", TensorProto.INT64, [2], [2, step])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "m"])],
                              [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, None) for i in range(len(cuts))], constants)
    compiled = dlcompile.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), cache=False, name="m")
    for n, m in ((5, 17), (1, 1), (2, 4)):
        x = np.arange(n * m, dtype=np.float32).reshape(n, m)
        for result, (start, end) in zip(compiled(x), cuts, strict=True):
            np.testing.assert_array_equal(result, x[1:9:2, start:end:step])


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.STRING, TensorProto.FLOAT16])
@pytest.mark.parametrize("known", [False, True])
def test_indices_into_an_axis_without_elements(dtype, known):
    """Nothing is read there, and 0 or no text comes out; where there are elements, these."""
    operators = {"Gather": [4], "GatherElements": [4, 50], "GatherND": [4, 1]}
    nodes = [helper.make_node(op, ["x", f"i_{op}"], [f"y_{op}"]) for op in operators]
    inputs = [helper.make_tensor_value_info("x", dtype, [0 if known else "n", 50])]
    inputs += [helper.make_tensor_value_info(f"i_{op}", TensorProto.INT64, shape) for op, shape in operators.items()]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info(f"y_{op}", dtype, None) for op in operators])
    compiled = dlcompile.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), cache=False, name="m")
    indices = [np.ones(shape, np.int64) for shape in operators.values()]
    element = np.dtype(object) if dtype == TensorProto.STRING else helper.tensor_dtype_to_np_dtype(dtype)
    for n in (0,) if known else (0, 3):
        x = np.array([str(k) if element == object else k for k in range(50 * n)], element).reshape(n, 50)
        row = x[1] if n else np.full(50, "" if element == object else 0, element)
        for result in compiled(x, *indices):
            np.testing.assert_array_equal(result, np.stack([row] * 4))


def test_a_result_that_numpy_cannot_hold():
    graph = helper.make_graph([helper.make_node("Expand", ["x", "shape"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]), helper.make_tensor_value_info("shape", TensorProto.INT64, [2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    compiled = dlcompile.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), cache=False, name="m")
    assert compiled(np.ones(1, np.float32), np.array([0, 5])).shape == (0, 5)
    with pytest.raises(Error):
        compiled(np.ones(1, np.float32), np.array([0, 2**62]))


def test_unique_dimensions():
    """A kernel that reads an array is given one, though shapes are computed wherever they are read."""
    graph = helper.make_graph([helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Unique", ["s"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, "n"])], [helper.make_tensor_value_info("y", TensorProto.INT64, None)])
    compiled = dlcompile.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), cache=False, name="m")
    for n in (0, 1, 5):
        np.testing.assert_array_equal(compiled(np.zeros((n, 1, n), np.float32)), np.unique([n, 1, n]))


def test_a_sequence_where_a_tensor_is_expected():
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    graph = helper.make_graph([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)], "g", [helper.make_value_info("x", sequence)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)])
    with pytest.raises(Error, match="Cast.*expected a tensor"):
        dlcompile.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))


def test_arguments_of_more_entries_than_there_can_be_axes():
    graph = helper.make_graph([helper.make_node("ConstantOfShape", ["n"], ["v"]), helper.make_node("Cast", ["v"], ["s"], to=TensorProto.INT64),
                               helper.make_node("ConstantOfShape", ["s"], ["y"])], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [helper.make_tensor("n", TensorProto.INT64, [1], [2**40])])
    with pytest.raises(Error, match="ConstantOfShape.*entries"):
        dlcompile.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))


@pytest.mark.parametrize("threads", [1, 2])
def test_what_the_turns_of_a_loop_yield_is_of_one_shape(threads):
    """A state that doubles with every turn cannot be stacked; transposed in every turn it has as many bytes and yet another shape."""
    for make, first in (("s_ = Concat<axis: int = 0>(s, s)", (2, 3)), ("s_ = Transpose(s)", (2, 3))):
        made = parser.parse_model(f"""<ir_version: 8, opset_import: ["": 17]> g (float[a, b] x, int64 trips) => (float[c, d] y, float[t, e, f] all)
            {{ y, all = Loop(trips, , x) <body: graph = body (int64 i, bool go, float[m, n] s) => (bool go_, float[o, p] s_, float[q, r] seen)
            {{ go_ = Identity(go) {make} seen = Identity(s_) }}> }}""")
        compiled = dlcompile.compile(made, cache=False, threads=threads)
        x = np.arange(6, dtype=np.float32).reshape(first)
        for trips in (0, 1):
            y, all = compiled(x, np.array(trips))
            assert all.shape[0] == trips and (not trips or np.array_equal(all[0], y))
        with pytest.raises(Error, match=r"what turn 1 yields has a dimension of \d, where the turns before it have \d"):
            compiled(x, np.array(5))
        y, all = compiled(np.ones((2, 2), np.float32) if "Transpose" in make else np.ones((0, 3), np.float32), np.array(3))
        assert all.shape == ((3, 2, 2) if "Transpose" in make else (3, 0, 3))

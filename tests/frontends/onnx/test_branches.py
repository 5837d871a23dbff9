"""Branches that are chosen when the model runs: what one relies on does not bind the other, and results whose ranks differ."""
import numpy as np
import onnx
import pytest
from onnx import helper

import dlcompile
from dlcompile.errors import ArgumentError, Error
from dlcompile.frontends.onnx import import_onnx
from dlcompile.operators import evaluate
from tests.frontends.onnx.helpers import info, model, runtime


def branch(name, *nodes):
    return helper.make_graph(list(nodes), name, [], [onnx.ValueInfoProto(name=nodes[-1].output[0])])


def choice(condition, then, otherwise, result="y"):
    return helper.make_node("If", [condition], [result], name="choice", then_branch=then, else_branch=otherwise)


def assert_all_agree(proto, cases):
    graph = import_onnx(proto)
    for threads in (1, 2):
        compiled = dlcompile.compile(proto, cache=False, name="m", threads=threads)
        for feeds in cases:
            (expected,) = runtime(proto, feeds)
            for (result,) in (compiled.run(feeds).values(), evaluate(graph, feeds)):
                assert result.shape == expected.shape
                np.testing.assert_allclose(result, expected, rtol=1e-6)


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 3


def test_what_a_branch_assumes_holds_where_it_is_taken():
    """`x + y` needs equal lengths; without it they may differ. In a loop inside the branch too."""
    body = helper.make_graph([helper.make_node("Add", ["s", "y"], ["t"]), helper.make_node("Identity", ["go"], ["again"])], "body",
                             [info("i", np.int64, []), info("go", np.bool_, []), info("s", np.float32, ["n"])],
                             [info("again", np.bool_, []), info("t", np.float32, ["n"])])
    for nodes in ([helper.make_node("Add", ["x", "y"], ["a"])], [helper.make_node("Loop", ["trips", ""], ["a"], body=body)]):
        if nodes[0].op_type == "Loop":
            nodes[0].input.append("x")
        proto = model([choice("c", branch("then", *nodes), branch("else", helper.make_node("Neg", ["x"], ["n"])))],
                      {"c": (np.bool_, []), "x": (np.float32, ["n"]), "y": (np.float32, ["m"])}, ["y_"], constants={"trips": np.int64(3)})
        proto.graph.node[0].output[0] = "y_"
        yes, no = np.array(True), np.array(False)
        assert_all_agree(proto, [{"c": yes, "x": numbers(4), "y": numbers(4)}, {"c": no, "x": numbers(4), "y": numbers(5)}])
        with pytest.raises(ArgumentError, match="and m to be equal"):
            dlcompile.compile(proto).run({"c": yes, "x": numbers(4), "y": numbers(5)})


def squeezing(axis_size):
    """PyTorch's `x.squeeze(1)` where the size of the axis is not known, and what goes on with one axis less."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "one"], ["size"], axis=0),
        helper.make_node("Equal", ["size", "one"], ["c"]),
        choice("c", branch("then", helper.make_node("Squeeze", ["x", "one"], ["squeezed"])),
               branch("else", helper.make_node("Identity", ["x"], ["same"])), "v"),
        helper.make_node("MatMul", ["v", "w"], ["y"]),
    ]
    return model(nodes, {"x": (np.float32, ["n", axis_size, 4])}, ["y"], constants={"one": np.array([1]), "w": numbers(4, 2)})


def test_a_squeeze_that_depends_on_a_size():
    assert_all_agree(squeezing("k"), [{"x": numbers(3, 1, 4)}, {"x": numbers(1, 1, 4)}])
    compiled = dlcompile.compile(squeezing("k"))
    with pytest.raises(ArgumentError):
        compiled.run({"x": numbers(3, 2, 4)})


def test_a_squeeze_that_depends_on_a_size_in_either_branch():
    """Each branch squeezes an axis that has size 1 only for the inputs which that branch is for."""
    def part(name, step):
        nodes = [
            helper.make_node("Slice", ["x", "zero", "end", "one", step], [f"{name}_x"]), *squeezing("k").graph.node[:3],
            choice("c", branch("then", helper.make_node("Squeeze", [f"{name}_x", "one"], ["squeezed"])),
                   branch("else", helper.make_node("Identity", [f"{name}_x"], ["same"])), f"{name}_v"),
            helper.make_node("MatMul", [f"{name}_v", "w"], [f"{name}_y"]),
        ]
        nodes[1].input[0] = f"{name}_x"
        return branch(name, *nodes)

    constants = {"zero": np.array([0]), "one": np.array([1]), "end": np.array([2**40]), "by4": np.array([4]), "by8": np.array([8]), "w": numbers(4, 2)}
    proto = model([choice("fast", part("a", "by8"), part("b", "by4"))], {"fast": (np.bool_, []), "x": (np.float32, ["n", "k", 4])}, ["y"],
                  constants=constants)
    assert_all_agree(proto, [{"fast": np.array(True), "x": numbers(2, 8, 4)}, {"fast": np.array(False), "x": numbers(3, 4, 4)}])
    with pytest.raises(Error, match="Squeeze_0 needs"):
        dlcompile.compile(proto).run({"fast": np.array(False), "x": numbers(2, 8, 4)})


def test_ranks_that_depend_on_data():
    """The branch of the lower rank is what is meant, and the run says so where it is not taken."""
    nodes = [choice("c", branch("then", helper.make_node("Identity", ["x"], ["same"])),
                    branch("else", helper.make_node("Squeeze", ["x", "one"], ["squeezed"])), "v"), helper.make_node("Neg", ["v"], ["y"])]
    proto = model(nodes, {"c": (np.bool_, []), "x": (np.float32, ["n", 1])}, ["y"], constants={"one": np.array([1])})
    assert_all_agree(proto, [{"c": np.array(False), "x": numbers(3, 1)}])
    with pytest.raises(Error, match="choice"):
        dlcompile.compile(proto).run({"c": np.array(True), "x": numbers(3, 1)})

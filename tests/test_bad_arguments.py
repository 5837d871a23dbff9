"""Arguments that a model of unknown dimensions turns out not to hold for: an error, where C would read or write beside its arrays."""
from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

import dlcompile as dlc

HEADER = '<ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 3]>\n'


def f(*shape: int) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape) / 8


def i(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def n(value: int) -> np.ndarray:
    return np.array(value, np.int64)


LARGE, SMALL = 2**63 - 1, -2**63
TREE = """nodes_featureids = [2, 0, 0], nodes_nodeids = [0, 1, 2], nodes_treeids = [0, 0, 0], nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"],
    nodes_values = [0.5, 0.0, 0.0], nodes_truenodeids = [1, 0, 0], nodes_falsenodeids = [2, 0, 0], target_ids = [0, 0], target_nodeids = [1, 2],
    target_treeids = [0, 0], target_weights = [1.0, 2.0], n_targets = 1"""

CASES = {
    "fewer rows than are gathered along": (
        "g (float[n, m] x, int64[k, l] j) => (y) { y = GatherElements<axis = 1>(x, j) }",
        (f(4, 3), np.ones((3, 5), np.int64)), [(f(2, 3), np.ones((8, 3), np.int64))]),
    "fewer rows than are scattered along": (
        "g (float[n, m] x, int64[k, l] j, float[k, l] u) => (y) { y = ScatterElements<axis = 1>(x, j, u) }",
        (f(4, 3), np.tile(i(2, 0), (3, 1)), f(3, 2)), [(f(4, 3), np.ones((6, 3), np.int64), f(6, 3))]),
    "items that do not fit together": (
        "g (seq(float[n, m]) s) => (y) { y = ConcatFromSequence<axis = 1>(s) }",
        ([f(2, 3), f(2, 1)],), [([f(2, 3), f(3, 2)],), ([],)]),
    "items of different shapes, stacked": (
        "g (seq(float[n]) s) => (y) { y = ConcatFromSequence<axis = 0, new_axis = 1>(s) }",
        ([f(2), f(2)],), [([f(2), f(3)],), ([],)]),
    "sizes of pieces that do not add up": (
        "g (float[n, 2] x, int64[k] s) => (y) { y = SplitToSequence<axis = 0>(x, s) }",
        (f(6, 2), i(1, 2, 3)), [(f(6, 2), i(1, 2, 2)), (f(6, 2), i(-1, 4, 3)), (f(6, 2), i(LARGE, LARGE, 8)), (f(6, 2), i())]),
    "pieces of no size": (
        "g (float[n, 2] x, int64 s) => (y) { y = SplitToSequence<axis = 0>(x, s) }",
        (f(6, 2), n(4)), [(f(6, 2), n(0)), (f(6, 2), n(-1)), (f(6, 2), n(SMALL))]),
    "frames that do not move on": (
        "g (float[1, k, 1] x, int64 s, int64 l) => (y) { y = STFT(x, s, , l) }",
        (f(1, 16, 1), n(4), n(4)), [(f(1, 16, 1), n(0), n(4)), (f(1, 16, 1), n(-1), n(4)), (f(1, 16, 1), n(4), n(0))]),
    "regions of three numbers": (
        "g (float[n, c, h, w] x, float[k, q] r, int64[l] b) => (y) { y = RoiAlign<sampling_ratio = 1>(x, r, b) }",
        (f(2, 2, 4, 5), f(3, 4), i(0, 1, 0)), [(f(2, 2, 4, 5), f(3, 3), i(0, 1, 0)), (f(2, 2, 4, 5), f(3, 4), i(0, 1))]),
    "regions of four numbers, to be pooled": (
        "g (float[n, c, h, w] x, float[k, q] r) => (y) { y = MaxRoiPool<pooled_shape = [2, 2]>(x, r) }",
        (f(2, 2, 4, 5), f(1, 5)), [(f(2, 2, 4, 5), f(3, 4))]),
    "a diagonal of what is not square": (
        'g (float[a, b] x) => (y) { y = Einsum<equation = "ii->i">(x) }', (f(3, 3),), [(f(2, 3),), (f(3, 2),)]),
    "columns that the trees do not find": (
        f"g (float[n, d] x) => (y) {{ y = ai.onnx.ml.TreeEnsembleRegressor<{TREE}>(x) }}", (f(2, 3),), [(f(2, 2),)]),
    "columns without coefficients": (
        "g (float[n, d] x) => (y) { y = ai.onnx.ml.LinearRegressor<coefficients = [1.0, 2.0, 3.0], intercepts = [0.5]>(x) }",
        (f(2, 3),), [(f(2, 2),), (f(2, 4),)]),
    "columns that the classes have no coefficients for": (
        "g (float[n, d] x) => (label, y) { label, y = ai.onnx.ml.LinearClassifier<coefficients = [1.0, 2.0, 3.0, 4.0, 0.0, -6.0], "
        "intercepts = [0.5, 0.1], classlabels_ints = [3, 4]>(x) }", (f(2, 3),), [(f(2, 2),), (f(2, 4),)]),
    "columns that the support vectors do not have": (
        'g (float[n, d] x) => (y) { y = ai.onnx.ml.SVMRegressor<kernel_type = "RBF", coefficients = [1.0, 2.0], n_supports = 2, rho = [0.5], '
        "support_vectors = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], kernel_params = [0.1, 0.0, 3.0]>(x) }", (f(2, 3),), [(f(2, 2),), (f(2, 4),)]),
    "a direction too many": (
        "g (float[t, b, c] x, float[d, q, c] w, float[e, q, h] r, float[k, b, h] s) => (y) { y = GRU<hidden_size = 3>(x, w, r, , , s) }",
        (f(2, 2, 4), f(1, 9, 4), f(1, 9, 3), f(1, 2, 3)), [(f(2, 2, 4), f(1, 9, 4), f(1, 9, 3), f(2, 2, 3)), (f(2, 2, 4), f(2, 9, 4), f(2, 9, 3), f(1, 2, 3))]),
    "a size of nothing for all there is": (
        "g (float[n, 6] x, float[k] q) => (y, z) { a = Shape(q) b = Constant<value_ints = [-1]>() s = Concat<axis = 0>(a, b) r = Reshape(x, s) "
        "y = ReduceSum(r) z = ReduceSum<keepdims = 0>(r, b) }", (f(2, 6), f(3)), [(f(2, 6), f(0))]),
}


@pytest.mark.parametrize("name", CASES)
def test_arguments_that_do_not_fit(name: str) -> None:
    text, good, bad = CASES[name]
    proto = onnx.parser.parse_model(HEADER + text)
    model = dlc.compile(proto, cache=False)
    got = model(*good)
    names = [v.name for v in proto.graph.input]
    if any(node.op_type in ("MaxRoiPool", "GatherElements") for node in proto.graph.node):  # which the reference evaluator has not, or in part
        expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, dict(zip(names, good)))
    else:
        expected = ReferenceEvaluator(proto).run(None, dict(zip(names, good)))
    for value, wanted in zip(got if isinstance(got, tuple) else (got,), expected):
        for one, other in zip(value, wanted, strict=True) if isinstance(wanted, list) else [(value, wanted)]:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    for arguments in bad:
        with pytest.raises((dlc.ArgumentError, dlc.ExecutionError)):
            model(*arguments)


def test_the_error_says_what_was_expected() -> None:
    text, _, ((x, indices),) = CASES["fewer rows than are gathered along"]
    with pytest.raises(dlc.ArgumentError, match=r"GatherElements_0 needs k to be at most n; they are 8 and 2 \(n=2, m=3, k=8, l=3\)"):
        dlc.compile(onnx.parser.parse_model(HEADER + text), cache=False)(x, indices)


def test_a_quotient_by_nothing() -> None:
    """The empty rearranged into no rows of whatever there is left: the columns, which no number divides, are none."""
    text = CASES["a size of nothing for all there is"][0]
    y, z = dlc.compile(onnx.parser.parse_model(HEADER + text), cache=False)(f(0, 6), f(0))
    np.testing.assert_array_equal(y, [[0]])
    assert z.shape == (0,)


def test_a_transform_of_too_many_points() -> None:
    text = "g (float[1, 10, 1] x) => (y) <int64 l = {1000000007}> { y = DFT(x, l) }"
    with pytest.raises(dlc.Error, match="1000000007 points"):
        dlc.compile(onnx.parser.parse_model(HEADER + text), cache=False)

"""Random operators of ONNX, compiled: with a seed what the reference evaluator draws, without one the right distributions, each time the same."""
import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import dlcompile
from dlcompile.errors import Error
from dlcompile.frontends.onnx import export_onnx, import_onnx

RNG = np.random.default_rng(1)


def model(op_type: str, *inputs: np.ndarray, outputs: int = 1, opset: int = 22, name: str = "", dims=None, **attributes) -> onnx.ModelProto:
    names = [f"x{i}" for i in range(len(inputs))]
    node = helper.make_node(op_type, names, [f"y{i}" for i in range(outputs)], name=name, **attributes)
    given = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), dims or a.shape) for n, a in zip(names, inputs)]
    graph = helper.make_graph([node], "random", given, [helper.make_value_info(f"y{i}", onnx.TypeProto()) for i in range(outputs)])
    return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10))


def run(made: onnx.ModelProto, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    got = dlcompile.compile(made)(*inputs)
    return got if isinstance(got, tuple) else (got,)


PROBABILITIES = RNG.uniform(0.01, 1, (6, 50)).astype(np.float32)
DATA = RNG.standard_normal((6, 50)).astype(np.float32)
SEEDED = [
    ("RandomUniform", (), {"shape": [4, 30], "low": -1.0, "high": 3.0, "seed": 7.0}),
    ("RandomNormal", (), {"shape": [4, 31], "mean": 1.0, "scale": 2.0, "seed": 0.0, "dtype": TensorProto.DOUBLE}),
    ("RandomUniformLike", (DATA,), {"seed": 3.0}),
    ("RandomNormalLike", (DATA.astype(np.float64),), {"seed": 3.0, "dtype": TensorProto.FLOAT}),
    ("Bernoulli", (PROBABILITIES,), {"seed": 11.0}),
    ("Bernoulli", (PROBABILITIES.astype(np.float64),), {"seed": 11.0, "dtype": TensorProto.INT32}),
    ("Dropout", (DATA, np.array(0.3, np.float32), np.array(True)), {"seed": 5, "outputs": 2}),
    ("Dropout", (DATA, np.array(0.3, np.float32), np.array(False)), {"seed": 5, "outputs": 2}),
]


@pytest.mark.parametrize("op_type, inputs, attributes", SEEDED, ids=lambda v: v if isinstance(v, str) else "")
def test_seeded_numbers_are_the_reference_evaluators(op_type, inputs, attributes):
    made = model(op_type, *inputs, **attributes)
    feeds = {f"x{i}": a for i, a in enumerate(inputs)}
    expected = ReferenceEvaluator(made).run(None, feeds)
    exported = ReferenceEvaluator(export_onnx(import_onnx(made))).run(None, feeds)
    for got in (run(made, *inputs), exported):
        for a, b in zip(got, expected, strict=True):
            assert a.shape == b.shape and a.dtype == (bool if b.dtype == bool else a.dtype)
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_shapes_of_symbols():
    made = model("RandomNormalLike", DATA, seed=9.0, dims=["n", "m"])
    np.testing.assert_allclose(run(made, DATA)[0], np.random.RandomState(9).randn(*DATA.shape), rtol=1e-6)


def test_without_a_seed_the_name_decides():
    draws = {name: run(model("RandomUniform", shape=[2000], name=name))[0] for name in ("a", "b")}
    again = run(model("RandomUniform", shape=[2000], name="a"))[0]
    np.testing.assert_array_equal(draws["a"], again)
    assert abs(np.corrcoef(draws["a"], draws["b"])[0, 1]) < 0.1
    compiled = dlcompile.compile(model("RandomUniform", shape=[2000], name="a"))
    np.testing.assert_array_equal(compiled(), compiled())


def test_distributions_without_a_seed():
    (x,) = run(model("RandomUniform", shape=[40000], low=-2.0, high=2.0))
    assert -2 <= x.min() < -1.99 and 1.99 < x.max() < 2 and abs(x.mean()) < 0.03 and abs(x.var() - 4 / 3) < 0.03
    (x,) = run(model("RandomNormal", shape=[40000], mean=5.0, scale=2.0, dtype=TensorProto.DOUBLE))
    assert abs(x.mean() - 5) < 0.05 and abs(x.std() - 2) < 0.05
    p = np.full(40000, 0.3, np.float32)
    assert abs(run(model("Bernoulli", p), p)[0].mean() - 0.3) < 0.01
    ends = np.array([0.0, 1.0] * 500, np.float32)
    np.testing.assert_array_equal(run(model("Bernoulli", ends), ends)[0], ends)


def test_dropout_keeps_the_mean():
    x = np.ones((200, 200), np.float32)
    y, mask = run(model("Dropout", x, np.array(0.25, np.float32), np.array(True), outputs=2), x, np.array(0.25, np.float32), np.array(True))
    assert abs(mask.mean() - 0.75) < 0.01
    np.testing.assert_allclose(y, np.where(mask, np.float32(1 / 0.75), 0), rtol=1e-6)


@pytest.mark.parametrize("seed", [{}, {"seed": 4.0}])
def test_multinomial(seed):
    weights = np.array([[1, 2, 3, 4], [4, 0, 0, 4]], np.float32)
    with np.errstate(divide="ignore"):
        logits = np.log(weights) + np.float32(3)
    (drawn,) = run(model("Multinomial", logits, sample_size=20000, dtype=TensorProto.INT64, **seed), logits)
    assert drawn.shape == (2, 20000) and drawn.dtype == np.int64
    for row, wanted in zip(drawn, weights):
        np.testing.assert_allclose(np.bincount(row, minlength=4) / 20000, wanted / wanted.sum(), atol=4 * math.sqrt(0.25 / 20000))


@pytest.mark.parametrize("op_type, attributes", [("RandomUniform", {"shape": [2], "dtype": TensorProto.INT32}), ("RandomUniform", {"shape": [-1]}),
                                                 ("RandomNormal", {"shape": [2], "seed": math.inf})])
def test_refusals(op_type, attributes):
    with pytest.raises(Error, match="random numbers of type|the shape is|the seed is|not known"):
        import_onnx(model(op_type, **attributes))

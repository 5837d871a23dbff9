"""Activations against ONNX Runtime or their formulas in float64, far from zero and at infinity too."""
import math

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import ShapeError
from dlcompile.graph import OPERATORS, make_input, symbol
from tests.operators.helpers import check, normal, onnx_runtime, run

X = np.concatenate([normal(40) * 3, np.array([0.0, -0.0, 100.0, -100.0, 1.0, -1.0], np.float32)]).reshape(2, 23)

AS_ONNX_RUNTIME = {  # name: (ONNX operator, attributes by ONNX's names, ours where they differ)
    "relu": ("Relu", {}, None), "leaky_relu": ("LeakyRelu", {"alpha": 0.2}, None), "elu": ("Elu", {"alpha": 1.5}, None),
    "celu": ("Celu", {"alpha": 0.7}, None), "selu": ("Selu", {}, None), "gelu": ("Gelu", {"approximate": "none"}, None),
    "gelu tanh": ("Gelu", {"approximate": "tanh"}, None), "softplus": ("Softplus", {}, None), "mish": ("Mish", {}, None),
    "softsign": ("Softsign", {}, None), "hard_sigmoid": ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, None), "hard_swish": ("HardSwish", {}, None),
    "thresholded_relu": ("ThresholdedRelu", {"alpha": 0.8}, None), "shrink": ("Shrink", {"bias": 0.3, "lambd": 0.6}, None),
    "softmax": ("Softmax", {"axis": 0}, None), "log_softmax": ("LogSoftmax", {"axis": -1}, None), "hardmax": ("Hardmax", {"axis": 1}, None),
}


@pytest.mark.parametrize("case", AS_ONNX_RUNTIME)
def test_as_onnx_runtime(case):
    op_type, attributes, ours = AS_ONNX_RUNTIME[case]
    (expected,) = onnx_runtime(op_type, [X], **attributes)
    check(lambda t: getattr(ops, case.split()[0])(t, **(ours or attributes)), [X], expected, rtol=2e-6, atol=1e-6)


FORMULAS = {
    "relu": lambda x: max(x, 0), "softplus": lambda x: math.log1p(math.exp(x)) if x < 700 else x, "silu": lambda x: x / (1 + math.exp(-x)),
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)), "softsign": lambda x: x / (1 + abs(x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x)) if x < 700 else x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name):
    """In float64, so that a mistake in a constant shows."""
    x = np.linspace(-20, 20, 81)
    check(getattr(ops, name), [x], np.array([FORMULAS[name](v) for v in x], np.float64), rtol=1e-7 if name == "selu" else 1e-11, atol=1e-14)


@pytest.mark.parametrize("name, limits", [
    ("relu", (0, math.inf)), ("softplus", (0, math.inf)), ("hard_sigmoid", (0, 1)), ("elu", (-1, math.inf)), ("leaky_relu", (-math.inf, math.inf)),
    ("celu", (-1, math.inf))])
def test_at_infinity(name, limits):
    x = np.array([-math.inf, math.inf, math.nan], np.float32)
    check(getattr(ops, name), [x], np.array([*limits, math.nan], np.float32))


def test_parameters():
    assert ops.leaky_relu(make_input("x", np.float32, (2,))).producer.attributes == {"alpha": 0.01}
    check(lambda t: ops.silu(t, alpha=1.702), [X], (X / (1 + np.exp(-1.702 * X.astype(np.float64)))).astype(np.float32), rtol=1e-5, atol=1e-30)
    with pytest.raises(TypeError, match=r"elu\(\) has no parameter slope"):
        ops.elu(X, slope=1)


def test_operands():
    slope = np.array([[0.1], [0.3]], np.float32)
    check(ops.prelu, [X, slope], np.where(X < 0, X * slope, X))
    low, high = np.float32(-0.5), np.float32(0.5)
    check(ops.clip, [X, np.asarray(low), np.asarray(high)], np.clip(X, low, high))
    check(lambda t: ops.clip(t, 2, 1), [np.array([0, 5], np.int32)], np.array([1, 1], np.int32))  # an empty interval: the upper end


class TestSoftmax:
    def test_large_values_do_not_overflow(self):
        x = np.array([[1e30, 1e30], [-1e30, 0], [1000, 999]], np.float32)
        e = math.exp(-1)
        check(ops.softmax, [x], np.array([[0.5, 0.5], [0, 1], [1 / (1 + e), e / (1 + e)]], np.float32), rtol=1e-6)
        check(lambda t: ops.log_softmax(t, 1), [x[2:]], np.array([[-math.log1p(e), -1 - math.log1p(e)]], np.float32), rtol=1e-5)

    def test_masked_values(self):
        x = np.array([[-math.inf, 1, 1], [-math.inf] * 3], np.float32)
        (y,) = run(lambda t: ops.softmax(t, -1), x)
        np.testing.assert_array_equal(y[0], [0, 0.5, 0.5])
        assert np.isnan(y[1]).all()

    def test_symbols_and_axes(self):
        x = make_input("x", np.float32, (symbol("n"), 4))
        assert ops.softmax(x, 0).producer.attributes == {"axis": 0} and ops.softmax(x).shape == (symbol("n"), 4)
        with pytest.raises(ShapeError, match="axis 2 is out of range"):
            ops.softmax(x, 2)


@pytest.mark.parametrize("axes, keepdims", [((0,), True), ((1,), False), (None, False), ((0, 1), True)])
def test_logsumexp(axes, keepdims):
    x = X.astype(np.float64)
    expected = np.log(np.sum(np.exp(x), axis=axes, keepdims=keepdims))
    check(lambda t: ops.logsumexp(t, axes, keepdims), [x], np.asarray(expected), rtol=1e-12)


def test_logsumexp_at_infinity():
    inf = math.inf
    x = np.array([[-inf, -inf], [inf, 0], [1000, 1000], [-inf, 3]])
    check(lambda t: ops.logsumexp(t, 1), [x], np.array([-inf, inf, 1000 + math.log(2), 3]), rtol=1e-15)


@pytest.mark.parametrize("name", [n for n, row in OPERATORS.items() if row.is_composite and n in ops.__all__])
def test_every_composite_has_a_function(name):
    assert callable(getattr(ops, name)) and getattr(ops, name).__doc__


AS_IN_ONNX = {"dict_vectorizer", "cast_map", "tf_idf_vectorizer", "tree_ensemble_regressor", "tree_ensemble_classifier", "tree_ensemble_5"}
"""composites that keep the attributes of the ONNX operator they come from: nobody else makes them"""


def test_no_composite_is_without_a_function():
    assert {n for n, row in OPERATORS.items() if row.is_composite and n not in ops.__all__ and "." not in n} == AS_IN_ONNX

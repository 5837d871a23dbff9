"""Products of quantised numbers that are 8-bit floats, against their definition in float64."""
import ml_dtypes
import numpy as np
import pytest
from onnx import helper

import dlcompile

FLOAT8 = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz]
EIGHT_BITS = [*FLOAT8, np.int8, np.uint8]


def drawn(dtype, shape, seed):
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        return random.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)
    return (random.standard_normal(shape) * 4).astype(dtype)


PAIRS = [*((t, t) for t in FLOAT8), (FLOAT8[0], np.int8), (np.uint8, FLOAT8[2])]


@pytest.mark.parametrize("a_type, b_type, y_type", [(*pair, y) for shift in (0, 2) for pair, y in zip(PAIRS, np.roll(EIGHT_BITS, shift))])
def test_matmul_of_floats_of_8_bits(a_type, b_type, y_type):
    a, b = drawn(a_type, (5, 7), 1), drawn(b_type, (7, 6), 2)
    zeros = [np.zeros((), t) if t in FLOAT8 else np.array(3, t) for t in (a_type, b_type, y_type)]
    scales = [np.float32(s) for s in (0.5, 0.25, 2.0)]
    operands = [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]
    inputs = [helper.make_tensor_value_info(f"x{i}", helper.np_dtype_to_tensor_dtype(np.asarray(t).dtype), np.shape(t)) for i, t in enumerate(operands)]
    graph = helper.make_graph([helper.make_node("QLinearMatMul", [i.name for i in inputs], ["y"])], "g", inputs,
                              [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(y_type)), [5, 6])])
    model = dlcompile.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), cache=False, name="m")
    a, b, a_zero, b_zero, y_zero = (np.asarray(t, np.float64) for t in (a, b, *zeros))
    exact = (a - a_zero) @ (b - b_zero) * (0.5 * 0.25 / 2.0)
    result = model(*operands)
    if y_type in FLOAT8:
        most = float(ml_dtypes.finfo(y_type).max)
        expected = np.clip(exact + y_zero, -most, most).astype(np.float32).astype(y_type)
    else:
        expected = np.clip(np.rint(exact) + y_zero, np.iinfo(y_type).min, np.iinfo(y_type).max).astype(y_type)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result.astype(np.float64), expected.astype(np.float64))

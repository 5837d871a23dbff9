"""Padding by negative amounts, which cut off: from the operand, and where that is not enough from the padding on the other side."""
import itertools

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import Graph, make_input, symbol
from dlcompile.operators import evaluate


@pytest.mark.parametrize("symbolic", [False, True])
def test_amounts_of_any_sign(symbolic):
    for low, high, extent in itertools.product(range(-3, 4), range(-3, 4), range(4)):
        if extent + low + high < 0:
            continue
        x = np.arange(extent, dtype=np.float64)
        padded = np.pad(x, (max(low, 0), max(high, 0)), constant_values=9)
        expected = padded[max(-low, 0):len(padded) - max(-high, 0)]
        t = make_input("x", np.float64, (symbol("n") if symbolic else extent,))
        result = evaluate(Graph("g", [t], [ops.pad(t, 9.0, (low,), (high,))]), [x])[0]
        np.testing.assert_array_equal(result, expected, err_msg=f"{low}, {high} of {extent}")


def test_what_is_no_tensor():
    with pytest.raises(TypeError, match="expected a tensor, not"):
        ops.as_tensor(object())

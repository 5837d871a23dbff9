"""Arithmetic on shapes: what the values known while a graph is built are, and that evaluation agrees with them."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcompile import ops
from dlcompile.graph import OPERATORS, Dim, Graph, ceildiv, dim_max, dim_min, make_constant, make_input, symbol
from dlcompile.graph import evaluate as evaluate_dim
from dlcompile.graph.operator import Undecided
from dlcompile.operators import evaluate

N, H, W = (symbol(s) for s in "nhw")
X = make_input("x", np.float32, (N, 3, H, W))
SHAPE = ops.shape_of(X)


def known(tensor):
    return None if tensor.known is None else tensor.known.tolist()


def dim(position):
    """A dimension of X as exporters take it from its shape."""
    return ops.reshape(ops.slice(SHAPE, (position,), (position + 1,)), ())


@pytest.mark.parametrize("build, expected", [
    (lambda: SHAPE, [N, 3, H, W]),
    (lambda: SHAPE[1:], [3, H, W]),
    (lambda: ops.gather(SHAPE, np.array([3, -2, 0]), normalize=True), [W, H, N]),
    (lambda: ops.concatenate([SHAPE[:2], np.array([-1])]), [N, 3, -1]),
    (lambda: ops.stack([dim(0), dim(2) * dim(3)]), [N, H * W]),
    (lambda: ops.div(dim(2), 2), H // 2),
    (lambda: ops.rem(dim(2), 4), H % 4),
    (lambda: ops.floor_mod(dim(2), 4), H % 4),
    (lambda: ops.sub(dim(2), dim(2)), 0),
    (lambda: ops.neg(ops.sub(np.int64(3), dim(2))), H - 3),
    (lambda: ops.div(ops.add(dim(2), 7), 8) * 8, ceildiv(H, 8) * 8),
    (lambda: ops.reduce_prod(SHAPE), 3 * N * H * W),
    (lambda: ops.reduce_sum(SHAPE[1:]), 3 + H + W),
    (lambda: ops.reduce_max(SHAPE[2:]), dim_max(H, W)),
    (lambda: ops.maximum(dim(2), dim(3)), dim_max(H, W)),
    (lambda: ops.minimum(dim(2), 7), dim_min(H, 7)),
    (lambda: ops.maximum(dim(2), 0), H),
    (lambda: ops.eq(SHAPE, -1), [False] * 4),
    (lambda: ops.select(ops.eq(np.array([-1, 3]), -1), SHAPE[2:], np.array([-1, 3])), [H, 3]),
    (lambda: ops.lt(ops.neg(dim(0)), 1), True),
    (lambda: ops.ge(dim(0) + 2, dim(0)), True),
    (lambda: ops.logical_not(ops.gt(dim(0) * 0, 1)), True),
    (lambda: ops.logical_and(ops.ge(dim(0), 0), ops.ne(dim(0) + 1, dim(0))), True),
    (lambda: ops.cast(ops.cast(dim(2), np.int32), np.int64), H),
    (lambda: ops.abs(dim(2)), H),
    (lambda: ops.reshape(SHAPE, (2, 2)), [[N, 3], [H, W]]),
    (lambda: ops.transpose(ops.reshape(SHAPE, (2, 2))), [[N, H], [3, W]]),
    (lambda: ops.reverse(SHAPE, 0), [W, H, 3, N]),
    (lambda: ops.pad(SHAPE[2:], 1, (2,), (0,)), [1, 1, H, W]),
    (lambda: ops.broadcast_to(dim(0), (2,)), [N, N]),
    (lambda: ops.tile(SHAPE[:1], (3,)), [N, N, N]),
    (lambda: np.arange(3) + dim(0), [N, N + 1, N + 2]),
    (lambda: ops.squeeze(ops.expand_dims(dim(3), 0)), W),
    (lambda: np.array([[0, 1, 0]]) * dim(0), [[0, N, 0]]),
])
def test_known(build, expected):
    """The value that is known, and the one the interpreter finds."""
    tensor = build()
    assert known(tensor) == expected
    sizes = {"n": 2, "h": 9, "w": 12}
    (actual,) = evaluate(Graph("g", [X], [tensor]), [np.zeros((2, 3, 9, 12), np.float32)])
    values = [evaluate_dim(d, sizes) if isinstance(d, Dim) else d for d in np.asarray(tensor.known, dtype=object).ravel()]
    assert actual.ravel().tolist() == values and actual.shape == tensor.shape


@pytest.mark.parametrize("build", [
    lambda: ops.eq(dim(0), 5), lambda: ops.lt(dim(2), dim(3)), lambda: ops.gather(SHAPE, ops.cast(dim(0), np.int64)), lambda: ops.div(np.int64(-3), dim(0)),
    lambda: ops.div(ops.sub(dim(0), 5), 2), lambda: ops.cast(dim(0), np.float32), lambda: ops.cast(dim(0), bool), lambda: ops.pow(dim(0), 2),
    lambda: ops.select(ops.eq(dim(0), 1), dim(2), dim(3)), lambda: ops.abs(ops.sub(dim(0), 4)), lambda: ops.rem(dim(0), 0), lambda: ops.sort(SHAPE)])
def test_not_known(build):
    """What depends on the values of the symbols, or is not shape arithmetic, is left to run time: and still evaluates."""
    tensor = build()
    assert tensor.known is None
    evaluate(Graph("g", [X], [tensor]), [np.zeros((3, 3, 4, 5), np.float32)])


def test_large_and_symbolic_shapes_are_not_carried():
    assert make_constant(np.zeros(5000, np.int64)).known is None
    assert ops.broadcast_to(dim(0), (N,)).known is None
    assert make_constant(np.float32(2)).known is None


INTEGERS = st.integers(-20, 20)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([n for n, row in OPERATORS.items() if row.family == "elementwise" and row.shape_arithmetic and n not in ("cast", "select", "not", "and", "or")]),
       st.lists(INTEGERS, min_size=1, max_size=4), INTEGERS)
def test_as_on_numbers(name, values, other):
    """What is done to dimensions does to plain integers what the operator does."""
    row = OPERATORS[name]
    a, b = np.array(values), np.array(other)
    operands = (a,) if name in ("neg", "abs") else (a, b)
    objects = [o.astype(object) for o in operands]
    if name in ("div", "rem") and other == 0:
        with pytest.raises(Undecided):
            row.evaluate({}, *objects)
    else:
        assert row.evaluate({}, *objects).tolist() == row.evaluate({}, *operands).tolist()

"""Products and convolutions against einsum, loops and ONNX Runtime."""
import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcompile import ops
from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import OPERATORS, make_input, symbol
from tests.operators.helpers import check, normal, onnx_runtime

FEW = settings(max_examples=30, deadline=None)


@FEW
@given(st.data())
def test_dot_general(data):
    """Axes in any place and order: batch, free and contracted ones shuffled on both sides."""
    count = {kind: data.draw(st.integers(0, 2)) for kind in ("batch", "left", "right", "contracted")}
    letters = iter("abcdefgh")
    groups = {kind: [next(letters) for _ in range(n)] for kind, n in count.items()}
    extent = {c: data.draw(st.integers(0 if c == "a" else 1, 4)) for g in groups.values() for c in g}
    lhs = data.draw(st.permutations(groups["batch"] + groups["left"] + groups["contracted"]))
    rhs = data.draw(st.permutations(groups["batch"] + groups["right"] + groups["contracted"]))
    a, b = normal(*(extent[c] for c in lhs), dtype=np.float64), normal(*(extent[c] for c in rhs), dtype=np.float64)
    result = groups["batch"] + [c for c in lhs if c in groups["left"]] + [c for c in rhs if c in groups["right"]]
    expected = np.einsum(f"{''.join(lhs)},{''.join(rhs)}->{''.join(result)}", a, b)
    check(lambda s, t: ops.dot_general(s, t, contracting=([lhs.index(c) for c in groups["contracted"]], [rhs.index(c) for c in groups["contracted"]]),
                                       batch=([lhs.index(c) for c in groups["batch"]], [rhs.index(c) for c in groups["batch"]])),
          [a, b], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("a, b", [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)),
                                  ((1, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((2, 3), (5, 3, 4)),
                                  ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((7, 1, 2, 3), (1, 5, 3, 4))])
def test_matmul(a, b):
    x, y = normal(*a, dtype=np.float64), normal(*b, dtype=np.float64)
    check(ops.matmul, [x, y], np.matmul(x, y), rtol=1e-13, atol=1e-13)
    check(lambda s, t: s @ t, [x, y], x @ y, rtol=1e-13, atol=1e-13, fixed=None)


def test_products_of_narrow_floats_accumulate_in_float32():
    for dtype in (np.float16, ml_dtypes.bfloat16):
        a, b = np.ones((1, 3000)).astype(dtype), np.ones((3000, 1)).astype(dtype)
        check(ops.matmul, [a, b], np.asarray([[3000.0]]).astype(dtype))


def test_integer_products_wrap():
    a, b = np.array([[2**30, 4]], np.int32), np.array([[4], [1]], np.int32)
    check(ops.matmul, [a, b], np.array([[4]], np.int32))


@pytest.mark.parametrize("equation, shapes", [
    ("ij,jk->ik", ((2, 3), (3, 4))), ("bij,bjk", ((2, 3, 4), (2, 4, 5))), ("...ij,...jk->...ik", ((2, 5, 3, 4), (5, 4, 2))), ("ii->i", ((3, 3),)),
    ("ii", ((3, 3),)), ("ij->ji", ((2, 3),)), ("i,j->ij", ((2,), (3,))), ("ij->", ((2, 3),)), ("bhqd,bhkd->bhqk", ((2, 2, 3, 4), (2, 2, 5, 4))),
    ("i,i,i->i", ((3,), (3,), (3,))), ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 5))), ("ij,kl->", ((2, 3), (4, 5))), ("iji->j", ((2, 3, 2),)),
    ("...->...", ((2, 3),)), ("ij,ij->ij", ((1, 3), (2, 3))), ("iii->i", ((3, 3, 3),)), (" i j , j -> i ", ((2, 3), (3,)))])
def test_einsum(equation, shapes):
    arrays = [normal(*s, dtype=np.float64) for s in shapes]
    check(lambda *ts: ops.einsum(equation, *ts), arrays, np.asarray(np.einsum(equation, *arrays)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("equation, shapes", [("ij,jk->ik", ((2, 3),)), ("ijk->i", ((2, 3),)), ("ij->k", ((2, 3),))])
def test_einsum_refuses(equation, shapes):
    with pytest.raises(ShapeError, match="einsum"):
        ops.einsum(equation, *(make_input(f"x{i}", np.float32, s) for i, s in enumerate(shapes)))


def convolved(x, w, strides, padding, lhs_dilation, rhs_dilation, groups):
    """The definition, in loops: channels first."""
    wide = np.zeros((*x.shape[:2], *((e - 1) * d + 1 for e, d in zip(x.shape[2:], lhs_dilation))))
    wide[(..., *(slice(None, None, d) for d in lhs_dilation))] = x
    low = [p[0] for p in padding]
    out = [(e + a + b - ((k - 1) * d + 1)) // s + 1 for e, (a, b), k, d, s in zip(wide.shape[2:], padding, w.shape[2:], rhs_dilation, strides)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    for n, o in itertools.product(range(x.shape[0]), range(w.shape[0])):
        group = o // (w.shape[0] // groups)
        for place in np.ndindex(*out):
            for c, *tap in np.ndindex(*w.shape[1:]):
                source = [p * s + t * d - a for p, s, t, d, a in zip(place, strides, tap, rhs_dilation, low)]
                if all(0 <= i < e for i, e in zip(source, wide.shape[2:])):
                    y[(n, o, *place)] += wide[(n, group * w.shape[1] + c, *source)] * w[(o, c, *tap)]
    return y


@FEW
@given(st.data())
def test_conv_general(data):
    """Every attribute at once, negative padding (which cuts off) too, in both layouts."""
    n = data.draw(st.integers(1, 2))
    groups, per_in, per_out = (data.draw(st.integers(1, 2)) for _ in range(3))
    spatial, kernel = ([data.draw(st.integers(low, high)) for _ in range(n)] for low, high in ((2, 5), (1, 3)))
    strides, spread, dilation = ([data.draw(st.integers(1, 2)) for _ in range(n)] for _ in range(3))
    padding = [(data.draw(st.integers(-1, 2)), data.draw(st.integers(0, 3))) for _ in range(n)]
    padding = [(a, b + max(0, (k - 1) * d + 1 - ((e - 1) * s + 1 + a + b))) for (a, b), k, d, e, s in zip(padding, kernel, dilation, spatial, spread)]
    x, w = normal(2, groups * per_in, *spatial, dtype=np.float64), normal(groups * per_out, per_in, *kernel, dtype=np.float64)
    expected = convolved(x, w, strides, padding, spread, dilation, groups)
    options = dict(strides=strides, padding=padding, lhs_dilation=spread, rhs_dilation=dilation, groups=groups)
    check(lambda s, t: ops.conv_general(s, t, **options), [x, w], expected, rtol=1e-12, atol=1e-12, fixed=(1,))
    last = [np.ascontiguousarray(np.moveaxis(x, 1, -1)), np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))]
    check(lambda s, t: ops.conv_general(s, t, **options, layout="channels_last"), last, np.moveaxis(expected, 1, -1), rtol=1e-12, atol=1e-12, fixed=None)


@pytest.mark.parametrize("attributes, x_shape, w_shape", [
    (dict(strides=[2, 2], pads=[1, 1, 1, 1]), (1, 3, 9, 8), (4, 3, 3, 3)), (dict(group=4, pads=[1, 1, 1, 1]), (2, 4, 5, 5), (4, 1, 3, 3)),
    (dict(dilations=[2, 2]), (1, 2, 7, 7), (3, 2, 2, 3)), (dict(strides=[3]), (1, 2, 11), (5, 2, 4)), (dict(), (1, 2, 4, 4, 4), (3, 2, 2, 2, 2))])
def test_conv_as_onnx_runtime(attributes, x_shape, w_shape):
    x, w = normal(*x_shape), normal(*w_shape)
    (expected,) = onnx_runtime("Conv", [x, w], **attributes)
    n = len(x_shape) - 2
    pads = attributes.get("pads", [0] * 2 * n)
    check(lambda s, t: ops.conv_general(s, t, strides=attributes.get("strides"), padding=list(zip(pads[:n], pads[n:])), rhs_dilation=attributes.get("dilations"),
                                        groups=attributes.get("group", 1)), [x, w], expected, rtol=1e-5, atol=1e-5, fixed=(1,))


def test_padding_by_symbols():
    x = normal(2, 3, 7)
    w = normal(4, 3, 3)
    expected = convolved(x, w, [1], [(1, 5)], [1], [1], 1).astype(np.float32)
    check(lambda s, t: ops.conv_general(s, t, padding=[(1, s.shape[2] - 2)]), [x, w], expected, rtol=1e-5, atol=1e-5, fixed=(1,))


def test_refusals():
    x, w = make_input("x", np.float32, (1, 4, 5)), make_input("w", np.float32, (6, 2, 3))
    for build, error, message in (
            (lambda: ops.conv_general(x, w), ShapeError, "channels"), (lambda: ops.conv_general(x, w, groups=4), ShapeError, "channels"),
            (lambda: ops.conv_general(x, make_input("v", np.float32, (3, 2, 3)), groups=2), ShapeError, "3 output channels in 2 groups"),
            (lambda: ops.conv_general(x, make_input("v", np.float32, (3, 4, 6))), ShapeError, "larger than the padded input"),
            (lambda: ops.conv_general(x, make_input("v", np.float32, (3, 4, 2, 2))), ShapeError, "ranks"),
            (lambda: ops.conv_general(x, w, groups=2, strides=(1, 1)), ShapeError, "1 entries"),
            (lambda: ops.conv_general(x, w, groups=2, strides=(0,)), ShapeError, "must be positive"),
            (lambda: ops.conv_general(x, w, groups=2, lhs_dilation=(-2,)), ShapeError, "must be positive"),
            (lambda: ops.conv_general(x, w, groups=2, rhs_dilation=(0,)), ShapeError, "must be positive"),
            (lambda: ops.conv_general(x, make_input("v", np.float64, (6, 2, 3)), groups=2), DTypeError, "element types"),
            (lambda: ops.matmul(x, w), ShapeError, "differ"), (lambda: ops.matmul(x, make_input("s", np.float32, ())), ShapeError, "scalars"),
            (lambda: ops.matmul(make_input("b", bool, (2, 2)), make_input("c", bool, (2, 2))), DTypeError, "bool")):
        with pytest.raises(error, match=message):
            build()


def test_cost():
    n = symbol("n")
    x, w = make_input("x", np.float32, (n, 3, 8, 8)), make_input("w", np.float32, (4, 3, 3, 3))
    y = ops.conv_general(x, w)
    assert OPERATORS["conv_general"].flops((x.type, w.type), (y.type,), y.producer.attributes) == n * 4 * 36 * 27 * 2
    a = make_input("a", np.float32, (n, 5))
    z = ops.matmul(a, np.ones((5, 7), np.float32))
    assert OPERATORS["dot_general"].flops((a.type, z.producer.inputs[1].type), (z.type,), z.producer.attributes) == n * 70

"""Elementwise primitives against Python's math and integer arithmetic, element by element, with broadcasting."""
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlcompile import ops
from dlcompile.errors import DTypeError
from dlcompile.graph import OPERATORS, make_input
from tests.operators.helpers import check, normal, onnx_runtime, run

FEW = settings(max_examples=25, deadline=None)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, math.inf, -math.inf, math.nan, 88.0, -88.0, 1e-30, 3e38, 5e-324]
INTEGERS = [np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16, np.uint8]


def quiet(function, *values):
    """The value of a `math` function, with what IEEE 754 says where Python raises."""
    try:
        return function(*values)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


UNARY = {  # name: Python's function
    "neg": lambda x: -x, "abs": abs, "sign": lambda x: x if x == 0 or math.isnan(x) else math.copysign(1, x),
    "floor": lambda x: math.floor(x) if math.isfinite(x) else x, "ceil": lambda x: math.ceil(x) if math.isfinite(x) else x,
    "round": lambda x: round(x) if math.isfinite(x) else x, "sqrt": math.sqrt, "rsqrt": lambda x: 1 / math.sqrt(x), "exp": math.exp,
    "expm1": math.expm1, "log": math.log, "log1p": math.log1p, "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin,
    "acos": math.acos, "atan": math.atan, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh, "asinh": math.asinh,
    "acosh": math.acosh, "atanh": math.atanh, "erf": math.erf,
    "logistic": lambda x: 0.0 if x < -700 else 1 / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary_floats(name):
    """In float64 to a few ulp, on ordinary and on special values; where Python raises the result is what IEEE 754 says: not checked here."""
    x = np.concatenate([np.array(SPECIAL), RANDOM])
    expected = [quiet(UNARY[name], float(v)) for v in x]
    kept = np.array([e is not None for e in expected])
    assert kept.sum() > 10
    wanted = np.array([e for e in expected if e is not None], np.float64)
    check(lambda t: getattr(ops, name)(t), [x[kept]], wanted, rtol=4e-15)
    result = run(lambda t: getattr(ops, name)(t), x.astype(np.float32))[0]
    with np.errstate(all="ignore"):
        narrow = np.array([quiet(UNARY[name], float(v)) if quiet(UNARY[name], float(v)) is not None else math.nan
                           for v in x.astype(np.float32)]).astype(np.float32)
    np.testing.assert_allclose(result[~np.isnan(narrow)], narrow[~np.isnan(narrow)], rtol=3e-6)


RANDOM = np.random.default_rng(1).uniform(-4, 4, 40)


@pytest.mark.parametrize("name, x, expected", [
    ("sqrt", [-1.0, math.inf], [math.nan, math.inf]), ("rsqrt", [0.0, math.inf], [math.inf, 0.0]), ("log", [0.0, -1.0], [-math.inf, math.nan]),
    ("log1p", [-1.0, -2.0], [-math.inf, math.nan]), ("exp", [1000.0, -1000.0], [math.inf, 0.0]), ("atanh", [1.0, 2.0], [math.inf, math.nan]),
    ("acosh", [0.5], [math.nan]), ("sin", [math.inf], [math.nan]), ("erf", [math.inf, -math.inf, math.nan], [1.0, -1.0, math.nan]),
    ("logistic", [-1000.0, 1000.0, math.nan, -math.inf], [0.0, 1.0, math.nan, 0.0]), ("tanh", [-math.inf, 1000.0], [-1.0, 1.0])])
def test_unary_edges(name, x, expected):
    for dtype in (np.float32, np.float64):
        check(lambda t: getattr(ops, name)(t), [np.array(x, dtype)], np.array(expected, dtype))


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16])
@pytest.mark.parametrize("name", ["exp", "tanh", "logistic", "erf", "sqrt", "rsqrt", "add", "div"])
def test_narrow_floats_round_once(name, dtype):
    """16-bit floats: the float64 result rounded to 16 bits, or its neighbour."""
    a, b = (np.abs(normal(50)).astype(dtype) + np.asarray(0.1, dtype) for _ in range(2))
    operands = (a, b) if name in ("add", "div") else (a,)
    build = lambda *t: getattr(ops, name)(*t)  # noqa: E731
    exact = run(build, *(o.astype(np.float64) for o in operands))[0]
    (result,) = run(build, *operands)
    assert result.dtype == dtype
    bits = result.view(np.int16).astype(int) - exact.astype(dtype).view(np.int16).astype(int)
    assert np.abs(bits).max() <= 1 and (bits == 0).mean() > 0.9


def c_div(a, b):
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def c_pow(a, b):
    return a ** b if b >= 0 else {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)


def c_shift(a, b, width, left):
    if not 0 <= b < width:
        return 0 if left or a >= 0 else -1
    return a << b if left else a >> b


INTEGER_BINARY = {
    "add": lambda a, b, w: a + b, "sub": lambda a, b, w: a - b, "mul": lambda a, b, w: a * b, "div": lambda a, b, w: c_div(a, b),
    "rem": lambda a, b, w: a - b * c_div(a, b) if b else 0, "pow": lambda a, b, w: c_pow(a, b), "maximum": lambda a, b, w: max(a, b),
    "minimum": lambda a, b, w: min(a, b), "logical_and": lambda a, b, w: a & b, "logical_or": lambda a, b, w: a | b,
    "logical_xor": lambda a, b, w: a ^ b, "shift_left": lambda a, b, w: c_shift(a, b, w, True),
    "shift_right": lambda a, b, w: c_shift(a, b, w, False),
}
COMPARISONS = {"eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
               "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b}


def wrapped(value: int, dtype) -> int:
    info = np.iinfo(dtype)
    return (value - info.min) % (info.max - info.min + 1) + info.min


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", INTEGER_BINARY)
def test_integers(name, dtype):
    """As two's complement wraps; division truncates, by zero gives 0; shifts by the width or more leave the sign."""
    info, width = np.iinfo(dtype), np.dtype(dtype).itemsize * 8
    edges = sorted({0, 1, 2, 3, 5, 7, width - 1, width, info.max, info.max - 1, info.min, wrapped(-1, dtype), wrapped(-2, dtype), wrapped(-7, dtype)}
                   & set(range(0, 130)) | {info.max, info.min, wrapped(-1, dtype), wrapped(-2, dtype), wrapped(-7, dtype)})
    small = [e for e in edges if abs(e) < 130] if name == "pow" else edges
    a = np.array([x for x in edges for _ in small], dtype)
    b = np.array([y for _ in edges for y in small], dtype)
    expected = np.array([wrapped(INTEGER_BINARY[name](int(x), int(y), width), dtype) for x, y in zip(a, b)], dtype)
    check(lambda s, t: getattr(ops, name)(s, t), [a, b], expected)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name):
    values = np.array([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf], np.float32)
    a, b = np.repeat(values, 6), np.tile(values, 6)
    check(lambda s, t: getattr(ops, name)(s, t), [a, b], np.array([COMPARISONS[name](float(x), float(y)) for x, y in zip(a, b)]))
    big = np.array([2**63 - 1, 2**63 - 2], np.int64)  # not to be compared as floats
    check(lambda s, t: getattr(ops, name)(s, t), [big, big[::-1].copy()],
          np.array([COMPARISONS[name](int(x), int(y)) for x, y in zip(big, big[::-1])]))


def test_extremes_propagate_nan():
    values = np.array([0.0, -0.0, 1.0, math.nan, math.inf], np.float32)
    a, b = np.repeat(values, 5), np.tile(values, 5)
    for name, function in (("maximum", max), ("minimum", min)):
        expected = [math.nan if math.isnan(x) or math.isnan(y) else function(float(x), float(y)) for x, y in zip(a, b)]
        check(lambda s, t: getattr(ops, name)(s, t), [a, b], np.array(expected, np.float32))


@pytest.mark.parametrize("name, function", [("div", lambda x, y: x / y), ("rem", math.fmod), ("pow", math.pow), ("atan2", math.atan2)])
def test_binary_floats(name, function):
    a, b = np.random.default_rng(2).uniform(0.1, 5, (2, 60)) * np.where(np.arange(60) % 2 == 0, 1, -1 if name != "pow" else 1)
    check(lambda s, t: getattr(ops, name)(s, t), [a, b], np.array([function(x, y) for x, y in zip(a, b)]), rtol=1e-14)


def test_float_edges():
    inf, nan = math.inf, math.nan
    for name, a, b, y in (("div", 1, 0, inf), ("div", 0, 0, nan), ("div", -1, 0, -inf), ("rem", 1, 0, nan), ("rem", 5, inf, 5), ("pow", 0, 0, 1),
                          ("pow", nan, 0, 1), ("pow", -8, 1 / 3, nan), ("pow", 0, -1, inf), ("pow", -2, 3, -8), ("sub", inf, inf, nan),
                          ("mul", 0, inf, nan), ("rem", -7, 3, -1), ("rem", 7, -3, 1), ("atan2", 0, -1, math.pi)):
        check(lambda s, t: getattr(ops, name)(s, t), [np.array([a], np.float32), np.array([b], np.float32)], np.array([y], np.float32), rtol=1e-6)


def test_logic():
    a, b = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    for name, expected in (("logical_and", [0, 0, 0, 1]), ("logical_or", [0, 1, 1, 1]), ("logical_xor", [0, 1, 1, 0])):
        check(lambda s, t: getattr(ops, name)(s, t), [a, b], np.array(expected, bool))
    check(ops.logical_not, [a], ~a)
    check(ops.logical_not, [np.array([0, 5, 255], np.uint8)], np.array([255, 250, 0], np.uint8))
    x = np.array([math.nan, math.inf, -math.inf, 0.0], np.float16)
    check(ops.is_nan, [x], np.array([1, 0, 0, 0], bool))
    check(ops.is_inf, [x], np.array([0, 1, 1, 0], bool))


@FEW
@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=4))
def test_broadcasting(shapes):
    """The result has NumPy's shape, whatever the operands' (0 among the extents too)."""
    p, a, b = (normal(*s) for s in shapes.input_shapes)
    check(ops.add, [a, b], a + b, fixed=None)
    check(lambda s, t, u: ops.select(ops.gt(s, np.float32(0)), t, u), [p, a, b], np.where(p > 0, a, b), fixed=None)
    assert run(lambda s, t, u: ops.mul(ops.sub(s, t), u), p, a, b)[0].shape == shapes.result_shape


@pytest.mark.parametrize("shapes", [((3, 1), (1, 4)), ((2, 3, 4), (4,)), ((3,), ()), ((1, 5), (7, 1, 5))])
def test_broadcasting_symbols(shapes):
    a, b = (normal(*s) for s in shapes)
    check(ops.mul, [a, b], a * b)


class TestCast:
    @FEW
    @given(hnp.arrays(np.float32, st.integers(1, 30), elements=st.floats(-1e5, 1e5, width=32)), st.sampled_from([np.int64, np.int32]))
    def test_truncation(self, x, dtype):
        check(lambda t: ops.cast(t, dtype), [x], np.array([int(v) for v in x], dtype))

    @pytest.mark.parametrize("source", [np.float64, np.float32])
    def test_what_does_not_fit(self, source):
        """The type's lowest value, as x86 converts; never C's undefined behaviour."""
        x = np.array([math.nan, math.inf, -math.inf, 1e30, -1e30, 2.0**31, -2.0**31, 2.0**63, -2.0**63], source)
        low = -2**31
        check(lambda t: ops.cast(t, np.int32), [x], np.array([low, low, low, low, low, low, low, low, low], np.int32))
        low = -2**63
        check(lambda t: ops.cast(t, np.int64), [x], np.array([low, low, low, low, low, 2**31, -2**31, low, low], np.int64))

    def test_bounds_are_kept(self):
        x = np.array([2.0**31 - 1, -2.0**31, 255.9, -0.9])
        check(lambda t: ops.cast(t, np.int32), [x], np.array([2**31 - 1, -2**31, 255, 0], np.int32))
        check(lambda t: ops.cast(t, np.uint8), [np.array([0, 255, 254.99, 3.7], np.float32)], np.array([0, 255, 254, 3], np.uint8))

    def test_others(self):
        check(lambda t: ops.cast(t, bool), [np.array([0.0, -0.0, 0.1, math.nan, -3], np.float32)], np.array([0, 0, 1, 1, 1], bool))
        check(lambda t: ops.cast(t, np.float16), [np.array([1e6, 1.0, 6e-8])], np.array([math.inf, 1.0, 5.9604645e-08], np.float16))
        check(lambda t: ops.cast(t, np.int8), [np.array([300, -129, 127])], np.array([44, 127, 127], np.int8))
        check(lambda t: ops.cast(t, np.float32), [np.array([True, False])], np.array([1, 0], np.float32))
        x = normal(20)
        check(lambda t: ops.cast(t, BFLOAT16), [x], x.astype(BFLOAT16))
        assert ops.cast(make_input("x", np.float32, (2,)), np.float32).producer is None

    def test_as_onnx_runtime(self):
        import onnx
        x = np.array([1.9, -1.9, 2.5, 100.2, -100.7], np.float32)
        for dtype in (np.int8, np.int32, np.int64, np.float16, np.float64, bool):
            (expected,) = onnx_runtime("Cast", [x], to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
            check(lambda t: ops.cast(t, dtype), [x], expected)


class TestTypes:
    @pytest.mark.parametrize("name", ["exp", "floor", "is_nan", "erf", "atan2"])
    def test_floats_only(self, name):
        x = make_input("x", np.int32, (2,))
        with pytest.raises(DTypeError, match=f"{name}: operands must be of float type, not int32"):
            getattr(ops, name)(*(x,) * (2 if name == "atan2" else 1))

    def test_others(self):
        x, flag = make_input("x", np.float32, (2,)), make_input("p", bool, (2,))
        for build, message in ((lambda: ops.logical_and(x, x), "bool or integer"), (lambda: ops.add(flag, flag), "number"),
                               (lambda: ops.shift_left(x, x), "integer"), (lambda: ops.select(x, x, x), "predicate must be bool"),
                               (lambda: ops.select(flag, x, flag), "alternatives have different"), (lambda: ops.eq(x, flag), "different element types")):
            with pytest.raises(DTypeError, match=message):
                build()

    def test_python_numbers_take_the_other_s_type(self):
        for dtype in (np.float16, np.float64, np.int8):
            x = make_input("x", dtype, (2,))
            assert (x + 1).dtype == (2 * x).dtype == dtype
        assert ops.eq(make_input("x", np.uint8, (2,)), 3).dtype == bool


def test_every_row_says_its_cost():
    for name, row in OPERATORS.items():
        assert row.flops is not None and row.accuracy in ("exact", "rounded", "sum"), name
        if row.family == "elementwise" and name not in ("select", "cast"):
            x = make_input("x", np.float32, (3, 4))
            arity = 2 if name in INTEGER_BINARY or name in COMPARISONS or name in ("and", "or", "xor", "atan2") else 1
            assert row.flops((x.type,) * arity, (x.type,), {}) >= 12, name

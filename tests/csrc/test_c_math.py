"""The elementary functions against NumPy in float64, in ulp, over samples of all floats."""
from __future__ import annotations

import numpy as np
import pytest

UNARY = ("exp expm1 log log1p sin cos tan tanh erf logistic sinh cosh asin acos atan asinh acosh atanh rsqrt sqrt round floor ceil trunc "
         "sign abs").split()
BINARY = "maximum minimum atan2 rem mod pow".split()

LIBM = {"f32": {"rem", "mod", "pow"}, "f64": set(UNARY + BINARY) - {"sqrt", "abs", "sign", "rsqrt", "maximum", "minimum"}}
"""what is a call; every other loop must vectorise: Clang says where one does not, which is an error here"""


def _loop(op: str, suffix: str, operands: str) -> str:
    kind = "float" if suffix == "f32" else "double"
    parameters = ", ".join(f"const {kind} *restrict {o}" for o in operands)
    arguments = ", ".join(f"{o}[i]" for o in operands)
    pragma = "" if op in LIBM[suffix] else "#pragma omp simd\n"
    return (f"void {op}_{suffix}(int64_t n, {parameters}, {kind} *restrict y)\n{{\n{pragma}"
            f"    for (int64_t i = 0; i < n; ++i)\n        y[i] = dlc_{op}_{suffix}({arguments});\n}}\n")


SOURCE = '#include "dlc_math.h"\n' + "".join(
    _loop(op, suffix, operands) for ops, operands in ((UNARY, "a"), (BINARY, "ab")) for op in ops for suffix in ("f32", "f64"))

BOUNDS = {"exp": 1.5, "expm1": 2, "log": 1.5, "log1p": 2, "sin": 1.5, "cos": 1.5, "tan": 3, "tanh": 2, "erf": 2, "logistic": 2.5, "sinh": 2,
          "cosh": 2, "asin": 3, "acos": 2, "atan": 2, "asinh": 3, "acosh": 3, "atanh": 3, "rsqrt": 1.5, "atan2": 3, "pow": 1}
"""the largest error in ulp that dlc_math.h promises; functions not named round correctly"""


def erf(x):
    from math import erf as scalar
    return np.array([scalar(v) for v in x])


def logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1 + e)


REFERENCE = {"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
             "rsqrt": lambda x: 1 / np.sqrt(x), "round": np.rint, "atan2": np.arctan2, "rem": np.fmod, "pow": np.power, "erf": erf,
             "logistic": logistic}


def reference(op):
    return REFERENCE.get(op) or getattr(np, op)


def samples(op: str) -> np.ndarray:
    """Floats of all exponents and both signs, dense where most functions bend, and every special value."""
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 1 << 32, 30_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    dense = np.concatenate([rng.uniform(-b, b, 20_000) for b in (1.5, 12, 110)]).astype(np.float32)
    near_one = (1 + rng.uniform(-1, 1, 10_000) * 2.0 ** rng.integers(-23, 0, 10_000)).astype(np.float32)
    turns = (np.arange(1, 10_000) * (np.pi / 2)).astype(np.float32)  # the floats nearest multiples of pi/2
    edges = np.array([0, 1, 0.5, 2, 0.625, 88.7, 88.73, 87.3, 103.9, 104.1, 2**23, 2**23 - 0.5, 2**24, 1e-45, 1e-38, 1.1754942e-38, 3.4e38, np.inf, np.nan,
                      0.5000001, 1.0000001, 1e10, 1.5, 2.5], np.float32)
    erf_is_slow = slice(None, None, 4 if op == "erf" else 1)
    return np.concatenate([bits[erf_is_slow], dense[erf_is_slow], near_one[erf_is_slow], turns[erf_is_slow], edges, -edges])


def errors_in_ulp(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """|got - exact| in units of the last place of `exact` as a float; special values must be the same ones."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        ulp = np.maximum(np.spacing(np.abs(rounded).astype(np.float32)).astype(np.float64), 2.0**-149)
        error = np.abs(got.astype(np.float64) - exact) / ulp
    overflowed = np.isinf(rounded) & (np.abs(got) >= np.float32(3.4028233e38)) & (np.sign(got) == np.sign(rounded))
    error[(got == rounded) & ~np.isfinite(rounded) | np.isnan(got) & np.isnan(rounded) | overflowed] = 0
    error[np.isnan(error)] = np.inf
    return error


@pytest.mark.parametrize("op", UNARY)
def test_float_functions(op, build, configuration):
    library, x = build(SOURCE, configuration), samples(op)
    y = np.empty_like(x)
    getattr(library, f"{op}_f32")(x.size, x, y)
    with np.errstate(all="ignore"):
        exact = reference(op)(x.astype(np.float64))
    error = errors_in_ulp(y, exact)
    worst = int(np.argmax(error))
    assert error[worst] <= BOUNDS.get(op, 0.500001), f"{op}({x[worst]!r}) = {y[worst]!r}, not {exact[worst]!r}: {error[worst]:.2f} ulp"
    if op not in ("sign", "abs"):
        zeros = (x == 0) & (exact == 0)
        assert (np.signbit(y) == np.signbit(exact))[zeros].all(), "the sign of zero"


@pytest.mark.parametrize("op", BINARY)
def test_float_functions_of_two(op, build, configuration):
    library, rng = build(SOURCE, configuration), np.random.default_rng(11)
    x = rng.permutation(samples(op))
    z = rng.permutation(x)
    special = np.array([0, -0.0, 1, -1, 3, -2.5, np.inf, -np.inf, np.nan, 1e-45], np.float32)
    x = np.concatenate([x, np.repeat(special, special.size)])
    z = np.concatenate([z, np.tile(special, special.size)])
    y = np.empty_like(x)
    getattr(library, f"{op}_f32")(x.size, x, z, y)
    with np.errstate(all="ignore"):
        exact = reference(op)(x, z) if op in ("rem", "mod") else reference(op)(x.astype(np.float64), z.astype(np.float64))
    error = errors_in_ulp(y, exact.astype(np.float64))
    worst = int(np.argmax(error))
    assert error[worst] <= BOUNDS.get(op, 0.500001), f"{op}({x[worst]!r}, {z[worst]!r}) = {y[worst]!r}, not {exact[worst]!r}: {error[worst]:.2f} ulp"


@pytest.mark.parametrize("op", UNARY + BINARY)
def test_double_functions(op, build, configuration):
    if configuration[1] == "x86-64-v3":
        pytest.skip("libm's, the same for every width")
    library, rng = build(SOURCE, configuration), np.random.default_rng(3)
    x = np.concatenate([rng.uniform(-3, 3, 2000), rng.standard_cauchy(2000) * 100, [0, -0.0, np.inf, -np.inf, np.nan, 2.0**52 + 1]])
    z = rng.permutation(x)
    y = np.empty_like(x)
    two = op in BINARY
    getattr(library, f"{op}_f64")(x.size, x, *([z] if two else []), y)
    with np.errstate(all="ignore"):
        exact = reference(op)(x, z) if two else reference(op)(x)
    np.testing.assert_allclose(y, exact, rtol=1e-14, atol=0)


@pytest.mark.parametrize("op", [op for op in UNARY if op not in ("sqrt",)] + ["maximum", "atan2"])
def test_bits_do_not_depend_on_the_place_in_the_loop(op, build, configuration):
    """The vectors of a loop and what is left over give the same bits: how work is split among threads cannot be seen."""
    library, rng = build(SOURCE, configuration), np.random.default_rng(5)
    x, z = (rng.uniform(-4, 4, 203).astype(np.float32) for _ in range(2))
    call = getattr(library, f"{op}_f32")
    operands = [x, z] if op in BINARY else [x]
    whole, alone = np.empty_like(x), np.empty_like(x)
    call(x.size, *operands, whole)
    for i in range(x.size):
        call(1, *(o[i:] for o in operands), alone[i:])
    assert (whole.view(np.uint32) == alone.view(np.uint32)).all()

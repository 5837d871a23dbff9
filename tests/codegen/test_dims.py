"""Sizes computed in C against the same expressions evaluated in Python, and overflow noticed."""
import ctypes
import random
import subprocess

import pytest

from dlcompile.codegen.csrc import csrc_dir
from dlcompile.codegen.dims import Expressions, c_int, linear
from dlcompile.errors import ShapeError
from dlcompile.graph import Dim, ceildiv, dim_max, dim_min, floordiv, mod, symbol
from tests.programs import COMPILERS

SYMBOLS = ("batch", "seq")


def random_dims(count: int) -> list[Dim]:
    """Expressions over two symbols, built as shape rules build them."""
    source = random.Random(7)
    dims: list = [symbol(s) for s in SYMBOLS]
    operations = [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, dim_max, dim_min,
                  lambda a, b: floordiv(a, source.randint(1, 9)), lambda a, b: mod(a, source.randint(1, 9)),
                  lambda a, b: ceildiv(a, 4), lambda a, b: a * source.randint(-5, 5) + source.randint(-9, 9),
                  lambda a, b: floordiv(a, b), lambda a, b: mod(a, b)]
    while len(dims) < count:
        try:
            made = source.choice(operations)(source.choice(dims), source.choice(dims))
        except ZeroDivisionError:
            continue
        if isinstance(made, Dim) and len(str(made)) < 200 and made not in dims:
            dims.append(made)
    return dims


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """evaluate(symbol values) → (values of all expressions, overflow)."""
    dims = random_dims(150)
    table = Expressions({"batch": "batch", "seq": "seq"})
    for dim in dims:
        table.number(dim)
    folder = tmp_path_factory.mktemp("dims")
    body = "\n".join(f"    {line}" for line in table.statements("d"))
    (folder / "dims.c").write_text(f"""\
#include "dlc_plan.h"
int evaluate(const int64_t *symbols, int64_t *d)
{{
    const int64_t batch = symbols[0], seq = symbols[1];
    int overflow = 0;
{body}
    return overflow;
}}
""")
    subprocess.run([COMPILERS[0], "-shared", "-fPIC", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-Werror",
                    f"-I{csrc_dir()}", "-o", str(folder / "dims.so"), str(folder / "dims.c")], check=True)
    library = ctypes.CDLL(str(folder / "dims.so"))

    def run(values: tuple[int, int]) -> tuple[list[int], bool]:
        result = (ctypes.c_int64 * len(dims))()
        overflow = library.evaluate((ctypes.c_int64 * 2)(*values), result)
        return list(result), bool(overflow)

    return dims, run


@pytest.mark.parametrize("values", [(1, 1), (2, 3), (7, 128), (13, 12), (100, 1), (31, 997)])
def test_values(evaluate, values):
    dims, run = evaluate
    result, overflow = run(values)
    assert not overflow
    for dim, value in zip(dims, result):
        try:
            expected = dim.evaluate(dict(zip(SYMBOLS, values)))
        except ZeroDivisionError:  # a size that divides by a dimension of extent 0 is of an array without elements
            continue
        assert value == expected, str(dim)


@pytest.mark.parametrize("values", [(0, 0), (0, 5), (2**62, 2**62), (2**63 - 1, 2**63 - 1), (-1, -2**63)])
def test_extremes_are_defined(evaluate, values):
    """No undefined behaviour (the library traps on it); what does not fit is noted."""
    _, overflow = evaluate[1](values)
    assert overflow == (max(map(abs, values)) >= 2**62)


def test_linear():
    n = symbol("seq")
    assert linear(7, SYMBOLS) == (-1, 0, 7)
    assert linear(n, SYMBOLS) == (1, 1, 0)
    assert linear(2 * n + 3, SYMBOLS) == (1, 2, 3)
    assert linear(n * n, SYMBOLS)[0] == linear(n // 2, SYMBOLS)[0] == linear(n + symbol("batch"), SYMBOLS)[0] == -2


def test_sizes_beyond_64_bits_are_refused():
    assert c_int(2**40) == "INT64_C(1099511627776)"
    with pytest.raises(ShapeError):
        c_int(2**63)

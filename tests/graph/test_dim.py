"""Symbolic integers against integers: whatever form simplification chooses, the value is that of Python's own arithmetic."""
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcompile.errors import ShapeError
from dlcompile.graph import (
    Dim,
    at_least,
    ceildiv,
    definitely_different,
    dim_max,
    dim_min,
    evaluate,
    floordiv,
    mod,
    order_of,
    parse_dim,
    product,
    substitute,
    symbol,
    symbols_of,
)
from dlcompile.graph.dim import MAX_SIZE

NAMES = ("a", "b", "c")
A, B, C = (symbol(n) for n in NAMES)
VALUES = st.fixed_dictionaries({n: st.integers(0, 20) for n in NAMES})
MANY = settings(max_examples=200, deadline=None)


def _expressions():
    """(the Dim, a function of the symbols' values that computes the same with ints)"""
    leaves = st.one_of(st.integers(-6, 6).map(lambda v: (v, lambda e: v)),
                       st.sampled_from(NAMES).map(lambda n: (symbol(n), lambda e: e[n])))
    divisors = st.one_of(st.integers(1, 7).map(lambda v: (v, lambda e: v)), st.just(-3).map(lambda v: (v, lambda e: v)),
                         st.sampled_from(NAMES).map(lambda n: (symbol(n) + 1, lambda e: e[n] + 1)))

    def grow(inner):
        def both(dim_function, int_function):
            return st.tuples(inner, inner).map(lambda p: (dim_function(p[0][0], p[1][0]), lambda e: int_function(p[0][1](e), p[1][1](e))))

        def divided(dim_function, int_function):
            return st.tuples(inner, divisors).map(lambda p: (dim_function(p[0][0], p[1][0]), lambda e: int_function(p[0][1](e), p[1][1](e))))

        return st.one_of(both(lambda x, y: x + y, lambda x, y: x + y), both(lambda x, y: x - y, lambda x, y: x - y),
                         both(lambda x, y: x * y, lambda x, y: x * y), both(dim_max, max), both(dim_min, min),
                         divided(floordiv, lambda x, y: x // y), divided(mod, lambda x, y: x % y))

    return st.recursive(leaves, grow, max_leaves=8)


EXPRESSIONS = _expressions()


@MANY
@given(EXPRESSIONS, VALUES)
def test_value(pair, values):
    dim, integer = pair
    assert evaluate(dim, values) == integer(values)


@MANY
@given(EXPRESSIONS, VALUES)
def test_text_is_read_back(pair, values):
    again = parse_dim(str(pair[0]))
    assert evaluate(again, values) == pair[1](values)


@MANY
@given(EXPRESSIONS, VALUES)
def test_substitution_in_parts(pair, values):
    dim, integer = pair
    partly = substitute(dim, {"a": values["a"]})
    assert "a" not in {s.name for s in symbols_of(partly)}
    assert evaluate(partly, values) == integer(values)
    renamed = substitute(dim, {"a": B + 2})
    assert evaluate(renamed, values) == integer({**values, "a": values["b"] + 2})


@MANY
@given(EXPRESSIONS, EXPRESSIONS, VALUES)
def test_what_is_proved_holds(one, other, values):
    x, y = one[1](values), other[1](values)
    if at_least(one[0], other[0]):
        assert x >= y
    if definitely_different(one[0], other[0]):
        assert x != y
    if one[0] == other[0]:
        assert x == y and hash(one[0]) == hash(other[0])


@MANY
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(-3, 3)), min_size=1, max_size=5), st.randoms())
def test_equal_polynomials_are_equal(factors, random):
    """(s1 + k1)(s2 + k2)… multiplied in any order, or expanded from a shuffled sum."""
    dims = [symbol(n) + k for n, k in factors]
    shuffled = random.sample(dims, len(dims))
    assert product(dims) == product(shuffled)
    assert sum(dims) == sum(shuffled)


@MANY
@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_bounded_symbols(width, height, i_value, j_value, k):
    """Loop variables: taking an index apart and putting it together costs nothing."""
    i, j = symbol("i", height), symbol("j", width)
    flat = i * width + j
    assert floordiv(flat, width) == i and mod(flat, width) == j
    assert floordiv(flat, width) * width + mod(flat, width) == flat
    values = {"i": i_value % height, "j": j_value % width}
    for shifted in (flat + k, flat * 2 + k):
        total = evaluate(shifted, values)
        assert evaluate(floordiv(shifted, width), values) == total // width
        assert evaluate(mod(shifted, width), values) == total % width
    if at_least(width * height - 1, flat):
        assert evaluate(flat, values) < width * height
    else:
        pytest.fail("the bound of a row-major index cannot be seen")


def test_symbolic_bounds():
    n = symbol("n")
    i, j = symbol("i", A), symbol("j", n)
    assert floordiv(i * n + j, n) == i and mod(i * n + j, n) == j
    assert (2 * n + 6) // 2 - n == 3
    assert floordiv(floordiv(n, 4) + 3, 2) == floordiv(n + 12, 8)
    assert mod(n, 3) + 3 * floordiv(n, 3) == n


def test_constants_are_ints():
    assert A - A == 0 and type(A - A + 3) is int
    assert type(dim_max(3, 5)) is int and type(A * 0) is int
    assert ceildiv(7, 2) == 4 and ceildiv(2 * A + 1, 2) == A + 1


def test_what_can_be_seen():
    assert at_least(A, 0) and at_least(A + B, A) and at_least(2 * A + 3, A)
    assert not at_least(A, 1) and not at_least(A, B)
    assert definitely_different(A + 1, A) and not definitely_different(A, B) and definitely_different(A + 1, 0)


def test_what_can_be_seen_of_the_larger_and_the_smaller():
    """What slices at positions beyond a symbolic axis lead to."""
    first, last = dim_min(A, 1), dim_min(A, 4)
    assert at_least(last, first) and dim_max(first, last) == last and dim_max(last - first, 0) == last - first
    assert dim_max(dim_max(A - 1, 0), dim_max(A - 4, 0)) == dim_max(A - 1, 0)
    assert at_least(A, dim_min(A, B)) and at_least(dim_max(A, B) + dim_max(A, 3), A + B) and at_least(dim_max(A, B), dim_min(A, B))
    assert not at_least(dim_min(A, B), A) and not at_least(dim_max(A, 4), dim_max(A, B)) and not at_least(dim_min(A, 4), 1)


@MANY
@given(st.integers(0, 2**32))
def test_what_is_said_to_be_larger_is(seed):
    """Of random expressions in which the larger and the smaller of others occur."""
    random = Random(seed)

    def expression(depth):
        if depth == 0:
            return random.choice((A, B)) * random.randint(-1, 2) + random.randint(-2, 3)
        return random.choice((dim_max, dim_min, lambda x, y: x + y, lambda x, y: x - y))(expression(depth - 1), expression(depth - 1))

    x, y = expression(random.randint(0, 3)), expression(random.randint(0, 3))
    if at_least(x, y):
        assert all(evaluate(x, {"a": a, "b": b}) >= evaluate(y, {"a": a, "b": b}) for a in range(6) for b in range(6))


def test_there_is_no_truth_of_a_symbol():
    with pytest.raises(TypeError, match="not known"):
        bool(A)
    assert (A == 3) is False and A != B


@pytest.mark.parametrize("text", ["a +", "a ** 2", "print(1)", "a.b", "1.5", "max(a)", "", "a if b else c", "'x'", "True"])
def test_bad_text(text):
    with pytest.raises(ValueError, match="not a dimension expression"):
        parse_dim(text)


@pytest.mark.parametrize("name", ["", "2n", "a b", "a-b", "*/"])
def test_bad_names(name):
    with pytest.raises(ValueError, match="identifier"):
        symbol(name)


def test_division_by_zero():
    for function in (floordiv, mod):
        with pytest.raises(ZeroDivisionError):
            function(A, 0)


def test_missing_values():
    with pytest.raises(KeyError, match="b"):
        (A + B).evaluate({"a": 1})
    assert isinstance(A + B, Dim) and (A + B).symbols == symbols_of(A) | symbols_of(B)


def test_expressions_do_not_grow_without_limit():
    """Each step uses its operand twice: after a few of them nobody could write the result down."""
    def squared(d):
        return d * d

    def larger(d):
        return dim_max(d, floordiv(d, 3) + B)

    for step in (squared, larger, lambda d: floordiv(d * B + 1, d + A)):
        with pytest.raises(ShapeError, match="too large"):
            d = A + B
            for _ in range(200):
                d = step(d)
    d = A
    for i in range(100):
        d = dim_max(d, symbol(f"s{i}")) + i  # as long as it is only long
    assert d.size < MAX_SIZE


def test_equalities_that_are_an_order():
    n, k = symbol("n"), symbol("k")
    assert order_of(dim_min(k, n), k) == (k, n) and order_of(n, dim_min(k, n)) == (n, k)
    assert order_of(dim_max(k, 1), k) == (1, k) and order_of(dim_max(k + 1, 2 * n), k + 1) == (2 * n, k + 1)
    assert order_of(n, k) is None and order_of(dim_min(k, n) + 1, k) is None and order_of(2 * dim_min(k, n), k) is None and order_of(3, 3) is None

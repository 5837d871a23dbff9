"""Symbolic integers: the dimensions of shapes, and the index arithmetic of kernels.

A `Dim` is an integer expression in canonical form: a sum of integer coefficients times products of *atoms*. An atom is a
`Symbol` or one of the four operations that do not distribute (`floordiv`, `mod`, `max`, `min`). Arithmetic keeps the form, so two
expressions that are equal as polynomials compare equal, and a result that is constant is a plain `int` again:

    >>> n = symbol("n")
    >>> (2 * n + 6) // 2 - n
    3

Every symbol stands for an integer >= 0 (a dimension), and a symbol with a `bound` for one in [0, bound) (a loop variable). That is
all that simplification assumes; `(i*w + j) // w` is `i` when `j` is bounded by `w`.
"""
from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Union

from dlcompile.errors import ShapeError

DimLike = Union[int, "Dim"]


class _Written:
    """What atoms are sorted and found by, worked out once for each."""

    @cached_property
    def key(self) -> str:
        return repr(self)

    @cached_property
    def number(self) -> int:
        return hash(self.key)

    def __hash__(self) -> int:
        return self.number


@dataclass(frozen=True)
class Symbol(_Written):
    """A named integer >= 0; less than `bound` where one is given.

    `source` is the tensor whose value it is, for a dimension that is known only when the model runs (see `graph.unknown`).
    """

    name: str
    bound: DimLike | None = None
    source: Any = field(default=None, compare=False, repr=False)

    __hash__ = _Written.__hash__

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Operation(_Written):
    """An operation that does not distribute over sums: `floordiv`, `mod` (both as Python rounds), `max` or `min`."""

    name: str
    left: DimLike
    right: DimLike

    __hash__ = _Written.__hash__

    @cached_property
    def size(self) -> int:
        """How many symbols and operations it is written with."""
        return 1 + sum(d.size for d in (self.left, self.right) if isinstance(d, Dim))

    def __str__(self) -> str:
        if self.name in ("max", "min"):
            return f"{self.name}({self.left}, {self.right})"
        sign = {"floordiv": "//", "mod": "%"}[self.name]
        return f"{_grouped(self.left)}{sign}{_grouped(self.right)}"


def _place(term: tuple[Monomial, int]) -> tuple[int, list[str]]:
    """Where a term stands in a sum."""
    return -len(term[0]), [atom.key for atom in term[0]]


Atom = Union[Symbol, Operation]
Monomial = tuple  # of atoms, sorted by their text; () is the constant term


MAX_SIZE = 2000
MAX_PRODUCTS = 10_000


class Dim:
    """A symbolic integer that is not known to be constant. Make one with `symbol`; combine with + - * // % and `dim_max`, `dim_min`.

    `size` is how many symbols and operations it is written with. ShapeError for more than MAX_SIZE: expressions double with each operation
    that uses one twice, and no model that means anything comes near.
    """

    def __init__(self, terms: Mapping[Monomial, int]):
        self.size = sum(1 if isinstance(atom, Symbol) else atom.size for monomial in terms for atom in monomial)
        if self.size > MAX_SIZE:
            raise ShapeError("the expression of a dimension is too large")
        self.terms: dict[Monomial, int] = dict(sorted(terms.items(), key=_place) if len(terms) > 1 else terms)
        self._hash = hash(frozenset(self.terms.items()))

    # -- identity -----------------------------------------------------------------------------------------------------------
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self._hash == other._hash and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __bool__(self) -> bool:
        raise TypeError(f"the truth of the symbolic dimension {self} is not known; compare it explicitly")

    def __repr__(self) -> str:
        return str(self)

    @cached_property
    def _text(self) -> str:
        text = ""
        for monomial, coefficient in self.terms.items():
            factors = [str(a) if isinstance(a, Symbol) or a.name in ("max", "min") else f"({a})" for a in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            if len(factors) == 1 and factors[0].startswith("(") and len(self.terms) == 1 and coefficient == 1:
                factors[0] = factors[0][1:-1]
            sign = " - " if coefficient < 0 else " + "
            text += (sign if text else sign.strip().replace("+", "")) + "*".join(factors)
        return text

    def __str__(self) -> str:
        return self._text

    # -- arithmetic ---------------------------------------------------------------------------------------------------------
    def __add__(self, other: DimLike) -> DimLike:
        terms = dict(self.terms)
        for monomial, coefficient in _terms(other).items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _make(terms)

    def __mul__(self, other: DimLike) -> DimLike:
        terms: dict[Monomial, int] = {}
        if len(self.terms) * len(_terms(other)) > MAX_PRODUCTS:
            raise ShapeError("the expression of a dimension is too large")
        for m1, c1 in self.terms.items():
            for m2, c2 in _terms(other).items():
                monomial = tuple(sorted(m1 + m2, key=str)) if m1 and m2 else m1 or m2
                terms[monomial] = terms.get(monomial, 0) + c1 * c2
        return _make(terms)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> DimLike:
        return self * -1

    def __pos__(self) -> DimLike:
        return self

    def __sub__(self, other: DimLike) -> DimLike:
        return self + (-other)

    def __rsub__(self, other: DimLike) -> DimLike:
        return -self + other

    def __floordiv__(self, other: DimLike) -> DimLike:
        return floordiv(self, other)

    def __rfloordiv__(self, other: DimLike) -> DimLike:
        return floordiv(other, self)

    def __mod__(self, other: DimLike) -> DimLike:
        return mod(self, other)

    def __rmod__(self, other: DimLike) -> DimLike:
        return mod(other, self)

    # -- questions ----------------------------------------------------------------------------------------------------------
    @property
    def symbols(self) -> frozenset[Symbol]:
        """The symbols the expression depends on."""
        found: set[Symbol] = set()
        for monomial in self.terms:
            for atom in monomial:
                if isinstance(atom, Symbol):
                    found.add(atom)
                else:
                    found |= symbols_of(atom.left) | symbols_of(atom.right)
        return frozenset(found)

    def evaluate(self, values: Mapping[str, int]) -> int:
        """The integer this stands for when every symbol has the value `values[name]`. KeyError for a missing one."""
        result = self.substitute(values)
        if isinstance(result, Dim):
            raise KeyError(", ".join(sorted(s.name for s in result.symbols)))
        return result

    def substitute(self, values: Mapping[str, DimLike]) -> DimLike:
        """The expression with the symbols named in `values` replaced."""
        total: DimLike = 0
        for monomial, coefficient in self.terms.items():
            product: DimLike = coefficient
            for atom in monomial:
                product = product * _substitute_atom(atom, values)
            total = total + product
        return total


# -- construction -----------------------------------------------------------------------------------------------------------
def symbol(name: str, bound: DimLike | None = None, source: Any = None) -> Dim:
    """The symbolic dimension `name`; with a bound, a loop variable in [0, bound)."""
    if not name.isidentifier():
        raise ValueError(f"a dimension's name must be an identifier, not {name!r}")
    return Dim({(Symbol(name, bound, source),): 1})


def parse_dim(text: str) -> DimLike:
    """The inverse of `str` for expressions whose symbols have no bounds: integers, names, + - * // % max min."""

    def walk(node: ast.expr) -> DimLike:
        match node:
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                return value
            case ast.Name(id=name):
                return symbol(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -walk(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _BINARY[type(op)](walk(left), walk(right))
            case ast.Call(func=ast.Name(id="max" | "min" as name), args=[left, right]):
                return (dim_max if name == "max" else dim_min)(walk(left), walk(right))
        raise ValueError(f"not a dimension expression: {text!r}")

    try:
        return walk(ast.parse(text, mode="eval").body)
    except SyntaxError:
        raise ValueError(f"not a dimension expression: {text!r}") from None


def floordiv(a: DimLike, b: DimLike) -> DimLike:
    """floor(a / b).  q*b + r → q + r//b;  (x//m + c)//n → (x + c*m)//(m*n);  0 when 0 <= r < b."""
    if isinstance(b, int) and b == 0:
        raise ZeroDivisionError("dimension divided by zero")
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    quotient, rest = _split(a, b)
    if rest == 0 or _within(rest, b):
        return quotient
    if isinstance(b, int) and b > 0 and isinstance(rest, Dim):
        inner, offset = _single_floordiv(rest)
        if inner is not None:
            return quotient + floordiv(inner.left + offset * inner.right, inner.right * b)
    return quotient + Dim({(Operation("floordiv", rest, b),): 1})


def mod(a: DimLike, b: DimLike) -> DimLike:
    """a - b*floor(a / b).  (q*b + r) % b → r % b;  r when 0 <= r < b."""
    if isinstance(b, int) and b == 0:
        raise ZeroDivisionError("dimension divided by zero")
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    rest = _split(a, b)[1]
    if rest == 0 or _within(rest, b):
        return rest
    return Dim({(Operation("mod", rest, b),): 1})


def ceildiv(a: DimLike, b: DimLike) -> DimLike:
    """ceil(a / b), for b >= 1."""
    return floordiv(a + b - 1, b)


def dim_max(a: DimLike, b: DimLike) -> DimLike:
    """The larger of the two."""
    if at_least(a, b):
        return a
    if at_least(b, a):
        return b
    left, right = sorted((a, b), key=str)
    return Dim({(Operation("max", left, right),): 1})


def dim_min(a: DimLike, b: DimLike) -> DimLike:
    """The smaller of the two."""
    if at_least(a, b):
        return b
    if at_least(b, a):
        return a
    left, right = sorted((a, b), key=str)
    return Dim({(Operation("min", left, right),): 1})


def product(dims) -> DimLike:
    """The product of a sequence of dimensions (1 for an empty one): the number of elements of a shape."""
    total: DimLike = 1
    for dim in dims:
        total = dim * total
    return total


# -- what can be proved -----------------------------------------------------------------------------------------------------
def at_least(a: DimLike, b: DimLike) -> bool:
    """True when a >= b for all values of the symbols can be seen from the terms; False says only that it cannot."""
    if isinstance(a, int) and isinstance(b, int):
        return a >= b
    return _never_negative(a - b, MAX_CASES)


def definitely_equal(a: DimLike, b: DimLike) -> bool:
    """True when a and b are the same expression."""
    return a == b


def definitely_different(a: DimLike, b: DimLike) -> bool:
    """True when a != b for all values of the symbols can be seen from the terms."""
    if isinstance(a, int) and isinstance(b, int):
        return a != b
    return at_least(a, b + 1) or at_least(b, a + 1)


def symbols_of(dim: DimLike) -> frozenset[Symbol]:
    """The symbols of a dimension; none for an int."""
    return dim.symbols if isinstance(dim, Dim) else frozenset()


def substitute(dim: DimLike, values: Mapping[str, DimLike]) -> DimLike:
    """`Dim.substitute` for ints too."""
    return dim.substitute(values) if isinstance(dim, Dim) else dim


def evaluate(dim: DimLike, values: Mapping[str, int]) -> int:
    """`Dim.evaluate` for ints too."""
    return dim.evaluate(values) if isinstance(dim, Dim) else dim


# -- inside -----------------------------------------------------------------------------------------------------------------
def _terms(dim: DimLike) -> Mapping[Monomial, int]:
    return dim.terms if isinstance(dim, Dim) else {(): int(dim)}


def _make(terms: Mapping[Monomial, int]) -> DimLike:
    kept = {monomial: coefficient for monomial, coefficient in terms.items() if coefficient}
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    return _recombine(kept)


def _recombine(terms: dict[Monomial, int]) -> DimLike:
    """c*b*(x//b) + c*(x%b) → c*x: what taking an index apart and putting it together again leaves behind."""
    for monomial, coefficient in terms.items():
        for atom in monomial:
            if not (isinstance(atom, Operation) and atom.name == "mod"):
                continue
            others = list(monomial)
            others.remove(atom)
            scale = Dim({tuple(others): coefficient}) if others else coefficient
            partner = _terms(scale * (atom.right * floordiv(atom.left, atom.right)))
            if all(terms.get(m, 0) * c > 0 and abs(terms[m]) >= abs(c) for m, c in partner.items()):
                rest = {m: c - partner.get(m, 0) for m, c in terms.items() if m != monomial}
                return _make(rest) + scale * atom.left
    return Dim(terms)


def _grouped(dim: DimLike) -> str:
    text = str(dim)
    return text if text.isidentifier() or text.isdigit() else f"({text})"


_LARGE = 2**24


def _split(a: DimLike, b: DimLike) -> tuple[DimLike, DimLike]:
    """(q, r) with a = q*b + r, where q takes every term of `a` that b divides as a polynomial (b with one term). A coefficient of r is made
    positive by a multiple of b, unless b is so large that 64 bits would not hold its product with a dimension."""
    divisor = _terms(b)
    if len(divisor) != 1:
        return (1, 0) if a == b else (0, a)
    ((factors, unit),) = divisor.items()
    quotient: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for monomial, coefficient in _terms(a).items():
        left = list(monomial)
        try:
            for atom in factors:
                left.remove(atom)
        except ValueError:
            rest[monomial] = coefficient
            continue
        whole, over = divmod(coefficient, unit) if unit > 0 else (0, coefficient)
        if over and coefficient < 0 and unit > _LARGE:
            whole, over = 0, coefficient
        quotient[tuple(left)] = whole
        if over:
            rest[monomial] = over
    return _make(quotient), _make(rest)


def _single_floordiv(dim: Dim) -> tuple[Operation | None, int]:
    """(x//m, c) for an expression x//m + c with an integer m > 0."""
    constant = dim.terms.get((), 0)
    others = [(monomial, c) for monomial, c in dim.terms.items() if monomial]
    if len(others) == 1 and others[0][1] == 1 and len(others[0][0]) == 1:
        atom = others[0][0][0]
        if isinstance(atom, Operation) and atom.name == "floordiv" and isinstance(atom.right, int) and atom.right > 0:
            return atom, constant
    return None, 0


def order_of(a: DimLike, b: DimLike) -> tuple[DimLike, DimLike] | None:
    """(low, high) where a == b says no more than low <= high: one of them is the `min` or the `max` of the other and something."""
    for this, other in ((a, b), (b, a)):
        atom = next(iter(other.terms))[0] if isinstance(other, Dim) and list(map(len, other.terms)) == [1] else None
        if isinstance(atom, Operation) and atom.name in ("min", "max") and other.terms == {(atom,): 1} and this in (atom.left, atom.right):
            rest = atom.right if this == atom.left else atom.left
            return (this, rest) if atom.name == "min" else (rest, this)
    return None


def _within(rest: DimLike, b: DimLike) -> bool:
    """True when 0 <= rest < b can be seen."""
    return at_least(rest, 0) and at_least(b - 1, rest)


MAX_CASES = 4  # min and max atoms that a proof replaces; with each there are twice as many cases


def _never_negative(dim: DimLike, cases: int) -> bool:
    """True when dim >= 0 can be seen from its terms, or else with its `max` and `min` atoms replaced by their operands, one after the other.

    max(x, y) is at least x, and at least y: where it counts positively one of the two is enough. Where it counts negatively both are
    needed, since it is one of them. `min` is the other way around. Those where both are needed come first: nothing is lost by them."""
    if _is_nonnegative(_lowest(dim)):
        return True
    found = [(atom, coefficient, (atom.name == "max") == (coefficient > 0)) for (atom, *others), coefficient in _products(dim)
             if not others and isinstance(atom, Operation) and atom.name in ("max", "min")] if cases else []
    if not found:
        return False
    atom, coefficient, one_is_enough = min(found, key=lambda case: case[2])
    rest = dim - coefficient * Dim({(atom,): 1})
    proved = (_never_negative(rest + coefficient * side, cases - 1) for side in (atom.left, atom.right))
    return any(proved) if one_is_enough else all(proved)


def _products(dim: DimLike) -> list[tuple[Monomial, int]]:
    """The terms but the constant one."""
    return [(monomial, coefficient) for monomial, coefficient in _terms(dim).items() if monomial]


def _lowest(dim: DimLike) -> int | None:
    """A constant that `dim` never falls below, or None when none can be seen.

    Bounded atoms of terms with a negative coefficient are replaced by their largest value, terms with a positive one by their smallest;
    what is left over must have no negative coefficient.
    """
    for _ in range(4):  # bounds may themselves be expressions in bounded symbols
        if isinstance(dim, int):
            return dim
        if all(c >= 0 for monomial, c in dim.terms.items() if monomial):
            total = 0
            for monomial, coefficient in dim.terms.items():
                least = _lowest_product(monomial)
                if least is None:
                    return None
                total += coefficient * least
            return total
        changed: DimLike = 0
        for monomial, coefficient in dim.terms.items():
            term: DimLike = coefficient
            for atom in monomial:
                largest = _largest(atom) if coefficient < 0 and (len(monomial) == 1 or _all_nonnegative(monomial)) else None
                term = term * (Dim({(atom,): 1}) if largest is None else largest)
            changed = changed + term
        if changed == dim:
            return None
        dim = changed
    return None


def _lowest_product(monomial: Monomial) -> int | None:
    """A constant that the product of atoms never falls below; of several, only one that is not negative is known."""
    if len(monomial) == 1:
        return _lowest_atom(monomial[0])
    return (0 if monomial else 1) if _all_nonnegative(monomial) else None


def _all_nonnegative(monomial: Monomial) -> bool:
    return all(_is_nonnegative(_lowest_atom(atom)) for atom in monomial)


def _is_nonnegative(lowest: int | None) -> bool:
    return lowest is not None and lowest >= 0


def _lowest_atom(atom: Atom) -> int | None:
    """A constant that the atom never falls below. A divisor that is no negative number is taken as positive: by 0 nothing is divided."""
    if isinstance(atom, Symbol):
        return 0
    left, right = _lowest(atom.left), _lowest(atom.right)
    match atom.name:
        case "mod" if _is_nonnegative(right):
            return 0
        case "mod" if isinstance(atom.right, int):
            return atom.right + 1
        case "floordiv" if left is not None and _is_nonnegative(right):
            return left // atom.right if isinstance(atom.right, int) else min(left, 0)
        case "max":
            known = [bound for bound in (left, right) if bound is not None]
            return max(known) if known else None
        case "min" if left is not None and right is not None:
            return min(left, right)
    return None


def _largest(atom: Atom) -> DimLike | None:
    match atom:
        case Symbol(bound=bound):
            return None if bound is None else bound - 1
        case Operation("mod", _, right) if _is_nonnegative(_lowest(right)):
            return right - 1
        case Operation("floordiv", Dim() as left, int(right)) if right > 0:
            top: DimLike = 0
            for monomial, coefficient in left.terms.items():
                term: DimLike = coefficient
                for inner in monomial:
                    bound = _largest(inner)
                    if coefficient < 0 or bound is None or not _all_nonnegative(monomial):
                        return None
                    term = term * bound
                top = top + term
            return floordiv(top, right)
    return None


def _substitute_atom(atom: Atom, values: Mapping[str, DimLike]) -> DimLike:
    if isinstance(atom, Symbol):
        if atom.name in values:
            return values[atom.name]
        if isinstance(atom.bound, Dim):
            return Dim({(Symbol(atom.name, substitute(atom.bound, values)),): 1})
        return Dim({(atom,): 1})
    return _OPERATIONS[atom.name](substitute(atom.left, values), substitute(atom.right, values))


_OPERATIONS = {"floordiv": floordiv, "mod": mod, "max": dim_max, "min": dim_min}
_BINARY = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: floordiv,
    ast.Mod: mod,
}

"""Sizes that are known only when a model runs: a table of the expressions it needs, and the C that computes them."""
from __future__ import annotations

from collections.abc import Mapping

from dlcompile.codegen.names import c_comment
from dlcompile.errors import ShapeError
from dlcompile.graph import Dim, DimLike
from dlcompile.graph.dim import Operation, Symbol

_OPERATIONS = {"floordiv": "dlc_checked_floordiv", "mod": "dlc_checked_mod", "max": "dlc_checked_max", "min": "dlc_checked_min"}


class Expressions:
    """The distinct symbolic expressions a model's code refers to, numbered in order of first use."""

    def __init__(self, symbols: Mapping[str, str]):
        """`symbols` maps the name of a symbol to the C variable that holds it."""
        self.symbols = dict(symbols)
        self.rows: dict[Dim, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def number(self, dim: Dim) -> int:
        """The row of an expression."""
        return self.rows.setdefault(dim, len(self.rows))

    def size(self, dim: DimLike) -> str:
        """The `dlc_size` that stands for a dimension in a table."""
        return f"{{0, {self.number(dim)}}}" if isinstance(dim, Dim) else f"{{{c_int(dim)}, -1}}"

    def value(self, dim: DimLike) -> str:
        """The dimension in the body of a function that has the symbols as variables and the rows' values as `d`."""
        if not isinstance(dim, Dim):
            return c_int(dim)
        if (name := _plain_symbol(dim)) is not None:
            return self.symbols[name]
        return f"d[{self.number(dim)}]"

    def statements(self, target: str, wrap: str = "{}") -> list[str]:
        """C statements that compute all rows into the array `target`, noting in `overflow` what does not fit."""
        lines = []
        for dim, row in self.rows.items():
            lines.append(f"{target}[{row}] = {wrap.format(self.checked(dim))}; /* {c_comment(str(dim))} */")
        return lines

    def checked(self, dim: DimLike) -> str:
        """The dimension in checked arithmetic."""
        if not isinstance(dim, Dim):
            return c_int(dim)
        total = None
        for monomial, coefficient in sorted(dim.terms.items(), key=lambda term: term[1] < 0):  # what is positive first
            factors = [self._atom(atom) for atom in monomial]
            if coefficient != 1 or not factors:
                factors.append(c_int(coefficient))
            term = factors[0]
            for factor in factors[1:]:
                term = f"dlc_checked_mul(&overflow, {term}, {factor})"
            total = term if total is None else f"dlc_checked_add(&overflow, {total}, {term})"
        return total

    def _atom(self, atom: Symbol | Operation) -> str:
        if isinstance(atom, Symbol):
            return self.symbols[atom.name]
        return f"{_OPERATIONS[atom.name]}(&overflow, {self.checked(atom.left)}, {self.checked(atom.right)})"


def c_int(value: int) -> str:
    """An int64_t literal. ShapeError for a size that has none."""
    if not -(2**63) < value < 2**63:
        raise ShapeError(f"a size of {value} does not fit 64 bits")
    return str(value) if abs(value) < 2**31 else f"INT64_C({value})"


def linear(dim: DimLike, symbols: tuple[str, ...]) -> tuple[int, int, int]:
    """(symbol, scale, offset) as `dlc_dim` states them: dim = scale*symbols[symbol] + offset; symbol -1 for a constant, -2 for anything
    that is not linear in one symbol, -3 for what only a run knows."""
    if not isinstance(dim, Dim):
        return -1, 0, dim
    if any(s.name not in symbols for s in dim.symbols):
        return -3, 0, 0
    others = [(monomial, c) for monomial, c in dim.terms.items() if monomial]
    if len(others) == 1 and len(others[0][0]) == 1 and isinstance(others[0][0][0], Symbol):
        (((atom,), scale),) = others
        return symbols.index(atom.name), scale, dim.terms.get((), 0)
    return -2, 0, 0


def _plain_symbol(dim: Dim) -> str | None:
    if len(dim.terms) == 1:
        ((monomial, coefficient),) = dim.terms.items()
        if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], Symbol):
            return monomial[0].name
    return None

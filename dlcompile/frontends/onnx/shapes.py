"""Symbolic dimensions of a model's inputs: from `dim_param` to `Dim`, pinned and renamed as the caller asks."""
from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar

import onnx

from dlcompile.errors import ArgumentError, InvalidModelError, ShapeError
from dlcompile.graph import (
    Dim,
    DimLike,
    Shape,
    Tensor,
    at_least,
    current_origin,
    dim_max,
    dim_min,
    known_dims,
    parse_dim,
    substitute,
    symbol,
    symbols_of,
    unify,
)
from dlcompile.graph.graph import Constraint

# what exporters write for "I do not know"; the same word twice is not the same size
_NAMELESS = {"", "None", "none", "-1", "unk"}


class SymbolTable:
    """The symbols of a model: one for each `dim_param`, a fresh one for each dimension without a name.

    Shapes are declared input by input, then `finish` holds the caller's `dims` against the symbols there are, then
    `resolve` gives shapes.
    """

    def __init__(self, dims: Mapping[str, int | str]):
        self.dims = dims
        self.names: dict[str, str] = {}  # dim_param → identifier
        self.expressions: list[str] = []
        self.values: dict[str, DimLike] = {}

    def declare(self, value: onnx.ValueInfoProto) -> list[int | str]:
        """The dimensions of an input: integers, and `dim_param`s (made up where there is none)."""
        if not value.type.tensor_type.HasField("shape"):
            raise InvalidModelError(f"input {value.name!r} has no shape; expected its rank and dimensions")
        shape: list[int | str] = []
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0:
                shape.append(dim.dim_value)
                continue
            if dim.dim_value < -1:
                raise InvalidModelError(f"input {value.name!r}: dimension {axis} is {dim.dim_value}")
            param = dim.dim_param.strip()
            if param in _NAMELESS or not re.search(r"\w", param):
                param = f"{value.name}_d{axis}"
            shape.append(param)
            self._name(param)
        return shape

    def fresh(self, param: str) -> str:
        """A dimension of an input that the model file says nothing of, to be called `param` or nearly so."""
        while param in self.names:
            param += "_"
        self._name(param)
        return param

    def _name(self, param: str) -> None:
        if param in self.names:
            return
        identifier = re.sub(r"\W", "_", param, flags=re.ASCII)
        if not identifier.isidentifier():
            identifier = f"d_{identifier}"
        unique, count = identifier, 2
        while unique in self.names.values():
            unique, count = f"{identifier}_{count}", count + 1
        self.names[param] = unique

    def finish(self) -> None:
        """Decide what each `dim_param` stands for. `ArgumentError` where `dims` names a symbol that the model does not
        have."""
        for param, identifier in self.names.items():
            self.values[param] = symbol(identifier)
        for (
            param
        ) in self.names:  # "2*seq + 1" is an expression where seq itself is a dimension; by itself it is just a name
            try:
                value = parse_dim(param)
            except (ValueError, ArithmeticError, RecursionError, MemoryError):
                continue
            if (
                not param.isidentifier()
                and symbols_of(value)
                and all(self.names.get(s.name) == s.name for s in symbols_of(value))
            ):
                self.values[param] = value
        wanted: dict[str, DimLike] = {}
        for name, value in self.dims.items():
            identifier = self.names.get(name, name)
            if identifier not in self.names.values():
                raise ArgumentError(
                    f"dims: the model has no symbolic dimension {name!r}; "
                    f"it has {', '.join(self.names.values()) or 'none'}"
                )
            if isinstance(value, str) and value.isidentifier():
                wanted[identifier] = symbol(value)
            elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                wanted[identifier] = int(value)
            else:
                raise ArgumentError(f"dims[{name!r}] is {value!r}; expected an integer >= 0, or the name of a symbol")
        self.values = {param: substitute(value, wanted) for param, value in self.values.items()}

    def resolve(self, shape: list[int | str], fixed: Mapping[str, DimLike]) -> Shape:
        """A declared shape with its symbols, those that are `fixed` replaced."""
        return tuple(d if isinstance(d, int) else substitute(self.values[d], fixed) for d in shape)


# -- what is taken on trust while a model is read ----------------------------------------------------------------------
_assumed: ContextVar[list[Constraint] | None] = ContextVar("dlcompile_onnx_assumed", default=None)


@contextlib.contextmanager
def assumptions() -> Iterator[list[Constraint]]:
    """The equalities that rows assume inside, as constraints of a graph."""
    collected: list[Constraint] = []
    token = _assumed.set(collected)
    try:
        yield collected
    finally:
        _assumed.reset(token)


def assume_equal(a: DimLike, b: DimLike, what: str) -> DimLike:
    """The dimension `a` and `b` both are. Where that cannot be seen the compiled model checks it; `ShapeError` where
    they differ."""
    if a != b and _assumed.get() is not None:
        result = unify(a, b, what)
        _assumed.get().append((a, b, current_origin()))
        return result
    return unify(a, b, what)


def handed_up(constraints: Iterable[Constraint], own: Iterable[str]) -> tuple[Constraint, ...]:
    """The constraints of a body that mention dimensions of its own; the others are assumptions of the graph around it."""
    own, kept = set(own), []
    for constraint in constraints:
        if any(s.source is not None or s.name in own for d in constraint[:2] for s in symbols_of(d)):
            kept.append(constraint)
        elif _assumed.get() is not None:
            _assumed.get().append(constraint)
    return tuple(kept)


def fixed_symbols(constraints: Iterable[Constraint]) -> dict[str, DimLike]:
    """The symbols that constraints leave one value only, an integer or another symbol, and that value."""
    fixed: dict[str, DimLike] = {}
    for left, right, _ in constraints:
        left, right = substitute(left, fixed), substitute(right, fixed)
        if any(s.source is not None for s in symbols_of(left) | symbols_of(right)):
            continue  # what only a run knows says nothing about inputs
        symbols = sorted((d for d in (left, right) if _is_symbol(d)), key=_preference)
        if left == right or not symbols:
            continue
        name = str(symbols[-1])  # of two symbols the one whose name says less goes
        value = right if symbols[-1] is left else left
        if isinstance(value, int) or _is_symbol(value):
            fixed = {key: substitute(other, {name: value}) for key, other in fixed.items()} | {name: value}
    return fixed


def _is_symbol(dim: DimLike) -> bool:
    return isinstance(dim, Dim) and len(dim.symbols) == 1 and str(dim) == next(iter(dim.symbols)).name


def _preference(dim: Dim) -> tuple[bool, int, str]:
    """Names a model gives come before those made of an input and an axis."""
    return re.search(r"_d\d+$", str(dim)) is not None, len(str(dim)), str(dim)


# -- axes and positions ------------------------------------------------------------------------------------------------
def as_axis(axis: int, rank: int) -> int:
    """An axis counted from the front. `ShapeError` where a tensor of that rank has no such axis."""
    if not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} is outside of the {rank} axes")
    return axis % rank


def as_axes(axes: Iterable[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front, in the order given. `ShapeError` where one is outside or given twice."""
    result = tuple(as_axis(axis, rank) for axis in axes)
    if len(set(result)) != len(result):
        raise ShapeError(f"axes {list(result)} are given more than once")
    return result


def axes_of(tensor: Tensor | None) -> tuple[int, ...] | None:
    """The axes an optional input holds, which must be known when the model is imported; None where it is left out."""
    if tensor is None:
        return None
    axes = known_dims(tensor, "list of axes")
    if not all(isinstance(axis, int) for axis in axes):
        raise InvalidModelError(f"the axes {list(axes)} depend on a symbolic dimension")
    return axes


def clamp(value: DimLike, low: DimLike, high: DimLike) -> DimLike:
    """min(max(value, low), high), where `high - low` is the size of an axis.

    The first and the last element of a dynamic axis are taken to be there: `x[:, -1:]` has one column, and that the
    axis is not empty is checked when the model runs. Of an axis that only the run itself knows nothing is taken.
    """
    if isinstance(value, int) and value >= 10**9:  # what exporters write for "to the end", 2**31 - 1 and 2**63 - 1 too
        return high
    return _smaller(_larger(value, low), high)


def _larger(a: DimLike, b: DimLike) -> DimLike:
    return _decided(a, b) if isinstance(dim_max(a, b), Dim) and dim_max(a, b) not in (a, b) else dim_max(a, b)


def _smaller(a: DimLike, b: DimLike) -> DimLike:
    larger = _larger(a, b)
    return dim_min(a, b) if larger not in (a, b) else b if larger == a else a


def _decided(a: DimLike, b: DimLike) -> DimLike:
    """max(a, b), where it helps under the assumption that no symbol is 0."""
    symbols = symbols_of(a) | symbols_of(b)
    if any(s.source is not None for s in symbols):
        return dim_max(a, b)
    shifted = {s.name: symbol(s.name) + 1 for s in symbols}
    for larger, smaller in ((a, b), (b, a)):
        if at_least(substitute(larger, shifted), substitute(smaller, shifted)):
            for s in symbols:
                extent = symbol(s.name, s.bound, s.source)
                assume_equal(extent, dim_max(extent, 1), "a dynamic axis must not be empty:")
            return larger
    return dim_max(a, b)

"""Symbolic dimensions of a model's inputs: from `dim_param` to `Dim`, pinned and renamed as the caller asks."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import onnx

from dlcompile.errors import ArgumentError, InvalidModelError, ShapeError
from dlcompile.graph import DimLike, Shape, Tensor, dim_max, dim_min, known_dims, parse_dim, substitute, symbol, symbols_of

_NAMELESS = {"", "None", "none", "-1", "unk"}  # what exporters write for "I do not know"; the same word twice is not the same size


class SymbolTable:
    """The symbols of a model: one for each `dim_param`, a fresh one for each dimension without a name.

    Shapes are declared input by input, then `finish` holds the caller's `dims` against the symbols there are, then `resolve` gives shapes.
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
        """Decide what each `dim_param` stands for. `ArgumentError` where `dims` names a symbol that the model does not have."""
        for param, identifier in self.names.items():
            self.values[param] = symbol(identifier)
        for param in self.names:  # "2*seq + 1" is an expression where seq itself is a dimension; by itself it is just a name
            try:
                value = parse_dim(param)
            except (ValueError, ArithmeticError, RecursionError, MemoryError):
                continue
            if not param.isidentifier() and symbols_of(value) and all(self.names.get(s.name) == s.name for s in symbols_of(value)):
                self.values[param] = value
        wanted: dict[str, DimLike] = {}
        for name, value in self.dims.items():
            identifier = self.names.get(name, name)
            if identifier not in self.names.values():
                raise ArgumentError(f"dims: the model has no symbolic dimension {name!r}; it has {', '.join(self.names.values()) or 'none'}")
            if isinstance(value, str) and value.isidentifier():
                wanted[identifier] = symbol(value)
            elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                wanted[identifier] = int(value)
            else:
                raise ArgumentError(f"dims[{name!r}] is {value!r}; expected an integer >= 0, or the name of a symbol")
        self.values = {param: substitute(value, wanted) for param, value in self.values.items()}

    def resolve(self, shape: list[int | str]) -> Shape:
        """A declared shape with its symbols."""
        return tuple(d if isinstance(d, int) else self.values[d] for d in shape)


# -- axes and positions -----------------------------------------------------------------------------------------------------
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
    """min(max(value, low), high)."""
    if isinstance(value, int) and value >= 10**9:  # what exporters write for "to the end", 2**31 - 1 and 2**63 - 1 too
        return high
    return dim_min(dim_max(value, low), high)

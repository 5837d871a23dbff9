"""Where the elements of a tensor are: storage, and how a view's coordinates become those of what it views.

A view (reshape, transpose, slice, …) is never computed; reading it means reading its operand at other coordinates. Because coordinates are
`Dim`s, following a chain of views to stored memory gives one index expression, and asking whether that expression is linear in the
coordinates tells whether the view is a strided array.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dlcompile.graph import Dim, DimLike, Node, Shape, Symbol, Tensor, floordiv, mod, symbol, symbols_of
from dlcompile.graph.dim import substitute
from dlcompile.kernels.program import Argument

Coordinates = tuple[DimLike, ...]


class CannotFuse(Exception):
    """A group of nodes cannot be one kernel; the scheduler keeps them apart."""


@dataclass(frozen=True)
class Storage:
    """A tensor in memory: the array (`argument`), the offset of its first element, and a stride per axis, in elements."""

    argument: Argument
    offset: DimLike
    strides: Coordinates

    def index(self, coordinates: Coordinates) -> DimLike:
        """The element index of a coordinate tuple."""
        total = self.offset
        for coordinate, stride in zip(coordinates, self.strides, strict=True):
            total = coordinate * stride + total
        return total


def contiguous_strides(shape: Shape) -> Coordinates:
    """Row-major strides, in elements."""
    strides: list[DimLike] = []
    total: DimLike = 1
    for extent in reversed(shape):
        strides.append(total)
        total = extent * total
    return tuple(reversed(strides))


def contiguous(argument: Argument, shape: Shape) -> Storage:
    """Row-major storage that is the whole of an array."""
    return Storage(argument, 0, contiguous_strides(shape))


# -- coordinates ------------------------------------------------------------------------------------------------------------
def axes_symbols(shape: Shape, prefix: str) -> Coordinates:
    """A loop variable for each axis; axes of extent 1 have only the coordinate 0."""
    return tuple(0 if extent == 1 else symbol(f"{prefix}{axis}", extent) for axis, extent in enumerate(shape))


def linearize(coordinates: Coordinates, shape: Shape) -> DimLike:
    """The row-major position of a coordinate tuple."""
    total: DimLike = 0
    for coordinate, stride in zip(coordinates, contiguous_strides(shape), strict=True):
        total = coordinate * stride + total
    return total


def delinearize(position: DimLike, shape: Shape) -> Coordinates:
    """The coordinate tuple of a row-major position."""
    coordinates: list[DimLike] = []
    leading = next((axis for axis, extent in enumerate(shape) if extent != 1), len(shape))
    for axis in reversed(range(len(shape))):
        if shape[axis] == 1:
            coordinates.append(0)
        elif axis == leading:
            coordinates.append(position)  # what is left is in range: no division
        else:
            coordinates.append(mod(position, shape[axis]) if shape[axis] != 0 else 0)
            position = floordiv(position, shape[axis]) if shape[axis] != 0 else 0
    return tuple(reversed(coordinates))


def reshape_coordinates(coordinates: Coordinates, source: Shape, target: Shape) -> Coordinates:
    """Coordinates in `source` as coordinates in `target`, shapes of equal size; axes that both have in common pass unchanged."""
    source_axes = [a for a, extent in enumerate(source) if extent != 1]
    target_axes = [a for a, extent in enumerate(target) if extent != 1]
    result: list[DimLike] = [0] * len(target)
    while source_axes and target_axes and source[source_axes[0]] == target[target_axes[0]]:
        result[target_axes.pop(0)] = coordinates[source_axes.pop(0)]
    while source_axes and target_axes and source[source_axes[-1]] == target[target_axes[-1]]:
        result[target_axes.pop()] = coordinates[source_axes.pop()]
    position = linearize(tuple(coordinates[a] for a in source_axes), tuple(source[a] for a in source_axes))
    for axis, coordinate in zip(target_axes, delinearize(position, tuple(target[a] for a in target_axes))):
        result[axis] = coordinate
    return tuple(result)


def broadcast_coordinates(coordinates: Coordinates, shape: Shape) -> Coordinates:
    """Coordinates of a broadcast result as coordinates of an operand of the given shape."""
    skipped = len(coordinates) - len(shape)
    return tuple(0 if extent == 1 else coordinates[skipped + axis] for axis, extent in enumerate(shape))


# -- views ------------------------------------------------------------------------------------------------------------------
def _view_reshape(node: Node, at: Coordinates) -> Coordinates:
    return reshape_coordinates(at, node.output.shape, node.inputs[0].shape)


def _view_transpose(node: Node, at: Coordinates) -> Coordinates:
    result: list[DimLike] = [0] * len(at)
    for axis, source in enumerate(node.attributes["permutation"]):
        result[source] = at[axis]
    return tuple(result)


def _view_broadcast(node: Node, at: Coordinates) -> Coordinates:
    return broadcast_coordinates(at, node.inputs[0].shape)


def _view_slice(node: Node, at: Coordinates) -> Coordinates:
    attributes = node.attributes
    return tuple(start + c * stride for c, start, stride in zip(at, attributes["start"], attributes["strides"], strict=True))


def _view_reverse(node: Node, at: Coordinates) -> Coordinates:
    axes = node.attributes["axes"]
    return tuple(extent - 1 - c if axis in axes else c for axis, (c, extent) in enumerate(zip(at, node.output.shape)))


VIEWS: dict[str, Callable[[Node, Coordinates], Coordinates]] = {
    "reshape": _view_reshape,
    "transpose": _view_transpose,
    "broadcast_to": _view_broadcast,
    "slice": _view_slice,
    "reverse": _view_reverse,
}
"""view operator → (node, coordinates of its result) → coordinates of its operand."""


def forward_through(node: Node, at: Coordinates) -> Coordinates | None:
    """Coordinates of a view's operand as coordinates of its result, for views that only rearrange; None for others."""
    if node.op == "transpose":
        return tuple(at[source] for source in node.attributes["permutation"])
    if node.op == "reshape":
        return reshape_coordinates(at, node.inputs[0].shape, node.output.shape)
    return None


def viewed(tensor: Tensor, at: Coordinates, stored: Callable[[Tensor], bool]) -> tuple[Tensor, Coordinates]:
    """Follow views from `tensor` until a tensor that is stored or is not a view."""
    while not stored(tensor) and tensor.producer is not None and tensor.producer.op in VIEWS:
        at = VIEWS[tensor.producer.op](tensor.producer, at)
        tensor = tensor.producer.inputs[0]
    return tensor, at


# -- linear expressions -----------------------------------------------------------------------------------------------------
def linear_coefficients(index: DimLike, variables: Sequence[Dim | int]) -> tuple[DimLike, list[DimLike]] | None:
    """(constant part, coefficient of each variable) when `index` is linear in the variables (symbols; an int stands for an axis of extent
    1, whose coefficient is 0); None when it is not."""
    names = [_only_symbol(v).name if isinstance(v, Dim) else None for v in variables]
    zero = {name: 0 for name in names if name}
    constant = substitute(index, zero)
    coefficients: list[DimLike] = []
    for name in names:
        if name is None:
            coefficients.append(0)
            continue
        coefficient = substitute(index, {**zero, name: 1}) - constant
        coefficients.append(coefficient)
    rebuilt = constant
    for variable, coefficient in zip(variables, coefficients):
        rebuilt = rebuilt + coefficient * variable
    used = {n for n in names if n}
    if rebuilt != index or any(s.name in used for c in (constant, *coefficients) for s in symbols_of(c)):
        return None
    return constant, coefficients


def strided(tensor: Tensor, at: Coordinates, variables: Sequence[Dim | int], stored: Callable[[Tensor], Storage | None]
            ) -> tuple[Storage, DimLike, list[DimLike]] | None:
    """(storage, base index, stride of each variable) of a tensor read at coordinates `at`; None where it is not a strided array."""
    base, coordinates = viewed(tensor, at, lambda t: stored(t) is not None)
    storage = stored(base)
    linear = None if storage is None else linear_coefficients(storage.index(coordinates), variables)
    return None if linear is None else (storage, *linear)


def _only_symbol(dim: Dim) -> Symbol:
    ((monomial, _),) = dim.terms.items()
    return monomial[0]

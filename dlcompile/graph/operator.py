"""The table of operators, and what a row of it says.

A *primitive* states its type rule, its NumPy evaluation and its cost; a *composite* states a decomposition into other operators, from
which all of that follows. How an operator is compiled is said in `kernels`, how a file format spells it in `frontends`.
"""
from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcompile.errors import ShapeError
from dlcompile.graph.dim import Dim, DimLike, definitely_different

if TYPE_CHECKING:
    from dlcompile.graph.tensor import Tensor, TensorType

OPERATORS: dict[str, Operator] = {}


class Undecided(Exception):
    """Shape arithmetic met a question about symbolic dimensions that has no answer for all their values."""


@dataclass(frozen=True)
class Operator:
    """A row of the table.

    name:       as `jax.lax`, NumPy or StableHLO (primitives) or ONNX (composites) name it, in snake_case.
    family:     elementwise, movement, reduction, contraction, window, order, selection, control, random, or composite.
    infer:      (input types, attributes) → the output type, or a tuple of them. Composites: None, the decomposition tells.
    evaluate:   (attributes, *arrays) → array or tuple of arrays, in NumPy: the meaning of the operator.
    decompose:  (attributes, *tensors) → tensor or tuple of tensors, written with `dlcompile.ops`; composites only.
    flops:      (input types, output types, attributes) → floating-point operations of one evaluation, as a Dim.
    accuracy:   "exact" (the same bits as the definition), "rounded" (a rounding per element), "sum" (order of a sum is free).
    shape_arithmetic: `evaluate` also works on object arrays of ints and Dims (raising `Undecided` where it must).
    multiple_outputs: `apply` returns a tuple even where there is one output.
    """

    name: str
    family: str
    infer: Callable[..., Any] | None = None
    evaluate: Callable[..., Any] | None = None
    decompose: Callable[..., Any] | None = None
    flops: Callable[..., DimLike] | None = None
    accuracy: str = "exact"
    shape_arithmetic: bool = False
    multiple_outputs: bool = False

    @property
    def is_composite(self) -> bool:
        return self.decompose is not None

    def infer_types(self, types: tuple[TensorType, ...], attributes: Mapping[str, Any], inputs: tuple[Tensor, ...] | None = None):
        """(output types, constraints) for inputs of the given types. `inputs` gives a decomposition the values shapes depend on."""
        token = _constraints.set([])
        try:
            if self.infer is not None:
                result = self.infer(types, attributes)
                outputs = result if isinstance(result, tuple) else (result,)
                return outputs, tuple(_constraints.get())
            made = self.decompose(attributes, *inputs)
            tensors = made if isinstance(made, tuple) else (made,)
            return tuple(t.type for t in tensors), tuple(_constraints.get())
        finally:
            inner = _constraints.get()
            _constraints.reset(token)
            if _constraints.get() is not None:  # a decomposition inside a decomposition passes its constraints on
                _constraints.get().extend(inner)

    def evaluate_known(self, attributes: Mapping[str, Any], values: Sequence[np.ndarray], inputs: Sequence[TensorType],
                       outputs: Sequence[TensorType]) -> tuple[np.ndarray | None, ...]:
        """Outputs of `evaluate` on object arrays of ints and Dims; None for one that depends on the symbols' values or is no integer.

        Where no Dim is among the values the arrays are of the operands' own types, so that integers wrap as those do.
        """
        if not any(isinstance(v, Dim) for array in values for v in array.flat):
            values = [array.astype(t.dtype) for array, t in zip(values, inputs)]
        try:
            result = self.evaluate(attributes, *values)
        except (Undecided, TypeError, ValueError, ZeroDivisionError, OverflowError):
            return (None,) * len(outputs)
        results = result if isinstance(result, tuple) else (result,)
        return tuple(_whole(np.asarray(r).astype(object), t) for r, t in zip(results, outputs))


def _whole(array: np.ndarray, of: TensorType) -> np.ndarray | None:
    """The array, if it holds what an integer type can hold."""
    if of.dtype.kind not in "iub":
        return None
    if of.dtype.kind == "b":
        return array
    info = np.iinfo(of.dtype)
    return array if all(isinstance(v, Dim) or info.min <= v <= info.max for v in array.flat) else None


def register(operator: Operator) -> Operator:
    """Add a row to the table; a name is taken once."""
    if operator.name in OPERATORS:
        raise ValueError(f"operator {operator.name!r} is in the table already")
    OPERATORS[operator.name] = operator
    return operator


# -- equalities that type rules take on trust -------------------------------------------------------------------------------
_constraints: contextvars.ContextVar[list | None] = contextvars.ContextVar("dlcompile_constraints", default=None)


def unify(a: DimLike, b: DimLike, what: str = "dimensions") -> DimLike:
    """The dimension that `a` and `b` both are. Where that cannot be seen it is taken on trust, noted on the node being made, and
    checked by the compiled model before it runs. ShapeError where they differ for certain."""
    if a == b:
        return a
    if definitely_different(a, b):
        raise ShapeError(f"{what} {a} and {b} differ")
    if _constraints.get() is not None:
        _constraints.get().append((a, b))
    if isinstance(a, Dim) and isinstance(b, Dim):
        return min(a, b, key=lambda d: (len(str(d)), str(d)))
    return a if isinstance(a, int) else b


def broadcast_shapes(*shapes: tuple[DimLike, ...]) -> tuple[DimLike, ...]:
    """NumPy's broadcasting rule on symbolic shapes: a symbolic dimension meets its equal, or 1."""
    rank = max((len(s) for s in shapes), default=0)
    result: list[DimLike] = []
    for axis in range(rank):
        dim: DimLike = 1
        for shape in shapes:
            position = axis - rank + len(shape)
            if position < 0 or shape[position] == 1:
                continue
            dim = shape[position] if dim == 1 else unify(dim, shape[position], f"broadcast axis {axis - rank}:")
        result.append(dim)
    return tuple(result)

"""Tensors and nodes: the values of a graph and the operators that make them.

A graph is not built by hand. `apply` (through the functions of `dlcompile.ops`) makes a node of the tensors it is given and returns the
tensors it yields; a node knows its inputs, a tensor its producer, and a `Graph` is what can be reached from some outputs.
"""
from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcompile.errors import Error, InvalidModelError, ShapeError
from dlcompile.graph.dim import Dim, DimLike, Symbol, product
from dlcompile.graph.dtypes import DTYPES, as_dtype, dtype_name
from dlcompile.graph.operator import OPERATORS

Shape = tuple[DimLike, ...]

MAX_RANK = 32  # what NumPy iterates over


@dataclass(frozen=True)
class TensorType:
    """Element type and shape. A static dimension is an int, any other a `Dim`."""

    dtype: np.dtype
    shape: Shape

    def __post_init__(self):
        object.__setattr__(self, "dtype", as_dtype(self.dtype))
        object.__setattr__(self, "shape", tuple(d if isinstance(d, Dim) else int(d) for d in self.shape))
        if len(self.shape) > MAX_RANK:
            raise ShapeError(f"{len(self.shape)} dimensions; a tensor has at most {MAX_RANK}")
        least = self.dtype.itemsize
        for dim in self.shape:
            if isinstance(dim, int):
                if dim < 0:
                    raise ShapeError(f"{self} has a negative dimension")
                least *= dim or 1  # strides count the others where one is 0
        if least >= 2**63:
            raise ShapeError(f"{self} has more bytes than 64 bits can count")

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> DimLike:
        """The number of elements."""
        return product(self.shape)

    @property
    def nbytes(self) -> DimLike:
        return self.size * DTYPES[self.dtype].itemsize

    @property
    def is_static(self) -> bool:
        return all(isinstance(d, int) for d in self.shape)

    def __str__(self) -> str:
        return f"{dtype_name(self.dtype)}[{', '.join(str(d) for d in self.shape)}]"


class Tensor:
    """A symbolic value: a graph input (neither producer nor value), a constant (`value`), or output `index` of node `producer`.

    `known`, where not None, is the value of a small integer tensor as an object array of ints and `Dim`s: what shape arithmetic
    (Shape → Gather → Concat) computes while the graph is built. Operators and numpy-like methods are those of `dlcompile.ops`.
    """

    __slots__ = ("type", "producer", "index", "value", "known", "name", "__weakref__")
    __array_priority__ = 1000

    def __init__(self, type: TensorType, *, producer: Node | None = None, index: int = 0, value: np.ndarray | None = None,
                 known: np.ndarray | None = None, name: str | None = None):
        self.type, self.producer, self.index, self.value, self.known, self.name = type, producer, index, value, known, name

    @property
    def dtype(self) -> np.dtype:
        return self.type.dtype

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    @property
    def is_constant(self) -> bool:
        return self.value is not None

    @property
    def op(self) -> str | None:
        """The operator that makes this tensor; None for inputs and constants."""
        return self.producer.op if self.producer is not None else None

    def __repr__(self) -> str:
        kind = "constant" if self.is_constant else self.op or "input"
        return f"<Tensor {self.name or ''}: {self.type} {kind}>"


class Node:
    """One operator applied to tensors. Immutable; `origin` names the front-end nodes it came from.

    `constraints` are pairs of dimensions that the type rule had to take as equal without seeing it; the compiled model checks them.
    `symbols` are those of its types and attributes, but for those that its own results or bodies define (the attributes `defines` and
    `sizes` of control flow): where they are defined by data, the node comes after what defines them.
    """

    __slots__ = ("op", "inputs", "attributes", "outputs", "origin", "constraints", "symbols")

    def __init__(self, op: str, inputs: tuple[Tensor, ...], attributes: Mapping[str, Any], types: tuple[TensorType, ...],
                 origin: tuple[str, ...] = (), constraints: tuple[tuple[DimLike, DimLike], ...] = ()):
        self.op, self.inputs, self.attributes, self.origin, self.constraints = op, inputs, dict(attributes), origin, constraints
        self.outputs = tuple(Tensor(t, producer=self, index=i) for i, t in enumerate(types))
        mentioned = symbols_in((*(t.type.shape for t in inputs), *(t.shape for t in types), *attributes.values()))
        own = symbols_in(tuple(pair for name in ("defines", "sizes") for pair in attributes.get(name, ()) if isinstance(pair, tuple)))
        self.symbols = mentioned - own if own else mentioned

    @property
    def output(self) -> Tensor:
        """The only output."""
        (tensor,) = self.outputs
        return tensor

    def __repr__(self) -> str:
        return f"<Node {self.op}({', '.join(str(t.type) for t in self.inputs)}) from {', '.join(self.origin) or 'nowhere'}>"


def symbols_in(value: Any) -> frozenset[Symbol]:
    """The symbols mentioned in an attribute or shape: those of its dimensions, and those that a graph in it takes from around it."""
    if isinstance(value, Dim):
        return value.symbols
    if isinstance(value, (tuple, list)):
        found = [symbols_in(item) for item in value if not isinstance(item, (int, float, str))]
        return frozenset().union(*found) if found else frozenset()
    if isinstance(value, np.ndarray) and value.dtype == object:
        return symbols_in(value.ravel().tolist())
    return getattr(value, "free_symbols", frozenset())


# -- provenance -------------------------------------------------------------------------------------------------------------
_origin: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("dlcompile_origin", default=())


@contextlib.contextmanager
def provenance(*names: str) -> Iterator[None]:
    """Nodes made inside come from the front-end nodes `names` (in order, without repetition)."""
    token = _origin.set(tuple(dict.fromkeys(names)))
    try:
        yield
    finally:
        _origin.reset(token)


def absorb(node: Node) -> None:
    """From here to the end of the innermost `provenance`, nodes also come from what `node` comes from: it is being merged into them."""
    _origin.set(tuple(dict.fromkeys((*_origin.get(), *node.origin))))


def current_origin() -> tuple[str, ...]:
    """The names `provenance` has set."""
    return _origin.get()


# -- making values ----------------------------------------------------------------------------------------------------------
def make_input(name: str, dtype, shape) -> Tensor:
    """A graph input of the given dtype and shape."""
    return Tensor(TensorType(as_dtype(dtype), tuple(shape)), name=name)


_KNOWN_LIMIT = 1024  # elements; shape arithmetic is small, and data that merely is integer should not be carried twice


def make_constant(value, dtype=None, name: str | None = None) -> Tensor:
    """A constant tensor holding `value` (copied only where needed; not to be written to afterwards)."""
    array = np.asarray(value, dtype=dtype)
    known = array.astype(object) if array.dtype.kind in "iub" and array.size <= _KNOWN_LIMIT else None
    return Tensor(TensorType(array.dtype, array.shape), value=array, known=known, name=name)


def apply(op: str, *inputs: Tensor, **attributes) -> Tensor | tuple[Tensor, ...]:
    """Make the node `op(inputs; attributes)` and return its output, or the tuple of them where the operator has several.

    Raises `ShapeError` or `DTypeError` where the operator's type rule refuses the inputs, the message naming operator and origin.
    """
    operator = OPERATORS[op]
    try:
        types, constraints = operator.infer_types(tuple(t.type for t in inputs), attributes, inputs)
    except Error as error:
        where = ", ".join(current_origin())
        note = f"{op}: {error}" + (f" (node {where})" if where else "")
        if current_origin() and f"(node {where})" in str(error):
            raise
        raise type(error)(note) from None
    node = Node(op, inputs, attributes, types, current_origin(), constraints)
    # sizes first: what is small can be broadcast to more than there is memory for
    small = all(isinstance(t.size, int) and t.size <= _KNOWN_LIMIT for t in types)
    if operator.shape_arithmetic and small and all(t.known is not None for t in inputs):
        known = operator.evaluate_known(attributes, [t.known for t in inputs], [t.type for t in inputs], types)
        for tensor, value in zip(node.outputs, known):
            if value is not None:
                tensor.known = value.reshape(tensor.type.shape)
    return node.outputs[0] if len(node.outputs) == 1 and not operator.multiple_outputs else node.outputs


def known_dims(tensor: Tensor, what: str = "shape") -> tuple[DimLike, ...]:
    """The dimensions a 1-D (or scalar) integer tensor is known to hold. InvalidModelError where they depend on data."""
    if tensor.known is None:
        raise InvalidModelError(f"the {what} is computed from data, not from shapes and constants"
                                + (f" (node {', '.join(tensor.producer.origin)})" if tensor.producer else ""))
    return tuple(tensor.known.ravel().tolist())

"""From tensors to scalar expressions: the value of a tensor at some coordinates, written out down to loads from memory.

`Emitter.value` follows the graph backwards from one element: elementwise operators become `Apply`, views become coordinates, indexed
reads become loads at an index that was itself loaded. What several operators share is bound once by a `Let`.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from dlcompile.graph import OPERATORS, Dim, DimLike, Node, Tensor, at_least, is_float, symbol
from dlcompile.kernels.access import VIEWS, CannotFuse, Coordinates, Storage, broadcast_coordinates, linearize
from dlcompile.kernels.ir import Apply, Expression, Index, Let, Load, Local, Number, Parameter
from dlcompile.kernels.program import Argument

BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)


class Parameters:
    """The array parameters of a kernel being built: one for each array, named in order of first use."""

    def __init__(self) -> None:
        self._rows: dict[Argument, list] = {}

    def read(self, argument: Argument, dtype: np.dtype) -> str:
        return self._row(argument, dtype, 2)[0]

    def write(self, argument: Argument, dtype: np.dtype) -> str:
        return self._row(argument, dtype, 3)[0]

    def _row(self, argument: Argument, dtype: np.dtype, use: int) -> list:
        row = self._rows.setdefault(argument, [f"p{len(self._rows)}", dtype, False, False])
        row[use] = True
        return row

    @property
    def arguments(self) -> tuple[Argument, ...]:
        return tuple(self._rows)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(Parameter(*row) for row in self._rows.values())


class Emitter:
    """Writes values of tensors as expressions.

    stored: where a tensor is stored, None for one that is not and is computed here.
    overrides: tensors whose value is given by a function of the coordinates (an anchor's result, a reduction).
    shared: tensors worth a variable of their own, because several expressions use them.
    lets: the statements that must stand before the expressions that were asked for, in order.
    """

    def __init__(self, parameters: Parameters, stored: Callable[[Tensor], Storage | None], shared: frozenset[Tensor] = frozenset()):
        self.parameters, self.stored, self.shared = parameters, stored, shared
        self.overrides: dict[Tensor, Callable[[Coordinates], Expression]] = {}
        self.lets: list[Let] = []
        self._memo: dict[tuple[Tensor, Coordinates], Expression] = {}
        self._guarded = 0
        self._choices = 0  # between values, around what is being written
        self._counter = 0
        self.loaded: set[str] = set()  # indices that were read from memory

    def fresh(self, prefix: str) -> str:
        """A name nothing else in the kernel has."""
        self._counter += 1
        return f"{prefix}{self._counter}"

    def scope(self) -> tuple[list[Let], dict]:
        """Begin a new scope of variables (a loop of its own); give what this returns to `restore`."""
        saved = (self.lets, self._memo)
        self.lets, self._memo = [], {}
        return saved

    def restore(self, saved: tuple[list[Let], dict]) -> list[Let]:
        """End a scope; returns the lets that were made in it."""
        made = self.lets
        self.lets, self._memo = saved
        return made

    # -- values -------------------------------------------------------------------------------------------------------------
    def value(self, tensor: Tensor, at: Coordinates) -> Expression:
        """The element of `tensor` at coordinates `at`."""
        key = (tensor, at)
        if key in self._memo:
            return self._memo[key]
        expression = self._value(tensor, at)
        if tensor in self.shared and not self._guarded and isinstance(expression, (Apply, Load)):
            expression = self.bind(expression)
            self._memo[key] = expression
        return expression

    def _value(self, tensor: Tensor, at: Coordinates) -> Expression:
        if tensor in self.overrides:
            return self.overrides[tensor](at)
        if tensor.is_constant and tensor.value.size == 1:
            return number(tensor.value.reshape(()).item(), tensor.dtype)
        storage = self.stored(tensor)
        if storage is not None:
            return self.load(storage, tensor.dtype, at)
        node = tensor.producer
        if node is None:
            raise CannotFuse(f"{tensor!r} is stored nowhere")
        if node.op in VIEWS:
            return self.value(node.inputs[0], VIEWS[node.op](node, at))
        if node.op in INDEXED:
            return INDEXED[node.op](self, node, at)
        if OPERATORS[node.op].family == "elementwise":
            arguments = self._arguments(node, at)
            if node.op == "cast":
                return cast(arguments[0], tensor.dtype)
            return Apply(node.op, arguments, tensor.dtype)
        raise CannotFuse(f"{node.op} is not computed element by element")

    def _arguments(self, node: Node, at: Coordinates) -> tuple[Expression, ...]:
        """The operands of an elementwise node."""
        choice = node.op == "select"
        made = []
        for position, tensor in enumerate(node.inputs):
            self._choices += choice and position > 0
            made.append(self.value(tensor, broadcast_coordinates(at, tensor.shape)))
            self._choices -= choice and position > 0
        return tuple(made)

    def load(self, storage: Storage, dtype: np.dtype, at: Coordinates) -> Expression:
        """An element of a stored tensor. What only one side of a choice reads is read before it, whether it is chosen or not: compilers make vector
        code of choices between values, but hardly of reading or not."""
        load = Load(self.parameters.read(storage.argument, dtype), storage.index(at), dtype)
        if not self._choices or self._guarded:
            return load
        before = next((let for let in self.lets if let.value == load), None)
        return Local(before.name, dtype) if before else self.bind(load)

    def bind(self, expression: Expression) -> Local:
        """Give an expression a name."""
        name = self.fresh("v")
        self.lets.append(Let(name, expression))
        return Local(name, expression.dtype)

    def index(self, expression: Expression, extent: DimLike) -> DimLike:
        """An integer expression (an index read from memory) as a symbol in [0, extent), clamped into it: a wrong index must not
        reach memory that is not the tensor's."""
        if isinstance(expression, Number):
            return int(expression.value)
        if isinstance(expression, Index):
            return expression.value
        if self._guarded:
            raise CannotFuse("an index is loaded under a condition")
        name = self.fresh("index")
        self.loaded.add(name)
        wide = cast(expression, INT64)
        clamped = Apply("maximum", (Apply("minimum", (wide, Index(extent - 1, INT64)), INT64), Number(0, INT64)), INT64)
        self.lets.append(Let(name, clamped))
        return symbol(name, extent)

    def guarded(self, condition: Expression | None, make: Callable[[], Expression], otherwise: Callable[[], Expression]) -> Expression:
        """`make()` where the condition holds (None: always), else `otherwise()`; neither may be evaluated without it."""
        if condition is None:
            return make()
        self._guarded += 1
        try:
            chosen, other = make(), otherwise()
        finally:
            self._guarded -= 1
        return Apply("select", (condition, chosen, other), chosen.dtype)


# -- conditions -------------------------------------------------------------------------------------------------------------
def number(value, dtype: np.dtype) -> Number:
    return Number(value, dtype)


def cast(expression: Expression, dtype: np.dtype) -> Expression:
    """The expression in another type; the same one where it has it already."""
    if expression.dtype == dtype:
        return expression
    if isinstance(expression, Index) and dtype.kind in "iu":
        return Index(expression.value, dtype)
    return Apply("cast", (expression,), dtype)


def less(a: DimLike, b: DimLike) -> Expression | None:
    """a < b as a condition; None where it always holds."""
    if at_least(b - 1, a):
        return None
    offset = _constant(a)
    return Apply("lt", (Index(a - offset, INT64), Index(b - offset, INT64)), BOOL)


def both(*conditions: Expression | None) -> Expression | None:
    """The conjunction of conditions, None being one that always holds."""
    result = None
    for condition in conditions:
        if condition is not None:
            result = condition if result is None else Apply("and", (result, condition), BOOL)
    return result


def within(coordinate: DimLike, extent: DimLike) -> Expression | None:
    """0 <= coordinate < extent as a condition; None where it always holds."""
    lower = None
    if not at_least(coordinate, 0):
        offset = _constant(coordinate)
        lower = Apply("ge", (Index(coordinate - offset, INT64), Number(-offset, INT64)), BOOL)
    return both(lower, less(coordinate, extent))


def _constant(dim: DimLike) -> int:
    """The constant term of an expression: comparisons read better with it on the other side."""
    return dim.terms.get((), 0) if isinstance(dim, Dim) else 0


# -- reads that are more than a view ----------------------------------------------------------------------------------------
def _pad(emitter: Emitter, node: Node, at: Coordinates) -> Expression:
    operand, fill = node.inputs
    source = tuple(c - low for c, low in zip(at, node.attributes["low"], strict=True))
    inside = both(*(within(c, extent) for c, extent in zip(source, operand.shape)))
    return emitter.guarded(inside, lambda: emitter.value(operand, source), lambda: emitter.value(fill, ()))


FEW_PIECES = 16  # of a concatenation, which are told apart one after another


def _concatenate(emitter: Emitter, node: Node, at: Coordinates) -> Expression:
    axis = node.attributes["axis"]
    start: DimLike = 0
    pieces: list[tuple[DimLike, Tensor]] = []
    for tensor in node.inputs:
        pieces.append((start, tensor))
        start = start + tensor.shape[axis]

    def among(first: int, last: int) -> Expression:
        """The element where it is in one of pieces first ... last - 1, found by halving: many pieces are not deep."""
        begin, tensor = pieces[first]
        if last - first == 1:
            return emitter.value(tensor, (*at[:axis], at[axis] - begin, *at[axis + 1:]))
        middle = first + 1 if last - first <= FEW_PIECES else (first + last) // 2
        return emitter.guarded(less(at[axis], pieces[middle][0]), lambda: among(first, middle), lambda: among(middle, last))

    return among(0, len(pieces))


def _gather(emitter: Emitter, node: Node, at: Coordinates) -> Expression:
    operand, indices = node.inputs
    axis = node.attributes["axis"]
    place = at[axis: axis + indices.rank]
    index = emitter.index(emitter.value(indices, place), operand.shape[axis])
    return _unless_empty(emitter, operand, [axis], (*at[:axis], index, *at[axis + indices.rank:]))


def _gather_nd(emitter: Emitter, node: Node, at: Coordinates) -> Expression:
    operand, indices = node.inputs
    batch = node.attributes["batch_dims"]
    depth = indices.shape[-1]
    place = at[: indices.rank - 1]
    picked = tuple(emitter.index(emitter.value(indices, (*place, k)), operand.shape[batch + k]) for k in range(depth))
    return _unless_empty(emitter, operand, range(batch, batch + depth), (*at[:batch], *picked, *at[indices.rank - 1:]))


def _take_along_axis(emitter: Emitter, node: Node, at: Coordinates) -> Expression:
    operand, indices = node.inputs
    axis = node.attributes["axis"]
    index = emitter.index(emitter.value(indices, at), operand.shape[axis])
    return _unless_empty(emitter, operand, [axis], (*at[:axis], index, *at[axis + 1:]))


def _unless_empty(emitter: Emitter, operand: Tensor, axes: Iterable[int], place: Coordinates) -> Expression:
    """The element at a place whose coordinates along `axes` are clamped indices: 0, or no text, where an axis has turned out to have no
    elements."""
    extents = [operand.shape[axis] for axis in axes]
    filled = both(*(less(0, extent) for extent in extents))
    nothing = number(0, operand.dtype)
    return emitter.guarded(filled, lambda: emitter.value(operand, place), lambda: nothing)


def _iota(emitter: Emitter, node: Node, at: Coordinates) -> Expression:
    dtype = node.output.dtype
    position = Index(at[node.attributes["axis"]], INT64)
    return Apply("cast", (position,), dtype) if is_float(dtype) else Index(position.value, dtype)


def _dims(emitter: Emitter, node: Node, at: Coordinates) -> Expression:
    values = node.attributes["values"]
    if not isinstance(at[0], Dim):
        return Index(values[at[0]], INT64)

    def between(begin: int, end: int) -> Expression:
        """The value at a position in [begin, end), found by halving: expressions of many values are not deep."""
        middle = (begin + end) // 2
        if middle == begin:
            return Index(values[begin], INT64)
        first = less(at[0], middle)
        return between(begin, middle) if first is None else Apply("select", (first, between(begin, middle), between(middle, end)), INT64)

    return between(0, len(values))


def _random_bits(emitter: Emitter, node: Node, at: Coordinates) -> Expression:
    (key,) = node.inputs
    words = tuple(number(key.value[i].item(), key.dtype) if key.is_constant else emitter.value(key, (i,)) for i in range(2))
    return Apply("random_bits", (*words, Index(linearize(at, node.output.shape), INT64)), node.output.dtype)


INDEXED: dict[str, Callable[[Emitter, Node, Coordinates], Expression]] = {
    "pad": _pad,
    "concatenate": _concatenate,
    "gather": _gather,
    "gather_nd": _gather_nd,
    "take_along_axis": _take_along_axis,
    "iota": _iota,
    "dims": _dims,
    "random_bits": _random_bits,
}
"""operators computed element by element that read their operands elsewhere than at the result's coordinates"""


def is_elementwise(node: Node) -> bool:
    """Whether `Emitter.value` can write this node's result element by element."""
    return node.op in VIEWS or node.op in INDEXED or OPERATORS[node.op].family == "elementwise"


IDENTITIES = {"add": 0, "mul": 1, "and": True, "or": False}


def identity(op: str, dtype: np.dtype) -> Number:
    """The neutral element of an accumulation in a type."""
    if op in IDENTITIES:
        return Number(IDENTITIES[op], dtype)
    lowest = op == "maximum"
    if dtype == BOOL:
        return Number(not lowest, dtype)
    if is_float(dtype):
        return Number(-math.inf if lowest else math.inf, dtype)
    info = np.iinfo(dtype)
    return Number(int(info.min if lowest else info.max), dtype)

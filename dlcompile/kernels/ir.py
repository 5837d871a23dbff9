"""Kernel IR: what a kernel does, in loops over named axes, scalar expressions, and a few tile operations. The whole of it is on this page.

Index arithmetic is `Dim` arithmetic: a loop variable is a symbol bounded by its loop's extent, so that indices simplify as they are made.
Nothing here knows C or CUDA; a printer turns each construct into its language, tile operations and invocations into calls of its
library of kernels (`csrc/` for C).

    expressions   Number  Index  Load  Apply  Local
    statements    Let  Store  Accumulate  Loop  When  Tile  Invoke
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Union

import numpy as np

from dlcompile.graph import Dim, DimLike, symbols_of
from dlcompile.graph.dim import substitute as substitute_dim


# -- expressions ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Number:
    """A literal."""

    value: float | int | bool
    dtype: np.dtype


@dataclass(frozen=True)
class Index:
    """The value of an index expression."""

    value: DimLike
    dtype: np.dtype


@dataclass(frozen=True)
class Load:
    """Element `index` of a buffer; storage-only types (float16, bool) arrive in the type they are computed in."""

    buffer: str
    index: DimLike
    dtype: np.dtype


@dataclass(frozen=True)
class Local:
    """A variable bound by `Let`, or the running value of an `Accumulate`."""

    name: str
    dtype: np.dtype


@dataclass(frozen=True)
class Apply:
    """A scalar operator, named as the elementwise primitive (`add`, `select`, `cast`, …), on expressions."""

    op: str
    arguments: tuple[Expression, ...]
    dtype: np.dtype


Expression = Union[Number, Index, Load, Local, Apply]


# -- statements -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Let:
    """Bind a name to a value for the rest of the block. An integer may then appear in indices as the symbol of that name."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Store:
    """buffer[index] = value."""

    buffer: str
    index: DimLike
    value: Expression


@dataclass(frozen=True)
class Accumulate:
    """target = target `op` value, where the target is a variable, or with an `index` an element of a buffer.

    `op` is add, mul, maximum, minimum, and, or. The order in which a vector loop accumulates is free.
    """

    target: str
    op: str
    value: Expression
    index: DimLike | None = None


@dataclass(frozen=True)
class Declare:
    """A variable with a first value that `Accumulate` and `Assign` change."""

    name: str
    value: Expression


@dataclass(frozen=True)
class Assign:
    """Give a declared variable a new value."""

    name: str
    value: Expression


@dataclass(frozen=True)
class LocalBuffer:
    """A small array of fixed size, private to the thread, for the rest of the block."""

    name: str
    dtype: np.dtype
    size: int


@dataclass(frozen=True)
class ScratchBuffer:
    """An array in the thread's scratch memory, for the rest of the kernel; `offset` and `size` in elements of the type, from its start."""

    name: str
    dtype: np.dtype
    offset: DimLike
    size: DimLike


@dataclass(frozen=True)
class Loop:
    """for axis in [start, start + extent). kind: "serial"; "parallel", shared out over the team's threads (outermost loops only);
    "vector", iterations that may run together; "parallel vector", both. `limit` cuts the last iterations off (a block's tail)."""

    axis: str
    extent: DimLike
    body: tuple[Statement, ...]
    kind: str = "serial"


@dataclass(frozen=True)
class When:
    """Run the body where the condition holds, else the other one."""

    condition: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Tile:
    """result[i][j] of a tile of rows × columns, computed by a tile operation and left in the buffer `result` from `result_index` on, added to what is there
    where `accumulate` ("contract" only). Of the rows the first `valid_rows` exist, of the columns of a depthwise tile the first `valid_columns`; no others are read. `ahead` says how many elements
    after `b` the machine may fetch early because a later tile reads them (0: nothing).

    "contract":  sum over taps and channels of a[row, tap, channel] * b[tap, channel, column]; `a` is read at
                 a_index + i*a_row + t0*taps[0][1] + t1*taps[1][1] + c*a_column, `b` packed [tap][channel][columns] at b_index.
    "depthwise": sum over taps of a[row, tap, column] * b[tap, column] (column = channel), `b` read at b_index + tap*b_row + column.
    """

    operation: str
    result: str
    rows: int
    columns: int
    a: str
    a_index: DimLike
    a_row: DimLike
    a_column: DimLike
    taps: tuple[tuple[DimLike, DimLike], tuple[DimLike, DimLike]]
    channels: DimLike
    b: str
    b_index: DimLike
    b_row: DimLike
    valid_rows: DimLike
    valid_columns: DimLike
    ahead: DimLike = 0
    result_index: DimLike = 0
    accumulate: bool = False


@dataclass(frozen=True)
class Address:
    """An argument of `Invoke`: the address of an element, or the null pointer for an absent one (`buffer` None)."""

    buffer: str | None
    index: DimLike = 0


@dataclass(frozen=True)
class Record:
    """An argument of `Invoke`: a structure of the kernel library, by the names of its fields; those left out are zero."""

    type: str
    fields: tuple[tuple[str, InvokeArgument], ...]


InvokeArgument = Union[Address, Record, int, Dim, Number, str]


@dataclass(frozen=True)
class Invoke:
    """A function of the kernel library, given addresses, integers (Dims), numbers, records, and texts that are the library's own names."""

    function: str
    arguments: tuple[InvokeArgument, ...]
    header: str


Statement = Union[Let, Store, Accumulate, Declare, Assign, LocalBuffer, ScratchBuffer, Loop, When, Tile, Invoke]


@dataclass(frozen=True)
class Parameter:
    """A kernel's pointer parameter: an array it reads, writes, or both (in different places)."""

    name: str
    dtype: np.dtype
    read: bool
    written: bool


@dataclass(frozen=True)
class KernelFunction:
    """A kernel: array parameters, the symbols (dimensions) it needs, and what it does."""

    parameters: tuple[Parameter, ...]
    symbols: tuple[str, ...]
    body: tuple[Statement, ...]
    form: str


# -- walking ----------------------------------------------------------------------------------------------------------------
def children(statement: Statement) -> tuple[Statement, ...]:
    """The statements directly inside a statement."""
    match statement:
        case Loop(body=body):
            return body
        case When(body=body, otherwise=otherwise):
            return body + otherwise
    return ()


def walk(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    """Every statement, outer before inner, in order."""
    for statement in statements:
        yield statement
        yield from walk(children(statement))


def walk_expression(expression: Expression) -> Iterator[Expression]:
    """Every subexpression, operands first."""
    if isinstance(expression, Apply):
        for argument in expression.arguments:
            yield from walk_expression(argument)
    yield expression


def expressions(statement: Statement) -> tuple[Expression, ...]:
    """The expressions a statement evaluates itself."""
    match statement:
        case Let(value=value) | Store(value=value) | Accumulate(value=value) | Declare(value=value) | Assign(value=value):
            return (value,)
        case When(condition=condition):
            return (condition,)
    return ()


def dims(statement: Statement) -> tuple[DimLike, ...]:
    """The index expressions a statement uses itself, those inside its expressions too."""
    found: list[DimLike] = []
    match statement:
        case Store(index=index):
            found.append(index)
        case Accumulate(index=index) if index is not None:
            found.append(index)
        case Loop(extent=extent):
            found.append(extent)
        case ScratchBuffer(offset=offset, size=size):
            found += [offset, size]
        case Tile():
            found += [statement.a_index, statement.a_row, statement.a_column, statement.channels, statement.b_index, statement.b_row]
            found += [d for tap in statement.taps for d in tap] + [statement.valid_rows, statement.valid_columns, statement.ahead, statement.result_index]
        case Invoke(arguments=arguments):
            found += [d for a in arguments for d in _argument_dims(a)]
    for root in expressions(statement):
        for expression in walk_expression(root):
            if isinstance(expression, Load):
                found.append(expression.index)
            elif isinstance(expression, Index):
                found.append(expression.value)
    return tuple(found)


def _argument_dims(argument: InvokeArgument) -> tuple[DimLike, ...]:
    match argument:
        case Address(index=index):
            return (index,)
        case Record(fields=fields):
            return tuple(d for _, value in fields for d in _argument_dims(value))
        case Number() | str():
            return ()
    return (argument,)


def symbols_used(statement: Statement) -> frozenset[str]:
    """Names of the symbols and locals a statement itself depends on."""
    names = {s.name for d in dims(statement) for s in symbols_of(d)}
    for root in expressions(statement):
        names |= {e.name for e in walk_expression(root) if isinstance(e, Local)}
    return frozenset(names)


def map_dims(statements: tuple[Statement, ...], change: Callable[[DimLike], DimLike]) -> tuple[Statement, ...]:
    """The statements with every index expression changed."""
    return tuple(_map_statement(s, change) for s in statements)


def substitute(statements: tuple[Statement, ...], values: dict[str, DimLike]) -> tuple[Statement, ...]:
    """The statements with symbols replaced in every index expression."""
    return map_dims(statements, lambda d: substitute_dim(d, values))


def map_loads(statements: tuple[Statement, ...], change: Callable[[Load], Expression]) -> tuple[Statement, ...]:
    """The statements with every element that is read by an expression read in another way."""
    def inside(expression: Expression) -> Expression:
        match expression:
            case Load():
                return change(expression)
            case Apply(arguments=arguments):
                return replace(expression, arguments=tuple(map(inside, arguments)))
        return expression

    def changed(statement: Statement) -> Statement:
        match statement:
            case Let() | Declare() | Assign() | Store() | Accumulate():
                return replace(statement, value=inside(statement.value))
            case Loop():
                return replace(statement, body=map_loads(statement.body, change))
            case When():
                return replace(statement, condition=inside(statement.condition), body=map_loads(statement.body, change),
                               otherwise=map_loads(statement.otherwise, change))
        return statement

    return tuple(map(changed, statements))


def _map_expression(expression: Expression, change: Callable[[DimLike], DimLike]) -> Expression:
    match expression:
        case Load(index=index):
            return replace(expression, index=change(index))
        case Index(value=value):
            return replace(expression, value=change(value))
        case Apply(arguments=arguments):
            return replace(expression, arguments=tuple(_map_expression(a, change) for a in arguments))
    return expression


def _map_statement(statement: Statement, change: Callable[[DimLike], DimLike]) -> Statement:
    def inside(value):
        return _map_expression(value, change)

    match statement:
        case Let() | Declare() | Assign():
            return replace(statement, value=inside(statement.value))
        case Store():
            return replace(statement, index=change(statement.index), value=inside(statement.value))
        case Accumulate():
            index = None if statement.index is None else change(statement.index)
            return replace(statement, index=index, value=inside(statement.value))
        case Loop():
            return replace(statement, extent=change(statement.extent), body=map_dims(statement.body, change))
        case When():
            return replace(statement, condition=inside(statement.condition), body=map_dims(statement.body, change),
                           otherwise=map_dims(statement.otherwise, change))
        case ScratchBuffer():
            return replace(statement, offset=change(statement.offset), size=change(statement.size))
        case Tile():
            return replace(
                statement, a_index=change(statement.a_index), a_row=change(statement.a_row), a_column=change(statement.a_column),
                taps=tuple((change(n), change(s)) for n, s in statement.taps), channels=change(statement.channels),
                b_index=change(statement.b_index), b_row=change(statement.b_row),
                valid_rows=change(statement.valid_rows), valid_columns=change(statement.valid_columns),
                ahead=change(statement.ahead), result_index=change(statement.result_index))
        case Invoke():
            arguments = tuple(_map_argument(a, change) for a in statement.arguments)
            return replace(statement, arguments=arguments)
    return statement


def _map_argument(argument: InvokeArgument, change: Callable[[DimLike], DimLike]) -> InvokeArgument:
    match argument:
        case Address():
            return replace(argument, index=change(argument.index))
        case Record(fields=fields):
            return replace(argument, fields=tuple((name, _map_argument(value, change)) for name, value in fields))
        case Number() | str():
            return argument
    return change(argument)

"""The C printer: Kernel IR → the text of a C function, to be read by people."""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlcompile.codegen.expressions import c_dim, c_expression, c_number, c_stored
from dlcompile.graph import DTYPES
from dlcompile.kernels.ir import (
    Accumulate,
    Address,
    Assign,
    Declare,
    Invoke,
    KernelFunction,
    Let,
    LocalBuffer,
    Loop,
    Number,
    Record,
    ScratchBuffer,
    Statement,
    Store,
    Tile,
    When,
    walk,
)

INDENT = "    "

TILE_HEADERS = {"contract": "dlc_contract.h", "depthwise": "dlc_contract.h"}
BASE_HEADERS = ("dlc_base.h", "dlc_math.h", "dlc_integer.h", "dlc_reduce.h")

REDUCTIONS = {"add": "+", "mul": "*", "maximum": "dlc_max_{}", "minimum": "dlc_min_{}", "and": "&", "or": "|"}
"""how an accumulation is named in an OpenMP reduction clause"""
WRAPPING = {"add": "dlc_add_{}", "mul": "dlc_mul_{}"}
"""the same of signed integers, whose overflow C does not define"""


@dataclass(frozen=True)
class CText:
    """A printed kernel: its parameters after the team as (C type, name), the text between its braces, the headers it needs."""

    parameters: tuple[tuple[str, str], ...]
    body: str
    headers: tuple[str, ...]


def print_kernel(function: KernelFunction) -> CText:
    """The C text of a kernel. Array parameters come first, then an int64_t for each dimension."""
    dtypes = {p.name: p.dtype for p in function.parameters}
    parameters = [(f"{'' if p.written else 'const '}{DTYPES[p.dtype].c_storage} *restrict", p.name) for p in function.parameters]
    parameters += [("const int64_t", name) for name in function.symbols]
    headers = dict.fromkeys(BASE_HEADERS)
    for statement in walk(function.body):
        if isinstance(statement, Tile):
            headers[TILE_HEADERS[statement.operation]] = None
        elif isinstance(statement, Invoke):
            headers[statement.header] = None
        elif isinstance(statement, (LocalBuffer, ScratchBuffer)):
            dtypes[statement.name] = statement.dtype
    lines = list(_Printer(dtypes).block(function.body, 1))
    text = "\n".join(lines)
    for row in DTYPES.values():
        if row.header and (any(row.suffix == DTYPES[d].suffix for d in dtypes.values()) or re.search(rf"_{row.suffix}(_|\b)", text)):
            headers[row.header] = None
    if any("dlc_random_bits" in line for line in lines):
        headers["dlc_random.h"] = None
    return CText(tuple(parameters), "\n".join(lines) + "\n", tuple(headers))


def _guards_loads(statement: Statement) -> bool:
    """Whether elements are read one by one under a condition: a loop around that stays one, see DLC_KEEP_LOOP."""
    return isinstance(statement, When) and not any(isinstance(inner, Loop) for inner in walk(statement.body))


class _Printer:
    def __init__(self, dtypes: dict[str, np.dtype]):
        self.dtypes = dtypes
        self.locals: dict[str, np.dtype] = {}
        self.parts = 0  # parallel loops so far

    def block(self, statements: tuple[Statement, ...], depth: int) -> Iterator[str]:
        for statement in statements:
            yield from getattr(self, f"_{type(statement).__name__.lower()}")(statement, INDENT * depth, depth)

    def _let(self, let: Let, pad: str, depth: int) -> Iterator[str]:
        yield f"{pad}const {DTYPES[let.value.dtype].c_compute} {let.name} = {c_expression(let.value)};"

    def _declare(self, declare: Declare, pad: str, depth: int) -> Iterator[str]:
        self.locals[declare.name] = declare.value.dtype
        yield f"{pad}{DTYPES[declare.value.dtype].c_compute} {declare.name} = {c_expression(declare.value)};"

    def _assign(self, assign: Assign, pad: str, depth: int) -> Iterator[str]:
        yield f"{pad}{assign.name} = {c_expression(assign.value)};"

    def _store(self, store: Store, pad: str, depth: int) -> Iterator[str]:
        yield f"{pad}{store.buffer}[{c_dim(store.index)}] = {c_stored(store.value, self.dtypes[store.buffer])};"

    def _accumulate(self, statement: Accumulate, pad: str, depth: int) -> Iterator[str]:
        dtype = statement.value.dtype
        place = statement.target if statement.index is None else f"{statement.target}[{c_dim(statement.index)}]"
        signs = {"and": "&=", "or": "|=", **({"add": "+=", "mul": "*="} if dtype.kind != "i" else {})}
        if statement.op in signs:
            yield f"{pad}{place} {signs[statement.op]} {c_expression(statement.value)};"
        else:
            yield f"{pad}{place} = dlc_{statement.op}_{_compute_suffix(dtype)}({place}, {c_expression(statement.value)});"

    def _localbuffer(self, buffer: LocalBuffer, pad: str, depth: int) -> Iterator[str]:
        yield f"{pad}{DTYPES[buffer.dtype].c_compute} {buffer.name}[{buffer.size}] DLC_ALIGNED;"

    def _scratchbuffer(self, buffer: ScratchBuffer, pad: str, depth: int) -> Iterator[str]:
        kind = DTYPES[buffer.dtype].c_storage
        offset = "" if buffer.offset == 0 else f" + {c_dim(buffer.offset)}"
        yield f"{pad}{kind} *restrict const {buffer.name} = ({kind} *)team->scratch{offset};"

    def _loop(self, loop: Loop, pad: str, depth: int) -> Iterator[str]:
        axis, begin, end = loop.axis, "0", c_dim(loop.extent)
        if "parallel" in loop.kind:
            self.parts += 1
            part = "part" if self.parts == 1 else f"part{self.parts}"
            yield f"{pad}const dlc_range {part} = dlc_split(team, {end});"
            begin, end = f"{part}.begin", f"{part}.end"
        if "vector" in loop.kind:
            yield f"{pad}#pragma omp simd{self._reduction_clauses(loop)}"
        elif any(_guards_loads(statement) for statement in loop.body):
            yield f"{pad}DLC_KEEP_LOOP"
        yield f"{pad}for (int64_t {axis} = {begin}; {axis} < {end}; ++{axis}) {{"
        yield from self.block(loop.body, depth + 1)
        yield f"{pad}}}"

    def _reduction_clauses(self, loop: Loop) -> str:
        clauses = {}
        for statement in walk(loop.body):
            if isinstance(statement, Accumulate) and statement.index is None:
                dtype = self.locals[statement.target]
                name = (WRAPPING if dtype.kind == "i" else REDUCTIONS).get(statement.op, REDUCTIONS[statement.op]).format(_compute_suffix(dtype))
                clauses[f" reduction({name}:{statement.target})"] = None
        return "".join(clauses)

    def _when(self, when: When, pad: str, depth: int) -> Iterator[str]:
        yield f"{pad}if ({c_expression(when.condition)}) {{"
        yield from self.block(when.body, depth + 1)
        if when.otherwise:
            yield f"{pad}}} else {{"
            yield from self.block(when.otherwise, depth + 1)
        yield f"{pad}}}"

    def _tile(self, tile: Tile, pad: str, depth: int) -> Iterator[str]:
        (outer_taps, outer_step), (inner_taps, inner_step) = tile.taps
        left = f"{tile.a} + {c_dim(tile.a_index)}, {c_dim(tile.a_row)}"
        taps = f"{c_dim(outer_taps)}, {c_dim(outer_step)}, {c_dim(inner_taps)}, {c_dim(inner_step)}"
        right = f"{tile.b} + {c_dim(tile.b_index)}"
        result = self._argument(Address(tile.result, tile.result_index), pad)
        if tile.operation == "depthwise":
            yield (f"{pad}dlc_tile_depthwise_rows({tile.rows}, {tile.columns}, {c_dim(tile.valid_rows)}, {c_dim(tile.valid_columns)}, {left}, {taps}, "
                   f"{right}, {c_dim(tile.b_row)}, {result});")
        else:
            yield (f"{pad}dlc_tile_contract({tile.rows}, {tile.columns}, {int(tile.accumulate)}, {c_dim(tile.valid_rows)}, {left}, {taps}, "
                   f"{c_dim(tile.channels)}, {c_dim(tile.a_column)}, {right}, {c_dim(tile.ahead)}, {result});")

    def _invoke(self, call: Invoke, pad: str, depth: int) -> Iterator[str]:
        yield f"{pad}{call.function}({', '.join(self._argument(a, pad) for a in call.arguments)});"

    def _argument(self, argument, pad: str) -> str:
        match argument:
            case Record(type=kind, fields=fields):
                lines = "".join(f"{pad}{INDENT}.{name} = {self._argument(value, pad)},\n" for name, value in fields)
                return f"&({kind}){{\n{lines}{pad}}}"
            case Address(None):
                return "NULL"
            case Address(buffer, index):
                return buffer if index == 0 else f"{buffer} + {c_dim(index)}"
            case Number(value, dtype):
                return c_number(value, dtype)
            case str():
                return argument
        return c_dim(argument)


def _compute_suffix(dtype: np.dtype) -> str:
    return DTYPES[dtype].compute_suffix

"""The text forms: what is computed string by string, by one call for each (csrc/dlc_text.h). Threads share the strings; each makes new ones in a
pool of its own.

Putting strings together, comparing and converting them is elementwise (`kernels.emit`).
"""
from __future__ import annotations

from dlcompile.graph import DTYPES, DimLike, Node, Tensor
from dlcompile.kernels.access import CannotFuse, axes_symbols, strided
from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Context, Group, Lowered, cost, finish, worth_sharing
from dlcompile.kernels.ir import Address, Invoke, InvokeArgument, Record
from dlcompile.kernels.nest import axes_of, nest

HEADER = "dlc_text.h"


def operands_to_copy(node: Node, stored) -> set[Tensor]:
    """Strings that lie in no strided array; tables that are not whole ones."""
    x, *tables = node.inputs
    at = axes_symbols(x.shape, "i")
    found = set() if strided(x, at, at, stored) else {x}
    return found | {t for t in tables if stored(t) is None}


def lower_make_strings(group: Group, context: Context) -> Lowered:
    """One thread: there are as many as the model has constants."""
    (node,) = group.anchors
    parameters = Parameters()
    sources = [Address(parameters.read(s.argument, t.dtype), s.offset) for t in node.inputs for s in (context.stored(t),)]
    target = context.stored(node.output)
    call = Invoke("dlc_make_strings", (node.output.type.size, *sources, Address(parameters.write(target.argument, node.output.dtype), target.offset)),
                  HEADER)
    return finish(parameters, (call,), "text", False)


def lower_text(group: Group, context: Context) -> Lowered:
    """A loop over the elements of the first operand around a call."""
    (node,) = group.anchors
    x = node.inputs[0]
    parameters = Parameters()
    at = axes_symbols(x.shape, "i")
    read = strided(x, at, at, context.stored)
    if read is None:
        raise CannotFuse(f"{node!r}: the operand is no strided array")
    storage, base, strides = read

    def place(index: DimLike, steps) -> DimLike:
        for variable, stride in zip(at, steps):
            index = variable * stride + index
        return index

    source = Address(parameters.read(storage.argument, x.dtype), place(base, strides))
    tables = [Address(parameters.read(s.argument, t.dtype), s.offset) for t in node.inputs[1:] for s in (context.stored(t),)]
    target = context.stored(node.output)
    result = Address(parameters.write(target.argument, node.output.dtype), place(target.offset, target.strides[:x.rank]))
    function, arguments = CALLS[node.op](node, source, tables, result)
    axes = axes_of(at)
    parallel = worth_sharing(cost({node})) and bool(axes)
    return finish(parameters, nest(axes, (Invoke(function, arguments, HEADER),), parallel=parallel, vector=False), "text", parallel)


def lower_count_ngrams(group: Group, context: Context) -> Lowered:
    """All threads, each some rows."""
    (node,) = group.anchors
    ids, outputs = node.inputs[0], node.attributes["outputs"]
    parameters = Parameters()
    at = axes_symbols(ids.shape, "i")
    read = strided(ids, at, at, context.stored)
    if read is None:
        raise CannotFuse(f"{node!r}: the ids are no strided array")
    storage, base, (row, column) = read
    tables = [Address(parameters.read(s.argument, t.dtype), s.offset) for t in node.inputs[1:] for s in (context.stored(t),)]
    target = context.stored(node.output)
    fields = (("rows", ids.shape[0]), ("tokens", ids.shape[1]), ("outputs", outputs), ("row_stride", row), ("token_stride", column),
              ("min_length", node.attributes["min_gram_length"]), ("max_length", node.attributes["max_gram_length"]),
              ("max_skip", node.attributes["max_skip_count"]), ("ids", Address(parameters.read(storage.argument, ids.dtype), base)),
              *zip(("first", "token", "children", "columns"), tables),
              ("counts", Address(parameters.write(target.argument, node.output.dtype), target.offset)))
    call = Invoke("dlc_count_ngrams", ("team", Record("dlc_ngrams", fields)), HEADER)
    return finish(parameters, (call,), "text", True)


Call = tuple[str, tuple[InvokeArgument, ...]]


def _lookup(node: Node, source: Address, tables: list[Address], result: Address) -> Call:
    dtype = node.inputs[0].dtype
    suffix = "u8" if dtype.kind == "b" else DTYPES[dtype].suffix
    return f"dlc_lookup_{suffix}", (source, node.inputs[1].shape[0], *tables, result)


CALLS = {
    "automaton_match": lambda node, source, tables, result: ("dlc_match_at", (source, node.inputs[1].shape[1], *tables, result)),
    "string_count": lambda node, source, tables, result: ("dlc_count_at", (source, *tables, node.attributes["maxsplit"], result)),
    "string_split": lambda node, source, tables, result: ("dlc_split_at", (source, *tables, node.attributes["maxsplit"], node.attributes["width"],
                                                                           result)),
    "replace_characters": lambda node, source, tables, result: ("dlc_replace_at", ("team", source, node.inputs[1].shape[0], *tables, result)),
    "lookup": _lookup,
}
"""operator → the function that computes one element of it, and its arguments"""


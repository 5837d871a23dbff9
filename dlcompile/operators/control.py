"""Control flow. Branches and bodies are Graphs in the node's attributes; everything they read comes in through their inputs.

A result or carry may have dimensions that only the branch or the turn knows. Then int64 scalars that hold them are results or carries too:

    defines   ((dim, i), …)  results may mention the symbol `dim`: it is the scalar result i (of a `define_dim` behind the node)
    shapes    the shapes of the results that mention such dimensions, None for the others
    sizes     ((dim, i), …)  carries may mention the symbol `dim` in the body: it is the scalar carry i of the turn
"""
from __future__ import annotations

import numpy as np

from dlcompile.errors import DTypeError, ShapeError
from dlcompile.graph import OPERATORS, DimLike, Graph, Operator, Shape, TensorType, register, symbols_of, unify

BOOL, INT64 = np.dtype(np.bool_), np.dtype(np.int64)


def _check_operands(what: str, given, inputs, free=frozenset()) -> None:
    """The operands of a branch or body have the types of its inputs; dimensions that cannot be compared are taken as equal. Those that
    mention a `free` name may be anything."""
    if len(given) != len(inputs):
        raise ShapeError(f"{what} takes {len(inputs)} operands, {len(given)} are given")
    for position, (type_, inner) in enumerate(zip(given, inputs)):
        shape = tuple(m if any(s.name in free for s in symbols_of(n)) else n for m, n in zip(type_.shape, inner.shape))
        _same(f"{what}: operand {position}", type_, inner if inner.rank != len(shape) else TensorType(inner.dtype, shape))


def _same(what: str, a: TensorType, b: TensorType) -> TensorType:
    if a.dtype != b.dtype:
        raise DTypeError(f"{what} is {a}, it must be {b}")
    if a.rank != b.rank:
        raise ShapeError(f"{what} is {a}, it must be {b}")
    return TensorType(a.dtype, tuple(unify(m, n, f"{what} is {a}, it must be {b}: dimensions") for m, n in zip(a.shape, b.shape)))


def _shaped(what: str, shape: Shape | None, a: TensorType, b: TensorType) -> TensorType:
    """The type of a result that is `a` or `b`: with the given shape, if there is one."""
    if shape is None:
        return _same(what, a, b)
    if a.dtype != b.dtype or not a.rank == b.rank == len(shape):
        raise ShapeError(f"{what} is {a}, it must be {b}")
    return TensorType(a.dtype, shape)


def _body_flops(body: Graph) -> DimLike:
    total: DimLike = 0
    for node in body.nodes:
        total = total + OPERATORS[node.op].flops(tuple(t.type for t in node.inputs), tuple(t.type for t in node.outputs), node.attributes)
    return total


def _types(tensors) -> tuple[TensorType, ...]:
    return tuple(t.type for t in tensors)


# -- cond -------------------------------------------------------------------------------------------------------------------
def _infer_cond(types, attributes):
    then_branch, else_branch = attributes["then_branch"], attributes["else_branch"]
    if types[0] != TensorType(BOOL, ()):
        raise DTypeError(f"cond: the predicate must be a bool scalar, not {types[0]}")
    for name, branch in (("then_branch", then_branch), ("else_branch", else_branch)):
        _check_operands(name, types[1:], _types(branch.inputs))
    if len(then_branch.outputs) != len(else_branch.outputs):
        raise ShapeError(f"cond: the branches have {len(then_branch.outputs)} and {len(else_branch.outputs)} results")
    pairs = enumerate(zip(then_branch.outputs, else_branch.outputs))
    return tuple(_shaped(f"cond: result {i} of then_branch", attributes["shapes"][i], a.type, b.type) for i, (a, b) in pairs)


def _cond(attributes, predicate, *operands):
    return attributes["then_branch" if predicate else "else_branch"](*operands)


register(Operator("cond", "control", infer=_infer_cond, evaluate=_cond, accuracy="sum", multiple_outputs=True,
                  flops=lambda i, o, a: _body_flops(a["then_branch"])))


# -- while ------------------------------------------------------------------------------------------------------------------
def _infer_while(types, attributes):
    condition, body, carries = attributes["condition"], attributes["body"], attributes["num_carry"]
    free = {str(dim) for dim, _ in attributes["sizes"]}
    for what, graph in (("condition", condition), ("body", body)):
        _check_operands(f"while: {what}", types, _types(graph.inputs), free)
    if len(condition.outputs) != 1 or condition.outputs[0].type != TensorType(BOOL, ()):
        raise DTypeError(f"while: the condition must yield one bool scalar, not {', '.join(str(t.type) for t in condition.outputs)}")
    if len(body.outputs) < carries:
        raise ShapeError(f"while: the body yields {len(body.outputs)} values for {carries} carries")
    results = [_shaped(f"while: carry {i} after a turn", shape, out.type, formal.type)
               for i, (formal, out, shape) in enumerate(zip(body.inputs, body.outputs[:carries], attributes["shapes"]))]
    stacks = [TensorType(out.dtype, shape) for out, shape in zip(body.outputs[carries:], attributes["shapes"][carries:])]
    return (*results, *stacks, TensorType(INT64, ()))


def _while(attributes, *operands):
    """carries, captured values → the carries when the condition first fails, the collected values stacked, the number of turns"""
    carries, body = attributes["num_carry"], attributes["body"]
    state, captured = operands[:carries], operands[carries:]
    collected = []
    while attributes["condition"](*state, *captured)[0]:
        results = body(*state, *captured)
        state = results[:carries]
        collected.append(results[carries:])
    stacked = [np.stack(column) for column in zip(*collected)] if collected else [
        np.zeros((0, *(d if isinstance(d, int) else 0 for d in t.shape)), t.dtype) for t in body.output_types[carries:]]
    return (*state, *stacked, np.int64(len(collected)))


register(Operator("while", "control", infer=_infer_while, evaluate=_while, accuracy="sum", multiple_outputs=True,
                  flops=lambda i, o, a: _body_flops(a["body"]) + _body_flops(a["condition"])))  # of one turn: how many there are depends on data


# -- scan -------------------------------------------------------------------------------------------------------------------
def _infer_scan(types, attributes):
    body, carries, scanned, length = (attributes[n] for n in ("body", "num_carry", "num_scanned", "length"))
    inner = _types(body.inputs)
    wanted = tuple(TensorType(t.dtype, (length, *t.shape)) if carries <= i < carries + scanned else t for i, t in enumerate(inner))
    _check_operands("scan", types, wanted)
    if len(body.outputs) < carries:
        raise ShapeError(f"scan: the body yields {len(body.outputs)} values for {carries} carries")
    for position, (before, after) in enumerate(zip(inner[:carries], body.outputs)):
        _same(f"scan: carry {position} after a step", after.type, before)
    stacked = [TensorType(t.dtype, (length, *t.shape)) for t in body.outputs[carries:]]
    return (*types[:carries], *stacked)


def _scan(attributes, *operands):
    """carries, scanned inputs (a slice of the leading axis for each step), captured values → last carries, stacked outputs"""
    body, carries, scanned = attributes["body"], attributes["num_carry"], attributes["num_scanned"]
    state, slices, captured = operands[:carries], operands[carries:carries + scanned], operands[carries + scanned:]
    steps = range(attributes["length"])
    collected = []
    for step in reversed(steps) if attributes["reverse"] else steps:
        results = body(*state, *(s[step] for s in slices), *captured)
        state = results[:carries]
        collected.append(results[carries:])
    if attributes["reverse"]:
        collected.reverse()
    stacked = [np.stack(column) for column in zip(*collected)] if collected else [
        np.zeros((0, *t.shape), t.dtype) for t in body.output_types[carries:]]
    return (*state, *stacked)


register(Operator("scan", "control", infer=_infer_scan, evaluate=_scan, accuracy="sum", multiple_outputs=True,
                  flops=lambda i, o, a: a["length"] * _body_flops(a["body"])))

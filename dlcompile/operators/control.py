"""Control flow. The body of a loop is a Graph in the node's attributes; everything it reads comes in through its inputs."""
from __future__ import annotations

import numpy as np

from dlcompile.errors import ShapeError
from dlcompile.graph import Operator, TensorType, register


def _infer_scan(types, attributes):
    body, carries, scanned = attributes["body"], attributes["num_carry"], attributes["num_scanned"]
    if len(types) != len(body.inputs):
        raise ShapeError(f"scan: the body takes {len(body.inputs)} operands, {len(types)} are given")
    for position, (given, inner) in enumerate(zip(types, body.inputs)):
        wanted = inner.type if not carries <= position < carries + scanned else TensorType(inner.dtype, (attributes["length"], *inner.shape))
        if given != wanted:
            raise ShapeError(f"scan: operand {position} is {given}, the body takes {wanted}")
    for position, (inner, out) in enumerate(zip(body.inputs[:carries], body.outputs)):
        if inner.type != out.type:
            raise ShapeError(f"scan: carry {position} goes in as {inner.type} and comes out as {out.type}")
    stacked = [TensorType(t.dtype, (attributes["length"], *t.shape)) for t in body.outputs[carries:]]
    return (*(t.type for t in body.outputs[:carries]), *stacked)


def _scan(attributes, *operands):
    """carries, scanned inputs (a slice of the leading axis for each step), captured values → last carries, stacked outputs."""
    from dlcompile.operators.interpreter import evaluate

    body, carries, scanned = attributes["body"], attributes["num_carry"], attributes["num_scanned"]
    state, slices, captured = operands[:carries], operands[carries:carries + scanned], operands[carries + scanned:]
    steps = range(attributes["length"])
    collected = []
    for step in reversed(steps) if attributes["reverse"] else steps:
        results = evaluate(body, (*state, *(s[step] for s in slices), *captured))
        state = results[:carries]
        collected.append(results[carries:])
    if attributes["reverse"]:
        collected.reverse()
    stacked = [np.stack(column) for column in zip(*collected)] if collected else [
        np.zeros((0, *t.shape), t.dtype) for t in body.outputs[carries:]]
    return (*state, *stacked)


register(Operator("scan", "control", infer=_infer_scan, evaluate=_scan, accuracy="sum", multiple_outputs=True,
                  flops=lambda i, o, a: a["length"] * _body_flops(a["body"])))


def _body_flops(body):
    from dlcompile.graph import OPERATORS

    total = 0
    for node in body.nodes:
        total = total + OPERATORS[node.op].flops(tuple(t.type for t in node.inputs), tuple(t.type for t in node.outputs), node.attributes)
    return total

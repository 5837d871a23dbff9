"""Branches and loops. A graph is pure, so a branch whose condition is known is just its body."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, UnsupportedOperatorError
from dlcompile.frontends.onnx.captures import captured
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.shapes import as_axis
from dlcompile.graph import DimLike, Graph, Tensor, apply, known_dims, make_input, unify
from dlcompile.graph.graph import topological_order


@importer("If")
def if_(node: OnnxNode, condition: Tensor) -> list[Tensor]:
    """The branch that is taken, where that is known when the model is imported; otherwise both, and a choice between their results."""
    known = constant_value(condition)
    if known is not None:
        return node.scope.import_graph(node["then_branch" if known.any() else "else_branch"])
    outer = {condition}
    taken, other = (node.scope.import_graph(node[name]) for name in ("then_branch", "else_branch"))
    for a, b in zip(taken, other, strict=True):
        if a.dtype != b.dtype or a.rank != b.rank:
            raise UnsupportedOperatorError(f"the branches give {a.type} and {b.type}, and which is taken depends on the model's inputs")
    assumed = {c for t in (*taken, *other) for n in topological_order([t]) if n.origin and outer for c in n.constraints}
    if assumed - _constraints_before(node):
        raise UnsupportedOperatorError("which branch is taken depends on the model's inputs, and each needs shapes the other does not")
    condition = ops.reshape(condition, ())
    return [ops.select(condition, a, b) for a, b in zip(taken, other)]


def _constraints_before(node: OnnxNode) -> set[tuple[DimLike, DimLike]]:
    """What the values around the branches take on trust already."""
    scope, tensors = node.scope, []
    while scope is not None:
        tensors += [t for t in scope.values.values() if isinstance(t, Tensor)]
        scope = scope.parent
    return {c for n in topological_order(tensors) for c in n.constraints}


def _body(node: OnnxNode, graph, formal: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """(outputs, inputs for what the body captures, the captured tensors) of a loop's body with the formal inputs given."""
    scope = node.scope.child()
    inner, outer = [], []
    for name in captured(graph):
        tensor = node.scope.find(name)
        if tensor.is_constant or tensor in outer:
            continue
        made = make_input(name, tensor.dtype, tensor.shape)
        made.known = tensor.known
        scope.values[name] = made
        inner.append(made)
        outer.append(tensor)
    return scope.import_graph(graph, formal), inner, outer


@importer("Scan", since=9)
def scan(node: OnnxNode, *operands: Tensor) -> list[Tensor]:
    """State variables, then scan inputs, one slice of which each step sees; the last states, then what the steps yield, stacked."""
    graph, count = node["body"], node["num_scan_inputs"]
    states, scanned = operands[:len(operands) - count], operands[len(operands) - count:]
    stacked = len(graph.output) - len(states)
    if count < 1 or len(states) < 0 or stacked < 0:
        raise InvalidModelError(f"{len(operands)} operands, {count} of them scanned; expected at least one")
    moved = []
    for index, x in enumerate(scanned):
        axis = as_axis(_entry(node["scan_input_axes"], index), x.rank)
        x = ops.transpose(x, (axis, *(a for a in range(x.rank) if a != axis))) if axis else x
        moved.append(ops.reverse(x, (0,)) if _entry(node["scan_input_directions"], index) else x)
    length = moved[0].shape[0]
    for x in moved[1:]:
        length = unify(length, x.shape[0], "lengths of the scan inputs:")
    formal = [make_input(f.name, t.dtype, t.shape) for f, t in zip(graph.input, states)]
    formal += [make_input(f.name, t.dtype, t.shape[1:]) for f, t in zip(graph.input[len(states):], moved)]
    results, inner, outer = _body(node, graph, formal)
    body = Graph(graph.name or "scan", [*formal, *inner], results, output_names=[f"result{i}" for i in range(len(results))])
    made = apply("scan", *states, *moved, *outer, body=body, num_carry=len(states), num_scanned=count, length=length, reverse=False)
    outputs = list(made[:len(states)])
    for index, y in enumerate(made[len(states):]):
        axis = as_axis(_entry(node["scan_output_axes"], index), y.rank)
        y = ops.reverse(y, (0,)) if _entry(node["scan_output_directions"], index) else y
        order = list(range(1, y.rank))
        order.insert(axis, 0)
        outputs.append(ops.transpose(y, tuple(order)) if axis else y)
    return outputs


def _entry(values: tuple[int, ...] | None, index: int) -> int:
    """An entry of a list that may be left out for all zeros."""
    if values is None:
        return 0
    if index >= len(values):
        raise InvalidModelError(f"the list {list(values)} has no entry {index}")
    return values[index]


@importer("Loop")
def loop(node: OnnxNode, trips: Tensor | None, condition: Tensor | None = None, *states: Tensor) -> list[Tensor]:
    """A loop of a number of steps known when it begins, as a scan over the number of the step."""
    if trips is None or (condition is not None and (constant_value(condition) is None or not constant_value(condition).all())):
        raise UnsupportedOperatorError("loops that end when a condition says so are not supported; expected a trip count")
    (length,) = known_dims(trips, "trip count")
    graph = node["body"]
    step = make_input("step", np.int64, ())
    formal = [make_input(f.name, t.dtype, t.shape) for f, t in zip(graph.input[2:], states, strict=True)]
    going = ops.as_tensor(np.True_)
    (proceed, *results), inner, outer = _body(node, graph, [step, going, *formal])
    if constant_value(proceed) is None or not constant_value(proceed).all():
        raise UnsupportedOperatorError("loops that end when a condition says so are not supported; expected one that is always true")
    body = Graph(graph.name or "loop", [*formal, step, *inner], results, output_names=[f"result{i}" for i in range(len(results))])
    made = apply("scan", *states, ops.iota(np.int64, (length,), 0), *outer, body=body, num_carry=len(states), num_scanned=1,
                 length=length, reverse=False)
    return list(made)

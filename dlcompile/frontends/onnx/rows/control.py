"""Branches and loops. A graph is pure, so a branch whose condition is known is just its body."""
from __future__ import annotations

import numpy as np
from onnx import GraphProto

from dlcompile import ops
from dlcompile.errors import InvalidModelError, UnsupportedOperatorError
from dlcompile.frontends.onnx.captures import captured
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.shapes import as_axis
from dlcompile.graph import Graph, Tensor, known_dims, make_input, unify


@importer("If")
def if_(node: OnnxNode, condition: Tensor) -> list[Tensor]:
    """The branch that is taken, where that is known when the model is imported; otherwise a choice when it runs."""
    known = constant_value(condition)
    if known is not None:
        return node.scope.import_graph(node["then_branch" if known.any() else "else_branch"])
    names = list(dict.fromkeys((*captured(node["then_branch"]), *captured(node["else_branch"]))))
    branches = []
    for attribute in ("then_branch", "else_branch"):
        results, inner, outer = _body(node, node[attribute], [], names)
        branches.append(Graph(attribute, inner, results, output_names=[f"result{i}" for i in range(len(results))]))
    for a, b in zip(branches[0].outputs, branches[1].outputs, strict=True):
        if a.dtype != b.dtype or a.rank != b.rank:
            raise UnsupportedOperatorError(
                f"the branches give {a.type} and {b.type}, and which is taken depends on the model's inputs; "
                "dims= and values= pin what it depends on"
            )
    return list(ops.cond(ops.reshape(condition, ()), *branches, *outer))


def _body(
    node: OnnxNode, graph: GraphProto, formal: list[Tensor], names: list[str] | None = None
) -> tuple[list[Tensor], ...]:
    """(outputs, inputs for what the graph captures, the captured tensors) of a branch or body with the formal inputs
    given."""
    scope = node.scope.child()
    inner, outer = [], []
    for name in captured(graph) if names is None else names:
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
    """State variables, then scan inputs, one slice of which each step sees; the last states, then what the steps yield,
    stacked."""
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
    body = Graph(
        graph.name or "scan", [*formal, *inner], results, output_names=[f"result{i}" for i in range(len(results))]
    )
    made = ops.scan(body, *states, *moved, *outer, num_carry=len(states), num_scanned=count, length=length)
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
def loop(node: OnnxNode, trips: Tensor | None = None, condition: Tensor | None = None, *states: Tensor) -> list[Tensor]:
    """A scan over the number of the step where how many there are is known when the loop begins, else a while loop,
    which stacks nothing."""
    graph = node["body"]
    step, going = make_input("step", np.int64, ()), make_input("going", np.bool_, ())
    formal = [make_input(f.name, t.dtype, t.shape) for f, t in zip(graph.input[2:], states, strict=True)]
    always = ops.as_tensor(np.True_)
    starts = condition is None or (constant_value(condition) is not None and constant_value(condition).all())
    if starts and trips is not None and trips.known is not None:
        (proceed, *results), inner, outer = _body(node, graph, [step, always, *formal])
        if constant_value(proceed) is not None and constant_value(proceed).all():
            (length,) = known_dims(trips)
            body = Graph(
                graph.name or "loop",
                [*formal, step, *inner],
                results,
                output_names=[f"result{i}" for i in range(len(results))],
            )
            return list(
                ops.scan(
                    body,
                    *states,
                    ops.iota(np.int64, (length,), 0),
                    *outer,
                    num_carry=len(states),
                    num_scanned=1,
                    length=length,
                )
            )
    if len(graph.output) - 1 > len(states):
        raise UnsupportedOperatorError("a loop that ends when a condition says so can carry values, not collect them")
    (proceed, *results), inner, outer = _body(node, graph, [step, going, *formal])
    limit = make_input("limit", np.int64, ())
    inputs = [step, going, *formal, limit, *inner]
    body = Graph(graph.name or "loop", inputs, [ops.add(step, np.int64(1)), ops.reshape(proceed, ()), *results],
                 output_names=[f"result{i}" for i in range(len(results) + 2)])
    test = Graph("condition", inputs, [ops.logical_and(going, ops.lt(step, limit))], output_names=["proceed"])
    most = ops.as_tensor(np.int64(2**63 - 1)) if trips is None else ops.reshape(trips, ())
    first = always if condition is None else ops.reshape(condition, ())
    return list(ops.while_loop(test, body, np.int64(0), first, *states, most, *outer, num_carry=len(states) + 2))[2:]

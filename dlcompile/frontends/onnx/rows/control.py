"""Branches and loops. A graph is pure, so a branch whose condition is known is just its body."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto

from dlcompile import ops
from dlcompile.errors import InvalidModelError, UnsupportedOperatorError
from dlcompile.frontends.onnx.captures import captured
from dlcompile.frontends.onnx.node import OnnxNode, constant_value, importer
from dlcompile.frontends.onnx.shapes import as_axis, assume_equal, assumptions, handed_up
from dlcompile.frontends.onnx.values import Items, SequenceValue, Value, alike, rebuilt, tensors_of
from dlcompile.graph import Graph, Tensor, distinct_names, later, make_input, nothing_of, symbols_in, unify
from dlcompile.graph.graph import Constraint


@dataclass
class Body:
    """A branch or body as a graph.

    results: the values it yields, made of the graph's outputs in order.
    inner: its inputs for what it captures; `outer`: the captured tensors. constraints: see `Graph`.
    """

    results: list[Value]
    inner: list[Tensor]
    outer: list[Tensor]
    constraints: tuple[Constraint, ...]

    def graph(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor] | None = None) -> Graph:
        """The graph of the given inputs and the captured ones; by default it yields the tensors of the results."""
        tensors = [t for value in self.results for t in tensors_of(value)] if outputs is None else list(outputs)
        given = [*inputs, *self.inner]
        return Graph(name, given, tensors, input_names=distinct_names([t.name or "input" for t in given]),
                     output_names=[f"result{i}" for i in range(len(tensors))], constraints=self.constraints)


def _captured_tensors(value: Value) -> list[Tensor]:
    """What a body may read of a value: of a sequence whose items are known each of them too."""
    if isinstance(value, Items):
        return [*value.items, *(tensors_of(value) if value.is_uniform else ())]
    return tensors_of(value)


def import_body(node: OnnxNode, graph: GraphProto, formal: list[Value], names: list[str] | None = None, branch: bool = False) -> Body:
    """A branch or body for the given formal inputs. `names`: what it captures, where that is more than it reads itself. What a branch assumes
    has to hold only where it is taken, so it is no assumption of the graph around it."""
    scope = node.scope.child()
    inner: dict[Tensor, Tensor] = {}
    for name in captured(graph) if names is None else names:
        value = node.scope.find(name)
        for tensor in _captured_tensors(value):
            if not tensor.is_constant and tensor not in inner:
                inner[tensor] = make_input(tensor.name or name, tensor.dtype, tensor.shape)
                inner[tensor].known = tensor.known
        if isinstance(value, Items):
            scope.values[name] = value.made_of(inner)
        else:
            scope.values[name] = rebuilt(value, iter([inner.get(t, t) for t in tensors_of(value)]))
    with assumptions() as assumed:
        results = scope.import_graph(graph, formal)
    own = {s.name for value in formal for t in tensors_of(value) for s in symbols_in(t.shape)}
    own -= {s.name for t in inner for s in symbols_in(t.shape)}
    return Body(results, list(inner.values()), list(inner), tuple(assumed) if branch else handed_up(assumed, own))


@importer("If")
def if_(node: OnnxNode, condition: Tensor) -> list[Value]:
    """The branch that is taken, where that is known when the model is imported; otherwise a choice when it runs."""
    known = constant_value(condition)
    if known is not None:
        return node.scope.import_graph(node["then_branch" if known.any() else "else_branch"])
    names = list(dict.fromkeys((*captured(node["then_branch"]), *captured(node["else_branch"]))))
    then, other = (import_body(node, node[attribute], [], names, branch=True) for attribute in ("then_branch", "else_branch"))
    if len(then.results) != len(other.results):
        raise InvalidModelError(f"the branches have {len(then.results)} and {len(other.results)} outputs")
    pairs = [_of_one_rank(*alike(a, b)) for a, b in zip(then.results, other.results)]
    then.results, other.results = ([pair[i] for pair in pairs] for i in (0, 1))
    types = [[[t.type for t in tensors_of(pair[i])] for pair in pairs] for i in (0, 1)]
    for a, b in zip(*types):
        if [t.dtype for t in a] != [t.dtype for t in b]:
            texts = [", ".join(map(str, ts)) or "nothing" for ts in (a, b)]
            raise UnsupportedOperatorError(
                f"the branches give {texts[0]} and {texts[1]}, and which is taken depends on the model's inputs; "
                "dims= and values= pin what it depends on"
            )
    ranks = [[t.rank for value in results for t in value] for results in types]
    if ranks[0] != ranks[1]:
        return _meant(node, condition, sum(ranks[0]) < sum(ranks[1]))
    made = iter(ops.cond(ops.reshape(condition, ()), then.graph("then_branch", []), other.graph("else_branch", []), *then.outer))
    return [rebuilt(value, made) for value, _ in pairs]


def _meant(node: OnnxNode, condition: Tensor, holds: bool) -> list[Value]:
    """The results of one of two branches whose results differ in rank; that it is the one to take is checked when the model runs.

    PyTorch writes `x.squeeze(axis)` as a choice, by the size of the axis, between `x` squeezed and `x` itself, where the model goes on
    with what is squeezed. A tensor here has one rank, so the branch of the lower one is what is meant."""
    compared = condition
    while compared.op == "reshape":
        compared = compared.producer.inputs[0]
    sides = [t.known for t in compared.producer.inputs] if holds and compared.op == "eq" else [None]
    if all(side is not None and side.size == 1 for side in sides):
        assume_equal(sides[0].item(), sides[1].item(), "sizes that a branch is chosen by:")
    else:
        flag = ops.dim_of(ops.cast(ops.reshape(condition, ()), np.int64))
        assume_equal(flag, int(holds), "the condition that a branch is chosen by:")
    return node.scope.import_graph(node["then_branch" if holds else "else_branch"])


def _of_one_rank(a: Value, b: Value) -> tuple[Value, Value]:
    """A scalar and a tensor of one element, which exporters take for the same, are both of the higher rank."""
    if isinstance(a, Tensor) and isinstance(b, Tensor) and a.rank != b.rank and a.type.size == b.type.size == 1:
        shape = (1,) * max(a.rank, b.rank)
        return ops.reshape(a, shape), ops.reshape(b, shape)
    return a, b


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
    imported = import_body(node, graph, formal)
    body = imported.graph(graph.name or "scan", formal)
    made = ops.scan(body, *states, *moved, *imported.outer, num_carry=len(states), num_scanned=count, length=length)
    outputs = list(made[:len(states)])
    for index, y in enumerate(made[len(states):]):
        axis = as_axis(_entry(node["scan_output_axes"], index), y.rank)
        y = ops.reverse(y, (0,)) if _entry(node["scan_output_directions"], index) else y
        order = list(range(1, y.rank))
        order.insert(axis, 0)
        outputs.append(ops.transpose(y, tuple(order)) if axis else y)
    return outputs


@importer("Scan", since=8)
def scan_8(node: OnnxNode, lengths: Tensor | None, *operands: Tensor) -> list[Tensor]:
    """The first form: operands have a batch axis in front, and each example is scanned by itself, over the axis after it. Where lengths [batch]
    are given an example ends there: its states stay, it yields 0, and backwards begins there, all as ONNX Runtime has it."""
    graph, count = node["body"], node["num_scan_inputs"]
    states = len(operands) - count
    if count < 1 or states < 0 or len(graph.output) < states:
        raise InvalidModelError(f"{len(operands)} operands, {count} of them scanned; expected at least one")
    batch, steps = operands[states].shape[:2]
    lengths = ops.broadcast_to(ops.shape_vector((steps,)), (batch,)) if lengths is None else ops.cast(lengths, np.int64)
    step, end = (make_input(name, np.int64, ()) for name in ("step", "end"))
    formal = [make_input(f"formal{i}", t.dtype, t.shape[1 + (i >= states):]) for i, t in enumerate(operands)]
    imported = import_body(node, graph, formal)
    going = ops.lt(step, end)
    yielded = [ops.select(going, y, formal[i] if i < states else nothing_of(y.dtype)) for i, y in enumerate(imported.results)]
    body = imported.graph(graph.name or "scan", [*formal, step, end], yielded)

    example = [make_input(f"example{i}", t.dtype, t.shape[1:]) for i, t in enumerate(operands)]
    length = make_input("length", np.int64, ())
    inner = [make_input(t.name, t.dtype, t.shape) for t in imported.outer]
    turns = ops.iota(np.int64, (steps,))
    backwards = ops.maximum(ops.sub(ops.sub(length, turns), np.int64(1)), np.int64(0))
    scanned = [ops.gather(x, backwards, 0) if _entry(node["directions"], i) else x for i, x in enumerate(example[states:])]
    made = ops.scan(body, *example[:states], *scanned, turns, ops.broadcast_to(length, (steps,)), *inner,
                    num_carry=states, num_scanned=count + 2, length=steps)
    outer = Graph("examples", [*example, length, *inner], made, output_names=[f"result{i}" for i in range(len(made))])
    return list(ops.scan(outer, *operands, lengths, *imported.outer, num_carry=0, num_scanned=len(operands) + 1, length=batch))


def _entry(values: tuple[int, ...] | None, index: int) -> int:
    """An entry of a list that may be left out for all zeros."""
    if values is None:
        return 0
    if index >= len(values):
        raise InvalidModelError(f"the list {list(values)} has no entry {index}")
    return values[index]


@importer("Loop")
def loop(node: OnnxNode, trips: Tensor | None = None, condition: Tensor | None = None, *states: Value) -> list[Value]:
    """A scan over the number of the turn where nothing but that number ends the loop and no size changes, else a while loop."""
    graph = node["body"]
    if len(graph.input) != len(states) + 2:
        raise InvalidModelError(f"the body has {len(graph.input)} inputs for {len(states)} states; expected {len(states) + 2}")
    step = make_input("step", np.int64, ())
    always = ops.as_tensor(np.True_)
    starts = condition is None or (constant_value(condition) is not None and constant_value(condition).all())
    if starts and trips is not None:
        states, formal, body = _settled(node, graph, step, always, states)
        proceed, *results = body.results
        forever = isinstance(proceed, Tensor) and constant_value(proceed) is not None and constant_value(proceed).all()
        if forever and not _sizes_change(states, formal, body):
            return _as_scan(body, step, ops.cast(ops.reshape(trips, ()), np.int64), states, formal)
    going = make_input("going", np.bool_, ())
    states, formal, body = _settled(node, graph, step, going, states)
    proceed, *results = body.results
    tensors = [t for value in formal for t in tensors_of(value)]
    limit = make_input("limit", np.int64, ())
    inputs = [step, going, *tensors, limit]
    test = Graph("condition", [*inputs, *body.inner], [ops.logical_and(going, ops.lt(step, limit))], output_names=["proceed"],
                 input_names=distinct_names([t.name or "input" for t in (*inputs, *body.inner)]))
    outputs = [ops.add(step, np.int64(1)), ops.reshape(proceed, ()), *(t for value in results for t in tensors_of(value))]
    most = ops.as_tensor(np.int64(2**63 - 1)) if trips is None else ops.reshape(trips, ())
    first = always if condition is None else ops.reshape(condition, ())
    given = [t for value in states for t in tensors_of(value)]
    made = ops.while_loop(test, body.graph(graph.name or "loop", inputs, outputs), np.int64(0), first, *given, most, *body.outer,
                          num_carry=len(given) + 2)
    return _results(states, made[2:-1])


def _settled(node: OnnxNode, graph: GraphProto, step: Tensor, going: Tensor,
             states: Sequence[Value]) -> tuple[list[Value], list[Value], Body]:
    """(the states, the body's formal inputs for them, the body), where formal inputs have a symbol of their own for each dimension that is
    not the same after a turn. Which these are is found out by trying."""
    states = list(states)
    changing: set[tuple[int, int, int]] = set()  # (state, tensor of it, axis)
    while True:
        formal = [_formal(value, i, changing) for i, value in enumerate(states)]
        with assumptions() as assumed:
            body = import_body(node, graph, [step, going, *formal])
        results = body.results[1:len(states) + 1]
        if len(results) != len(states):
            raise InvalidModelError(f"the body has {len(body.results)} outputs for {len(states)} states")
        pairs = [alike(state, result) for state, result in zip(states, results)]
        again = [state for state, _ in pairs]
        if any(_ranks(a) != _ranks(b) for a, b in zip(again, states)):
            states = again  # a sequence made empty has learnt what its items are
            continue
        found = {key for i, (value, (_, result)) in enumerate(zip(formal, pairs)) for key in _differences(i, value, result)}
        if found <= changing:
            body.results[1:len(states) + 1] = [result for _, result in pairs]
            handed_up(assumed, ())
            return states, formal, body
        changing |= found


def _ranks(value: Value) -> list[int]:
    return [t.shape[1] if i and isinstance(value, SequenceValue) else t.rank for i, t in enumerate(tensors_of(value))]


def _formal(value: Value, state: int, changing: set[tuple[int, int, int]]) -> Value:
    made = []
    for part, tensor in enumerate(tensors_of(value)):
        open_rank = part == 1 and isinstance(value, SequenceValue) and value.rank is None
        shape = tuple(later() if (state, part, axis) in changing or open_rank and axis == 1 else d for axis, d in enumerate(tensor.shape))
        made.append(make_input(f"state{state}_{part}", tensor.dtype, shape))
    return rebuilt(value, iter(made))


def _differences(state: int, before: Value, after: Value) -> Iterator[tuple[int, int, int]]:
    """The dimensions of a state that are others after a turn; UnsupportedOperatorError where more than dimensions are."""
    old, new = tensors_of(before), tensors_of(after)
    if [(t.dtype, t.rank) for t in old] != [(t.dtype, t.rank) for t in new]:
        texts = [", ".join(str(t.type) for t in tensors) or "nothing" for tensors in (old, new)]
        raise UnsupportedOperatorError(f"state {state} of the loop is {texts[0]} before a turn and {texts[1]} after it")
    for part, (a, b) in enumerate(zip(old, new)):
        for axis, (m, n) in enumerate(zip(a.shape, b.shape)):
            if m != n:
                yield state, part, axis


def _sizes_change(states: Sequence[Value], formal: Sequence[Value], body: Body) -> bool:
    """Whether a turn changes the size of a state, or yields something whose size it decides."""
    same = [t.shape for value in states for t in tensors_of(value)] == [t.shape for value in formal for t in tensors_of(value)]
    known = symbols_in(tuple(t.shape for t in (*body.outer, *(t for value in states for t in tensors_of(value)))))
    yielded = symbols_in(tuple(t.shape for value in body.results[len(states) + 1:] for t in tensors_of(value)))
    return not same or any(s.source is not None and s not in known for s in yielded)


def _as_scan(body: Body, step: Tensor, trips: Tensor, states: Sequence[Value], formal: Sequence[Value]) -> list[Value]:
    length = ops.dim_of(trips if trips.known is not None else ops.maximum(trips, np.int64(0)))
    length = max(length, 0) if isinstance(length, int) else length
    inputs, given = ([t for value in values for t in tensors_of(value)] for values in (formal, states))
    outputs = [t for value in body.results[1:] for t in tensors_of(value)]
    made = ops.scan(body.graph("loop", [*inputs, step], outputs), *given, ops.iota(np.int64, (length,), 0), *body.outer,
                    num_carry=len(given), num_scanned=1, length=length)
    return _results(states, made)


def _results(states: Sequence[Value], made: Sequence[Tensor]) -> list[Value]:
    """The last states, and what was stacked."""
    tensors = iter(made)
    return [*(rebuilt(value, tensors) for value in states), *tensors]
